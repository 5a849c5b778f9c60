"""The writer: a batch is decided in order, kept in one commit, and a bad command hurts itself alone (J5)."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.machinery.toy import (
    NOON,
    SCHEMA,
    Build,
    Errand,
    Hall,
    HallFull,
    Later,
    SeatTaken,
    Send,
    Take,
    Ticket,
    carry_out,
    open_database,
    open_writer,
    prepared,
    state,
    take,
    write_down,
)
from tuanzi.base.once import Once
from tuanzi.base.problem import Unknown
from tuanzi.base.time import to_ms
from tuanzi.base.unit import Unit
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.machinery.database import Ask, DatabaseUnavailable, Fenced
from tuanzi.machinery.problems import Crashed, KeyReused, TooSlow, Unavailable
from tuanzi.machinery.stopwatch import OutOfTime, Stopwatch
from tuanzi.machinery.writer import Commit, Fetch, Request, Writer, drive
from tuanzi.machinery.writer import take as take_step


@pytest.fixture(params=["sqlite", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The toy business, on each engine."""
    made = (
        open_database() if request.param == "sqlite" else prepared(MariaDb(request.getfixturevalue("site").address()))
    )
    yield made
    made.close()


def test_a_command_is_kept_with_its_events_and_answered_after_the_commit(database: Any) -> None:
    writer = open_writer(database)

    built, taken = carry_out(writer, database, [Build(id="h", seats=2), Take(ticket_id="t", hall_id="h")])

    assert built.body == b'{"id":"h","seats":2,"taken":0}'
    assert taken.answer == Ticket(id="t", hall_id="h")
    assert [number for number, _ in taken.events] == [1]
    assert database.rows("SELECT id, seats, taken FROM halls") == [("h", 2, 1)]
    assert database.rows("SELECT number, name, version, body FROM events") == [
        (1, "toy.seat_taken", 1, '{"hall_id":"h"}')
    ]
    assert database.cursor() == (2, 1)


def test_a_refusal_changes_nothing_whatever_line_raised_it(database: Any) -> None:
    writer = open_writer(database)
    carry_out(writer, database, [Build(id="h", seats=1), Take(ticket_id="t1", hall_id="h")])
    before = state(database)

    outcomes = carry_out(writer, database, [Take(ticket_id="t2", hall_id="h"), Take(ticket_id="t3", hall_id="nowhere")])

    assert isinstance(outcomes[0].problem, HallFull)
    assert isinstance(outcomes[1].problem, Unknown)
    assert state(database) == before


def test_the_last_seat_goes_to_whoever_queued_first_even_when_memory_holds_nothing(database: Any) -> None:
    writer = open_writer(database, places_max=1)
    carry_out(writer, database, [Build(id=f"h{i}", seats=1) for i in range(20)])
    writer.forget()

    outcomes = carry_out(
        writer, database, [Take(ticket_id=f"t{i}.{n}", hall_id=f"h{i}") for n in range(3) for i in range(20)]
    )

    assert [outcome.problem is None for outcome in outcomes] == [True] * 20 + [False] * 40
    assert database.rows("SELECT COUNT(*), SUM(taken) FROM halls") == [(20, 20)]
    assert {row[0] for row in database.rows("SELECT id FROM tickets")} == {f"t{i}.0" for i in range(20)}


def test_a_campus_larger_than_memory_works_and_memory_stays_bounded(database: Any) -> None:
    writer = open_writer(database, places_max=50)
    carry_out(writer, database, [Build(id=f"h{i}", seats=9) for i in range(500)])

    for _ in range(3):
        for start in range(0, 500, 25):
            carry_out(writer, database, [Take(ticket_id=f"{_}.{i}", hall_id=f"h{i}") for i in range(start, start + 25)])

    assert len(writer.memory) <= 100
    assert database.rows("SELECT MIN(taken), MAX(taken) FROM halls") == [(3, 3)]


