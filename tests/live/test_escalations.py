"""A message is acknowledged, or escalated once when it was not in time; what was is kept, whatever crashes (A4)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.databases import Site
from tests.live.office import Direct
from tests.live.test_chapters import batch
from tests.live.test_repeats import SCHEMA, Told
from tests.live.test_sending import Happenings, keeper_of
from tests.waiting import until
from tuanzi import live
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.live.queries import escalations
from tuanzi.machinery.internal import Rows
from tuanzi.machinery.migrate import migrate
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.push import escalation
from tuanzi.machinery.push.escalation import Escalator
from tuanzi.machinery.push.ports import Escalated
from tuanzi.people import ForgetPerson

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
AFTER_S = 10.0
LI, WEI = "user:li", "user:wei"


class Elsewhere:
    """Other means that note what they were given, and take nothing while they are `away`."""

    def __init__(self) -> None:
        self.taken: list[Escalated] = []
        self.is_away = False

    async def hand_over(self, campus_id: str, escalated: Sequence[Escalated]) -> None:
        """Note these."""
        if self.is_away:
            raise ConnectionError("away")
        self.taken += escalated

    @property
    def told(self) -> list[tuple[str, int, int]]:
        """Whom they were to tell of which numbers."""
        return [(each.stream, each.first_number, each.last_number) for each in self.taken]


class Watch:
    """An escalator of one database, its other means and its time."""

    def __init__(self, desk: Direct, elsewhere: Elsewhere | None = None, *, at: float = 0.0) -> None:
        self.at = at
        self.desk = desk
        self.elsewhere = elsewhere or Elsewhere()
        self.archive = live.StreamArchive(desk)
        self.escalator = Escalator(
            "beijing",
            book=live.Escalations(desk),
            elsewhere=self.elsewhere,
            prefix=live.PERSONS_STREAM,
            after_s=AFTER_S,
            clock=lambda: self.at,
            now=lambda: NOON,
        )

    async def write(self, *messages: tuple[str, int]) -> None:
        """Keep messages, by their numbers, and note them as the keeper does."""
        await self.archive.keep(batch(*messages))
        newest = dict(messages)
        self.escalator.note({stream: number - 1 for stream, number in messages}, newest)

    async def look_after(self, seconds: float) -> None:
        """Look when so much time has passed."""
        self.at += seconds
        await self.escalator.look()

    @property
    def states(self) -> list[tuple[str, int, int, str]]:
        """What is kept: stream, first, last, state."""
        return self.desk.database.rows(
            "SELECT stream, first_number, last_number, state FROM stream_escalations ORDER BY stream, last_number"
        )


class Desk(Direct):
    """A desk that keeps nothing while its database is `away`."""

    is_away = False

    async def keep_rows(self, rows: Rows) -> None:
        """Keep rows."""
        if self.is_away:
            raise Unavailable(retry_after_s=2)
        await super().keep_rows(rows)


class Fickle(Direct):
    """A desk that notes the escalations of each commit, and keeps nothing the n-th time."""

    refuses_at = 0
    kept: list[list[Any]]

    async def keep_rows(self, rows: Rows) -> None:
        """Keep rows."""
        escalated = [some for table, some in rows.inserts if table.name == "stream_escalations"]
        if escalated and self.refuses_at:
            self.refuses_at -= 1
            if not self.refuses_at:
                raise Unavailable(retry_after_s=2)
        await super().keep_rows(rows)
        if escalated:
            self.kept.append(list(escalated[0]))


@pytest.fixture(params=["sqlite", "mariadb"])
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A desk of an empty database of each engine."""
    if request.param == "sqlite":
        yield Desk(SCHEMA)
        return
    site: Site = request.getfixturevalue("site")
    database = MariaDb(site.address())
    migrate(database, ("every", "notices"), now=NOON)
    yield Desk(SCHEMA, database)
    database.close()


async def test_many_are_escalated_in_parts_and_each_part_counts_though_the_next_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(escalation, "ESCALATED_AT_ONCE", 2)
    monkeypatch.setattr(escalation, "PAUSE_S_MAX", 0.0)
    desk = Fickle(SCHEMA)
    watch = Watch(desk)
    await watch.write(*[(f"user:p{i}", 1) for i in range(5)])
    await watch.look_after(0)
    desk.kept = []
    desk.refuses_at = 2

    with pytest.raises(Unavailable):
        await watch.look_after(AFTER_S)
    await watch.look_after(5)

    assert [len(states) for states in desk.kept] == [2, 2, 1]
    assert len(watch.states) == 5
    figures = watch.escalator.figures
    assert (figures.expected, figures.escalated, figures.arrived, figures.waiting) == (5, 5, 0, 0)


