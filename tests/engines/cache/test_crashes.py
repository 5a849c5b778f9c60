"""A2 with a Redis Cluster that is killed, paused and wiped: reads never fail, never wait long, and are never stale."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest

from servers.redis import RedisCluster
from tests.engines.redis import connected
from tests.undisturbed import Undisturbed
from tuanzi.engines.cache.redis import RedisCache
from tuanzi.engines.redis.cluster import Cluster
from tuanzi.machinery.cache import Absent
from tuanzi.machinery.sharedcache import Shared, SharedReads

ORDERS = 300
PROCESSES = 3
# A reply takes 30 ms at most and a reader asks five times at most when another one loads; the rest is this machine's,
# but for what neighbours took.
READ_S_MAX = 0.5


class Town:
    """Orders that change, and processes that read them: each hears of a change before it is over, as events tell."""

    def __init__(self, clients: list[Cluster]) -> None:
        self.versions = {f"o{i}": 1 for i in range(ORDERS)}
        self.caches = [RedisCache(client) for client in clients]
        # Long enough that nothing is right by having been forgotten in time.
        self.processes = [SharedReads(cache, prefix="order:beijing:", keep_s=600) for cache in self.caches]
        self.reads = 0
        self.loads = 0
        self.stale: list[str] = []
        self.longest_s = 0.0
        self._chance = Random(11)
        self._clock = Undisturbed()

    async def load(self, key: str) -> Shared | Absent:
        """The database."""
        version = self.versions[key]
        self.loads += 1
        await asyncio.sleep(0.001)
        return Shared(version, b"%d" % version)

    async def read(self) -> None:
        """Somebody reads an order; what he gets must not be older than what was so when he asked."""
        key = f"o{self._chance.randrange(ORDERS)}"
        process = self._chance.choice(self.processes)
        least = self.versions[key]
        began = self._clock()
        found = await process.load(key, self.load)
        self.longest_s = max(self.longest_s, self._clock() - began)
        self.reads += 1
        if isinstance(found, Absent) or found.version < least:
            self.stale.append(f"{key}: {found} though it was {least}")

    def change(self) -> None:
        """An order changes: the process that decided says the version, and all hear of it."""
        key = f"o{self._chance.randrange(ORDERS)}"
        self.versions[key] += 1
        decider = self._chance.choice(self.caches)
        decider.forget(f"order:beijing:{key}", version=self.versions[key], keep_s=600)
        for process in self.processes:
            process.heard(key)

    async def live(self, until: Callable[[], bool], *, within_s: float) -> None:
        """Read and change until something is so; raises TimeoutError."""
        async with asyncio.timeout(within_s), asyncio.TaskGroup() as tasks:
            while not until():
                for _ in range(4):
                    tasks.create_task(self.read())
                self.change()
                await asyncio.sleep(0.005)

    async def live_for(self, seconds: float) -> None:
        """Read and change for a while."""
        end = asyncio.get_running_loop().time() + seconds
        await self.live(lambda: asyncio.get_running_loop().time() >= end, within_s=seconds + 60)

    @property
    def are_connected(self) -> bool:
        """Whether every process reaches every master."""
        return all(cache._cluster.is_whole for cache in self.caches)


@asynccontextmanager
async def town(servers: RedisCluster) -> AsyncIterator[Town]:
    """A town of several processes, all connected; the servers are all there and settled again at the end."""
    async with connected(servers) as one, connected(servers) as two, connected(servers) as three:
        yield Town([one, two, three])
    await asyncio.to_thread(servers.settle)


async def test_a_killed_master_costs_no_read_and_no_truth(redis_cluster: RedisCluster) -> None:
    async with town(redis_cluster) as city:
        for master in await asyncio.to_thread(redis_cluster.masters):
            await city.live_for(0.3)
            redis_cluster.kill(master)
            await city.live(lambda: not city.are_connected, within_s=60)
            await city.live(lambda: city.are_connected, within_s=60)
            await asyncio.to_thread(redis_cluster.start_again, master)
            await asyncio.to_thread(redis_cluster.settle)
        await city.live_for(0.3)

    assert city.stale == []
    assert city.longest_s < READ_S_MAX
    assert city.reads > 1_000


async def test_a_paused_master_is_not_waited_for(redis_cluster: RedisCluster) -> None:
    async with town(redis_cluster) as city:
        (paused, *_) = await asyncio.to_thread(redis_cluster.masters)
        await city.live_for(0.3)
        redis_cluster.pause(paused)
        try:
            await city.live(lambda: not city.are_connected, within_s=60)
            lost = sum(cache.lost for cache in city.caches)
            await city.live(lambda: city.are_connected, within_s=60)
            lost = sum(cache.lost for cache in city.caches) - lost
        finally:
            redis_cluster.resume(paused)
        await city.live_for(1.0)  # the old master wakes with what it knew, and is told that it is none any more

    assert city.stale == []
    assert city.longest_s < READ_S_MAX
    assert lost > 0


async def test_a_wiped_cluster_costs_loads_and_no_truth(redis_cluster: RedisCluster) -> None:
    async with town(redis_cluster) as city:
        await city.live_for(1.0)
        before = city.loads
        await asyncio.to_thread(redis_cluster.wipe)
        await city.live_for(0.5)

    assert city.stale == []
    assert city.loads > before


async def test_a_cluster_that_is_gone_costs_a_read_nothing(redis_cluster: RedisCluster) -> None:
    async with connected(redis_cluster) as client:
        cache = RedisCache(client)
        paused = await asyncio.to_thread(redis_cluster.masters)
        for master in paused:
            redis_cluster.pause(master)
        try:
            reads = SharedReads(cache, prefix="order:")
            while client.is_whole:
                await asyncio.gather(*[reads.load(f"o{i}", _one) for i in range(100)])
            clock = Undisturbed()
            began = clock()
            for i in range(1_000):
                await reads.load(f"o{i}", _one)
            each_us = (clock() - began) * 1_000
        finally:
            for master in paused:
                redis_cluster.resume(master)
    await asyncio.to_thread(redis_cluster.settle)

    # 10 us when nothing else runs; a reply waited for would be 30,000.
    assert each_us < 500


async def _one(key: str) -> Shared:
    return Shared(1, b"one")


@pytest.fixture(autouse=True)
def all_run(redis_cluster: RedisCluster) -> None:
    """Every test begins with six servers."""
    redis_cluster.settle()
