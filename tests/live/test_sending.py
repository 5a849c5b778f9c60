"""Messages are sent after they are kept, in order, whatever comes of those after them (A4)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from tests.live.office import Direct
from tests.live.test_repeats import SCHEMA, Told
from tuanzi import live, wiring
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.engines.fanout.here import Here
from tuanzi.events import LeaderChanged, OrderAdvanced, OrderCompleted
from tuanzi.machinery.codec import encode
from tuanzi.machinery.database import Flush
from tuanzi.machinery.desk import WriterDesk
from tuanzi.machinery.migrate import migrate
from tuanzi.machinery.problems import Crashed, NotParked, Unavailable
from tuanzi.machinery.push.escalation import Escalator
from tuanzi.machinery.push.keeper import AT_ONCE, EVENTS_AT_ONCE, Keeper, Log, Pace
from tuanzi.machinery.push.ports import Drafts
from tuanzi.machinery.push.seen import Seen
from tuanzi.machinery.writer import Writer


class Happenings:
    """A log that only memory has."""

    event_number = 0

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []

    def subscribe(self, subscriber: Any) -> None:
        """Tell of what happens from now on."""
        self._subscriber = subscriber

    async def rows(self, sql: str, slots: Any = None) -> list[tuple[Any, ...]]:
        """The changes after a number."""
        return [row for row in self._rows if row[0] > slots["after"]][: slots["limit"]]

    def happen(self, count: int) -> None:
        """So many changes of one order happen."""
        numbers = range(self.event_number + 1, self.event_number + count + 1)
        events = [OrderAdvanced(order_id="o1", member_id="p1", before="paid", state=f"n{i}") for i in numbers]
        self.event_number += count
        self._rows += [(i, each.name, each.version, 0, encode(each)) for i, each in zip(numbers, events, strict=True)]
        self._subscriber(list(zip(numbers, events, strict=True)))

    def damage(self, number: int, *, name: str = OrderAdvanced.name, body: bytes | None = None) -> None:
        """Have an event in the table say something else."""
        i, _, version, at_ms, was = self._rows[number - 1]
        self._rows[number - 1] = (i, name, version, at_ms, was if body is None else body)

    def happen_now(self) -> None:
        """Somebody becomes a group's leader, who may be waiting for it."""
        self.event_number += 1
        event = LeaderChanged(group_id="g1", leader_id="p1")
        self._rows.append((self.event_number, event.name, event.version, 0, encode(event)))
        self._subscriber([(self.event_number, event)])

    def happen_unheard(self, count: int) -> None:
        """So much happens that is nothing to tell."""
        numbers = range(self.event_number + 1, self.event_number + count + 1)
        self.event_number += count
        self._subscriber([(number, OrderCompleted(order_id="o1", member_id="p1")) for number in numbers])


class Teller(live.LiveTeller):
    """A teller that notes what it was told."""

    def __init__(self, desk: Direct) -> None:
        super().__init__(desk)
        self.numbers: list[int] = []

    def tell(self, event: Any, drafts: Drafts, *, now: datetime) -> None:
        """Say what an event means."""
        super().tell(event, drafts, now=now)
        self.numbers.append(int(event.state[1:]))


class Desk(Direct):
    """A desk that notes what was sent when each commit began and told when it ended, and takes only so many commits."""

    def __init__(self, node: Told, *, commits_max: int) -> None:
        super().__init__(SCHEMA)
        self.told_then: list[list[int]] = []
        self.teller = Teller(self)
        self.told_at_the_end: list[int] = []
        self.commits_left = commits_max
        self._node = node

    async def keep_rows(self, rows: Any) -> None:
        """Keep rows, a little later."""
        await asyncio.sleep(0.005)
        self.told_then.append(numbers_told(self._node))
        if self.commits_left == 0:
            raise Unavailable(retry_after_s=2)
        self.commits_left -= 1
        await super().keep_rows(rows)
        self.told_at_the_end.append(len(self.teller.numbers))


def numbers_told(node: Told) -> list[int]:
    """The numbers that a gateway was given, in order."""
    return [kept.number for batch in node.batches for kept in batch]