async def test_what_nobody_acknowledged_in_time_is_handed_to_other_means_once(desk: Desk) -> None:
    watch = Watch(desk)

    await watch.write((LI, 1), (WEI, 1))
    await watch.archive.keep_cursors([(WEI, 1, 1)])
    await watch.look_after(0)
    await watch.look_after(AFTER_S - 0.1)
    before = watch.elsewhere.told
    for _ in range(3):
        await watch.look_after(AFTER_S)

    assert before == []
    assert watch.elsewhere.told == [(LI, 1, 1)]
    assert watch.states == [(LI, 1, 1, "handed")]
    figures = watch.escalator.figures
    assert (figures.expected, figures.arrived, figures.escalated, figures.waiting) == (2, 1, 1, 0)


async def test_what_the_gateway_here_knows_to_be_acknowledged_is_not_asked_for(desk: Desk) -> None:
    watch = Watch(desk)
    watch.escalator.acked_here = lambda stream: {LI: 2, WEI: 1}.get(stream, 0)

    await watch.write((LI, 1), (WEI, 1))
    await watch.write((LI, 2), (WEI, 2))
    await watch.look_after(0)
    await watch.look_after(AFTER_S)

    assert watch.states == [(WEI, 1, 2, "handed")]
    figures = watch.escalator.figures
    assert (figures.expected, figures.arrived, figures.escalated, figures.waiting) == (4, 2, 2, 0)


async def test_a_process_that_stood_still_escalates_nothing_that_was_acknowledged_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = Watch(Desk(SCHEMA))
    acked: dict[str, int] = {}
    watch.escalator.acked_here = lambda stream: acked.get(stream, 0)
    await watch.write((LI, 1), (WEI, 1))
    monkeypatch.setattr(escalation, "LOOK_EVERY_S", 0.001)
    looking = asyncio.create_task(watch.escalator.run())
    await until(lambda: len(watch.escalator._waiting) == 1)

    watch.at += 3600
    await until(lambda: watch.escalator._waiting[0][0] > 3500)
    at_once = watch.states
    acked[LI] = 1
    looking.cancel()
    await watch.look_after(AFTER_S)

    assert at_once == []
    assert watch.states == [(WEI, 1, 1, "handed")]
    assert (watch.escalator.figures.arrived, watch.escalator.figures.escalated) == (1, 1)


async def test_only_what_comes_after_the_acknowledged_and_the_escalated_is_escalated(desk: Desk) -> None:
    watch = Watch(desk)
    await watch.write(*[(LI, number) for number in range(1, 6)])
    await watch.archive.keep_cursors([(LI, 5, 2)])
    await watch.look_after(0)
    await watch.look_after(AFTER_S)
    await watch.write((LI, 6), (LI, 7))
    await watch.look_after(0)

    await watch.look_after(AFTER_S)

    assert watch.elsewhere.told == [(LI, 3, 5), (LI, 6, 7)]


async def test_boards_and_riders_acknowledge_nothing_and_are_not_escalated(desk: Desk) -> None:
    watch = Watch(desk)

    await watch.write(("board:noodles", 1), ("riders", 1))
    await watch.look_after(0)
    await watch.look_after(AFTER_S)

    assert watch.states == []
    assert watch.escalator.figures.expected == 0


async def test_what_is_acknowledged_after_that_is_counted_as_late_once(desk: Desk) -> None:
    watch = Watch(desk)
    await watch.write((LI, 1), (LI, 2))
    await watch.look_after(0)
    await watch.look_after(AFTER_S)

    await watch.archive.keep_cursors([(LI, 2, 1)])
    await watch.look_after(1)
    after_one = watch.states
    await watch.archive.keep_cursors([(LI, 2, 2)])
    for _ in range(2):
        await watch.look_after(1)

    assert after_one == [(LI, 1, 2, "handed")]
    assert watch.states == [(LI, 1, 2, "late")]
    assert (watch.escalator.figures.escalated, watch.escalator.figures.late) == (2, 2)


