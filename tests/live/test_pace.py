"""What happens alone is told at once; what happens within a moment is told together (A1, decision 0021)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.live.office import Direct
from tests.live.test_repeats import SCHEMA, Told
from tests.live.test_sending import Desk, Happenings, keeper_of, numbers_told, up_to
from tuanzi.machinery.push.keeper import AT_ONCE, Keeper, Pace
from tuanzi.machinery.push.ports import Draft

# No test waits for it: what comes before it came for another reason.
LONG_S = 3600.0


@asynccontextmanager
async def working(
    pace: Pace, *, desk: Direct | None = None, node: Told | None = None
) -> AsyncIterator[tuple[Keeper, Happenings, Told]]:
    """A keeper at work at this pace, its log, and a gateway."""
    node = node or Told()
    keeper, source = keeper_of(desk or Direct(SCHEMA), node, pace=pace)
    task = asyncio.create_task(keeper.run())
    yield keeper, source, node
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def told(node: Told, numbers: int) -> None:
    """Until a gateway has heard of so many messages."""
    async with asyncio.timeout(10):
        while len(numbers_told(node)) < numbers:  # noqa: ASYNC110 - turn by turn, no time passes
            await asyncio.sleep(0)


async def settled() -> None:
    """Long enough for whatever is not told to wait for something else."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("since_s", "waiting", "wait_s"),
    [
        (0.0, 1, 0.25),
        (0.2, 1, 0.05),
        (0.25, 1, 0.0),
        (60.0, 1, 0.0),
        (0.0, 63, 0.25),
        (0.0, 64, 0.0),
        (0.0, 1000, 0.0),
    ],
)
def test_a_batch_begins_a_quarter_of_a_second_after_the_last_or_with_64_events(
    since_s: float, waiting: int, wait_s: float
) -> None:
    assert Pace(every_s=0.25).wait_s(since_s=since_s, waiting=waiting) == pytest.approx(wait_s)


def test_what_nobody_waits_for_waits_longer_but_never_less() -> None:
    patient, hurried = Pace(every_s=0.25, patient_s=1.0), Pace(every_s=0.25, patient_s=0.1)

    waits = [each.wait_s(since_s=0.0, waiting=63, is_hurried=False) for each in (patient, hurried)]

    assert waits == [1.0, 0.25]
    assert patient.wait_s(since_s=0.0, waiting=64, is_hurried=False) == 0.0


def test_without_a_pace_nothing_waits() -> None:
    assert AT_ONCE.wait_s(since_s=0.0, waiting=1) == 0.0


async def test_what_happens_alone_is_told_at_once() -> None:
    async with working(Pace(every_s=LONG_S)) as (_, source, node):
        source.happen(1)

        await told(node, 1)


async def test_what_happens_after_it_waits_until_enough_has_happened_and_is_one_batch() -> None:
    async with working(Pace(every_s=LONG_S, events_max=64)) as (keeper, source, node):
        source.happen(1)
        await told(node, 1)
        for _ in range(63):
            source.happen(1)
            await settled()
        told_before = numbers_told(node)

        source.happen(1)
        await told(node, 65)

    assert told_before == [1]
    assert numbers_told(node) == up_to(65)
    assert keeper.figures.batches == 2


async def test_what_is_gathered_is_told_when_the_time_is_over() -> None:
    async with working(Pace(every_s=0.02)) as (keeper, source, node):
        source.happen(1)
        await told(node, 1)
        source.happen(1)
        source.happen(1)

        await told(node, 3)

    assert keeper.figures.batches == 2


async def test_what_somebody_waits_for_takes_along_what_nobody_does() -> None:
    async with working(Pace(every_s=0.02, patient_s=LONG_S)) as (keeper, source, node):
        source.happen(1)
        await told(node, 1)
        source.happen(1)
        source.happen(1)
        await asyncio.sleep(0.05)
        told_before = numbers_told(node)

        source.happen_now()
        await told(node, 4)

    assert told_before == [1]
    assert keeper.figures.batches == 2


async def test_what_nobody_waits_for_waits_again_after_that() -> None:
    async with working(Pace(every_s=0.02, patient_s=LONG_S)) as (_, source, node):
        source.happen_now()
        await told(node, 1)
        source.happen(1)
        await asyncio.sleep(0.05)

        assert numbers_told(node) == [1]


async def test_a_reminder_is_not_kept_waiting_by_what_nobody_waits_for() -> None:
    async with working(Pace(every_s=0.02, patient_s=LONG_S)) as (keeper, source, node):
        source.happen(1)
        await told(node, 1)
        source.happen(1)
        await settled()

        async with asyncio.timeout(10):
            await keeper.post([Draft("user:p1", b"{}", event_id="r1")])
        await told(node, 3)


async def test_what_was_kept_is_sent_before_more_is_gathered() -> None:
    node = Told()
    desk = Desk(node, commits_max=9)
    async with working(Pace(every_s=LONG_S), desk=desk, node=node) as (keeper, source, _):
        source.happen(1)
        for _ in range(5):  # its commit is under way, and takes a little
            await asyncio.sleep(0)
        source.happen(1)
        while not keeper.figures.batches:  # noqa: ASYNC110 - it is kept
            await asyncio.sleep(0)
        for _ in range(5):  # fewer than what is kept may wait for the next commit
            await asyncio.sleep(0)

        assert numbers_told(node) == [1]


async def test_events_that_say_nothing_to_anybody_delay_nothing() -> None:
    async with working(Pace(every_s=LONG_S)) as (_, source, node):
        source.happen_unheard(3)
        await settled()

        source.happen(1)

        await told(node, 1)
