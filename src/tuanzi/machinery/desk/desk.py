"""The desk itself: where commands are handed in and the database is asked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

from tuanzi.base.once import Once
from tuanzi.base.problem import Busy
from tuanzi.base.unit import Key
from tuanzi.machinery.database import Ask, Database, DatabaseUnavailable, Dictating, Fenced
from tuanzi.machinery.desk.clock import SteadyClock
from tuanzi.machinery.desk.driving import Driver
from tuanzi.machinery.desk.duties import Duties
from tuanzi.machinery.desk.feed import Feed
from tuanzi.machinery.desk.figures import Figures
from tuanzi.machinery.desk.flights import AHEAD_MIN, Flights
from tuanzi.machinery.desk.lanes import Lanes
from tuanzi.machinery.desk.sweeping import Heard, OldEvents, Sweeping
from tuanzi.machinery.follower import Follower, Numbered
from tuanzi.machinery.internal import Rows
from tuanzi.machinery.memory import ABSENT, UNKNOWN, Damaged
from tuanzi.machinery.problems import TooSlow, Unavailable
from tuanzi.machinery.room import ErrandHandler, Opening
from tuanzi.machinery.tables import Row
from tuanzi.machinery.writer import Outcome, Request, Writer

log = logging.getLogger("tuanzi.desk")

V = TypeVar("V")
Subscriber = Callable[[Sequence[Numbered]], None]


class WriterDesk:
    """Runs one writer: queues commands, fires timers, runs errands, tells subscribers what was committed.

    batch_max: commands of one commit (our choice: 256 keep a commit below about 10 ms). queue_max and wait_s_max
    bound who may wait: beyond either a command is turned away at once with Busy (D1). ahead_min: so many must wait to
    be decided while another batch is being kept. pace_s: so soon after another begins no batch but a full one.
    """

    def __init__(
        self,
        name: str,
        writer: Writer,
        database: Database,
        *,
        clock: Callable[[], datetime],
        errands: Mapping[type, ErrandHandler],
        openings: Sequence[Opening] = (),
        batch_max: int = 256,
        queue_max: int = 20_000,
        wait_s_max: float = 2.0,
        ahead_min: int = AHEAD_MIN,
        pace_s: float = 0.0,
    ) -> None:
        self.name = name
        self.figures = Figures()
        self.is_open = False
        self.opened = asyncio.Event()
        self.database = database
        self.old_events = OldEvents()
        self.kept_rows: Sequence[Row] = ()
        self._writer = writer
        self._is_near = isinstance(database, Dictating)
        self._openings = openings
        self._queue_max = queue_max
        self._wait_s_max = wait_s_max
        self._subscribers: list[Subscriber] = []
        self._feeds: dict[str, Feed] = {}
        self._steady = SteadyClock(clock, name=name)
        self._now = self._steady.now
        self._reading = ThreadPoolExecutor(2, thread_name_prefix=f"read-{name}")
        self._lanes = Lanes(batch_max)
        self._driver = Driver(name, database)
        self._sweeping = Sweeping(self._lanes, self.old_events, rows=self.rows, now=self._now)
        self.duties = Duties(
            self._lanes,
            database,
            codec=writer.schema.codec,
            errands=errands,
            now=self._now,
            threads=self._reading,
            name=name,
        )
        self._flights = Flights(
            self._lanes,
            writer,
            self._driver,
            self.duties,
            now=self._now,
            tell=self._tell,
            figures=self.figures,
            ahead_min=ahead_min,
            pace_s=pace_s,
            name=name,
        )

    # what rooms use

    async def submit(
        self, command: Any, *, who: str = "", key: Once | None = None, is_accepted: bool = False, heard_by: str = ""
    ) -> Outcome:
        """Have the writer carry out `command`; returns after the commit (see `Desk.submit`), whoever hears of it."""
        if not is_accepted and (busy := self._find_busy()) is not None:
            raise busy
        outcome = await self._hand_in(Request(command, who=who, key=key))
        if outcome.problem is not None:
            raise outcome.problem
        return outcome

    async def keep_rows(self, rows: Rows) -> None:
        """Keep rows as they are in the next commit; returns after it. Raises Crashed when the database refuses them,
        Unavailable when nothing can be kept."""
        if not self.is_open or self._lanes.is_closing:
            raise Unavailable(retry_after_s=2)
        outcome = await self._lanes.put(Request(rows))
        if outcome.problem is not None:
            raise outcome.problem

    def hand_in(self, command: Any) -> asyncio.Future[Outcome]:
        """Queue what another database's work asks for, such as a branch of a transaction; its outcome, a problem too,
        comes after the commit. Raises Unavailable when the desk is closed.
        """
        return self._hand_in(Request(command), is_work=True)

    def carry(self, request: Request, told: Callable[[Outcome], None], *, is_accepted: bool = False) -> None:
        """Queue what another process wrote into the command log, behind all that is queued.

        told: called with its outcome, a problem too, after the commit. So is that it was turned away: its number is
        kept all the same, and nobody who reads the log again does it after all. Raises Unavailable when the desk is
        closed.
        """
        busy = None if is_accepted or request.command is None else self._find_busy()
        if busy is not None:
            request = Request(None, entry=request.entry)

        def answer(done: asyncio.Future[Outcome]) -> None:
            if done.cancelled() or done.exception() is not None:
                told(Outcome(problem=Unavailable(retry_after_s=2)))
            else:
                outcome = done.result()
                told(outcome if busy is None or outcome.problem is not None else Outcome(problem=busy))

        self._hand_in(request).add_done_callback(answer)

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a committed, recent state. Raises Unavailable when the desk is closed, or its database away."""
        return await self._read(self.database.rows, sql, slots)

    async def few(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """As `rows`, of a few rows that a few keys name: of a file on this machine the loop reads them itself."""
        if not self._is_near:
            return await self.rows(sql, slots)
        if not self.is_open:
            raise Unavailable(retry_after_s=2)
        try:
            return self.database.rows(sql, slots)
        except DatabaseUnavailable as error:
            raise Unavailable(retry_after_s=2) from error

    async def look(self, reading: Callable[[Ask], V]) -> V:
        """What `reading` makes of the answers to its questions, all of one committed state; it runs in a thread.

        Raises Unavailable when the desk is closed or its database away, and what `reading` raises.
        """
        return await self._read(self.database.look, reading)

    async def _read(self, read: Callable[..., V], *arguments: Any) -> V:
        if not self.is_open:
            raise Unavailable(retry_after_s=2)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reading, read, *arguments)
        except DatabaseUnavailable as error:
            raise Unavailable(retry_after_s=2) from error

    async def followed(self, source: str, number: int) -> tuple[Any, ...]:
        """Wait until event `number` of `source` was handled here; what was emitted then."""
        return await self._feeds[source].reached(number)

    def find_hearing(self, source: str, number: int) -> asyncio.Future[tuple[Any, ...]] | None:
        """What `followed` waits for; None where nobody follows `source`."""
        feed = self._feeds.get(source)
        return None if feed is None else feed.reached(number)

    def peek(self, kind: type[V], key: Key) -> V | None:
        """The committed value when it is in memory, else None."""
        value = self._writer.memory.find((kind, key))
        return None if value is ABSENT or value is UNKNOWN or type(value) is Damaged else value

    # what wiring uses

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call `subscriber` with every batch of committed events; it must be quick, and its errors hurt only itself."""
        self._subscribers.append(subscriber)

    def follow(self, source: WriterDesk, follower: Follower) -> None:
        """Hear the events of another desk."""
        feed = Feed(source, follower, self._lanes, rows=self.rows, figures=self.figures, name=self.name)
        self._feeds[follower.source] = feed
        source.subscribe(feed.offer)
        source.keep_for(feed.heard)

    def keep_for(self, heard: Heard) -> None:
        """Keep events, however old, until whoever this is has heard them: it gives the last that he needs no more."""
        self.old_events.keep_for(heard)

    async def run(self) -> None:
        """Work until `close`; raises Fenced when another writer has taken over."""
        self.duties.begin()
        fenced: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._open()
                self.is_open = True
                self.opened.set()
                beside = [tasks.create_task(feed.run()) for feed in self._feeds.values()]
                beside += [
                    tasks.create_task(self._sweeping.sweep_answers()),
                    tasks.create_task(self._sweeping.sweep_events()),
                ]
                await self._flights.run()
                for task in beside:
                    task.cancel()
        except* Fenced as group:
            log.critical("desk.fenced", extra={"desk": self.name})
            fenced = group
        finally:
            self.is_open = False
            self._lanes.turn_all_away()
            self.duties.cancel()
            self._driver.end()
            self._reading.shutdown(wait=True)
        # Here, for what an `except*` raises is put into a group by some releases of Python 3.11.
        while isinstance(fenced, BaseExceptionGroup):
            fenced = fenced.exceptions[0]
        if fenced is not None:
            raise fenced

    def close(self) -> None:
        """Stop after what is queued is done."""
        self._lanes.close()

    @property
    def queue_length(self) -> int:
        """How many commands wait now."""
        return len(self._lanes)

    @property
    def timers_held(self) -> int:
        """How many timers are in memory."""
        return self.duties.timers_held

    @property
    def clock_ahead_s(self) -> float:
        """How far its time is ahead of the machine's, because that was set back."""
        return self._steady.ahead_s

    @property
    def lags(self) -> dict[str, int]:
        """By source: how many events are not handled yet."""
        return {source: feed.follower.lag for source, feed in self._feeds.items()}

    @property
    def event_number(self) -> int:
        """The last committed event."""
        return self._writer.kept_number

    async def _open(self) -> None:
        """Carry out what the rooms want first; as long as nothing can be kept, again and again. Raises its problem."""
        for opening in self._openings:
            while not self._lanes.is_closing:
                steps = self._writer.carry_out([Request(opening.command)], now=self._now())
                (outcome,) = await self._driver.drive(steps, None, None)
                if outcome.problem is None:
                    opening.told(outcome.answer)
                    break
                if not isinstance(outcome.problem, (Unavailable, TooSlow)):
                    raise outcome.problem
                await asyncio.sleep(1.0)

    def _find_busy(self) -> Busy | None:
        """What whoever comes now is turned away with; None when there is room."""
        waiting = len(self._lanes.people)
        wait_s = waiting * self._flights.batch_s / self._lanes.batch_max
        if waiting < self._queue_max and wait_s <= self._wait_s_max:
            return None
        self.figures.turned_away += 1
        return Busy(retry_after_s=max(1, round_up(wait_s)))

    def _hand_in(self, request: Request, *, is_work: bool = False) -> asyncio.Future[Outcome]:
        if not self.is_open or self._lanes.is_closing:
            raise Unavailable(retry_after_s=2)
        return self._lanes.put(request, is_work=is_work)

    def _tell(self, rows: Sequence[Row], outcomes: Sequence[Outcome]) -> None:
        """Tell subscribers what was committed."""
        events = [numbered for outcome in outcomes for numbered in outcome.events]
        if not events:
            return
        self.kept_rows = rows
        for subscriber in self._subscribers:
            try:
                subscriber(events)
            except Exception:
                log.exception("desk.subscriber_failed", extra={"desk": self.name})
        self.kept_rows = ()


def round_up(seconds: float) -> int:
    """Whole seconds, not fewer."""
    return int(seconds) + (seconds > int(seconds))
