"""The desk of a database whose writer is in another process: commands go by the log, reads to the database (D3)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol, TypeVar

from tuanzi.base.once import Once
from tuanzi.base.problem import Busy, Problem
from tuanzi.base.unit import Key
from tuanzi.machinery.answers import AnswerHall
from tuanzi.machinery.calls import FOLLOWED, Call, Reply, Words, followed_body, pack_call
from tuanzi.machinery.codec import Codec, Unreadable
from tuanzi.machinery.commandlog import CommandLog
from tuanzi.machinery.database import Ask, DatabaseError
from tuanzi.machinery.desk import Subscriber
from tuanzi.machinery.internal import EVENTS_AFTER, NEWEST_EVENT, Rows
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.tables import Row
from tuanzi.machinery.writer import Outcome

log = logging.getLogger("tuanzi.afar")

V = TypeVar("V")

# Our choice: what the event log lost is found in the table after so long.
LOOKED_FOR_EVERY_S = 1.0
EVENTS_AT_ONCE = 1_000
OPENED_AGAIN_S = 0.2
# What was told before it is asked for; it is asked for at once, but by those who have given up.
HEARD_MAX = 4_096
# Longer than any request: what has come so long ago was left behind by one, and sees what is there now.
REQUEST_S_MAX = 30.0


# When the request that is being answered came, by `time.monotonic`: what was committed until then is to be seen by all
# that it reads, and what it does itself. None outside of requests; 0 is when a machine began, which may be just now.
came_at: ContextVar[float | None] = ContextVar("came_at", default=None)


class Readable(Protocol):
    """The reading half of a database; any thread may call it. as_of: everything committed by then is to be seen."""

    def rows(self, sql: str, slots: Mapping[str, Any] | None = None, *, as_of: float) -> list[Row]:
        """The rows of a query over a committed state."""

    def look(self, reading: Callable[[Ask], V], *, as_of: float) -> V:
        """What `reading` makes of the answers to its questions, all of one committed state."""

    def saw(self, position: str, *, as_of: float) -> None:
        """From now on everybody here is to see this position (`Reply`), behind all that was committed by `as_of`."""

    def find_again(self) -> None:
        """Look where it is now, for it is not where it was: others are in charge."""

    def close(self) -> None:
        """Let go of connections."""


class Sender:
    """Writes the calls of one campus into the log, those of one turn of the loop together and in order."""

    def __init__(self, campus: str, log: CommandLog, hall: AnswerHall, *, waiting_max: int) -> None:
        """waiting_max: how many of this process's calls to this campus may wait; more are turned away."""
        self.campus = campus
        self.turned_away = 0
        self._log = log
        self._hall = hall
        self._waiting_max = waiting_max
        self._waiting = 0
        self._calls: list[tuple[Call, asyncio.Future[Any]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(
        self,
        desk: str,
        command: str,
        body: bytes,
        *,
        once: Once | None = None,
        who: str = "",
        is_accepted: bool = False,
        heard_by: str = "",
    ) -> Any:
        """The reply to a call. Raises Busy when too many wait, Unavailable when it could not be written or the process
        ends; then, as for a caller who gives up, nobody knows whether it is done."""
        if self._waiting >= self._waiting_max and not is_accepted:
            self.turned_away += 1
            raise Busy(retry_after_s=1)
        number, future = self._hall.expect()
        key, fingerprint = ("", "") if once is None else once
        call = Call(number, self._hall.address, desk, command, body, who, key, fingerprint, is_accepted, heard_by)
        self._waiting += 1
        try:
            self._calls.append((call, future))
            if len(self._calls) == 1:
                asyncio.get_running_loop().call_soon(self._send)
            return await future
        finally:
            self._waiting -= 1
            self._hall.forget(number)

    def _send(self) -> None:
        calls, self._calls = self._calls, []
        task = asyncio.create_task(self._append(calls))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _append(self, calls: Sequence[tuple[Call, asyncio.Future[Any]]]) -> None:
        try:
            await self._log.append(self.campus, [pack_call(call) for call, _ in calls])
        except Exception as error:
            if not isinstance(error, Problem):
                log.exception("afar.append_failed", extra={"campus": self.campus})
                error = Unavailable(retry_after_s=2)
            for _, future in calls:
                if not future.done():
                    future.set_exception(error)


class Carrier:
    """Has commands of other databases carried out by a writer in another process."""

    def __init__(self, kind: str, sender: Sender, *, words: Words) -> None:
        """kind: the database's, e.g. "core"."""
        self.kind = kind
        self._sender = sender
        self._words = words

    def hand_in(self, command: Any) -> asyncio.Future[Outcome]:
        """Send what another database's work asks for; its outcome, a problem too, comes after the commit."""
        return asyncio.ensure_future(self._ask(command, is_accepted=True))

    async def _ask(
        self, command: Any, *, who: str = "", key: Once | None = None, is_accepted: bool = False, heard_by: str = ""
    ) -> Outcome:
        name, body = self._words.body_of(command)
        sent_at = time.monotonic()
        reply = await self._sender.ask(
            self.kind, name, body, once=key, who=who, is_accepted=is_accepted, heard_by=heard_by
        )
        if reply.position:
            # Without an event nothing need have been committed, and who answered may be nobody any more.
            self._saw(reply.position, as_of=sent_at if reply.events and not reply.is_replayed else 0.0)
        outcome = self._words.outcome(name, reply)
        if reply.heard is not None:
            self._note_heard(heard_by, reply)
        return outcome

    def _saw(self, position: str, *, as_of: float) -> None:
        """Remember how far the database is, for whoever reads there."""

    def _note_heard(self, by: str, reply: Reply) -> None:
        """Remember what another database emitted when it heard the last event of a reply."""


class RemoteDesk(Carrier):
    """A desk as the port says, and as `live` and the post use it. Reading blocks a thread, not the loop.

    A subscriber hears an event with the reply to the command that this process sent, before its caller is answered, or
    even before from the event log or the table, as all others and in order. What another database's event set off he
    may hear twice.
    """

    def __init__(
        self, name: str, kind: str, sender: Sender, database: Readable, *, words: Words, events: Codec, threads: int = 4
    ) -> None:
        """kind: the database's, e.g. "core". events: knows every event of the house."""
        super().__init__(kind, sender, words=words)
        self.name = name
        self.database = database
        self.event_number = 0
        self.is_open = False
        self._events = events
        self._subscribers: list[Subscriber] = []
        self._heard_at = 0.0
        self._known_number = 0  # the last event of an answer, whose position is known
        self._told: set[int] = set()  # events of answers that the log has not brought yet
        # The desks of its campus by their databases, and what this one is known to have emitted for events of theirs.
        self.beside: Mapping[str, RemoteDesk] = {}
        self._heard: dict[tuple[str, int], tuple[Any, ...]] = {}
        self._reading = ThreadPoolExecutor(threads, thread_name_prefix=f"read-{name}")

    async def submit(
        self, command: Any, *, who: str = "", key: Once | None = None, is_accepted: bool = False, heard_by: str = ""
    ) -> Outcome:
        """Have the writer carry out `command`; returns after the commit (see `Desk.submit`)."""
        outcome = await self._ask(command, who=who, key=key, is_accepted=is_accepted, heard_by=heard_by)
        if outcome.problem is not None:
            raise outcome.problem
        return outcome

    async def keep_rows(self, rows: Rows) -> None:
        """Keep rows as they are; returns after the commit. Raises Crashed when the database refuses them."""
        await self.submit(rows, is_accepted=True)

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of a committed, recent state. Raises Unavailable when the database cannot be asked."""
        return await self._read(partial(self.database.rows, sql, slots, as_of=self._as_of()))

    few = rows

    async def look(self, reading: Callable[[Ask], V]) -> V:
        """What `reading` makes of the answers to its questions, all of one committed state; it runs in a thread."""
        return await self._read(partial(self.database.look, reading, as_of=self._as_of()))

    async def followed(self, source: str, number: int) -> tuple[Any, ...]:
        """Wait until the writer has handled event `number` of `source`; what was emitted then."""
        known = self._heard.pop((source, number), None)
        if known is not None:
            return known
        reply = await self._sender.ask(self.kind, FOLLOWED, followed_body(source, number), is_accepted=True)
        if reply.position:
            self._saw(reply.position, as_of=0.0)
        outcome = self._words.outcome(FOLLOWED, reply)
        if outcome.problem is not None:
            raise outcome.problem
        if outcome.events:
            self._tell(outcome.events)  # so that whoever waited for his payment finds his order paid
        return tuple(event for _, event in outcome.events)

    def heard(self, source: str, number: int, events: tuple[tuple[int, Any], ...], *, position: str) -> None:
        """The writer has handled event `number` of `source` and emitted `events`; whoever waits for that is about to
        ask. position: of the database then."""
        if position:
            self._saw(position, as_of=0.0)
        if events:
            self._tell(events)  # so that whoever waited for his payment finds his order paid
        self._heard[source, number] = tuple(event for _, event in events)
        if len(self._heard) > HEARD_MAX:  # who gave up meanwhile does not ask
            del self._heard[next(iter(self._heard))]

    def peek(self, kind: type[V], key: Key) -> V | None:
        """Nothing is at hand here."""
        return None

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call `subscriber` with committed events; its errors hurt only itself."""
        self._subscribers.append(subscriber)

    @property
    def is_heard(self) -> bool:
        """Whether anybody here wants to be told of its events."""
        return bool(self._subscribers)

    async def open(self) -> None:
        """Know where the log of events stands: what is told from now on is what comes after it. As long as the
        database is not there yet, or cannot be asked, it is asked again."""
        while not self.is_open:
            try:
                self.event_number = await self._newest()
                self.is_open = True
            except Unavailable:
                await asyncio.sleep(OPENED_AGAIN_S)

    async def hear(self, rows: Sequence[Row]) -> None:
        """Tell subscribers of rows of the event log; what lies between is read in the table first. None: some may have
        been missed."""
        if not rows:
            await self._catch_up(await self._newest())
            return
        if rows[-1][0] <= self.event_number:
            return
        if rows[0][0] > self.event_number + 1:
            await self._catch_up(rows[0][0] - 1)
        news = [row for row in rows if row[0] > self.event_number]  # what was just read in the table is told already
        if news:
            self._tell_rows(news)

    async def watch(self) -> None:
        """Find what the event log lost, until cancelled; without one, everything is found so, a second late."""
        while True:
            await asyncio.sleep(LOOKED_FOR_EVERY_S)
            try:
                newest = await self._newest()
                if self.is_heard:
                    await self._catch_up(newest)
                else:
                    self.event_number = newest
            except Unavailable:
                log.warning("afar.unreadable", extra={"desk": self.name})

    def close(self) -> None:
        """Let go of the database."""
        self._reading.shutdown(wait=False)
        self.database.close()

    async def _ask(
        self, command: Any, *, who: str = "", key: Once | None = None, is_accepted: bool = False, heard_by: str = ""
    ) -> Outcome:
        outcome = await super()._ask(command, who=who, key=key, is_accepted=is_accepted, heard_by=heard_by)
        if outcome.events:
            self._known_number = max(self._known_number, outcome.events[-1][0])
            if self.is_heard:
                news = [numbered for numbered in outcome.events if numbered[0] > self.event_number]
                self._told.update([number for number, _ in news])
                self._tell(news)
        return outcome

    def _as_of(self) -> float:
        """By when what was committed is to be seen: whoever was told of an event, and forgot what he knew, sees it."""
        now, came = time.monotonic(), came_at.get()
        return max(now if came is None or now - came >= REQUEST_S_MAX else came, self._heard_at)

    def _saw(self, position: str, *, as_of: float) -> None:
        self.database.saw(position, as_of=as_of)

    def _note_heard(self, by: str, reply: Reply) -> None:
        desk = self.beside.get(by)
        if desk is not None and reply.heard is not None and reply.events:
            desk.heard(self.kind, reply.events[-1][0], self._words.events(reply.heard), position=reply.heard_position)

    async def _read(self, read: Callable[[], V]) -> V:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reading, read)
        except (DatabaseError, RuntimeError) as error:
            raise Unavailable(retry_after_s=2) from error

    async def _newest(self) -> int:
        rows = await self.rows(NEWEST_EVENT)
        if not rows:  # a database that is being copied, or was left
            await self._read(self.database.find_again)
            raise Unavailable(retry_after_s=2)
        return int(rows[0][0])

    async def _catch_up(self, number: int) -> None:
        while self.event_number < number:
            rows = await self.rows(EVENTS_AFTER, {"after": self.event_number, "limit": EVENTS_AT_ONCE})
            if not rows:
                return
            self._tell_rows(rows)

    def _tell_rows(self, rows: Sequence[Row]) -> None:
        self.event_number = rows[-1][0]
        if self.event_number > self._known_number:
            self._heard_at = time.monotonic()
        told = self._told
        news = [row for row in rows if row[0] not in told]
        if len(news) < len(rows):
            told.difference_update([row[0] for row in rows])
        read = self._events.event_if_readable
        self._tell([(row[0], read(row[1], row[2], row[4])) for row in news])

    def _tell(self, events: Sequence[tuple[int, Any]]) -> None:
        """Tell subscribers what this release can read: writers may be of a later one already."""
        known = [numbered for numbered in events if type(numbered[1]) is not Unreadable]
        if len(known) < len(events):
            reasons = sorted({event.reason for _, event in events if type(event) is Unreadable})
            log.error("afar.events_unreadable", extra={"desk": self.name, "reasons": reasons})
        for subscriber in self._subscribers:
            try:
                subscriber(known)
            except Exception:
                log.exception("afar.subscriber_failed", extra={"desk": self.name})
