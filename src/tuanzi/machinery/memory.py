"""The identity map: the values a writer has at hand, bounded (architecture section 2)."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Mapping
from itertools import repeat, starmap
from typing import Any, Final

from tuanzi.base.unit import Key

Place = tuple[type[Any], Key]
# Values by their kind, then by their key: to look there makes no tuple, and a text knows its hash.
Kinds = defaultdict[type[Any], dict[Key, Any]]


class _Mark:
    """A named mark that is not a value."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


UNKNOWN: Final = _Mark("UNKNOWN")  # not in memory: the database must be asked
ABSENT: Final = _Mark("ABSENT")  # known not to exist


class Damaged:
    """A row that cannot be made into a value, because something else than the writer changed it."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Memory:
    """Committed values by place, at most `2 * places_max`; all are clean, so any may be dropped at any time.

    Two generations: what is used moves to the young one; when that is full it becomes the old one and the old
    one is dropped. So what was used among the last `places_max` places is always there, at the cost of a dict.
    It is dropped place by place, for each that is kept: 100,000 values at once kept everybody waiting for 55 ms.

    Values stand by their kind, then by their key. A dict by place would keep a tuple for each, which the cycle
    collector walks: 300,000 of them took 14 ms of each full collection, and 21 MiB. Like this it has nothing to walk.
    `young` may be read directly; only this class changes it.
    """

    def __init__(self, places_max: int) -> None:
        self._places_max = places_max
        self.young: Kinds = defaultdict(dict)
        self._young_count = 0
        self._old: Kinds = defaultdict(dict)
        self._leaving: list[dict[Key, Any]] = []
        self._held: dict[Place, Any] = {}

    def find(self, place: Place) -> Any:
        """The value, ABSENT, or UNKNOWN when it is not in memory."""
        kind, key = place
        value = self.young[kind].get(key, UNKNOWN)
        if value is UNKNOWN and (value := self._old[kind].get(key, UNKNOWN)) is not UNKNOWN:
            self.keep(place, value)
        return value if value is not UNKNOWN else self._held.get(place, UNKNOWN)

    def hold(self, place: Place, value: Any) -> None:
        """Remember what was fetched for the batch at work until `release`, even when the batch needs more than fits."""
        self._held[place] = value

    def release(self, *, but: Collection[type[Any]] = ()) -> None:
        """The batch is done: what was held for it becomes like the rest, and of the kinds `but` is forgotten: nobody
        keeps here what commits add to them, so that a place would stay ABSENT that is not."""
        held, self._held = self._held, {}
        for place, value in held.items():
            if place[0] not in but and place[1] not in self.young[place[0]] and type(value) is not Damaged:
                self.keep(place, value)

    def keep(self, place: Place, value: Any) -> None:
        """Remember a committed value, or that it is ABSENT."""
        kind, key = place
        values = self.young[kind]
        if key not in values:
            self._young_count += 1
        values[key] = value
        self._let_go(1)
        if self._young_count >= self._places_max:
            self._leaving = [values for values in self._old.values() if values]
            self._old = self.young
            self.young = defaultdict(dict)
            self._young_count = 0

    def keep_all(self, kinds: Mapping[type[Any], dict[Key, Any]]) -> None:
        """Remember what a batch committed, by kind and key: as `keep` for each, at a tenth of the cost."""
        count = sum(map(len, kinds.values()))
        if self._young_count + count < self._places_max:
            self._let_go(count)
            for kind, values in kinds.items():
                self.young[kind].update(values)
            self._young_count = sum(map(len, self.young.values()))
            return
        for kind, values in kinds.items():
            for key, value in values.items():
                self.keep((kind, key), value)

    def _let_go(self, count: int) -> None:
        """Drop so many of the places that left, so that none is there when the next generation leaves."""
        while count and self._leaving:
            values = self._leaving[-1]
            some = min(count, len(values))
            deque(starmap(values.popitem, repeat((), some)), maxlen=0)  # a loop without Python's steps
            count -= some
            if not values:
                self._leaving.pop()

    def drop(self) -> None:
        """Forget everything: what is in the database is the truth."""
        self.young = defaultdict(dict)
        self._young_count = 0
        self._old = defaultdict(dict)
        self._leaving = []
        self._held = {}

    def __len__(self) -> int:
        return self._young_count + sum(map(len, self._old.values()))
