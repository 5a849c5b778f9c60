"""The work queue of one process: a table in an SQLite file of its own (architecture section 4)."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tuanzi.base.time import from_ms, to_ms
from tuanzi.machinery.pool import Pool
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.workqueue import Backlog, Patience, Work, WorkHandler

log = logging.getLogger("tuanzi.queue")

V = TypeVar("V")
Operation = Callable[[sqlite3.Connection], Any]

# Looked for at least so often, should the clock have been set.
LOOK_EVERY_S = 1.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS works (
    number INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    body BLOB NOT NULL,
    put_at_ms INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    due_at_ms INTEGER NOT NULL,
    is_dead INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS works_due ON works (queue, is_dead, due_at_ms, number);
"""
_PUT = (
    "INSERT INTO works (queue, id, body, put_at_ms, attempt, due_at_ms)"
    " VALUES (:queue, :id, :body, :put_at_ms, :attempt, :due_at_ms)"
)
_DUE = (
    "SELECT number, id, body, put_at_ms, attempt, due_at_ms FROM works"
    " WHERE queue = :queue AND is_dead = 0 AND due_at_ms <= :now_ms ORDER BY due_at_ms, number LIMIT :limit"
)
_NEXT_DUE = "SELECT MIN(due_at_ms) FROM works WHERE queue = :queue AND is_dead = 0 AND due_at_ms > :now_ms"
_DONE = "DELETE FROM works WHERE number = :number"
_LATER = "UPDATE works SET attempt = attempt + 1, due_at_ms = :due_at_ms WHERE number = :number"
_DEAD = "UPDATE works SET is_dead = 1 WHERE number = :number"
_BACKLOG = (
    "SELECT SUM(is_dead = 0 AND due_at_ms <= :now_ms), SUM(is_dead = 0 AND due_at_ms > :now_ms), SUM(is_dead),"
    " MIN(CASE WHEN is_dead = 0 THEN due_at_ms END) FROM works WHERE queue = :queue"
)
_REVIVE = (
    "UPDATE works SET is_dead = 0, attempt = 1, due_at_ms = :now_ms WHERE number IN"
    " (SELECT number FROM works WHERE queue = :queue AND is_dead = 1 ORDER BY number LIMIT :limit)"
)