def test_a_command_with_a_bug_fails_alone_and_leaves_nothing(database: Any) -> None:
    writer = open_writer(database)
    carry_out(writer, database, [Build(id="h", seats=9)])

    outcomes = carry_out(
        writer,
        database,
        [
            Take(ticket_id="t1", hall_id="h"),
            Take(ticket_id="t2", hall_id="h", bug="crash"),
            Take(ticket_id="t3", hall_id="h"),
        ],
    )

    assert [type(outcome.problem) for outcome in outcomes] == [type(None), Crashed, type(None)]
    assert database.rows("SELECT id FROM tickets ORDER BY id") == [("t1",), ("t3",)]
    assert database.rows("SELECT taken FROM halls") == [(2,)]


@pytest.mark.parametrize("bad", [Take(ticket_id="t0", hall_id="h"), Take(ticket_id="x", hall_id="h", bug="negative")])
def test_what_the_database_refuses_fails_alone_and_the_numbers_have_no_gap(database: Any, bad: Take) -> None:
    writer = open_writer(database, places_max=1)
    carry_out(writer, database, [Build(id="h", seats=99), Take(ticket_id="t0", hall_id="h")])
    writer.forget()

    outcomes = carry_out(
        writer,
        database,
        [Take(ticket_id=f"t{i}", hall_id="h") if i != 9 else bad for i in range(1, 10)],
    )

    assert [i + 1 for i, outcome in enumerate(outcomes) if isinstance(outcome.problem, Crashed)] == [9]
    assert database.rows("SELECT taken FROM halls") == [(9,)]
    assert [row[0] for row in database.rows("SELECT number FROM events ORDER BY number")] == list(range(1, 10))
    assert database.cursor()[1] == 9


def updates_of(writer: Writer, *commands: Any) -> tuple[list[tuple[Any, ...]], int]:
    """What a batch, which is not kept then, would change in part - table, columns, rows - and how many whole rows."""
    steps = writer.carry_out([Request(command) for command in commands], now=NOON)
    step = next(steps)
    assert isinstance(step, Commit)
    steps.close()
    writer.forget()
    flush = step.flush
    return [(each.table.name, each.columns, each.rows) for each in flush.updates], sum(
        len(rows) for _, rows in flush.upserts
    )


def test_of_a_value_that_memory_knows_only_what_differs_is_written(database: Any) -> None:
    writer = open_writer(database)
    carry_out(writer, database, [Build(id="h", seats=9), Build(id="g", seats=9)])

    found, whole = updates_of(writer, Take(ticket_id="t1", hall_id="g"), Take(ticket_id="t2", hall_id="h"))

    assert (found, whole) == ([("halls", ("taken", "id"), [(1, "g"), (1, "h")])], 0)


def test_what_differs_is_told_from_the_batch_that_is_being_kept(database: Any) -> None:
    writer = open_writer(database)
    carry_out(writer, database, [Build(id="h", seats=9)])
    first = writer.carry_out([Request(Take(ticket_id="t1", hall_id="h"))], now=NOON)
    second = writer.carry_out([Request(Take(ticket_id="t2", hall_id="h")), Request(Build(id="g", seats=1))], now=NOON)

    for steps, step in [(steps, next(steps)) for steps in (first, second)]:
        assert isinstance(step, Commit)
        assert [(each.table.name, each.columns) for each in step.flush.updates] == [("halls", ("taken", "id"))]
        with pytest.raises(StopIteration):
            steps.send(take_step(step, database)[0])

    assert database.rows("SELECT id, seats, taken FROM halls ORDER BY id") == [("g", 1, 0), ("h", 9, 2)]


def test_a_value_put_as_it_was_is_not_written() -> None:
    def put_again(unit: Unit, command: Send, *, now: datetime) -> None:
        unit.put(unit.load(Hall, command.errand.hall_id))

    database = open_database()
    writer = open_writer(database, schema=replace(SCHEMA, decides={**SCHEMA.decides, Send: put_again}))
    carry_out(writer, database, [Build(id="h", seats=9)])

    assert updates_of(writer, Send(errand=Errand(ticket_id="t", hall_id="h"))) == ([], 0)


