"""Carries one desk's committed events to the event log; the desk never waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Protocol

from tuanzi.base.problem import Problem
from tuanzi.machinery.database import DatabaseError
from tuanzi.machinery.eventlog import EventLog
from tuanzi.machinery.follower import Numbered
from tuanzi.machinery.internal import EVENTS_AFTER
from tuanzi.machinery.tables import Row

log = logging.getLogger("tuanzi.relay")

# Our choice: 20,000 events wait in memory (about 10 MB); a relay further behind reads the table.
WAITING_MAX = 20_000
AT_ONCE = 1_000
RETRY_S = 0.5
TOLD_EVERY = 60


class Source(Protocol):
    """The desk whose events are relayed."""

    # While subscribers are told: the rows of those events, or none where they must be read in the table.
    kept_rows: Sequence[Row]

    @property
    def event_number(self) -> int: ...

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]: ...

    def subscribe(self, subscriber: Callable[[Sequence[Numbered]], None]) -> None: ...


class Relay:
    """Publishes the events of one source in order, from where the log ends.

    An empty log is new, or all of it was too old to be kept: then the newest event alone is published before what
    comes, and tells listeners how far the table goes. position: the last event that is published.
    """

    def __init__(self, source: str, desk: Source, events: EventLog) -> None:
        self.source = source
        self.position = 0
        self.failures = 0
        self._desk = desk
        self._log = events
        self._seen = 0  # the last event that waits in memory or was read
        self._waiting: deque[Row] = deque()
        self._wake = asyncio.Event()
        desk.subscribe(self._offer)

    @property
    def lag(self) -> int:
        """How many events are committed and not published."""
        return max(0, self._desk.event_number - self.position)

    async def published(self) -> int:
        """The last event that this relay needs no more."""
        return self.position

    async def run(self) -> None:
        """Relay until cancelled."""
        await self._find_position()
        while True:
            rows = await self._next()
            await self._insist(self._log.publish, self.source, rows)
            self.position = rows[-1][0]

    def _offer(self, _: Sequence[Numbered]) -> None:
        """Events just committed, in order; kept if they go on where memory ends and room is left."""
        self._wake.set()
        rows = self._desk.kept_rows
        if not rows or rows[0][0] != self._seen + 1 or len(self._waiting) >= WAITING_MAX:
            return
        self._waiting.extend(rows)
        self._seen = rows[-1][0]

    async def _find_position(self) -> None:
        newest = await self._insist(self._log.newest, self.source)
        committed = self._desk.event_number
        if newest > committed:
            log.error("relay.log_is_ahead", extra={"source": self.source, "newest": newest, "committed": committed})
        self.position = min(newest, committed) if newest else max(0, committed - 1)
        self._waiting.clear()
        self._seen = self.position

    async def _next(self) -> list[Row]:
        """The events after those published, a batch at a time; waits for one."""
        while True:
            if self._waiting:
                return [self._waiting.popleft() for _ in range(min(len(self._waiting), AT_ONCE))]
            if self._desk.event_number > self._seen:
                slots = {"after": self._seen, "limit": AT_ONCE}
                rows: list[Row] = await self._insist(self._desk.rows, EVENTS_AFTER, slots)
                if rows and not self._waiting:
                    self._seen = rows[-1][0]
                    return rows
                continue
            self._wake.clear()
            await self._wake.wait()

    async def _insist(self, do: Callable[..., Any], *words: Any) -> Any:
        """The answer, as soon as there is one. Says at once that it waits, and now and then that it still does."""
        for tries in count():
            try:
                return await do(*words)
            except (Problem, DatabaseError) as failed:
                self.failures += 1
                if not tries % TOLD_EVERY:
                    log.warning("relay.waiting", extra={"source": self.source, "because": str(failed)})
                await asyncio.sleep(RETRY_S)
