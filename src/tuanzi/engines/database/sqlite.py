"""SQLite: the embedded default, WAL with synchronous=FULL, one file for each database (E1)."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from tuanzi.base.unit import Key
from tuanzi.machinery.database import Ask, DatabaseUnavailable, Fenced, Flush, RowRefused, Update
from tuanzi.machinery.tables import Row, Table

V = TypeVar("V")

# Rows of one statement: few statements, for after each this thread must get Python's lock back from a busy loop.
# SQLite allows 32,766 slots in one.
_ROWS_AT_ONCE = 128
_SLOTS_MAX = 16_000
# To make a statement ready takes some 10 us a row, more than to write it, and some kB a row while it is kept: so there
# are a few sizes. What a batch has less is filled up; rows are left out by LIMIT, keys by being NULL.
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384)
_KEYS_AT_ONCE = _SIZES[-1]
# See `_note_in`.
_MEMORY, _FILES = "MEMORY", "FILE"


# A fold beside commits waits for the disk as each of them does, so a busy campus folds twice a second: so many rows are
# half a second's at 1,300 chains, and some 30 MiB of log. Measured there: with 4,000 the processor a chain was 937 us,
# so 895. A log that a commit has to fold, 64 MiB of it, took 57 to 203 ms.
_ROWS_BETWEEN_FOLDS = 16_000


class Sqlite:
    """One SQLite file; also `:memory:` for a simulation, whose disk it then is.

    Readers have connections of their own, one for each thread, so that they see a committed state and never wait.
    """

    def __init__(self, path: Path | None, *, synchronous: str = "FULL") -> None:
        self._path = path
        self._synchronous = synchronous
        self._statements: dict[tuple[str, str, tuple[str, ...], int], str] = {}
        self._readers = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._folder = ThreadPoolExecutor(1, thread_name_prefix="fold")
        self._folding: Future[None] | None = None
        self._rows_logged = 0
        # SQLite opens what it may not write for reading, and says so only when the first row is to be kept.
        if path is not None and path.exists() and not os.access(path, os.W_OK):
            raise DatabaseUnavailable(f"{path}: it may only be read")
        self._writer = self._open()
        self._note_in(_MEMORY)

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                ":memory:" if self._path is None else self._path,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=2048,
                timeout=5.0,
            )
            # Of a new file only. Measured beside 4 kiB: a split's rows take 7 % less of the processor to write, the row
            # of a lone command 3 % more; with 16 kiB it takes a quarter more.
            connection.execute("PRAGMA page_size = 8192")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA cache_size = -32768")  # 32 MiB for the pages of one connection
            # 256 MiB of log: only where `_fold` does not keep up.
            connection.execute("PRAGMA wal_autocheckpoint = 32000")
        except sqlite3.Error as error:
            raise DatabaseUnavailable(self._named(error)) from error
        self._opened.append(connection)
        return connection

    def alone(self) -> AbstractContextManager[None]:
        """The folder of the files is one process's, which is alone anyway."""
        return nullcontext()

    def copy(self) -> Sqlite:
        """Another database in memory with the same content: to copy one costs a tenth of having it migrated."""
        other = Sqlite(None, synchronous=self._synchronous)
        self._writer.backup(other._writer)
        return other

    def take_over(self) -> None:
        """Nobody else writes to a folder's files; the cursor says so if it happens all the same."""

    def execute_script(self, script: str) -> None:
        """Run a migration as one transaction. Raises DatabaseUnavailable or RowRefused."""
        try:
            self._note_in(_FILES)  # an index of many rows is sorted there
            self._writer.executescript(f"BEGIN IMMEDIATE;\n{_spoken(script)}\nCOMMIT;")
        except sqlite3.Error as error:
            self._roll_back()
            raise self._translated(error) from error
        finally:
            self._note_in(_MEMORY)

    def _note_in(self, where: str) -> None:
        """Where the writing connection notes each page that a statement of several rows changes, in case a later row is
        refused. In files it makes one for each batch of more than 64 KiB, writes it, and removes it. Measured: so a
        chain's rows took a quarter more of the processor.
        """
        self._writer.execute(f"PRAGMA temp_store = {where}")

    def cursor(self) -> tuple[int, int]:
        """The kept (position, event number)."""
        try:
            position, number = self._writer.execute(
                "SELECT position, event_number FROM writer_cursor WHERE id = 1"
            ).fetchone()
        except sqlite3.Error as error:
            raise self._translated(error) from error
        return int(position), int(number)

    def fetch(self, table: Table[Any], keys: Sequence[Key]) -> list[Row]:
        """The rows with these keys, in any order; missing ones are left out."""
        rows: list[Row] = []
        columns = ", ".join(table.columns)
        try:
            for i in range(0, len(keys), _KEYS_AT_ONCE):
                some = keys[i : i + _KEYS_AT_ONCE]
                where, slots = _one_of(table, some)
                rows += self._writer.execute(f"SELECT {columns} FROM {table.name} WHERE {where}", slots).fetchall()
        except sqlite3.Error as error:
            raise self._translated(error) from error
        return rows

    def commit(self, flush: Flush) -> None:
        """Keep a batch. Raises RowRefused, DatabaseUnavailable or Fenced."""
        execute = self._writer.execute
        try:
            execute("BEGIN IMMEDIATE")
            moved = execute(
                "UPDATE writer_cursor SET position = ?, event_number = ? WHERE id = 1 AND position = ?",
                (flush.after, flush.event_number, flush.before),
            ).rowcount
            if moved != 1:
                raise Fenced(f"the cursor is not at {flush.before}")
            for table, keys in flush.removes:
                self._remove(table, keys)
            for table, rows in flush.inserts:
                self._write("insert", table.name, table.columns, table.key, rows)
            for table, rows in flush.upserts:
                self._write("upsert", table.name, table.columns, table.key, rows)
            for update in flush.updates:
                self._update(update)
            if flush.events:
                self._write("insert", "events", _EVENT_COLUMNS, ("number",), flush.events)
            execute("COMMIT")
            if self._path is not None:
                self._fold(flush)
        except sqlite3.Error as error:
            self._roll_back()
            raise self._translated(error) from error
        except (OverflowError, UnicodeEncodeError) as error:  # more than 64 bits, half of a character
            self._roll_back()
            raise RowRefused(str(error)) from error
        except BaseException:
            self._roll_back()
            raise

    def _fold(self, flush: Flush) -> None:
        """Have the log folded into the file beside the commits that go on; then, with the commit after, the little that
        was logged meanwhile, so that the log begins anew. A commit that folds all of it keeps everybody waiting.
        """
        self._rows_logged += len(flush.events) + sum(len(rows) for _, rows in chain(flush.inserts, flush.upserts))
        self._rows_logged += sum(len(update.rows) for update in flush.updates)
        if self._folding is not None and self._folding.done():
            self._folding = None
            _fold_by(self._writer)
        elif self._folding is None and self._rows_logged >= _ROWS_BETWEEN_FOLDS:
            self._rows_logged = 0
            self._folding = self._folder.submit(lambda: _fold_by(self._reader()))

    def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of a query over a committed state; may be called by any thread."""
        try:
            return self._reader().execute(sql, slots or {}).fetchall()
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def look(self, reading: Callable[[Ask], V]) -> V:
        """What `reading` makes of the answers to its questions, all of one committed state; called by any thread.

        In memory the one connection is also the writer's, so that nobody may commit meanwhile.
        """
        if self._path is None:
            return reading(self.rows)
        connection = self._reader()
        connection.execute("BEGIN")
        try:
            return reading(self.rows)
        finally:
            connection.execute("ROLLBACK")

    def _reader(self) -> sqlite3.Connection:
        """This thread's own connection; in memory the only one."""
        connection: sqlite3.Connection | None = (
            self._writer if self._path is None else getattr(self._readers, "connection", None)
        )
        if connection is None:
            connection = self._readers.connection = self._open()
        return connection

    def close(self) -> None:
        """Close every connection; the log is folded into the file."""
        self._folder.shutdown(wait=True)
        for connection in self._opened:
            connection.close()
        self._opened.clear()

    def _remove(self, table: Table[Any], keys: Sequence[Key]) -> None:
        for i in range(0, len(keys), _KEYS_AT_ONCE):
            where, slots = _one_of(table, keys[i : i + _KEYS_AT_ONCE])
            self._writer.execute(f"DELETE FROM {table.name} WHERE {where}", slots)

    def _update(self, update: Update) -> None:
        """Change rows in part. Measured with four of an order's eighteen columns, without those of indexes: 1.6 us of
        processor a row, written as a whole 8.7. Raises RowRefused when one of them is not there."""
        found = self._write("update", update.table.name, update.columns, update.table.key, update.rows)
        if found != len(update.rows):
            raise RowRefused(f"{update.table.name}: {found} rows to change of {len(update.rows)}")

    def _write(self, how: str, name: str, columns: Sequence[str], key: Sequence[str], rows: Sequence[Row]) -> int:
        """Write rows, some in each statement; how many were written."""
        written = 0
        most = min(_ROWS_AT_ONCE, _SLOTS_MAX // len(columns))
        for i in range(0, len(rows), most):
            some = rows[i : i + most]
            size = min(_SIZES[bisect_left(_SIZES, len(some))], most)
            slots = list(chain.from_iterable(some))
            if size > 1:
                slots += [None] * (len(columns) * (size - len(some)))
                slots.append(len(some))
            written += self._writer.execute(self._statement(how, name, columns, key, size), slots).rowcount
        return written

    def _statement(self, how: str, name: str, columns: Sequence[str], key: Sequence[str], size: int) -> str:
        part = tuple(columns) if how == "update" else ()
        sql = self._statements.get((how, name, part, size))
        if sql is None:
            one = f"({', '.join('?' * len(columns))})"
            values = f"VALUES {', '.join([one] * size)}"
            if size > 1:
                values = f"SELECT * FROM ({values}) WHERE TRUE LIMIT ?"
            others = [column for column in columns if column not in key]
            if how == "update":
                cells = {column: f"told.column{i}" for i, column in enumerate(columns, start=1)}
                changes = ", ".join(f"{column} = {cells[column]}" for column in others)
                same = " AND ".join(f"{name}.{column} = {cells[column]}" for column in key)
                sql = f"UPDATE {name} SET {changes} FROM ({values}) AS told WHERE {same}"
            else:
                sql = f"INSERT INTO {name} ({', '.join(columns)}) {values}"
            if how == "upsert":
                changes = ", ".join(f"{column} = excluded.{column}" for column in others)
                sql += f" ON CONFLICT ({', '.join(key)}) DO " + (f"UPDATE SET {changes}" if changes else "NOTHING")
            self._statements[how, name, part, size] = sql
        return sql

    def _roll_back(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")

    def _translated(self, error: sqlite3.Error) -> RowRefused | DatabaseUnavailable:
        """The engine's error in the words of the port."""
        if isinstance(error, (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.DataError)):
            return RowRefused(str(error))
        return DatabaseUnavailable(self._named(error))

    def _named(self, error: sqlite3.Error) -> str:
        return str(error) if self._path is None else f"{self._path}: {error}"


def _one_of(table: Table[Any], keys: Sequence[Key]) -> tuple[str, list[Any]]:
    """The condition that a row has one of at most `_KEYS_AT_ONCE` keys, and the values of its slots."""
    size = _SIZES[bisect_left(_SIZES, len(keys))]
    width = len(table.key)
    slots: list[Any] = list(keys) if width == 1 else [part for key in keys for part in key]
    slots += [None] * (width * (size - len(keys)))
    if width == 1:
        return f"{table.key[0]} IN ({', '.join('?' * size)})", slots
    one = f"({', '.join('?' * width)})"
    return f"({', '.join(table.key)}) IN (VALUES {', '.join([one] * size)})", slots


def _spoken(script: str) -> str:
    """The portable schema as SQLite keeps it best: rows stand in the tree of their primary key, not in one of their
    own beside it. A whole-number key is the row's number then; tables of short rows go without one (with long
    rows that costs more than it saves: measured, 87 us of commit an order instead of 68). An index takes only the rows
    that a remark behind it names, `-- WHERE ...`; other databases, to which it is none, have all rows in it."""
    tables = []
    for table in re.split(r"(?<=\);\n)", script):
        if "CREATE TABLE" in table and "PRIMARY KEY" in table:
            numbered = table.replace("BIGINT NOT NULL PRIMARY KEY", "INTEGER NOT NULL PRIMARY KEY")
            is_short = " TEXT" not in table
            table = re.sub(r"\n\);\n$", "\n) WITHOUT ROWID;\n", table) if is_short and numbered == table else numbered
        tables.append(table)
    spoken = re.sub(r"^(CREATE INDEX .*); -- (WHERE .*)$", r"\1 \2;", "".join(tables), flags=re.MULTILINE)
    # Its indexes have names of their own, where MySQL's belong to a table.
    return re.sub(r"DROP INDEX (\w+) ON \w+;", r"DROP INDEX \1;", spoken)


def _fold_by(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # such as a full disk: what is logged is kept, and folded another time
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


_EVENT_COLUMNS = ("number", "name", "version", "at_ms", "body")
