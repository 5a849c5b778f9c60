"""Writers that die, hang or come back while students order: one after another has the campus, and nothing is lost.

Real processes, a real Kafka and a real MariaDB: kill -9, SIGSTOP, and a restart one by one (issue 5, D3).
"""

from __future__ import annotations

import asyncio
import urllib.request
from random import Random

from servers.cluster import Member
from tests.cluster.conftest import Ground, goes_on, start
from tests.faults.books import finish, wrong_in
from tests.faults.city import City
from tests.faults.crowd import Crowd
from tests.undisturbed import Undisturbed

SEED = 20261126
CONNECTIONS = 24
TAKEOVER_S_MAX = 5.0


async def test_no_order_is_lost_or_doubled_when_writers_die_hang_and_take_over(ground: Ground, city: City) -> None:
    chance = Random(SEED)
    api = ground.cluster.add("api", "api", "gateway")
    worker = ground.cluster.add("worker", "worker")
    writers = [ground.cluster.add(f"writer{i}", "writer") for i in (1, 2)]
    await start(*writers, worker)
    await start(api)
    crowd = Crowd(city, port=api.port, seed=SEED, connections=CONNECTIONS)
    crowd.up.set()
    ordering = asyncio.create_task(crowd.order())
    await goes_on(crowd, count=CONNECTIONS, within_s=30)

    takeovers = []
    for _ in range(4):
        holder = await owner_of(writers)
        await asyncio.sleep(chance.uniform(0.5, 1.5))
        clock = undisturbed(api, writers, but=holder)
        holder.process.kill()
        takeovers.append(await goes_on(crowd, count=CONNECTIONS, within_s=60, clock=clock))
        await start(holder)
    hung = await owner_of(writers)
    clock = undisturbed(api, writers, but=hung)
    hung.process.pause()
    hang_s = await goes_on(crowd, count=CONNECTIONS, within_s=60, clock=clock)
    hung.process.resume()
    await goes_on(crowd, count=CONNECTIONS, within_s=60)
    for writer in writers:  # a rolling restart
        if not writer.process.is_running:
            await start(writer)
        await asyncio.to_thread(writer.process.stop)
        await start(writer)
        await goes_on(crowd, count=CONNECTIONS, within_s=60)
    await finish(crowd, ordering, ground.files, within_s=60)

    assert max([*takeovers, hang_s]) <= TAKEOVER_S_MAX, (takeovers, hang_s)
    assert crowd.differing[:3] == []
    assert set(crowd.refused) <= {"409 stock/stock-short"}, crowd.refused
    assert len(crowd.placed) > 500
    assert wrong_in(ground.files(), crowd=crowd) == [], f"seed {SEED}"


def undisturbed(api: Member, writers: list[Member], *, but: Member) -> Undisturbed:
    """A clock for what those have to do who go on without one of the writers."""
    return Undisturbed(*(each.process.pid for each in (api, *writers) if each is not but))


async def owner_of(writers: list[Member]) -> Member:
    """Which of them decides for the campus, as soon as it is one: a writer that comes back may be given it."""
    async with asyncio.timeout(60):
        while True:
            owners = [each for each in writers if 'tuanzi_writer_open{desk="beijing.core"} 1.0' in figures_of(each)]
            if len(owners) == 1:
                return owners[0]
            await asyncio.sleep(0.1)


def figures_of(member: Member) -> str:
    """What a process says of itself; nothing when it does not answer."""
    try:
        with urllib.request.urlopen(f"{member.address}/metrics", timeout=2.0) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""
