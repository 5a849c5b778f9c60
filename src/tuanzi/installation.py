"""An installation of many processes: some serve people, some decide, and a campus has one of those at a time (D3, E1).

What passes between them: calls by the command log, replies by a line, events by the event log, bells by the fan-out.
Only the databases are the truth; every other thing here may be lost and is found again there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from tuanzi import live, orders, people, reconciliation
from tuanzi.base.ids import Ids
from tuanzi.base.problem import Problem
from tuanzi.engines.cache.redis import RedisCache
from tuanzi.engines.fanout.here import Here
from tuanzi.engines.fanout.redis import RedisFanOut
from tuanzi.engines.logs.kafka import KafkaCommandLog, KafkaEventLog, KafkaSettings
from tuanzi.engines.queue.rabbit import RabbitQueue
from tuanzi.engines.redis.cluster import Cluster as RedisServers
from tuanzi.machinery.afar import Carrier, RemoteDesk, Sender
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
from tuanzi.machinery.codec import Codec, encode, name_of
from tuanzi.machinery.commandlog import After, CommandLog, Entry
from tuanzi.machinery.desk import ERRAND_S_MAX, WriterDesk
from tuanzi.machinery.eventlog import EventLog
from tuanzi.machinery.internal import COMMAND_LOG, LOG_MARKS, NEWEST_MARKS, Rows
from tuanzi.machinery.migrate import Migratable
from tuanzi.machinery.pool import Pool, PoolLimits
from tuanzi.machinery.problems import Crashed, Unavailable
from tuanzi.machinery.push.hub import Hub
from tuanzi.machinery.push.keeper import Keeper
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.push.ports import FanOut
from tuanzi.machinery.relay import Relay
from tuanzi.machinery.room import ErrandHandler, Room
from tuanzi.machinery.sharedcache import NOTHING_SHARED, SharedCache
from tuanzi.machinery.workqueue import Patience, Work, WorkQueue
from tuanzi.machinery.writer import Outcome, Request
from tuanzi.settings import Settings, SettingWrong
from tuanzi.wiring import (
    CAMPUS_DATABASES,
    GateSide,
    LocalCampus,
    Telling,
    Vendors,
    Workshop,
    WriterLine,
    all_events,
    position_of,
    schema_of,
    wall_clock,
)

log = logging.getLogger("tuanzi.installation")

# As if it were a campus: the one database that all of them share.
PLATFORM = "platform"
# To be told how a campus does; carried by the command log like everything that its owner is asked.
FIGURES = "installation.Figures"
FIGURES_EVERY_S = 2.0
# The queue of work that goes to companies outside or keeps a processor busy, and whose rooms have such.
ERRANDS = "errands"
BUSY_ROOMS = frozenset({"money", "sharing", "delivery"})
# Our choice: a database that no command was meant for remembers, after so many others, that it has seen them.
SILENT_MAX = 200
# A mark is a start of a broker; older ones than these are not looked at.
MARKS_MAX = 1_000
END_S_MAX = 10.0
EPOCH_AGAIN_S = 0.2


@dataclass(slots=True)
class Engines:
    """What processes meet by. events: None where whoever hears reads the tables; a second late.

    works: where work for vendors and solvers waits for workers; None where writers do it themselves.
    cache: what readers share. keep: what keeps all of these connected, until cancelled.
    """

    commands: CommandLog
    events: EventLog | None = None
    fan_out: FanOut = field(default_factory=Here)
    works: WorkQueue | None = None
    cache: SharedCache = NOTHING_SHARED
    keep: Sequence[Callable[[], Awaitable[None]]] = ()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Be connected for as long as this lasts."""
        try:
            async with asyncio.TaskGroup() as tasks:
                keeping = [tasks.create_task(_keep(each)) for each in self.keep]
                try:
                    yield
                finally:
                    for task in keeping:
                        task.cancel()
        finally:
            await self.commands.close()
            if self.events is not None:
                await self.events.close()


