"""Which copy of a campus's databases is in charge: each copy has a token, and the platform's database says which holds.

So two processes that are told different servers never decide for the same campus: one of them finds a token that is not
in charge. Addresses are not compared, for one server has many.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pymysql.err import MySQLError

from tuanzi.engines.database.connections import Address, Patience, PrimaryDoor, ask, code_of, drop, translated
from tuanzi.engines.database.statements import literal
from tuanzi.machinery.database import DatabaseUnavailable

HERE = "here"
# Whoever begins a new installation waits so long for the platform's tables, which another process may be making.
_PLATFORM_S_MAX = 10.0
_AGAIN_S = 0.1
# No schema, no table.
_NOT_MADE = frozenset({1049, 1146})


class Elsewhere(DatabaseUnavailable):
    """These databases are not in charge of their campus; says why."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A row of `residences`. left_for: the token of the next copy; "" for none. going_to: where that is.

    position, event_number: of the cursor when this copy was left.
    """

    token: str
    left_for: str = ""
    going_to: str = ""
    position: int = 0
    event_number: int = 0


class Residence:
    """The databases of a campus as a process was told them, beside what the platform says. Every method blocks."""

    def __init__(self, campus: str, *, platform: Address, databases: Mapping[str, Address]) -> None:
        self.campus = campus
        self._platform = platform
        self._databases = databases
        self._is_known = False

    def check(self) -> None:
        """Before these are opened. Raises Elsewhere when others are in charge, or nobody while the campus moves."""
        with connected(self._platform) as platform:
            registered = find_mark(platform, self.campus)
        self._is_known = registered is not None
        if registered is None:
            return
        if registered.left_for:
            raise Elsewhere(f"{self.campus} is on its way to {registered.going_to}: tuanzi move goes on with it")
        for address in self._databases.values():
            with connected(address) as connection:
                mark = find_mark(connection, HERE)
            if mark is None or mark.token != registered.token or mark.left_for:
                raise Elsewhere(f"{address} is not in charge of {self.campus}: see TUANZI_DATABASES and tuanzi move")

    def register(self, *, fresh: str) -> None:
        """Once these are open: be in charge, when nobody was yet. fresh: a token for that. A repeat changes nothing.

        Raises Elsewhere when another process was first with other databases.
        """
        if self._is_known:
            return
        with self._platform_made() as platform:
            if find_mark(platform, self.campus) is not None:
                self.check()
                return
            first, *others = self._databases.values()
            with connected(first) as connection:
                keep_mark(connection, HERE, Mark(fresh), is_first=True)
                mark = find_mark(connection, HERE)
            assert mark is not None
            for address in others:
                with connected(address) as connection:
                    keep_mark(connection, HERE, mark)
            keep_mark(platform, self.campus, Mark(mark.token), is_first=True)
        self.check()

    @contextmanager
    def _platform_made(self) -> Iterator[Any]:
        until = time.monotonic() + _PLATFORM_S_MAX
        while True:
            with connected(self._platform) as platform:
                if platform is not None and is_made(platform):
                    yield platform
                    return
            if time.monotonic() > until:
                raise DatabaseUnavailable(f"{self._platform}: the platform is not made yet")
            time.sleep(_AGAIN_S)


def is_made(connection: Any) -> bool:
    """Whether a database has marks."""
    return bool(ask(connection, "SHOW TABLES LIKE 'residences'"))


def find_mark(connection: Any, name: str) -> Mark | None:
    """The mark of this name; None where there is none, or no database (a connection that is None)."""
    if connection is None:
        return None
    sql = f"SELECT token, left_for, going_to, position, event_number FROM residences WHERE name = {literal(name)}"
    try:
        rows = ask(connection, sql)
    except MySQLError as error:
        if code_of(error) in _NOT_MADE:
            return None
        raise
    return Mark(*rows[0]) if rows else None


def keep_mark(connection: Any, name: str, mark: Mark, *, is_first: bool = False) -> None:
    """Keep a mark. is_first: only where there is none."""
    cells = (name, mark.token, mark.left_for, mark.going_to, mark.position, mark.event_number)
    verb = "INSERT IGNORE" if is_first else "REPLACE"
    ask(connection, f"{verb} INTO residences VALUES ({', '.join(map(literal, cells))})")


@contextmanager
def connected(address: Address, *, patience: Patience | None = None) -> Iterator[Any]:
    """A connection to the primary of a database, which is dropped afterwards; None when there is no such database.

    Raises DatabaseUnavailable.
    """
    connection = None
    try:
        try:
            connection = PrimaryDoor(address.each, patience or Patience()).open()
        except MySQLError as error:
            if code_of(error) not in _NOT_MADE:
                raise
        yield connection
    except MySQLError as error:
        raise translated(error, address) from error
    finally:
        if connection is not None:
            drop(connection)
