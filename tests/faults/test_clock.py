"""The machine's clock jumps: timers fire once and never early, deadlines hold, time never goes back (B1, J5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.faults.city import BUILDING, CAMPAIGN, CAMPUS, City, Files, house_in
from tests.waiting import until
from tuanzi.base.ids import BuildingId, CampaignId, DishId, GroupId, OrderId, PersonId
from tuanzi.groups import GroupNotOpen, JoinGroup, OpenGroup, Wanted
from tuanzi.machinery.desk import WriterDesk
from tuanzi.money import RecordCapture, payment_of

MINUTE = timedelta(minutes=1)
PAY_WITHIN = timedelta(seconds=600)
GROUP_LASTS = timedelta(minutes=30)
TOLD = "SELECT name, COALESCE(body ->> 'reason', '') FROM events WHERE name LIKE 'groups.%' ORDER BY number"


class Clock:
    """The machine's clock, which somebody sets."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        """Now."""
        return self.now

    def jump(self, by: timedelta, core: WriterDesk) -> None:
        """Set it, and let the desk look at it as it does at least every minute."""
        self.now += by
        core.duties.ring()


@asynccontextmanager
async def open_house(city: City, clock: Clock) -> AsyncIterator[WriterDesk]:
    """The core desk of a house that runs by this clock."""
    house = house_in(city.data, clock=clock)
    working = asyncio.create_task(house.run())
    await house.opened()
    try:
        yield house.campuses[CAMPUS].core
    finally:
        house.close()
        await working


def opening(city: City, *, name: str = "1") -> OpenGroup:
    """A group with one seat held."""
    return OpenGroup(
        group_id=GroupId(f"g_{name}"),
        order_id=OrderId(f"o_{name}"),
        member_id=PersonId(city.students[0].person_id),
        campaign_id=CampaignId(CAMPAIGN),
        building_id=BuildingId(BUILDING),
        lines=(Wanted(dish_id=DishId(city.dishes[1]), quantity=1),),
    )


async def at_rest(core: WriterDesk) -> None:
    """Wait until what is due has fired: several rounds in which nothing was decided, nor anything was on its way."""
    calm = 0
    async with asyncio.timeout(60):
        while calm < 20:
            before = core.figures.commands
            await asyncio.sleep(0.005)
            is_kept = core._writer.position == core._writer.kept_position
            is_idle = (
                is_kept and not core.queue_length and not core.duties._is_reading and not core._lanes.wake.is_set()
            )
            calm = calm + 1 if is_idle and core.figures.commands == before else 0


def told(city: City) -> list[tuple[Any, ...]]:
    """What was told of groups, in order."""
    return Files(city.data).rows("core", TOLD)


async def test_no_timer_fires_a_moment_early(city: City) -> None:
    clock = Clock()

    async with open_house(city, clock) as core:
        await core.submit(opening(city))
        clock.jump(PAY_WITHIN - timedelta(milliseconds=1), core)
        await at_rest(core)
        assert told(city) == [("groups.opened", ""), ("groups.seat_held", "")]
        clock.jump(timedelta(milliseconds=1), core)
        await at_rest(core)

    assert ("groups.seat_released", "not_paid_in_time") in told(city)


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=400)], ids=["an hour", "a year"])
async def test_a_jump_forward_fires_each_timer_once(city: City, jump: timedelta) -> None:
    clock = Clock()

    async with open_house(city, clock) as core:
        for name in ("1", "2"):
            await core.submit(opening(city, name=name))
        clock.jump(jump, core)
        await at_rest(core)
        clock.jump(-jump, core)
        await at_rest(core)
        clock.jump(2 * jump, core)
        await at_rest(core)

    told_of = [name for name, _ in told(city)]
    assert told_of.count("groups.seat_released") == 2
    assert told_of.count("groups.failed") == 2
    assert Files(city.data).rows("core", "SELECT COUNT(*) FROM timers") == [(0,)]
    assert Files(city.data).rows("core", "SELECT DISTINCT state FROM orders") == [("cancelled",)]


async def test_a_deadline_holds_though_its_timer_is_late(city: City) -> None:
    clock = Clock()
    late = JoinGroup(
        group_id=GroupId("g_1"),
        order_id=OrderId("o_late"),
        member_id=PersonId(city.students[1].person_id),
        lines=(Wanted(dish_id=DishId(city.dishes[1]), quantity=1),),
    )

    async with open_house(city, clock) as core:
        await core.submit(opening(city))
        clock.now += GROUP_LASTS  # and nobody has looked yet
        with pytest.raises(GroupNotOpen):
            await core.submit(late)

    assert Files(city.data).rows("core", "SELECT COUNT(*) FROM orders WHERE id = 'o_late'") == [(0,)]


async def test_a_jump_back_does_not_take_the_writer_back(city: City) -> None:
    clock = Clock()

    async with open_house(city, clock) as core:
        await core.submit(opening(city, name="1"))
        clock.jump(-timedelta(hours=2), core)
        await core.submit(opening(city, name="2"))
        await at_rest(core)

    times = [row[0] for row in Files(city.data).rows("core", "SELECT at_ms FROM events ORDER BY number")]
    assert times == sorted(times)
    opened = Files(city.data).rows("core", "SELECT closes_at_ms FROM campus_groups ORDER BY id")
    assert opened[0] == opened[1]


async def test_a_timer_waits_out_a_jump_back_at_half_the_pace_and_then_fires_once(city: City) -> None:
    clock = Clock()

    async with open_house(city, clock) as core:
        await core.submit(opening(city))
        clock.jump(-timedelta(hours=2), core)
        await at_rest(core)
        clock.jump(2 * PAY_WITHIN - timedelta(milliseconds=1), core)
        await at_rest(core)
        assert "groups.seat_released" not in [name for name, _ in told(city)]
        clock.jump(timedelta(milliseconds=1), core)
        await at_rest(core)

    assert [name for name, _ in told(city)].count("groups.seat_released") == 1


async def test_a_restart_with_the_clock_set_back_loses_no_timer_and_fires_none_early(city: City) -> None:
    clock = Clock()
    async with open_house(city, clock) as core:
        await core.submit(opening(city))
    clock.now -= timedelta(hours=2)

    async with open_house(city, clock) as core:
        await at_rest(core)
        held = core.timers_held
        assert "groups.seat_released" not in [name for name, _ in told(city)]
        clock.jump(timedelta(hours=2) + PAY_WITHIN, core)
        await until(lambda: "groups.seat_released" in [name for name, _ in told(city)])

    assert held == 2
    assert [name for name, _ in told(city)].count("groups.seat_released") == 1


async def test_money_that_comes_after_a_jump_is_given_back_and_not_lost(city: City) -> None:
    clock = Clock()
    house = house_in(city.data, clock=clock)
    working = asyncio.create_task(house.run())
    await house.opened()
    core, money = house.campuses[CAMPUS].core, house.campuses[CAMPUS].money
    command = opening(city)
    seated = (await core.submit(command)).answer
    capture = RecordCapture(
        payment_id=payment_of(command.order_id),
        order_id=command.order_id,
        member_id=command.member_id,
        amount_fen=seated.payable_fen,
        transaction_id="t_1",
        provider="sandbox",
    )

    clock.jump(timedelta(hours=3), core)
    await at_rest(core)
    await money.submit(capture)
    await until(lambda: Files(city.data).rows("core", "SELECT state FROM orders") == [("refunded",)])
    house.close()
    await working

    refunds = Files(city.data).rows("money", "SELECT amount_fen, state FROM refunds")
    assert refunds == [(seated.payable_fen, "settled")]
