"""Moves the databases of a campus to another server, without a loss: docs/runbooks/move.md.

Who is in charge changes in one commit, in the platform's database (`residence`). Before it the old databases are left:
without a row in `writer_cursor` no writer commits there, whatever he believes. All steps may be repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import pymysql

from tuanzi.engines.database.connections import Address, Patience, ask, run_all
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.residence import HERE, Mark, connected, find_mark, keep_mark
from tuanzi.engines.database.statements import inserts, literal
from tuanzi.machinery.database import DatabaseUnavailable, Fenced
from tuanzi.machinery.migrate import migrate, released

# A statement over all rows of a table may take so long.
_PATIENCE = Patience(connect_s=5.0, answer_s=600.0)
_ROWS_AT_ONCE = 2_000
# Our choice: each time another writer had been about to begin, and all of them now find that the campus is moving.
_TAKE_OVERS_MAX = 5
# Not copied: what is a copy's own. Nor laid aside, so that a process of before finds a database that was left.
_OWN = frozenset({"residences", "writer_cursor", "migration_step"})
_STAYS = frozenset({*_OWN, "schema_migrations"})
LAID_ASIDE = "left_"


class NotMoved(Exception):
    """A campus was not moved; says why, and which databases are in charge is as before."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What was copied. stopped_s: for how long nobody could write, 0 for a repeat that had nothing to do."""

    tables: int
    rows: int
    stopped_s: float