def test_a_row_that_somebody_else_took_away_is_found_out_and_nothing_is_half_kept() -> None:
    """Nobody may; the table is asked then, and who needs the row is told that there is none."""
    database = open_database()
    writer = open_writer(database)
    carry_out(writer, database, [Build(id="h", seats=9), Build(id="g", seats=9)])
    database.execute_script("DELETE FROM halls WHERE id = 'h';")

    outcomes = carry_out(writer, database, [Take(ticket_id="t1", hall_id="h"), Take(ticket_id="t2", hall_id="g")])

    assert [type(outcome.problem) for outcome in outcomes] == [Unknown, type(None)]
    assert database.rows("SELECT id, taken FROM halls") == [("g", 1)]
    assert database.rows("SELECT id FROM tickets") == [("t2",)]


def test_a_value_added_twice_in_one_batch_fails_the_second_command_alone(database: Any) -> None:
    writer = open_writer(database)

    outcomes = carry_out(writer, database, [Build(id="h", seats=1), Build(id="h", seats=2), Build(id="g", seats=3)])

    assert [type(outcome.problem) for outcome in outcomes] == [type(None), Crashed, type(None)]
    assert database.rows("SELECT id, seats FROM halls ORDER BY id") == [("g", 3), ("h", 1)]


def test_an_endless_command_is_ended_and_the_others_are_answered(database: Any) -> None:
    position, number = database.cursor()
    watch = Stopwatch(0.05)
    writer = Writer(SCHEMA, position=position, event_number=number, stopwatch=watch)
    watch.arm()
    carry_out(writer, database, [Build(id="h", seats=9)])

    try:
        outcomes = carry_out(
            writer,
            database,
            [
                Take(ticket_id="t1", hall_id="h"),
                Take(ticket_id="t2", hall_id="h", bug="endless"),
                Take(ticket_id="t3", hall_id="h"),
            ],
        )
    finally:
        watch.disarm()

    assert [type(outcome.problem) for outcome in outcomes] == [type(None), TooSlow, type(None)]
    assert database.rows("SELECT taken FROM halls") == [(2,)]


@pytest.mark.parametrize("bug", ["", "crash"])
def test_a_command_whose_time_ends_when_its_watch_is_stopped_is_too_slow_and_no_more(database: Any, bug: str) -> None:
    """The signal comes between two bytecodes: also between the end of a command, well or not, and that of its time."""

    class Late(Stopwatch):
        def stop(self) -> None:
            self.stops += 1
            if self.stops == 2:
                raise OutOfTime

        stops = 0

    position, number = database.cursor()
    writer = Writer(SCHEMA, position=position, event_number=number, stopwatch=Late(60))
    commands = [Build(id="h", seats=9), Take(ticket_id="t1", hall_id="h", bug=bug), Take(ticket_id="t2", hall_id="h")]

    outcomes = carry_out(writer, database, commands)

    assert [type(outcome.problem) for outcome in outcomes] == [type(None), TooSlow, type(None)]
    assert database.rows("SELECT id FROM tickets") == [("t2",)]


def test_what_a_crash_needs_to_be_told_is_not_counted_to_its_command(database: Any) -> None:
    """Else the signal that comes meanwhile would end the campus's desk, in place of a command."""

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            until = time.thread_time() + 0.2
            while time.thread_time() < until:
                pass

    position, number = database.cursor()
    watch = Stopwatch(0.05)
    writer = Writer(SCHEMA, position=position, event_number=number, stopwatch=watch)
    slow, log = Slow(), logging.getLogger("tuanzi.writer")
    log.addHandler(slow)
    watch.arm()

    try:
        commands = [Build(id="h", seats=9), Take(ticket_id="t1", hall_id="h", bug="crash")]
        outcomes = carry_out(writer, database, commands)
    finally:
        watch.disarm()
        log.removeHandler(slow)

    assert [type(outcome.problem) for outcome in outcomes] == [type(None), Crashed]


