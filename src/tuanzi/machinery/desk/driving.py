"""Doing what a writer asks of its database while the loop goes on."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tuanzi.machinery.database import Database, DatabaseUnavailable, Dictating, Flush, RowRefused
from tuanzi.machinery.writer import Commit, Fetch, Outcome, Step, Steps, find_out, take

# So few rows of a file on this machine are read by the loop itself: 20 take some 0.1 ms, while to wake a thread, which
# then wants Python's lock, costs twice as much and has the batch wait for half a millisecond.
FETCHED_HERE = 32


class Driver:
    """Has a writer's steps done: by a thread, by whoever writes the database, or at once where that costs less."""

    def __init__(self, name: str, database: Database) -> None:
        self._database = database
        self._dictating = database if isinstance(database, Dictating) else None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"write-{name}")
        self._said = 0

    async def read(self, fetch: Fetch) -> tuple[Any, Exception | None]:
        """What a batch needs before it is decided, or the database's error."""
        if self._dictating is not None and sum(len(keys) for _, keys in fetch.wanted) <= FETCHED_HERE:
            return take(fetch, self._database)
        return await asyncio.get_running_loop().run_in_executor(self._thread, take, fetch, self._database)

    def do(self, step: Step) -> asyncio.Future[tuple[Any, Exception | None]]:
        """Do what a step asks: a thread does, or whoever writes the database. Its future raises Fenced."""
        if self._dictating is not None and isinstance(step, Commit):
            return asyncio.ensure_future(self._dictate(self._dictating, step.flush))
        return asyncio.get_running_loop().run_in_executor(self._thread, take, step, self._database)

    async def drive(self, steps: Steps, reply: Any, error: Exception | None) -> list[Outcome]:
        """Take steps to their end; more than the first commit only when that one failed."""
        while True:
            try:
                step = steps.throw(error) if error is not None else steps.send(reply)
            except StopIteration as done:
                outcomes: list[Outcome] = done.value
                return outcomes
            reply, error = await self.do(step)

    def end(self) -> None:
        """Wait until the thread has done what it was given. Blocks."""
        self._thread.shutdown(wait=True)

    async def _dictate(self, dictating: Dictating, flush: Flush) -> tuple[None, Exception | None]:
        self._said = flush.after
        try:
            await dictating.dictate(flush)
        except RowRefused as error:
            return None, error
        except DatabaseUnavailable as error:
            loop = asyncio.get_running_loop()
            try:
                position, _ = await loop.run_in_executor(self._thread, self._database.cursor)
                find_out(flush, position, error, until=self._said)
            except DatabaseUnavailable as gone:
                return None, gone
        return None, None
