"""200,000 orders of history and 5,000 open groups: serving again within 3 s of a kill (issue 2, section 7)."""

from __future__ import annotations

import json

from tests.faults.city import BUILDING, CAMPAIGN, CAMPUS, City, Files
from tests.faults.history import fill
from tests.faults.server import Server

RESTART_S_MAX = 3.0
GROUPS_SPLIT = 66_667
GROUPS_OPEN = 5_000
BASE = f"/v1/campuses/{CAMPUS}"


async def test_two_hundred_thousand_orders_and_five_thousand_open_groups_restart_within_three_seconds(
    city: City,
) -> None:
    await fill(city, groups_split=GROUPS_SPLIT, groups_open=GROUPS_OPEN)
    lines = [{"dish_id": city.dishes[1], "quantity": 1}]
    body = {"campaign_id": CAMPAIGN, "building_id": BUILDING, "lines": lines}
    student, other = city.students[5:7]

    with Server(city.data) as server:
        status, opened = server.ask("POST", f"{BASE}/groups", token=student.token, key="restart-1", body=body)
        assert status == 201
        server.kill()
        restart_s = server.start()
        joined, _ = server.ask(
            "POST", f"{BASE}/groups/g_y0004999/orders", token=other.token, key="restart-2", body={"lines": lines}
        )
        again = server.ask("POST", f"{BASE}/groups", token=student.token, key="restart-1", body=body)
        old, view = server.ask("GET", f"{BASE}/groups/g_x0066667")
        figures = server.ask("GET", "/metrics")[1].decode()
        assert server.stop() == 0

    assert restart_s < RESTART_S_MAX
    assert again == (201, opened)
    assert joined == 201
    assert (old, json.loads(view)["state"]) == (200, "closed")
    held = next(line for line in figures.splitlines() if line.startswith('tuanzi_timers_held{desk="beijing.core"}'))
    assert float(held.split()[1]) >= 2 * GROUPS_OPEN
    files = Files(city.data)
    assert files.rows("core", "SELECT COUNT(*) >= 200000 FROM orders WHERE state = 'split'") == [(1,)]
    assert files.rows("core", "SELECT COUNT(*) FROM parked_events") == [(0,)]
