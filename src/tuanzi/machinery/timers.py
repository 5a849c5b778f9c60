"""Which timers are due: the rows of `timers`, held in order of time (B1: deadlines survive a crash)."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeGuard

from msgspec.structs import replace

from tuanzi.machinery.database import Database
from tuanzi.machinery.internal import FIRST_TIMERS, TIMERS, Timer
from tuanzi.machinery.tables import Row

log = logging.getLogger("tuanzi.desk")

# About 500 bytes each, so 25 MB; later ones stay in the table until these are used up.
HELD_MAX = 50_000
# A seat's timer is mostly gone after seconds, and its place in the order was kept for its 15 minutes: at 850 orders a
# second 150 MB of them, which a later look at what is next took away thousands at a time.
_GONE_MAX = 4096
# Our choice: what failed is tried again after 1 s, 2 s, 4 s, and so on up to a minute.
TRIED_AGAIN_MAX = timedelta(minutes=1)
_DOUBLED_MAX = 6


@dataclass(frozen=True, slots=True)
class Earliest:
    """The first timers of the table; there may be later ones where it `has_more`."""

    timers: list[Timer]
    has_more: bool = False


class TimerBook:
    """The earliest timers of one database. What is due is taken once; its commit or postponement tells the rest."""

    def __init__(self) -> None:
        self._timers: dict[str, Timer] = {}
        self._heap: list[tuple[datetime, str]] = []
        self._taken: set[str] = set()
        self._until: datetime | None = None  # later timers are only in the table; None: all are here
        self._meanwhile: dict[str, Timer | None] | None = None  # what was noted while the table is being read

    def read(self, database: Database, now: datetime) -> None:
        """Read the earliest timers from the database anew."""
        self.hold(earliest(database, now))

    def expect(self) -> None:
        """The table is being read, perhaps in another thread: what is noted from now on may not be in what `hold` is
        given."""
        self._meanwhile = {}

    def hold(self, found: Earliest) -> None:
        """Hold the earliest timers of the table, as `earliest` gives them, and what was noted since `expect`."""
        self._timers = {timer.id: timer for timer in found.timers}
        self._until = max((timer.due_at for timer in found.timers), default=None) if found.has_more else None
        for timer_id, timer in (self._meanwhile or {}).items():
            if self._is_held(timer):
                self._timers[timer_id] = timer
            else:
                self._timers.pop(timer_id, None)
        self._meanwhile = None
        self._order()

    def note(self, changes: Iterable[tuple[str, Timer | None]]) -> None:
        """Follow what was committed: a timer set, or gone (None)."""
        for timer_id, timer in changes:
            self._taken.discard(timer_id)
            if self._meanwhile is not None:
                self._meanwhile[timer_id] = timer
            if not self._is_held(timer):
                self._timers.pop(timer_id, None)
                continue
            self._timers[timer_id] = timer
            heapq.heappush(self._heap, (timer.due_at, timer_id))
        if len(self._heap) > 2 * len(self._timers) + _GONE_MAX:
            self._order()

    def take_due(self, now: datetime, *, limit: int) -> list[Timer]:
        """At most `limit` timers due by `now`, earliest first; they are not given again until `note` or `give_back`."""
        due: list[Timer] = []
        while self._heap and len(due) < limit and self._heap[0][0] <= now:
            at, timer_id = heapq.heappop(self._heap)
            timer = self._timers.get(timer_id)
            if timer is None or timer.due_at != at or timer_id in self._taken:
                continue
            self._taken.add(timer_id)
            due.append(timer)
        return due

    def give_back(self, timer: Timer) -> None:
        """A timer that was taken could not be carried out nor postponed: it is due again."""
        self._taken.discard(timer.id)
        if timer.id in self._timers:
            heapq.heappush(self._heap, (timer.due_at, timer.id))

    def is_current(self, timer: Timer) -> bool:
        """Whether this timer still stands as it was taken."""
        return self._timers.get(timer.id) == timer

    @property
    def next_at(self) -> datetime | None:
        """When the next timer is due; None when none is held."""
        while self._heap:
            at, timer_id = self._heap[0]
            timer = self._timers.get(timer_id)
            if timer is not None and timer.due_at == at and timer_id not in self._taken:
                return at
            heapq.heappop(self._heap)
        return None

    @property
    def is_used_up(self) -> bool:
        """Whether only the table knows what comes next."""
        return self._until is not None and not self._timers

    def __len__(self) -> int:
        return len(self._timers)

    def _is_held(self, timer: Timer | None) -> TypeGuard[Timer]:
        """Whether it stands, and is not so late that only the table has it."""
        return timer is not None and (self._until is None or timer.due_at <= self._until)

    def _order(self) -> None:
        taken = self._taken
        self._heap = [(timer.due_at, id) for id, timer in self._timers.items() if id not in taken]
        heapq.heapify(self._heap)


def postponed(timer: Timer, now: datetime) -> Timer:
    """A timer that failed once more, to be tried again later and later."""
    pause = min(TRIED_AGAIN_MAX, timedelta(seconds=2 ** min(timer.attempts, _DOUBLED_MAX)))
    return replace(timer, due_at=now + pause, attempts=timer.attempts + 1)


def earliest(database: Database, now: datetime) -> Earliest:
    """The earliest timers of the table, HELD_MAX at most; in whatever thread. Raises DatabaseUnavailable.

    A row that is no timer, because something else than the writer changed it, is told of and stays in the table: it
    hurts nothing but itself. What is tried again later than anything ever is was put off by a clock that was ahead,
    and is due.
    """
    rows = database.rows(FIRST_TIMERS, {"limit": HELD_MAX})
    latest = now + TRIED_AGAIN_MAX
    timers = [
        replace(timer, due_at=now) if timer.attempts and timer.due_at > latest else timer
        for row in rows
        if (timer := _read(row)) is not None
    ]
    return Earliest(timers, has_more=len(rows) == HELD_MAX)


def _read(row: Row) -> Timer | None:
    try:
        timer = TIMERS.from_row(row)
        is_whole = all(type(cell) is str for cell in (timer.id, timer.command, timer.body)) and timer.attempts >= 0
    except (TypeError, ValueError, OverflowError):
        is_whole = False
    if is_whole:
        return timer
    log.error("desk.timer_damaged", extra={"timer": str(row[0]), "command": str(row[2])})
    return None
