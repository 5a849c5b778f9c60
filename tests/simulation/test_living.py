"""The living demo acts on a real house in real time and never crashes on a refusal (issue 2, section 5)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from simulation import living
from tuanzi.money import SandboxProvider
from tuanzi.people import ConsoleSender
from tuanzi.settings import read_settings
from tuanzi.wiring import House, Vendors


async def test_students_order_on_every_campus_and_seeding_twice_changes_nothing(tmp_path: Path) -> None:
    settings = read_settings({"TUANZI_DATA": str(tmp_path)}, demo=True)
    house = House(settings, Vendors(codes=ConsoleSender(), payments=SandboxProvider(remembered_max=1_000)))
    working = asyncio.create_task(house.run())
    await house.opened()
    await living.seed(house)
    after_once = [desks.core.event_number for desks in house.campuses.values()]

    await living.seed(house)

    assert [desks.core.event_number for desks in house.campuses.values()] == after_once
    students = asyncio.create_task(living.live(house, seed=1, students=50))
    async with asyncio.timeout(60):
        while not all([await _orders(house, campus) for campus in house.campuses]):
            assert not students.done()
            await asyncio.sleep(0.1)
    students.cancel()
    await asyncio.gather(students, return_exceptions=True)
    house.close()
    await working


async def _orders(house: House, campus: str) -> int:
    rows = await house.campuses[campus].core.rows("SELECT COUNT(*) FROM orders")
    return int(rows[0][0])
