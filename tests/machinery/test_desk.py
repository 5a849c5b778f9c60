"""The desk: commands wait their turn, timers fire, errands run, other databases' events are heard (B1, D1, J5)."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.machinery.toy import (
    CODEC,
    NOON,
    SCHEMA,
    Build,
    Errand,
    HallFull,
    Later,
    Page,
    SeatTaken,
    Send,
    Take,
    carry_out,
    open_database,
    open_writer,
    prepared,
)
from tests.waiting import until
from tuanzi.base.once import Once
from tuanzi.base.problem import Busy
from tuanzi.base.time import to_ms
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery import timers
from tuanzi.machinery.codec import encode
from tuanzi.machinery.database import DatabaseUnavailable, Fenced, Flush, RowRefused
from tuanzi.machinery.desk import FETCHED_HERE, FLIGHTS_MAX, Lanes, WriterDesk, flights
from tuanzi.machinery.follower import Follower
from tuanzi.machinery.internal import FIRST_TIMERS, HearParked
from tuanzi.machinery.problems import Crashed, NotParked, Unavailable
from tuanzi.machinery.writer import Outcome, Request


class Hands:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def desk_of(database: Sqlite, clock: Hands, *, errand: Any = None, **limits: Any) -> WriterDesk:
    """A desk of the toy business."""
    errands = {} if errand is None else {Errand: errand}
    return WriterDesk("toy", open_writer(database), database, clock=clock, errands=errands, **limits)


@asynccontextmanager
async def working(*desks: WriterDesk) -> AsyncIterator[None]:
    """Desks at work until the end of the block."""
    tasks = [asyncio.create_task(desk.run()) for desk in desks]
    await until(lambda: all(desk.is_open for desk in desks))
    yield
    for desk in reversed(desks):
        desk.close()
    await asyncio.gather(*tasks)


async def turns(count: int) -> None:
    """Let everybody who can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_many_commands_share_a_commit_and_each_gets_its_own_answer() -> None:
    database = open_database()
    desk = desk_of(database, Hands())
    async with working(desk):
        await desk.submit(Build(id="h", seats=50))

        answers = await asyncio.gather(
            *(desk.submit(Take(ticket_id=f"t{i}", hall_id="h")) for i in range(80)), return_exceptions=True
        )

    assert [answer.answer.id for answer in answers[:50]] == [f"t{i}" for i in range(50)]
    assert {type(answer) for answer in answers[50:]} == {HallFull}
    assert desk.figures.batches < 10


async def test_beyond_the_queue_a_command_is_turned_away_at_once_and_changes_nothing() -> None:
    database = open_database()
    desk = desk_of(database, Hands(), queue_max=10)
    async with working(desk):
        await desk.submit(Build(id="h", seats=99))

        answers = await asyncio.gather(
            *(desk.submit(Take(ticket_id=f"t{i}", hall_id="h")) for i in range(30)), return_exceptions=True
        )
        rows = await desk.rows("SELECT taken FROM halls")

    busy = [answer for answer in answers if isinstance(answer, Busy)]
    assert len(busy) == 20
    assert busy[0].facts == {"retry_after_s": 1}
    assert rows == [(10,)]


async def test_a_timer_set_before_a_crash_fires_after_it(tmp_path: Path) -> None:
    path = tmp_path / "toy.db"
    before = open_database(path)
    writer = open_writer(before)
    carry_out(writer, before, [Build(id="h", seats=9)])
    carry_out(writer, before, [Later(timer_id="x", take=Take(ticket_id="t", hall_id="h"), minutes=5)])
    before.close()
    clock = Hands()
    database = open_database(path)
    desk = desk_of(database, clock)

    async with working(desk):
        assert await desk.rows("SELECT COUNT(*) FROM tickets") == [(0,)]
        clock.now += timedelta(minutes=5)
        desk.duties.ring()
        await until(lambda: desk.figures.events == 1)
        rows = await desk.rows("SELECT id FROM tickets"), await desk.rows("SELECT id FROM timers")

    assert rows == ([("t",)], [])


async def test_a_timer_moved_or_dropped_does_not_fire_at_its_first_time() -> None:
    database = open_database()
    clock = Hands()
    desk = desk_of(database, clock)
    async with working(desk):
        await desk.submit(Build(id="h", seats=9))
        for timer_id, minutes in (("moved", 1), ("dropped", 1), ("moved", 10), ("dropped", -1)):
            take = Take(ticket_id=timer_id, hall_id="h")
            await desk.submit(Later(timer_id=timer_id, take=take, minutes=minutes))

        clock.now += timedelta(minutes=9)
        await desk.submit(Build(id="g", seats=9))
        early = await desk.rows("SELECT id FROM tickets")
        clock.now += timedelta(minutes=1)
        desk.duties.ring()
        await until(lambda: desk.figures.events == 1)
        late = await desk.rows("SELECT id FROM tickets"), await desk.rows("SELECT id FROM timers")

    assert early == []
    assert late == ([("moved",)], [])


async def test_a_timer_that_fails_by_a_bug_is_kept_and_tried_again_later() -> None:
    database = open_database()
    clock = Hands()
    desk = desk_of(database, clock)
    async with working(desk):
        await desk.submit(Build(id="h", seats=9))
        await desk.submit(Later(timer_id="x", take=Take(ticket_id="t", hall_id="h", bug="crash"), minutes=0))
        await until(lambda: desk.figures.crashed == 1)
        await until(lambda: len(database.rows("SELECT 1 FROM timers WHERE attempts = 1")) == 1)
        due = await desk.rows("SELECT due_at_ms, attempts FROM timers")

    assert due == [(int((NOON + timedelta(seconds=1)).timestamp() * 1000), 1)]


