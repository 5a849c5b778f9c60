"""A time limit for deciding (issue 2, section 2)."""

from __future__ import annotations

import time
from collections.abc import Iterator

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


def test_a_command_is_not_ended_for_a_time_in_which_the_process_was_not_let_run(watch: Stopwatch) -> None:
    watch.start()

    time.sleep(3 * LIMIT_S)  # signals come meanwhile, twelve of them, and find it running

    watch.stop()
