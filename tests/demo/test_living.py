"""The living demo acts on a real house in real time and never crashes on a refusal (issue 2, section 5)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random

from msgspec import structs

from simulation import catalogs, living
from simulation.asking import Ask
from simulation.riding import BOARD
from simulation.staff import BOARD as KITCHEN
from tuanzi.base.who import Role
from tuanzi.money import SandboxProvider
from tuanzi.people import ConsoleSender
from tuanzi.people.model import ErasePerson, SetRoles
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


async def test_who_works_in_the_demo_has_a_row_and_may_do_what_it_says_now(tmp_path: Path) -> None:
    settings = read_settings({"TUANZI_DATA": str(tmp_path), "TUANZI_CAMPUSES": "beijing"}, demo=True)
    house = House(settings, Vendors(codes=ConsoleSender(), payments=SandboxProvider(remembered_max=1_000)))
    working = asyncio.create_task(house.run())
    await house.opened()
    await living.seed(house)
    catalog = catalogs.demo("beijing")
    desks = house.campuses["beijing"]
    stage = living.LiveStage(house, "beijing", desks, Random(1))

    crew = await living.hire(house, "beijing", catalog, riders=3)
    again = await living.hire(house, "beijing", catalog, riders=3)

    assert again == crew
    assert crew.merchants.keys() == {merchant["id"] for merchant in catalog["merchants"]}
    rows = await house.platform.rows("SELECT id, roles, campus_id FROM people WHERE roles = '[\"rider\"]' ORDER BY id")
    assert {id for id, _, _ in rows} > {who.person_id for who in crew.riders}

    first, second, third = crew.riders
    board = Ask("GET", BOARD, first)
    kitchen = Ask("GET", KITCHEN, first, query={"state": "planned", "limit": 1})
    assert (await stage.ask(board)).status == 200
    assert (await stage.ask(kitchen)).code == "base/forbidden"
    former = structs.replace(first, roles=frozenset({Role.MERCHANT}))
    assert (await stage.ask(replace(board, who=former))).status == 200
    await house.platform.submit(
        SetRoles(
            person_id=second.person_id,
            roles=(Role.STUDENT,),
            merchant_id=None,
            campus_id=None,
            by=crew.operator.person_id,
            audit_id="a_1",
        )
    )
    await house.platform.submit(ErasePerson(person_id=third.person_id, audit_id="a_2"))
    assert (await stage.ask(replace(board, who=second))).code == "base/forbidden"
    assert (await stage.ask(replace(board, who=third))).code == "http/not-signed-in"
    house.close()
    await working
