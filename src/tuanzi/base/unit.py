"""The unit of work: the campus as one command sees it (architecture section 2)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol, TypeVar

V = TypeVar("V")
Key = str | tuple[str | int, ...]
Event = Any  # a frozen struct of `tuanzi.events`
Command = Any  # a frozen struct of a room's model


class RowDamaged(Exception):
    """The row of what a command reads is no value of its kind: the command fails, and only it (P22)."""


class Unit(Protocol):
    """What a command may read and change. Nothing is kept unless the command returns.

    Values are immutable: load one, make another, put it. A raised `Problem` discards everything put, emitted
    and scheduled. After the command returned, the listeners of its events that live in the same database run
    in the same unit, in the order in which the events were emitted; then everything is committed as one.
    """

    def load(self, kind: type[V], key: Key) -> V:
        """The value with this key. Raises Unknown when there is none, RowDamaged when its row is no value."""

    def find(self, kind: type[V], key: Key) -> V | None:
        """The value with this key, or None when there is none. Raises RowDamaged."""

    def add(self, value: object) -> None:
        """Keep a new value. Its key must be new: a second one with that key fails the command (500), not the data."""

    def put(self, value: object) -> None:
        """Keep a value in place of the one with its key, or as a new one."""

    def restore(self, value: object) -> None:
        """The same, with its whole row written, whatever stands there: for who found a row that is wrong or gone."""

    def remove(self, kind: type[Any], key: Key) -> None:
        """Forget the value with this key; nothing happens when there is none."""

    def emit(self, event: Event) -> None:
        """Say what happened; it is numbered and kept with the change, and heard only after it."""

    def schedule(self, timer_id: str, command: Command, *, at: datetime) -> None:
        """Have `command` carried out at or soon after `at`, even after a crash. The same id replaces the timer."""

    def unschedule(self, timer_id: str) -> None:
        """Drop a timer; nothing happens when there is none."""
