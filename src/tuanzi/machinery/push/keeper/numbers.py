"""The newest number of each stream, as far as memory knows."""

from __future__ import annotations

from collections.abc import Mapping

# Streams whose newest number is in memory, in each of two generations; about 150 bytes each. At first twice as many.
NUMBERS_MAX = 100_000


class Numbers:
    """The newest number of each stream, in two generations.

    Once all were learned it knows that a stream it does not have was never written to, until one has to leave.
    """

    def __init__(self) -> None:
        self.is_complete = False
        self.history = 0  # changes when what was read of the table before may lead back
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}

    def find(self, stream: str) -> int | None:
        """The newest number, None when it must be asked."""
        number = self._young.get(stream)
        if number is None:
            number = self._old.get(stream)
        return 0 if number is None and self.is_complete else number

    def keep(self, stream: str, number: int) -> None:
        """Remember it."""
        if len(self._young) >= NUMBERS_MAX and stream not in self._young:
            self._young, self._old = {}, self._young
            self.is_complete = False
            self.history += 1
        self._young[stream] = number

    def learn(self, numbers: Mapping[str, int], *, history: int) -> None:
        """Know those of all streams, as the table had them when `history` was read or later. What was kept here since
        is newer. Nothing when one that was kept since may have left: its number here would go back."""
        if history == self.history:
            self._old = dict(numbers)
            self.is_complete = True

    def forget(self) -> None:
        """The table is asked again."""
        self._young, self._old = {}, {}
        self.is_complete = False
        self.history += 1
