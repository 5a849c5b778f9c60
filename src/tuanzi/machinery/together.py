"""Reads that many ask for one by one, made together: those of one turn of the loop are one question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context, copy_context
from math import inf
from typing import Generic, TypeVar

from tuanzi.machinery.afar import came_at

V = TypeVar("V")


class Together(Generic[V]):
    """Loads values by key. Measured where a database is read by threads: one alone costs some 200 us of processor, of
    which most is spent on going there and back."""

    def __init__(self, read: Callable[[Sequence[str]], Awaitable[Mapping[str, V]]], *, at_once: int) -> None:
        """read: gives what there is of so many keys at most, all different. Each read is of a state in which everybody
        whom it is for sees what he must see."""
        self._read = read
        self._at_once = at_once
        self._waiting: dict[str, list[asyncio.Future[V | None]]] = {}
        self._context: Context | None = None
        self._came = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self, key: str) -> V | None:
        """What there is under a key; None for nothing. Raises what reading raises."""
        future: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._begin)
        self._waiting.setdefault(key, []).append(future)
        # Whoever came last must be shown most; who came by no request is shown all.
        came = came_at.get()
        came = inf if came is None else came
        if self._context is None or came > self._came:
            self._context, self._came = copy_context(), came
        return await future

    def _begin(self) -> None:
        waiting, context = self._waiting, self._context
        self._waiting, self._context = {}, None
        keys = list(waiting)
        for i in range(0, len(keys), self._at_once):
            some = {key: waiting[key] for key in keys[i : i + self._at_once]}
            task = asyncio.get_running_loop().create_task(self._carry(some), context=context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, waiting: Mapping[str, Sequence[asyncio.Future[V | None]]]) -> None:
        try:
            found = await self._read(list(waiting))
        except BaseException as error:
            for future in _still(waiting):
                future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for key, futures in waiting.items():
            for future in futures:
                if not future.done():
                    future.set_result(found.get(key))


def _still(waiting: Mapping[str, Sequence[asyncio.Future[V | None]]]) -> list[asyncio.Future[V | None]]:
    """Those who have not given up."""
    return [future for futures in waiting.values() for future in futures if not future.done()]
