"""Connections to a server that speaks MySQL's protocol: made, lent out, and their errors in the words of the port."""

from __future__ import annotations

import contextlib
import re
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote

import pymysql
from pymysql.constants import CLIENT, FIELD_TYPE
from pymysql.converters import decoders
from pymysql.err import DataError, IntegrityError, MySQLError

from tuanzi.engines.database.rows import AHEAD_BYTES, Rows
from tuanzi.machinery.database import DatabaseUnavailable, RowRefused
from tuanzi.machinery.tables import Row

V = TypeVar("V")

# After a failed connection the next one is tried so much later; until then all fail at once, instead of one time-out
# for each half of a batch.
PAUSE_S = 0.25
CHARACTERS = "utf8mb4"

# The connection is gone, goes with this answer, or leads to a server that takes no writes (any more): 1290, 1836.
_LOST = frozenset({1053, 1077, 1290, 1836, 1927, 2002, 2003, 2006, 2013, 2014, 2055, 4031})
# Some row is wrong: besides what PyMySQL calls IntegrityError and DataError, a text of other characters and a number
# that is none, too long a row, and CHECK in the words of MariaDB and of MySQL.
_REFUSED = frozenset({1118, 1139, 1153, 1364, 1366, 1690, 3819, 4025})
# Amounts and counts are whole numbers; sums come as DECIMAL here, whatever was summed.
_DECODERS = {**decoders, FIELD_TYPE.DECIMAL: int, FIELD_TYPE.NEWDECIMAL: int}
# Single quotes are the only thing to be careful of in a text then; the rest is what SQLite does anyway.
_SQL_MODE = (
    "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY,"
    "NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,ANSI_QUOTES"
)


# What GROUP_CONCAT may make, in migrations: as long a text as a column holds. MySQL's own limit is 1024 bytes, and
# MariaDB's 1 MiB; beyond it the statement fails in a transaction, and is cut without a word elsewhere.
_TEXT_BYTES_MAX = 16 * 2**20 - 1


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is and as whom. schema: its name there. socket: of a server on this machine, instead of TCP.

    others: more servers that have it; whichever takes writes is the primary, the rest are its replicas.
    """

    host: str
    port: int
    user: str
    schema: str
    password: str = field(default="", repr=False)
    socket: str = ""
    others: tuple[tuple[str, int], ...] = ()

    @property
    def each(self) -> list[Address]:
        """The address of each server by itself."""
        alone = replace(self, others=())
        return [alone, *(replace(alone, host=host, port=port, socket="") for host, port in self.others)]

    def __str__(self) -> str:
        return f"{self.user}@{self.socket or f'{self.host}:{self.port}'}/{self.schema}"


def address_of(url: str) -> Address:
    """The address that `mysql://user:password@host:port,host:port/schema?socket=/path` names.

    Several hosts are a primary and its replicas, in any order. The socket is used where the first host is this machine
    and there is one. Raises ValueError, without the password.
    """
    # Not by urllib: Debian's refuses several hosts of which one is an IPv6 address.
    parts = _URL.fullmatch(url)
    if parts is None:
        raise ValueError("mysql://user:password@host:port/prefix is expected")
    user, password, hosts, schema, options = parts.groups(default="")
    if not _SCHEMA.fullmatch(schema):
        raise ValueError("after the host 1 to 32 lower-case letters, digits and _ are expected")
    places = [_place(text) for text in hosts.split(",")]
    (socket,) = parse_qs(options).get("socket", [""])
    is_here = places[0][0] in HERE and bool(socket) and Path(socket).is_socket()
    return Address(
        host=places[0][0],
        port=places[0][1],
        user=unquote(user),
        schema=schema,
        password=unquote(password),
        socket=socket if is_here else "",
        others=tuple(places[1:]),
    )


def server_at_place(place: str, *, user: str, password: str) -> Address:
    """The server at `host:port`, for work that is about all of its schemas. Raises ValueError."""
    host, port = _place(place)
    return Address(host=host, port=port, user=user, schema="mysql", password=password)


def _place(text: str) -> tuple[str, int]:
    found = _PLACE.fullmatch(text)
    if found is None or int(found[3] or 3306) > 65535:
        raise ValueError("host:port is expected, or several with a comma between")
    return found[1] or found[2], int(found[3] or 3306)


_URL = re.compile(r"mysql://([^:@/?]+)(?::([^/?]*))?@([^@/?]+)/?([^?]*)(?:\?(.*))?")
_PLACE = re.compile(r"(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?")
HERE = frozenset({"127.0.0.1", "localhost", "::1"})
_SCHEMA = re.compile(r"[a-z0-9_]{1,32}")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited at most: for a connection, for an answer, and for knowing what became of a commit.

    A commit of a full batch takes 5 to 20 ms; but a paused server takes connections and never answers. An unknown
    outcome is asked for over a restart of the server (0.2 s) or the promotion of a replica (some seconds).
    """

    connect_s: float = 2.0
    answer_s: float = 10.0
    outcome_s: float = 20.0

    @property
    def lock_s(self) -> int:
        """How long a statement waits for a lock: so that its answer still comes in time."""
        return max(1, int(self.answer_s / 2))


