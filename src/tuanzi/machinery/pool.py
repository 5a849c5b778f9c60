"""How many handlers of works run at once: it follows what waits, and what the handlers' own latency says (D1).

More hands while works wait and what stands behind the handlers is well; fewer at once when it is not, for then more
hands make it worse. `decide` is pure; `Pool` counts, asks it four times a second and lets handlers in.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

log = logging.getLogger("tuanzi.pool")

LOOK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Between what a pool decides; our choice where no source is named.

    least, most: handlers at once. wait_s_goal: works that wait longer want more hands. latency_s_max: a handler that
    takes longer is overloaded, whatever is usual. latency_rise: and so is one that takes so many times the usual.
    failed_share_max: and one of which more fail. judged_min: works that must have ended for either judgement.
    rest: looks between two steps down, and after them before a step up. idle: looks with idle hands before a step down.
    """

    least: int = 1
    most: int = 64
    wait_s_goal: float = 0.5
    latency_s_max: float = 5.0
    latency_rise: float = 3.0
    failed_share_max: float = 0.2
    judged_min: int = 5
    rest: int = 4
    idle: int = 20

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ValueError(f"a pool of {self.least} to {self.most}")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look sees.

    oldest_s: how long the first of those that wait for a hand has waited. longest_s: for how long the oldest handler
    has been running. ended, failed, latency_s (the mean): of works that ended since the last look.
    """

    oldest_s: float
    running: int
    longest_s: float
    ended: int
    failed: int
    latency_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How many hands there are, and what is remembered for the next look.

    usual_s: the latency when all is well, 0 while unknown. healthy: the most hands that were well when last they were
    too many; above it the pool grows by one at a time. rest, idle: looks that are left, and that passed.
    """

    size: int
    usual_s: float = 0.0
    healthy: int = 1_000_000
    rest: int = 0
    idle: int = 0


