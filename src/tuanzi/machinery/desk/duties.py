"""What a desk does because it is due, though nobody asks: timers' commands, and errands outside of the database."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Executor
from datetime import datetime
from functools import partial
from typing import Any

from tuanzi.machinery.codec import UNREADABLE, Codec, name_of
from tuanzi.machinery.database import Database, DatabaseUnavailable
from tuanzi.machinery.desk.lanes import Lanes
from tuanzi.machinery.internal import Timer
from tuanzi.machinery.problems import Crashed, TooSlow, Unavailable
from tuanzi.machinery.room import ErrandHandler
from tuanzi.machinery.timers import Earliest, TimerBook, earliest, postponed
from tuanzi.machinery.writer import Outcome, Request

log = logging.getLogger("tuanzi.desk")

# Measured: with 64 the splits of a full batch waited for each other's answers, and half of the processor for them; with
# 256 they still went in step, and a tenth fewer got done.
ERRANDS_AT_ONCE = 1024
ERRAND_S_MAX = 30.0
TIMERS_AGAIN_S = 1.0


class Duties:
    """Puts the commands of timers into the lanes when they are due, and has errands done.

    name: of the desk, for the log. threads: read the table of timers.
    """

    def __init__(
        self,
        lanes: Lanes,
        database: Database,
        *,
        codec: Codec,
        errands: Mapping[type, ErrandHandler],
        now: Callable[[], datetime],
        threads: Executor,
        name: str,
    ) -> None:
        self._lanes = lanes
        self._database = database
        self._codec = codec
        self._errands = errands
        self._errand_names = frozenset(map(name_of, errands))
        self._now = now
        self._threads = threads
        self._name = name
        self._timers = TimerBook()
        self._is_reading = False
        self._waiting: deque[Timer] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: datetime | None = None

    @property
    def timers_held(self) -> int:
        """How many timers are in memory."""
        return len(self._timers)

    @property
    def errands_left(self) -> int:
        """How many errands wait or are being done."""
        return len(self._waiting) + len(self._running)

    def begin(self) -> None:
        """Read the first timers. Blocks."""
        self._timers.read(self._database, self._now())

    def cancel(self) -> None:
        """Leave the errands that are being done."""
        for task in self._running:
            task.cancel()

    def note(self, changes: Iterable[tuple[str, Timer | None]]) -> None:
        """Follow what was committed: a timer set, or gone (None)."""
        self._timers.note(changes)

    def take_due(self) -> None:
        """Have what is due carried out, as far as the lanes have room for work."""
        if self._lanes.is_closing:
            return
        if self._timers.is_used_up and not self._is_reading:
            self._read_on()
        now = self._now()
        for timer in self._timers.take_due(now, limit=self._lanes.room_for_work):
            if timer.command in self._errand_names:
                self._waiting.append(timer)
            else:
                self._fire(timer)
        while self._waiting and len(self._running) < ERRANDS_AT_ONCE:
            self._start(self._run_errand(self._waiting.popleft()))
        self._set_alarm(now)

    def still_stands(self, request: Request, future: asyncio.Future[Outcome]) -> bool:
        """Whether a timer's command is still wanted: the timer may have been set anew while its command waited. What
        an errand brought home counts all the same, but no longer ends that timer. A postponement stands as long as the
        timer it postpones: it must not take the place of one set meanwhile."""
        timer = request.timer
        if timer is None or self._timers.is_current(timer if request.postpones is None else request.postpones):
            return True
        if request.postpones is None and name_of(type(request.command)) != timer.command:
            request.timer = None
            return True
        future.set_result(Outcome())
        return False

    def ring(self) -> None:
        """Look at what is due, such as when the clock was set."""
        self._alarm = self._alarm_at = None
        self._lanes.wake.set()

    def _read_on(self) -> None:
        """Read on in the table, in a thread: tens of thousands of rows, perhaps over a network that hangs."""
        self._is_reading = True
        self._timers.expect()
        read = asyncio.get_running_loop().run_in_executor(self._threads, earliest, self._database, self._now())
        read.add_done_callback(self._came)

    def _came(self, read: asyncio.Future[Earliest]) -> None:
        self._is_reading = False
        if read.cancelled():
            return
        if self._lanes.is_closing:
            read.exception()  # what nobody looks at is logged
            return
        try:
            self._timers.hold(read.result())
        except DatabaseUnavailable:  # the next batch tries again, or who wakes when there is none
            asyncio.get_running_loop().call_later(TIMERS_AGAIN_S, self._lanes.wake.set)
        else:
            self._lanes.wake.set()

    def _set_alarm(self, now: datetime) -> None:
        next_at = self._timers.next_at
        if next_at is None or next_at == self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = next_at
        delay_s = max(0.0, (next_at - now).total_seconds())
        # Looked at again at least every minute, in case the machine's clock was set.
        self._alarm = asyncio.get_running_loop().call_later(min(delay_s, 60.0), self._look_at_clock)

    def _look_at_clock(self) -> None:
        """Ring when something is due; else look again later, and nobody is woken."""
        next_at, now = self._timers.next_at, self._now()
        if next_at is None or next_at <= now:
            self.ring()
        else:
            self._alarm = self._alarm_at = None
            self._set_alarm(now)

    def _fire(self, timer: Timer) -> None:
        """Have a timer's command decided; one that this release cannot read is tried again, as one that fails is."""
        try:
            command = self._codec.command(timer.command, timer.body)
        except UNREADABLE as error:
            facts = {"desk": self._name, "timer": timer.id, "command": timer.command, "reason": type(error).__name__}
            log.error("desk.timer_unreadable", extra=facts)
            self._postpone(timer)
            return
        future = self._lanes.put(Request(command, timer=timer), is_work=True)
        future.add_done_callback(partial(self._fired, timer))

    def _fired(self, timer: Timer, done: asyncio.Future[Outcome]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._give_back(timer)
        elif isinstance(done.result().problem, (Crashed, TooSlow, Unavailable)):
            self._postpone(timer)

    def _postpone(self, timer: Timer) -> None:
        """Have a timer that failed tried again later."""
        later = postponed(timer, self._now())
        future = self._lanes.put(Request(None, timer=later, postpones=timer), is_work=True)
        future.add_done_callback(lambda done: self._postponed(timer, done))

    def _postponed(self, timer: Timer, done: asyncio.Future[Outcome]) -> None:
        if done.cancelled() or done.exception() is not None or done.result().problem is not None:
            # The database keeps nothing now: look again in a while without keeping the postponement.
            asyncio.get_running_loop().call_later(2.0, self._give_back, timer)

    def _give_back(self, timer: Timer) -> None:
        """Have a timer that was taken fire again, though nobody calls."""
        self._timers.give_back(timer)
        self._lanes.wake.set()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._errand_done)

    async def _run_errand(self, timer: Timer) -> None:
        try:
            errand = self._codec.command(timer.command, timer.body)
            async with asyncio.timeout(ERRAND_S_MAX):
                command = await self._errands[type(errand)](errand, now=self._now())
            outcome = await self._lanes.put(Request(command, timer=timer), is_work=True)
            failed = isinstance(outcome.problem, (Crashed, TooSlow, Unavailable))
        except Exception as error:
            log.warning(
                "desk.errand_failed",
                # The type only: a vendor's text may hold a phone number.
                extra={"desk": self._name, "errand": timer.command, "reason": type(error).__name__},
            )
            failed = True
        if failed:
            self._postpone(timer)

    def _errand_done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._lanes.wake.set()