class Connection(pymysql.connections.Connection):  # type: ignore[misc]
    """A connection that tells MariaDB it will be sent rows in bulk. statements: ids of what it has parsed here."""

    def __init__(self, **options: Any) -> None:
        self.statements: dict[str, int] = {}
        super().__init__(**options)
        self._rfile = self._sock.makefile("rb", AHEAD_BYTES)

    @property
    def takes_bulk(self) -> bool:
        """Whether the server does take them so."""
        return is_mariadb(self.get_server_info())

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        """Hear the next answer; its rows are read by `Rows`, but for those that are asked for one after the other."""
        if unbuffered:
            return super()._read_query_result(unbuffered)
        self._result = None
        result = Rows(self)
        result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows

    def write_packet(self, payload: bytes) -> None:
        """Send a packet; in the answer to the server's greeting, say what this client can."""
        if payload[9:_GREETING] == _RESERVED and self.takes_bulk:
            (flags,) = struct.unpack_from("<I", payload)
            told = struct.pack("<I", flags & ~CLIENT.LONG_PASSWORD) + payload[4:_MORE_AT] + struct.pack("<I", _BULK)
            payload = told + payload[_GREETING:]
        super().write_packet(payload)


# What MariaDB's clients can stands behind MySQL's 32 flags, in what MySQL leaves zero, and counts when MySQL's first
# flag is not set. https://mariadb.com/kb/en/connection/
_BULK = 4
_MORE_AT, _GREETING = 28, 32
_RESERVED = bytes(23)


def connect(address: Address, patience: Patience, *, schema: bool = True) -> Connection:
    """A connection to one server, its session as the engine wants it; without `schema` in none. Raises MySQLError."""
    where = {"unix_socket": address.socket} if address.socket else {"host": address.host, "port": address.port}
    connection = Connection(
        **where,
        user=address.user,
        password=address.password,
        database=address.schema if schema else None,
        charset=CHARACTERS,
        autocommit=True,
        connect_timeout=patience.connect_s,
        read_timeout=patience.connect_s,  # of the greeting
        write_timeout=patience.answer_s,
        client_flag=CLIENT.MULTI_STATEMENTS | CLIENT.FOUND_ROWS,
        conv=_DECODERS,
        # On this machine nobody listens in; to get ready for TLS takes 35 ms a connection (measured).
        ssl_disabled=bool(address.socket) or address.host in HERE,
    )
    try:
        run_all(
            connection.cursor(),
            f"SET SESSION sql_mode = '{_SQL_MODE}', SESSION innodb_lock_wait_timeout = {patience.lock_s},"
            f" SESSION group_concat_max_len = {_TEXT_BYTES_MAX};"
            " SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;"
            f" SET NAMES {CHARACTERS} COLLATE {collation_of(connection.get_server_info())}",
        )
    except MySQLError:
        drop(connection)
        raise
    connection._read_timeout = patience.answer_s
    return connection


class Door:
    """Opens connections to one server; after a failure, or an answer that did not come, it stays shut for PAUSE_S."""

    def __init__(self, address: Address, patience: Patience) -> None:
        self.address = address
        self._patience = patience
        self._shut_until = 0.0

    def open(self, *, schema: bool = True) -> Any:
        """A new connection, ready for use. Raises MySQLError or DatabaseUnavailable."""
        if time.monotonic() < self._shut_until:
            raise DatabaseUnavailable(f"{self.address}: it could not be reached a moment ago")
        try:
            return connect(self.address, self._patience, schema=schema)
        except MySQLError:
            self.shut()
            raise

    def shut(self) -> None:
        """Let nobody try for a while: who waits for a server that stands still holds up all behind him."""
        self._shut_until = time.monotonic() + PAUSE_S


