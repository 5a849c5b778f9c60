"""J1, D3: an operator sees which process decides for his campus."""

from __future__ import annotations

import pytest

from tests.journeys.conftest import Cast, done
from tests.waiting import until
from tuanzi.installation import Front, WriterSide, fronts


async def test_the_overview_names_the_process_that_decides_for_the_campus(cast: Cast) -> None:
    front = cast.town.house
    assert isinstance(front, Front)
    await until(lambda: front.figures["beijing"].owner)  # told now and then

    overview = await done(cast.warden.get("overview"))

    assert overview["owner"] == "w1"


async def test_of_a_campus_for_which_nobody_decides_the_overview_says_so(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fronts, "FIGURES_EVERY_S", 0.05)
    front, writers = cast.town.house, cast.town.writers
    assert isinstance(front, Front)
    assert isinstance(writers, WriterSide)
    await until(lambda: front.figures["beijing"].owner)
    before = await done(cast.warden.get("overview"))

    writers.close()
    await until(lambda: not front.figures["beijing"].owner)
    after = await done(cast.warden.get("overview"))

    names = ["core", "money", "delivery", "notices"]
    assert [(each["database"], each["is_open"]) for each in before["writers"]] == [(name, True) for name in names]
    assert [(each["database"], each["is_open"]) for each in after["writers"]] == [(name, False) for name in names]
    assert (before["owner"], after["owner"]) == ("w1", "")
