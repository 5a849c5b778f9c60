"""Networks that fail one way or both while students order: nothing is lost or doubled, all serves again (E1, A6)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from servers.proxy import Proxy
from tests.cluster.conftest import Ground, goes_on, start, supervised
from tests.faults.books import finish, wrong_in
from tests.faults.city import City
from tests.faults.crowd import Crowd

SEED = 20261129
CONNECTIONS = 12
# Longer than anybody waits for a replica or for Redis; a writer's own commit is waited for.
CUT_S = 1.5
GOES_ON_S_MAX = 60.0


async def test_no_order_is_lost_or_doubled_when_networks_fail_one_way_or_both(ground: Ground, city: City) -> None:
    servers, add = ground.servers, ground.cluster.add
    async with AsyncExitStack() as stack:

        async def between(ports: Sequence[int]) -> list[Proxy]:
            proxies = [Proxy(port) for port in ports]
            for proxy in proxies:
                await proxy.start()
                stack.push_async_callback(proxy.stop)
            return proxies

        databases = [node.port for node in servers.maria.nodes]
        links = {
            "api to database": await between(databases),
            "writer to database": await between(databases),
            "all to Redis": await between([port for _, port in servers.redis.addresses]),
        }
        for proxy, (_, port) in zip(links["all to Redis"], servers.redis.addresses, strict=True):
            stack.callback(servers.redis.announce, port, port)
            servers.redis.announce(port, proxy.port)

        def behind(link: str) -> dict[str, str]:
            url = ground.settings["TUANZI_DATABASE"]
            for proxy, port in zip(links[link], databases, strict=True):
                url = url.replace(f":{port}", f":{proxy.port}")
            redis = ",".join(f"127.0.0.1:{proxy.port}" for proxy in links["all to Redis"])
            return {"TUANZI_DATABASE": url, "TUANZI_REDIS": redis}

        writer = add("writer", "writer", settings=behind("writer to database"))
        api = add("api", "api", "gateway", settings=behind("api to database"))
        await start(writer, add_worker := add("worker", "worker"))
        await start(api)
        crowd = Crowd(city, port=api.port, seed=SEED, connections=CONNECTIONS)
        crowd.up.set()
        ordering = asyncio.create_task(crowd.order())
        await goes_on(crowd, count=CONNECTIONS, within_s=60)

        carried = dict.fromkeys(links, 0)
        for link, proxies in links.items():
            for way in ("there", "back", "both"):
                for proxy in proxies:
                    if way == "both":
                        proxy.cut()
                    else:
                        proxy.stall(there=way == "there", back=way == "back")
                await asyncio.sleep(CUT_S)
                for proxy in proxies:
                    proxy.heal()
                async with supervised(writer):
                    await goes_on(crowd, count=CONNECTIONS, within_s=GOES_ON_S_MAX)
            carried[link] = sum(proxy.carried for proxy in proxies)
        await finish(crowd, ordering, ground.files, within_s=60)
        for member in (api, add_worker, writer):
            await asyncio.to_thread(member.process.stop)

    assert min(carried.values()) > 10_000, carried  # what was cut was in use
    assert crowd.differing[:3] == []
    assert set(crowd.refused) <= {"409 stock/stock-short"}, crowd.refused
    assert len(crowd.placed) > 100
    assert wrong_in(ground.files(), crowd=crowd) == [], f"seed {SEED}"
