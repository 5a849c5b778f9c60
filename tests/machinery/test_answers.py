"""D3: a reply comes back to whoever called, whatever its line is doing just then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tuanzi.engines.logs.here import HereCommandLog
from tuanzi.machinery import answers
from tuanzi.machinery.afar import Sender
from tuanzi.machinery.answers import AnswerHall, AnswerLines
from tuanzi.machinery.calls import Reply
from tuanzi.machinery.problems import Unavailable

SECRET = b"s" * 32


async def test_a_reply_is_not_lost_to_a_line_that_is_just_being_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers._Line, "IDLE_S", 0.0)  # given up as soon as nothing waits
    hall, lines = AnswerHall(SECRET), AnswerLines(SECRET)
    await hall.open()
    try:
        for turns in range(60):  # at each turn of the loop of a line's end
            number, heard = hall.expect()
            lines.send(hall.address, Reply(number))
            async with asyncio.timeout(60):
                await heard
            for _ in range(turns % 20):
                await asyncio.sleep(0)
    finally:
        await lines.close()
        await hall.close()


class Broken(HereCommandLog):
    """A command log whose client fails by what no port foresees."""

    async def append(self, campus: str, bodies: Sequence[bytes]) -> None:
        raise OSError(24, "Too many open files")


async def test_nobody_waits_for_the_answer_to_what_could_not_be_said_whatever_was_the_reason() -> None:
    hall = AnswerHall(SECRET)
    sender = Sender("beijing", Broken(campuses=["beijing"]), hall, waiting_max=10)

    asking = [asyncio.create_task(sender.ask("core", "toy.Take", b"{}")) for _ in range(3)]
    done, waiting = await asyncio.wait(asking, timeout=5)

    assert not waiting
    assert {type(each.exception()) for each in done} == {Unavailable}
    assert len(hall) == 0
