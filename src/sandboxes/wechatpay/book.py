"""The sandbox's books: one SQLite file, every change committed before it is answered; and its own time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

CHINA = timezone(timedelta(hours=8))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trades (
    out_trade_no TEXT PRIMARY KEY,
    asked TEXT NOT NULL,
    prepay_id TEXT NOT NULL UNIQUE,
    prepay_until_ms INTEGER NOT NULL,
    transaction_id TEXT UNIQUE,
    openid TEXT NOT NULL,
    description TEXT NOT NULL,
    attach TEXT NOT NULL,
    total_fen INTEGER NOT NULL CHECK (total_fen > 0),
    is_shared INTEGER NOT NULL,
    notify_url TEXT NOT NULL,
    serial TEXT NOT NULL,
    state TEXT NOT NULL,
    closes_at_ms INTEGER,
    opened_at_ms INTEGER NOT NULL,
    paid_at_ms INTEGER,
    fee_fen INTEGER NOT NULL DEFAULT 0,
    frozen_fen INTEGER NOT NULL DEFAULT 0 CHECK (frozen_fen >= 0),
    own_fen INTEGER NOT NULL DEFAULT 0 CHECK (own_fen >= 0),
    promised_fen INTEGER NOT NULL DEFAULT 0 CHECK (promised_fen >= 0),
    refunded_fen INTEGER NOT NULL DEFAULT 0 CHECK (refunded_fen <= total_fen)
);
CREATE TABLE IF NOT EXISTS refunds (
    out_refund_no TEXT PRIMARY KEY,
    refund_id TEXT NOT NULL UNIQUE,
    out_trade_no TEXT NOT NULL REFERENCES trades,
    asked TEXT NOT NULL,
    refund_fen INTEGER NOT NULL CHECK (refund_fen > 0),
    reason TEXT NOT NULL,
    notify_url TEXT NOT NULL,
    state TEXT NOT NULL,
    asked_at_ms INTEGER NOT NULL,
    settles_at_ms INTEGER,
    settled_at_ms INTEGER
);
CREATE INDEX IF NOT EXISTS refunds_of ON refunds (out_trade_no);
CREATE INDEX IF NOT EXISTS refunds_due ON refunds (settles_at_ms) WHERE settles_at_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS receivers (
    type TEXT NOT NULL,
    account TEXT NOT NULL,
    relation TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (type, account)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shares (
    out_order_no TEXT PRIMARY KEY,
    order_id TEXT NOT NULL UNIQUE,
    out_trade_no TEXT NOT NULL REFERENCES trades,
    kind TEXT NOT NULL,
    asked TEXT NOT NULL,
    unfreezes INTEGER NOT NULL,
    state TEXT NOT NULL,
    asked_at_ms INTEGER NOT NULL,
    finishes_at_ms INTEGER,
    is_stuck INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS shares_of ON shares (out_trade_no);
CREATE INDEX IF NOT EXISTS shares_due ON shares (finishes_at_ms) WHERE finishes_at_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS parts (
    out_order_no TEXT NOT NULL REFERENCES shares,
    line INTEGER NOT NULL,
    detail_id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    account TEXT NOT NULL,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    description TEXT NOT NULL,
    result TEXT NOT NULL,
    fail_reason TEXT,
    finished_at_ms INTEGER,
    returned_fen INTEGER NOT NULL DEFAULT 0 CHECK (returned_fen BETWEEN 0 AND amount_fen),
    PRIMARY KEY (out_order_no, line)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS returns (
    out_return_no TEXT PRIMARY KEY,
    return_id TEXT NOT NULL UNIQUE,
    out_order_no TEXT NOT NULL REFERENCES shares,
    asked TEXT NOT NULL,
    return_mchid TEXT NOT NULL,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    description TEXT NOT NULL,
    result TEXT NOT NULL,
    fail_reason TEXT,
    asked_at_ms INTEGER NOT NULL,
    settles_at_ms INTEGER,
    finished_at_ms INTEGER
);
CREATE INDEX IF NOT EXISTS returns_of ON returns (out_order_no);
CREATE INDEX IF NOT EXISTS returns_due ON returns (settles_at_ms) WHERE settles_at_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS funds (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    business TEXT NOT NULL,
    business_id TEXT NOT NULL,
    voucher TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    amount_fen INTEGER NOT NULL,
    balance_fen INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS balances (
    account TEXT PRIMARY KEY,
    fen INTEGER NOT NULL CHECK (fen >= 0)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS callbacks (
    id TEXT PRIMARY KEY,
    event_type TEXT NOT NULL,
    out_trade_no TEXT NOT NULL,
    url TEXT NOT NULL,
    serial TEXT NOT NULL,
    original_type TEXT NOT NULL,
    summary TEXT NOT NULL,
    resource TEXT NOT NULL,
    made_at_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at_ms INTEGER,
    state TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS callbacks_due ON callbacks (due_at_ms) WHERE due_at_ms IS NOT NULL;
CREATE INDEX IF NOT EXISTS callbacks_of ON callbacks (out_trade_no);
CREATE TABLE IF NOT EXISTS attempts (
    callback_id TEXT NOT NULL REFERENCES callbacks,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    answer TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS attempts_of ON attempts (callback_id);
CREATE TABLE IF NOT EXISTS bill_files (
    token TEXT PRIMARY KEY,
    content BLOB NOT NULL,
    until_ms INTEGER NOT NULL
) WITHOUT ROWID;
"""
_DEPENDENTS_FIRST = (
    *("attempts", "callbacks", "bill_files", "funds", "balances"),
    *("returns", "parts", "shares", "refunds", "receivers", "trades"),
)


