"""The quickest ways from one counter through doors."""

from __future__ import annotations

from functools import lru_cache
from itertools import count, permutations
from typing import Final, NamedTuple

from tuanzi.delivery.model.parcels import Spot
from tuanzi.delivery.model.terms import Point, Terms


class Way(NamedTuple):
    """A way from a counter through doors. order: of the doors. offsets: from the pick-up to each hand-over, `total` in
    sum. length: from the pick-up until the rider is free again."""

    order: tuple[int, ...]
    offsets: tuple[int, ...]
    total: int
    length: int


class _Streets:
    """How far doors are from one counter and from each other, and the quickest ways through them; filled when asked.

    The same doors are asked for in every plan again, in many rounds. Threads may ask at once.
    """

    def __init__(self, counter: Spot, terms: Terms) -> None:
        self._terms = terms
        self._counter = terms.point(counter)
        self._numbers: dict[Spot, int] = {}
        self._count = count()
        self._points: dict[int, Point] = {}
        self._from_counter: dict[int, int] = {}
        self._between: dict[tuple[int, int], int] = {}
        self._ways: dict[tuple[int, ...], Way] = {}

    @property
    def is_full(self) -> bool:
        """Whether it is to begin anew: at about 8 MB."""
        return len(self._points) > _DOORS_MAX or len(self._ways) > _WAYS_MAX

    def door(self, spot: Spot) -> int:
        """The number of a door."""
        number = self._numbers.get(spot)
        if number is None:
            number = next(self._count)
            self._points[number] = self._terms.point(spot)
            self._from_counter[number] = self._terms.travel(self._counter, self._points[number])
            number = self._numbers.setdefault(spot, number)  # last: who finds it finds all of it
        return number

    def way(self, doors: tuple[int, ...]) -> Way:
        """The order in which all doors are reached soonest, summed, and when each is."""
        way = self._ways.get(doors)
        if way is None:
            way = self._ways[doors] = self._quickest(doors)
        return way

    def _quickest(self, doors: tuple[int, ...]) -> Way:
        half = self._terms.half_drop_off
        firsts = [self._terms.half_pick_up + half + self._from_counter[door] for door in doors]
        after = [[self._travel(start, end) + 2 * half for end in doors] for start in doors]
        best: Way | None = None
        for order in permutations(range(len(doors))):
            at = order[0]
            ticks = firsts[at]
            offsets = [ticks]
            for i in order[1:]:
                ticks += after[at][i]
                offsets.append(ticks)
                at = i
            if best is None or sum(offsets) < best.total:
                best = Way(order, tuple(offsets), sum(offsets), ticks + half)
        assert best is not None
        return best

    def _travel(self, start: int, end: int) -> int:
        pair = (start, end) if start < end else (end, start)
        travel = self._between.get(pair)
        if travel is None:
            travel = self._between[pair] = self._terms.travel(self._points[start], self._points[end])
        return travel


_DOORS_MAX: Final = 2_048
_WAYS_MAX: Final = 16_384


def streets_of(counter: Spot, terms: Terms) -> _Streets:
    """A counter's streets, as plans before have filled them."""
    streets = _streets(counter, terms)
    if not streets.is_full:
        return streets
    _streets.cache_clear()
    return _streets(counter, terms)


_streets = lru_cache(maxsize=1_024)(_Streets)
