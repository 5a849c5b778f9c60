"""The desk of one database: where commands are handed in, and the asyncio shell that keeps its writer working."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from tuanzi.base.once import Once
from tuanzi.base.problem import Busy
from tuanzi.base.time import to_ms
from tuanzi.base.unit import Key
from tuanzi.machinery.codec import name_of
from tuanzi.machinery.database import Ask, Database, DatabaseUnavailable, Dictating, Fenced, Flush, RowRefused
from tuanzi.machinery.follower import Follower, Numbered
from tuanzi.machinery.internal import (
    ANSWERS_BEFORE,
    EVENTS,
    EVENTS_AFTER,
    OLDEST_ANSWER,
    OLDEST_PARKED,
    ForgetAnswers,
    Rows,
    Timer,
)
from tuanzi.machinery.memory import ABSENT, UNKNOWN, Damaged
from tuanzi.machinery.problems import Crashed, TooSlow, Unavailable
from tuanzi.machinery.room import ErrandHandler, Opening
from tuanzi.machinery.sweeping import EVENTS_AT_ONCE, Heard, OldEvents
from tuanzi.machinery.tables import Row
from tuanzi.machinery.timers import TimerBook, earliest
from tuanzi.machinery.writer import Commit, Fetch, Outcome, Request, Step, Steps, Writer, find_out, take

log = logging.getLogger("tuanzi.desk")

V = TypeVar("V")
Subscriber = Callable[[Sequence[Numbered]], None]
Pending = tuple[Request, "asyncio.Future[Outcome]"]

# Measured with 128 connections, in turns: of 16, 32 and 64, 32 gives most chains a second; 64 costs as much processor.
AHEAD_MIN = 32
# Work nobody waits for begins no batch so soon after another: it goes with whoever comes, or with more of it. A commit
# costs 1.2 ms of processor however little it keeps; measured at 650 chains/s, 1,590 instead of 1,740 us a chain.
GATHER_S = 0.025
# So that what was kept is answered before the next batch is decided: in the first who waits goes on, at the end of the
# second his answer is written, and who waits for a follower is a turn behind. Measured at 650 chains/s with the above:
# p50 24 ms instead of 32.
TURNS_TO_ANSWER = 3
# So few rows of a file on this machine are read by the loop itself: 20 take some 0.1 ms, while to wake a thread, which
# then wants Python's lock, costs twice as much and has the batch wait for half a millisecond.
FETCHED_HERE = 32
# Measured: with one, splits waited a quarter of their time for answers that had come while another desk decided.
FLIGHTS_MAX = 3
# Our choice: a quarter of each batch for timers and what errands brought, the rest for whoever waits.
WORK_SHARE = 4
# Measured: with 64 the splits of a full batch waited for each other's answers, and half of the processor for them; with
# 256 they still went in step, and a tenth fewer got done.
ERRANDS_AT_ONCE = 1024
# Clients retry within minutes; three days also cover one whose phone was off over a weekend.
ANSWERS_KEPT_FOR = timedelta(days=3)
SWEEP_EVERY_S = 300.0
SWEEP_AFTER_S_MAX = 3600.0
SWEPT_AT_ONCE = 500
EVENTS_AGAIN_S = 1.0
ERRAND_S_MAX = 30.0
OUTCOMES_KEPT = 4096
TIMERS_AGAIN_S = 1.0
# Our choice: what a source commits in some seconds; a follower further behind waits in its own queue.
FED_AT_ONCE = 1024


class Figures:
    """What the desk has done since it started, for `/metrics`."""

    def __init__(self) -> None:
        self.batches = 0
        self.commands = 0
        self.events = 0
        self.refused = 0
        self.crashed = 0
        self.turned_away = 0
        self.replayed = 0
        self.parked = 0
        self.busy_s = 0.0
        self.batch_s_max = 0.0


@dataclass(slots=True)
class Flight:
    """A batch under way: decided, and being kept as soon as it has a `commit`."""

    batch: list[Pending]
    steps: Steps
    began: float
    commit: asyncio.Future[tuple[Any, Exception | None]] | None = None
    rows: Sequence[Row] = ()  # its events, as its first commit keeps them
    ended: list[Outcome] | None = None  # what became of it, when it could not be read for and was taken to its end

    @property
    def is_kept(self) -> bool:
        """Whether its commit is over, well or not."""
        return self.commit is not None and self.commit.done()


class Lanes:
    """What waits to be decided, in two lanes: whoever waits for an answer, and work that is only due (decision 0012).

    Each lane keeps its order. Of a batch of `batch_max` the work gets a quarter, and a half when nobody waits: so a
    backlog of it neither stands still nor makes the batch long in which somebody comes. Batches below 4 give it every
    fourth one.
    """

    def __init__(self, batch_max: int) -> None:
        self.people: deque[Pending] = deque()
        self.work: deque[Pending] = deque()
        self._batch_max = batch_max
        self._work_max = batch_max // WORK_SHARE
        self._turn = 0

    def __len__(self) -> int:
        return len(self.people) + len(self.work)

    @property
    def room_for_work(self) -> int:
        """How much more work may be brought here; the rest stays where it is kept."""
        return max(0, 4 * max(self._work_max, 1) - len(self.work))

    def take(self) -> list[Pending]:
        """The next batch: people first in it."""
        work_max = self._work_max
        if not work_max:
            both = bool(self.people and self.work)
            self._turn = (self._turn + both) % WORK_SHARE
            work_max = 0 if self.people and (self._turn or not both) else self._batch_max
        elif not self.people:
            work_max *= 2
        worked = min(len(self.work), work_max)
        people, work = self.people, self.work
        batch = [people.popleft() for _ in range(min(len(people), self._batch_max - worked))]
        batch += [work.popleft() for _ in range(worked)]
        return batch

    def give_back(self, batch: Sequence[Pending]) -> None:
        """A batch that was taken but not decided is the next again."""
        self.people.extendleft(reversed(batch))


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
        self._writer = writer
        self.database = database
        self._dictating = database if isinstance(database, Dictating) else None
        self._clock = clock
        self._errands = errands
        self._errand_names = frozenset(map(name_of, errands))
        self._openings = openings
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._wait_s_max = wait_s_max
        self._ahead_min = ahead_min
        self._pace_s = pace_s
        self._queue = Lanes(batch_max)
        self._wake = asyncio.Event()
        self._subscribers: list[Subscriber] = []
        self._feeds: dict[str, Feed] = {}
        self._old_events = OldEvents()
        self._timers = TimerBook()
        self._reads_timers = False
        self._errands_waiting: deque[Timer] = deque()
        self._errands_running: set[asyncio.Task[None]] = set()
        self._batch_s = 0.0
        self._began = 0.0
        self._finished = 0.0
        self._said = 0
        self.kept_rows: Sequence[Row] = ()
        self._last_now = clock()
        self._writing = ThreadPoolExecutor(1, thread_name_prefix=f"write-{name}")
        self._reading = ThreadPoolExecutor(2, thread_name_prefix=f"read-{name}")
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: datetime | None = None
        self._closing = False

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
        if not self.is_open or self._closing:
            raise Unavailable(retry_after_s=2)
        outcome = await self._enqueue(Request(rows))
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
        if self._dictating is None:
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
        feed = Feed(self, source, follower)
        self._feeds[follower.source] = feed
        source.subscribe(feed.offer)
        source.keep_for(feed.heard)

    def keep_for(self, heard: Heard) -> None:
        """Keep events, however old, until whoever this is has heard them: it gives the last that he needs no more."""
        self._old_events.keep_for(heard)

    async def run(self) -> None:
        """Work until `close`; raises Fenced when another writer has taken over."""
        self._timers.read(self.database)
        fenced: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._open()
                self.is_open = True
                self.opened.set()
                beside = [tasks.create_task(feed.run()) for feed in self._feeds.values()]
                beside += [tasks.create_task(self._sweep()), tasks.create_task(self._sweep_events())]
                await self._work()
                for task in beside:
                    task.cancel()
        except* Fenced as group:
            log.critical("desk.fenced", extra={"desk": self.name})
            fenced = group
        finally:
            self.is_open = False
            self._turn_all_away()
            for task in self._errands_running:
                task.cancel()
            self._writing.shutdown(wait=True)
            self._reading.shutdown(wait=True)
        # Here, for what an `except*` raises is put into a group by some releases of Python 3.11.
        while isinstance(fenced, BaseExceptionGroup):
            fenced = fenced.exceptions[0]
        if fenced is not None:
            raise fenced

    def close(self) -> None:
        """Stop after what is queued is done."""
        self._closing = True
        self._wake.set()

    @property
    def queue_length(self) -> int:
        """How many commands wait now."""
        return len(self._queue)

    @property
    def timers_held(self) -> int:
        """How many timers are in memory."""
        return len(self._timers)

    @property
    def lags(self) -> dict[str, int]:
        """By source: how many events are not handled yet."""
        return {source: feed.follower.lag for source, feed in self._feeds.items()}

    @property
    def event_number(self) -> int:
        """The last committed event."""
        return self._writer.kept_number

    # the work

    async def _open(self) -> None:
        """Carry out what the rooms want first; as long as nothing can be kept, again and again. Raises its problem."""
        for opening in self._openings:
            while not self._closing:
                steps = self._writer.carry_out([Request(opening.command)], now=self._now())
                (outcome,) = await self._drive(steps, None, None)
                if outcome.problem is None:
                    opening.told(outcome.answer)
                    break
                if not isinstance(outcome.problem, (Unavailable, TooSlow)):
                    raise outcome.problem
                await asyncio.sleep(1.0)

    def _find_busy(self) -> Busy | None:
        """What whoever comes now is turned away with; None when there is room."""
        waiting = len(self._queue.people)
        wait_s = waiting * self._batch_s / self._batch_max
        if waiting < self._queue_max and wait_s <= self._wait_s_max:
            return None
        self.figures.turned_away += 1
        return Busy(retry_after_s=max(1, round_up(wait_s)))

    def _hand_in(self, request: Request, *, is_work: bool = False) -> asyncio.Future[Outcome]:
        if not self.is_open or self._closing:
            raise Unavailable(retry_after_s=2)
        return self._enqueue(request, is_work=is_work)

    def _enqueue(self, request: Request, *, is_work: bool = False) -> asyncio.Future[Outcome]:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        (self._queue.work if is_work else self._queue.people).append((request, future))
        self._wake.set()
        return future

    async def _work(self) -> None:
        """Decide batches while those before are being kept; so neither Python nor the disk waits for the other."""
        flights: deque[Flight] = deque()
        try:
            while True:
                self._take_due()
                if flights:
                    await self._wait_for_more(flights)
                    if flights[0].is_kept:
                        await self._land(flights)
                        for _ in range(TURNS_TO_ANSWER):
                            await asyncio.sleep(0)
                        continue
                if (begins_at := self._begins_at()) > asyncio.get_running_loop().time():
                    await self._wait_for_company(begins_at)
                    continue
                batch = self._next_batch()
                if not batch:
                    if self._closing and not self._queue and not flights:
                        return
                    if not self._queue and not flights:
                        self._wake.clear()
                        await self._wake.wait()
                    continue
                self._began = asyncio.get_running_loop().time()
                flight = Flight(batch, self._steps_of(batch), self._began)
                flights.append(flight)
                commit = await self._decide(flight, is_ahead=len(flights) > 1)
                if commit is not None:
                    self._keep(flight, commit)
                    continue
                flights.pop()
                if flight.ended is not None:
                    self._finish(flight, flight.ended)
                else:
                    flight.steps.close()
                    self._queue.give_back(batch)
                    await self._land(flights)
        except BaseException:
            for flight in flights:
                self._abandon(flight)
            raise

    async def _wait_for_more(self, flights: Sequence[Flight]) -> None:
        """Until the first is kept, or so many wait that deciding them meanwhile is worth a batch of their own."""
        while not flights[0].is_kept and (len(flights) == FLIGHTS_MAX or len(self._queue) < self._ahead_min):
            self._wake.clear()
            await self._wake.wait()

    def _begins_at(self) -> float:
        """When what waits may begin a batch: little of it not soon after another, for the sake of its company."""
        queue = self._queue
        if not queue or self._closing:
            return 0.0
        begins_at = self._began + self._pace_s if len(queue) < self._batch_max else 0.0
        if not queue.people and len(queue.work) < min(AHEAD_MIN, self._batch_max):
            return max(begins_at, self._began + GATHER_S)
        return begins_at

    async def _wait_for_company(self, begins_at: float) -> None:
        """Until something comes, or what is there has waited long enough."""
        self._wake.clear()
        ringing = asyncio.get_running_loop().call_at(begins_at, self._wake.set)
        await self._wake.wait()
        ringing.cancel()

    def _next_batch(self) -> list[Pending]:
        return [pending for pending in self._queue.take() if self._still_stands(*pending)]

    def _steps_of(self, batch: list[Pending]) -> Steps:
        return self._writer.carry_out([request for request, _ in batch], now=self._now())

    async def _decide(self, flight: Flight, *, is_ahead: bool) -> Step | None:
        """Take a batch as far as its commit; None when something could not be read ahead, which is then left alone."""
        loop = asyncio.get_running_loop()
        step = next(flight.steps)
        while isinstance(step, Fetch):
            if self._dictating is not None and sum(len(keys) for _, keys in step.wanted) <= FETCHED_HERE:
                reply, error = take(step, self.database)
            else:
                reply, error = await loop.run_in_executor(self._writing, take, step, self.database)
            if error is None:
                step = flight.steps.send(reply)
            elif is_ahead:
                return None
            else:
                # Its parts are tried one by one: none may be decided on top before the last of them is kept.
                flight.ended = await self._drive(flight.steps, None, error)
                return None
        return step

    def _keep(self, flight: Flight, commit: Step) -> None:
        """Have the batch kept, beside the loop."""
        assert isinstance(commit, Commit), "what is to be read was read while it was decided"
        flight.rows = commit.flush.events
        flight.commit = self._take(commit)
        flight.commit.add_done_callback(lambda _: self._wake.set())

    async def _land(self, flights: deque[Flight]) -> None:
        """Answer the first batch, when its commit is over. Those decided on top of one that was not kept as it was are
        decided again. Raises Fenced."""
        flight = flights.popleft()
        assert flight.commit is not None
        try:
            reply, error = await flight.commit
            if error is not None:
                flight.rows = ()  # it is decided again
                await self._take_back(flights)
            outcomes = await self._drive(flight.steps, reply, error)
        except BaseException:
            self._abandon(flight)
            raise
        self._finish(flight, outcomes)

    async def _take_back(self, flights: deque[Flight]) -> None:
        """Batches on top of one that was not kept: the cursor keeps them out too, and if it was kept all the same, the
        one that is tried again."""
        while flights:
            flight = flights.pop()
            assert flight.commit is not None
            flight.steps.close()
            self._queue.give_back(flight.batch)
            with contextlib.suppress(Fenced):
                await flight.commit

    def _abandon(self, flight: Flight) -> None:
        """Nothing is known of a batch: its callers are told so."""
        if flight.commit is not None:
            flight.commit.add_done_callback(_look_at)
        for _, future in flight.batch:
            if not future.done():
                future.set_exception(Unavailable(retry_after_s=2))

    def _still_stands(self, request: Request, future: asyncio.Future[Outcome]) -> bool:
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

    def _finish(self, flight: Flight, outcomes: list[Outcome]) -> None:
        """Tell what was committed, then answer; so whoever wrote reads his own write."""
        self.kept_rows = flight.rows
        self._publish(outcomes)
        self.kept_rows = ()
        for (_, future), outcome in zip(flight.batch, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)
        self._timers.note(self._writer.timer_changes.items())
        self._writer.timer_changes.clear()
        now = asyncio.get_running_loop().time()
        worked = now - max(flight.began, self._finished)  # alone, not while another was on its way before it
        self._finished = now
        self._batch_s += 0.1 * (worked - self._batch_s)
        self._count(outcomes, worked, now - flight.began)

    async def _drive(self, steps: Steps, reply: Any, error: Exception | None) -> list[Outcome]:
        """Take steps to their end; more than the first commit only when that one failed."""
        while True:
            try:
                step = steps.throw(error) if error is not None else steps.send(reply)
            except StopIteration as done:
                outcomes: list[Outcome] = done.value
                return outcomes
            reply, error = await self._take(step)

    def _take(self, step: Step) -> asyncio.Future[tuple[Any, Exception | None]]:
        """Do what a step asks: a thread does, or whoever writes the database. Its future raises Fenced."""
        if self._dictating is not None and isinstance(step, Commit):
            return asyncio.ensure_future(self._dictate(self._dictating, step.flush))
        return asyncio.get_running_loop().run_in_executor(self._writing, take, step, self.database)

    async def _dictate(self, dictating: Dictating, flush: Flush) -> tuple[None, Exception | None]:
        self._said = flush.after
        try:
            await dictating.dictate(flush)
        except RowRefused as error:
            return None, error
        except DatabaseUnavailable as error:
            loop = asyncio.get_running_loop()
            try:
                position, _ = await loop.run_in_executor(self._writing, self.database.cursor)
                find_out(flush, position, error, until=self._said)
            except DatabaseUnavailable as gone:
                return None, gone
        return None, None

    def _now(self) -> datetime:
        """The writer's clock; it never goes back, whatever the machine's does."""
        self._last_now = max(self._last_now, self._clock())
        return self._last_now

    def _publish(self, outcomes: Sequence[Outcome]) -> None:
        events = [numbered for outcome in outcomes for numbered in outcome.events]
        if not events:
            return
        for subscriber in self._subscribers:
            try:
                subscriber(events)
            except Exception:
                log.exception("desk.subscriber_failed", extra={"desk": self.name})

    def _count(self, outcomes: Sequence[Outcome], worked: float, took: float) -> None:
        figures = self.figures
        figures.batches += 1
        figures.commands += len(outcomes)
        figures.busy_s += worked
        figures.batch_s_max = max(figures.batch_s_max, took)
        for outcome in outcomes:
            figures.events += len(outcome.events)
            figures.replayed += outcome.replayed
            if outcome.problem is not None:
                figures.refused += 1
                figures.crashed += isinstance(outcome.problem, (Crashed, TooSlow))

    def _turn_all_away(self) -> None:
        for lane in (self._queue.people, self._queue.work):
            while lane:
                _, future = lane.popleft()
                if not future.done():
                    future.set_exception(Unavailable(retry_after_s=2))

    async def _sweep(self) -> None:
        """Forget kept answers when they are old, a few at a time, so that the table stays bounded."""
        while True:
            before_ms = to_ms(self._now() - ANSWERS_KEPT_FOR)
            pause_s = SWEEP_EVERY_S
            try:
                old = await self.rows(ANSWERS_BEFORE, {"before_ms": before_ms, "limit": SWEPT_AT_ONCE})
                if not old:
                    oldest = await self.rows(OLDEST_ANSWER)
                    in_s = (oldest[0][0] - before_ms) / 1000 if oldest else SWEEP_AFTER_S_MAX
                    pause_s = min(max(in_s, SWEEP_EVERY_S), SWEEP_AFTER_S_MAX)
            except (DatabaseUnavailable, Unavailable):
                old = []
            if old:
                await self._enqueue(Request(ForgetAnswers(answers=tuple((who, key) for who, key in old))), is_work=True)
            if len(old) < SWEPT_AT_ONCE:
                await asyncio.sleep(pause_s)

    async def _sweep_events(self) -> None:
        """Forget events that are old and were heard by all, a few at a time."""
        while True:
            old: list[Any] = []
            with contextlib.suppress(DatabaseUnavailable, Unavailable):
                old = await self._old_events.find(self.rows, now=self._now())
            if old:
                await self._enqueue(Request(Rows(removes=[(EVENTS, old)])), is_work=True)
            await asyncio.sleep(EVENTS_AGAIN_S if len(old) == EVENTS_AT_ONCE else SWEEP_AFTER_S_MAX)

    # timers and errands

    def _take_due(self) -> None:
        if self._closing:
            return
        if self._timers.is_used_up and not self._reads_timers:
            self._read_timers()
        now = self._now()
        for timer in self._timers.take_due(now, limit=self._queue.room_for_work):
            if timer.command in self._errand_names:
                self._errands_waiting.append(timer)
            else:
                command = self._writer.schema.codec.command(timer.command, timer.body)
                future = self._enqueue(Request(command, timer=timer), is_work=True)
                future.add_done_callback(lambda done, timer=timer: self._fired(timer, done))  # type: ignore[misc]
        while self._errands_waiting and len(self._errands_running) < ERRANDS_AT_ONCE:
            self._start(self._run_errand(self._errands_waiting.popleft()))
        self._set_alarm(now)

    def _read_timers(self) -> None:
        """Read on in the table, in a thread: tens of thousands of rows, perhaps over a network that hangs."""
        self._reads_timers = True
        self._timers.expect()
        read = asyncio.get_running_loop().run_in_executor(self._reading, earliest, self.database)
        read.add_done_callback(self._timers_came)

    def _timers_came(self, read: asyncio.Future[list[Timer]]) -> None:
        self._reads_timers = False
        if read.cancelled() or self._closing:
            _look_at(read)
            return
        try:
            self._timers.hold(read.result())
        except DatabaseUnavailable:  # the next batch tries again, or who wakes when there is none
            asyncio.get_running_loop().call_later(TIMERS_AGAIN_S, self._wake.set)
        else:
            self._wake.set()

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
            self._ring()
        else:
            self._alarm = self._alarm_at = None
            self._set_alarm(now)

    def _ring(self) -> None:
        self._alarm = self._alarm_at = None
        self._wake.set()

    def _fired(self, timer: Timer, done: asyncio.Future[Outcome]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._give_back(timer)
        elif isinstance(done.result().problem, (Crashed, TooSlow, Unavailable)):
            self._postpone(timer)

    def _postpone(self, timer: Timer) -> None:
        """A timer that failed is tried again later and later: 1 s, 2 s, 4 s, up to a minute."""
        pause = timedelta(seconds=min(60, 2**timer.attempts))
        later = Timer(
            id=timer.id,
            due_at=self._now() + pause,
            command=timer.command,
            body=timer.body,
            attempts=timer.attempts + 1,
        )
        future = self._enqueue(Request(None, timer=later, postpones=timer), is_work=True)
        future.add_done_callback(lambda done: self._postponed(timer, done))

    def _postponed(self, timer: Timer, done: asyncio.Future[Outcome]) -> None:
        if done.cancelled() or done.exception() is not None or done.result().problem is not None:
            # The database keeps nothing now: look again in a while without keeping the postponement.
            asyncio.get_running_loop().call_later(2.0, self._give_back, timer)

    def _give_back(self, timer: Timer) -> None:
        """Have a timer that was taken fire again, though nobody calls."""
        self._timers.give_back(timer)
        self._wake.set()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._errands_running.add(task)
        task.add_done_callback(self._errand_done)

    def _errand_done(self, task: asyncio.Task[None]) -> None:
        self._errands_running.discard(task)
        self._wake.set()

    async def _run_errand(self, timer: Timer) -> None:
        errand = self._writer.schema.codec.command(timer.command, timer.body)
        try:
            async with asyncio.timeout(ERRAND_S_MAX):
                command = await self._errands[type(errand)](errand, now=self._now())
            outcome = await self._enqueue(Request(command, timer=timer), is_work=True)
            failed = isinstance(outcome.problem, (Crashed, TooSlow, Unavailable))
        except Exception as error:
            log.warning(
                "desk.errand_failed",
                # The type only: a vendor's text may hold a phone number.
                extra={"desk": self.name, "errand": timer.command, "reason": type(error).__name__},
            )
            failed = True
        if failed:
            self._postpone(timer)


class Feed:
    """Carries one follower's events into its target's writer and tells who waits for them."""

    def __init__(self, target: WriterDesk, source: WriterDesk, follower: Follower) -> None:
        self.follower = follower
        self._target = target
        self._source = source
        self._wake = asyncio.Event()
        self._flying: deque[Pending] = deque()
        self._hands_over = False  # not before the target works, nor while it is found out what it refused
        self._outcomes: dict[int, tuple[Any, ...]] = {}
        self._waiters: dict[int, list[asyncio.Future[tuple[Any, ...]]]] = {}

    def offer(self, events: Sequence[Numbered]) -> None:
        """Hear what the source has committed; it is in the target's next batch, whatever else is on its way there."""
        self.follower.offer(events)
        if self._hands_over:
            self._hand_over()
            self._wake.set()

    async def heard(self) -> int:
        """The last event that the target needs no more: none that it laid aside, for that is heard yet."""
        parked = await self._target.rows(OLDEST_PARKED, {"source": self.follower.source})
        position = self.follower.position
        return min(position, parked[0][0] - 1) if parked else position

    def reached(self, number: int) -> asyncio.Future[tuple[Any, ...]]:
        """What the target emitted when it heard event `number`; whoever waits sets the limit, as HTTP does."""
        future: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()
        if number in self._outcomes or number <= self.follower.position:
            future.set_result(self._outcomes.get(number, ()))
        else:
            self._waiters.setdefault(number, []).append(future)
        return future

    async def run(self) -> None:
        """Carry events for as long as the target works."""
        self.follower.expect(self._source.event_number)
        self._hands_over = True
        try:
            while True:
                self._hand_over()
                if self._flying:
                    await self._settle()
                elif self.follower.is_behind:
                    await self._read()
                else:
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            self._hands_over = False

    def _hand_over(self) -> None:
        for request in self.follower.take(FED_AT_ONCE - len(self._flying)):
            self._flying.append((request, self._target._enqueue(request)))

    async def _read(self) -> None:
        """Read on in the source's log; when it cannot be read now, in a second."""
        try:
            rows = await self._source.rows(EVENTS_AFTER, {"after": self.follower.read_after, "limit": 1000})
        except (DatabaseUnavailable, Unavailable):
            await asyncio.sleep(1.0)
        else:
            self.follower.read(rows)

    async def _settle(self) -> None:
        """What became of the first that is on its way."""
        request, future = self._flying[0]
        outcome = await future
        self._flying.popleft()
        if outcome.problem is None:
            self._kept(request.number, tuple(event for _, event in outcome.events))
            return
        self._hands_over = False
        await asyncio.gather(*[future for _, future in self._flying], return_exceptions=True)  # refused, being after it
        self._flying.clear()
        await self._recover(request, outcome)
        self._hands_over = True

    async def _recover(self, request: Request, outcome: Outcome) -> None:
        """The target refused an event: park it when a listener is at fault, else wait; then go on from the table."""
        if isinstance(outcome.problem, Unavailable):
            await asyncio.sleep(1.0)
        else:
            log.error(
                "feed.event_parked",
                extra={"desk": self._target.name, "source": self.follower.source, "number": request.number},
            )
            request.parked = str(outcome.problem)
            parked = await self._target._enqueue(request)
            if parked.problem is None:
                self._target.figures.parked += 1
                self._kept(request.number, ())
        self.follower.start_over(self.follower.position)
        self.follower.expect(self._source.event_number)

    def _kept(self, number: int, events: tuple[Any, ...]) -> None:
        self.follower.kept(number)
        self._outcomes[number] = events
        if len(self._outcomes) > OUTCOMES_KEPT:
            del self._outcomes[next(iter(self._outcomes))]
        for future in self._waiters.pop(number, ()):
            if not future.done():
                future.set_result(events)


def _look_at(commit: asyncio.Future[Any]) -> None:
    """Nobody waits for this any more, and what it raises has been raised before."""
    if not commit.cancelled():
        commit.exception()


def round_up(seconds: float) -> int:
    """Whole seconds, not fewer."""
    return int(seconds) + (seconds > int(seconds))
