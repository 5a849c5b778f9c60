"""The identity map: the values a writer has at hand, bounded (architecture section 2)."""

from __future__ import annotations

from typing import Any, Final

from tuanzi.base.unit import Key

Place = tuple[type[Any], Key]


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
    `young` may be read directly; only this class changes it.
    """

    def __init__(self, places_max: int) -> None:
        self._places_max = places_max
        self.young: dict[Place, Any] = {}
        self._old: dict[Place, Any] = {}
        self._held: dict[Place, Any] = {}

    def find(self, place: Place) -> Any:
        """The value, ABSENT, or UNKNOWN when it is not in memory."""
        value = self.young.get(place, UNKNOWN)
        if value is UNKNOWN and (value := self._old.get(place, UNKNOWN)) is not UNKNOWN:
            self.keep(place, value)
        return value if value is not UNKNOWN else self._held.get(place, UNKNOWN)

    def hold(self, place: Place, value: Any) -> None:
        """Remember what was fetched for the batch at work until `release`, even when the batch needs more than fits."""
        self._held[place] = value

    def release(self) -> None:
        """The batch is done: what was held for it becomes like the rest."""
        held, self._held = self._held, {}
        for place, value in held.items():
            if place not in self.young and type(value) is not Damaged:
                self.keep(place, value)

    def keep(self, place: Place, value: Any) -> None:
        """Remember a committed value, or that it is ABSENT."""
        self.young[place] = value
        if len(self.young) >= self._places_max:
            self._old = self.young
            self.young = {}

    def keep_all(self, values: dict[Place, Any]) -> None:
        """Remember what a batch committed: as `keep` for each, at a tenth of the cost."""
        if len(self.young) + len(values) < self._places_max:
            self.young.update(values)
            return
        for place, value in values.items():
            self.keep(place, value)

    def drop(self) -> None:
        """Forget everything: what is in the database is the truth."""
        self.young = {}
        self._old = {}
        self._held = {}

    def __len__(self) -> int:
        return len(self.young) + len(self._old)