async def test_a_timer_that_no_release_can_read_is_tried_again_later_and_hurts_nobody_else() -> None:
    database, clock = open_database(), Hands()
    asked: list[str] = []

    async def ask(errand: Errand, *, now: datetime) -> Take:
        asked.append(errand.ticket_id)
        return Take(ticket_id=errand.ticket_id, hall_id=errand.hall_id)

    due = to_ms(NOON)
    for timer_id, command, body in (
        ("cut off", "tests.Take", '{"ticket_id"'),
        ("errand cut off", "tests.Errand", '{"ticket_id"'),
        ("of a later release", "tests.Dance", "{}"),
        ("whole", "tests.Errand", '{"ticket_id": "t", "hall_id": "h"}'),
    ):
        database.execute_script(f"INSERT INTO timers VALUES ('{timer_id}', {due}, '{command}', '{body}', 0);")
    desk = desk_of(database, clock, errand=ask)
    async with working(desk):
        await desk.submit(Build(id="h", seats=9))
        await until(lambda: len(database.rows("SELECT 1 FROM timers WHERE attempts = 1")) == 3)
        await until(lambda: not desk.duties.errands_left)
        rows = (
            await desk.rows("SELECT id, due_at_ms FROM timers ORDER BY id"),
            await desk.rows("SELECT id FROM tickets"),
        )

    assert asked == ["t"]
    assert rows == ([(each, due + 1000) for each in ("cut off", "errand cut off", "of a later release")], [("t",)])


async def test_an_errand_is_run_again_until_it_succeeds_and_its_outcome_counts_once() -> None:
    database = open_database()
    clock = Hands()
    calls: list[str] = []

    async def ask(errand: Errand, *, now: datetime) -> Take:
        calls.append(errand.ticket_id)
        if len(calls) < 3:
            raise ConnectionError("the vendor is away")
        return Take(ticket_id=errand.ticket_id, hall_id=errand.hall_id)

    desk = desk_of(database, clock, errand=ask)
    async with working(desk):
        await desk.submit(Build(id="h", seats=9))
        await desk.submit(Send(errand=Errand(ticket_id="t", hall_id="h")))
        for attempts in (1, 2):
            asked = f"SELECT 1 FROM timers WHERE attempts = {attempts}"
            await until(partial(database.rows, asked))
            clock.now += timedelta(minutes=1)
            desk.duties.ring()
        await until(lambda: desk.figures.events == 1)
        rows = await desk.rows("SELECT id FROM tickets"), await desk.rows("SELECT id FROM timers")

    assert calls == ["t"] * 3
    assert rows == ([("t",)], [])


async def test_an_errand_that_fails_after_its_timer_was_set_anew_leaves_the_new_one_alone() -> None:
    """Found by a storm of splits: the coordinator's next message was replaced by the one that had failed."""
    database, clock = open_database(), Hands()
    is_called, may_fail = asyncio.Event(), asyncio.Event()

    async def ask(errand: Errand, *, now: datetime) -> Take:
        is_called.set()
        await may_fail.wait()
        raise ConnectionError

    desk = desk_of(database, clock, errand=ask)
    async with working(desk):
        await desk.submit(Build(id="h", seats=9))
        await desk.submit(Send(errand=Errand(ticket_id="t", hall_id="h")))
        await is_called.wait()
        await desk.submit(Later(timer_id="errand:t", take=Take(ticket_id="new", hall_id="h"), minutes=5))

        may_fail.set()
        await until(lambda: not desk.duties.errands_left)
        await until(lambda: not desk.queue_length)
        await desk.submit(Build(id="another", seats=1))
        timers = await desk.rows("SELECT id, due_at_ms, attempts FROM timers ORDER BY id")

    assert timers == [("errand:t", to_ms(NOON + timedelta(minutes=5)), 0)]


def following(halls: WriterDesk, diary: WriterDesk) -> Follower:
    """Let the diary hear of the halls."""
    position = diary.database.rows("SELECT number FROM follower_positions")
    follower = Follower("halls", heard={SeatTaken}, codec=CODEC, position=position[0][0] if position else 0)
    diary.follow(halls, follower)
    return follower


async def test_another_database_hears_every_event_once_and_whoever_asks_can_wait_for_it() -> None:
    clock = Hands()
    halls, diary = desk_of(open_database(), clock), desk_of(open_database(), clock)
    following(halls, diary)
    async with working(halls, diary):
        await halls.submit(Build(id="h", seats=500))
        outcomes = await asyncio.gather(*(halls.submit(Take(ticket_id=f"t{i}", hall_id="h")) for i in range(300)))
        await diary.followed("halls", outcomes[-1].events[-1][0])
        rows = await diary.rows("SELECT notes FROM pages"), await diary.rows("SELECT number FROM follower_positions")

    assert rows == ([(300,)], [(300,)])


