"""A process that carries out commands, with a database whose cursor fences it: `python -m ... SERVERS PREFIX FILE`.

It keeps each command with the process that carried it out, and when.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time
from collections.abc import Sequence

from tests.engines.logs.owner import CAMPUSES
from tuanzi.engines.logs.kafka import KafkaCommandLog, KafkaSettings
from tuanzi.machinery.commandlog import Entry

SCHEMA = """
CREATE TABLE IF NOT EXISTS cursors (campus TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS kept (
  campus TEXT, number INTEGER, body TEXT, pid INTEGER, at REAL, PRIMARY KEY (campus, number)
);
"""


class Keeper:
    """An owner whose commands and cursor are kept in one commit, as a writer keeps them."""

    def __init__(self, file: str) -> None:
        self._database = sqlite3.connect(file, isolation_level=None, timeout=10.0)
        self._numbers: dict[str, int] = {}

    async def begin(self, campus: str) -> int:
        """Read the cursor."""
        rows = self._database.execute("SELECT number FROM cursors WHERE campus = ?", (campus,)).fetchall()
        self._numbers[campus] = rows[0][0]
        return self._numbers[campus]

    async def take(self, campus: str, entries: Sequence[Entry]) -> None:
        """Keep commands if nobody else has moved the cursor."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            moved = self._database.execute(
                "UPDATE cursors SET number = ? WHERE campus = ? AND number = ?",
                (entries[-1].number, campus, self._numbers[campus]),
            ).rowcount
            assert moved == 1, "fenced"
            self._database.executemany(
                "INSERT INTO kept VALUES (?, ?, ?, ?, ?)",
                [(campus, entry.number, entry.body.decode(), os.getpid(), time.time()) for entry in entries],
            )
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._numbers[campus] = entries[-1].number

    async def end(self, campus: str) -> None:
        """Leave the cursor to others."""


def prepare(file: str) -> sqlite3.Connection:
    """The database that the processes share, empty."""
    database = sqlite3.connect(file, isolation_level=None, timeout=10.0)
    database.execute("PRAGMA journal_mode=WAL")
    database.executescript(SCHEMA)
    database.executemany("INSERT INTO cursors VALUES (?, 0)", [(campus,) for campus in CAMPUSES])
    return database


if __name__ == "__main__":
    servers, prefix, file = sys.argv[1:]
    log = KafkaCommandLog(KafkaSettings(servers=servers, prefix=prefix), campuses=CAMPUSES)
    asyncio.run(log.read(Keeper(file)))
