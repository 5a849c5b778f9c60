"""The cycle collector: nothing that comes and goes leaves it work, and what has stayed is left alone (issue 2)."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.machinery.asgi_client import Full, Seen, ask, small_api
from tests.machinery.toy import Build, HallFull, Take, carry_out, open_database, open_writer
from tuanzi.machinery import collector
from tuanzi.machinery.collector import calm_collector, walk_all, walk_when_quiet
from tuanzi.machinery.overlay import Overlay


class Link:
    """Part of a ring."""

    def __init__(self) -> None:
        self.other = self


@pytest.fixture
def alive() -> Iterator[Callable[[type[Any]], int]]:
    """How many of a kind are there, while nobody looks for rings."""
    gc.collect()
    gc.disable()
    yield lambda kind: sum(type(each) is kind for each in gc.get_objects())
    gc.enable()


@pytest.fixture
def calm() -> Iterator[None]:
    """The collector as a serving process has it; after the test as it was."""
    thresholds, callbacks = gc.get_threshold(), list(gc.callbacks)
    calm_collector()
    yield
    gc.callbacks[:] = callbacks
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_a_refused_command_leaves_nothing_for_the_collector(alive: Callable[[type[Any]], int]) -> None:
    database = open_database()
    writer = open_writer(database)
    carry_out(writer, database, [Build(id="h", seats=0)])
    before = alive(Overlay)

    for i in range(20):
        (outcome,) = carry_out(writer, database, [Take(ticket_id=f"t{i}", hall_id="h")])
        assert type(outcome.problem) is HallFull
    del outcome

    assert (alive(HallFull), alive(Overlay)) == (0, before)


async def test_a_refused_request_leaves_nothing_for_the_collector(alive: Callable[[type[Any]], int]) -> None:
    async def refuse() -> None:
        kept = Full()  # as a desk has it in its outcome
        raise kept

    api = small_api(Seen(do=refuse))
    for _ in range(20):
        answer = await ask(api, "GET", "/v1/campuses/beijing/dishes")
        assert answer.status == 409

    assert alive(Full) <= 1


@pytest.mark.usefixtures("calm")
def test_what_lives_through_a_walk_is_not_walked_again() -> None:
    kept = [Link() for _ in range(1000)]

    gc.collect(0)

    assert not [each for each in gc.get_objects() if type(each) is Link]
    assert len(kept) == 1000


@pytest.mark.usefixtures("calm")
def test_a_ring_of_what_was_let_rest_is_found_by_a_whole_walk() -> None:
    rings = [Link() for _ in range(1000)]
    gc.collect(0)
    rings.clear()
    left = gc.collect()

    found = walk_all()

    assert left < 1000
    assert found >= 1000
    assert gc.get_freeze_count() > 10_000


@pytest.mark.usefixtures("calm")
async def test_a_house_in_which_little_happens_is_walked_over_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "_LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(collector, "_WHOLE_EVERY_S", 0.0)
    monkeypatch.setattr(collector, "_QUIET", 2.0)  # whatever else is done here
    ring = Link()
    gone = weakref.ref(ring)
    gc.collect(0)
    walking = asyncio.create_task(walk_when_quiet())
    await asyncio.sleep(0)
    gc.collect(0)  # or nothing is taken to have happened
    del ring

    async with asyncio.timeout(60):
        while gone() is not None:  # noqa: ASYNC110 - nobody says when it has walked
            await asyncio.sleep(0)

    walking.cancel()


@pytest.mark.usefixtures("calm")
def test_young_rings_are_found_as_they_come() -> None:
    before = gc.get_stats()[0]["collected"]

    for _ in range(80_000):
        Link()

    assert gc.get_stats()[0]["collected"] - before >= 50_000
