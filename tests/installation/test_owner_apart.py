"""J1, D3: an operator sees which process decides for his campus."""

from __future__ import annotations

from tests.journeys.conftest import Cast, done
from tests.waiting import until
from tuanzi.installation import Front


async def test_the_overview_names_the_process_that_decides_for_the_campus(cast: Cast) -> None:
    front = cast.town.house
    assert isinstance(front, Front)
    await until(lambda: front.figures["beijing"].owner)  # told now and then

    overview = await done(cast.warden.get("overview"))

    assert overview["owner"] == "w1"
