"""A unit backed by dicts, to try a service without a writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from tuanzi.base.problem import Unknown
from tuanzi.base.unit import Key
from tuanzi.machinery.database import Flush
from tuanzi.machinery.tables import Table
from tuanzi.wiring import open_database

V = TypeVar("V")
MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)


class BenchUnit:
    """Keeps values by kind and key; `events` and `timers` show what was emitted and scheduled."""

    def __init__(self, key_of: dict[type, Callable[[Any], Key]]) -> None:
        """key_of: how the key of each kind of value is read, e.g. `{Order: lambda order: order.id}`."""
        self.values: dict[tuple[type, Key], Any] = {}
        self.events: list[Any] = []
        self.timers: dict[str, tuple[datetime, Any]] = {}
        self._key_of = key_of

    def load(self, kind: type[V], key: Key) -> V:
        """The value with this key. Raises Unknown."""
        value = self.find(kind, key)
        if value is None:
            raise Unknown(kind=kind.__name__.lower(), id=key)
        return value

    def find(self, kind: type[V], key: Key) -> V | None:
        """The value with this key, or None."""
        return self.values.get((kind, key))

    def all_of(self, kind: type[V]) -> list[V]:
        """All values of a kind."""
        return [value for (each, _), value in self.values.items() if each is kind]

    def add(self, value: object) -> None:
        """Keep a new value."""
        place = (type(value), self._key_of[type(value)](value))
        assert place not in self.values, f"added twice: {place}"
        self.values[place] = value

    def put(self, value: object) -> None:
        """Keep a value in place of the one before."""
        self.values[type(value), self._key_of[type(value)](value)] = value

    def restore(self, value: Any) -> None:
        """Keep a value."""
        self.put(value)

    def remove(self, kind: type[Any], key: Key) -> None:
        """Forget a value."""
        self.values.pop((kind, key), None)

    def emit(self, event: Any) -> None:
        """Note an event."""
        self.events.append(event)

    def schedule(self, timer_id: str, command: Any, *, at: datetime) -> None:
        """Note a timer."""
        self.timers[timer_id] = (at, command)

    def unschedule(self, timer_id: str) -> None:
        """Drop a timer."""
        self.timers.pop(timer_id, None)


def rows_of(
    unit: BenchUnit, tables: Sequence[Table[Any]], database: str, sql: str, slots: Mapping[str, Any] | None
) -> list[tuple[Any, ...]]:
    """What a database of this kind, such as "core", answers when it keeps the values of a unit."""
    made = open_database(None, database, now=MADE_AT)
    try:
        kept = [(table, [table.to_row(value) for value in unit.all_of(table.kind)]) for table in tables]
        made.commit(Flush(before=0, after=1, event_number=0, inserts=kept))
        return made.rows(sql, slots)
    finally:
        made.close()