async def test_many_who_come_back_at_once_are_all_counted_by_one_look(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(escalation, "HANDED_AT_ONCE", 2)
    watch = Watch(desk)
    streams = [f"user:p_{i}" for i in range(5)]
    await watch.write(*[(stream, 1) for stream in streams])
    await watch.look_after(0)
    await watch.look_after(AFTER_S)

    await watch.archive.keep_cursors([(stream, 1, 1) for stream in streams])
    await watch.look_after(1)

    assert watch.states == [(stream, 1, 1, "late") for stream in streams]
    assert watch.escalator.figures.late == 5


async def test_what_other_means_did_not_take_is_offered_again_and_counts_once(desk: Desk) -> None:
    watch = Watch(desk)
    await watch.write((LI, 1))
    watch.elsewhere.is_away = True
    await watch.look_after(0)
    await watch.look_after(AFTER_S)
    while_away = watch.states
    watch.elsewhere.is_away = False

    await watch.look_after(1)
    await watch.look_after(1)

    assert while_away == [(LI, 1, 1, "due")]
    assert watch.elsewhere.told == [(LI, 1, 1)]
    figures = watch.escalator.figures
    assert (figures.escalated, figures.handed, figures.tries_failed) == (1, 1, 1)


async def test_where_no_other_means_is_set_up_nothing_is_said_to_be_handed_over(desk: Desk) -> None:
    watch = Watch(desk)
    watch.escalator = Escalator(
        "beijing",
        book=live.Escalations(desk),
        elsewhere=None,
        prefix=live.PERSONS_STREAM,
        after_s=AFTER_S,
        clock=lambda: watch.at,
        now=lambda: NOON,
    )
    await watch.write((LI, 1), (WEI, 1))
    await watch.look_after(0)
    await watch.look_after(AFTER_S)
    at_first = watch.states
    await watch.archive.keep_cursors([(WEI, 1, 1)])

    await watch.look_after(1)

    assert at_first == [(LI, 1, 1, "due"), (WEI, 1, 1, "due")]
    assert watch.states == [(LI, 1, 1, "due"), (WEI, 1, 1, "late")]
    figures = watch.escalator.figures
    assert (figures.escalated, figures.handed, figures.late) == (2, 0, 1)


async def test_what_a_process_noted_and_did_not_look_at_the_next_one_does(desk: Desk) -> None:
    before = Watch(desk)
    await before.write((LI, 1), (WEI, 1), ("riders", 1))
    await before.archive.keep_cursors([(WEI, 1, 1)])
    after = Watch(desk)

    await after.escalator.begin()
    await after.look_after(0)
    await after.look_after(AFTER_S)

    assert after.elsewhere.told == [(LI, 1, 1)]
    figures = after.escalator.figures
    assert (figures.expected, figures.arrived, figures.escalated, figures.waiting) == (1, 0, 1, 0)


async def test_however_many_were_told_something_just_now_the_next_process_looks_at_all(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(escalations, "RECENT_STREAMS_AT_FIRST", 2)
    before = Watch(desk)
    people = [f"user:{i}" for i in range(5)]
    await before.write(*[(stream, 1) for stream in people])
    after = Watch(desk)

    await after.escalator.begin()
    await after.look_after(0)
    await after.look_after(AFTER_S)

    assert sorted(after.elsewhere.told) == [(stream, 1, 1) for stream in people]


async def test_a_process_that_ended_before_it_kept_that_other_means_took_it_gives_it_them_again_as_the_same(
    desk: Desk,
) -> None:
    before = Watch(desk)
    await before.write((LI, 1))
    await before.look_after(0)
    before.elsewhere.is_away = True  # they took it, and nobody heard that they did
    await before.look_after(AFTER_S)
    after = Watch(desk)

    await after.escalator.begin()
    for seconds in (0, AFTER_S, AFTER_S):
        await after.look_after(seconds)

    assert [each.id for each in after.elsewhere.taken] == [f"{LI}.1"]
    assert after.states == [(LI, 1, 1, "handed")]


async def test_while_nothing_can_be_kept_nothing_is_handed_over_and_it_is_done_later(desk: Desk) -> None:
    watch = Watch(desk)
    await watch.write((LI, 1))
    await watch.look_after(0)
    desk.is_away = True
    with pytest.raises(Unavailable):
        await watch.look_after(AFTER_S)
    told_before = watch.elsewhere.told
    desk.is_away = False

    await watch.look_after(1)

    assert told_before == []
    assert watch.elsewhere.told == [(LI, 1, 1)]


async def test_nothing_is_escalated_to_who_was_erased_and_what_was_is_forgotten(desk: Desk) -> None:
    watch = Watch(desk)
    await watch.write((LI, 1))
    await watch.look_after(0)
    await watch.look_after(AFTER_S)
    desk.submit(ForgetPerson(person_id="li"), now=NOON)
    await watch.write((LI, 2))
    await watch.look_after(0)

    await watch.look_after(AFTER_S)
    swept = await watch.archive.sweep(before=NOON - timedelta(days=7), limit=100)

    assert watch.elsewhere.told == [(LI, 1, 1)]
    assert swept == 2
    assert watch.states == []


async def test_escalations_are_forgotten_with_the_messages(desk: Desk) -> None:
    watch = Watch(desk)
    await watch.write((LI, 1))
    await watch.look_after(0)
    await watch.look_after(AFTER_S)

    await watch.archive.sweep(before=NOON, limit=100)
    young = watch.states
    await watch.archive.sweep(before=NOON + timedelta(milliseconds=1), limit=100)

    assert young == [(LI, 1, 1, "handed")]
    assert watch.states == []


async def test_the_keeper_notes_what_it_keeps() -> None:
    desk = Direct(SCHEMA)
    watch = Watch(desk)
    keeper, source = keeper_of(desk, Told(), escalator=watch.escalator)

    await kept(keeper, source, 3)
    await watch.look_after(0)
    await kept(keeper, source, 2)
    await watch.look_after(AFTER_S)
    await watch.look_after(AFTER_S)

    assert watch.elsewhere.told == [("user:p1", 1, 3), ("user:p1", 4, 5)]
    assert watch.escalator.figures.expected == 5


async def kept(keeper: Any, source: Happenings, count: int) -> None:
    """So much happens and is kept."""
    source.happen(count)
    await keeper.step()
    await asyncio.sleep(0)