async def test_a_follower_that_was_away_reads_what_it_missed_and_repeats_nothing(tmp_path: Path) -> None:
    clock = Hands()
    paths = tmp_path / "halls.db", tmp_path / "diary.db"
    for start in (0, 100, 200):
        databases = [open_database(path) for path in paths]
        halls, diary = (desk_of(database, clock) for database in databases)
        if start == 100:  # the diary is away this time
            async with working(halls):
                await asyncio.gather(
                    *(halls.submit(Take(ticket_id=f"t{i}", hall_id="h")) for i in range(start, start + 100))
                )
            continue
        following(halls, diary)
        async with working(halls, diary):
            if start == 0:
                await halls.submit(Build(id="h", seats=500))
            await asyncio.gather(
                *(halls.submit(Take(ticket_id=f"t{i}", hall_id="h")) for i in range(start, start + 100))
            )
            await diary.followed("halls", start + 100)
        for database in databases:
            database.close()

    assert open_database(paths[1]).rows("SELECT id, notes FROM pages") == [("h", 300)]


async def test_an_event_whose_listener_has_a_bug_is_parked_and_the_next_ones_are_heard() -> None:
    clock = Hands()
    halls, diary = desk_of(open_database(), clock), desk_of(open_database(), clock)
    following(halls, diary)
    async with working(halls, diary):
        for hall in ("a", "unspeakable", "b"):
            await halls.submit(Build(id=hall, seats=9))
        await asyncio.gather(*(halls.submit(Take(ticket_id=hall, hall_id=hall)) for hall in ("a", "unspeakable", "b")))
        await diary.followed("halls", 3)
        pages = await diary.rows("SELECT id, notes FROM pages ORDER BY id")
        parked = await diary.rows("SELECT source, number, name FROM parked_events")
        counted = (halls.figures.parked, diary.figures.parked)

    assert pages == [("a", 1), ("b", 1)]
    assert parked == [("halls", 2, "toy.seat_taken")]
    assert counted == (0, 1)


async def test_an_event_that_this_release_cannot_read_is_parked_and_the_next_ones_are_heard() -> None:
    clock, database = Hands(), open_database()
    halls, diary = desk_of(database, clock), desk_of(open_database(), clock)
    async with working(halls):
        await halls.submit(Build(id="a", seats=9))
        await asyncio.gather(*(halls.submit(Take(ticket_id=f"t{i}", hall_id="a")) for i in range(4)))
    database.execute_script("UPDATE events SET body = '{' WHERE number = 1;")
    database.execute_script("UPDATE events SET name = 'toy.danced' WHERE number = 2;")
    database.execute_script("UPDATE events SET version = 9 WHERE number = 3;")
    halls = desk_of(database, clock)
    following(halls, diary)
    async with working(halls, diary):
        await asyncio.wait_for(diary.followed("halls", 4), 60)
        pages = await diary.rows("SELECT id, notes FROM pages")
        parked = await diary.rows("SELECT number, name, reason FROM parked_events ORDER BY number")

    assert pages == [("a", 1)]
    assert parked == [
        (1, "toy.seat_taken", "toy.seat_taken 1: DecodeError"),
        (2, "toy.danced", "toy.danced 1: KeyError"),
        (3, "toy.seat_taken", "toy.seat_taken 9: KeyError"),
    ]
    assert diary.figures.parked == 3


async def test_an_event_that_was_laid_aside_is_heard_once_when_its_listener_was_mended_and_not_out_of_turn() -> None:
    clock, database = Hands(), open_database()
    halls, diary = desk_of(open_database(), clock), desk_of(database, clock)
    following(halls, diary)
    event = SeatTaken(hall_id="unspeakable")
    command = HearParked(source="halls", number=2, name=event.name, version=1, body=encode(event).decode())
    async with working(halls, diary):
        for hall in ("a", "unspeakable"):
            await halls.submit(Build(id=hall, seats=9))
            await halls.submit(Take(ticket_id=hall, hall_id=hall))
        await halls.submit(Take(ticket_id="b", hall_id="a"))
        await diary.followed("halls", 3)
        with pytest.raises(Crashed):
            await diary.submit(command)
    parked = database.rows("SELECT number FROM parked_events")

    def mended(unit: Any, event: SeatTaken, *, now: datetime) -> None:
        unit.put(Page(id=event.hall_id, notes=7))
        unit.emit(event)

    writer = open_writer(database, schema=dataclasses.replace(SCHEMA, follows={("halls", SeatTaken): [mended]}))
    first, again = carry_out(writer, database, [command, command])
    (later,) = carry_out(writer, database, [command])

    assert parked == [(2,)]
    assert (first.problem, first.events) == (None, ((1, event),))
    assert [type(outcome.problem) for outcome in (again, later)] == [NotParked, NotParked]
    assert database.rows("SELECT id, notes FROM pages ORDER BY id") == [("a", 2), ("unspeakable", 7)]
    assert database.rows("SELECT number FROM parked_events") == []
    assert database.rows("SELECT source, number FROM follower_positions") == [("halls", 3)]


async def test_a_desk_that_closes_answers_what_was_queued() -> None:
    database = open_database()
    desk = desk_of(database, Hands())
    async with working(desk):
        await desk.submit(Build(id="h", seats=99))
        futures = [asyncio.ensure_future(desk.submit(Take(ticket_id=f"t{i}", hall_id="h"))) for i in range(20)]
        await asyncio.sleep(0)
        desk.close()
        answers = await asyncio.gather(*futures)

    assert len(answers) == 20


async def test_a_subscriber_with_a_bug_hurts_nobody_else() -> None:
    database = open_database()
    desk = desk_of(database, Hands())
    heard: list[int] = []

    def broken(events: Any) -> None:
        raise ZeroDivisionError

    desk.subscribe(broken)
    desk.subscribe(lambda events: heard.extend(number for number, _ in events))
    async with working(desk):
        await desk.submit(Build(id="h", seats=9))
        answer = await desk.submit(Take(ticket_id="t", hall_id="h"))

    assert answer.answer.id == "t"
    assert heard == [1]


