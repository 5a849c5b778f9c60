"""What a gateway holds of a stream is what was kept, under its own numbers, whenever it began to listen (A4)."""

from __future__ import annotations

from random import Random

import pytest

from tuanzi.machinery.push.ports import Kept, StreamState
from tuanzi.machinery.push.streams import Stream


def kept(number: int) -> Kept:
    """A message that says which one it is."""
    return Kept("s", number, b"%d" % number)


def test_what_is_kept_behind_what_came_while_a_stream_was_opened_is_not_held() -> None:
    stream = Stream("s")
    stream.append(kept(5))

    stream.open(StreamState(newest=7))

    assert [number for number in range(10) if stream.holds(number)] == []
    assert [stream.append(kept(number)) for number in (6, 7, 8)] == [False, False, True]
    assert [number for number in range(10) if stream.holds(number)] == [8]
    assert list(stream.after(7, 10)) == [(8, b"8")]


def test_what_came_while_a_stream_was_opened_is_held_when_nothing_follows_it() -> None:
    stream = Stream("s")
    stream.append(kept(5))
    stream.append(kept(6))

    stream.open(StreamState(newest=5, floor=2, sent=4, acked=3))

    assert list(stream.after(4, 10)) == [(5, b"5"), (6, b"6")]
    assert (stream.newest, stream.floor, stream.sent, stream.acked) == (6, 2, 4, 3)


@pytest.mark.parametrize("seed", range(200))
def test_whatever_comes_in_between_each_number_stands_for_its_own_message(seed: int) -> None:
    chance = Random(seed)
    stream, written, told = Stream("s"), chance.randrange(5), 0
    opens_at = chance.randrange(20)
    for step in range(60):
        written += chance.randrange(3)
        told = max(told, written - 3)
        if step == opens_at:
            stream.open(StreamState(newest=written))
        while told < written and chance.random() < 0.7:
            told += 1
            stream.append(kept(told))
        if stream.is_open and chance.random() < 0.1:
            stream.reach(written)
        if chance.random() < 0.2:
            stream.forget_first(stream.first)
        for number in range(written + 2):
            if stream.holds(number):
                assert next(stream.after(number - 1, 1)) == (number, b"%d" % number)
