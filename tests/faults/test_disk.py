"""A full disk hurts the commands that come then, and nobody else; with room again all goes on (issue 2, section 2)."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.faults.books import wrong_in
from tests.faults.city import BUILDING, CAMPAIGN, CAMPUS, City, Files, house_in
from tests.faults.disks import Disk, disks
from tests.faults.server import Server
from tests.waiting import until
from tuanzi.base.ids import BuildingId, CampaignId, DishId, GroupId, OrderId, PersonId
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.groups import OpenGroup, Wanted

BASE = f"/v1/campuses/{CAMPUS}"
# So many groups fit into what is left, whatever the disk.
GROUPS_MAX = 400


def open_a_group(server: Server, city: City, *, number: int) -> tuple[int, dict[str, Any]]:
    """One student opens a group; a repeat with the same number is the same request."""
    student = city.students[number % len(city.students)]
    lines = [{"dish_id": dish_id, "quantity": 1} for dish_id in city.dishes[1:5]]
    body = {"campaign_id": CAMPAIGN, "building_id": BUILDING, "lines": lines}
    status, answer = server.ask("POST", f"{BASE}/groups", token=student.token, key=f"disk-{number:05d}", body=body)
    return status, json.loads(answer)


@pytest.mark.parametrize("disk", disks(), ids=lambda disk: type(disk).__name__)
def test_a_full_disk_refuses_commands_whole_and_serves_reads_until_there_is_room(city: City, disk: Disk) -> None:
    server = disk.serve(city.data)
    with server:
        _, first = open_a_group(server, city, number=0)
        pay = f"{BASE}/orders/{first['order_id']}/pay"
        disk.fill(server)

        kept = 1
        while (answer := open_a_group(server, city, number=kept))[0] == 201:
            kept += 1
            assert kept < GROUPS_MAX, "the disk is not full"

        status, problem = answer
        assert status == 503
        assert problem["code"] == "machinery/unavailable"
        for number in range(kept, kept + 5):
            assert open_a_group(server, city, number=number)[0] == 503
        files = Files(disk.seen(server))
        assert files.rows("core", "SELECT COUNT(*) FROM orders") == [(kept,)]
        assert files.rows("core", "SELECT COUNT(*) FROM campus_groups") == [(kept,)]
        assert wrong_in(files) == []
        assert server.ask("GET", f"{BASE}/groups/{first['group_id']}")[0] == 200
        assert server.ask("GET", f"{BASE}/dishes")[0] == 200
        token = city.students[0].token
        assert server.ask("GET", f"{BASE}/orders/{first['order_id']}", token=token)[0] == 200
        assert server.ask("GET", "/readyz")[0] == 200

        disk.free(server)

        assert open_a_group(server, city, number=kept)[0] == 201
        assert server.ask("POST", pay, token=token, key="disk-pay-1", body={})[0] == 200
        files = Files(disk.seen(server))
        assert files.rows("core", "SELECT COUNT(*) FROM orders") == [(kept + 1,)]
        assert wrong_in(files) == []
        assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


async def test_a_timer_that_falls_due_while_nothing_can_be_kept_fires_when_there_is_room(city: City) -> None:
    now = datetime.now(UTC)
    house = house_in(city.data, clock=lambda: now)
    working = asyncio.create_task(house.run())
    await house.opened()
    core = house.campuses[CAMPUS].core
    opened = OpenGroup(
        group_id=GroupId("g_1"),
        order_id=OrderId("o_1"),
        member_id=PersonId(city.students[0].person_id),
        campaign_id=CampaignId(CAMPAIGN),
        building_id=BuildingId(BUILDING),
        lines=(Wanted(dish_id=DishId(city.dishes[1]), quantity=1),),
    )
    await core.submit(opened)
    database = core.database
    assert isinstance(database, Sqlite)
    database._writer.execute("PRAGMA query_only = ON")  # it refuses to write, as on a full disk
    refused = core.figures.refused

    now += timedelta(seconds=601)
    core.duties.ring()
    await until(lambda: core.figures.refused >= refused + 2)  # the timer, and its postponement
    database._writer.execute("PRAGMA query_only = OFF")

    await until(lambda: states(city.data) == [("cancelled",)])
    house.close()
    await working


@pytest.mark.parametrize("has_room_again", [True, False])
async def test_streams_begin_as_soon_as_there_is_room_and_a_house_may_end_before(
    tmp_path: Path, has_room_again: bool
) -> None:
    house = house_in(tmp_path)
    notices = house.campuses[CAMPUS].notices
    database = notices.database
    assert isinstance(database, Sqlite)
    database._writer.execute("PRAGMA query_only = ON")
    working = asyncio.create_task(house.run())
    await house.opened()
    await until(lambda: notices.figures.refused >= 1)

    if has_room_again:
        database._writer.execute("PRAGMA query_only = OFF")
        await until(lambda: house.live.hubs[CAMPUS].epoch)
    house.close()
    await working

    assert len(Files(tmp_path).rows("notices", "SELECT * FROM stream_epochs")) == has_room_again


def states(data: Path) -> list[tuple[Any, ...]]:
    """The states of all orders."""
    return Files(data).rows("core", "SELECT state FROM orders")
