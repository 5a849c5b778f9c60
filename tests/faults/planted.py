"""The real server with handlers planted in it that go wrong: one that never ends, one that crashes, one that fits.

Run as a program by `test_slow.py`; settings come from the environment as always.
"""

from __future__ import annotations

import sys
from typing import Any

import uvloop
from msgspec import Struct

from tests.faults.city import Unsent
from tuanzi.base.ids import CampaignId, PersonId
from tuanzi.base.unit import Unit
from tuanzi.engines.database.scribe import Scribe
from tuanzi.groups.model import CampaignUse
from tuanzi.machinery.http.routes import Call, Committed, Route
from tuanzi.machinery.room import Room
from tuanzi.money import SandboxProvider
from tuanzi.roles.api import serve
from tuanzi.roles.logs import log_structured
from tuanzi.settings import read_settings
from tuanzi.wiring import FindDesk, House, Vendors


class Misbehave(Struct, frozen=True, kw_only=True, gc=False):
    """A command that goes wrong in one way: "loops", "crashes", "unkept" or "well"."""

    how: str


class Behaved(Struct, frozen=True, kw_only=True, gc=False):
    """It went well."""

    how: str


def misbehave(unit: Unit, command: Misbehave, *, now: object) -> Behaved:
    """Go wrong as asked, after having changed something that must not be kept."""
    if command.how != "well":
        unit.schedule("planted", command, at=now)  # type: ignore[arg-type]
    while command.how == "loops":
        pass
    if command.how == "crashes":
        raise ZeroDivisionError("planted")
    if command.how == "unkept":
        unit.add(CampaignUse(campaign_id=CampaignId("c"), member_id=PersonId("p"), orders=-1))  # a CHECK says no
    return Behaved(how=command.how)


async def post(call: Call[Misbehave, None]) -> Committed:
    """POST /v1/campuses/{campus}/planted: go wrong."""
    return await call.desks.core.submit(call.body, key=call.key)


PLANTED = Room(
    name="planted",
    database="core",
    commands={Misbehave: misbehave},
    routes=(
        Route(
            "POST",
            "/v1/campuses/{campus}/planted",
            post,
            answer=Behaved,
            body=Misbehave,
            summary="Go wrong",
            signed_in=False,
        ),
    ),
)


class PlantedHouse(House):
    """A house with one more room."""

    def rooms_for(self, campus: str, find: FindDesk, books: Any, **more: Any) -> list[Room]:
        """The rooms of a house, and the planted one."""
        return [*super().rooms_for(campus, find, books, **more), PLANTED]


async def run() -> None:
    """Serve until a signal."""
    vendors = Vendors(codes=Unsent(), payments=SandboxProvider(remembered_max=1000))
    with Scribe() as scribe:
        await serve(PlantedHouse(read_settings(), vendors, scribe=scribe))


if __name__ == "__main__":
    log_structured()
    uvloop.run(run())
    sys.exit(0)
