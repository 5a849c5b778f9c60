"""D2: work that may wait takes a quarter of the time of those who decide beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from simulation.virtual import Clock, VirtualLoop
from tuanzi.machinery.desk import WriterDesk
from tuanzi.machinery.pace import Unhurried


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


@pytest.fixture
def loop() -> VirtualLoop:
    """One in which a look takes 50 ms."""
    return VirtualLoop(Clock(), latency=lambda: 0.05)


def test_three_times_as_long_as_a_look_took_is_left_to_others(loop: VirtualLoop) -> None:
    books = Unhurried(cast(WriterDesk, Desk(loop)))

    made = outcome(loop, books.look(lambda _: "rows"))

    assert made == "rows"
    assert loop.time() == pytest.approx(0.2)


def test_a_command_waits_for_nothing(loop: VirtualLoop) -> None:
    books = Unhurried(cast(WriterDesk, Desk(loop)))

    made = outcome(loop, books.submit("command", who="w", is_accepted=True))

    assert (made, loop.time()) == (("command", "w", None, True), 0.0)