def test_an_endless_command_under_a_key_that_only_the_table_knows_is_given_its_time_once(
    database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    position, number = database.cursor()
    watch = Stopwatch(0.05)
    writer = Writer(SCHEMA, position=position, event_number=number, stopwatch=watch)
    watch.arm()
    carry_out(writer, database, [Build(id="h", seats=9)])
    endless = Take(ticket_id="t2", hall_id="h", bug="endless")
    requests = [
        Request(Take(ticket_id="t1", hall_id="h"), who="p1", key=Once("k" * 8, "t1")),
        Request(endless, who="p1", key=Once("l" * 8, "t2")),
    ]

    try:
        outcomes = carry_out(writer, database, requests)
    finally:
        watch.disarm()

    assert [type(outcome.problem) for outcome in outcomes] == [type(None), TooSlow]
    assert [record.message for record in caplog.records] == ["writer.command_too_slow"]
    assert database.rows("SELECT id FROM tickets") == [("t1",)]


def test_what_is_due_may_take_longer_than_what_somebody_asks_but_not_for_ever(database: Any) -> None:
    """A large group that closes: were it refused for its length, its members' money would hang."""
    limit_s = 0.05

    def think(unit: Unit, command: Any, *, now: datetime) -> Any:
        until_s = time.thread_time() + 3 * limit_s
        while time.thread_time() < until_s or getattr(command, "bug", "") == "endless":
            signal.raise_signal(signal.SIGPROF)  # the timer's own come late on a busy machine
        return take(unit, command, now=now) if isinstance(command, Take) else write_down(unit, command, now=now)

    schema = replace(SCHEMA, decides={**SCHEMA.decides, Take: think}, follows={("halls", SeatTaken): [think]})
    position, number = database.cursor()
    watch = Stopwatch(limit_s)
    writer = Writer(schema, position=position, event_number=number, stopwatch=watch)
    due, endless = Take(ticket_id="t1", hall_id="h"), Take(ticket_id="t2", hall_id="h", bug="endless")
    timers = [Later(timer_id="x", take=due, minutes=0), Later(timer_id="y", take=endless, minutes=0)]
    carry_out(writer, database, [Build(id="h", seats=9), *timers])
    fired = [Request(take, timer=writer.timer_changes.pop(id)) for id, take in (("x", due), ("y", endless))]
    heard = Request(SeatTaken(hall_id="h"), source="halls", number=1, after=0)
    watch.arm()

    try:
        outcomes = carry_out(writer, database, [Take(ticket_id="t0", hall_id="h"), *fired, heard])
    finally:
        watch.disarm()

    assert [type(outcome.problem) for outcome in outcomes] == [TooSlow, type(None), TooSlow, type(None)]
    assert database.rows("SELECT id FROM tickets") == [("t1",)]
    assert database.rows("SELECT id FROM timers") == [("y",)]
    assert database.rows("SELECT id, notes FROM pages") == [("h", 1)]


def test_a_repeat_that_would_never_end_gets_the_first_answer(database: Any) -> None:
    writer = open_writer(database)
    once = Once("k" * 8, "said")
    carry_out(writer, database, [Build(id="h", seats=9)])
    first = carry_out(writer, database, [Request(Take(ticket_id="t1", hall_id="h"), who="p1", key=once)])
    position, number = database.cursor()
    watch = Stopwatch(0.05)
    afresh = Writer(SCHEMA, position=position, event_number=number, stopwatch=watch)
    watch.arm()

    try:
        again = carry_out(
            afresh, database, [Request(Take(ticket_id="t2", hall_id="h", bug="endless"), who="p1", key=once)]
        )
    finally:
        watch.disarm()

    assert again[0].replayed
    assert again[0].body == first[0].body
    assert database.rows("SELECT id FROM tickets") == [("t1",)]


def test_a_full_disk_refuses_what_does_not_fit_and_the_next_command_works(tmp_path: Path) -> None:
    database = open_database(tmp_path / "small.db")
    writer = open_writer(database)
    carry_out(writer, database, [Build(id="h", seats=10_000)])
    pages = database.rows("PRAGMA page_count")[0][0]
    database._writer.execute(f"PRAGMA max_page_count = {pages + 4}")

    outcomes = carry_out(
        writer,
        database,
        [Take(ticket_id="small", hall_id="h"), *(Take(ticket_id="x" * 30_000 + str(i), hall_id="h") for i in range(3))],
    )
    database._writer.execute(f"PRAGMA max_page_count = {pages + 400}")
    after = carry_out(writer, database, [Take(ticket_id="next", hall_id="h")])

    assert [type(outcome.problem) for outcome in outcomes] == [type(None), Unavailable, Unavailable, Unavailable]
    assert after[0].problem is None
    assert database.rows("SELECT id FROM tickets ORDER BY id") == [("next",), ("small",)]
    assert database.rows("SELECT taken FROM halls") == [(2,)]


class Away:
    """A database that keeps nothing for a while."""

    def __init__(self, database: object) -> None:
        self._database = database
        self.tries = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._database, name)

    def commit(self, flush: object) -> None:
        """Fail."""
        self.tries += 1
        raise DatabaseUnavailable("the server stands still")