async def test_a_bug_is_answered_as_a_problem_and_the_next_command_works() -> None:
    desk = desk_of(open_database(), Hands())
    async with working(desk):
        await desk.submit(Build(id="h", seats=9))

        with pytest.raises(Crashed):
            await desk.submit(Take(ticket_id="t", hall_id="h", bug="crash"))
        answer = await desk.submit(Take(ticket_id="t", hall_id="h"))

    assert answer.answer.id == "t"


async def test_a_command_whose_rows_cannot_be_read_is_refused_and_the_next_works() -> None:
    class Deaf(Sqlite):
        is_deaf = False

        def fetch(self, table: Any, keys: Any) -> list[Any]:
            if self.is_deaf:
                raise DatabaseUnavailable("the server is gone")
            return super().fetch(table, keys)

    database = prepared(Deaf(None))
    desk = desk_of(database, Hands())
    async with working(desk):
        await desk.submit(Build(id="h", seats=3))
        desk._writer.forget()
        database.is_deaf = True
        with pytest.raises(Unavailable):
            await desk.submit(Take(ticket_id="t1", hall_id="h"))
        database.is_deaf = False
        await desk.submit(Take(ticket_id="t2", hall_id="h"))

    assert database.rows("SELECT id FROM tickets") == [("t2",)]


class SlowTable(Sqlite):
    """A database whose timers are read only when it may go on."""

    def __init__(self) -> None:
        super().__init__(None)
        self.go = threading.Event()
        self.go.set()
        self.asked = 0

    def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        if sql == FIRST_TIMERS:
            self.asked += 1
            assert self.go.wait(60)
        return super().rows(sql, slots)


async def test_nobody_waits_for_the_timers_that_only_the_table_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "HELD_MAX", 2)
    clock, database = Hands(), SlowTable()
    prepared(database)
    async with working(desk := desk_of(database, clock)):
        await desk.submit(Build(id="h", seats=9))
        for i in range(1, 4):
            await desk.submit(Later(timer_id=f"t{i}", take=Take(ticket_id=f"t{i}", hall_id="h"), minutes=i))

    async with working(desk := desk_of(database, clock)):
        database.go.clear()
        clock.now += timedelta(minutes=5)
        for number in range(3):
            async with asyncio.timeout(60):
                await desk.submit(Take(ticket_id=f"now{number}", hall_id="h"))
        await until(lambda: database.asked == 3)
        meanwhile = [id for (id,) in database.rows("SELECT id FROM tickets ORDER BY id")]
        await desk.submit(Later(timer_id="t4", take=Take(ticket_id="t4", hall_id="h"), minutes=0))
        database.go.set()
        await until(lambda: database.rows("SELECT COUNT(*) FROM tickets") == [(7,)])

    assert meanwhile == ["now0", "now1", "now2", "t1", "t2"]
    assert database.rows("SELECT COUNT(*) FROM timers") == [(0,)]


