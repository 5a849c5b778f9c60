"""The event log stays bounded: what is old and was heard by all goes, from its beginning on (B1, J5)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tests.machinery.test_desk import Hands, desk_of, following, working
from tests.machinery.toy import Build, Take, carry_out, open_database, open_writer, prepared
from tests.waiting import until
from tuanzi.base.time import to_ms
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.database import DatabaseUnavailable, Flush
from tuanzi.machinery.desk.sweeping import ANSWERS_KEPT_FOR, EVENTS_KEPT_FOR, SWEPT_AT_ONCE, OldEvents
from tuanzi.machinery.problems import Unavailable

DAY = timedelta(days=1)


def happened(path: Path | None = None, *, names: tuple[str, ...] = ("a",) * 6) -> tuple[Sqlite, Hands]:
    """A log of the halls: an event for each name, a day after the other; the clock shows the last one's day."""
    database, clock = open_database(path), Hands()
    writer = open_writer(database)
    for hall in set(names):
        carry_out(writer, database, [Build(id=hall, seats=9_999)], now=clock.now)
    for i, hall in enumerate(names):
        clock.now += DAY * bool(i)
        carry_out(writer, database, [Take(ticket_id=f"t{i}", hall_id=hall)], now=clock.now)
    return database, clock


def numbers(database: Sqlite) -> list[int]:
    """Of the events that are kept."""
    return [number for (number,) in database.rows("SELECT number FROM events ORDER BY number")]


async def test_what_is_old_is_forgotten_and_what_is_not_stays() -> None:
    database, clock = happened()
    clock.now += EVENTS_KEPT_FOR - 3 * DAY

    async with working(desk_of(database, clock)):
        await until(lambda: len(numbers(database)) < 6)

    assert numbers(database) == [3, 4, 5, 6]


async def test_the_newest_event_stays_however_old_and_the_log_goes_on_behind_it() -> None:
    database, clock = happened()
    clock.now += 2 * EVENTS_KEPT_FOR

    desk = desk_of(database, clock)
    async with working(desk):
        await until(lambda: len(numbers(database)) == 1)
        await desk.submit(Take(ticket_id="new", hall_id="a"))

    assert numbers(database) == [6, 7]


async def test_what_another_database_has_not_heard_stays_and_is_heard() -> None:
    database, clock = happened()
    diary_database = open_database()
    carry_out(open_writer(diary_database), diary_database, [Build(id="x", seats=1)])
    diary_database.execute_script("INSERT INTO follower_positions VALUES ('halls', 2);")
    clock.now += 2 * EVENTS_KEPT_FOR
    halls, diary = desk_of(database, clock), desk_of(diary_database, clock)
    following(halls, diary)

    async with working(halls):  # the diary is away, and nobody knows what it has heard
        with pytest.raises(Unavailable):
            await halls.old_events.find(halls.rows, now=clock.now)
    before = numbers(database)
    halls, diary = desk_of(database, clock), desk_of(diary_database, clock)
    following(halls, diary)
    async with working(halls, diary):
        await asyncio.wait_for(diary.followed("halls", 6), 60)
        await until(lambda: diary_database.rows("SELECT notes FROM pages") == [(4,)])

    assert before == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("parked", [2, 5])
async def test_what_was_laid_aside_stays_until_it_is_heard(parked: int) -> None:
    database, clock = happened(names=tuple("unspeakable" if i == parked else "a" for i in range(1, 7)))
    diary_database = open_database()
    halls, diary = desk_of(database, clock), desk_of(diary_database, clock)
    following(halls, diary)

    async with working(halls, diary):
        await asyncio.wait_for(diary.followed("halls", 6), 60)
        clock.now += 2 * EVENTS_KEPT_FOR  # only now: the halls' own sweeper found nothing old, and looks in an hour
        old = await halls.old_events.find(halls.rows, now=clock.now)

    assert old == list(range(1, parked))


async def test_a_few_go_at_once_and_from_the_beginning_of_the_log_on() -> None:
    database, clock = happened(names=("a",) * 300)
    clock.now += 2 * EVENTS_KEPT_FOR
    events = OldEvents()

    async def heard() -> int:
        return 250

    async def rows(sql: str, slots: dict[str, int]) -> list[tuple[int, ...]]:
        return database.rows(sql, slots)

    all_of_them = await events.find(rows, now=clock.now)
    events.keep_for(heard)
    database.execute_script("DELETE FROM events WHERE number <= 200;")
    heard_ones = await events.find(rows, now=clock.now)

    assert all_of_them == list(range(1, 201))
    assert heard_ones == list(range(201, 251))


class FullDisk(Sqlite):
    """A database that can be read; it keeps nothing once it is full."""

    is_full = False
    refused = 0

    def commit(self, flush: Flush) -> None:
        if self.is_full:
            self.refused += 1
            raise DatabaseUnavailable("database or disk is full")
        super().commit(flush)


async def test_old_answers_that_a_full_disk_does_not_let_go_are_not_tried_again_at_once() -> None:
    database, clock = prepared(FullDisk(None)), Hands()
    carry_out(open_writer(database), database, [Build(id="h", seats=9)])
    kept_at_ms = to_ms(clock.now - ANSWERS_KEPT_FOR) - 1
    answers = ", ".join(f"('p', 'k{i}', 'toy.Take', 'f', 'null', {kept_at_ms})" for i in range(2 * SWEPT_AT_ONCE))
    database.execute_script(f"INSERT INTO kept_answers VALUES {answers};")
    database.is_full = True

    async with working(desk_of(database, clock)):
        await until(lambda: database.refused)
        await asyncio.sleep(0.3)

    assert database.refused == 1
