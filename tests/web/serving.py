"""A house for browsers to look at, in a process of its own: real databases, gateway and pages, a clock that is told.

Run with a port, one for the gateway, a folder, and campuses with commas between; each line on standard input moves the
clock so many seconds on, or with `refuse` before it has the payment company refuse so many refunds, and is answered
when that is so.
It is 11:00 on a Monday in Shanghai when it starts.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec
import uvloop

from simulation import catalogs, living
from tests.waiting import until
from tuanzi.catalog import CampaignEntry, CampaignState, PeriodId, PutCampaign, TierEntry
from tuanzi.machinery.desk import WriterDesk
from tuanzi.money import Fault, SandboxProvider
from tuanzi.people import ConsoleSender
from tuanzi.roles.api import serve
from tuanzi.roles.logs import log_structured
from tuanzi.settings import read_settings
from tuanzi.wiring import House, Vendors, wall_clock

START = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
TRIO = CampaignEntry(
    id="trio",
    name_zh="三人小团",
    name_en="Trio",
    tiers=(TierEntry(size=3, off_percent=12),),
    merchant_ids=tuple(merchant["id"] for merchant in catalogs.demo("beijing")["merchants"]),
    building_ids=(),
    period_ids=tuple(PeriodId),
    starts_at=START - timedelta(days=20),
    ends_at=START + timedelta(days=20),
    group_lasts_minutes=10,
    pay_within_s=300,
    per_order_limit=6,
    per_user_limit=0,
    delivery_fee_fen=600,
    state=CampaignState.LIVE,
)

DUO = msgspec.structs.replace(
    TRIO, id="duo", name_zh="两人同行", name_en="Duo", tiers=(TierEntry(size=2, off_percent=10),)
)


class Wechat:
    """WeChat, as a phone would have it: each code is another user's."""

    appid = "wx_pages"

    async def openid_of(self, code: str) -> str:
        """Whose code it is."""
        return f"openid-{code}"


async def main(port: str, live_port: str, data: str, campuses: str) -> None:
    """Serve until SIGINT."""
    settings = read_settings(
        {"TUANZI_PORT": port, "TUANZI_LIVE_PORT": live_port, "TUANZI_DATA": data, "TUANZI_CAMPUSES": campuses}
    )
    console = ConsoleSender(lambda line: None)
    began = wall_clock()
    ahead = timedelta()
    refusals = 0

    def faults(call: str, number: str) -> Fault | None:
        nonlocal refusals
        if call != "refund" or not refusals:
            return None
        refusals -= 1
        return Fault.REFUSE

    vendors = Vendors(codes=console, payments=SandboxProvider(faults=faults), login=Wechat())
    house = House(settings, vendors, clock=lambda: START + (wall_clock() - began) + ahead)

    async def beside() -> None:
        nonlocal ahead, refusals
        await living.seed(house)
        for campaign in (TRIO, DUO):
            await house.campuses["beijing"].core.submit(PutCampaign(campaign=campaign, by="test"))
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while line := await reader.readline():
            if line.startswith(b"refuse"):
                refusals = int(line.split()[1])
            else:
                ahead += timedelta(seconds=float(line))
                await what_is_due(house)
            sys.stdout.write("heard\n")
            sys.stdout.flush()

    log_structured()
    await serve(house, beside=beside, inbox=console, accounts=living.ACCOUNTS)


async def what_is_due(house: House) -> None:
    """Have every desk look at the clock, and wait until it has decided what was due then, ten seconds at most."""
    now = house.clock()
    for desk in house.desks:
        desk.duties.ring()

    def is_done(desk: WriterDesk) -> bool:
        return not desk._lanes.wake.is_set() and not desk.queue_length and (desk.duties._timers.next_at or now) >= now

    with suppress(TimeoutError):
        await until(lambda: all(map(is_done, house.desks)), within_s=10)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
