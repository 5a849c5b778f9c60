"""The batches that are under way: one is decided while those before are being kept (decisions 0005, 0023)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tuanzi.machinery.database import Fenced
from tuanzi.machinery.desk.driving import Driver
from tuanzi.machinery.desk.duties import Duties
from tuanzi.machinery.desk.figures import Figures
from tuanzi.machinery.desk.lanes import Lanes, Pending
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.tables import Row
from tuanzi.machinery.writer import Commit, Fetch, Outcome, Step, Steps, Writer

# Measured with 128 connections, in turns: of 16, 32 and 64, 32 gives most chains a second; 64 costs as much processor.
AHEAD_MIN = 32
# Work nobody waits for begins no batch so soon after another: it goes with whoever comes, or with more of it. A commit
# costs 1.2 ms of processor however little it keeps; measured at 650 chains/s, 1,590 instead of 1,740 us a chain.
GATHER_S = 0.025
# So that what was kept is answered before the next batch is decided: in the first who waits goes on, at the end of the
# second his answer is written, and who waits for a follower is a turn behind. Measured at 650 chains/s with the above:
# p50 24 ms instead of 32.
TURNS_TO_ANSWER = 3
# Measured: with one, splits waited a quarter of their time for answers that had come while another desk decided.
FLIGHTS_MAX = 3

# Our choice: a commit takes 20 ms at most, on a disk that is well. Who writes a file is never given up, for nobody
# could know what became of the batch; so whoever is on call is told what all wait for.
SLOW_AFTER_S = 3.0

log = logging.getLogger("tuanzi.desk")

# Told of a batch that was kept, before whoever waits for it: the rows of its events, and what became of each command.
Tell = Callable[[Sequence[Row], list[Outcome]], None]


@dataclass(slots=True)
class Flight:
    """A batch under way: decided, and being kept as soon as it has a `commit`."""

    batch: list[Pending]
    steps: Steps
    began: float
    commit: asyncio.Future[tuple[Any, Exception | None]] | None = None
    alarm: asyncio.TimerHandle | None = None  # rings when its commit takes long
    rows: Sequence[Row] = ()  # its events, as its first commit keeps them
    ended: list[Outcome] | None = None  # what became of it, when it could not be read for and was taken to its end

    @property
    def is_kept(self) -> bool:
        """Whether its commit is over, well or not."""
        return self.commit is not None and self.commit.done()


class Flights:
    """Takes what waits in the lanes through the writer, batch by batch, so that neither Python nor the disk waits for
    the other.

    ahead_min: so many must wait to be decided while another batch is being kept. pace_s: so soon after another begins
    no batch but a full one. batch_s: how long the last batches took, each alone.
    """

    def __init__(
        self,
        lanes: Lanes,
        writer: Writer,
        driver: Driver,
        duties: Duties,
        *,
        now: Callable[[], datetime],
        tell: Tell,
        figures: Figures,
        ahead_min: int,
        pace_s: float,
        name: str,
    ) -> None:
        """name: of the desk, for the log."""
        self.batch_s = 0.0
        self._name = name
        self._lanes = lanes
        self._writer = writer
        self._driver = driver
        self._duties = duties
        self._now = now
        self._tell = tell
        self._figures = figures
        self._ahead_min = ahead_min
        self._pace_s = pace_s
        self._began = -math.inf  # the loop's clock may have begun with the machine, a moment ago
        self._finished = 0.0

    async def run(self) -> None:
        """Work until the lanes are closed and empty. Raises Fenced."""
        flights: deque[Flight] = deque()
        try:
            while True:
                self._duties.take_due()
                if flights:
                    await self._wait_for_more(flights)
                    if flights[0].is_kept:
                        await self._land(flights)
                        for _ in range(TURNS_TO_ANSWER):
                            await asyncio.sleep(0)
                        continue
                if (begins_at := self._begins_at()) > asyncio.get_running_loop().time():
                    await self._wait_for_company(begins_at)
                    continue
                batch = self._next_batch()
                if not batch:
                    if self._lanes.is_closing and not self._lanes and not flights:
                        return
                    if not self._lanes and not flights:
                        self._lanes.wake.clear()
                        await self._lanes.wake.wait()
                    continue
                self._began = asyncio.get_running_loop().time()
                flight = Flight(batch, self._steps_of(batch), self._began)
                flights.append(flight)
                commit = await self._decide(flight, is_ahead=len(flights) > 1)
                if commit is not None:
                    self._keep(flight, commit)
                    continue
                flights.pop()
                if flight.ended is not None:
                    self._finish(flight, flight.ended)
                else:
                    flight.steps.close()
                    self._lanes.give_back(batch)
                    await self._land(flights)
        except BaseException:
            for flight in flights:
                self._abandon(flight)
            raise

    async def _wait_for_more(self, flights: Sequence[Flight]) -> None:
        """Until the first is kept, or so many wait that deciding them meanwhile is worth a batch of their own."""
        while not flights[0].is_kept and (len(flights) == FLIGHTS_MAX or len(self._lanes) < self._ahead_min):
            self._lanes.wake.clear()
            await self._lanes.wake.wait()

    def _begins_at(self) -> float:
        """When what waits may begin a batch: little of it not soon after another, for the sake of its company."""
        lanes = self._lanes
        if not lanes or lanes.is_closing:
            return 0.0
        begins_at = self._began + self._pace_s if len(lanes) < lanes.batch_max else 0.0
        if not lanes.people and len(lanes.work) < min(AHEAD_MIN, lanes.batch_max):
            return max(begins_at, self._began + GATHER_S)
        return begins_at

    async def _wait_for_company(self, begins_at: float) -> None:
        """Until something comes, or what is there has waited long enough."""
        self._lanes.wake.clear()
        ringing = asyncio.get_running_loop().call_at(begins_at, self._lanes.wake.set)
        await self._lanes.wake.wait()
        ringing.cancel()

    def _next_batch(self) -> list[Pending]:
        return [pending for pending in self._lanes.take() if self._duties.still_stands(*pending)]

    def _steps_of(self, batch: list[Pending]) -> Steps:
        return self._writer.carry_out([request for request, _ in batch], now=self._now())

    async def _decide(self, flight: Flight, *, is_ahead: bool) -> Step | None:
        """Take a batch as far as its commit; None when something could not be read ahead, which is then left alone."""
        step = next(flight.steps)
        while isinstance(step, Fetch):
            reply, error = await self._driver.read(step)
            if error is None:
                step = flight.steps.send(reply)
            elif is_ahead:
                return None
            else:
                # Its parts are tried one by one: none may be decided on top before the last of them is kept.
                flight.ended = await self._driver.drive(flight.steps, None, error)
                return None
        return step

    def _keep(self, flight: Flight, commit: Step) -> None:
        """Have the batch kept, beside the loop."""
        assert isinstance(commit, Commit), "what is to be read was read while it was decided"
        flight.rows = commit.flush.events
        flight.commit = self._driver.do(commit)
        flight.alarm = asyncio.get_running_loop().call_later(SLOW_AFTER_S, self._complain, flight)
        flight.commit.add_done_callback(lambda _: self._over(flight))

    def _over(self, flight: Flight) -> None:
        """Its commit is over, well or not."""
        if flight.alarm is not None:
            flight.alarm.cancel()
        self._lanes.wake.set()

    def _complain(self, flight: Flight) -> None:
        """Say that a commit takes long, and later that it still does."""
        loop = asyncio.get_running_loop()
        facts = {"desk": self._name, "since_s": round(loop.time() - flight.began), "waiting": len(self._lanes)}
        log.warning("desk.commit_slow", extra=facts)
        flight.alarm = loop.call_later(SLOW_AFTER_S, self._complain, flight)

    async def _land(self, flights: deque[Flight]) -> None:
        """Answer the first batch, when its commit is over. Those decided on top of one that was not kept as it was are
        decided again. Raises Fenced."""
        flight = flights.popleft()
        assert flight.commit is not None
        try:
            reply, error = await flight.commit
            if error is not None:
                flight.rows = ()  # it is decided again
                await self._take_back(flights)
            outcomes = await self._driver.drive(flight.steps, reply, error)
        except BaseException:
            self._abandon(flight)
            raise
        self._finish(flight, outcomes)

    async def _take_back(self, flights: deque[Flight]) -> None:
        """Batches on top of one that was not kept: the cursor keeps them out too, and if it was kept all the same, the
        one that is tried again."""
        while flights:
            flight = flights.pop()
            assert flight.commit is not None
            flight.steps.close()
            self._lanes.give_back(flight.batch)
            with contextlib.suppress(Fenced):
                await flight.commit

    def _abandon(self, flight: Flight) -> None:
        """Nothing is known of a batch: its callers are told so."""
        if flight.commit is not None:
            flight.commit.add_done_callback(_look_at)
        for _, future in flight.batch:
            if not future.done():
                future.set_exception(Unavailable(retry_after_s=2))

    def _finish(self, flight: Flight, outcomes: list[Outcome]) -> None:
        """Tell what was committed, then answer; so whoever wrote reads his own write."""
        self._tell(flight.rows, outcomes)
        for (_, future), outcome in zip(flight.batch, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)
        self._duties.note(self._writer.timer_changes.items())
        self._writer.timer_changes.clear()
        now = asyncio.get_running_loop().time()
        worked = now - max(flight.began, self._finished)  # alone, not while another was on its way before it
        self._finished = now
        self.batch_s += 0.1 * (worked - self.batch_s)
        self._figures.count(outcomes, worked_s=worked, took_s=now - flight.began)


def _look_at(commit: asyncio.Future[Any]) -> None:
    """Nobody waits for this any more, and what it raises has been raised before."""
    if not commit.cancelled():
        commit.exception()
