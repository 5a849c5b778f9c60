"""A small schema to try databases with: things with a unique tag, and parts that belong to them."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from tests.machinery.toy import NOON
from tuanzi.machinery.database import Flush, Update
from tuanzi.machinery.migrate import Migratable, migrate
from tuanzi.machinery.tables import Table, table

TABLES = """
CREATE TABLE things (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    tag VARCHAR(64) NOT NULL UNIQUE,
    amount BIGINT NOT NULL CHECK (amount <> 13),
    body TEXT NOT NULL,
    note VARCHAR(64)
);

CREATE TABLE parts (
    thing_id VARCHAR(64) NOT NULL,
    line BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (thing_id, line),
    FOREIGN KEY (thing_id) REFERENCES things (id)
);

CREATE TABLE marks (
    thing_id VARCHAR(64) NOT NULL,
    kind VARCHAR(64) NOT NULL,
    PRIMARY KEY (thing_id, kind)
);
"""


class Thing(Struct, frozen=True, kw_only=True):
    """Anything."""

    id: str
    tag: str
    amount: int
    body: str
    note: str | None = None


class Part(Struct, frozen=True, kw_only=True):
    """A part of a thing."""

    thing_id: str
    line: int
    amount: int


class Mark(Struct, frozen=True, kw_only=True):
    """Something about a thing that has no more to it than its key."""

    thing_id: str
    kind: str


THINGS = table("things", Thing, key="id")
PARTS = table("parts", Part, key=("thing_id", "line"))
MARKS = table("marks", Mark, key=("thing_id", "kind"))


def prepare(database: Migratable) -> None:
    """Make the tables in a new database."""
    migrate(database, ("every",), now=NOON)
    database.execute_script(TABLES)


def thing(
    id: str, *, amount: int = 1, body: str = "", tag: str | None = None, note: str | None = None
) -> tuple[Any, ...]:
    """The row of a thing."""
    return THINGS.to_row(Thing(id=id, tag=id if tag is None else tag, amount=amount, body=body, note=note))


def update(of: Table[Any], rows: list[tuple[Any, ...]], *columns: str) -> Update:
    """These columns of rows that are there, made what they are in `rows`."""
    chosen = (*columns, *of.key)
    at = [of.columns.index(column) for column in chosen]
    return Update(of, chosen, [tuple(row[i] for i in at) for row in rows], lambda: rows)


def flush(database: Any, **content: Any) -> Flush:
    """The next batch after what the database keeps, of one command."""
    position, number = database.cursor()
    return Flush(before=position, after=position + 1, event_number=number + len(content.get("events", ())), **content)


def keep(database: Any, *rows: tuple[Any, ...]) -> None:
    """Commit new things."""
    database.commit(flush(database, inserts=[(THINGS, list(rows))]))


def ids(database: Any) -> list[str]:
    """The things that are there, in the database's order."""
    return [id for (id,) in database.rows("SELECT id FROM things ORDER BY id LIMIT 100000")]