class Clock:
    """The sandbox's own time: `scale` times as fast as the machine's, from wherever it was set; 0 stands still.

    What is signed carries the machine's time, for both sides check it; all else is dated by this clock.
    """

    def __init__(self, machine: Callable[[], datetime], *, at: datetime | None = None, scale: float = 1.0) -> None:
        self.machine = machine
        self.set(at=at or machine(), scale=scale)

    def set(self, *, at: datetime, scale: float, since: datetime | None = None) -> None:
        """From now on, or since that time of the machine, it is `at`, and time goes by `scale` times as fast."""
        self.scale = scale
        self._from_machine = since or self.machine()
        self._from = at

    def setting(self) -> list[str]:
        """How it was set, as texts to be remembered."""
        return [self._from.isoformat(), str(self.scale), self._from_machine.isoformat()]

    def now(self) -> datetime:
        """What time it is here."""
        return self._from + (self.machine() - self._from_machine) * self.scale

    def machine_s(self, ms: int) -> float:
        """How many of the machine's seconds so many milliseconds of this clock last."""
        return ms / 1000 / self.scale if self.scale > 0 else 3600.0


class Book:
    """Rows by name, and changes that are kept whole or not at all; for one thread.

    is_durable: wait for the disk at every change. Without it a killed process still loses nothing, but a machine
    without power may: for tests, where whoever asks gives up after seconds that a busy disk takes for itself.
    """

    def __init__(self, path: Path, *, is_durable: bool = True) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        synchronous = "FULL" if is_durable else "OFF"
        for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_SCHEMA)
        self._depth = 0

    @contextmanager
    def change(self) -> Iterator[None]:
        """Keep everything written in this block at its end, or nothing when it raises; may be nested."""
        if self._depth:
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        else:
            self._connection.execute("COMMIT")
        finally:
            self._depth = 0

    def rows(self, sql: str, **slots: Any) -> list[sqlite3.Row]:
        """The rows of a query."""
        return self._connection.execute(sql, slots).fetchall()

    def find(self, sql: str, **slots: Any) -> sqlite3.Row | None:
        """The first row of a query."""
        found: sqlite3.Row | None = self._connection.execute(sql, slots).fetchone()
        return found

    def write(self, sql: str, **slots: Any) -> int:
        """Carry out a statement; gives how many rows it touched."""
        return self._connection.execute(sql, slots).rowcount

    def add(self, table: str, row: Mapping[str, Any]) -> None:
        """Add a row."""
        names = ", ".join(row)
        slots = ", ".join(f":{name}" for name in row)
        self._connection.execute(f"INSERT INTO {table} ({names}) VALUES ({slots})", dict(row))

    def recall(self, key: str) -> str | None:
        """A remembered text."""
        row = self.find("SELECT value FROM meta WHERE key = :key", key=key)
        return None if row is None else str(row["value"])

    def remember(self, key: str, value: str) -> None:
        """Remember a text."""
        self.write(
            "INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = :value",
            key=key,
            value=value,
        )

    def count(self, key: str) -> int:
        """The next number of a sequence; inside a change."""
        number = int(self.recall(key) or 0) + 1
        self.remember(key, str(number))
        return number

    def forget(self) -> None:
        """Empty every table but what is remembered; inside a change."""
        for table in _DEPENDENTS_FIRST:
            self._connection.execute(f"DELETE FROM {table}")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def to_ms(at: datetime) -> int:
    """Whole milliseconds since 1970."""
    return (at - _EPOCH) // _MS


def from_ms(at_ms: int) -> datetime:
    """The time so many milliseconds after 1970, in China."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(CHINA)


def rfc3339(at_ms: int) -> str:
    """As WeChat writes it: 2018-06-08T10:34:56+08:00."""
    return from_ms(at_ms).isoformat(timespec="seconds")
