"""How one desk hears the events of another: from memory while it keeps up, else from the table."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tuanzi.machinery.database import DatabaseUnavailable
from tuanzi.machinery.desk.figures import Figures
from tuanzi.machinery.desk.lanes import Lanes, Pending
from tuanzi.machinery.desk.sweeping import Read
from tuanzi.machinery.follower import Follower, Numbered
from tuanzi.machinery.internal import EVENTS_AFTER, OLDEST_PARKED
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.writer import Outcome, Request

log = logging.getLogger("tuanzi.desk")

OUTCOMES_KEPT = 4096
# Our choice: what a source commits in some seconds; a follower further behind waits in its own queue.
FED_AT_ONCE = 1024


class Source(Protocol):
    """The desk whose events are heard."""

    @property
    def event_number(self) -> int:
        """The last committed event."""

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a committed, recent state."""


class Feed:
    """Carries one follower's events into its target's writer and tells who waits for them.

    lanes, rows, figures, name: the target's.
    """

    def __init__(
        self, source: Source, follower: Follower, lanes: Lanes, *, rows: Read, figures: Figures, name: str
    ) -> None:
        self.follower = follower
        self._source = source
        self._lanes = lanes
        self._rows = rows
        self._figures = figures
        self._name = name
        self._wake = asyncio.Event()
        self._flying: deque[Pending] = deque()
        self._hands_over = False  # not before the target works, nor while it is found out what it refused
        self._outcomes: dict[int, tuple[Any, ...]] = {}
        self._waiters: dict[int, list[asyncio.Future[tuple[Any, ...]]]] = {}

    def offer(self, events: Sequence[Numbered]) -> None:
        """Hear what the source has committed; it is in the target's next batch, whatever else is on its way there."""
        self.follower.offer(events)
        if self._hands_over:
            self._hand_over()
            self._wake.set()

    async def heard(self) -> int:
        """The last event that the target needs no more: none that it laid aside, for that is heard yet."""
        parked = await self._rows(OLDEST_PARKED, {"source": self.follower.source})
        position = self.follower.position
        return min(position, parked[0][0] - 1) if parked else position

    def reached(self, number: int) -> asyncio.Future[tuple[Any, ...]]:
        """What the target emitted when it heard event `number`; whoever waits sets the limit, as HTTP does."""
        future: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()
        if number in self._outcomes or number <= self.follower.position:
            future.set_result(self._outcomes.get(number, ()))
        else:
            self._waiters.setdefault(number, []).append(future)
        return future

    async def run(self) -> None:
        """Carry events for as long as the target works."""
        self.follower.expect(self._source.event_number)
        self._hands_over = True
        try:
            while True:
                self._hand_over()
                if self._flying:
                    await self._settle()
                elif self.follower.is_behind:
                    await self._read()
                else:
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            self._hands_over = False

    def _hand_over(self) -> None:
        for request in self.follower.take(FED_AT_ONCE - len(self._flying)):
            self._flying.append((request, self._lanes.put(request)))

    async def _read(self) -> None:
        """Read on in the source's log; when it cannot be read now, in a second."""
        try:
            rows = await self._source.rows(EVENTS_AFTER, {"after": self.follower.read_after, "limit": 1000})
        except (DatabaseUnavailable, Unavailable):
            await asyncio.sleep(1.0)
        else:
            self.follower.read(rows)

    async def _settle(self) -> None:
        """What became of the first that is on its way."""
        request, future = self._flying[0]
        outcome = await future
        self._flying.popleft()
        if outcome.problem is None:
            if request.parked is not None:
                self._laid_aside(request)
            self._kept(request.number, tuple(event for _, event in outcome.events))
            return
        self._hands_over = False
        await asyncio.gather(*[future for _, future in self._flying], return_exceptions=True)  # refused, being after it
        self._flying.clear()
        await self._recover(request, outcome)
        self._hands_over = True

    async def _recover(self, request: Request, outcome: Outcome) -> None:
        """The target refused an event: park it when a listener is at fault, else wait; then go on from the table."""
        if isinstance(outcome.problem, Unavailable):
            await asyncio.sleep(1.0)
        else:
            request.parked = str(outcome.problem)
            parked = await self._lanes.put(request)
            if parked.problem is None:
                self._laid_aside(request)
                self._kept(request.number, ())
        self.follower.start_over(self.follower.position)
        self.follower.expect(self._source.event_number)

    def _laid_aside(self, request: Request) -> None:
        facts = {"desk": self._name, "source": self.follower.source, "number": request.number, "reason": request.parked}
        log.error("feed.event_parked", extra=facts)
        self._figures.parked += 1

    def _kept(self, number: int, events: tuple[Any, ...]) -> None:
        self.follower.kept(number)
        self._outcomes[number] = events
        if len(self._outcomes) > OUTCOMES_KEPT:
            del self._outcomes[next(iter(self._outcomes))]
        for future in self._waiters.pop(number, ()):
            if not future.done():
                future.set_result(events)