@pytest.mark.parametrize(
    "cells",
    [
        "due_at_ms = 'soon'",
        f"due_at_ms = {2**62}",
        f"due_at_ms = {-(2**62)}",
        "attempts = 'x'",
        "attempts = -1",
        "body = 7",
    ],
)
async def test_a_timer_whose_columns_are_damaged_hurts_only_itself(
    cells: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(timers, "HELD_MAX", 2)
    clock, database = Hands(), open_database()
    async with working(desk := desk_of(database, clock)):
        await desk.submit(Build(id="h", seats=9))
        for i in range(5):
            await desk.submit(Later(timer_id=f"t{i}", take=Take(ticket_id=f"t{i}", hall_id="h"), minutes=5))
    database.execute_script("DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT * FROM timers; DROP TABLE timers;")
    database.execute_script("CREATE TABLE timers (id PRIMARY KEY, due_at_ms, command, body, attempts);")
    database.execute_script("INSERT INTO timers SELECT * FROM kept;")
    database.execute_script(f"UPDATE timers SET {cells} WHERE id = 't1';")

    async with working(desk := desk_of(database, clock)):
        clock.now += timedelta(minutes=5)
        desk.duties.ring()
        await until(lambda: database.rows("SELECT COUNT(*) FROM tickets") == [(4,)])
        await until(lambda: "desk.timer_damaged" in [record.message for record in caplog.records])

    assert database.rows("SELECT id FROM tickets ORDER BY id") == [("t0",), ("t2",), ("t3",), ("t4",)]
    assert database.rows("SELECT id FROM timers") == [("t1",)]


async def test_what_a_clock_that_was_ahead_put_off_for_a_year_is_tried_again_after_a_restart() -> None:
    clock, database, done = Hands(), open_database(), []

    async def errand(errand: Errand, *, now: datetime) -> Take:
        if clock.now > NOON + timedelta(days=1):
            raise OSError("nobody answers")
        done.append(now)
        return Take(ticket_id="t", hall_id="h")

    async with working(desk := desk_of(database, clock, errand=errand)):
        await desk.submit(Build(id="h", seats=9))
        clock.now += timedelta(days=365)
        await desk.submit(Send(errand=Errand(ticket_id="t", hall_id="h")))
        await until(lambda: database.rows("SELECT attempts FROM timers") == [(1,)])
    clock.now = NOON

    async with working(desk_of(database, clock, errand=errand)):
        await until(lambda: database.rows("SELECT id FROM tickets") == [("t",)])

    assert done == [NOON]


async def test_a_clock_that_was_set_back_is_told_of_and_time_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    clock, database = Hands(), open_database()
    async with working(desk := desk_of(database, clock)):
        await desk.submit(Build(id="h", seats=9))
        clock.now += timedelta(hours=1)
        await desk.submit(Later(timer_id="x", take=Take(ticket_id="t", hall_id="h"), minutes=5))
        clock.now -= timedelta(hours=1)
        desk.duties.ring()
        await until(lambda: "desk.clock_ahead" in [record.message for record in caplog.records])
        ahead_s = desk.clock_ahead_s
        clock.now += timedelta(minutes=10)
        desk.duties.ring()
        await until(lambda: database.rows("SELECT id FROM tickets") == [("t",)])
        later_s = desk.clock_ahead_s

    assert (ahead_s, later_s) == (3600.0, 3300.0)


class Slow(Sqlite):
    """A database whose commits wait for `go`, and fail as `fates` say: None, or what goes wrong and where."""

    def __init__(self, *fates: str | None) -> None:
        super().__init__(None)
        self.go = threading.Event()
        self.go.set()
        self.fates = list(fates)
        self.begun = 0

    def commit(self, flush: Flush) -> None:
        self.begun += 1
        self.go.wait()
        fate = self.fates.pop(0) if self.fates and self.begun > 1 else None
        if fate == "refused":
            raise RowRefused("a row that was well")
        if fate == "full":
            raise DatabaseUnavailable("the disk is full")
        super().commit(flush)
        if fate == "unheard":
            raise DatabaseUnavailable("the answer was lost")


class Dictator(Slow):
    """The same, written by somebody else: batches are kept in their order, and answers come when all have been."""

    def __init__(self, *, lost: int) -> None:
        super().__init__()
        self.lost = lost
        self.told = 0

    async def dictate(self, flush: Flush) -> None:
        """Keep a batch; the answers to some of them are lost, the first and the second at the same moment."""
        self.commit(flush)
        self.told += 1
        mine = self.told
        if 1 < mine <= 1 + self.lost:
            await until(lambda: self.told > self.lost)
            raise DatabaseUnavailable("the line is lost")


def wrong_about(database: Sqlite, answers: list[Any], *, seats: int) -> list[str]:
    """What the tables and the answers do not agree on."""
    wrong = []
    given = {answer.answer.id for answer in answers if isinstance(answer, Outcome)}
    refused = {type(answer) for answer in answers if not isinstance(answer, Outcome)}
    if {row[0] for row in database.rows("SELECT id FROM tickets")} != given:
        wrong.append("tickets")
    if database.rows("SELECT taken FROM halls") != [(len(given),)] or len(given) != min(seats, len(answers)):
        wrong.append("seats")
    if database.rows("SELECT number FROM events ORDER BY number") != [(i,) for i in range(1, len(given) + 1)]:
        wrong.append("events")
    if refused - {HallFull}:
        wrong.append(f"refused: {refused}")
    return wrong


async def test_a_commit_that_does_not_end_is_told_until_it_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(flights, "SLOW_AFTER_S", 600.0)  # no commit of a busy machine takes so long
    database = prepared(Slow())
    desk = desk_of(database, Hands())

    def told() -> list[str]:
        return [record.message for record in caplog.records]

    async with working(desk):
        await desk.submit(Build(id="h", seats=9))
        before = told()
        monkeypatch.setattr(flights, "SLOW_AFTER_S", 0.05)
        database.go.clear()
        taking = asyncio.create_task(desk.submit(Take(ticket_id="t", hall_id="h")))
        await until(lambda: len(told()) >= 2)
        database.go.set()
        await taking
        meanwhile = told()
        await asyncio.sleep(0.2)

    assert before == []
    assert set(meanwhile) == {"desk.commit_slow"}
    assert told() == meanwhile


async def test_a_desk_whose_commits_are_dear_decides_ahead_only_what_fills_a_batch() -> None:
    database = prepared(Slow())
    desk = desk_of(database, Hands(), batch_max=64, ahead_min=64)
    async with working(desk):
        await desk.submit(Build(id="h", seats=230))
        database.go.clear()
        first = asyncio.create_task(desk.submit(Take(ticket_id="first", hall_id="h")))
        await until(lambda: desk._writer.position - desk._writer.kept_position == 1)
        coming = [asyncio.create_task(desk.submit(Take(ticket_id=f"t{i}", hall_id="h"))) for i in range(63)]
        await turns(100)
        waiting = desk.queue_length
        coming.append(asyncio.create_task(desk.submit(Take(ticket_id="last", hall_id="h"))))
        await until(lambda: desk._writer.position - desk._writer.kept_position == 65)
        database.go.set()
        await asyncio.gather(first, *coming)

    assert waiting == 63
    assert desk.figures.batches == 3


async def test_a_paced_desk_begins_no_batch_soon_after_another_unless_it_is_full_or_the_desk_closes() -> None:
    desk = desk_of(open_database(), Hands(), batch_max=4, pace_s=3600.0)
    async with working(desk):
        await desk.submit(Build(id="h", seats=9))
        coming = [asyncio.create_task(desk.submit(Take(ticket_id=f"t{i}", hall_id="h"))) for i in range(3)]
        await turns(100)
        early = desk.queue_length, desk.figures.batches
        coming.append(asyncio.create_task(desk.submit(Take(ticket_id="t3", hall_id="h"))))
        await asyncio.gather(*coming)
        full = desk.queue_length, desk.figures.batches
        last = asyncio.create_task(desk.submit(Take(ticket_id="t4", hall_id="h")))
        await turns(100)
        left = desk.queue_length
    await last

    assert early == (3, 1)
    assert full == (0, 2)
    assert left == 1
    assert desk.figures.batches == 3


async def test_a_paced_desk_goes_on_by_itself_when_its_pause_is_over() -> None:
    desk = desk_of(open_database(), Hands(), pace_s=0.02)
    async with working(desk):
        await desk.submit(Build(id="h", seats=9))
        await desk.submit(Take(ticket_id="t", hall_id="h"))

    assert desk.figures.batches == 2


async def test_batches_are_decided_on_top_of_those_that_are_being_kept_and_answered_in_their_order() -> None:
    database = prepared(Slow())
    told: list[int] = []
    desk = desk_of(database, Hands(), batch_max=64)
    desk.subscribe(lambda events: told.extend(number for number, _ in events))
    async with working(desk):
        await desk.submit(Build(id="h", seats=230))
        database.go.clear()
        coming = [asyncio.create_task(desk.submit(Take(ticket_id=f"t{i}", hall_id="h"))) for i in range(300)]
        await until(lambda: desk._writer.position - desk._writer.kept_position == FLIGHTS_MAX * 64)
        assert told == []
        assert not any(one.done() for one in coming)
        database.go.set()
        answers = await asyncio.gather(*coming, return_exceptions=True)

    assert told == list(range(1, 231))
    assert [answer.answer.id for answer in answers[:230]] == [f"t{i}" for i in range(230)]
    assert wrong_about(database, answers, seats=230) == []


@pytest.mark.parametrize("fate", ["refused", "full", "unheard"])
async def test_what_was_decided_on_top_of_a_batch_that_was_not_kept_is_decided_again(fate: str) -> None:
    database = prepared(Slow(fate))
    desk = desk_of(database, Hands(), batch_max=64)
    async with working(desk):
        await desk.submit(Build(id="h", seats=230))
        database.go.clear()
        coming = [asyncio.create_task(desk.submit(Take(ticket_id=f"t{i}", hall_id="h"))) for i in range(300)]
        await until(lambda: desk._writer.position - desk._writer.kept_position == FLIGHTS_MAX * 64)
        database.go.set()
        answers = await asyncio.gather(*coming, return_exceptions=True)

    assert [answer.answer.id for answer in answers[:230]] == [f"t{i}" for i in range(230)]
    assert wrong_about(database, answers, seats=230) == []


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_becomes_of_commits_that_follow_each_other_every_seat_goes_once(seed: int) -> None:
    chance = Random(seed)
    fates = [chance.choice([None, None, "refused", "full", "unheard"]) for _ in range(8)]
    database = prepared(Slow(*fates))
    desk = desk_of(database, Hands(), batch_max=64)
    async with working(desk):
        await desk.submit(Build(id="h", seats=400))
        takes = [Take(ticket_id=f"t{i}", hall_id="h") for i in range(600)]
        answers = await asyncio.gather(*(desk.submit(take) for take in takes), return_exceptions=True)

    assert wrong_about(database, answers, seats=400) == []
    assert database.fates == []


@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_batches_whose_answers_are_lost_together_were_kept_and_the_cursor_tells(lost: int) -> None:
    database = prepared(Dictator(lost=lost))
    desk = desk_of(database, Hands(), batch_max=64)
    async with working(desk):
        await desk.submit(Build(id="h", seats=230))
        takes = [Take(ticket_id=f"t{i}", hall_id="h") for i in range(300)]
        answers = await asyncio.gather(*(desk.submit(take) for take in takes), return_exceptions=True)

    assert wrong_about(database, answers, seats=230) == []


async def test_a_batch_that_could_not_be_read_for_is_kept_in_parts_before_anything_else_is_decided() -> None:
    class Stuttering(Slow):
        fails = 0

        def fetch(self, table: Any, keys: Any) -> list[Any]:
            if self.fails:
                self.fails -= 1
                raise DatabaseUnavailable("for a moment")
            return super().fetch(table, keys)

    database = prepared(Stuttering())
    desk = desk_of(database, Hands(), batch_max=64)
    async with working(desk):
        await desk.submit(Build(id="h", seats=230))
        desk._writer.forget()
        database.fails = 1
        takes = [Take(ticket_id=f"t{i}", hall_id="h") for i in range(300)]
        answers = await asyncio.gather(*(desk.submit(take) for take in takes), return_exceptions=True)

    assert wrong_about(database, answers, seats=230) == []
    assert desk._writer.kept_position == desk._writer.position == database.cursor()[0]


async def test_a_desk_stops_when_what_seemed_lost_turns_out_to_be_kept() -> None:
    class Blind(Slow):
        looks = 0

        def cursor(self) -> tuple[int, int]:
            self.looks += 1
            if self.looks == 2:
                raise DatabaseUnavailable("the cursor cannot be read either")
            return super().cursor()

    database = prepared(Blind("unheard"))
    database.looks = 0
    desk = desk_of(database, Hands(), batch_max=64)
    work = asyncio.create_task(desk.run())
    await until(lambda: desk.is_open)
    await desk.submit(Build(id="h", seats=230))
    database.go.clear()
    coming = [asyncio.create_task(desk.submit(Take(ticket_id=f"t{i}", hall_id="h"))) for i in range(200)]
    await until(lambda: desk._writer.position - desk._writer.kept_position == FLIGHTS_MAX * 64)
    database.go.set()
    answers = await asyncio.gather(*coming, return_exceptions=True)

    with pytest.raises(Fenced):
        await work
    assert {type(answer) for answer in answers} == {Unavailable}


async def test_a_few_rows_of_a_file_are_read_by_the_loop_and_many_by_a_thread() -> None:
    class Near(Dictator):
        def fetch(self, table: Any, keys: Any) -> list[Any]:
            fetched.append((len(keys), threading.current_thread() is threading.main_thread()))
            return super().fetch(table, keys)

    fetched: list[tuple[int, bool]] = []
    desk = desk_of(prepared(Near(lost=0)), Hands())
    async with working(desk):
        for count in (3, FETCHED_HERE + 1):
            desk._writer.forget()
            halls = [desk.submit(Take(ticket_id="t", hall_id=f"h{i}")) for i in range(count)]
            await asyncio.gather(*halls, return_exceptions=True)

    assert fetched == [(3, True), (FETCHED_HERE + 1, False)]


@pytest.mark.parametrize("is_near", [True, False])
async def test_few_rows_are_read_by_the_loop_where_the_file_is_on_this_machine(is_near: bool) -> None:
    class Noting(Sqlite):
        def rows(self, sql: str, slots: Any = None) -> list[Any]:
            if sql == halls:
                asked_here.append(threading.current_thread() is threading.main_thread())
            found: list[Any] = super().rows(sql, slots)
            return found

    class Near(Noting, Dictator):
        pass

    halls = "SELECT id FROM halls WHERE id = :id ORDER BY id LIMIT 1"
    asked_here: list[bool] = []
    desk = desk_of(prepared(Near(lost=0) if is_near else Noting(None)), Hands())
    async with working(desk):
        await desk.submit(Build(id="h", seats=1))
        found = await desk.few(halls, {"id": "h"})

    assert (found, asked_here) == ([("h",)], [is_near])
    with pytest.raises(Unavailable):
        await desk.few(halls, {"id": "h"})


async def test_a_little_work_soon_after_a_batch_waits_and_goes_with_whoever_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flights, "GATHER_S", 60.0)  # so soon after that no busy machine is too late for it
    database = open_database()
    desk = desk_of(database, Hands())
    async with working(desk):
        await desk.submit(Build(id="h", seats=9))
        work = desk.hand_in(Take(ticket_id="work", hall_id="h"))
        await turns(10)
        waiting = desk.queue_length
        await desk.submit(Take(ticket_id="somebody", hall_id="h"))
        outcome = await work

    assert waiting == 1
    assert outcome.answer.id == "work"
    assert desk.figures.batches == 2


