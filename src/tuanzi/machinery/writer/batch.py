"""What deciding a batch has come to so far."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from msgspec import Struct

from tuanzi.base.problem import Problem
from tuanzi.machinery.codec import encode
from tuanzi.machinery.internal import Rows
from tuanzi.machinery.memory import Kinds, Place
from tuanzi.machinery.overlay import Added, Overlay
from tuanzi.machinery.tables import Row
from tuanzi.machinery.writer.words import Outcome

_NAMED: dict[type[Any], tuple[str, int]] = {}


class Decided(Struct):
    """A decided request, before the commit. is_kept: whether what it changed is."""

    is_kept: bool = False
    answer: Any = None
    body: bytes = b"null"
    replayed: bool = False
    problem: Problem | None = None
    rows: Rows | None = None


class Work:
    """A batch that is being decided: what became of its requests so far, and what is to be kept."""

    __slots__ = ("added", "at_ms", "changes", "events", "number", "outcomes", "restored", "rows")

    def __init__(self, *, number: int, at_ms: int) -> None:
        """number: of the last event before it."""
        self.number = number
        self.at_ms = at_ms
        self.outcomes: list[Outcome] = []
        self.changes: Kinds = defaultdict(dict)
        self.added: Added = defaultdict(set)
        self.restored: set[Place] = set()
        self.events: list[Row] = []
        self.rows: list[Rows] = []

    def settle(self, decided: Decided, overlay: Overlay) -> None:
        """A request is decided, for good. Here and not for all of the batch at its end, when each is far from the
        processor: measured, that was an eighth of what an order costs."""
        numbered: tuple[tuple[int, Any], ...] = ()
        if decided.is_kept:
            if overlay.restored:
                self.restored.update(overlay.restored)
                overlay.restored.clear()
            if events := overlay.keep():
                number, at_ms, names, rows = self.number, self.at_ms, _NAMED, self.events
                numbered = tuple(enumerate(events, number + 1))
                for event in events:
                    number += 1
                    name, version = names.get(type(event)) or _named(type(event))
                    rows.append((number, name, version, at_ms, encode(event).decode()))
                self.number = number
        else:
            overlay.take_back()
            if decided.rows is not None:
                self.rows.append(decided.rows)
        self.outcomes.append(Outcome(decided.answer, decided.body, numbered, decided.replayed, decided.problem))


def _named(event: type[Any]) -> tuple[str, int]:
    """An event's stable name and version; to look at its class twice costs more than to remember them."""
    named = _NAMED[event] = (event.name, event.version)
    return named
