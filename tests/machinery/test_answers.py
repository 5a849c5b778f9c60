"""D3: a reply comes back to whoever called, whatever its line is doing just then."""

from __future__ import annotations

import asyncio

import pytest

from tuanzi.machinery import answers
from tuanzi.machinery.answers import AnswerHall, AnswerLines
from tuanzi.machinery.calls import Reply

SECRET = b"s" * 32


async def test_a_reply_is_not_lost_to_a_line_that_is_just_being_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers._Line, "IDLE_S", 0.0)  # given up as soon as nothing waits
    hall, lines = AnswerHall(SECRET), AnswerLines(SECRET)
    await hall.open()
    try:
        for turns in range(60):  # at each turn of the loop of a line's end
            number, heard = hall.expect()
            lines.send(hall.address, Reply(number))
            async with asyncio.timeout(5):
                await heard
            for _ in range(turns % 20):
                await asyncio.sleep(0)
    finally:
        await lines.close()
        await hall.close()
