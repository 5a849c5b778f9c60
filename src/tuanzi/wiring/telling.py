"""Who tells people what happened, and the gateway that holds their connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tuanzi import events, live
from tuanzi.engines.fanout.here import Here
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.push.escalation import Escalator
from tuanzi.machinery.push.gateway import Gateway
from tuanzi.machinery.push.hub import Hub
from tuanzi.machinery.push.keeper import Keeper, Log, Pace
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.push.ports import FanOut
from tuanzi.machinery.push.seen import Seen
from tuanzi.wiring.desks import CampusDesks, surely
from tuanzi.wiring.hearing import TOLD_LIVE, follower_of_log
from tuanzi.wiring.workshop import Workshop


class Telling:
    """What tells the people of one campus what happened: who keeps its streams, beside the campus's writers."""

    def __init__(
        self, shop: Workshop, campus: str, desks: CampusDesks, fan_out: FanOut, *, has_gateway: bool = False
    ) -> None:
        """has_gateway: of this process, and there is no other."""
        self.archive = live.StreamArchive(desks.notices, has_all_readers=has_gateway)
        self.teller = live.LiveTeller(desks.notices)
        self.escalator = Escalator(
            campus,
            book=live.Escalations(desks.notices),
            elsewhere=shop.elsewhere,
            prefix=live.PERSONS_STREAM,
            after_s=shop.settings.live_escalate_s,
            clock=time.monotonic,
            now=shop.clock,
        )
        self._ids = shop.ids
        self.keeper = Keeper(
            campus,
            [_log_of(desks, source) for source in TOLD_LIVE],
            teller=self.teller,
            archive=self.archive,
            fan_out=fan_out,
            seen=Seen(clock=time.monotonic),
            now=shop.clock,
            pace=Pace(every_s=shop.settings.live_gather_ms / 1000, patient_s=shop.settings.live_patient_ms / 1000),
            escalator=self.escalator,
        )
        for source in TOLD_LIVE:
            getattr(desks, source).keep_for(partial(self.keeper.heard, source))

    @property
    def arrival(self) -> live.Arrival:
        """What became of the messages."""
        figures = self.escalator.figures
        return live.Arrival(
            kept=self.keeper.figures.messages,
            arrived=figures.arrived,
            escalated=figures.escalated,
            late=figures.late,
            waiting=figures.waiting,
        )

    async def begin(self) -> str:
        """The name of the streams' history; it begins now when there is none."""
        return await self.archive.begin(fresh=self._ids.token()[:12], positions=self.keeper.positions)


class LiveSide:
    """What tells people what happened: for each campus one who keeps its streams, and the gateway of this process."""

    def __init__(self, shop: Workshop, platform: Any, campuses: Mapping[str, CampusDesks]) -> None:
        """platform: the desk of the platform, where sessions are looked up."""
        self._campuses = campuses
        self.fan_out = Here()
        self.limits = PushLimits(per_address_max=shop.settings.live_address_max)
        self.tellings = {id: Telling(shop, id, desks, self.fan_out, has_gateway=True) for id, desks in campuses.items()}
        self.archives = {id: each.archive for id, each in self.tellings.items()}
        self.tellers = {id: each.teller for id, each in self.tellings.items()}
        self.keepers = {id: each.keeper for id, each in self.tellings.items()}
        self.gates = GateSide(
            shop,
            platform,
            campuses,
            archives=self.archives,
            fan_out=self.fan_out,
            limits=self.limits,
            overview=self.overview,
        )
        self.hubs, self.gateway, self.on_event = self.gates.hubs, self.gates.gateway, self.gates.on_event
        for id, hub in self.hubs.items():
            self.tellings[id].escalator.acked_here = hub.acked

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            for id, hub in self.hubs.items():
                hub.epoch = await surely(self._campuses[id].notices, self.tellings[id].begin)
        except Unavailable:
            return  # closed before anything was told
        async with asyncio.TaskGroup() as tasks:
            for keeper in self.keepers.values():
                tasks.create_task(keeper.run())
            tasks.create_task(self.gateway.run())

    def overview(self, campus_id: str) -> live.OpsPicture:
        """What a campus's operators see."""
        tally = self.tellers[campus_id].tally
        return self.gates.overview(campus_id, tally, self.tellings[campus_id].arrival)


class GateSide:
    """The gateway of a process: who comes in, and the hubs that hand out what was kept, wherever it was kept."""

    def __init__(
        self,
        shop: Workshop,
        platform: Any,
        campuses: Mapping[str, Any],
        *,
        archives: Mapping[str, live.StreamArchive],
        fan_out: FanOut,
        limits: PushLimits,
        overview: Callable[[str], live.OpsPicture],
    ) -> None:
        gate = live.Gatekeeper(platform, campuses, keys=shop.keys, now=shop.clock, overview=overview)
        self.hubs = {
            id: Hub(id, archive=archive, gate=gate, limits=limits, clock=time.monotonic)
            for id, archive in archives.items()
        }
        name = shop.ids.token()[:8]
        self.gateway = Gateway(self.hubs, gate, name=name, limits=limits, clock=time.monotonic, now=shop.clock)
        for id, hub in self.hubs.items():
            fan_out.join(id, hub)

    def on_event(self, event: object) -> None:
        """Hear an event of the database `platform`: who signed out, was erased or has other rights is let go."""
        match event:
            case events.SessionEnded():
                self.gateway.end_session(event.session_id, event.person_id)
            case events.RolesChanged():
                self.gateway.end_person(event.person_id, is_coming_back=True)
            case events.PersonErased():
                self.gateway.end_person(event.person_id, is_coming_back=False)
            case _:
                pass

    def overview(self, campus_id: str, tally: Mapping[str, Any], arrival: live.Arrival) -> live.OpsPicture:
        """What a campus's operators see of this gateway, beside what was told."""
        hub = self.hubs[campus_id]
        return live.OpsPicture(
            **tally,
            messages_kept=arrival.kept,
            messages_arrived=arrival.arrived,
            messages_escalated=arrival.escalated,
            messages_late=arrival.late,
            messages_waiting=arrival.waiting,
            messages_sent=hub.figures.sent,
            messages_acked=hub.figures.acked,
            people_connected=len(hub.clients),
        )


def _log_of(desks: CampusDesks, source: str) -> Log:
    """The log of one database, from where it was told last; where nothing was told yet, from now on."""
    position = live.find_log_position(desks.notices.database, source)
    if position is None:
        position = getattr(desks, source).event_number
    return Log(getattr(desks, source), follower_of_log(source, position=position))