class Picky(Direct):
    """A desk that does not keep one message, and says so a little later."""

    def __init__(self, schema: Any, *, refuses: str) -> None:
        super().__init__(schema)
        self.refused = refuses

    async def keep_rows(self, rows: Any) -> None:
        """Keep rows, but not with that message."""
        if self.refused and any(self.refused in str(row[-1]) for _, some in rows.inserts for row in some):
            await asyncio.sleep(0.005)
            raise Crashed(command="rows")
        await super().keep_rows(rows)


class Dictated(Sqlite):
    """A database that somebody else writes; it notes what was sent when each batch was said."""

    def __init__(self, node: Told) -> None:
        super().__init__(None)
        migrate(self, ("every", "notices"), now=wiring.wall_clock())
        self.sent_then: list[int] = []
        self._node = node

    async def dictate(self, flush: Flush) -> None:
        """Keep a batch, a little later."""
        self.sent_then.append(len(numbers_told(self._node)))
        await asyncio.sleep(0.005)
        self.commit(flush)


def keeper_of(
    desk: Any,
    node: Told,
    *,
    pace: Pace = AT_ONCE,
    escalator: Escalator | None = None,
    teller: live.LiveTeller | None = None,
) -> tuple[Keeper, Happenings]:
    """A keeper of one log, and the log."""
    fan_out, source = Here(), Happenings()
    fan_out.join("beijing", node)
    keeper = Keeper(
        "beijing",
        [Log(source, wiring.follower_of_log("core", position=0))],
        teller=teller or live.LiveTeller(desk),
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


async def test_the_next_batch_is_told_while_one_is_being_kept() -> None:
    node = Told()
    desk = Desk(node, commits_max=9)
    keeper, source = keeper_of(desk, node, teller=desk.teller)

    source.happen(2 * EVENTS_AT_ONCE + 1)
    for _ in range(3):
        await keeper.step()

    assert desk.told_at_the_end == [2 * EVENTS_AT_ONCE, 2 * EVENTS_AT_ONCE + 1, 2 * EVENTS_AT_ONCE + 1]


async def test_a_batch_is_sent_when_the_commit_of_the_next_one_has_begun() -> None:
    node = Told()
    database = Dictated(node)
    desk = WriterDesk(
        "notices", Writer(SCHEMA, position=0, event_number=0), database, clock=wiring.wall_clock, errands={}
    )
    keeper, source = keeper_of(desk, node)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(desk.run())
        await desk.opened.wait()
        source.happen(2 * EVENTS_AT_ONCE + 1)
        for _ in range(3):
            await keeper.step()
        desk.close()

    assert database.sent_then == [0, 0, EVENTS_AT_ONCE]
    assert numbers_told(node) == up_to(2 * EVENTS_AT_ONCE + 1)


async def test_what_was_told_on_top_of_a_batch_that_cannot_be_kept_is_told_again_after_it() -> None:
    node = Told()
    desk = Desk(node, commits_max=1)
    keeper, source = keeper_of(desk, node)
    source.happen(2 * EVENTS_AT_ONCE + 1)
    await keeper.step()
    await keeper.step()
    with pytest.raises(Unavailable):
        await keeper.step()

    desk.commits_left = 9
    keeper.start_over()
    while await keeper.step():
        pass

    assert numbers_told(node) == up_to(2 * EVENTS_AT_ONCE + 1)
    assert keeper.figures.repeats == 0


async def test_a_message_that_the_table_refuses_is_laid_aside_and_later_ones_are_told_after_earlier() -> None:
    node = Told()
    desk = Picky(SCHEMA, refuses='"n5"')
    teller = Teller(desk)
    keeper, source = keeper_of(desk, node, teller=teller)

    source.happen(EVENTS_AT_ONCE + 1)
    while await keeper.step():
        pass

    assert numbers_told(node) == up_to(EVENTS_AT_ONCE)
    assert desk.database.rows("SELECT source, number FROM parked_events") == [("core", 5)]
    assert teller.numbers[-2:] == [EVENTS_AT_ONCE, EVENTS_AT_ONCE + 1]
    assert keeper.positions == {"core": EVENTS_AT_ONCE + 1}


async def test_an_event_for_which_the_teller_cannot_learn_what_it_needs_is_laid_aside_alone() -> None:
    class Startled(Teller):
        async def prepare(self, heard: Sequence[Any]) -> None:
            if any(event.state in ("n3", "n7") for event in heard):
                raise ValueError("a damaged row")
            await super().prepare(heard)

    node, desk = Told(), Direct(SCHEMA)
    teller = Startled(desk)
    keeper, source = keeper_of(desk, node, teller=teller)

    source.happen(8)
    await carried(keeper)

    assert teller.numbers == [1, 2, 4, 5, 6, 8]
    assert numbers_told(node) == up_to(6)
    parked = desk.database.rows("SELECT source, number, reason FROM parked_events ORDER BY number")
    assert parked == [("core", 3, "ValueError"), ("core", 7, "ValueError")]
    assert keeper.positions == {"core": 8}
    assert keeper.figures.parked == 2


async def test_an_event_that_this_release_cannot_read_is_laid_aside_alone() -> None:
    node, desk = Told(), Direct(SCHEMA)
    teller = Teller(desk)
    keeper, source = keeper_of(desk, node, teller=teller)
    source.happen(4)
    source.damage(2, name="orders.danced")
    source.damage(3, body=b"{")

    keeper.start_over()  # memory has them whole
    await carried(keeper)

    assert teller.numbers == [1, 4]
    assert numbers_told(node) == up_to(2)
    parked = desk.database.rows("SELECT source, number, name FROM parked_events ORDER BY number")
    assert parked == [("core", 2, "orders.danced"), ("core", 3, OrderAdvanced.name)]
    assert keeper.positions == {"core": 4}


async def test_while_the_database_is_away_nothing_is_laid_aside() -> None:
    class Blind(Teller):
        is_away = True

        async def prepare(self, heard: Sequence[Any]) -> None:
            if self.is_away:
                raise Unavailable(retry_after_s=2)

    node, desk = Told(), Direct(SCHEMA)
    teller = Blind(desk)
    keeper, source = keeper_of(desk, node, teller=teller)
    source.happen(3)
    with pytest.raises(Unavailable):
        await keeper.step()

    teller.is_away = False
    keeper.start_over()
    await carried(keeper)

    assert numbers_told(node) == up_to(3)
    assert desk.database.rows("SELECT COUNT(*) FROM parked_events") == [(0,)]


async def test_an_event_that_was_laid_aside_is_told_once_when_somebody_has_it_told() -> None:
    node, desk = Told(), Picky(SCHEMA, refuses='"n2"')
    keeper, source = keeper_of(desk, node)
    source.happen(3)
    await carried(keeper)
    event = OrderAdvanced(order_id="o1", member_id="p1", before="paid", state="n2")

    async def hear() -> type[BaseException] | None:
        heard = asyncio.create_task(keeper.hear_parked("core", 2, event))
        await asyncio.sleep(0)
        await carried(keeper)
        (problem,) = await asyncio.gather(heard, return_exceptions=True)
        return None if problem is None else type(problem)

    still_refused = await hear()
    parked_then = desk.database.rows("SELECT source, number FROM parked_events")
    desk.refused = ""
    heard, again = await hear(), await hear()

    assert (still_refused, parked_then) == (Crashed, [("core", 2)])
    assert (heard, again) == (None, NotParked)
    states = "SELECT m.value ->> 'state' FROM stream_runs, json_each(messages) m ORDER BY first_number + m.key"
    assert desk.database.rows(states) == [("n1",), ("n3",), ("n2",)]
    assert numbers_told(node) == up_to(3)
    assert desk.database.rows("SELECT COUNT(*) FROM parked_events") == [(0,)]
    assert keeper.positions == {"core": 3}


async def carried(keeper: Keeper) -> None:
    """Have all told that waits, and sent."""
    while await keeper.step():
        pass


async def test_a_keeper_that_stops_sends_what_it_has_kept() -> None:
    node = Told()
    desk = Desk(node, commits_max=9)
    keeper, source = keeper_of(desk, node)
    source.happen(EVENTS_AT_ONCE + 1)
    working = asyncio.create_task(keeper.run())
    while not keeper.figures.batches:  # noqa: ASYNC110 - turn by turn
        await asyncio.sleep(0)
    told_before = numbers_told(node)

    working.cancel()
    await asyncio.gather(working, return_exceptions=True)

    assert told_before == []
    assert numbers_told(node) == up_to(EVENTS_AT_ONCE)
