"""A2: what many ask a database for at the same time is one question to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import copy_context

import pytest

from tuanzi.machinery.afar import came_at
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.together import Together


class Shelf:
    """Has values, and notes what it is asked for and by when whoever asks came."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.came: list[float | None] = []
        self.is_away = False

    async def read(self, keys: Sequence[str]) -> dict[str, str]:
        self.asked.append(list(keys))
        self.came.append(came_at.get())
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable(retry_after_s=2)
        return {key: key.upper() for key in keys if key != "none"}


async def test_those_who_ask_in_one_turn_of_the_loop_cost_one_read() -> None:
    shelf = Shelf()
    reads = Together(shelf.read, at_once=3)

    got = await asyncio.gather(*(reads.load(key) for key in ("a", "b", "a", "none", "c")))

    assert got == ["A", "B", "A", None, "C"]
    assert shelf.asked == [["a", "b", "none"], ["c"]]
    assert await reads.load("a") == "A"  # nothing is kept
    assert shelf.asked[2:] == [["a"]]


async def test_a_failed_read_fails_all_who_wait_for_it_and_none_after() -> None:
    shelf = Shelf()
    reads = Together(shelf.read, at_once=3)
    shelf.is_away = True

    got = await asyncio.gather(*(reads.load(key) for key in "ab"), return_exceptions=True)

    assert [type(each) for each in got] == [Unavailable, Unavailable]
    shelf.is_away = False
    assert await reads.load("a") == "A"


async def test_whoever_gives_up_takes_nothing_from_the_others() -> None:
    shelf = Shelf()
    reads = Together(shelf.read, at_once=3)
    first, second = asyncio.create_task(reads.load("a")), asyncio.create_task(reads.load("a"))
    await asyncio.sleep(0)

    first.cancel()

    assert await second == "A"
    with pytest.raises(asyncio.CancelledError):
        await first


@pytest.mark.parametrize(("came", "shown"), [((5.0, 7.0, 6.0), 7.0), ((5.0, None, 6.0), None), ((0.0, 0.5), 0.5)])
async def test_all_are_shown_what_the_one_must_see_who_came_last(
    came: tuple[float | None, ...], shown: float | None
) -> None:
    """None is somebody who came by no request, and sees what is there now; the clock may have begun just now."""
    shelf = Shelf()
    reads = Together(shelf.read, at_once=9)

    def ask(at: float | None) -> asyncio.Task[str | None]:
        came_at.set(at)
        return asyncio.create_task(reads.load(str(at)))

    await asyncio.gather(*[copy_context().run(ask, at) for at in came])

    assert (len(shelf.asked), shelf.came) == (1, [shown])