class Here:
    """Keeps works in one file; what waits to be written is written in one commit, synchronous as all databases are.

    One process has the file. Works under way are known in memory only: after a crash they are due again.
    """

    def __init__(self, path: Path | None, *, patience: Patience, now: Callable[[], datetime]) -> None:
        """path: None keeps works in memory, for tests and simulations."""
        self._patience = patience
        self._now = now
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="works")
        self._database = sqlite3.connect(
            ":memory:" if path is None else path, isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_SCHEMA)
        self._operations: list[tuple[Operation, asyncio.Future[Any]]] = []
        self._is_writing = False
        self._wakes: dict[str, asyncio.Event] = {}
        self._taken: set[int] = set()

    async def put(self, works: Sequence[Work]) -> None:
        """Keep works; returns after the commit. Raises Unavailable."""
        now_ms = to_ms(self._now())
        rows = [
            {
                "queue": work.queue,
                "id": work.id,
                "body": work.body,
                "put_at_ms": to_ms(work.put_at),
                "attempt": work.attempt,
                "due_at_ms": now_ms,
            }
            for work in works
        ]
        await self._do(lambda database: database.executemany(_PUT, rows) and None)
        for queue in {work.queue for work in works}:
            self._wake_of(queue).set()

    async def work(self, queue: str, handler: WorkHandler, *, pool: Pool) -> None:
        """Do works of a queue until cancelled; see WorkQueue."""
        wake = self._wake_of(queue)
        mine: set[int] = set()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(pool.follow())
                while True:
                    wake.clear()
                    pause_s = LOOK_EVERY_S
                    with suppress(Unavailable):
                        limit = 2 * pool.limits.most - len(mine)
                        rows, next_ms = await self._do(partial(self._due, queue, len(self._taken) + limit))
                        for number, *row in [row for row in rows if row[0] not in self._taken][:limit]:
                            self._taken.add(number)
                            mine.add(number)
                            work = _work_of(queue, row)
                            task = tasks.create_task(self._try(number, work, handler, pool, due_at=from_ms(row[-1])))
                            task.add_done_callback(partial(self._let_go, number, mine, wake))
                        if next_ms is not None:
                            pause_s = min(pause_s, max(0.0, (from_ms(next_ms) - self._now()).total_seconds()))
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause_s):
                            await wake.wait()
        finally:
            self._taken -= mine

    async def backlog(self, queue: str) -> Backlog:
        """How much there is. Raises Unavailable."""
        now_ms = to_ms(self._now())
        waiting, delayed, dead, due_at_ms = await self._do(
            lambda database: database.execute(_BACKLOG, {"queue": queue, "now_ms": now_ms}).fetchone()
        )
        oldest_s = 0.0 if due_at_ms is None else max(0.0, (now_ms - due_at_ms) / 1000)
        return Backlog(waiting=waiting or 0, oldest_s=oldest_s, delayed=delayed or 0, dead=dead or 0)

    async def revive(self, queue: str, *, limit: int) -> int:
        """Have dead works tried again; how many there were. Raises Unavailable."""
        slots = {"queue": queue, "limit": limit, "now_ms": to_ms(self._now())}
        revived: int = await self._do(lambda database: database.execute(_REVIVE, slots).rowcount)
        self._wake_of(queue).set()
        return revived

    def close(self) -> None:
        """Let go of the file."""
        self._thread.shutdown(wait=True)
        self._database.close()

    async def _try(self, number: int, work: Work, handler: WorkHandler, pool: Pool, *, due_at: datetime) -> None:
        try:
            waited_s = max(0.0, (self._now() - due_at).total_seconds())
            await pool.run(partial(handler, work), waited_s=waited_s)
        except Exception as error:
            delay_s = self._patience.delay_after(work.attempt)
            reason = {"queue": work.queue, "work": work.id, "attempt": work.attempt, "reason": type(error).__name__}
            if delay_s is None:
                log.error("queue.work_dead", extra=reason)
                statement, slots = _DEAD, {"number": number}
            else:
                log.warning("queue.work_failed", extra=reason)
                due_at_ms = to_ms(self._now() + timedelta(seconds=delay_s))
                statement, slots = _LATER, {"number": number, "due_at_ms": due_at_ms}
        else:
            statement, slots = _DONE, {"number": number}
        try:
            await self._do(lambda database: database.execute(statement, slots) and None)
        except Unavailable:
            # It is done again, as after a crash; not at once, for nothing can be kept now.
            await asyncio.sleep(LOOK_EVERY_S)

    def _let_go(self, number: int, mine: set[int], wake: asyncio.Event, task: asyncio.Task[None]) -> None:
        mine.discard(number)
        self._taken.discard(number)
        wake.set()

    def _due(self, queue: str, limit: int, database: sqlite3.Connection) -> tuple[list[Any], int | None]:
        slots = {"queue": queue, "now_ms": to_ms(self._now())}
        rows = database.execute(_DUE, {**slots, "limit": limit}).fetchall()
        return rows, database.execute(_NEXT_DUE, slots).fetchone()[0]

    def _wake_of(self, queue: str) -> asyncio.Event:
        return self._wakes.setdefault(queue, asyncio.Event())

    async def _do(self, operation: Callable[[sqlite3.Connection], V]) -> V:
        """Do something in the next commit. Raises Unavailable when that is not kept."""
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._operations.append((operation, future))
        if not self._is_writing:
            self._is_writing = True
            self._write()
        return await future

    def _write(self) -> None:
        operations, self._operations = self._operations, []
        written = asyncio.get_running_loop().run_in_executor(
            self._thread, self._commit, [each for each, _ in operations]
        )
        written.add_done_callback(partial(self._written, [future for _, future in operations]))

    def _commit(self, operations: Sequence[Operation]) -> list[Any]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            results = [operation(self._database) for operation in operations]
            self._database.execute("COMMIT")
        except sqlite3.Error:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise
        return results

    def _written(self, futures: Sequence[asyncio.Future[Any]], written: asyncio.Future[list[Any]]) -> None:
        error = None if written.cancelled() else written.exception()
        for i, future in enumerate(futures):
            if future.done():
                continue
            if error is None and not written.cancelled():
                future.set_result(written.result()[i])
            else:
                future.set_exception(
                    Unavailable(retry_after_s=2) if isinstance(error, sqlite3.Error) else error or RuntimeError()
                )
        self._is_writing = bool(self._operations)
        if self._operations:
            self._write()


def _work_of(queue: str, row: Sequence[Any]) -> Work:
    id, body, put_at_ms, attempt, _ = row
    return Work(id=id, queue=queue, body=body, put_at=from_ms(put_at_ms), attempt=attempt)
