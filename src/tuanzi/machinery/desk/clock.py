"""The time of a desk's writer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime


class SteadyClock:
    """A clock that never goes back, whatever the machine's does."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._last = clock()

    def now(self) -> datetime:
        """The time."""
        self._last = max(self._last, self._clock())
        return self._last
