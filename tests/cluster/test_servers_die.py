"""Servers that die, hang or forget while students order: what was acknowledged stays, and all goes on (E1, A6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from servers.cluster import Servers
from servers.maria import OPERATOR, REPLICATION, Node
from tests.cluster.conftest import Ground, goes_on, start, supervised
from tests.faults.books import finish, wrong_in
from tests.faults.city import City
from tests.faults.crowd import Crowd
from tuanzi.engines.database.connections import Address
from tuanzi.engines.database.promotion import Copying, follow, promote

SEED = 20261127
CONNECTIONS = 16
# Kafka starts in some 5 s on a quiet machine, and consumers look for it again.
GOES_ON_S_MAX = 90.0

Trouble = Callable[[Servers], Awaitable[None]]


async def redis_masters_die(servers: Servers) -> None:
    """Each master, one after another; it comes back as a replica."""
    for port in servers.redis.masters():
        servers.redis.kill(port)
        await asyncio.sleep(1.0)
        await asyncio.to_thread(servers.redis.start_again, port)


async def redis_forgets(servers: Servers) -> None:
    """All that it kept."""
    await asyncio.to_thread(servers.redis.wipe)


async def rabbit_dies(servers: Servers) -> None:
    """And comes back."""
    servers.rabbit.kill()
    await asyncio.to_thread(servers.rabbit.start)


async def kafka_dies(servers: Servers) -> None:
    """And comes back."""
    servers.kafka.kill()
    await asyncio.to_thread(servers.kafka.start)


async def kafka_hangs(servers: Servers) -> None:
    """For longer than an append waits."""
    servers.kafka.pause()
    await asyncio.sleep(6.0)
    servers.kafka.resume()


async def database_dies(servers: Servers) -> None:
    """And comes back: what was answered is on its disk."""
    assert servers.primary is not None
    servers.primary.kill()
    await asyncio.to_thread(servers.primary.start)


async def database_is_lost(servers: Servers) -> None:
    """A replica takes over; the old one comes back as a replica of it (docs/runbooks/promote.md)."""
    old, new = servers.primary, next(node for node in servers.maria.nodes if node is not servers.primary)
    assert old is not None
    passwords = servers.maria.passwords
    copying = Copying(user=REPLICATION, password=passwords[REPLICATION])

    def operated(node: Node) -> Address:
        return Address(host="127.0.0.1", port=node.port, user=OPERATOR, schema="mysql", password=passwords[OPERATOR])

    old.kill()
    async with asyncio.timeout(60):
        while new.slave_status()["Slave_IO_Running"] == "Yes":  # noqa: ASYNC110 - seen from outside only
            await asyncio.sleep(0.05)
    await asyncio.to_thread(promote, [operated(new)], copying=copying)
    servers.primary = new
    await asyncio.to_thread(old.start, is_read_only=True)
    await asyncio.to_thread(follow, operated(old), operated(new), copying=copying)


TROUBLES: tuple[Trouble, ...] = (
    redis_masters_die,
    redis_forgets,
    rabbit_dies,
    kafka_dies,
    kafka_hangs,
    database_dies,
    database_is_lost,
)


async def test_no_order_is_lost_or_doubled_when_servers_die_hang_or_forget(ground: Ground, city: City) -> None:
    servers = ground.servers
    writer, worker = ground.cluster.add("writer", "writer"), ground.cluster.add("worker", "worker")
    api = ground.cluster.add("api", "api", "gateway")
    await start(writer, worker)
    await start(api)
    crowd = Crowd(city, port=api.port, seed=SEED, connections=CONNECTIONS)
    crowd.up.set()
    ordering = asyncio.create_task(crowd.order())
    await goes_on(crowd, count=CONNECTIONS, within_s=60)

    for trouble in TROUBLES:
        await trouble(servers)
        async with supervised(writer):
            await goes_on(crowd, count=2 * CONNECTIONS, within_s=GOES_ON_S_MAX)
    await finish(crowd, ordering, ground.files, within_s=60)

    assert crowd.differing[:3] == []
    assert set(crowd.refused) <= {"409 stock/stock-short"}, crowd.refused
    assert len(crowd.placed) > 200
    assert wrong_in(ground.files(), crowd=crowd) == [], f"seed {SEED}"