def test_while_nothing_can_be_kept_a_batch_is_not_tried_one_by_one(
    database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    writer = open_writer(database)
    carry_out(writer, database, [Build(id="h", seats=9_999)])
    away = Away(database)

    outcomes = carry_out(writer, away, [Take(ticket_id=f"t{i}", hall_id="h") for i in range(256)])
    after = carry_out(writer, database, [Take(ticket_id=f"t{i}", hall_id="h") for i in range(256)])

    assert {type(outcome.problem) for outcome in outcomes} == {Unavailable}
    assert len(outcomes) == 256
    assert away.tries == 9
    assert len(caplog.records) == 9
    assert [outcome.answer.id for outcome in after] == [f"t{i}" for i in range(256)]
    assert database.rows("SELECT taken FROM halls") == [(256,)]


def test_a_repeated_key_gets_the_first_answer_and_has_no_second_effect(database: Any) -> None:
    writer = open_writer(database)
    carry_out(writer, database, [Build(id="h", seats=9)])
    once = Once("k" * 8, "said")

    first = carry_out(writer, database, [Request(Take(ticket_id="t1", hall_id="h"), who="p1", key=once)])
    again = carry_out(writer, database, [Request(Take(ticket_id="t2", hall_id="h"), who="p1", key=once)])

    assert again[0].replayed
    assert again[0].body == first[0].body == b'{"id":"t1","hall_id":"h"}'
    assert again[0].events == ()
    assert database.rows("SELECT taken FROM halls") == [(1,)]


def test_many_repeats_in_a_batch_cost_it_one_more_try_and_not_one_each(database: Any) -> None:
    """Found by a storm of splits: halves cost commits for every repeat, and the queue grew faster than it was done."""
    first = open_writer(database)
    carry_out(first, database, [Build(id="h", seats=99)])
    takes = [
        Request(Take(ticket_id=f"t{i}", hall_id="h"), who="p1", key=Once(f"key-{i:04d}", "said")) for i in range(40)
    ]
    carry_out(first, database, takes[::2])
    writer = open_writer(database)
    tries = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            if name == "commit":
                tries.append(name)
            return getattr(database, name)

    outcomes = carry_out(writer, Counting(), takes)

    assert [outcome.replayed for outcome in outcomes] == [True, False] * 20
    assert len(tries) == 2
    assert database.rows("SELECT taken FROM halls") == [(40,)]


def test_a_key_is_remembered_across_a_restart_even_in_the_middle_of_a_batch(database: Any) -> None:
    carry_out(open_writer(database), database, [Build(id="h", seats=9)])
    writer = open_writer(database)
    carry_out(writer, database, [Request(Take(ticket_id="t1", hall_id="h"), who="p1", key=Once("k" * 8, "said"))])
    writer = open_writer(database)

    outcomes = carry_out(
        writer,
        database,
        [
            Request(Take(ticket_id="t2", hall_id="h"), who="p1", key=Once("a" * 8, "other")),
            Request(Take(ticket_id="t3", hall_id="h"), who="p1", key=Once("k" * 8, "said")),
            Request(Take(ticket_id="t4", hall_id="h"), who="p2", key=Once("k" * 8, "said")),
        ],
    )

    assert [outcome.replayed for outcome in outcomes] == [False, True, False]
    assert outcomes[1].body == b'{"id":"t1","hall_id":"h"}'
    assert database.rows("SELECT taken FROM halls") == [(3,)]


def test_another_request_under_a_used_key_is_refused(database: Any) -> None:
    writer = open_writer(database)
    carry_out(writer, database, [Build(id="h", seats=9)])
    carry_out(writer, database, [Request(Take(ticket_id="t1", hall_id="h"), who="p1", key=Once("k" * 8, "said"))])

    outcome = carry_out(
        writer, database, [Request(Take(ticket_id="t1", hall_id="h"), who="p1", key=Once("k" * 8, "else"))]
    )

    assert isinstance(outcome[0].problem, KeyReused)
    assert database.rows("SELECT taken FROM halls") == [(1,)]


def test_a_refused_request_may_be_tried_again_under_its_key(database: Any) -> None:
    writer = open_writer(database)
    once = Once("k" * 8, "said")
    refused = carry_out(writer, database, [Request(Take(ticket_id="t1", hall_id="h"), who="p1", key=once)])
    carry_out(writer, database, [Build(id="h", seats=9)])

    again = carry_out(writer, database, [Request(Take(ticket_id="t1", hall_id="h"), who="p1", key=once)])

    assert isinstance(refused[0].problem, Unknown)
    assert again[0].problem is None


def test_a_second_writer_fences_the_first_which_stops_without_having_written(database: Any) -> None:
    first = open_writer(database)
    second = open_writer(database)
    carry_out(second, database, [Build(id="h", seats=9)])
    before = state(database)

    with pytest.raises(Fenced):
        carry_out(first, database, [Build(id="g", seats=9)])

    assert state(database) == before


class LostAnswer:
    """A database whose commit fails: before (nothing kept) or after (all kept, the answer lost)."""

    def __init__(self, database: object, *, after: bool) -> None:
        self._database = database
        self._after = after
        self.failures = 1

    def __getattr__(self, name: str) -> object:
        return getattr(self._database, name)

    def commit(self, flush: object) -> None:
        """Fail once."""
        if self.failures and not self._after:
            self.failures -= 1
            raise DatabaseUnavailable("before")
        self._database.commit(flush)  # type: ignore[attr-defined]
        if self.failures:
            self.failures -= 1
            raise DatabaseUnavailable("after")


@pytest.mark.parametrize("after", [False, True])
def test_a_commit_whose_answer_was_lost_counts_once(database: Any, after: bool) -> None:
    carry_out(open_writer(database), database, [Build(id="h", seats=9)])
    writer = open_writer(database)

    outcomes = carry_out(
        writer,
        LostAnswer(database, after=after),
        [Take(ticket_id="t1", hall_id="h"), Take(ticket_id="t2", hall_id="h")],
    )

    assert [outcome.problem for outcome in outcomes] == [None, None]
    assert database.rows("SELECT taken FROM halls") == [(2,)]


def test_a_batch_is_decided_on_top_of_all_that_are_being_kept_and_reads_the_latest_of_each_place(database: Any) -> None:
    writer = open_writer(database)
    batches: list[list[Any]] = [
        [Build(id="a", seats=9), Build(id="b", seats=9), Take(ticket_id="t1", hall_id="a")],
        [Take(ticket_id="t2", hall_id="a")],
        [Take(ticket_id="t3", hall_id="a"), Take(ticket_id="t4", hall_id="b")],
    ]
    flying = [writer.carry_out([Request(command) for command in batch], now=NOON) for batch in batches]
    commits = [next(steps) for steps in flying]
    assert [type(commit) for commit in commits] == [Commit] * 3  # nothing was asked of the database

    for steps, commit in zip(flying, commits, strict=True):
        take_step(commit, database)
        with pytest.raises(StopIteration):
            steps.send(None)

    assert database.rows("SELECT id, taken FROM halls ORDER BY id") == [("a", 3), ("b", 1)]
    assert carry_out(writer, database, [Take(ticket_id="t5", hall_id="a")])[0].problem is None
    assert database.rows("SELECT id, taken FROM halls ORDER BY id") == [("a", 4), ("b", 1)]


def test_a_batch_reads_what_is_left_in_the_air_after_the_first_has_landed(database: Any) -> None:
    writer = open_writer(database, places_max=1)
    first, second = ([Build(id="a", seats=9)], [Build(id="b", seats=9), Take(ticket_id="t1", hall_id="a")])
    flying = [writer.carry_out([Request(command) for command in batch], now=NOON) for batch in (first, second)]
    commits = [next(steps) for steps in flying]
    take_step(commits[0], database)
    with pytest.raises(StopIteration):
        flying[0].send(None)

    third = writer.carry_out([Request(Take(ticket_id=f"t{hall}", hall_id=hall)) for hall in "ab"], now=NOON)
    commit = next(third)
    assert isinstance(commit, Commit)
    take_step(commits[1], database)
    with pytest.raises(StopIteration):
        flying[1].send(None)
    take_step(commit, database)

    assert database.rows("SELECT id, taken FROM halls ORDER BY id") == [("a", 2), ("b", 1)]


def test_an_errand_is_kept_as_a_row_to_be_found_after_a_crash(database: Any) -> None:
    writer = open_writer(database)

    carry_out(writer, database, [Send(errand=Errand(ticket_id="t", hall_id="h"))], now=NOON + timedelta(seconds=1))

    assert database.rows("SELECT id, command, body, attempts FROM timers") == [
        ("errand:t", "tests.Errand", '{"ticket_id":"t","hall_id":"h"}', 0)
    ]


def test_a_timer_that_half_of_a_batch_has_set_anew_is_not_fired_by_the_other_half(database: Any) -> None:
    """As a split's next letters, set while those before were on their way, when the commit of both failed."""
    writer = open_writer(database)
    old, new = (Take(ticket_id=name, hall_id="h") for name in ("old", "new"))
    carry_out(writer, database, [Build(id="h", seats=9), Later(timer_id="x", take=old, minutes=0)])
    timer = writer.timer_changes.pop("x")
    requests = [Request(Later(timer_id="x", take=new, minutes=5)), Request(old, timer=timer)]

    drive(writer.carry_out(requests, now=NOON), LostAnswer(database, after=False))

    assert database.rows("SELECT id, due_at_ms FROM timers") == [("x", to_ms(NOON + timedelta(minutes=5)))]
    assert database.rows("SELECT id FROM tickets") == []
    assert writer.timer_changes.keys() == {"x"}


def test_a_row_that_was_damaged_from_outside_fails_the_commands_that_read_it_and_no_other(database: Any) -> None:
    writer = open_writer(database)
    carry_out(writer, database, [Build(id="h1", seats=2), Build(id="h2", seats=2)])
    database.execute_script("UPDATE halls SET seats = -1 WHERE id = 'h1';")
    writer.forget()

    damaged, whole = carry_out(
        writer, database, [Take(ticket_id="t1", hall_id="h1"), Take(ticket_id="t2", hall_id="h2")]
    )

    assert isinstance(damaged.problem, Crashed)
    assert whole.answer == Ticket(id="t2", hall_id="h2")
    assert database.rows("SELECT id, taken FROM halls ORDER BY id") == [("h1", 0), ("h2", 1)]
    database.execute_script("UPDATE halls SET seats = 2 WHERE id = 'h1';")
    assert carry_out(writer, database, [Take(ticket_id="t1", hall_id="h1")])[0].problem is None


def test_a_look_at_a_database_is_of_one_state_though_the_writer_goes_on(tmp_path: Path) -> None:
    database = open_database(tmp_path / "toy.db")
    writer = open_writer(database)
    carry_out(writer, database, [Build(id="h1", seats=2)])

    def look(ask: Ask) -> list[int]:
        halls = [row[0] for row in ask("SELECT COUNT(*) FROM halls")]
        carry_out(writer, database, [Build(id="h2", seats=2)])
        return halls + [row[0] for row in ask("SELECT COUNT(*) FROM halls")]

    assert database.look(look) == [1, 1]
    assert database.rows("SELECT COUNT(*) FROM halls") == [(2,)]


def steps_taken(writer: Writer, database: Any, requests: list[Request]) -> list[type]:
    """The kinds of the steps that a batch takes."""
    steps = writer.carry_out(requests, now=NOON)
    kinds: list[type] = []
    reply: Any = None
    while True:
        try:
            step = steps.send(reply)
        except StopIteration:
            return kinds
        kinds.append(type(step))
        reply, _ = take_step(step, database)


def test_events_behind_one_that_misses_learn_what_they_need_in_the_same_look(database: Any) -> None:
    heard = [
        Request(SeatTaken(hall_id=f"h{i}"), source="halls", number=i + 1, after=i) for i in range(50)
    ]  # each writes on a page of its own, of which memory knows nothing

    kinds = steps_taken(open_writer(database), database, heard)

    assert kinds == [Fetch, Fetch, Commit]  # the position, then all pages at once
    assert database.rows("SELECT COUNT(*), SUM(notes) FROM pages") == [(50, 50)]


def test_what_commands_ask_for_is_brought_before_they_are_decided_and_so_they_are_decided_once(database: Any) -> None:
    carry_out(open_writer(database), database, [Build(id="h", seats=2)])
    decided: list[str] = []

    def take(unit: Any, command: Take, *, now: datetime) -> Any:
        decided.append(command.ticket_id)
        return SCHEMA.decides[Take](unit, command, now=now)

    asking = replace(SCHEMA, decides={**SCHEMA.decides, Take: take}, asks={Take: lambda command: [(Hall, "h")]})
    taken = [Request(Take(ticket_id=id, hall_id="h")) for id in ("t1", "t2")]

    kinds = steps_taken(open_writer(database, schema=asking), database, taken)

    assert (kinds, decided) == ([Fetch, Commit], ["t1", "t2"])
    assert database.rows("SELECT id, taken FROM halls") == [("h", 2)]


def test_what_a_command_foresees_is_at_hand_for_the_next(database: Any) -> None:
    carry_out(open_writer(database), database, [Build(id="h", seats=2), Build(id="other", seats=2)])
    schema = replace(SCHEMA, foresees={Build: lambda command: [(Hall, "h"), (Hall, "other")]})
    writer = open_writer(database, schema=schema)

    first = steps_taken(writer, database, [Request(Build(id="new", seats=1))])
    second = steps_taken(writer, database, [Request(Take(ticket_id="t", hall_id="h"))])
    third = steps_taken(writer, database, [Request(Build(id="newer", seats=1))])

    assert (first, second, third) == ([Fetch, Commit], [Commit], [Commit])
    assert database.rows("SELECT id, taken FROM halls WHERE taken > 0") == [("h", 1)]