@dataclass(frozen=True, slots=True)
class Sums:
    """What a table is known by: its rows, the sum of each column of numbers, and of the digests of all rows."""

    rows: int
    numbers: tuple[int, ...]
    digest: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table of a database. numbers: its columns of numbers; key: what its rows are sorted by."""

    name: str
    columns: tuple[str, ...]
    numbers: tuple[str, ...]
    key: tuple[str, ...]


class Mover:
    """Moves one campus. platform: the platform's database; source, target: where the campus's are, by kind.

    told: called with each step that is done. Methods block, and raise NotMoved or DatabaseUnavailable.
    """

    def __init__(
        self,
        campus: str,
        *,
        platform: Address,
        source: Mapping[str, Address],
        target: Mapping[str, Address],
        now: datetime,
        told: Callable[[str], None],
    ) -> None:
        self._campus = campus
        self._platform = platform
        self._source = source
        self._target = target
        self._now = now
        self._told = told

    def move(self, *, fresh: str) -> Moved:
        """Move it, or go on where a mover was killed. fresh: a token for the new copy. A repeat changes nothing."""
        with self._alone() as platform:
            registered = self._registered(platform)
            if self._is_all(self._target, registered.token):
                return Moved(0, 0, 0.0)
            if not self._is_all(self._source, registered.token):
                raise NotMoved(f"{_said(self._source)} is not in charge of {self._campus}")
            goal = self._begin(platform, registered, fresh)
            began = time.monotonic()
            self._leave(goal)
            self._told("the old databases are written no more")
            tables, rows = self._copy(goal)
            for address in self._source.values():
                self._lay_aside(address)
            self._told("the old databases are read no more")
            # On the connection that holds the lock: who lost that changes nothing.
            changed = _changed(
                platform,
                f"UPDATE residences SET token = {literal(goal)}, left_for = '', going_to = ''"
                f" WHERE name = {literal(self._campus)} AND token = {literal(registered.token)}"
                f" AND left_for = {literal(goal)}",
            )
            if changed != 1:
                raise NotMoved("the platform says otherwise; run it again")
            self._told("the new databases are in charge")
        return Moved(tables, rows, time.monotonic() - began)

    def go_back(self) -> None:
        """Let the old databases go on, as long as the new ones are not in charge. A repeat changes nothing."""
        with self._alone() as platform:
            registered = self._registered(platform)
            if not registered.left_for:
                raise NotMoved(f"{self._campus} is not on its way")
            if not self._is_all(self._source, registered.token):
                raise NotMoved(f"{_said(self._source)} is not where {self._campus} was")
            for address in self._source.values():
                self._lay_aside(address, is_back=True)
                with self._writing(address) as connection:
                    run_all(
                        connection.cursor(),
                        "START TRANSACTION;"
                        " INSERT INTO writer_cursor (id, position, event_number) SELECT 1, position, event_number"
                        f" FROM residences WHERE name = '{HERE}' AND left_for <> '';"
                        f" UPDATE residences SET left_for = '' WHERE name = '{HERE}'; COMMIT",
                    )
            keep_mark(platform, self._campus, Mark(registered.token))
            self._told("the old databases are in charge as before")

    # the steps

    def _begin(self, platform: Any, registered: Mark, fresh: str) -> str:
        """Note where the campus goes, and make the databases there; the token of the new copy."""
        there = _said(self._target)
        if registered.left_for and registered.going_to != there:
            raise NotMoved(f"{self._campus} is on its way to {registered.going_to}: go on there, or go back first")
        goal = registered.left_for or fresh
        for kind, address in self._target.items():
            made = MariaDb(address)
            try:
                with self._writing(address) as connection:
                    mark = find_mark(connection, HERE)
                    if (mark is None and _has_events(connection)) or (mark is not None and mark.token != goal):
                        raise NotMoved(f"{address}: it is in use, or of a move that was given up; drop it first")
                migrate(made, ("every", kind), now=self._now)
            finally:
                made.close()
            with self._writing(self._source[kind]) as connection:
                wanted = [(name, digest) for name, _, digest in released(("every", kind))]
                name = _there(connection, "schema_migrations")
                kept = ask(connection, f'SELECT name, digest FROM "{name}"')
                if sorted(kept) != sorted(wanted):
                    raise NotMoved(f"{self._source[kind]}: it is not at this release; run its writer once")
        keep_mark(platform, self._campus, Mark(registered.token, left_for=goal, going_to=there))
        self._told(f"{self._campus} is on its way to {there}")
        return goal

    def _leave(self, goal: str) -> None:
        """Take from whoever writes the cursor that each of his commits needs; he is ended, asleep or not.

        A writer who had looked who is in charge before the platform noted the move may take over once more.
        """
        for address in self._source.values():
            for tries_left in reversed(range(_TAKE_OVERS_MAX)):
                try:
                    self._leave_one(address, goal)
                    break
                except (Fenced, DatabaseUnavailable):
                    if not tries_left:
                        raise

    def _leave_one(self, address: Address, goal: str) -> None:
        left = MariaDb(address)
        try:
            left.take_over()
            left.execute_script(
                f"UPDATE residences SET left_for = {literal(goal)},"
                " position = (SELECT position FROM writer_cursor WHERE id = 1),"
                " event_number = (SELECT event_number FROM writer_cursor WHERE id = 1)"
                f" WHERE name = '{HERE}' AND left_for = ''; DELETE FROM writer_cursor WHERE id = 1"
            )
        finally:
            left.close()

    def _copy(self, goal: str) -> tuple[int, int]:
        """Make the new databases as the old ones are, and prove it; how many tables and rows."""
        tables = rows = 0
        for kind, address in self._target.items():
            with self._writing(self._source[kind]) as source, self._writing(address) as target:
                left = find_mark(source, HERE)
                assert left is not None
                sheets = _sheets(target)
                if sheets != _sheets(source):
                    raise NotMoved(f"{address} has other tables than {self._source[kind]}")
                if not _is_whole(target, goal):
                    keep_mark(target, HERE, Mark(goal))
                    ask(target, "DELETE FROM writer_cursor")
                    ask(target, "SET SESSION foreign_key_checks = 0")
                    for sheet in sheets:
                        self._copy_sheet(source, target, sheet)
                for sheet in sheets:
                    was, now = (sums(each, sheet, name=_there(each, sheet.name)) for each in (source, target))
                    if was != now:
                        raise NotMoved(f"{address}: {sheet.name} has {now}, and {self._source[kind]} {was}")
                    tables, rows = tables + 1, rows + was.rows
                ask(
                    target,
                    "REPLACE INTO writer_cursor (id, position, event_number)"
                    f" VALUES (1, {left.position}, {left.event_number})",
                )
                ((events, newest),) = ask(target, "SELECT COUNT(*), COALESCE(MAX(number), 0) FROM events")
                if newest != left.event_number:
                    raise NotMoved(f"{address}: its last event is {newest}, and its writer noted {left.event_number}")
                self._told(f"{address} has the same {len(sheets)} tables, {events} events, and its cursor")
        return tables, rows

    def _copy_sheet(self, source: Any, target: Any, sheet: Sheet) -> None:
        """All rows of a table, in the order of its key."""
        ask(target, f'DELETE FROM "{sheet.name}"')
        columns, key, was = _names(sheet.columns), _names(sheet.key), _there(source, sheet.name)
        with source.cursor(pymysql.cursors.SSCursor) as reading:
            reading.execute(f'SELECT {columns} FROM "{was}" ORDER BY {key}')
            while rows := reading.fetchmany(_ROWS_AT_ONCE):
                statements = inserts(sheet.name, sheet.columns, list(rows), "")
                run_all(target.cursor(), ";".join(["START TRANSACTION", *statements, "COMMIT"]))

    def _lay_aside(self, address: Address, *, is_back: bool = False) -> None:
        """Call the tables otherwise, so that no reader is answered by what was left; or as before."""
        with self._writing(address) as connection:
            ask(connection, "SET SESSION lock_wait_timeout = 30")
            names = [name for name in _tables(connection) if name not in _STAYS]
            if is_back:
                pairs = [(name, name.removeprefix(LAID_ASIDE)) for name in names if name.startswith(LAID_ASIDE)]
            else:
                pairs = [(name, LAID_ASIDE + name) for name in names if not name.startswith(LAID_ASIDE)]
            if pairs:
                ask(connection, "RENAME TABLE " + ", ".join(f'"{old}" TO "{new}"' for old, new in pairs))

    # who is who

    @contextmanager
    def _alone(self) -> Iterator[Any]:
        """The platform's connection, as the only one who moves this campus, for as long as that connection lives."""
        with self._writing(self._platform) as connection:
            name = literal(f"{self._platform.schema}.move.{self._campus}")
            ((locked,),) = ask(connection, f"SELECT GET_LOCK({name}, 1)")
            if locked != 1:
                raise NotMoved(f"somebody else is moving {self._campus}")
            yield connection

    def _registered(self, platform: Any) -> Mark:
        mark = find_mark(platform, self._campus)
        if mark is None:
            raise NotMoved(f"no writer has begun {self._campus} yet")
        return mark

    def _is_all(self, databases: Mapping[str, Address], token: str) -> bool:
        """Whether all of these are the copy with this token."""
        marks = []
        for address in databases.values():
            with connected(address) as connection:
                marks.append(find_mark(connection, HERE))
        return all(mark is not None and mark.token == token for mark in marks)

    @contextmanager
    def _writing(self, address: Address) -> Iterator[Any]:
        with connected(address, patience=_PATIENCE) as connection:
            if connection is None:
                raise DatabaseUnavailable(f"{address}: there is no such database")
            yield connection


