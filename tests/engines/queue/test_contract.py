"""D1, the promise of the work queue: at least once, tried again later and later, then dead."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from servers.rabbit import Rabbit
from tests.waiting import until
from tuanzi import wiring
from tuanzi.engines.queue.rabbit import RabbitQueue
from tuanzi.machinery.pool import Pool, PoolLimits
from tuanzi.machinery.workqueue import Backlog, Patience, Work, WorkQueue

PATIENCE = Patience((0.2, 0.6))
_names = itertools.count()


@asynccontextmanager
async def served(
    rabbit: Rabbit, *queues: str, patience: Patience = PATIENCE, lost_max: int = 10
) -> AsyncIterator[RabbitQueue]:
    """A client of a broker that has these queues."""
    works = RabbitQueue(rabbit.url, queues=queues, patience=patience, now=wiring.wall_clock, lost_max=lost_max)
    running = asyncio.create_task(works.run())
    try:
        await asyncio.wait_for(works.connected.wait(), 60)
        yield works
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def queue() -> str:
    """A queue that nobody used."""
    return f"test{next(_names)}"


@pytest_asyncio.fixture
async def works(rabbit: Rabbit, queue: str) -> AsyncIterator[WorkQueue]:
    """A work queue that is ready."""
    async with served(rabbit, queue) as works:
        yield works


@dataclass
class Workshop:
    """Does works, and knows what it did when; works that are called bad fail."""

    bad: dict[str, int] = field(default_factory=dict)  # how often they fail still
    begun: list[tuple[str, int, float]] = field(default_factory=list)  # id, attempt, when
    done: Counter[str] = field(default_factory=Counter)
    under_way: int = 0
    most: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def do(self, work: Work) -> None:
        """Do one."""
        self.begun.append((work.id, work.attempt, asyncio.get_running_loop().time()))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            if self.bad.get(work.id, 0) > 0:
                self.bad[work.id] -= 1
                raise LookupError(work.id)
            self.done[work.id] += 1
        finally:
            self.under_way -= 1


@asynccontextmanager
async def at_work(works: WorkQueue, queue: str, shop: Workshop, *, hands: int = 8) -> AsyncIterator[Pool]:
    """Somebody does the works of a queue until the end."""
    pool = Pool(PoolLimits(least=hands, most=hands), name=queue)
    working = asyncio.create_task(works.work(queue, shop.do, pool=pool))
    try:
        yield pool
        assert not working.done(), working.result()
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def until_backlog(works: WorkQueue, queue: str, *, waiting: int = 0, delayed: int = 0, dead: int = 0) -> Backlog:
    """Wait until there is so much of a queue."""
    end = asyncio.get_running_loop().time() + 60
    while True:
        backlog = await works.backlog(queue)
        if (backlog.waiting, backlog.delayed, backlog.dead) == (waiting, delayed, dead):
            return backlog
        assert asyncio.get_running_loop().time() < end, backlog
        await asyncio.sleep(0.02)


def some(queue: str, count: int, *, first: int = 0) -> list[Work]:
    """Works of a queue."""
    now = wiring.wall_clock()
    return [Work(id=f"w{i}", queue=queue, body=b'{"i":%d}' % i, put_at=now) for i in range(first, first + count)]


async def test_what_was_put_is_done_once_when_nothing_goes_wrong(works: WorkQueue, queue: str) -> None:
    shop = Workshop()
    async with at_work(works, queue, shop):
        for i in range(5):
            await works.put(some(queue, 100, first=100 * i))
        await until(lambda: len(shop.done) == 500)
        await until_backlog(works, queue)

    assert set(shop.done.values()) == {1}
    assert {attempt for _, attempt, _ in shop.begun} == {1}


async def test_a_work_comes_as_it_was_put(works: WorkQueue, queue: str) -> None:
    came: list[Work] = []

    async def keep(work: Work) -> None:
        came.append(work)

    put = Work(id="订单", queue=queue, body=bytes(range(256)), put_at=wiring.wall_clock().replace(microsecond=5000))
    await works.put([put])
    working = asyncio.create_task(works.work(queue, keep, pool=Pool(PoolLimits(), name=queue)))
    await until(lambda: bool(came))
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)

    assert came == [put]


async def test_no_more_are_under_way_than_the_pool_has_hands(works: WorkQueue, queue: str) -> None:
    shop = Workshop()
    shop.gate.clear()
    await works.put(some(queue, 40))

    async with at_work(works, queue, shop, hands=3):
        await until(lambda: shop.under_way == 3)
        backlog = await until_backlog(works, queue, waiting=37)
        shop.gate.set()
        await until(lambda: len(shop.done) == 40)

    assert shop.most == 3
    assert backlog.oldest_s > 0


async def test_what_waits_is_counted_with_its_age(works: WorkQueue, queue: str) -> None:
    began = time.monotonic()
    await works.put(some(queue, 7))

    backlog = await until_backlog(works, queue, waiting=7)

    assert 0 <= backlog.oldest_s < 1 + time.monotonic() - began


async def test_a_work_that_fails_is_tried_again_after_its_delays(works: WorkQueue, queue: str) -> None:
    shop = Workshop(bad={"w1": 2})
    async with at_work(works, queue, shop):
        await works.put(some(queue, 3))
        await until(lambda: len(shop.done) == 3)
        await until_backlog(works, queue)

    tries = [(attempt, at) for id, attempt, at in shop.begun if id == "w1"]
    assert [attempt for attempt, _ in tries] == [1, 2, 3]
    waits = [later - sooner for (_, sooner), (_, later) in itertools.pairwise(tries)]
    assert 0.15 < waits[0] < 5.0
    assert 0.55 < waits[1] < 5.0  # as long as it would be if nobody had said how long; a busy broker takes a second too


async def test_a_work_that_fails_too_often_is_dead_and_hurts_no_other(works: WorkQueue, queue: str) -> None:
    shop = Workshop(bad={"w1": 100})
    async with at_work(works, queue, shop, hands=1):
        await works.put(some(queue, 3))
        await until_backlog(works, queue, dead=1)

    assert sorted(shop.done) == ["w0", "w2"]
    assert [attempt for id, attempt, _ in shop.begun if id == "w1"] == [1, 2, 3]


async def test_works_under_way_when_a_worker_ends_are_done_by_the_next(works: WorkQueue, queue: str) -> None:
    first, second = Workshop(), Workshop()
    first.gate.clear()
    await works.put(some(queue, 20))
    async with at_work(works, queue, first, hands=4):
        await until(lambda: first.under_way == 4)

    async with at_work(works, queue, second):
        await until(lambda: len(second.done) == 20)
        await until_backlog(works, queue)

    assert first.done == {}
    assert set(second.done.values()) == {1}
