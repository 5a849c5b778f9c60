"""The writer's `Unit`: a command's changes over its batch, over the batch being kept, over memory (architecture 2)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, TypeVar

from tuanzi.base.problem import Unknown
from tuanzi.base.unit import Key, RowDamaged
from tuanzi.machinery.codec import encode, name_of
from tuanzi.machinery.internal import Timer
from tuanzi.machinery.memory import ABSENT, UNKNOWN, Damaged, Memory, Place

V = TypeVar("V")
KeyOf = Mapping[type[Any], Any]


class Miss(BaseException):
    """What a command reads is not in memory; not an Exception, so that no rule catches it by accident."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.place = place


class Overlay:
    """What one command changed so far; thrown away as a whole when it is refused."""

    __slots__ = (
        "_assumed",
        "_assumed_used",
        "_batch",
        "_key_of",
        "_memory",
        "_pending",
        "_young",
        "added",
        "changes",
        "events",
        "restored",
    )

    def __init__(
        self,
        batch: dict[Place, Any],
        pending: dict[Place, Any],
        memory: Memory,
        key_of: KeyOf,
        assumed: Collection[Place] = (),
    ) -> None:
        self._pending = pending
        self._assumed = assumed
        self._assumed_used: tuple[Place, ...] = ()
        self._batch = batch
        self._memory = memory
        self._young = memory.young
        self._key_of = key_of
        self.changes: dict[Place, Any] = {}
        self.added: set[Place] = set()
        self.restored: set[Place] = set()
        self.events: list[Any] = []

    def load(self, kind: type[V], key: Key) -> V:
        """The value with this key. Raises Unknown when there is none, RowDamaged, Miss."""
        value = self.find(kind, key)
        if value is None:
            raise Unknown(kind=kind.__name__.lower(), id=key)
        return value

    def find(self, kind: type[V], key: Key) -> V | None:
        """The value with this key, or None. Raises Miss when memory does not know, RowDamaged."""
        place = (kind, key)
        # No value is None, so None is "not there" at the price of one call; written out, for it is the hot path.
        value = self.changes.get(place)
        if value is None and (value := self._batch.get(place)) is None and (value := self._pending.get(place)) is None:
            value = self._young[kind].get(key)
            if value is None:
                value = self._memory.find(place)
                if value is UNKNOWN:
                    if place not in self._assumed:
                        raise Miss(place)
                    self._assumed_used = (*self._assumed_used, place)
                    return None
                if type(value) is Damaged:
                    raise RowDamaged(f"{kind.__name__} {key}: {value.reason}")
        return None if value is ABSENT else value

    def check_assumed(self, *, kept: bool) -> None:
        """Raises Miss when something was taken for new and not filled: then no key of the database would find out."""
        for place in self._assumed_used:
            if not kept or place not in self.added:
                raise Miss(place)

    def knows(self, place: Place) -> Any:
        """The value, ABSENT or UNKNOWN, without asking the database."""
        value = self.changes.get(place, UNKNOWN)
        if value is UNKNOWN:
            value = self._batch.get(place, UNKNOWN)
            if value is UNKNOWN and (value := self._pending.get(place, UNKNOWN)) is UNKNOWN:
                value = self._memory.find(place)
        return value

    def add(self, value: object) -> None:
        """Keep a new value; what is kept already is found out by the database's key."""
        kind = type(value)
        place = (kind, self._key_of[kind](value))
        before = self.changes.get(place)
        if before is None and (before := self._batch.get(place)) is None:
            self.added.add(place)
        elif before is not ABSENT:
            raise RuntimeError(f"added twice: {kind.__name__} {place[1]}")
        elif place not in self._batch:
            self.added.add(place)
        self.changes[place] = value

    def put(self, value: object) -> None:
        """Keep a value in place of the one with its key, or as a new one."""
        kind = type(value)
        self.changes[kind, self._key_of[kind](value)] = value

    def restore(self, value: object) -> None:
        """Keep a value, and have its whole row written: what memory has of it the row may not say."""
        self.put(value)
        self.restored.add((type(value), self._key_of[type(value)](value)))

    def remove(self, kind: type[Any], key: Key) -> None:
        """Forget the value with this key."""
        self.changes[kind, key] = ABSENT

    def emit(self, event: Any) -> None:
        """Say what happened."""
        self.events.append(event)

    def schedule(self, timer_id: str, command: Any, *, at: datetime) -> None:
        """Have a command or errand carried out at `at`; the same id replaces."""
        body = encode(command).decode()
        self.changes[Timer, timer_id] = Timer(id=timer_id, due_at=at, command=name_of(type(command)), body=body)

    def unschedule(self, timer_id: str) -> None:
        """Drop a timer."""
        self.changes[Timer, timer_id] = ABSENT
