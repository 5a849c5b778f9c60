"""J1, D3: an operator sees which process decides for his campus, and it does so whole or not at all."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import Cast, Town, done
from tests.waiting import until
from tuanzi.installation import Front, WriterSide, fronts
from tuanzi.machinery.push.keeper import Keeper
from tuanzi.machinery.relay import Relay


async def test_the_overview_names_the_process_that_decides_for_the_campus(cast: Cast) -> None:
    front = cast.town.house
    assert isinstance(front, Front)
    await until(lambda: front.figures["beijing"].owner)  # told now and then

    overview = await done(cast.warden.get("overview"))

    assert overview["owner"] == "w1"


async def test_of_a_campus_for_which_nobody_decides_the_overview_says_so(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    front, writers = cast.town.house, cast.town.writers
    assert isinstance(front, Front)
    assert isinstance(writers, WriterSide)
    await until(lambda: front.figures["beijing"].owner and all(one.is_open for one in front.figures["beijing"].writers))
    before = await done(cast.warden.get("overview"))

    # Only now: who does not answer in twice that time is taken for gone, and on a busy machine that is everybody.
    monkeypatch.setattr(fronts, "FIGURES_EVERY_S", 0.05)
    writers.close()
    await until(lambda: not front.figures["beijing"].owner)
    after = await done(cast.warden.get("overview"))

    names = ["core", "money", "delivery", "notices"]
    assert [(each["database"], each["is_open"]) for each in before["writers"]] == [(name, True) for name in names]
    assert [(each["database"], each["is_open"]) for each in after["writers"]] == [(name, False) for name in names]
    assert (before["owner"], after["owner"]) == ("w1", "")


@pytest.mark.parametrize(("kind", "turn"), [(Relay, "_next"), (Keeper, "step")])
async def test_a_process_in_which_what_tells_others_has_broken_ends_for_another_to_take_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type, turn: str
) -> None:
    take_turn, is_broken = getattr(kind, turn), False

    async def take_turn_or_break(self: Any) -> Any:
        if is_broken:
            raise RuntimeError(f"no {turn}")
        return await take_turn(self)

    async def lived() -> None:
        nonlocal is_broken
        async with Town(tmp_path) as town:
            assert isinstance(town.writers, WriterSide)
            is_broken = True
            asking = asyncio.create_task(town.sign_in())  # so that there is something to relay
            for held in town.writers.held.values():
                if held.telling is not None:
                    held.telling.keeper._wake.set()
            try:
                await until(lambda: town._working.done())
            finally:
                asking.cancel()

    monkeypatch.setattr(kind, turn, take_turn_or_break)

    with pytest.raises((RuntimeError, ExceptionGroup)) as raised:
        await lived()
    assert f"RuntimeError('no {turn}')" in repr(raised.value)
