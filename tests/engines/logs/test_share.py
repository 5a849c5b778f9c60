"""A campus in an owner's hands: one call at a time, and nothing of an earlier reading (architecture 4, E1)."""

from __future__ import annotations

import asyncio

from tests.engines.logs.owner import CAMPUSES, Diary
from tests.undisturbed import Undisturbed
from tuanzi.engines.logs.share import END_S_MAX, Share
from tuanzi.machinery.commandlog import After, Entry

BEIJING = CAMPUSES[0]
ONE, TWO = Entry(1, b"one"), Entry(2, b"two")


class Readings:
    """Where shares wanted to be read from."""

    def __init__(self) -> None:
        self._wanted: asyncio.Queue[tuple[int, int]] = asyncio.Queue()

    def __call__(self, share: Share, stamp: int, after: After | None) -> None:
        if after is not None:
            self._wanted.put_nowait((stamp, after.number))

    async def next(self) -> tuple[int, int]:
        async with asyncio.timeout(60.0):
            return await self._wanted.get()


async def test_what_an_earlier_reading_still_brings_is_not_taken() -> None:
    owner, readings = Diary(), Readings()
    owner.fails = 1
    share = Share(BEIJING, owner, read_from=readings)
    earlier, _ = await readings.next()
    share.hand(earlier, [ONE])
    stamp, after = await readings.next()

    share.hand(earlier, [TWO])
    share.hand(stamp, [ONE])
    await owner.until(lambda: bool(owner.kept))
    await share.let_go()

    assert after == 0
    assert owner.kept == {BEIJING: [ONE]}


async def test_a_hand_over_waits_for_the_command_under_way_but_not_for_ever() -> None:
    owner, readings = Diary(), Readings()
    owner.may_take.clear()
    share = Share(BEIJING, owner, read_from=readings)
    stamp, _ = await readings.next()
    share.hand(stamp, [ONE])
    await asyncio.sleep(0)
    clock, loop = Undisturbed(), asyncio.get_running_loop()
    began, undisturbed = loop.time(), clock()

    await share.let_go()

    assert loop.time() - began >= END_S_MAX
    assert clock() - undisturbed < END_S_MAX + 1.0
    assert owner.calls[-1] == ("end", BEIJING)
    assert owner.kept == {}


async def test_a_campus_that_comes_back_begins_after_its_last_end() -> None:
    owner, readings = Diary(), Readings()
    owner.may_take.clear()
    former = Share(BEIJING, owner, read_from=readings)
    stamp, _ = await readings.next()
    former.hand(stamp, [ONE])
    going = asyncio.create_task(former.let_go())
    share = Share(BEIJING, owner, read_from=readings, former=former)
    await asyncio.sleep(0.05)

    owner.may_take.set()
    stamp, after = await readings.next()
    await going
    await share.let_go()

    assert after == 1
    assert [call for call, _ in owner.calls] == ["begin", "take", "end", "begin", "end"]


class Slow(Diary):
    """An owner whose end takes longer than anybody waits for a call."""

    async def end(self, campus: str) -> None:
        await asyncio.sleep(END_S_MAX + 0.5)
        await super().end(campus)


async def test_an_end_under_way_is_not_cancelled() -> None:
    owner, readings = Slow(), Readings()
    share = Share(BEIJING, owner, read_from=readings)
    await readings.next()

    await share.let_go()

    assert owner.calls == [("begin", BEIJING), ("end", BEIJING)]
