"""D2: work that may wait takes an eighth of the time of those who decide beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from simulation.virtual import Clock, VirtualLoop
from tuanzi.machinery.desk import WriterDesk
from tuanzi.machinery.unhurried import Unhurried


class Desk:
    """A desk whose looks take as long as its loop says."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    async def look(self, reading: Callable[[Any], Any]) -> Any:
        """What `reading` makes of nothing."""
        return await self._loop.run_in_executor(None, reading, None)

    async def submit(self, command: Any, *, who: str = "", key: None = None, is_accepted: bool = False) -> Any:
        """The command and how it was given."""
        return command, who, key, is_accepted


def outcome(loop: VirtualLoop, coroutine: Any) -> Any:
    """What comes of it, as soon as it is over."""
    task = loop.create_task(coroutine)
    loop.step()
    while not task.done():
        assert loop.next_at is not None
        loop._virtual.seconds = loop.next_at
        loop.wake()
        loop.step()
    return task.result()


@pytest.mark.parametrize(("look_s", "until_s"), [(0.05, 0.4), (0.07, 0.56), (4.0, 4.5)])
def test_seven_times_as_long_as_a_look_took_is_left_to_others_and_half_a_second_at_most(
    look_s: float, until_s: float
) -> None:
    loop = VirtualLoop(Clock(), latency=lambda: look_s)
    books = Unhurried(cast(WriterDesk, Desk(loop)))

    made = outcome(loop, books.look(lambda _: "rows"))

    assert made == "rows"
    assert loop.time() == pytest.approx(until_s)


def test_a_command_waits_for_nothing() -> None:
    loop = VirtualLoop(Clock(), latency=lambda: 0.05)
    books = Unhurried(cast(WriterDesk, Desk(loop)))

    made = outcome(loop, books.submit("command", who="w", is_accepted=True))

    assert made == ("command", "w", None, True)
    assert loop.time() == 0.0
