"""Those who decide: whichever campuses a process is given, it carries out their commands (decision 0016)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from typing import Any

import msgspec
from msgspec import structs

from tuanzi import live, orders, reconciliation
from tuanzi.base.ids import Ids
from tuanzi.base.problem import Problem
from tuanzi.installation.meeting import (
    BUSY_ROOMS,
    ERRANDS,
    FIGURES,
    PLATFORM,
    CampusFigures,
    Engines,
    ErrandCall,
    Tellers,
    databases_of,
    log_names,
    waited_for,
)
from tuanzi.machinery.afar import Carrier, Sender
from tuanzi.machinery.answers import AnswerHall, AnswerLines
from tuanzi.machinery.calls import (
    FOLLOWED,
    Call,
    Reply,
    Words,
    followed_of,
    problem_of,
    reply_of,
    told_events,
    unpack_call,
)
from tuanzi.machinery.codec import UNREADABLE, Codec, encode, name_of
from tuanzi.machinery.commandlog import After, Entry
from tuanzi.machinery.desk import WriterDesk
from tuanzi.machinery.internal import COMMAND_LOG, LOG_MARKS, NEWEST_MARKS, HearParked, Rows
from tuanzi.machinery.migrate import Migratable
from tuanzi.machinery.problems import Crashed, Unavailable
from tuanzi.machinery.relay import Relay
from tuanzi.machinery.room import ErrandHandler, Room
from tuanzi.machinery.workqueue import Work, WorkQueue
from tuanzi.machinery.writer import Outcome, Request
from tuanzi.settings import Settings
from tuanzi.wiring import (
    CAMPUS_DATABASES,
    LocalCampus,
    Telling,
    Vendors,
    Workshop,
    all_events,
    place_of,
    position_of,
    schema_of,
    wall_clock,
)

log = logging.getLogger("tuanzi.installation")

# Our choice: a database that no command was meant for remembers, after so many others, that it has seen them.
SILENT_MAX = 200

# A mark is a start of a broker; older ones than these are not looked at.
MARKS_MAX = 1_000

END_S_MAX = 10.0

HEAR_PARKED = name_of(HearParked)


class Held:
    """A campus that this process decides for, or the platform."""

    def __init__(self, name: str, writers: Mapping[str, WriterDesk], words: Mapping[str, Words]) -> None:
        self.name = name
        self.writers = writers
        self.words = words
        self.local: LocalCampus | None = None
        self.telling: Telling | None = None
        # What answers whoever waits until another database has heard of what was done for him, by the call's number.
        self.unheard: dict[int, Callable[[], None]] = {}
        self.relays: list[Relay] = []
        self.task: asyncio.Task[None] | None = None
        # Per database: the last number of the command log that it keeps, or was handed.
        self.kept = {kind: position_of(desk.database, COMMAND_LOG) for kind, desk in writers.items()}
        self.handed = dict(self.kept)
        # In which log those numbers are, and the mark that was kept last.
        marks = next(iter(writers.values())).database.rows(NEWEST_MARKS, {"limit": MARKS_MAX})
        self.after = After(
            min(self.kept.values()),
            max(self.kept.values()),
            tuple((int(number), str(mark)) for number, mark in reversed(marks)),
        )
        self.mark = str(marks[0][1]) if marks else ""


class WriterSide(Workshop):
    """The writers' half of an installation in this process: whichever campuses it is given, it decides for."""

    def __init__(
        self,
        settings: Settings,
        vendors: Vendors,
        engines: Engines,
        *,
        name: str,
        clock: Callable[[], datetime] = wall_clock,
        ids: Ids | None = None,
    ) -> None:
        """name: of this process, for operators."""
        super().__init__(settings, vendors, clock=clock, ids=ids)
        self.name = name
        self.engines = engines
        self.hall = AnswerHall(settings.secret, host=settings.answers_host)
        self.lines = AnswerLines(settings.secret)
        self.held: dict[str, Held] = {}
        self._events = Codec(commands=(), events=all_events())
        rooms = self.rooms_without_campus(lambda _: None)
        self._words = {kind: Words(schema_of(kind, rooms), self._events) for kind in (PLATFORM, *CAMPUS_DATABASES)}
        self._senders = {
            each: Sender(each, engines.commands, self.hall, waiting_max=settings.queue_max)
            for each in log_names(settings.campuses)
        }
        self._carriers = {
            f"{campus}.{kind}": Carrier(kind, self._senders[campus], words=self._words[kind])
            for campus in settings.campuses
            for kind in CAMPUS_DATABASES
        }
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()
        self._closing = asyncio.Event()

    @property
    def desks(self) -> list[WriterDesk]:
        """The desks that work here now."""
        return [desk for held in self.held.values() for desk in held.writers.values()]

    @property
    def closed(self) -> list[str]:
        """The desks of campuses given to this process that do not take commands yet."""
        return sorted(desk.name for desk in self.desks if not desk.is_open)

    @property
    def campus_rooms(self) -> dict[str, list[Room]]:
        """The rooms of each campus that is here."""
        return {held.name: held.local.rooms for held in self.held.values() if held.local is not None}

    @property
    def watches(self) -> list[reconciliation.Watch]:
        """What the comparing of books found on each campus that is here."""
        return [held.local.watch for held in self.held.values() if held.local is not None]

    @property
    def live(self) -> Tellers:
        """Who keeps the streams of each campus that is here."""
        return Tellers({held.name: held.telling.keeper for held in self.held.values() if held.telling is not None})

    async def run(self) -> None:
        """Work until `close`. Raises Fenced when another process took a campus over, or what else a desk ended with:
        then this process ends, and nothing was kept that its successor does not know."""
        self.watch.arm()
        async with AsyncExitStack() as stack:
            stack.callback(self.watch.disarm)
            await self.hall.open()
            stack.push_async_callback(self.hall.close)
            stack.push_async_callback(self.lines.close)
            reading = asyncio.create_task(self.engines.commands.read(self))
            ends = {reading, *(asyncio.create_task(waited_for(each)) for each in (self._closing, self._failed))}
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if self._failure is not None:
                    raise self._failure
                if reading.done():
                    reading.result()
            finally:
                for task in ends:
                    task.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                for name in list(self.held):
                    await self.end(name)

    def close(self) -> None:
        """Stop when what was accepted is done; others take the campuses over."""
        self._closing.set()

    # as the owner of campuses

    async def begin(self, campus: str) -> After:
        """Open the databases of a campus and decide for it; gives where its commands are to be read on."""
        held = self._hold(campus, await self._open(campus))
        self.held[campus] = held
        working = held.task = asyncio.create_task(self._work(held))
        for desk in held.writers.values():
            opening: asyncio.Task[None] = asyncio.create_task(waited_for(desk.opened))
            await asyncio.wait({opening, working}, return_when=asyncio.FIRST_COMPLETED)
            opening.cancel()
            if working.done():
                working.result()
        if held.telling is not None:
            await held.telling.begin()
            self._start(held.telling.keeper.run(), held)
        for relay in held.relays:
            self._start(relay.run(), held)
        if "money" in held.writers:
            await held.writers["money"].submit(reconciliation.Begin(), is_accepted=True)
        log.info("installation.begun", extra={"campus": campus, "owner": self.name, "after": min(held.kept.values())})
        return held.after

    async def take(self, campus: str, entries: Sequence[Entry]) -> None:
        """Have commands carried out; their callers are told by the line."""
        held = self.held[campus]
        for entry in entries:
            try:
                if entry.mark != held.mark and entry.number > held.after.until:
                    await self._note_mark(held, entry)
                call = unpack_call(entry.body)
                self._carry(held, call, entry.number)
            except UNREADABLE:
                log.exception("installation.call_damaged", extra={"campus": campus, "number": entry.number})
        last = entries[-1].number
        for kind, desk in held.writers.items():
            if last - held.handed[kind] >= SILENT_MAX:
                held.handed[kind] = last
                with suppress(Unavailable):
                    desk.carry(Request(None, entry=last), lambda _: None)

    async def _note_mark(self, held: Held, entry: Entry) -> None:
        """Keep in which log an entry stands, before any of its effects is kept. Raises Unavailable."""
        row = (entry.number, entry.mark)
        await next(iter(held.writers.values())).keep_rows(Rows(upserts=[(LOG_MARKS, [row])]))
        held.mark = entry.mark

    async def end(self, campus: str) -> None:
        """Finish what was taken of a campus and let go of it."""
        held = self.held.pop(campus, None)
        if held is None or held.task is None:
            return
        for desk in held.writers.values():
            desk.close()
        await asyncio.wait({held.task}, timeout=END_S_MAX)
        held.task.cancel()
        await asyncio.gather(held.task, return_exceptions=True)
        unheard, held.unheard = held.unheard, {}
        for answer in unheard.values():
            answer()
        log.info("installation.ended", extra={"campus": campus, "owner": self.name})

    async def _open(self, campus: str) -> dict[str, Migratable]:
        """The databases of a campus, all at once; whoever wrote there is ended. Raises Elsewhere."""
        kinds = databases_of(campus)

        def open_all() -> dict[str, Migratable]:
            if campus == PLATFORM:
                return {PLATFORM: self.open(PLATFORM, PLATFORM, takes_over=True)}
            with self.residing(campus) as settings, ThreadPoolExecutor(len(kinds)) as threads:

                def open_here(kind: str) -> Migratable:
                    return self.open(kind, f"{campus}.{kind}", takes_over=True, settings=settings)

                return dict(zip(kinds, threads.map(open_here, kinds), strict=True))

        return await asyncio.to_thread(open_all)

    def _hold(self, campus: str, opened: Mapping[str, Migratable]) -> Held:
        if campus == PLATFORM:
            rooms = self.rooms_without_campus(self._carriers.get)
            writers = {PLATFORM: self.desk(PLATFORM, PLATFORM, rooms, opened[PLATFORM])}
            held = Held(campus, writers, self._words)
        else:
            here = LocalCampus(
                campus,
                self,
                opened,
                platform=None,
                find=self._carriers.get,
                errands=None if self.engines.works is None else self._errands_of(campus, self.engines.works),
            )
            writers = here.writers
            held = Held(campus, writers, self._words)
            held.local = here
            held.telling = Telling(self, campus, here.desks, self.engines.fan_out)
            orders.share_versions(here.desks.core, self.engines.cache, campus=campus)
        if self.engines.events is not None:
            held.relays = [Relay(desk.name, desk, self.engines.events) for desk in writers.values()]
            for desk, relay in zip(writers.values(), held.relays, strict=True):
                desk.keep_for(relay.published)
        return held

    def _errands_of(self, campus: str, works: WorkQueue) -> Callable[[Sequence[Room]], dict[type, ErrandHandler]]:
        """Has errands of busy rooms done by workers; when none does one in time, its timer asks again."""
        pack = msgspec.msgpack.Encoder().encode
        unpack = msgspec.msgpack.Decoder(tuple[str, bytes]).decode

        def errands(rooms: Sequence[Room]) -> dict[type, ErrandHandler]:
            return {kind: have_done(room) for room in rooms if room.name in BUSY_ROOMS for kind in room.errands}

        def have_done(room: Room) -> ErrandHandler:
            codec = self._words[room.database].codec

            async def send(errand: Any, *, now: datetime) -> Any:
                number, done = self.hall.expect()
                name = name_of(type(errand))
                call = ErrandCall(number, self.hall.address, campus, name, encode(errand))
                try:
                    work = Work(id=f"{campus}.{number:x}", queue=ERRANDS, body=pack(call), put_at=now)
                    await works.put([work])
                    reply = await done
                finally:
                    self.hall.forget(number)
                if reply.problem:
                    raise problem_of(reply)
                return codec.command(*unpack(reply.body))

            return send

        return errands

    async def _work(self, held: Held) -> None:
        """Run the desks of a campus until they are closed; what else ends them ends the process."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for desk in held.writers.values():
                    tasks.create_task(desk.run())
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                self._fail(error)
            raise
        finally:
            for desk in held.writers.values():
                desk.database.close()

    def _fail(self, error: BaseException) -> None:
        """End the process with this error; others take its campuses over within seconds."""
        self._failure = error
        self._failed.set()

    def _start(self, work: Any, held: Held) -> None:
        """Do work beside the desks of a campus for as long as they work.

        What ends it earlier ends the process, as what ends a desk does: were it only logged, orders would go on while
        nobody is told of any.
        """

        async def beside() -> None:
            assert held.task is not None
            working = asyncio.ensure_future(work)
            await asyncio.wait({working, held.task}, return_when=asyncio.FIRST_COMPLETED)
            if working.done() and not working.cancelled() and (error := working.exception()) is not None:
                log.error("installation.beside_failed", extra={"campus": held.name}, exc_info=error)
                self._fail(error)
            working.cancel()

        task = asyncio.create_task(beside())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _carry(self, held: Held, call: Call, number: int) -> None:
        """Carry out one call, unless its database keeps already what it did. Raises one of UNREADABLE."""
        desk = held.writers[call.desk]
        if call.command == FOLLOWED:
            self._answer_later(call, _followed(desk, call))
            return
        if call.command == HEAR_PARKED and held.telling is not None and call.desk == "notices":
            self._answer_later(call, self._hear_parked(held.telling, call))
            return
        if call.command == FIGURES:
            self.lines.send(call.reply_to, Reply(call.number, msgspec.json.encode(self._figures(held))))
            return
        if number <= held.handed[call.desk]:
            return
        held.handed[call.desk] = number

        def tell(outcome: Outcome) -> None:
            reply = reply_of(call.number, outcome, position=place_of(desk.database))
            by = held.writers.get(call.heard_by) if reply.events else None
            hearing = None if by is None else by.find_hearing(call.desk, reply.events[-1][0])
            if by is None or hearing is None:
                self.lines.send(call.reply_to, reply)
            else:
                self._answer_when_heard(held, call, reply, by, hearing)

        try:
            command = held.words[call.desk].command(call)
        except UNREADABLE:
            log.exception("installation.command_damaged", extra={"campus": held.name, "command": call.command})
            tell(Outcome(problem=Crashed(command=call.command)))
            return
        request = Request(command, who=call.who, key=call.once, entry=number)
        try:
            desk.carry(request, tell, is_accepted=call.is_accepted)
        except Unavailable as closed:
            tell(Outcome(problem=closed))

    def _answer_when_heard(
        self, held: Held, call: Call, reply: Reply, by: WriterDesk, hearing: asyncio.Future[tuple[Any, ...]]
    ) -> None:
        """Answer when another database has heard of what was done, and say what it emitted; as it is, when the campus
        goes to another process before."""

        def answer(heard: asyncio.Future[tuple[Any, ...]]) -> None:
            if held.unheard.pop(call.number, None) is not None and not heard.cancelled():
                told, position = told_events([(0, event) for event in heard.result()]), place_of(by.database)
                self.lines.send(call.reply_to, structs.replace(reply, heard=told, heard_position=position))

        held.unheard[call.number] = lambda: self.lines.send(call.reply_to, reply)
        hearing.add_done_callback(answer)

    def _answer_later(self, call: Call, answer: Any) -> None:
        async def answering() -> None:
            with suppress(asyncio.CancelledError):
                self.lines.send(call.reply_to, await answer)

        task = asyncio.create_task(answering())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hear_parked(self, telling: Telling, call: Call) -> Reply:
        """The reply to whoever has an event told that was laid aside; what a writer hears is a command of his own."""
        try:
            asked = msgspec.json.decode(call.body, type=HearParked)
            event = self._events.event(asked.name, asked.version, asked.body)
            await telling.keeper.hear_parked(asked.source, asked.number, event)
        except Problem as problem:
            return reply_of(call.number, Outcome(problem=problem))
        except UNREADABLE:
            log.exception("installation.call_damaged", extra={"campus": telling.keeper.campus_id})
            return reply_of(call.number, Outcome(problem=Crashed(command=call.command)))
        return Reply(call.number)

    def _figures(self, held: Held) -> CampusFigures:
        told = held.telling
        return CampusFigures(
            owner=self.name,
            writers=[] if held.local is None else held.local.lines(batch_max=self.settings.batch_max),
            tally={} if told is None else dict(told.teller.tally),
            arrival=live.Arrival() if told is None else told.arrival,
        )


async def _followed(desk: WriterDesk, call: Call) -> Reply:
    """The reply to whoever waits until a database has followed another; he sets the limit."""
    source, number = followed_of(call)
    emitted = await desk.followed(source, number)
    events = told_events([(0, event) for event in emitted])
    return Reply(call.number, events=events, position=place_of(desk.database))
