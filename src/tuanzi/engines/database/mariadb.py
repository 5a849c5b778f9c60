"""MariaDB, or another server that speaks MySQL's protocol: one schema for each database of the house (E1).

What differs from SQLite, and what rooms therefore may not say in SQL, stands in docs/sql.md.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from pymysql.err import MySQLError

from tuanzi.base.unit import Key
from tuanzi.engines.database.bulk import BulkBatch, bulk_batch, insert, prepare
from tuanzi.engines.database.connections import (
    PAUSE_S,
    Address,
    Patience,
    Pool,
    PrimaryDoor,
    ask,
    code_of,
    collation_of,
    drop,
    is_late,
    is_lost,
    run_all,
    translated,
)
from tuanzi.engines.database.statements import changes_schema, filled, literal, one_of, packets, spoken, statements_of
from tuanzi.machinery.database import Ask, DatabaseUnavailable, Fenced, Flush
from tuanzi.machinery.tables import Row, Table

V = TypeVar("V")

# One thread for each reader of a desk, and some to spare.
READERS_MAX = 16
_KEYS_AT_ONCE = 256
# Two processes that open a new database make its schema one after the other.
_LOCK_S_MAX = 60
# How long the connection of a predecessor may take to end when it is killed; and one of our own that was just lost.
_TAKE_OVER_S_MAX = 5
# Less than anybody waits for an answer.
_TAKE_OVER_TRY_S = 1
_OWN_S_MAX = 2
# What a statement of a migration says when it was carried out before: its table, column, index or key is there.
_EXISTS = frozenset({1050, 1060, 1061, 1091, 1826})
# Behind all that a primary has committed, its own and what it had received before it was one.
POSITION = "SELECT @@global.gtid_current_pos"
# What is asked outside of a batch is no part of a transaction.
_ALONE = "SET autocommit = 1"
_STEPS = """
CREATE TABLE IF NOT EXISTS migration_step (
    id BIGINT NOT NULL PRIMARY KEY,
    script VARCHAR(64) NOT NULL,
    done BIGINT NOT NULL
)
"""


class MariaDb:
    """One schema on a server, as `tuanzi.machinery.database.Database` promises it.

    Readers share a few connections; the writer has one of its own. A lost one is made again before its next use, with
    whichever server of the address takes writes then.

    gtid: behind everything that this process has committed or has found committed, where `tracks_gtid`.
    """

    def __init__(self, address: Address, *, patience: Patience | None = None, tracks_gtid: bool = False) -> None:
        """Makes the schema when there is none and the account may. Raises DatabaseUnavailable."""
        self.address = address
        self.gtid = ""
        self._tracks_gtid = tracks_gtid
        self._patience = patience or Patience()
        self._door = PrimaryDoor(address.each, self._patience)
        self._readers = Pool(self._door.open, most=READERS_MAX, wait_s=self._patience.answer_s)
        self._writer: Any = None
        self._is_unsure = False
        self._is_owner = False
        self._own_id = 0  # the server's, of the last connection that was the one to write by
        with self._translating():
            maker = self._door.open(schema=False)
            self._collation = collation_of(maker.get_server_info())
            self._takes_bulk = maker.takes_bulk
            if not ask(maker, f"SHOW DATABASES LIKE {literal(address.schema)}"):
                ask(maker, f'CREATE DATABASE IF NOT EXISTS "{address.schema}" COLLATE {self._collation}')
            maker.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process that asks for this is in it meanwhile. Raises DatabaseUnavailable when one is for long."""
        with self._translating():
            connection = self._door.open(schema=False)
            wait_s = int(min(_LOCK_S_MAX, self._patience.answer_s - 1))
            ((locked,),) = ask(connection, f"SELECT GET_LOCK({literal(f'{self.address.schema}.alone')}, {wait_s})")
        try:
            if locked != 1:
                raise DatabaseUnavailable(f"{self.address}: another process changes its schema")
            yield
        finally:
            drop(connection)

    def take_over(self) -> None:
        """Be the one that writes here: end the connection of whoever was, with what he had not committed.

        He may be paused, or cut off, in the middle of a transaction whose locks would outlast everybody's patience.
        When he comes back he is told Fenced. Raises DatabaseUnavailable.
        """
        self._is_owner = False
        self._let_go()
        name = literal(f"{self.address.schema}.writer")
        with self._translating():
            connection = self._door.open()
            try:
                locked, until = 0, time.monotonic() + _TAKE_OVER_S_MAX
                while locked != 1 and time.monotonic() < until:
                    ((holder,),) = ask(connection, f"SELECT IS_USED_LOCK({name})")
                    if holder is not None:
                        with suppress(MySQLError):  # it may have gone by itself
                            ask(connection, f"KILL {int(holder)}")
                    # Whoever was ended and lives comes back at once, and may be there first: then once more.
                    ((locked,),) = ask(connection, f"SELECT GET_LOCK({name}, {_TAKE_OVER_TRY_S})")
            except BaseException:
                drop(connection)
                raise
            if locked == 1:
                self._writer, self._own_id = connection, connection.thread_id()
            else:
                drop(connection)
        self._is_owner = True

    def execute_script(self, script: str) -> None:
        """Run a migration. Raises DatabaseUnavailable or RowRefused.

        Statements that change rows alone are one transaction. One that changes the schema commits by itself here: then
        the statements done are counted in `migration_step`, and a script that was interrupted goes on where it was when
        it is run again.
        """
        statements = statements_of(script)
        with self._translating(), self._written() as cursor:
            if any(map(changes_schema, statements)):
                self._execute_stepwise(cursor, [spoken(statement, self._collation) for statement in statements])
            else:
                run_all(cursor, ";".join(["START TRANSACTION", *statements, "COMMIT"]))
            if self._tracks_gtid:
                cursor.execute(POSITION)
                self.gtid = cursor.fetchone()[0]

    def _execute_stepwise(self, cursor: Any, statements: list[str]) -> None:
        """Carry out statements that commit by themselves: each once, whenever this is interrupted and run again."""
        if len(statements) == 1:
            cursor.execute(statements[0])  # all or nothing as it is
            return
        # Changes of rows are not counted in: the note that a migration is done has the time in it.
        mark = hashlib.sha256("\n".join(filter(changes_schema, statements)).encode()).hexdigest()
        cursor.execute(_STEPS)
        cursor.execute(f"SELECT done FROM migration_step WHERE script = '{mark}'")
        found = cursor.fetchone()
        if found is None:
            cursor.execute(f"REPLACE INTO migration_step (id, script, done) VALUES (1, '{mark}', 0)")
        done = 0 if found is None else int(found[0])
        for i, statement in enumerate(statements[done:], start=done):
            is_last = i + 1 == len(statements)
            note = "DELETE FROM migration_step" if is_last else f"UPDATE migration_step SET done = {i + 1}"
            if not changes_schema(statement):
                run_all(cursor, ";".join(["START TRANSACTION", statement, note, "COMMIT"]))
                continue
            try:
                cursor.execute(statement)
            except MySQLError as error:
                if found is None or i != done or code_of(error) not in _EXISTS:
                    raise
            cursor.execute(note)

    def cursor(self) -> tuple[int, int]:
        """The kept (position, event number). After a commit whose answer was lost it waits until that is known.

        Raises Fenced where a campus was moved away.
        """
        sql = "SELECT position, event_number FROM writer_cursor WHERE id = 1"
        until = time.monotonic() + self._patience.outcome_s
        while True:
            try:
                # The lock waits for the old transaction where that may still be about to commit.
                rows = self._asked(f"{sql} FOR UPDATE" if self._is_unsure else sql)
            except DatabaseUnavailable:
                if not self._is_unsure or time.monotonic() > until:
                    raise
                time.sleep(PAUSE_S / 5)
                continue
            self._is_unsure = False
            if not rows:  # see `residence`: whoever writes here is nobody any more
                raise Fenced(f"{self.address}: it was left, and is written no more")
            ((position, number),) = rows
            if self._tracks_gtid:
                ((self.gtid,),) = self._asked(POSITION)
            return int(position), int(number)

    def fetch(self, table: Table[Any], keys: Sequence[Key]) -> list[Row]:
        """The rows with these keys, in any order; missing ones are left out."""
        rows: list[Row] = []
        columns = ", ".join(table.columns)
        for i in range(0, len(keys), _KEYS_AT_ONCE):
            where = one_of(table, keys[i : i + _KEYS_AT_ONCE])
            rows += self._asked(f"SELECT {columns} FROM {table.name} WHERE {where}")
        return rows

    def commit(self, flush: Flush) -> None:
        """Keep a batch. Raises RowRefused, DatabaseUnavailable or Fenced."""
        batch = bulk_batch(flush) if self._takes_bulk else None
        with self._translating():
            self._again_if_let_go(lambda: self._send(flush, batch))
            with self._written() as cursor:
                self._is_unsure = True
                cursor.execute(f"COMMIT; {_ALONE}; SELECT @@last_gtid" if self._tracks_gtid else f"COMMIT; {_ALONE}")
                cursor.nextset()
                if self._tracks_gtid:
                    cursor.nextset()
                    self.gtid = cursor.fetchone()[0]
                self._is_unsure = False

    def _send(self, flush: Flush, batch: BulkBatch | None) -> None:
        """Everything of a batch but its COMMIT. Raises Fenced; then, as after any error, nothing is left of it."""
        with self._written() as cursor:
            ids = None if batch is None else prepare(self._writer, batch)
            if batch is not None and ids is not None:
                self._begin(cursor, flush, batch.begin)
                insert(self._writer, batch, ids)
                return
            begin, *others = packets(flush)
            self._begin(cursor, flush, begin)
            for packet in others:
                run_all(cursor, packet)

    def _begin(self, cursor: Any, flush: Flush, statements: bytes) -> None:
        """The first statements of a batch, of which the second moves the cursor. Raises Fenced."""
        cursor.execute(statements)
        cursor.nextset()
        if cursor.rowcount != 1:
            raise Fenced(f"the cursor is not at {flush.before}")
        while cursor.nextset():
            pass

    def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of a query over a committed state; may be called by any thread."""
        said = filled(sql, slots)
        with self._translating(), self._readers.lent(lambda connection: ask(connection, said)) as (_, rows):
            return rows

    def look(self, reading: Callable[[Ask], V]) -> V:
        """What `reading` makes of the answers to its questions, all of one committed state; called by any thread."""
        begin = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
        with self._translating(), self._readers.lent(lambda connection: ask(connection, begin)) as (connection, _):

            def ask_here(sql: str, slots: Mapping[str, Any] | None = None) -> list[Row]:
                with self._translating():
                    return ask(connection, filled(sql, slots))

            try:
                return reading(ask_here)
            finally:
                try:
                    ask(connection, "ROLLBACK")
                except MySQLError:
                    drop(connection)

    def close(self) -> None:
        """Close every connection."""
        self._readers.close()
        self._let_go()

    def _asked(self, sql: str) -> list[Row]:
        """The rows of a question on the writer's connection."""

        def ask_once() -> list[Row]:
            with self._written() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())

        with self._translating():
            return self._again_if_let_go(ask_once)

    def _again_if_let_go(self, work: Callable[[], V]) -> V:
        """Do what commits nothing: again when the server had let go of the connection since it was used last."""
        was_used = self._writer is not None
        try:
            return work()
        except MySQLError as error:
            if not was_used or not is_lost(error) or is_late(error):
                raise
        return work()

    @contextmanager
    def _written(self) -> Iterator[Any]:
        """A cursor of the writer's connection, made when there is none; after an error nothing is open on it."""
        if self._writer is None:
            self._writer = self._open_writer()
        try:
            yield self._writer.cursor()
        except MySQLError as error:
            try:
                if is_lost(error):
                    self._let_go()
                else:
                    run_all(self._writer.cursor(), f"ROLLBACK; {_ALONE}")
            except MySQLError:
                self._let_go()
            raise
        except BaseException:
            self._let_go()
            raise

    def _open_writer(self) -> Any:
        """A connection to write by. Raises Fenced when another took over, DatabaseUnavailable while the server is busy
        with what ours of before said: a commit that waits for a lost witness, a backup's lock or a disk."""
        connection = self._door.open()
        if self._is_owner:
            wait_s = int(min(_OWN_S_MAX, self._patience.answer_s - 1))  # its answer still comes in time
            name = literal(f"{self.address.schema}.writer")
            ((locked,),) = ask(connection, f"SELECT GET_LOCK({name}, {wait_s})")
            if locked != 1:
                ((holder,),) = ask(connection, f"SELECT IS_USED_LOCK({name})")
                drop(connection)
                if holder not in (None, self._own_id):
                    raise Fenced(f"{self.address}: another process writes here")
                self._door.shut()
                raise DatabaseUnavailable(f"{self.address}: it is busy with what was said before")
            self._own_id = connection.thread_id()
        return connection

    def _let_go(self) -> None:
        if self._writer is not None:
            drop(self._writer)
            self._writer = None

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except MySQLError as error:
            if is_late(error):
                self._door.shut()
            raise translated(error, self.address) from error
