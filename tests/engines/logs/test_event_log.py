"""The promises of the event log, on every engine (architecture 4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from tests.engines.logs.conftest import SOURCES
from tuanzi.machinery.eventlog import EventLog
from tuanzi.machinery.tables import Row

BEIJING, XIAN = SOURCES
Heard = AsyncGenerator[tuple[str, list[Row]], None]


def rows(first: int, last: int) -> list[Row]:
    return [(i, "toy.happened", 1, 1_700_000_000_000 + i, f'{{"id":"团子{i}"}}') for i in range(first, last + 1)]


async def hear(heard: Heard, source: str, last: int) -> list[Row]:
    """All of one source up to a number. Raises TimeoutError."""
    got: list[Row] = []
    async with asyncio.timeout(60.0):
        while not got or got[-1][0] < last:
            of, some = await anext(heard)
            if of == source:
                got += some
    return got


async def listening(events: EventLog, sources: tuple[str, ...] = SOURCES) -> Heard:
    """What is heard from now on."""
    heard = events.listen(sources)
    first = [await anext(heard) for _ in sources]
    assert sorted(first) == sorted((source, []) for source in sources)
    return heard


async def test_a_listener_hears_what_is_published_from_now_on_as_it_was_committed(events: EventLog) -> None:
    await events.publish(BEIJING, rows(1, 5))
    heard = await listening(events)

    async with aclosing(heard):
        await events.publish(BEIJING, rows(6, 6))
        await events.publish(BEIJING, rows(7, 2000))
        got = await hear(heard, BEIJING, 2000)

    assert got == rows(6, 2000)


async def test_each_listener_hears_everything_of_its_sources_and_nothing_else(events: EventLog) -> None:
    both, one = await listening(events), await listening(events, (XIAN,))

    async with aclosing(both), aclosing(one):
        await events.publish(BEIJING, rows(1, 3))
        await events.publish(XIAN, rows(1, 2))
        assert await hear(one, XIAN, 2) == rows(1, 2)
        of_both = [await anext(both), await anext(both)]

    assert sorted(of_both) == [(BEIJING, rows(1, 3)), (XIAN, rows(1, 2))]


async def test_a_repeat_is_not_heard_twice(events: EventLog) -> None:
    heard = await listening(events)

    async with aclosing(heard):
        await events.publish(BEIJING, rows(1, 3))
        await events.publish(BEIJING, rows(2, 4))
        got = await hear(heard, BEIJING, 4)

    assert got == rows(1, 4)


async def test_the_log_knows_the_newest_number(events: EventLog) -> None:
    assert await events.newest(BEIJING) == 0

    await events.publish(BEIJING, rows(1, 7))

    assert await events.newest(BEIJING) == 7
    assert await events.newest(XIAN) == 0


async def test_events_that_do_not_fit_into_one_record_are_heard_in_order(events: EventLog) -> None:
    large = [(number, name, version, at_ms, "团" * 100_000) for number, name, version, at_ms, _ in rows(1, 9)]
    heard = await listening(events)

    async with aclosing(heard):
        await events.publish(BEIJING, large)
        got = await hear(heard, BEIJING, 9)

    assert got == large
