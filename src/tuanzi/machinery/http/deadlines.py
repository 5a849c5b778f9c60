"""A time limit for many requests at the price of one timer.

All requests of one `Deadlines` have the same limit, so the first that entered is the first that is late: one
timer watches over it. `asyncio.timeout` makes a timer for each (about 2 us); this costs about a quarter of that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from tuanzi.base.problem import Problem

T = TypeVar("T")


class Deadlines:
    """Gives up on work that takes longer than `wait_s`."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._until: dict[asyncio.Task[object], float] = {}
        self._late: set[asyncio.Task[object]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def keep(self, work: Awaitable[T], *, late: type[Problem]) -> T:
        """The result of `work`. Raises `late` when time is up; the work was then cancelled.

        A cancellation from outside passes through.
        """
        task = asyncio.current_task()
        assert task is not None, "deadlines are kept inside of a task"
        loop = task.get_loop()
        self._until[task] = until = loop.time() + self._wait_s
        if self._loop is not loop:
            self._loop = loop
            loop.call_at(until, self._look, loop)
        try:
            return await work
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            self._late.discard(task)
            if task.uncancel() > 0:
                raise
            raise late(retry_after_s=1) from None
        finally:
            self._until.pop(task, None)
            if task in self._late:
                # The work made something else of its cancellation; the task goes on with that.
                self._late.discard(task)
                task.uncancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel what is late; look again when the next would be."""
        if self._loop is not loop:
            return
        now = loop.time()
        while self._until:
            task, until = next(iter(self._until.items()))
            if until > now:
                loop.call_at(until, self._look, loop)
                return
            del self._until[task]
            if task.get_loop() is loop:
                self._late.add(task)
                task.cancel()
        self._loop = None
