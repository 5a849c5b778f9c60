"""D1: the pool of workers follows what waits and what its handlers' latency says, within limits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

import pytest

from tuanzi.machinery.pool import LOOK_EVERY_S, Plan, Pool, PoolLimits, Seen, decide

LIMITS = PoolLimits(least=2, most=64)
STEP_S = 0.01


@dataclass
class Backend:
    """What stands behind the handlers: it works for `hands` at once, and for more of them more slowly, as one does."""

    hands: int = 40
    work_s: float = 0.1
    fails: bool = False


@dataclass
class Shift:
    """A pool at work in simulated time: works come, wait, and are done as fast as the backend lets them."""

    chance: Random
    backend: Backend = field(default_factory=Backend)
    limits: PoolLimits = LIMITS
    now_s: float = 0.0
    waiting: deque[float] = field(default_factory=deque)
    running: list[list[float]] = field(default_factory=list)  # [when it began, work that is left in seconds]
    done: int = 0
    sizes: list[int] = field(default_factory=list)
    oldest: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plan = Plan(self.limits.least)
        self._ended: list[float] = []
        self._failed = 0
        self._until_look = LOOK_EVERY_S

    def go_on(self, seconds: float, *, rate: float) -> None:
        """So many works a second come for so long."""
        for _ in range(round(seconds / STEP_S)):
            self._step(rate)

    def _step(self, rate: float) -> None:
        self.now_s += STEP_S
        if self.chance.random() < rate * STEP_S % 1:
            self.waiting.append(self.now_s)
        self.waiting.extend([self.now_s] * int(rate * STEP_S))
        while self.waiting and len(self.running) < self.plan.size:
            self.waiting.popleft()
            self.running.append([self.now_s, self.chance.uniform(0.5, 1.5) * self.backend.work_s])
        speed = min(1.0, self.backend.hands / max(1, len(self.running)))
        for each in self.running:
            each[1] -= STEP_S * speed
        ended = [began for began, left in self.running if left <= 0]
        self.running = [each for each in self.running if each[1] > 0]
        self._ended += [self.now_s - began for began in ended]
        self._failed += len(ended) if self.backend.fails else 0
        self.done += 0 if self.backend.fails else len(ended)
        self._until_look -= STEP_S
        if self._until_look <= 0:
            self._until_look = LOOK_EVERY_S
            self._look()

    def _look(self) -> None:
        oldest_s = self.now_s - self.waiting[0] if self.waiting else 0.0
        seen = Seen(
            oldest_s=oldest_s,
            running=len(self.running),
            longest_s=self.now_s - min((began for began, _ in self.running), default=self.now_s),
            ended=len(self._ended),
            failed=self._failed,
            latency_s=sum(self._ended) / len(self._ended) if self._ended else 0.0,
        )
        self.plan = decide(self.plan, seen, self.limits)
        self._ended, self._failed = [], 0
        self.sizes.append(self.plan.size)
        self.oldest.append(oldest_s)


@pytest.fixture(params=range(10))
def shift(request: pytest.FixtureRequest) -> Shift:
    """A shift whose chance is its seed."""
    return Shift(Random(request.param))


def looks(seconds: float) -> int:
    return round(seconds / LOOK_EVERY_S)


def test_hands_come_quickly_when_works_wait_and_all_is_well(shift: Shift) -> None:
    shift.go_on(20, rate=10)

    shift.go_on(30, rate=250)  # 25 hands' work, at once

    waits = shift.oldest[looks(20) :]
    assert max(waits[looks(8) :]) < LIMITS.wait_s_goal
    assert max(waits) < 3


def test_hands_leave_slowly_when_nothing_waits(shift: Shift) -> None:
    shift.go_on(30, rate=250)
    busy = shift.plan.size

    shift.go_on(10, rate=10)
    soon = shift.plan.size
    shift.go_on(300, rate=10)

    assert busy >= 25
    assert soon > busy // 2
    assert shift.plan.size < 8


def test_more_hands_are_not_sent_against_a_backend_that_is_overloaded(shift: Shift) -> None:
    shift.go_on(30, rate=250)
    before = shift.plan.size

    shift.backend.hands = 6
    shift.go_on(3, rate=250)
    soon = shift.plan.size
    begun = shift.done
    shift.go_on(30, rate=250)

    assert soon < before / 2
    # What it can do it is given to do: 6 hands at 0.1 s are 60 a second.
    assert (shift.done - begun) / 30 > 50


def test_after_an_overload_the_works_that_wait_are_done(shift: Shift) -> None:
    shift.go_on(30, rate=250)
    shift.backend.hands = 6
    shift.go_on(10, rate=250)
    shift.backend.hands = 40

    shift.go_on(90, rate=250)

    assert shift.oldest[-1] < LIMITS.wait_s_goal


def test_hands_go_at_once_when_what_they_do_fails(shift: Shift) -> None:
    shift.go_on(30, rate=250)
    before = shift.plan.size

    shift.backend.fails = True
    shift.go_on(1, rate=250)
    soon = shift.plan.size
    shift.go_on(9, rate=250)

    assert soon <= before * 0.6 + 1
    assert shift.plan.size <= 4


def test_works_that_take_longer_for_good_become_the_usual(shift: Shift) -> None:
    shift.go_on(20, rate=40)

    shift.backend.work_s = 0.5
    shift.go_on(120, rate=40)  # 20 hands' work now

    assert shift.oldest[-1] < LIMITS.wait_s_goal
    assert shift.plan.size >= 20


def test_the_pool_stays_within_its_limits_whatever_comes(shift: Shift) -> None:
    for _ in range(30):
        shift.backend.hands = shift.chance.choice([1, 5, 40, 200])
        shift.backend.fails = shift.chance.random() < 0.2
        shift.go_on(3, rate=shift.chance.choice([0, 10, 100, 400]))

    assert LIMITS.least <= min(shift.sizes)
    assert max(shift.sizes) <= LIMITS.most


def test_a_steady_load_does_not_make_it_swing(shift: Shift) -> None:
    shift.go_on(30, rate=250)
    del shift.sizes[:]

    shift.go_on(60, rate=250)

    assert max(shift.sizes) - min(shift.sizes) <= max(shift.sizes) // 3


# the shell


def jobs(count: int, gate: asyncio.Event, running: list[int]) -> Iterator[Callable[[], object]]:
    for _ in range(count):

        async def job() -> None:
            running.append(1)
            await gate.wait()

        yield job


async def test_no_more_run_than_the_pool_has_hands_and_the_first_come_first() -> None:
    pool = Pool(PoolLimits(least=3, most=3), name="test")
    gate, order = asyncio.Event(), []

    async def work(i: int) -> None:
        async def job() -> None:
            order.append(i)
            await gate.wait()

        await pool.run(job)

    tasks = [asyncio.create_task(work(i)) for i in range(10)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (pool.running, order) == (3, [0, 1, 2])

    gate.set()
    await asyncio.gather(*tasks)
    assert order == list(range(10))
    assert (pool.running, pool.figures.ended) == (0, 10)


async def test_who_gives_up_waiting_takes_no_hand_with_him() -> None:
    pool = Pool(PoolLimits(least=1, most=1), name="test")
    gate = asyncio.Event()
    first = asyncio.create_task(pool.run(gate.wait))
    await asyncio.sleep(0)
    impatient = [asyncio.create_task(pool.run(gate.wait)) for _ in range(5)]
    await asyncio.sleep(0)

    for each in impatient[:3]:
        each.cancel()
    gate.set()
    impatient[3].cancel()

    await asyncio.wait_for(asyncio.gather(first, impatient[4]), 60)
    await asyncio.wait_for(pool.run(gate.wait), 60)
    assert pool.running == 0


async def test_a_job_that_fails_is_counted_and_its_error_goes_to_who_sent_it() -> None:
    pool = Pool(PoolLimits(), name="test")

    async def fail() -> None:
        raise LookupError("no such order")

    with pytest.raises(LookupError):
        await pool.run(fail)

    assert (pool.figures.ended, pool.figures.failed, pool.running) == (1, 1, 0)


async def test_a_job_that_tells_its_failure_itself_takes_hands_away_like_one_that_raises() -> None:
    pool = Pool(LIMITS, name="toy")
    pool.plan = Plan(32)

    async def tells() -> None:
        pool.blame()

    for _ in range(LIMITS.judged_min):
        await pool.run(tells)
    pool.look()

    assert pool.size < 32
    assert (pool.figures.ended, pool.figures.failed) == (LIMITS.judged_min, LIMITS.judged_min)


async def test_jobs_that_asked_nobody_say_nothing_of_what_is_usual() -> None:
    pool = Pool(LIMITS, name="toy")
    pool.plan = before = Plan(8, usual_s=0.5)

    async def asks_nobody() -> None:
        pool.overlook()

    for _ in range(10 * LIMITS.judged_min):
        await pool.run(asks_nobody)
    pool.look()

    assert pool.plan.usual_s == before.usual_s
    assert pool.figures.ended == 10 * LIMITS.judged_min


async def test_hands_that_are_added_are_put_to_work() -> None:
    pool = Pool(PoolLimits(least=1, most=8, wait_s_goal=0.0), name="test")
    gate, running = asyncio.Event(), []  # type: tuple[asyncio.Event, list[int]]
    tasks = [asyncio.create_task(pool.run(job)) for job in jobs(8, gate, running)]
    await asyncio.sleep(0.001)

    for _ in range(6):
        pool.look()
        await asyncio.sleep(0)

    assert (pool.size, len(running)) == (8, 8)
    gate.set()
    await asyncio.gather(*tasks)
