"""SQLite behind SQLAlchemy's async engine, set up for one durable writer and several readers; or MariaDB.

On MariaDB (BASELINE_DATABASE, a URL of SQLAlchemy's) many write at once: READ COMMITTED, so that what is read after a
row was locked is as its last owner left it, and no gaps are locked. Who joins or pays locks the group's row first of
what others want too (SELECT ... FOR UPDATE), stock is changed last and in the order of its keys: nobody waits in a
circle.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from benchmarks.baseline.tables import Base

# SQLite has one writer whatever the pool: more connections only wait in its busy handler instead of in our queue.
WRITERS = int(os.environ.get("BASELINE_WRITERS", "1"))
READERS = 4
# Of each process, on MariaDB.
POOL = int(os.environ.get("BASELINE_POOL", "16"))


class Database:
    """The service's database: `writing` opens sessions that lock at once, `reading` those that never do."""

    def __init__(self, folder: Path) -> None:
        """folder: where `baseline.db` is or will be, unless a server is set."""
        if server := os.environ.get("BASELINE_DATABASE"):
            self._writers = self._readers = create_async_engine(
                server, pool_size=POOL, max_overflow=0, pool_timeout=30, isolation_level="READ COMMITTED"
            )
        else:
            url = f"sqlite+aiosqlite:///{folder / 'baseline.db'}"
            self._writers = _engine(url, size=WRITERS, begin="BEGIN IMMEDIATE")
            self._readers = _engine(url, size=READERS, begin="BEGIN")
        self.writing = async_sessionmaker(self._writers, expire_on_commit=False, autoflush=False)
        self.reading = async_sessionmaker(self._readers, expire_on_commit=False, autoflush=False)

    async def create(self) -> None:
        """Make the tables; those that exist stay as they are."""
        async with self._writers.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._writers.dispose()
        await self._readers.dispose()


def _engine(url: str, *, size: int, begin: str) -> AsyncEngine:
    engine = create_async_engine(
        url, pool_size=size, max_overflow=0, pool_timeout=30, connect_args={"timeout": 30, "cached_statements": 512}
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver's own BEGIN is deferred and would deadlock on upgrade
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=30000",
            "cache_size=-65536",
            "temp_store=MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


__all__ = ["AsyncSession", "Database"]
