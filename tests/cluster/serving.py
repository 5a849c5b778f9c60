"""A process of an installation for browsers to look at: `tuanzi run ROLE...`, but its clock is told, and codes shown.

Run with its roles. In the data folder all processes of the installation find the clock, as seconds ahead of the wall's,
and the codes that whichever of them sent to phones. One that serves people seeds the demo campus first.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import uvloop

from simulation import living
from tests.web.serving import DUO, TRIO
from tuanzi.catalog import PutCampaign
from tuanzi.installation import Front, WorkerSide, WriterSide, engines_of
from tuanzi.money import SandboxProvider
from tuanzi.roles.api import serve, serve_health
from tuanzi.roles.logs import log_structured
from tuanzi.roles.parts import Part
from tuanzi.settings import read_settings
from tuanzi.wiring import Vendors, wall_clock

AHEAD, SEEDED, CODES = "ahead", "seeded", "codes"
LOOK_S = 0.05


class Clock:
    """The time, so far ahead of the wall's as a file says."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._said = file.read_text(encoding="ascii")

    def now(self) -> datetime:
        """The time."""
        return wall_clock() + timedelta(seconds=float(self._said))

    async def watch(self, moved: Callable[[], None]) -> None:
        """Call `moved` whenever it was moved, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            said = self._file.read_text(encoding="ascii")
            if said and said != self._said:
                self._said = said
                moved()


class Phones:
    """The phones that codes were sent to, a file each: any process may look."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    async def send(self, *, phone: str, code: str, challenge_id: str) -> None:
        """Show the code."""
        fresh = self._folder / f"{phone}.fresh"
        fresh.write_text(code, encoding="ascii")
        fresh.rename(self._folder / phone)

    def last_code(self, phone: str) -> str | None:
        """The newest code for a phone; None when there is none."""
        with suppress(FileNotFoundError):
            return (self._folder / phone).read_text(encoding="ascii")
        return None


async def main(roles: Sequence[str]) -> None:
    """Work until SIGINT or SIGTERM."""
    settings = read_settings()
    clock, phones = Clock(settings.data / AHEAD), Phones(settings.data / CODES)
    vendors = Vendors(codes=phones, payments=SandboxProvider())
    engines = await engines_of(settings, name=" ".join(roles), now=clock.now)
    log_structured()
    async with engines.connected():
        watching = asyncio.create_task(clock.watch(lambda: _ring(part)))
        part: Front | WriterSide | WorkerSide
        if Part.WRITER in roles:
            part = WriterSide(settings, vendors, engines, name=roles[0], clock=clock.now)
            await serve_health(part)
        elif Part.WORKER in roles:
            part = WorkerSide(settings, vendors, engines, clock=clock.now)
            await serve_health(part)
        else:
            part = front = Front(settings, vendors, engines, clock=clock.now)

            async def seed() -> None:
                await living.seed(front)
                for campaign in (TRIO, DUO):
                    await front.campuses["beijing"].core.submit(PutCampaign(campaign=campaign, by="test"))
                (settings.data / SEEDED).touch()

            await serve(front, beside=seed, inbox=phones, accounts=living.ACCOUNTS)
        watching.cancel()


def _ring(part: Front | WriterSide | WorkerSide) -> None:
    """Whoever waits for a time looks at the clock again."""
    for desk in part.desks:
        desk.duties.ring()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:]))
