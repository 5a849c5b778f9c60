"""What a writer knows, what it is asked and what it answers; what it asks of its database."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from tuanzi.base.once import Once
from tuanzi.base.problem import Problem
from tuanzi.machinery.codec import Codec
from tuanzi.machinery.database import Flush
from tuanzi.machinery.internal import Timer
from tuanzi.machinery.memory import Place
from tuanzi.machinery.tables import Table

Handler = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Schema:
    """What one database's writer knows: its tables, who decides which command, who hears which event.

    hears: listeners within the same database. follows: listeners to other databases' events, by (source, event type).
    errands: command types that are not decided here but done outside.
    assumed_new: places that a command looks at and, when they are new, fills; taken for new where memory does not know.
    asks: places that a command will ask for and memory seldom has; they are brought there before its batch is decided.
    foresees: places that commands after this one will ask for; they are brought into memory before its commit.
    """

    database: str
    tables: Sequence[Table[Any]]
    decides: Mapping[type, Handler]
    hears: Mapping[type, Sequence[Handler]]
    follows: Mapping[tuple[str, type], Sequence[Handler]]
    errands: frozenset[type]
    codec: Codec
    assumed_new: Mapping[type, Callable[[Any], Sequence[Place]]] = field(default_factory=dict)
    asks: Mapping[type, Callable[[Any], Sequence[Place]]] = field(default_factory=dict)
    foresees: Mapping[type, Callable[[Any], Sequence[Place]]] = field(default_factory=dict)


class Request(Struct):
    """One thing to be decided.

    A command of a person (`who`, `key`), of a timer (`timer`), or an event of another database (`source`, `number`,
    following `after`). `postpones`: the timer that failed, in whose place `timer` is kept. `parked` says why an event
    is laid aside instead of being heard; an event None only moves the position. `was_too_slow`: it used up its time
    when its batch was decided before. `entry`: its number in the command log, kept with what it does; a command None
    only keeps that number.
    """

    command: Any
    who: str = ""
    key: Once | None = None
    timer: Timer | None = None
    source: str = ""
    number: int = 0
    after: int = 0
    postpones: Timer | None = None
    parked: str | None = None
    was_too_slow: bool = False
    entry: int = 0


class Outcome(Struct, frozen=True):
    """What became of a request: an answer and its events after the commit, or a problem and nothing."""

    answer: Any = None
    body: bytes = b"null"
    events: tuple[tuple[int, Any], ...] = ()
    replayed: bool = False
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Fetch:
    """The rows the writer needs to go on; send it a list of (table, keys asked, rows)."""

    wanted: list[tuple[Table[Any], list[Any]]]


@dataclass(frozen=True, slots=True)
class Commit:
    """The batch to keep; send None, or throw the database's error into the generator."""

    flush: Flush


Step = Fetch | Commit
Steps = Generator[Step, Any, list[Outcome]]
