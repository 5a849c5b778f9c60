"""Which event ids were there lately: Bloom filters over a window of time, in front of the exact check (A3).

A Bloom filter alone would drop what it only thinks it knows: at 1 % false positives one message in a hundred. So its
yes means "ask", its no means "new"; and the table's key has the last word, should the filter have forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from rbloom import Bloom

# 0.7 MB a generation. Ten minutes at 500 messages a second; a fuller filter turns earlier.
ITEMS_MAX = 300_000
FALSE_POSITIVES = 1e-4
WINDOW_S = 600.0
# Beyond this the share of false positives rises steeply.
FILL = 0.8


class Filter(Protocol):
    """Remembers ids: `in` is never wrong about those added, and sometimes about others."""

    def add(self, id: str, /) -> None: ...

    def __contains__(self, id: object, /) -> bool: ...


def bloom() -> Filter:
    """A Bloom filter of the usual size."""
    made: Filter = Bloom(ITEMS_MAX, FALSE_POSITIVES)
    return made


class Seen:
    """Two generations of filters: the young one takes, both are asked; an id is known for one to two windows."""

    def __init__(self, *, clock: Callable[[], float], make: Callable[[], Filter] = bloom) -> None:
        """clock: seconds that never go back."""
        self.maybes = 0  # how often the exact check was needed
        self._clock = clock
        self._make = make
        self._young, self._old = make(), make()
        self._count = 0
        self._turned_at = clock()

    def may_know(self, id: str) -> bool:
        """Whether this id may have been added: False is certain, True is for the exact check to decide."""
        if id in self._young or id in self._old:
            self.maybes += 1
            return True
        return False

    def add(self, ids: Iterable[str]) -> None:
        """Know these ids, some hundreds, from now on."""
        if self._count >= ITEMS_MAX * FILL or self._clock() - self._turned_at >= WINDOW_S:
            self._young, self._old = self._make(), self._young
            self._count = 0
            self._turned_at = self._clock()
        add = self._young.add
        for id in ids:
            add(id)
            self._count += 1
