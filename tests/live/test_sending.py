"""Messages are sent after they are kept, in order, whatever comes of those after them (A4)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.live.office import Direct
from tests.live.test_repeats import SCHEMA, Told
from tuanzi import live, wiring
from tuanzi.engines.fanout.here import Here
from tuanzi.events import OrderAdvanced, OrderCompleted
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.push.escalation import Escalator
from tuanzi.machinery.push.keeper import AT_ONCE, EVENTS_AT_ONCE, Keeper, Log, Pace
from tuanzi.machinery.push.seen import Seen


class Happenings:
    """A log that only memory has."""

    event_number = 0

    def subscribe(self, subscriber: Any) -> None:
        """Tell of what happens from now on."""
        self._subscriber = subscriber

    async def rows(self, sql: str, slots: Any = None) -> list[tuple[Any, ...]]:
        """Nobody falls behind here."""
        return []

    def happen(self, count: int) -> None:
        """So many changes of one order happen."""
        numbers = range(self.event_number + 1, self.event_number + count + 1)
        events = [OrderAdvanced(order_id="o1", member_id="p1", before="paid", state=f"n{i}") for i in numbers]
        self.event_number += count
        self._subscriber(list(zip(numbers, events, strict=True)))

    def happen_unheard(self, count: int) -> None:
        """So much happens that is nothing to tell."""
        numbers = range(self.event_number + 1, self.event_number + count + 1)
        self.event_number += count
        self._subscriber([(number, OrderCompleted(order_id="o1", member_id="p1")) for number in numbers])


class Desk(Direct):
    """A desk that notes what was told at the time of each commit, and takes only so many commits."""

    def __init__(self, node: Told, *, commits_max: int) -> None:
        super().__init__(SCHEMA)
        self.told_then: list[list[int]] = []
        self._node = node
        self._commits_left = commits_max

    async def keep_rows(self, rows: Any) -> None:
        """Keep rows, a little later."""
        await asyncio.sleep(0.005)
        self.told_then.append(numbers_told(self._node))
        if self._commits_left == 0:
            raise Unavailable(retry_after_s=2)
        self._commits_left -= 1
        await super().keep_rows(rows)


def numbers_told(node: Told) -> list[int]:
    """The numbers that a gateway was given, in order."""
    return [kept.number for batch in node.batches for kept in batch]


def keeper_of(
    desk: Direct, node: Told, *, pace: Pace = AT_ONCE, escalator: Escalator | None = None
) -> tuple[Keeper, Happenings]:
    """A keeper of one log, and the log."""
    fan_out, source = Here(), Happenings()
    fan_out.join("beijing", node)
    keeper = Keeper(
        "beijing",
        [Log(source, wiring.follower_of_log("core", position=0))],
        teller=live.LiveTeller(desk),
        archive=live.StreamArchive(desk),
        fan_out=fan_out,
        seen=Seen(clock=lambda: 0.0),
        now=wiring.wall_clock,
        pace=pace,
        escalator=escalator,
    )
    return keeper, source


def up_to(last: int) -> Sequence[int]:
    """1, 2, ... last."""
    return list(range(1, last + 1))


async def test_a_message_is_sent_at_once_when_it_is_kept_and_nothing_else_waits() -> None:
    node = Told()
    desk = Desk(node, commits_max=9)
    keeper, source = keeper_of(desk, node)

    source.happen(3)
    await keeper.step()

    assert desk.told_then == [[]]
    assert numbers_told(node) == [1, 2, 3]


async def test_a_batch_is_sent_while_the_next_one_is_being_kept() -> None:
    node = Told()
    desk = Desk(node, commits_max=9)
    keeper, source = keeper_of(desk, node)

    source.happen(2 * EVENTS_AT_ONCE + 1)
    for _ in range(3):
        await keeper.step()

    assert desk.told_then == [[], up_to(EVENTS_AT_ONCE), up_to(2 * EVENTS_AT_ONCE)]
    assert numbers_told(node) == up_to(2 * EVENTS_AT_ONCE + 1)


async def test_what_was_kept_is_sent_though_what_comes_after_it_cannot_be_kept() -> None:
    node = Told()
    desk = Desk(node, commits_max=1)
    keeper, source = keeper_of(desk, node)

    source.happen(EVENTS_AT_ONCE + 1)
    await keeper.step()
    with pytest.raises(Unavailable):
        await keeper.step()

    assert numbers_told(node) == up_to(EVENTS_AT_ONCE)


async def test_a_keeper_that_stops_sends_what_it_has_kept() -> None:
    node = Told()
    desk = Desk(node, commits_max=9)
    keeper, source = keeper_of(desk, node)
    source.happen(EVENTS_AT_ONCE + 1)
    await keeper.step()
    told_before = numbers_told(node)

    working = asyncio.create_task(keeper.run())
    await asyncio.sleep(0)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)

    assert told_before == []
    assert numbers_told(node) == up_to(EVENTS_AT_ONCE)
