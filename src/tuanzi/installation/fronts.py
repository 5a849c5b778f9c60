"""Those who serve people and decide nothing: each of their desks is a writer elsewhere (D3, E1)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from tuanzi import live, orders, people, reconciliation
from tuanzi.base.ids import Ids
from tuanzi.base.problem import Problem
from tuanzi.installation.meeting import FIGURES, FIGURES_EVERY_S, PLATFORM, CampusFigures, Engines, log_names
from tuanzi.machinery.afar import RemoteDesk, Sender
from tuanzi.machinery.answers import AnswerHall
from tuanzi.machinery.calls import Reply, Words
from tuanzi.machinery.codec import Codec
from tuanzi.machinery.desk import WriterDesk
from tuanzi.machinery.eventlog import EventLog
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.room import Room
from tuanzi.settings import Settings, SettingWrong
from tuanzi.wiring import (
    ANOTHER_SECRET,
    CAMPUS_DATABASES,
    GateSide,
    Vendors,
    Workshop,
    WriterLine,
    all_events,
    schema_of,
    wall_clock,
)

log = logging.getLogger("tuanzi.installation")

EPOCH_AGAIN_S = OPENED_AGAIN_S = 0.2


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
        self.rooms = self.rooms_without_campus(self._find_desk, campuses=lambda: self.campuses)
        self.senders = {
            name: Sender(name, engines.commands, self.hall, waiting_max=settings.queue_max)
            for name in log_names(settings.campuses)
        }
        self._events = Codec(commands=(), events=all_events())
        self._words = {kind: Words(schema_of(kind, self.rooms), self._events) for kind in (PLATFORM, *CAMPUS_DATABASES)}
        self.platform = self._remote(PLATFORM, PLATFORM)
        for campus in settings.campuses:
            desks = {kind: self._remote(campus, kind) for kind in CAMPUS_DATABASES}
            for desk in desks.values():
                desk.beside = desks
            self.campuses[campus] = FarDesks(**desks, platform=self.platform)
        # What a process that decides nothing has none of, for those who count.
        self.desks: list[WriterDesk] = []
        self.campus_rooms: dict[str, list[Room]] = {}
        self.watches: list[reconciliation.Watch] = []
        self.figures = {campus: CampusFigures() for campus in settings.campuses}
        self.doorkeeper = people.Doorkeeper(self.platform, keys=self.keys)
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
            orders.remember_placed(desks.core)
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
        while True:
            try:
                await self.doorkeeper.warm_up(self.clock())
                return
            except Unavailable:  # its writer is making the tables of a new installation
                await asyncio.sleep(OPENED_AGAIN_S)

    def close(self) -> None:
        """Stop."""
        self._closing.set()

    async def _hear(self) -> None:
        """Hear of every database's events, from when all of them are there."""
        for desk in self.remote.values():
            await desk.open()
        if await self._is_stranger():
            raise SettingWrong(f"TUANZI_SECRET or its file: {ANOTHER_SECRET}")
        async with asyncio.TaskGroup() as tasks:
            for desk in self.remote.values():
                tasks.create_task(desk.watch())
            if self.engines.events is not None:
                tasks.create_task(self._listen(self.engines.events))
            self._opened.set()

    async def _is_stranger(self) -> bool:
        """Whether nobody is known by the secret of this process: then no writer answers it either."""
        is_sealed_otherwise = partial(people.are_sealed_otherwise, keys=self.keys)
        while True:
            try:
                return await self.platform.look(is_sealed_otherwise)
            except Unavailable:
                await asyncio.sleep(OPENED_AGAIN_S)

    async def _listen(self, events: EventLog) -> None:
        async for source, rows in events.listen([name for name, desk in self.remote.items() if desk.is_heard]):
            try:
                await self.remote[source].hear(rows)
            except Unavailable:
                log.warning("installation.events_unreadable", extra={"desk": source})

    async def _ask_figures(self) -> None:
        """Know how each campus does, now and then; of one for which nobody answers, what was said last, and that nobody
        decides for it now."""
        async with asyncio.TaskGroup() as tasks:
            for campus in self.campuses:
                tasks.create_task(self._ask_figures_of(campus))

    async def _ask_figures_of(self, campus: str) -> None:
        decode = msgspec.json.Decoder(CampusFigures).decode
        while True:
            told = None
            with suppress(Problem, TimeoutError):
                async with asyncio.timeout(2 * FIGURES_EVERY_S):
                    reply: Reply = await self.senders[campus].ask("core", FIGURES, b"", is_accepted=True)
                if not reply.problem:
                    told = decode(reply.body)
            self.figures[campus] = told or _left(self.figures[campus])
            await asyncio.sleep(FIGURES_EVERY_S)


def _left(figures: CampusFigures) -> CampusFigures:
    """What was said of a campus for which nobody answers any more."""
    return replace(figures, owner="", writers=[replace(line, is_open=False) for line in figures.writers])


class FrontLive:
    """The gateway of a process that keeps no streams: what writers' processes kept comes by the fan-out."""

    def __init__(self, front: Front) -> None:
        self.limits = PushLimits(per_address_max=front.settings.live_address_max)
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
        return self._gates.overview(campus_id, figures.tally, figures.arrival)