async def test_work_that_nobody_joins_is_done_all_the_same() -> None:
    desk = desk_of(open_database(), Hands())
    async with working(desk):
        await desk.submit(Build(id="h", seats=9))
        outcome = await desk.hand_in(Take(ticket_id="work", hall_id="h"))

    assert outcome.answer.id == "work"


async def test_who_was_answered_goes_on_before_the_next_batch_is_decided() -> None:
    database = prepared(Slow())
    desk = desk_of(database, Hands(), batch_max=64)
    batches: list[int] = []

    async def take_twice() -> None:
        await desk.submit(Take(ticket_id="first", hall_id="h"))
        await desk.submit(Take(ticket_id="second", hall_id="h"))

    async with working(desk):
        await desk.submit(Build(id="h", seats=99))
        desk.subscribe(lambda events: batches.append(len(events)))
        database.go.clear()
        coming = asyncio.create_task(take_twice())
        await until(lambda: database.begun == 2)
        others = [desk.hand_in(Take(ticket_id=f"t{i}", hall_id="h")) for i in range(10)]
        database.go.set()
        await asyncio.gather(coming, *others)

    assert batches == [1, 11]


async def test_what_a_source_commits_while_its_follower_keeps_a_batch_waits_for_no_other_batch_than_that() -> None:
    halls, slow = desk_of(open_database(), Hands()), prepared(Slow())
    diary = desk_of(slow, Hands())
    following(halls, diary)
    async with working(halls, diary):
        await halls.submit(Build(id="h", seats=9))
        slow.go.clear()
        await halls.submit(Take(ticket_id="t1", hall_id="h"))
        await until(lambda: slow.begun == 1)
        await halls.submit(Take(ticket_id="t2", hall_id="h"))
        waiting = diary.queue_length
        slow.go.set()
        await diary.followed("halls", 2)

    assert waiting == 1
    assert slow.rows("SELECT notes FROM pages") == [(2,)]


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_becomes_of_a_followers_commits_it_hears_every_event_once(seed: int) -> None:
    chance = Random(seed)
    # Not what fails twice in a row, for which it waits a second.
    fates = [fate for _ in range(6) for fate in (chance.choice([None, "refused", "unheard"]), None)]
    halls, slow = desk_of(open_database(), Hands()), prepared(Slow(*fates))
    diary = desk_of(slow, Hands(), batch_max=64)
    following(halls, diary)
    names = [f"h{i}" if i != 50 else "unspeakable" for i in range(100)]
    async with working(halls, diary):
        await asyncio.gather(*(halls.submit(Build(id=name, seats=9)) for name in names))
        for i in range(4):
            await asyncio.gather(*(halls.submit(Take(ticket_id=f"t{i}{name}", hall_id=name)) for name in names))
        await diary.followed("halls", 400)

    heard = slow.rows("SELECT id, notes FROM pages ORDER BY id")
    assert heard == sorted((name, 4) for name in names if name != "unspeakable")
    assert slow.rows("SELECT COUNT(*) FROM parked_events") == [(4,)]


