"""Databases and their servers for somebody who only looks: nothing is made, changed or locked (`tuanzi doctor`)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from pymysql.err import MySQLError

from tuanzi.engines.database.connections import Address, Patience, ask, code_of, connect, drop
from tuanzi.engines.database.statements import literal
from tuanzi.machinery.database import DatabaseUnavailable
from tuanzi.machinery.internal import PARKED_EVENTS, ParkedEvent

Rows = Callable[[str], list[Any]]
V = TypeVar("V")

# Our choice: whoever asks waits 3 s in all, for a server that stands still too.
PATIENCE = Patience(connect_s=2.0, answer_s=2.5)

_MIGRATIONS = "SELECT name, digest FROM schema_migrations ORDER BY name"
# Our choice: a busy campus's events of some hours. InnoDB counts by reading whole rows, a million a second at best: all
# that are kept for 90 days would take it minutes.
COUNTED_MAX = 200_000
# One statement, for it sees one state.
_SELF = (
    "SELECT "
    + f"(SELECT COUNT(*) FROM events WHERE number > (SELECT COALESCE(MAX(number), 0) FROM events) - {COUNTED_MAX}),"
    + """
    (SELECT COALESCE(MIN(number), 0) FROM events),
    (SELECT COALESCE(MAX(number), 0) FROM events), COALESCE((SELECT event_number FROM writer_cursor WHERE id = 1), -1),
    (SELECT COUNT(*) FROM parked_events), (SELECT at_ms FROM events ORDER BY number DESC LIMIT 1)
"""
)
# Our choice: a thousand are more than anybody reads; how many there are is in `Sight.parked`.
PARKED_SHOWN_MAX = 1_000
_PARKED = f"""
SELECT source, number, name, reason, parked_at_ms FROM parked_events
ORDER BY parked_at_ms, source, number LIMIT {PARKED_SHOWN_MAX}
"""
_POSITION = "SELECT position FROM writer_cursor WHERE id = 1"
_SERVER = "SELECT @@global.read_only, VERSION(), CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)"
# MariaDB says master, MySQL says source; neither has a row where semi-sync is not built in.
_WITNESSED = "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_%_status'"
_NO_SCHEMA, _NO_TABLE = 1049, 1146


@dataclass(frozen=True, slots=True)
class Sight:
    """What a database says of itself.

    migrations: their digests by name. oldest, newest: of its event log. counted: how many there are of the newest
    COUNTED_MAX. recorded: the number of the last event as its writer noted it. parked: events whose effect here a
    person must look at. newest_at_ms: when its newest event happened, by its writer's time; None where there is none.
    """

    migrations: dict[str, str]
    counted: int
    oldest: int
    newest: int
    recorded: int
    parked: int
    newest_at_ms: int | None


@dataclass(frozen=True, slots=True)
class ServerSight:
    """What a server says of itself. is_read_only: a replica. clock_ms: its time. is_witnessed: it answers for a commit
    only when another server has it."""

    version: str
    is_read_only: bool
    clock_ms: int
    is_witnessed: bool


def look_at_file(path: Path) -> Sight | None:
    """What a SQLite database keeps; None when it was not made yet. Raises DatabaseUnavailable."""
    return in_file(path, _sight)


def look_at_schema(address: Address) -> Sight | None:
    """What a schema of a server keeps; None when it was not made yet. Raises DatabaseUnavailable."""
    return in_schema(address, _sight)


def parked_in_file(path: Path) -> list[ParkedEvent]:
    """Events laid aside in a SQLite database, the oldest first. Raises DatabaseUnavailable."""
    return in_file(path, _parked) or []


def parked_in_schema(address: Address) -> list[ParkedEvent]:
    """Events laid aside in a schema of a server, as `parked_in_file`. Raises DatabaseUnavailable."""
    return in_schema(address, _parked) or []


def position_in_file(path: Path) -> int:
    """How often a SQLite database was written to, 0 when it was not made yet. Raises DatabaseUnavailable."""
    return in_file(path, lambda rows: sum(int(position) for (position,) in rows(_POSITION))) or 0


def in_file(path: Path, reading: Callable[[Rows], V]) -> V | None:
    """What `reading` makes of a SQLite database; None when it was not made yet. Raises DatabaseUnavailable."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=1.0)) as connection:
            return reading(lambda sql: connection.execute(sql).fetchall())
    except sqlite3.OperationalError as error:
        if str(error).startswith("no such table: schema_migrations"):
            return None
        raise DatabaseUnavailable(f"{path}: {error}") from error
    except sqlite3.Error as error:
        raise DatabaseUnavailable(f"{path}: {error}") from error


def in_schema(address: Address, reading: Callable[[Rows], V]) -> V | None:
    """What `reading` makes of a schema of a server; None when it was not made yet. Raises DatabaseUnavailable."""
    try:
        connection = connect(address, PATIENCE)
        try:
            return reading(lambda sql: ask(connection, sql))
        finally:
            drop(connection)
    except MySQLError as error:
        if code_of(error) == _NO_SCHEMA or (code_of(error) == _NO_TABLE and "schema_migrations" in str(error)):
            return None
        raise DatabaseUnavailable(f"{address}: {error}") from error


def look_at_server(address: Address) -> ServerSight:
    """What a server says, whichever schemas it has. Raises DatabaseUnavailable."""
    try:
        connection = connect(address, PATIENCE, schema=False)
        try:
            ((is_read_only, version, clock_ms),) = ask(connection, _SERVER)
            states = {str(name).lower(): state for name, state in ask(connection, _WITNESSED)}
        finally:
            drop(connection)
    except MySQLError as error:
        raise DatabaseUnavailable(str(error.args[-1] if error.args else error)) from error
    is_witnessed = any(states.get(f"rpl_semi_sync_{name}_status") == "ON" for name in ("master", "source"))
    return ServerSight(str(version), bool(is_read_only), int(clock_ms), is_witnessed)


def is_written(address: Address) -> bool:
    """Whether a process that took a schema over writes there now (`MariaDb.take_over`). Raises DatabaseUnavailable."""
    try:
        connection = connect(address, PATIENCE, schema=False)
        try:
            ((holder,),) = ask(connection, f"SELECT IS_USED_LOCK({literal(f'{address.schema}.writer')})")
        finally:
            drop(connection)
    except MySQLError as error:
        raise DatabaseUnavailable(str(error.args[-1] if error.args else error)) from error
    return holder is not None


def _parked(rows: Rows) -> list[ParkedEvent]:
    rows(_MIGRATIONS)  # fails as `_sight` does where nothing was made yet
    return [PARKED_EVENTS.from_row(row) for row in rows(_PARKED)]


def _sight(rows: Rows) -> Sight:
    migrations = {str(name): str(digest) for name, digest in rows(_MIGRATIONS)}
    ((counted, oldest, newest, recorded, parked, newest_at_ms),) = rows(_SELF)
    at_ms = None if newest_at_ms is None else int(newest_at_ms)
    return Sight(migrations, int(counted), int(oldest), int(newest), int(recorded), int(parked), at_ms)
