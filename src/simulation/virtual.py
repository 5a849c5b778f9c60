"""Virtual time: an asyncio loop without threads, sockets or clock, stepped by its owner; same steps, same run."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context, copy_context
from datetime import UTC, datetime, timedelta
from typing import Any

# A Monday, 10:00 in Shanghai: an hour before lunch.
MORNING = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


# A task that is cancelled so often and still goes on is left to the garbage.
CANCELS_MAX = 20


class Clock:
    """What time it is in the simulated world.

    seconds: since `MORNING`; never goes back. offset: how far the machine's clock is off (a fault).
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.offset = timedelta()
        self._told_s = 0.0
        self._told = MORNING

    def true(self) -> datetime:
        """The true time, to the millisecond."""
        if self._told_s != self.seconds:  # it is asked for nine times before it moves on
            self._told_s = self.seconds
            self._told = MORNING + timedelta(milliseconds=int(self.seconds * 1000))
        return self._told

    def machine(self) -> datetime:
        """What the machine believes."""
        return self.true() + self.offset if self.offset else self.true()


class Killed(BaseException):
    """The process is killed at this very point: nothing more of it runs."""


class Due:
    """A callback that waits for its turn or its time, as the handles of asyncio do."""

    __slots__ = ("_when", "args", "callback", "context", "is_cancelled")

    def __init__(self, when: float, callback: Callable[..., object], args: Any, context: Context | None) -> None:
        self._when = when
        self.callback = callback
        self.args = args
        self.context = copy_context() if context is None else context
        self.is_cancelled = False

    def cancel(self) -> None:
        """Never call it."""
        self.is_cancelled = True

    def cancelled(self) -> bool:
        """Whether it is never called."""
        return self.is_cancelled

    def when(self) -> float:
        """When it is called."""
        return self._when


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs one simulated process. Blocking work is done at once and its result arrives `latency()` seconds later.

    killed: a `Killed` came out of blocking work; what waits for it waits for ever, and nothing else may run.
    """

    def __init__(self, clock: Clock, *, latency: Callable[[], float]) -> None:
        super().__init__()
        self.killed = False
        self.complaints: list[dict[str, Any]] = []
        self._virtual = clock
        self._latency = latency
        self._soon: deque[Due] = deque()
        self._later: list[tuple[float, int, Due]] = []
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._count = 0

    # what asyncio asks of a loop

    def time(self) -> float:
        """Virtual seconds."""
        return self._virtual.seconds

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Due:
        """Run it in this step, after what waits already."""
        due = Due(self._virtual.seconds, callback, args, context)
        self._soon.append(due)
        return due

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Due:
        """The same: there is one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Due:
        """Run it at `when`, those of one time in the order of asking."""
        due = Due(when, callback, args, context)
        self._count += 1
        heapq.heappush(self._later, (when, self._count, due))
        return due

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Due:
        """Run it in `delay` seconds."""
        return self.call_at(self._virtual.seconds + delay, callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Do blocking work now; its outcome comes later. A `Killed` in it ends the process here."""
        future: asyncio.Future[Any] = self.create_future()
        if self.killed:
            return future
        try:
            outcome, error = func(*args), None
        except Killed:
            self.killed = True
            return future
        except Exception as raised:
            outcome, error = None, raised
        self.call_at(self._virtual.seconds + self._latency(), _settle, future, outcome, error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody handled, for the owner to look at."""
        self.complaints.append(context)

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None) -> asyncio.Task[Any]:
        """A task of this process, in the order of making."""
        task: asyncio.Task[Any] = asyncio.Task(
            coro, loop=self, name=None if name is None else str(name), context=context
        )
        self._tasks[task] = None
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)

    # what its owner does

    def step(self) -> None:
        """Run everything that can run without time passing."""
        soon = self._soon
        if not soon or self.killed:
            return
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            while soon and not self.killed:
                due = soon.popleft()
                if not due.is_cancelled:
                    self._run(due)
        finally:
            asyncio._set_running_loop(before)

    def _run(self, due: Due) -> None:
        try:
            due.context.run(due.callback, *due.args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self.call_exception_handler({"message": f"{due.callback} failed", "exception": error})

    def wake(self) -> None:
        """Make ready what is due by now."""
        later, now_s = self._later, self._virtual.seconds
        while later and later[0][0] <= now_s:
            self._soon.append(heapq.heappop(later)[2])

    @property
    def next_at(self) -> float | None:
        """When something is due next."""
        later = self._later
        while later and later[0][2].is_cancelled:
            heapq.heappop(later)
        return later[0][0] if later else None

    def dismantle(self) -> None:
        """Throw the process away. Its tasks are cancelled so that Python can free them; its owner has unplugged it, so
        that nothing they do on their way out reaches anybody."""
        self.killed = False
        for _ in range(CANCELS_MAX):
            left = [task for task in self._tasks if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            self.step()
        self._soon.clear()
        self._later.clear()
        self.close()


def _settle(future: asyncio.Future[Any], outcome: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(outcome)
    else:
        future.set_exception(error)