async def test_who_waits_for_a_batch_that_is_being_decided_is_told_when_the_desk_is_cancelled() -> None:
    class Absent(Sqlite):
        is_asked = False
        go = threading.Event()

        def fetch(self, table: Any, keys: Any) -> list[Any]:
            self.is_asked = True
            self.go.wait(5)
            return super().fetch(table, keys)

    database = prepared(Absent(None))
    desk = desk_of(database, Hands())
    work = asyncio.create_task(desk.run())
    await until(lambda: desk.is_open)
    coming = asyncio.create_task(desk.submit(Take(ticket_id="t", hall_id="h")))
    await until(lambda: database.is_asked)
    asyncio.get_running_loop().call_later(0.05, database.go.set)  # the desk's end waits for its threads
    work.cancel()

    with pytest.raises(Unavailable):
        await asyncio.wait_for(coming, 60)


async def test_kept_answers_are_forgotten_after_three_days_and_not_before() -> None:
    clock = Hands()
    database = open_database()
    writer = open_writer(database)
    carry_out(writer, database, [Build(id="h", seats=99)])
    for days, name in ((0, "old"), (2, "new")):
        request = Request(Take(ticket_id=name, hall_id="h"), who="p", key=Once(f"key-{name}", "said"))
        carry_out(writer, database, [request], now=NOON + timedelta(days=days))
    clock.now += timedelta(days=3, seconds=1)
    desk = desk_of(database, clock)

    async with working(desk):
        await until(lambda: desk.figures.commands == 1)
        kept = await desk.rows("SELECT idempotency_key FROM kept_answers")

    assert kept == [("key-new",)]


