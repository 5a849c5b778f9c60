"""E4, D1: what processes meet by, and the pool that does works, say how they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from tuanzi import wiring
from tuanzi.engines.cache.redis import RedisCache
from tuanzi.engines.fanout.redis import RedisFanOut
from tuanzi.engines.logs.here import HereCommandLog
from tuanzi.engines.queue.rabbit import RabbitQueue
from tuanzi.engines.redis.cluster import Cluster
from tuanzi.installation import ERRANDS, Engines, WorkerSide
from tuanzi.machinery.pool import Pool
from tuanzi.machinery.sharedcache import Claim
from tuanzi.machinery.workqueue import Backlog, Patience, Work, WorkHandler
from tuanzi.money import SandboxProvider
from tuanzi.people import AbsentSender
from tuanzi.roles.metrics import EnginesCollector
from tuanzi.settings import read_settings
from tuanzi.wiring import Vendors


async def test_engines_and_the_pool_are_counted(tmp_path: Path) -> None:
    cluster = Cluster([("127.0.0.1", 1)])  # where nobody is
    engines = Engines(
        HereCommandLog(campuses=["beijing"]),
        fan_out=RedisFanOut(cluster, name="test"),
        cache=RedisCache(cluster),
        works=RabbitQueue("amqp://127.0.0.1:1/", queues=("q",), patience=Patience(), now=wiring.wall_clock),
    )
    vendors = Vendors(codes=AbsentSender(), payments=SandboxProvider())
    worker = WorkerSide(read_settings({"TUANZI_DATA": str(tmp_path), "TUANZI_SECRET": "s" * 32}), vendors, engines)

    async def job() -> None: ...

    await worker.pool.run(job)
    assert await engines.cache.find("order") is Claim.MINE
    engines.fan_out.change("beijing", ["group:g1"])
    registry = CollectorRegistry()
    registry.register(EnginesCollector(engines, worker))

    said = set(generate_latest(registry).decode().splitlines())

    assert {
        "tuanzi_shared_cache_finds_total 1.0",
        "tuanzi_shared_cache_lost_total 1.0",
        "tuanzi_fanout_heard_total 0.0",
        "tuanzi_works_put_total 0.0",
        "tuanzi_errands_stale_total 0.0",
        "tuanzi_pool_size 1.0",
        "tuanzi_pool_ended_total 1.0",
        'tuanzi_pool_steps_total{to="larger"} 0.0',
    } <= said


class Waiting:
    """A queue in which three works wait."""

    async def put(self, works: Sequence[Work]) -> None:
        """Nobody puts anything."""

    async def work(self, queue: str, handler: WorkHandler, *, pool: Pool) -> None:
        """Nobody works."""

    async def backlog(self, queue: str) -> Backlog:
        """How much there is."""
        return Backlog(waiting=3 if queue == ERRANDS else 0, oldest_s=0.0, delayed=0, dead=0)


async def test_how_much_waits_in_the_queue_is_told_and_nothing_when_nobody_knows() -> None:
    engines = Engines(HereCommandLog(campuses=["beijing"]), works=Waiting())
    collector = EnginesCollector(engines)
    registry = CollectorRegistry()
    registry.register(collector)

    await collector.look()
    told = generate_latest(registry).decode()
    engines.works = RabbitQueue("amqp://127.0.0.1:1/", queues=(ERRANDS,), patience=Patience(), now=wiring.wall_clock)
    await collector.look()
    unknown = generate_latest(registry).decode()

    assert "tuanzi_works_waiting 3.0" in told
    assert "tuanzi_works_delayed 0.0" in told
    assert "tuanzi_works_laid_aside 0.0" in told
    assert "tuanzi_works_put_total 0.0" in unknown
    assert "tuanzi_works_waiting" not in unknown