class PrimaryDoor:
    """Opens connections to whichever of some servers takes writes now; the one that did last is asked first."""

    def __init__(self, addresses: Sequence[Address], patience: Patience) -> None:
        self._doors = [Door(address, patience) for address in addresses]

    def open(self, *, schema: bool = True) -> Any:
        """A new connection to the primary. Raises MySQLError or DatabaseUnavailable."""
        doors = self._doors
        if len(doors) == 1:
            return doors[0].open(schema=schema)
        fault: Exception = DatabaseUnavailable("no server takes writes")
        for door in doors:
            try:
                connection = door.open(schema=schema)
                if not ask(connection, "SELECT @@global.read_only")[0][0]:
                    self._doors = [door, *(each for each in doors if each is not door)]
                    return connection
                drop(connection)
            except (MySQLError, DatabaseUnavailable) as error:
                fault = error
        raise fault

    def shut(self) -> None:
        """Let nobody try for a while the server that was asked last."""
        self._doors[0].shut()


class Pool:
    """Connections for readers: lent to one thread at a time, kept for the next."""

    def __init__(self, open_one: Callable[[], Any], *, most: int, wait_s: float) -> None:
        """most: connections at once; wait_s: how long somebody waits for one that is lent."""
        self._open = open_one
        self._free = threading.BoundedSemaphore(most)
        self._wait_s = wait_s
        self._idle: list[Any] = []

    @contextlib.contextmanager
    def lent(self, begin: Callable[[Any], V]) -> Iterator[tuple[Any, V]]:
        """A connection and what `begin` gave on it; tried again on a new one when the server had let it go meanwhile.

        Raises DatabaseUnavailable when all stay lent, and MySQLError.
        """
        if not self._free.acquire(timeout=self._wait_s):
            raise DatabaseUnavailable("all connections for readers are in use")
        connection: Any = None
        try:
            connection, begun = self._begin(begin)
            yield connection, begun
        finally:
            if connection is not None and connection.open:
                self._idle.append(connection)
            self._free.release()

    def close(self) -> None:
        """Close those that are not lent."""
        while self._idle:
            drop(self._idle.pop())

    def _begin(self, begin: Callable[[Any], V]) -> tuple[Any, V]:
        try:
            idle = self._idle.pop()
        except IndexError:
            idle = self._open()
            return idle, self._tried(idle, begin)
        try:
            return idle, self._tried(idle, begin)
        except MySQLError as error:
            if not is_lost(error) or is_late(error):
                raise
        self.close()  # what one was told, all others would be
        fresh = self._open()
        return fresh, self._tried(fresh, begin)

    def _tried(self, connection: Any, begin: Callable[[Any], V]) -> V:
        try:
            return begin(connection)
        except MySQLError as error:
            if is_lost(error):
                drop(connection)
            else:
                self._idle.append(connection)
            raise
        except BaseException:
            drop(connection)
            raise


def ask(connection: Any, sql: str | bytes) -> list[Row]:
    """The rows of one statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def run_all(cursor: Any, sql: str | bytes) -> None:
    """Carry out several statements sent as one."""
    cursor.execute(sql)
    while cursor.nextset():
        pass


def drop(connection: Any) -> None:
    """Let go of a connection without a word to the server, which then undoes what was not committed."""
    connection._force_close()


def collation_of(version: str) -> str:
    """The collation that compares and sorts texts byte by byte as SQLite does, spaces at their end too."""
    return "utf8mb4_nopad_bin" if is_mariadb(version) else "utf8mb4_0900_bin"


def is_mariadb(version: str) -> bool:
    """Whether a server that says this of itself is MariaDB."""
    return "mariadb" in version.lower()


def code_of(error: MySQLError) -> int:
    """The server's number of an error, or the client's; 0 for none."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def is_lost(error: MySQLError) -> bool:
    """Whether the connection cannot be used any more."""
    return code_of(error) in _LOST or isinstance(error, pymysql.err.InterfaceError)


def is_late(error: MySQLError) -> bool:
    """Whether the answer did not come within its time; a second try would wait as long again."""
    return isinstance(error.__context__, TimeoutError)


def translated(error: MySQLError, address: Address) -> RowRefused | DatabaseUnavailable:
    """A driver's error in the words of the port."""
    code = code_of(error)
    if code in _REFUSED or isinstance(error, (IntegrityError, DataError)):
        return RowRefused(str(error))
    return DatabaseUnavailable(f"{address}: {error}")