async def test_a_timer_set_anew_while_its_command_waits_keeps_its_new_time() -> None:
    database = open_database()
    clock = Hands()
    desk = desk_of(database, clock, batch_max=1)
    async with working(desk):
        await desk.submit(Build(id="h", seats=9))
        take = Take(ticket_id="t", hall_id="h")
        await desk.submit(Later(timer_id="x", take=take, minutes=1))
        clock.now += timedelta(minutes=1)

        await desk.submit(Later(timer_id="x", take=take, minutes=5))
        await desk.submit(Build(id="g", seats=9))
        early = await desk.rows("SELECT id FROM tickets"), await desk.rows("SELECT id FROM timers")
        clock.now += timedelta(minutes=5)
        desk.duties.ring()
        await until(lambda: desk.figures.events == 1)
        late = await desk.rows("SELECT id FROM tickets"), await desk.rows("SELECT id FROM timers")

    assert early == ([], [("x",)])
    assert late == ([("t",)], [])


async def test_a_backlog_of_due_timers_does_not_slow_who_waits_and_does_not_stand_still() -> None:
    database = open_database()
    clock = Hands()
    writer = open_writer(database)
    carry_out(writer, database, [Build(id="h", seats=9_000)])
    timers = [Later(timer_id=f"x{i}", take=Take(ticket_id=f"late{i}", hall_id="h"), minutes=0) for i in range(2_000)]
    carry_out(writer, database, timers)
    desk = desk_of(database, clock, batch_max=16)
    async with working(desk):
        for i in range(20):
            before = desk.figures.batches
            await desk.submit(Take(ticket_id=f"now{i}", hall_id="h"))
            assert desk.figures.batches - before <= 3
        assert desk.timers_held > 1_000
        await until(lambda: desk.timers_held == 0)

    assert database.rows("SELECT COUNT(*) FROM tickets") == [(2_020,)]


def test_of_a_batch_work_gets_a_quarter_or_a_half_when_nobody_waits_and_people_the_rest_in_their_order() -> None:
    lanes = lanes_of(batch_max=8, people=20, work=20)

    assert [name_of_batch(lanes.take()) for _ in range(5)] == [
        "p0 p1 p2 p3 p4 p5 w0 w1",
        "p6 p7 p8 p9 p10 p11 w2 w3",
        "p12 p13 p14 p15 p16 p17 w4 w5",
        "p18 p19 w6 w7",
        "w8 w9 w10 w11",  # nobody waits
    ]


def test_where_a_batch_is_one_command_every_fourth_is_work() -> None:
    lanes = lanes_of(batch_max=1, people=6, work=3)

    assert [name_of_batch(lanes.take()) for _ in range(9)] == ["p0", "p1", "p2", "w0", "p3", "p4", "p5", "w1", "w2"]


def test_a_batch_that_was_not_decided_is_the_next_again() -> None:
    lanes = lanes_of(batch_max=8, people=9, work=9)
    first = lanes.take()

    lanes.give_back(first)

    assert name_of_batch(lanes.take()) == "p0 p1 p2 p3 p4 p5 w2 w3"
    assert name_of_batch(lanes.take()) == "w0 w1 p6 p7 p8 w4 w5"


def lanes_of(*, batch_max: int, people: int, work: int) -> Lanes:
    lanes = Lanes(batch_max)
    for i in range(people):
        lanes.people.append((f"p{i}", None))
    for i in range(work):
        lanes.work.append((f"w{i}", None))
    return lanes


def name_of_batch(batch: list[Any]) -> str:
    return " ".join(request for request, _ in batch)
