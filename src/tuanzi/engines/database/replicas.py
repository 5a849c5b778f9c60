"""A primary that takes every write and replicas that answer questions, of which none is ever answered stale (A2).

Whoever has committed, or found something committed, is answered by a replica only when that has arrived there: the GTID
says so. A replica that stays behind, or does not answer, is left out until it has caught up. MariaDB alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import count
from typing import Any, TypeVar

from pymysql.err import MySQLError

from tuanzi.base.unit import Key
from tuanzi.engines.database.connections import Address, Door, Patience, Pool, ask, drop, is_lost, translated
from tuanzi.engines.database.mariadb import POSITION, READERS_MAX, MariaDb
from tuanzi.engines.database.statements import filled, literal
from tuanzi.machinery.database import Ask, DatabaseUnavailable, Flush
from tuanzi.machinery.tables import Row, Table

log = logging.getLogger("tuanzi.database")

V = TypeVar("V")

# Measured: a commit is on the replica after 0.4 ms, in one of a hundred after 6 ms. Who waits longer asks the primary.
WAIT_S_MAX = 0.02
# Our choice: a replica that is further behind what the primary had then answers nobody, whoever wrote.
LAG_S_MAX = 1.0
LOOK_AFTER_S = 0.1
# Our choice, in looks: one that is not near for a second leaves, and is back when it was near for half of one. So one
# that stays a little behind leaves once, and what lasts for less hurts only who reads then.
AWAY_LOOKS = 10
NEAR_LOOKS = 5
# One that is lost leaves when so many readers in a row were not answered: one alone may have asked too much.
FAILURES = 2
# Somebody waits for each answer, and the primary can give it too.
_REPLICA_PATIENCE = Patience(connect_s=0.5, answer_s=3.0)


class Behind(Exception):
    """The replica does not have what the reader must see; the primary has."""


class Replica:
    """One server as a replica. is_in: whether it is asked now."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.is_in = False
        self._reached: dict[str, int] = {}
        self._failures = 0
        self._near, self._away = NEAR_LOOKS, 0  # looks in a row
        self._is_lost = False  # since it left
        self._door = Door(address, _REPLICA_PATIENCE)
        self._pool = Pool(self._door.open, most=READERS_MAX, wait_s=_REPLICA_PATIENCE.connect_s)
        self._watch: Any = None

    def rows(self, sql: bytes, *, since: str, wait_s: float) -> list[Row]:
        """The rows of a query here. Raises Behind and MySQLError."""

        def ask_here(connection: Any) -> list[Row]:
            self._wait(connection, since, wait_s)
            return ask(connection, sql)

        with self._pool.lent(ask_here) as (_, rows):
            self._failures = 0
            return rows

    def look(self, reading: Callable[[Ask], V], *, since: str, wait_s: float) -> V:
        """What `reading` makes of one state here. Raises Behind and MySQLError before it begins, and what it raises."""

        def begin(connection: Any) -> None:
            self._wait(connection, since, wait_s)
            ask(connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

        with self._pool.lent(begin) as (connection, _):
            self._failures = 0

            def ask_here(sql: str, slots: Mapping[str, Any] | None = None) -> list[Row]:
                try:
                    return ask(connection, filled(sql, slots))
                except MySQLError as error:
                    raise translated(error, self.address) from error

            try:
                return reading(ask_here)
            finally:
                try:
                    ask(connection, "ROLLBACK")
                except MySQLError:
                    drop(connection)

    def failed(self, error: Exception) -> None:
        """A reader was not answered. Who is only behind for him, or does not like his question, stays."""
        if isinstance(error, Behind) or (isinstance(error, MySQLError) and not is_lost(error)):
            return
        self._failures += 1
        if self._failures >= FAILURES:
            self._is_lost = True
            self._leave(type(error).__name__)

    def look_after(self, needed: str, newest: str, wait_s: float) -> None:
        """Be asked again when it is a replica that has `needed` and is near, and nothing more when it is not.

        newest: what readers ask for now; it is near when that comes within `wait_s`. For one thread.
        """
        try:
            if self._watch is None:
                self._watch = self._door.open(schema=False)
            ((is_read_only, position),) = ask(self._watch, "SELECT @@global.read_only, @@global.gtid_slave_pos")
            has_needed = _has(_parts(position), needed)
            is_near = has_needed and (_has(_parts(position), newest) or _comes(self._watch, newest, wait_s))
        except (MySQLError, DatabaseUnavailable) as error:
            if self._watch is not None:
                drop(self._watch)
            self._watch = None
            self._is_lost = True
            self._leave(type(error).__name__)
            return
        self._near, self._away = (self._near + 1, 0) if is_near else (0, self._away + 1)
        if not is_read_only:
            self._leave("it takes writes")
        elif not has_needed:
            self._leave("it is behind")
        elif self._away >= AWAY_LOOKS:
            self._leave("it stays a little behind")
        elif not self.is_in and self._near >= NEAR_LOOKS:
            self._join()

    def _leave(self, why: str) -> None:
        """Be asked nothing more until `look_after` finds it well again."""
        self._near = 0
        if self.is_in:
            self.is_in = False
            self._reached = {}
            log.warning("database.replica_left", extra={"replica": str(self.address), "reason": why})

    def _join(self) -> None:
        if self._is_lost:
            self._pool.close()
        self._is_lost = False
        self._failures = 0
        self.is_in = True
        log.warning("database.replica_joined", extra={"replica": str(self.address)})

    def close(self) -> None:
        """Close its connections."""
        self.is_in = False
        self._pool.close()
        if self._watch is not None:
            drop(self._watch)

    def _wait(self, connection: Any, since: str, wait_s: float) -> None:
        if _has(self._reached, since):
            return
        if not _comes(connection, since, wait_s):
            self._failures = 0
            raise Behind(f"{self.address} does not have {since}")
        for domain, number in _parts(since).items():
            self._reached[domain] = max(number, self._reached.get(domain, 0))


class Replicated:
    """A database on several servers, as `tuanzi.machinery.database.Database` promises it.

    Of the servers of the address whichever takes writes is the primary, after a promotion another than before. Where
    this process does not write itself, a reader is shown what was committed when he came (`since`), by a position that
    whoever writes has told with an answer, or for which the primary was asked, once for several.
    """

    def __init__(
        self,
        address: Address,
        *,
        patience: Patience | None = None,
        wait_s_max: float = WAIT_S_MAX,
        lag_s_max: float = LAG_S_MAX,
    ) -> None:
        """address: with its `others`. wait_s_max: how long a reader waits for what he must see to arrive at a replica.

        Raises DatabaseUnavailable when no server takes writes.
        """
        self.primary = MariaDb(address, patience=patience, tracks_gtid=True)
        self.replicas = [Replica(each) for each in address.each]
        self.answered_by_replicas = 0
        self.answered_by_primary = 0
        self.primary_asked = 0
        self._known = ("", -1.0)
        self._knowing, self._asking = threading.Lock(), threading.Lock()
        self._writes_here = False
        self._wait_s_max = wait_s_max
        self._lag_s_max = lag_s_max
        self._turns = count()
        self._closing = threading.Event()
        self._carer = threading.Thread(target=self._care, name=f"replicas-{address.schema}", daemon=True)
        self._carer.start()

    @property
    def token(self) -> str:
        """What a reader must be shown from now on, in another process too. Raises DatabaseUnavailable."""
        if self._writes_here:
            return self.primary.gtid
        self.primary_asked += 1
        ((position,),) = self.primary.rows(POSITION)
        return str(position)

    def saw(self, position: str, *, as_of: float) -> None:
        """Know a position that whoever writes has told, behind all that he had committed by `as_of` (monotonic)."""
        with self._knowing:
            before, by = self._known
            self._known = (_later(before, position), max(by, as_of))

    def since(self, as_of: float) -> Since:
        """A reader who sees all that was committed by `as_of`, and whatever this process was told of.

        Where a position of then is known the primary is not asked; of several who need one, one asks for all who came
        before he did. Raises DatabaseUnavailable.
        """
        position, by = self._known
        if by < as_of:
            with self._asking:
                position, by = self._known
                if by < as_of:
                    asked_at = time.monotonic()
                    self.saw(self.token, as_of=asked_at)
                    position, _ = self._known
        return Since(self, position)

    def take_over(self) -> None:
        """Be the one that writes on the primary."""
        self._writes_here = True
        self.primary.take_over()

    def alone(self) -> AbstractContextManager[None]:
        """No other process that asks for this is in it meanwhile; for migrations."""
        return self.primary.alone()

    def execute_script(self, script: str) -> None:
        """Run a migration on the primary."""
        self._writes_here = True
        self.primary.execute_script(script)

    def cursor(self) -> tuple[int, int]:
        """The kept (position, event number); readers see at least that from now on."""
        kept = self.primary.cursor()
        self._writes_here = True
        return kept

    def fetch(self, table: Table[Any], keys: Sequence[Key]) -> list[Row]:
        """The rows with these keys on the primary."""
        return self.primary.fetch(table, keys)

    def commit(self, flush: Flush) -> None:
        """Keep a batch on the primary. Raises RowRefused, DatabaseUnavailable or Fenced."""
        self.primary.commit(flush)

    def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of a query over a committed state, in which is what this process committed, or anybody did."""
        return self.rows_since(self.token, sql, slots)

    def look(self, reading: Callable[[Ask], V]) -> V:
        """What `reading` makes of one committed state, in which is what this process committed, or anybody did."""
        return self.look_since(self.token, reading)

    def rows_since(self, token: str, sql: str, slots: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of a query over a state not older than `token`, of whatever process that is."""
        replica = self._choose()
        if replica is not None:
            said = filled(sql, slots)
            try:
                rows = replica.rows(said, since=token, wait_s=self._wait_s_max)
            except (Behind, MySQLError, DatabaseUnavailable) as error:
                replica.failed(error)
            else:
                self.answered_by_replicas += 1
                return rows
        self.answered_by_primary += 1
        return self.primary.rows(sql, slots)

    def look_since(self, token: str, reading: Callable[[Ask], V]) -> V:
        """What `reading` makes of one committed state not older than `token`.

        Raises DatabaseUnavailable when the replica is lost after its first answer; `reading` is not begun again.
        """
        replica = self._choose()
        begun = False

        def reading_here(question: Ask) -> V:
            nonlocal begun
            begun = True
            self.answered_by_replicas += 1
            return reading(question)

        if replica is not None:
            try:
                return replica.look(reading_here, since=token, wait_s=self._wait_s_max)
            except (Behind, MySQLError, DatabaseUnavailable) as error:
                replica.failed(error)
                if begun:
                    raise
        self.answered_by_primary += 1
        return self.primary.look(reading)

    def close(self) -> None:
        """Close every connection."""
        self._closing.set()
        self._carer.join(_REPLICA_PATIENCE.answer_s)
        for replica in self.replicas:
            replica.close()
        self.primary.close()

    def _choose(self) -> Replica | None:
        """One of the replicas that are asked now, in turns."""
        asked = [replica for replica in self.replicas if replica.is_in]
        return asked[next(self._turns) % len(asked)] if asked else None

    def _forget(self, known: tuple[str, float], position: str) -> None:
        """Know what the primary has instead of what it never had: a writer said it who is nobody any more."""
        with self._knowing:
            if self._known is known:
                self._known = (position, -1.0)

    def _care(self) -> None:
        """Look after the replicas: who has what the primary had LAG_S_MAX ago, and is near now, is asked."""
        had: deque[tuple[float, str]] = deque()
        while not self._closing.wait(LOOK_AFTER_S):
            now, known = time.monotonic(), self._known
            with suppress(DatabaseUnavailable):
                ((position,),) = self.primary.rows(POSITION)
                had.append((now, position))
                if not _has(_parts(position), known[0]):
                    self._forget(known, position)
            # Without a primary nobody falls behind; whoever reads his own write is still shown it, or nothing.
            while len(had) > 1 and had[1][0] <= now - self._lag_s_max:
                had.popleft()
            for replica in self.replicas:
                replica.look_after(*((had[0][1], had[-1][1]) if had else ("", "")), self._wait_s_max)


class Since:
    """What a reader sees who must be shown a position."""

    def __init__(self, database: Replicated, position: str) -> None:
        self._database = database
        self._position = position

    def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of a query."""
        return self._database.rows_since(self._position, sql, slots)

    def look(self, reading: Callable[[Ask], V]) -> V:
        """What `reading` makes of one state."""
        return self._database.look_since(self._position, reading)


def _later(one: str, other: str) -> str:
    """The position that has both."""
    latest: dict[str, tuple[int, str]] = {}
    for part in (*one.split(","), *other.split(",")):
        if part:
            domain, _, number = part.split("-")
            latest[domain] = max(latest.get(domain, (0, "")), (int(number), part))
    return ",".join(part for _, part in latest.values())


def _parts(position: str) -> dict[str, int]:
    """A GTID position, `domain-server-number` and so on, as the number of each domain."""
    parts = [part.split("-") for part in position.split(",") if part]
    return {domain: int(number) for domain, _, number in parts}


def _comes(connection: Any, position: str, wait_s: float) -> bool:
    ((came,),) = ask(connection, f"SELECT MASTER_GTID_WAIT({literal(position)}, {wait_s})")
    return bool(came == 0)


def _has(reached: Mapping[str, int], needed: str) -> bool:
    return all(reached.get(domain, 0) >= number for domain, number in _parts(needed).items())
