"""A small business to try the machinery with: rooms of seats, and a diary in another database that hears of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from tests.databases import tables_of
from tuanzi.base.problem import Problem
from tuanzi.base.unit import Unit
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.codec import Codec
from tuanzi.machinery.database import Database
from tuanzi.machinery.migrate import Migratable, migrate
from tuanzi.machinery.tables import table
from tuanzi.machinery.writer import Outcome, Request, Schema, Writer, drive

D = TypeVar("D", bound=Migratable)

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)

TABLES = """
CREATE TABLE halls (
    id VARCHAR(40) NOT NULL PRIMARY KEY,
    seats BIGINT NOT NULL,
    taken BIGINT NOT NULL CHECK (taken >= 0)
);
CREATE TABLE tickets (id VARCHAR(40) NOT NULL PRIMARY KEY, hall_id VARCHAR(40) NOT NULL);
CREATE TABLE pages (id VARCHAR(40) NOT NULL PRIMARY KEY, notes BIGINT NOT NULL);
"""


class Hall(Struct, frozen=True, kw_only=True, gc=False):
    """A hall with some seats taken."""

    id: str
    seats: int
    taken: int = 0

    def __post_init__(self) -> None:
        if self.seats < 0:
            raise ValueError(f"hall {self.id} has less than no seats")


class Ticket(Struct, frozen=True, kw_only=True, gc=False):
    """One seat of a hall."""

    id: str
    hall_id: str


class Page(Struct, frozen=True, kw_only=True, gc=False):
    """How often the diary heard of a hall."""

    id: str
    notes: int


class SeatTaken(Struct, frozen=True, kw_only=True, gc=False):
    """Somebody took a seat."""

    name: ClassVar[str] = "toy.seat_taken"
    version: ClassVar[int] = 1
    hall_id: str


class HallFull(Problem):
    """No seat is left."""

    code = "toy/hall-full"
    status = 409


class Build(Struct, frozen=True, kw_only=True, gc=False):
    """Build a hall."""

    id: str
    seats: int


class Take(Struct, frozen=True, kw_only=True, gc=False):
    """Take a seat; `bug` names what goes wrong after everything was put."""

    ticket_id: str
    hall_id: str
    bug: str = ""


class Later(Struct, frozen=True, kw_only=True, gc=False):
    """Take a seat after `minutes`; minus one drops the timer instead."""

    timer_id: str
    take: Take
    minutes: int


class Errand(Struct, frozen=True, kw_only=True, gc=False):
    """Ask somebody outside for a ticket."""

    ticket_id: str
    hall_id: str


class Send(Struct, frozen=True, kw_only=True, gc=False):
    """Have an errand run."""

    errand: Errand


def build(unit: Unit, command: Build, *, now: datetime) -> Hall:
    """Build a hall."""
    hall = Hall(id=command.id, seats=command.seats)
    unit.add(hall)
    return hall


def take(unit: Unit, command: Take, *, now: datetime) -> Ticket:
    """Take a seat. Raises HallFull."""
    hall = unit.load(Hall, command.hall_id)
    ticket = Ticket(id=command.ticket_id, hall_id=hall.id)
    unit.put(replace(hall, taken=hall.taken + 1 if command.bug != "negative" else -1))
    unit.add(ticket)
    unit.emit(SeatTaken(hall_id=hall.id))
    if hall.taken == hall.seats:
        raise HallFull(hall_id=hall.id)
    if command.bug == "crash":
        raise ZeroDivisionError
    while command.bug == "endless":
        pass
    return ticket


def later(unit: Unit, command: Later, *, now: datetime) -> None:
    """Set or drop a timer."""
    if command.minutes < 0:
        unit.unschedule(command.timer_id)
    else:
        unit.schedule(command.timer_id, command.take, at=now + timedelta(minutes=command.minutes))


def send(unit: Unit, command: Send, *, now: datetime) -> None:
    """Have an errand run at once."""
    unit.schedule(f"errand:{command.errand.ticket_id}", command.errand, at=now)


def write_down(unit: Unit, event: SeatTaken, *, now: datetime) -> None:
    """The diary counts."""
    if event.hall_id == "unspeakable":
        raise ZeroDivisionError
    page = unit.find(Page, event.hall_id)
    unit.put(Page(id=event.hall_id, notes=1 if page is None else page.notes + 1))


CODEC = Codec(commands=[Build, Take, Later, Errand, Send], events=[SeatTaken])
HALLS = table("halls", Hall, key="id")
TICKETS = table("tickets", Ticket, key="id")
PAGES = table("pages", Page, key="id")
SCHEMA = Schema(
    database="toy",
    tables=[HALLS, TICKETS, PAGES],
    decides={Build: build, Take: take, Later: later, Send: send},
    hears={},
    follows={("halls", SeatTaken): [write_down]},
    errands=frozenset({Errand}),
    codec=CODEC,
)


def open_database(path: Path | None = None) -> Sqlite:
    """A database of the toy business, in memory or in a file; a file that exists is opened again."""
    return prepared(Sqlite(path))


def prepared(database: D) -> D:
    """A database with the tables of the toy business, made where they are not there."""
    migrate(database, ("every",), now=NOON)
    if "halls" not in tables_of(database):
        database.execute_script(TABLES)
    return database


def open_writer(database: Any, *, places_max: int = 1000, schema: Schema = SCHEMA) -> Writer:
    """A writer that starts where the database stands."""
    position, number = database.cursor()
    return Writer(schema, position=position, event_number=number, places_max=places_max)


def carry_out(writer: Writer, database: Any, commands: Sequence[Any], *, now: datetime = NOON) -> list[Outcome]:
    """Carry out commands, or requests, as one batch."""
    requests = [command if isinstance(command, Request) else Request(command) for command in commands]
    return drive(writer.carry_out(requests, now=now), database)


def state(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Everything kept, to compare before and after."""
    names = [name for name in tables_of(database) if name != "writer_cursor"]
    return {name: sorted(database.rows(f"SELECT * FROM {name}")) for name in names}
