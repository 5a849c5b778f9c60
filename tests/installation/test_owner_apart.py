"""J1, D3: an operator sees which process decides for his campus."""

from __future__ import annotations

from tests.journeys.conftest import Cast, done
from tests.waiting import until


async def test_the_overview_names_the_process_that_decides_for_the_campus(cast: Cast) -> None:
    front = cast.town.house
    await until(lambda: front.figures["beijing"].owner)  # type: ignore[attr-defined] # a Front, told now and then

    overview = await done(cast.warden.get("overview"))

    assert overview["owner"] == "w1"
