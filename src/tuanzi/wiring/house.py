"""The whole house in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from tuanzi import people, reconciliation
from tuanzi.base.ids import Ids
from tuanzi.engines.database.scribe import Scribe
from tuanzi.machinery.desk import WriterDesk
from tuanzi.machinery.room import ErrandHandler, Room
from tuanzi.settings import Settings
from tuanzi.wiring.campus import LocalCampus, WriterLine
from tuanzi.wiring.checker import CheckerProcess
from tuanzi.wiring.databases import CAMPUS_DATABASES
from tuanzi.wiring.desks import CampusDesks, surely
from tuanzi.wiring.rooms import Vendors
from tuanzi.wiring.telling import LiveSide
from tuanzi.wiring.workshop import Workshop, wall_clock


class House(Workshop):
    """All desks of one process: with SQLite files under the data folder (D3), or on a database server (E1), which it
    takes over: so whoever would write there too can see that it is written to."""

    def __init__(
        self,
        settings: Settings,
        vendors: Vendors,
        *,
        clock: Callable[[], datetime] = wall_clock,
        ids: Ids | None = None,
        scribe: Scribe | None = None,
    ) -> None:
        super().__init__(settings, vendors, clock=clock, ids=ids, scribe=scribe)
        # Where files are written by others, they are also compared by others.
        self.checker = None if scribe is None else CheckerProcess()
        # Their routes serve every campus; what a campus's own desks do is done by rooms of its own.
        self.campuses: dict[str, CampusDesks] = {}
        self.rooms = self.rooms_without_campus(self._find_desk, campuses=lambda: self.campuses)
        self.platform = self.desk(
            "platform", "platform", self.rooms, self.open("platform", "platform", takes_over=True)
        )
        self.locals = [
            LocalCampus(
                campus,
                self,
                self.open_campus(campus, takes_over=True),
                platform=self.platform,
                find=self._find_desk,
                errands=self._errands_elsewhere(campus),
            )
            for campus in settings.campuses
        ]
        self.campuses = {each.campus: each.desks for each in self.locals}
        self.campus_rooms = {each.campus: each.rooms for each in self.locals}
        self.watches = [each.watch for each in self.locals]
        self.doorkeeper = people.Doorkeeper(self.platform, keys=self.keys)
        self.live = LiveSide(self, self.platform, self.campuses)
        self.platform.subscribe(self._tell_doorkeeper)

    def _find_desk(self, address: str) -> WriterDesk | None:
        """The desk of a campus, by its full address."""
        campus, _, kind = address.rpartition(".")
        desks = self.campuses.get(campus)
        return None if desks is None or kind not in CAMPUS_DATABASES else getattr(desks, kind)

    def _errands_elsewhere(self, campus: str) -> Callable[[Sequence[Room]], Mapping[type, ErrandHandler]] | None:
        """What another process does for a campus; None when there is nothing."""
        if self.checker is None or self.settings.server_of(campus) is not None:
            return None
        return partial(self.checker.errands_of, campus, self.settings.data)

    def _tell_doorkeeper(self, numbered: Sequence[tuple[int, Any]]) -> None:
        for _, event in numbered:
            self.doorkeeper.on_event(event)
            self.live.on_event(event)

    def writer_lines(self, campus: str) -> list[WriterLine]:
        """How the writers of a campus keep up."""
        (here,) = [each for each in self.locals if each.campus == campus]
        return here.lines(batch_max=self.settings.batch_max)

    @property
    def closed(self) -> list[str]:
        """The desks that do not take commands yet, or no more."""
        return sorted(desk.name for desk in self.desks if not desk.is_open)

    @property
    def desks(self) -> list[WriterDesk]:
        """Every desk of the house."""
        return [self.platform, *(desk for each in self.locals for desk in each.writers.values())]

    def desks_of(self, campus: str | None) -> CampusDesks | None:
        """The desks of a campus; for None some whose `platform` may be used; None for an unknown one."""
        return next(iter(self.campuses.values())) if campus is None else self.campuses.get(campus)

    async def run(self) -> None:
        """Work until `close`. Raises Fenced when another process writes to the same data."""
        self.watch.arm()
        try:
            async with asyncio.TaskGroup() as tasks:
                working = [tasks.create_task(desk.run()) for desk in self.desks]
                beside = tasks.create_task(self._run_live())
                await asyncio.wait(working)
                beside.cancel()
        finally:
            self.watch.disarm()
            if self.checker is not None:
                self.checker.close()
            for desk in self.desks:
                desk.database.close()

    async def _run_live(self) -> None:
        for desk in self.desks:
            await desk.opened.wait()
        await self.live.run()

    async def opened(self) -> None:
        """Wait until every desk takes commands and the newest sessions are known."""
        for desk in self.desks:
            await desk.opened.wait()
        await self.doorkeeper.warm_up(self.clock())
        for desks in self.campuses.values():
            await surely(desks.money, partial(desks.money.submit, reconciliation.Begin(), is_accepted=True))

    def close(self) -> None:
        """Stop when what was accepted is done."""
        for desk in self.desks:
            desk.close()
