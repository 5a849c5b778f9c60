"""A time limit for deciding (issue 2, section 2)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from tuanzi.machinery.stopwatch import RINGS_IN_LIMIT, OutOfTime, Stopwatch

LIMIT_S = 0.2


@pytest.fixture
def watch() -> Iterator[Stopwatch]:
    """Armed."""
    made = Stopwatch(LIMIT_S)
    made.arm()
    yield made
    made.disarm()


def never_end() -> None:
    """Run on and on."""
    while True:
        pass


def test_a_command_is_ended_after_its_limit_and_not_before(watch: Stopwatch) -> None:
    began_s = time.monotonic()
    watch.start()

    with pytest.raises(OutOfTime):
        never_end()

    assert time.monotonic() - began_s >= LIMIT_S


def test_commands_within_the_limit_are_not_ended_however_many_they_are(watch: Stopwatch) -> None:
    began_s = time.monotonic()
    commands = 0

    while time.monotonic() - began_s < 2 * LIMIT_S:
        watch.start()
        commands += 1
        watch.stop()

    assert commands > RINGS_IN_LIMIT


def test_a_command_is_not_ended_for_what_others_use_of_the_processor(watch: Stopwatch) -> None:
    until_s = time.process_time() + 3 * LIMIT_S

    def compute() -> None:
        while time.process_time() < until_s:
            pass

    other = threading.Thread(target=compute)
    watch.start()

    other.start()
    while other.is_alive():  # signals come meanwhile, twelve of them, and find it running
        time.sleep(LIMIT_S / RINGS_IN_LIMIT)

    watch.stop()


class Counted(Stopwatch):
    """Counts its signals."""

    rings = 0

    def _ring(self, signal_number: int, frame: FrameType | None) -> None:
        self.rings += 1
        super()._ring(signal_number, frame)


def test_a_process_with_nothing_to_do_is_not_woken() -> None:
    watch = Counted(LIMIT_S)
    watch.arm()
    try:
        time.sleep(2 * LIMIT_S)
        asleep = watch.rings
        until_s = time.process_time() + 60 * LIMIT_S  # a machine that stood still meanwhile rings once for all of it
        while watch.rings < RINGS_IN_LIMIT and time.process_time() < until_s:
            pass
    finally:
        watch.disarm()

    assert asleep <= 1  # what was used before it was armed counts too
    assert watch.rings >= RINGS_IN_LIMIT
