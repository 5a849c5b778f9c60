"""The promises of the command log, on every engine (architecture 4, E1, D1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.engines.logs.owner import CAMPUSES, Diary
from tests.undisturbed import Undisturbed
from tuanzi.engines.logs.kafka import KafkaCommandLog
from tuanzi.machinery.commandlog import CommandLog, Entry, Owner
from tuanzi.machinery.http.endpoint import BODY_BYTES_MAX

BEIJING, XIAN = CAMPUSES
# The soonest that Kafka takes a silent reader for dead: 2 s after his last heartbeat; one is sent every 0.3 s.
# Who says good-bye is not waited for so long.
DEAD_S_MIN = 1.7


@asynccontextmanager
async def reading(log: CommandLog, owner: Owner) -> AsyncIterator[None]:
    """Read until the block ends."""
    task = asyncio.create_task(log.read(owner))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled(), task.exception()


def bodies(first: int, last: int) -> list[bytes]:
    return [str(i).encode() for i in range(first, last + 1)]


async def test_commands_of_a_campus_come_in_the_order_in_which_they_were_appended(commands: CommandLog) -> None:
    owner = Diary()
    await commands.append(BEIJING, bodies(1, 3))

    async with reading(commands, owner):
        for i in range(4, 20):
            await commands.append(BEIJING, bodies(i, i))
        await commands.append(BEIJING, bodies(20, 1000))
        await owner.until(lambda: len(owner.bodies(BEIJING)) == 1000)

    assert owner.bodies(BEIJING) == bodies(1, 1000)
    numbers = [entry.number for entry in owner.kept[BEIJING]]
    assert numbers == sorted(set(numbers))
    assert numbers[0] > 0


async def test_a_command_that_brings_a_long_file_is_taken_and_those_beside_it(commands: CommandLog) -> None:
    owner = Diary()
    long = b"\xe5\x9b\xa2" * (2 * BODY_BYTES_MAX // 3)  # each byte of it may need two in JSON

    async with reading(commands, owner):
        await commands.append(BEIJING, [*bodies(1, 1), long, *bodies(2, 2)])
        await owner.until(lambda: len(owner.bodies(BEIJING)) == 3)

    assert owner.bodies(BEIJING) == [b"1", long, b"2"]


async def test_campuses_do_not_mix(commands: CommandLog) -> None:
    owner = Diary()

    async with reading(commands, owner):
        await asyncio.gather(commands.append(BEIJING, bodies(1, 50)), commands.append(XIAN, bodies(51, 100)))
        await owner.until(lambda: len(owner.bodies(BEIJING)) == len(owner.bodies(XIAN)) == 50)

    assert owner.bodies(BEIJING) == bodies(1, 50)
    assert owner.bodies(XIAN) == bodies(51, 100)


async def test_a_new_reader_goes_on_after_the_number_that_its_owner_kept(commands: CommandLog) -> None:
    first = Diary()
    async with reading(commands, first):
        await commands.append(BEIJING, bodies(1, 10))
        await first.until(lambda: len(first.bodies(BEIJING)) == 10)
    second = Diary({BEIJING: first.kept[BEIJING][:4]})

    async with reading(commands, second):
        await commands.append(BEIJING, bodies(11, 12))
        await second.until(lambda: len(second.bodies(BEIJING)) == 12)

    assert second.bodies(BEIJING) == bodies(1, 12)


async def test_an_owner_begins_before_he_takes_and_ends_last(commands: CommandLog) -> None:
    owner = Diary()

    async with reading(commands, owner):
        await commands.append(BEIJING, bodies(1, 1))
        await owner.until(lambda: bool(owner.bodies(BEIJING)) and owner.held == set(CAMPUSES))

    assert [call for call, campus in owner.calls if campus == BEIJING] == ["begin", "take", "end"]
    assert [call for call, campus in owner.calls if campus == XIAN] == ["begin", "end"]
    assert owner.held == set()


async def test_an_owner_who_fails_begins_anew_and_misses_nothing(commands: CommandLog) -> None:
    owner = Diary()
    owner.fails = 1

    async with reading(commands, owner):
        await commands.append(BEIJING, bodies(1, 5))
        await owner.until(lambda: len(owner.bodies(BEIJING)) == 5)

    assert owner.bodies(BEIJING) == bodies(1, 5)
    assert [call for call, campus in owner.calls if campus == BEIJING][:3] == ["begin", "end", "begin"]


async def test_whoever_does_not_return_from_take_gets_no_more(commands: CommandLog) -> None:
    owner = Diary()
    owner.may_take.clear()

    async with reading(commands, owner):
        for first in range(1, 30_001, 5_000):
            await commands.append(BEIJING, bodies(first, first + 4_999))
        await commands.append(XIAN, bodies(1, 1))
        offered = owner.offered
        owner.may_take.set()
        await owner.until(lambda: len(owner.bodies(BEIJING)) == 30_000)

    assert offered <= 2 * 1_000
    assert owner.bodies(BEIJING) == bodies(1, 30_000)


async def test_two_readers_share_the_campuses_and_the_one_that_stays_gets_all(
    commands: CommandLog, request: pytest.FixtureRequest
) -> None:
    kept: dict[str, list[Entry]] = {}
    stays, goes = Diary(kept), Diary(kept)

    async with reading(commands, stays):
        await stays.until(lambda: stays.held == set(CAMPUSES))
        async with reading(commands, goes):
            await goes.until(lambda: len(goes.held) == 1)
            assert len(stays.held) == 1
            assert stays.held | goes.held == set(CAMPUSES)
            for campus in CAMPUSES:
                await commands.append(campus, bodies(1, 10))
            await goes.until(lambda: len(goes.bodies(next(iter(goes.held)))) == 10)
        pids = [request.getfixturevalue("broker").pid] if isinstance(commands, KafkaCommandLog) else []
        clock = Undisturbed(*pids, of_all_threads=True)
        began = clock()
        await stays.until(lambda: stays.held == set(CAMPUSES))
        took_s = clock() - began
        for campus in CAMPUSES:
            await commands.append(campus, bodies(11, 20))
        await stays.until(lambda: all(len(stays.bodies(campus)) == 20 for campus in CAMPUSES))

    assert took_s < DEAD_S_MIN
    assert all(stays.bodies(campus) == bodies(1, 20) for campus in CAMPUSES)
