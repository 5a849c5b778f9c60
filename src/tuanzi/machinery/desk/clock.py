"""The time of a desk's writer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

log = logging.getLogger("tuanzi.desk")

# Our choice: NTP steps a clock back by less, and what is ten seconds late hurts nobody.
AHEAD_TOLD = timedelta(seconds=10)
# Our choice: what was ahead is right again after twice as long, and meanwhile whatever is due takes twice its time.
PACE = 2


class SteadyClock:
    """A clock that never goes back, whatever the machine's does, and never stands still either.

    Set back, the machine's is behind: then this one goes on at half its pace until that has caught up. It stood still
    before, and so did every deadline, and everything that is tried again, for as long as the machine had been ahead.

    name: whose it is, for the log.
    """

    def __init__(self, clock: Callable[[], datetime], *, name: str) -> None:
        self._clock = clock
        self._name = name
        self._last = self._seen = clock()
        self._is_told = False

    def now(self) -> datetime:
        """The time."""
        seen, self._seen = self._seen, self._clock()
        if self._seen >= self._last:
            self._last = self._seen
        elif self._seen > seen:
            self._last += (self._seen - seen) / PACE
        ahead = self._last - self._seen
        if ahead >= AHEAD_TOLD and not self._is_told:
            self._is_told = True
            log.error("desk.clock_ahead", extra={"desk": self._name, "ahead_s": round(ahead.total_seconds())})
        elif not ahead and self._is_told:
            self._is_told = False
            log.info("desk.clock_right", extra={"desk": self._name})
        return self._last

    @property
    def ahead_s(self) -> float:
        """How far it is ahead of the machine's; 0 while that was never set back."""
        return max(0.0, (self._last - self._clock()).total_seconds())
