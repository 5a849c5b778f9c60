"""What a room brings to the house: its tables, commands, errands and routes. Wiring puts rooms together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuanzi.machinery.http.routes import Route
from tuanzi.machinery.memory import Place
from tuanzi.machinery.tables import Table

# Decides a command: called (unit, command, now=...), returns the answer (a struct or None) or raises a Problem.
Handler = Callable[..., Any]
# Hears an event in the unit that emitted it: called (unit, event, now=...).
Listener = Callable[..., None]
# Does work outside of the database (calls a vendor): awaits (errand, now=...), returns the command that records
# the outcome.
ErrandHandler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Opening:
    """A command that the writer carries out each time it starts, before all others; `told` gets the kept answer."""

    command: Any
    told: Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Figure:
    """Something a room counts in this process, for `/metrics`: only ever more. labels: each of a bounded set."""

    name: str
    about: str
    labels: Mapping[str, str]
    value: int


def no_figures() -> Sequence[Figure]:
    """What most rooms count beside what their desks do."""
    return ()


@dataclass(frozen=True, slots=True)
class Keeps:
    """Rows that a room keeps of a person, for his export (PIPL art. 45); nothing in them is of anybody else.

    sql: gives `columns`. It asks for `:person_id`, before which stands `prefix`, and gives what comes after `:after` in
    the first column, at most `:limit`; of_orders: it asks for his orders instead, by SEVERAL.
    """

    table: str
    columns: tuple[str, ...]
    sql: str
    prefix: str = ""
    of_orders: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """One room, as its door describes it.

    database: which writer its tables belong to: "platform", "core", "money" or "delivery".
    commands: what its database's writer can carry out for it, by the command's type.
    errands: work scheduled like a timer, but done outside by an async function whose result is a command;
        tried again with growing pauses until it succeeds, so it must be harmless twice.
    assumed_new: for a command that looks whether something is there and mostly makes it, such as a payment: what it
        looks at. Where memory does not know, it is taken for new without asking; the table's key finds out.
    asks: what a command will ask for and memory seldom has, such as what a newcomer ordered before: all of a batch is
        fetched before it is decided. What is not listed is found out by deciding, which then is done twice.
    foresees: what commands after this one will ask for, such as a Confirm after its Try; fetched along with this one.
    openings: what its database's writer does first, each time it starts; the commands are among `commands` too.
    figures: what it counts, for `/metrics`; one name has the same labels each time.
    keeps: what it keeps of a person.
    """

    name: str
    database: str
    tables: Sequence[Table[Any]] = ()
    commands: Mapping[type, Handler] = field(default_factory=dict)
    errands: Mapping[type, ErrandHandler] = field(default_factory=dict)
    assumed_new: Mapping[type, Callable[[Any], Sequence[Place]]] = field(default_factory=dict)
    asks: Mapping[type, Callable[[Any], Sequence[Place]]] = field(default_factory=dict)
    foresees: Mapping[type, Callable[[Any], Sequence[Place]]] = field(default_factory=dict)
    routes: Sequence[Route] = ()
    openings: Sequence[Opening] = ()
    figures: Callable[[], Sequence[Figure]] = no_figures
    keeps: Sequence[Keeps] = ()
