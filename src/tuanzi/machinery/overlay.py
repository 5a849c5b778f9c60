"""The writer's `Unit`: what its batch changed, over the batches being kept, over memory (architecture 2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, TypeVar

from tuanzi.base.problem import Unknown
from tuanzi.base.unit import Key, RowDamaged
from tuanzi.machinery.codec import encode, name_of
from tuanzi.machinery.internal import Timer
from tuanzi.machinery.memory import ABSENT, UNKNOWN, Damaged, Kinds, Memory, Place

V = TypeVar("V")
KeyOf = Mapping[type[Any], Any]
Added = defaultdict[type[Any], set[Key]]


class Miss(BaseException):
    """What a command reads is not in memory; not an Exception, so that no rule catches it by accident."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.place = place


class Overlay:
    """What the commands of a batch changed so far, one after another; what a refused one changed is taken back.

    A command changes the batch itself and notes what stood there: what most of them read is not looked for in changes
    of their own, and what they noted is let go of while it is near the processor.
    """

    __slots__ = (
        "_added",
        "_assumed",
        "_assumed_used",
        "_batch",
        "_before",
        "_key_of",
        "_memory",
        "_new",
        "_pending",
        "_young",
        "events",
        "restored",
    )

    def __init__(
        self,
        batch: Kinds,
        pending: Kinds,
        memory: Memory,
        key_of: KeyOf,
        *,
        added: Added,
    ) -> None:
        """batch, added: what was changed, and which of it is new; both are added to. Nothing of `memory` may be
        committed as long as this is used."""
        self._pending = pending
        self._batch = batch
        self._added = added
        self._memory = memory
        self._young = memory.young
        self._key_of = key_of
        self._assumed: Collection[Place] = ()
        self._assumed_used: tuple[Place, ...] = ()
        self._before: list[tuple[dict[Key, Any], Key, Any]] = []
        self._new: list[tuple[set[Key], Key]] = []
        self.restored: list[Place] = []
        self.events: list[Any] = []

    def begin(self, assumed: Collection[Place] = ()) -> None:
        """Another command. assumed: places that are new where memory does not know."""
        self._assumed = assumed
        self._assumed_used = ()

    def keep(self) -> list[Any]:
        """The command is done; its events."""
        self._before.clear()
        self._new.clear()
        events = self.events
        if events:
            self.events = []
        return events

    def take_back(self) -> None:
        """Nothing of the command remains."""
        # Each is noted before it is done, so that one who is interrupted between is taken back too.
        for values, key, before in reversed(self._before):
            if before is None:
                values.pop(key, None)
            else:
                values[key] = before
        for new, key in self._new:
            new.discard(key)
        self._before.clear()
        self._new.clear()
        self.restored.clear()
        self.events.clear()

    def load(self, kind: type[V], key: Key) -> V:
        """The value with this key. Raises Unknown when there is none, RowDamaged, Miss."""
        value = self.find(kind, key)
        if value is None:
            raise Unknown(kind=kind.__name__.lower(), id=key)
        return value

    def find(self, kind: type[V], key: Key) -> V | None:
        """The value with this key, or None. Raises Miss when memory does not know, RowDamaged."""
        # No value is None, so None is "not there" at the price of one call; written out, for it is the hot path.
        value = self._batch[kind].get(key)
        if value is None and (value := self._pending[kind].get(key)) is None:
            value = self._young[kind].get(key)
            if value is None:
                place = (kind, key)
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
            if not kept or place[1] not in self._added[place[0]]:
                raise Miss(place)

    def knows(self, place: Place) -> Any:
        """The value, ABSENT or UNKNOWN, without asking the database."""
        kind, key = place
        value = self._batch[kind].get(key)
        if value is None and (value := self._pending[kind].get(key)) is None:
            value = self._memory.find(place)
        return value

    def add(self, value: object) -> None:
        """Keep a new value; what is kept already is found out by the database's key."""
        kind = type(value)
        key = self._key_of[kind](value)
        values = self._batch[kind]
        before = values.get(key)
        if before is None:
            new = self._added[kind]
            if key not in new:
                self._new.append((new, key))
                new.add(key)
        elif before is not ABSENT:
            raise RuntimeError(f"added twice: {kind.__name__} {key}")
        self._before.append((values, key, before))
        values[key] = value

    def put(self, value: object) -> None:
        """Keep a value in place of the one with its key, or as a new one."""
        kind = type(value)
        key = self._key_of[kind](value)
        values = self._batch[kind]
        self._before.append((values, key, values.get(key)))
        values[key] = value

    def restore(self, value: object) -> None:
        """Keep a value, and have its whole row written: what memory has of it the row may not say."""
        self.put(value)
        self.restored.append((type(value), self._key_of[type(value)](value)))

    def remove(self, kind: type[Any], key: Key) -> None:
        """Forget the value with this key."""
        values = self._batch[kind]
        self._before.append((values, key, values.get(key)))
        values[key] = ABSENT

    def emit(self, event: Any) -> None:
        """Say what happened."""
        self.events.append(event)

    def schedule(self, timer_id: str, command: Any, *, at: datetime) -> None:
        """Have a command or errand carried out at `at`; the same id replaces."""
        body = encode(command).decode()
        self.put(Timer(id=timer_id, due_at=at, command=name_of(type(command)), body=body))

    def unschedule(self, timer_id: str) -> None:
        """Drop a timer."""
        self.remove(Timer, timer_id)