async def _keep(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def engines_of(settings: Settings, *, name: str, now: Callable[[], datetime]) -> Engines:
    """What the settings say processes meet by. name: of this process, told apart from every other.

    Raises SettingWrong when the logs cannot be made ready, and for an address that is none.
    """
    kafka = KafkaSettings(servers=settings.kafka, prefix=settings.kafka_prefix)
    commands = KafkaCommandLog(kafka, campuses=log_names(settings.campuses))
    told = KafkaEventLog(kafka, sources=sources_of(settings.campuses))
    try:
        await asyncio.gather(commands.ensure(), told.ensure())
    except Unavailable as error:
        raise SettingWrong(f"TUANZI_KAFKA={settings.kafka}: Kafka cannot be reached there") from error
    engines = Engines(commands, told)
    keep: list[Callable[[], Awaitable[None]]] = []
    if settings.redis:
        cluster = RedisServers(_places(settings.redis), password=settings.redis_password)
        fan_out = RedisFanOut(cluster, name=name)
        engines.fan_out, engines.cache = fan_out, RedisCache(cluster)
        keep += [cluster.run, fan_out.run]
    if settings.rabbit:
        queue = RabbitQueue(
            settings.rabbit, queues=(ERRANDS,), patience=Patience(), now=now, prefix=f"{settings.kafka_prefix}."
        )
        engines.works = queue
        keep.append(queue.run)
    engines.keep = keep
    return engines


def _places(addresses: str) -> list[tuple[str, int]]:
    """host:port, comma separated. Raises SettingWrong."""
    places = []
    for text in addresses.split(","):
        host, _, port = text.strip().rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise SettingWrong(f"TUANZI_REDIS={addresses}: host:port is expected, or several with a comma between")
        places.append((host, int(port)))
    return places


class ErrandCall(Struct, frozen=True, array_like=True, gc=False):
    """An errand on its way to a worker: of which campus, its stored name and JSON, and where its command goes."""

    number: int
    reply_to: str
    campus: str
    name: str
    body: bytes


class CampusFigures(Struct, frozen=True, kw_only=True):
    """How a campus does, as its owner says."""

    owner: str = ""
    writers: list[WriterLine] = []
    tally: dict[str, int] = {}
    messages_kept: int = 0


def databases_of(campus: str) -> tuple[str, ...]:
    """The kinds of databases of a campus, or of the platform."""
    return (PLATFORM,) if campus == PLATFORM else CAMPUS_DATABASES


def log_names(campuses: Sequence[str]) -> list[str]:
    """By whose name commands are kept in the command log."""
    return [PLATFORM, *campuses]


def sources_of(campuses: Sequence[str]) -> list[str]:
    """The databases whose events are told."""
    return [PLATFORM, *(f"{campus}.{kind}" for campus in campuses for kind in CAMPUS_DATABASES)]


@dataclass(slots=True)
class FarDesks:
    """What a request for one campus may reach, all of it elsewhere."""

    core: RemoteDesk
    money: RemoteDesk
    delivery: RemoteDesk
    notices: RemoteDesk
    platform: RemoteDesk


class Front(Workshop):
    """The house in a process that serves people and decides nothing: each of its desks is a writer elsewhere."""

    def __init__(
        self,
        settings: Settings,
        vendors: Vendors,
        engines: Engines,
        *,
        clock: Callable[[], datetime] = wall_clock,
        ids: Ids | None = None,
    ) -> None:
        super().__init__(settings, vendors, clock=clock, ids=ids)
        self.engines = engines
        self.hall = AnswerHall(settings.secret, host=settings.answers_host)
        self.campuses: dict[str, FarDesks] = {}
        self.remote: dict[str, RemoteDesk] = {}
        self.rooms = self.rooms_without_campus(self._find_desk)
        self.senders = {
            name: Sender(name, engines.commands, self.hall, waiting_max=settings.queue_max)
            for name in log_names(settings.campuses)
        }
        self._events = Codec(commands=(), events=all_events())
        self._words = {kind: Words(schema_of(kind, self.rooms), self._events) for kind in (PLATFORM, *CAMPUS_DATABASES)}
        self.platform = self._remote(PLATFORM, PLATFORM)
        for campus in settings.campuses:
            desks = {kind: self._remote(campus, kind) for kind in CAMPUS_DATABASES}
            self.campuses[campus] = FarDesks(**desks, platform=self.platform)
        # What a process that decides nothing has none of, for those who count.
        self.desks: list[WriterDesk] = []
        self.campus_rooms: dict[str, list[Room]] = {}
        self.watches: list[reconciliation.Watch] = []
        self.figures = {campus: CampusFigures() for campus in settings.campuses}
        self.doorkeeper = people.Doorkeeper(self.platform)
        self.live = FrontLive(self)
        self.platform.subscribe(self._tell_doorkeeper)
        self._closing = asyncio.Event()
        self._opened = asyncio.Event()

    def _remote(self, campus: str, kind: str) -> RemoteDesk:
        name = PLATFORM if campus == PLATFORM else f"{campus}.{kind}"
        desk = RemoteDesk(
            name,
            kind,
            self.senders[campus],
            self.open_for_reading(kind, name),
            words=self._words[kind],
            events=self._events,
        )
        self.remote[name] = desk
        return desk

    def _find_desk(self, address: str) -> RemoteDesk | None:
        """The desk of a campus, by its full address."""
        return self.remote.get(address)

    def _tell_doorkeeper(self, numbered: Sequence[tuple[int, Any]]) -> None:
        for _, event in numbered:
            self.doorkeeper.on_event(event)
            self.live.on_event(event)

    @property
    def closed(self) -> list[str]:
        """The desks whose databases are not there yet."""
        return sorted(desk.name for desk in self.remote.values() if not desk.is_open)

    def desks_of(self, campus: str | None) -> FarDesks | None:
        """The desks of a campus; for None some whose `platform` may be used; None for an unknown one."""
        return next(iter(self.campuses.values())) if campus is None else self.campuses.get(campus)

    def writer_lines(self, campus: str) -> list[WriterLine]:
        """How the writers of a campus keep up, as its owner said last."""
        return self.figures[campus].writers

    async def run(self) -> None:
        """Work until `close`."""
        await self.hall.open()
        for campus, desks in self.campuses.items():
            orders.board_of(desks.core, shared=self.engines.cache, campus=campus)
        try:
            async with asyncio.TaskGroup() as tasks:
                beside = [tasks.create_task(each) for each in (self.live.run(), self._ask_figures(), self._hear())]
                await self._closing.wait()  # the databases may not be there yet, and never come
                for task in beside:
                    task.cancel()
        finally:
            await self.hall.close()
            for desk in self.remote.values():
                desk.close()

    async def opened(self) -> None:
        """Wait until every database is there and the newest sessions are known."""
        await self._opened.wait()
        await self.doorkeeper.warm_up(self.clock())

    def close(self) -> None:
        """Stop."""
        self._closing.set()

    async def _hear(self) -> None:
        """Hear of every database's events, from when all of them are there."""
        for desk in self.remote.values():
            await desk.open()
        async with asyncio.TaskGroup() as tasks:
            for desk in self.remote.values():
                tasks.create_task(desk.watch())
            if self.engines.events is not None:
                tasks.create_task(self._listen(self.engines.events))
            self._opened.set()

    async def _listen(self, events: EventLog) -> None:
        async for source, rows in events.listen(list(self.remote)):
            try:
                await self.remote[source].hear(rows)
            except Unavailable:
                log.warning("installation.events_unreadable", extra={"desk": source})

    async def _ask_figures(self) -> None:
        """Know how each campus does, now and then; from one that does not answer, what it said last."""
        async with asyncio.TaskGroup() as tasks:
            for campus in self.campuses:
                tasks.create_task(self._ask_figures_of(campus))

    async def _ask_figures_of(self, campus: str) -> None:
        decode = msgspec.json.Decoder(CampusFigures).decode
        while True:
            with suppress(Problem, TimeoutError):
                async with asyncio.timeout(2 * FIGURES_EVERY_S):
                    reply: Reply = await self.senders[campus].ask("core", FIGURES, b"", is_accepted=True)
                if not reply.problem:
                    self.figures[campus] = decode(reply.body)
            await asyncio.sleep(FIGURES_EVERY_S)


class FrontLive:
    """The gateway of a process that keeps no streams: what writers' processes kept comes by the fan-out."""

    def __init__(self, front: Front) -> None:
        self.limits = PushLimits()
        self.archives = {id: live.StreamArchive(desks.notices) for id, desks in front.campuses.items()}
        self.keepers: dict[str, Any] = {}
        self._front = front
        self._gates = GateSide(
            front,
            front.platform,
            front.campuses,
            archives=self.archives,
            fan_out=front.engines.fan_out,
            limits=self.limits,
            overview=self.overview,
        )
        self.hubs, self.gateway, self.on_event = self._gates.hubs, self._gates.gateway, self._gates.on_event

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for id in self.hubs:
                tasks.create_task(self._begin(id))
            tasks.create_task(self.gateway.run())

    async def _begin(self, campus: str) -> None:
        """Know the streams' history; whoever owns the campus begins it."""
        while not self.hubs[campus].epoch:
            with suppress(Unavailable):
                self.hubs[campus].epoch = await self.archives[campus].find_epoch()
            if not self.hubs[campus].epoch:
                await asyncio.sleep(EPOCH_AGAIN_S)

    def overview(self, campus_id: str) -> live.OpsPicture:
        """What a campus's operators see."""
        figures = self._front.figures[campus_id]
        return self._gates.overview(campus_id, figures.tally, messages_kept=figures.messages_kept)


class Held:
    """A campus that this process decides for, or the platform."""

    def __init__(self, name: str, writers: Mapping[str, WriterDesk], words: Mapping[str, Words]) -> None:
        self.name = name
        self.writers = writers
        self.words = words
        self.local: LocalCampus | None = None
        self.telling: Telling | None = None
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


@dataclass(frozen=True, slots=True)
class Tellers:
    """What tells people, in a process without a gateway: who keeps streams, by campus."""

    keepers: dict[str, Keeper]
    hubs: dict[str, Hub] = field(default_factory=dict)
    gateway: None = None


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
            ends = {reading, *(asyncio.create_task(_of(each)) for each in (self._closing, self._failed))}
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
            opening: asyncio.Task[None] = asyncio.create_task(_of(desk.opened))
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
            except (msgspec.MsgspecError, KeyError):
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
        log.info("installation.ended", extra={"campus": campus, "owner": self.name})

    async def _open(self, campus: str) -> dict[str, Migratable]:
        """The databases of a campus, all at once; whoever wrote there is ended. Raises Elsewhere."""
        kinds = databases_of(campus)

        def open_here(kind: str) -> Migratable:
            return self.open(kind, PLATFORM if campus == PLATFORM else f"{campus}.{kind}", takes_over=True)

        def open_all() -> dict[str, Migratable]:
            if campus == PLATFORM:
                return {PLATFORM: open_here(PLATFORM)}
            with self.residing(campus), ThreadPoolExecutor(len(kinds)) as threads:
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
            held.relays = [Relay(desk.name, desk, self.engines.events, clock=self.clock) for desk in writers.values()]
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
                self._failure = error
                self._failed.set()
            raise
        finally:
            for desk in held.writers.values():
                desk.database.close()

    def _start(self, work: Any, held: Held) -> None:
        """Do work beside the desks of a campus for as long as they work."""

        async def beside() -> None:
            assert held.task is not None
            working = asyncio.ensure_future(work)
            await asyncio.wait({working, held.task}, return_when=asyncio.FIRST_COMPLETED)
            if working.done() and not working.cancelled() and working.exception() is not None:
                log.error("installation.beside_failed", extra={"campus": held.name}, exc_info=working.exception())
            working.cancel()

        task = asyncio.create_task(beside())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _carry(self, held: Held, call: Call, number: int) -> None:
        """Carry out one call, unless its database keeps already what it did. Raises KeyError and msgspec's errors."""
        desk = held.writers[call.desk]
        if call.command == FOLLOWED:
            self._answer_later(call, _followed(desk, call))
            return
        if call.command == FIGURES:
            self.lines.send(call.reply_to, Reply(call.number, msgspec.json.encode(self._figures(held))))
            return
        if number <= held.handed[call.desk]:
            return
        held.handed[call.desk] = number

        def tell(outcome: Outcome) -> None:
            self.lines.send(call.reply_to, reply_of(call.number, outcome))

        try:
            command = held.words[call.desk].command(call)
        except (msgspec.MsgspecError, KeyError):
            log.exception("installation.command_damaged", extra={"campus": held.name, "command": call.command})
            tell(Outcome(problem=Crashed(command=call.command)))
            return
        request = Request(command, who=call.who, key=call.once, entry=number)
        try:
            desk.carry(request, tell, is_accepted=call.is_accepted)
        except Unavailable as closed:
            tell(Outcome(problem=closed))

    def _answer_later(self, call: Call, answer: Any) -> None:
        async def answering() -> None:
            with suppress(asyncio.CancelledError):
                self.lines.send(call.reply_to, await answer)

        task = asyncio.create_task(answering())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _figures(self, held: Held) -> CampusFigures:
        told = held.telling
        return CampusFigures(
            owner=self.name,
            writers=[] if held.local is None else held.local.lines(batch_max=self.settings.batch_max),
            tally={} if told is None else dict(told.teller.tally),
            messages_kept=0 if told is None else told.keeper.figures.messages,
        )


class WorkerSide(Workshop):
    """Does errands of every campus: asks companies outside, plans rounds. As many at once as is good (D1)."""

    def __init__(
        self,
        settings: Settings,
        vendors: Vendors,
        engines: Engines,
        *,
        clock: Callable[[], datetime] = wall_clock,
        ids: Ids | None = None,
    ) -> None:
        """Raises SettingWrong when there is no queue to take errands from."""
        super().__init__(settings, vendors, clock=clock, ids=ids)
        if engines.works is None:
            raise SettingWrong("TUANZI_RABBIT is missing: workers take their work from there")
        self.engines = engines
        self.pool = Pool(PoolLimits(most=settings.workers_max), name=ERRANDS)
        self.lines = AnswerLines(settings.secret)
        self._works = engines.works
        self._closing = asyncio.Event()
        self._errands: dict[tuple[str, str], ErrandHandler] = {}
        self._decode: dict[str, Callable[[bytes], Any]] = {}
        for campus in settings.campuses:
            for room in self.rooms_for(campus, lambda _: None, None):
                if room.name in BUSY_ROOMS:
                    for kind, handler in room.errands.items():
                        self._errands[campus, name_of(kind)] = handler
                        self._decode[name_of(kind)] = msgspec.json.Decoder(kind).decode
        # What a process that decides nothing has none of, for those who count.
        self.desks: list[WriterDesk] = []
        self.campus_rooms: dict[str, list[Room]] = {}
        self.watches: list[reconciliation.Watch] = []
        self.closed: list[str] = []
        self.live = Tellers({})

    async def run(self) -> None:
        """Work until `close`; what is under way then is done again by another."""
        working = asyncio.create_task(self._works.work(ERRANDS, self._do, pool=self.pool))
        closing = asyncio.create_task(_of(self._closing))
        try:
            await asyncio.wait({working, closing}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            working.cancel()
            closing.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await self.lines.close()

    def close(self) -> None:
        """Stop."""
        self._closing.set()

    async def _do(self, work: Work) -> None:
        """Do an errand and send its command back; one that fails is told, for whoever sent it insists by its timer."""
        call = _unpack_errand(work.body)
        try:
            async with asyncio.timeout(ERRAND_S_MAX):
                command = await self._errands[call.campus, call.name](
                    self._decode[call.name](call.body), now=self.clock()
                )
            reply = Reply(call.number, msgspec.msgpack.encode((name_of(type(command)), encode(command))))
        except Exception as error:
            # The type only: a vendor's text may hold a phone number.
            log.warning("installation.errand_failed", extra={"errand": call.name, "reason": type(error).__name__})
            self.lines.send(call.reply_to, Reply(call.number, problem=Unavailable.code, facts=b"{}"))
            self.pool.blame()
            return
        self.lines.send(call.reply_to, reply)


_unpack_errand = msgspec.msgpack.Decoder(ErrandCall).decode


async def _of(event: asyncio.Event) -> None:
    await event.wait()


async def _followed(desk: WriterDesk, call: Call) -> Reply:
    """The reply to whoever waits until a database has followed another; he sets the limit."""
    source, number = followed_of(call)
    emitted = await desk.followed(source, number)
    return Reply(call.number, events=told_events([(0, event) for event in emitted]))