def decide(plan: Plan, seen: Seen, limits: PoolLimits) -> Plan:
    """The plan after a look."""
    is_judged = seen.ended >= limits.judged_min
    is_slow = (is_judged and seen.latency_s > _latency_max(plan, limits)) or seen.longest_s > limits.latency_s_max
    is_failing = is_judged and seen.failed > limits.failed_share_max * seen.ended
    plan = replace(plan, usual_s=_usual(plan, seen, is_well=not is_slow and not is_failing), rest=max(0, plan.rest - 1))
    if is_slow or is_failing:
        if plan.rest:
            return plan
        # What runs beyond the size is still to end: from there it makes no sense to count.
        size = max(limits.least, plan.size * 6 // 10)
        return replace(plan, size=size, healthy=max(size, limits.least), rest=limits.rest, idle=0)
    if seen.oldest_s > limits.wait_s_goal:
        if plan.rest:
            return replace(plan, idle=0)
        if plan.size < plan.healthy:
            size = min(limits.most, plan.healthy, plan.size + max(1, plan.size // 2))
            return replace(plan, size=size, idle=0)
        return replace(plan, size=min(limits.most, plan.size + 1), healthy=plan.size + 1, rest=limits.rest, idle=0)
    if seen.running * 2 < plan.size:
        if plan.idle + 1 < limits.idle:
            return replace(plan, idle=plan.idle + 1)
        return replace(plan, size=max(limits.least, plan.size - max(1, plan.size // 8)), idle=0)
    return replace(plan, idle=0)


def _latency_max(plan: Plan, limits: PoolLimits) -> float:
    if not plan.usual_s:
        return limits.latency_s_max
    return min(limits.latency_s_max, plan.usual_s * limits.latency_rise)


def _usual(plan: Plan, seen: Seen, *, is_well: bool) -> float:
    """The usual latency: found quickly where it is low, and believed slowly where it is high, for that may be overload.

    Even while it is not well it grows by 2 % a look: works that take longer for good are usual after ten seconds or so.
    """
    if not seen.ended or not seen.latency_s:
        return plan.usual_s
    if not plan.usual_s:
        return seen.latency_s
    if not is_well:
        return min(seen.latency_s, plan.usual_s * 1.02)
    weight = 0.3 if seen.latency_s < plan.usual_s else 0.02
    return plan.usual_s + weight * (seen.latency_s - plan.usual_s)


class PoolFigures:
    """What a pool has done since it started, for `/metrics`."""

    def __init__(self) -> None:
        self.ended = 0
        self.failed = 0
        self.busy_s = 0.0
        self.waited_s = 0.0
        self.steps_up = 0
        self.steps_down = 0


class Pool:
    """Lets so many handlers run at once as is good now. Used from one event loop."""

    def __init__(self, limits: PoolLimits, *, name: str) -> None:
        self.limits = limits
        self.name = name
        self.figures = PoolFigures()
        self.plan = Plan(limits.least)
        self._running: dict[int, float] = {}  # by number: since when
        self._next = 0
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._promised = 0  # seats that were given to who has not woken yet
        self._ended = 0
        self._failed = 0
        self._latency_s = 0.0

    @property
    def size(self) -> int:
        """How many may run now."""
        return self.plan.size

    @property
    def running(self) -> int:
        """How many run now; more than `size` for a while after it became smaller."""
        return len(self._running)

    @property
    def oldest_s(self) -> float:
        """How long the first work that waits for a hand has waited, 0 when none does."""
        return asyncio.get_running_loop().time() - self._waiting[0][0] if self._waiting else 0.0

    async def run(self, job: Callable[[], Awaitable[object]], *, waited_s: float = 0.0) -> None:
        """Run a job when a hand is free. waited_s: how long its work has waited already. Raises what the job raises."""
        loop = asyncio.get_running_loop()
        since = loop.time() - waited_s
        if self._waiting or len(self._running) + self._promised >= self.plan.size:
            await self._wait(since)
        number = self._next = self._next + 1
        began = self._running[number] = loop.time()
        self.figures.waited_s += began - since
        has_failed = True
        try:
            await job()
            has_failed = False
        finally:
            del self._running[number]
            self._count(loop.time() - began, has_failed=has_failed)
            self._let_in()

    async def follow(self) -> None:
        """Look and decide, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Decide anew."""
        now = asyncio.get_running_loop().time()
        ended, failed, latency_s = self._ended, self._failed, self._latency_s
        self._ended = self._failed = 0
        self._latency_s = 0.0
        before = self.plan
        self.plan = decide(
            before,
            Seen(
                oldest_s=self.oldest_s,
                running=len(self._running),
                longest_s=now - min(self._running.values(), default=now),
                ended=ended,
                failed=failed,
                latency_s=latency_s / ended if ended else 0.0,
            ),
            self.limits,
        )
        if self.plan.size != before.size:
            self.figures.steps_up += self.plan.size > before.size
            self.figures.steps_down += self.plan.size < before.size
            log.info("pool.resized", extra={"pool": self.name, "before": before.size, "after": self.plan.size})
        self._let_in()

    def blame(self) -> None:
        """Count a job as failed that ends by itself, for it has told whoever waits that what is behind it did fail."""
        self._failed += 1
        self.figures.failed += 1

    def overlook(self) -> None:
        """Judge nothing by a job that ends without having asked anybody; it calls this right before it does."""
        self._ended -= 1

    def _count(self, latency_s: float, *, has_failed: bool) -> None:
        self._ended += 1
        self._failed += has_failed
        self._latency_s += latency_s
        self.figures.ended += 1
        self.figures.failed += has_failed
        self.figures.busy_s += latency_s

    async def _wait(self, since: float) -> None:
        seat: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((since, seat))
        try:
            await seat
        except BaseException:
            if seat.done() and not seat.cancelled():
                self._promised -= 1
                self._let_in()
            raise
        self._promised -= 1

    def _let_in(self) -> None:
        while self._waiting and len(self._running) + self._promised < self.plan.size:
            _, seat = self._waiting.popleft()
            if not seat.done():
                self._promised += 1
                seat.set_result(None)
