"""Making a replica the primary when the primary is lost, and the old one its replica: docs/runbooks/promote.md."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.err import MySQLError

from tuanzi.engines.database.connections import Address, Patience, connect
from tuanzi.engines.database.statements import literal

# What was received is on the replica's disk; it is applied at thousands of transactions a second.
APPLY_S_MAX = 60.0
# Our choice: to stop a replica waits for the transaction that it applies.
ANSWER_S_MAX = 70.0


class NotPromoted(Exception):
    """No server was made the primary; says why. Nothing is lost by calling it again."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """Who takes writes now, from which position on, and how long that took."""

    primary: Address
    position: str
    took_s: float


@dataclass(frozen=True, slots=True)
class Copying:
    """How a replica reaches its primary: an account that may REPLICATION SLAVE."""

    user: str
    password: str


def promote(replicas: Sequence[Address], *, copying: Copying, apply_s_max: float = APPLY_S_MAX) -> Promotion:
    """Make the replica that received most the primary, and the others its replicas.

    The old primary must be dead, or it goes on acknowledging what nobody else will have. A repeat after a failure, with
    the same servers, goes on where that was. replicas: those that answer, reached by an account that may do all this
    (see the runbook). Raises NotPromoted: one still hears the primary, none can be reached, or one does not apply what
    it received; and MySQLError when one is lost meanwhile.
    """
    began = time.monotonic()
    found: list[_Found] = []
    for address in replicas:
        try:
            with _asked(address) as ask:
                found.append(_look_at(ask, address))
        except MySQLError as error:
            raise NotPromoted(f"{address}: {error}; leave it out only if it is lost for good") from error
    chosen = _choose(found)
    with _asked(chosen, wait_s=apply_s_max) as ask:
        position = _take_over(ask, chosen, apply_s_max)
    others = [each.address for each in found if each.address is not chosen]
    for address in others:
        follow(address, chosen, copying=copying)
    with _asked(chosen) as ask:
        # Alone it cannot wait for a witness: the next replica that follows makes it do so again (`follow`).
        ask(f"SET GLOBAL rpl_semi_sync_master_enabled = {'ON' if others else 'OFF'}")
        ask("SET GLOBAL read_only = OFF")
    return Promotion(primary=chosen, position=position, took_s=time.monotonic() - began)


def follow(replica: Address, primary: Address, *, copying: Copying) -> None:
    """Make `replica` copy `primary` from where it is, and be a witness of its commits. Twice is as once.

    The old primary too, when it was started so that it forgot what no replica has (see the runbook).
    """
    with _asked(replica) as ask:
        ask("SET GLOBAL read_only = ON")
        ask("STOP SLAVE")
        ask("SET GLOBAL rpl_semi_sync_master_enabled = OFF")
        ask("SET GLOBAL rpl_semi_sync_slave_enabled = ON")
        # What it wrote itself counts too, when it was a primary before.
        ask("SET GLOBAL gtid_slave_pos = @@global.gtid_current_pos")
        ask(
            f"CHANGE MASTER TO MASTER_HOST={literal(primary.host)}, MASTER_PORT={primary.port},"
            f" MASTER_USER={literal(copying.user)}, MASTER_PASSWORD={literal(copying.password)},"
            " MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD=1"
        )
        ask("START SLAVE")
    with _asked(primary) as ask:
        ask("SET GLOBAL rpl_semi_sync_master_enabled = ON")


@dataclass(frozen=True, slots=True)
class _Found:
    """A server as it is found. received: how much it has, applied or not. hears: the primary that it hears now, and
    its number. copies: whether it has a primary at all. writes: whether it takes writes."""

    address: Address
    server_id: int
    received: int
    hears: tuple[int, str] | None
    copies: bool
    writes: bool


def _look_at(ask: Any, address: Address) -> _Found:
    status = _status(ask)
    (row,) = ask(
        "SELECT @@global.server_id AS id, @@global.read_only AS is_closed, @@global.gtid_slave_pos AS heard,"
        " @@global.gtid_current_pos AS written"
    )
    position = status.get("Gtid_IO_Pos") or row["heard" if row["is_closed"] else "written"]
    hears = status.get("Slave_IO_Running") == "Yes"
    return _Found(
        address=address,
        server_id=row["id"],
        received=sum(int(part.split("-")[2]) for part in position.split(",") if part),
        hears=(status["Master_Server_Id"], f"{status['Master_Host']}:{status['Master_Port']}") if hears else None,
        copies=bool(status),
        writes=not row["is_closed"],
    )


def _choose(found: Sequence[_Found]) -> Address:
    """Whoever received most; of several who did the one that copies nobody, for it was chosen before, and that is who
    the others may hear already. Raises NotPromoted."""
    if not found:
        raise NotPromoted("there is no replica")
    ids = {each.server_id for each in found}
    for each in found:
        if each.hears is not None and each.hears[0] not in ids:
            raise NotPromoted(f"{each.address} still hears the primary {each.hears[1]}")
    writing = [each for each in found if each.writes and not each.copies]
    if len(writing) > 1:
        raise NotPromoted(f"{' and '.join(str(each.address) for each in writing)} take writes: one of them must not")
    if not writing:
        return max(found, key=lambda each: (each.received, not each.copies)).address
    (primary,) = writing
    for each in found:
        if (each.hears is None or each.hears[0] != primary.server_id) and each.received > primary.received:
            raise NotPromoted(f"{primary.address} takes writes, and {each.address} has more: it must not")
    return primary.address


def _take_over(ask: Any, address: Address, apply_s_max: float) -> str:
    """Apply everything that was received, and copy nobody any more; the position then."""
    status = _status(ask)
    if status:
        if status["Slave_SQL_Running"] == "No":
            # With both of its threads stopped a start throws away what was received, to ask a primary for it again.
            if status["Slave_IO_Running"] == "No" and not _is_applied(ask, status["Gtid_IO_Pos"], 0):
                raise NotPromoted(f"{address} has both threads stopped and {status['Gtid_IO_Pos']} not applied")
            ask("START SLAVE SQL_THREAD")
        # Not "has read all relay log": with parallel appliers that says nothing, and what is received would be lost.
        if not _is_applied(ask, status["Gtid_IO_Pos"], apply_s_max):
            raise NotPromoted(f"{address} has not applied {status['Gtid_IO_Pos']} within {apply_s_max:.0f} s")
        ask("STOP SLAVE")
        ask("RESET SLAVE ALL")
    ask("SET GLOBAL rpl_semi_sync_slave_enabled = OFF")
    position: str = ask("SELECT @@global.gtid_current_pos AS position")[0]["position"]
    return position


def _is_applied(ask: Any, position: str, within_s: float) -> bool:
    (row,) = ask(f"SELECT MASTER_GTID_WAIT({literal(position)}, {within_s}) AS came")
    return bool(row["came"] == 0)


def _status(ask: Any) -> dict[str, Any]:
    rows = ask("SHOW SLAVE STATUS")
    return rows[0] if rows else {}


@contextmanager
def _asked(address: Address, *, wait_s: float = 0.0) -> Iterator[Any]:
    """Asks one server, row by row as a mapping. wait_s: for how long it may be told to wait itself."""
    connection = connect(address, Patience(connect_s=2.0, answer_s=ANSWER_S_MAX + wait_s), schema=False)

    def ask(sql: str) -> list[dict[str, Any]]:
        with connection.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    try:
        yield ask
    finally:
        connection.close()
