"""The port to a database: what the writer asks of it, whatever engine keeps the promise (architecture section 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

from tuanzi.base.unit import Key
from tuanzi.machinery.tables import Row, Table

V = TypeVar("V")


class Ask(Protocol):
    """Answers a question in SQL, with `:name` slots."""

    def __call__(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[Row]: ...


class DatabaseError(Exception):
    """A batch was not kept."""


class RowRefused(DatabaseError):
    """A key, CHECK or foreign key of the database says no: some command of the batch is wrong."""


class DatabaseUnavailable(DatabaseError):
    """The database cannot keep anything now: disk full, file gone, I/O error."""


class Fenced(DatabaseError):
    """Another writer has moved the cursor: this one must stop. Nothing of the batch was written."""


@dataclass(frozen=True, slots=True)
class Update:
    """Rows of a table that are there, as the writer knows, and differ from what they were in some columns.

    columns: those, then the table's key; rows: their cells. whole: makes the same rows with all columns of the table,
    for an engine to which parts of rows are no gain.
    """

    table: Table[Any]
    columns: tuple[str, ...]
    rows: list[Row]
    whole: Callable[[], list[Row]]


@dataclass(slots=True)
class Flush:
    """One batch, ready to be kept: all or nothing.

    inserts, upserts: rows by table, in the tables' order. updates: parts of rows; when one of these is not there after
    all the batch is refused, or the row is there again as a whole. removes: keys by table.
    events: (number, name, version, at_ms, body) without gaps.
    before, after: the writer's cursor; the commit fails with Fenced when it is not `before`.
    event_number: the last event's number after this batch.
    """

    before: int
    after: int
    event_number: int
    inserts: list[tuple[Table[Any], list[Row]]] = field(default_factory=list)
    upserts: list[tuple[Table[Any], list[Row]]] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    removes: list[tuple[Table[Any], list[Key]]] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)


@runtime_checkable
class Dictating(Protocol):
    """A database that somebody else writes: a batch is told to him, and no thread of this process waits."""

    async def dictate(self, flush: Flush) -> None:
        """As `Database.commit`, for several batches, which are kept in the order of the calls; called in the loop, and
        only there."""


class Database(Protocol):
    """One database and its promise: what `commit` returned for is durable, across a crash and a power loss.

    Every method blocks; `commit` and `fetch` are called by one thread at a time.
    """

    def cursor(self) -> tuple[int, int]:
        """The kept (position, event number)."""

    def fetch(self, table: Table[Any], keys: Sequence[Key]) -> list[Row]:
        """The rows with these keys, in any order; missing ones are left out."""

    def commit(self, flush: Flush) -> None:
        """Keep a batch. Raises RowRefused, DatabaseUnavailable or Fenced; then nothing of it is kept, except that
        after DatabaseUnavailable the outcome may be unknown: `cursor` tells."""

    def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of a query over a committed state; may be called by any thread."""

    def look(self, reading: Callable[[Ask], V]) -> V:
        """What `reading` makes of the answers to its questions, all of one committed state; called by any thread."""

    def close(self) -> None:
        """Let go of files and connections; nothing may be called after it."""