def sums(connection: Any, sheet: Sheet, *, name: str) -> Sums:
    """What the table called `name` holds, as far as sums tell."""
    cells = ", '|', ".join(f'QUOTE("{column}")' for column in sheet.columns)
    # 48 bits of each row's digest: a sum of them is exact, and does not depend on the order.
    parts = ["COUNT(*)", f"SUM(CAST(CONV(LEFT(MD5(CONCAT({cells})), 12), 16, 10) AS DECIMAL(20)))"]
    parts += [f'SUM("{column}")' for column in sheet.numbers]
    ((rows, digest, *numbers),) = ask(connection, f'SELECT {", ".join(parts)} FROM "{name}"')
    return Sums(int(rows), tuple(int(number or 0) for number in numbers), int(digest or 0))


def _sheets(connection: Any) -> list[Sheet]:
    """The tables of a database that are copied, by name; those laid aside under the name that they had."""
    rows = ask(
        connection,
        "SELECT table_name, column_name, data_type = 'bigint', column_key = 'PRI' FROM information_schema.columns"
        " WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position",
    )
    sheets = []
    for name, columns in groupby(rows, key=lambda row: str(row[0])):
        all_of = list(columns)
        if name not in _OWN:
            names, numbers, key = (
                tuple(str(row[1]) for row in all_of if is_in(row))
                for is_in in (lambda _: True, lambda row: row[2], lambda row: row[3])
            )
            sheets.append(Sheet(name.removeprefix(LAID_ASIDE), names, numbers, key))
    return sorted(sheets, key=lambda sheet: sheet.name)


def _tables(connection: Any) -> list[str]:
    return [str(name) for (name,) in ask(connection, "SHOW TABLES")]


def _there(connection: Any, name: str) -> str:
    """What a table is called now."""
    return LAID_ASIDE + name if LAID_ASIDE + name in _tables(connection) else name


def _has_events(connection: Any) -> bool:
    return "events" in _tables(connection) and bool(ask(connection, "SELECT number FROM events LIMIT 1"))


def _is_whole(connection: Any, token: str) -> bool:
    """Whether this copy was finished: its cursor is put there last."""
    mark = find_mark(connection, HERE)
    return mark is not None and mark.token == token and bool(ask(connection, "SELECT id FROM writer_cursor"))


def _changed(connection: Any, sql: str) -> int:
    with connection.cursor() as cursor:
        return int(cursor.execute(sql))


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _said(databases: Mapping[str, Address]) -> str:
    """Where a campus is, for people."""
    first = next(iter(databases.values()))
    servers = ",".join(f"{each.host}:{each.port}" for each in first.each)
    return f"{servers}/{first.schema.rsplit('_', 2)[0]}"
