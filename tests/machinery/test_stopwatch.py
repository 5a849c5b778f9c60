"""A time limit for deciding (issue 2, section 2)."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tuanzi.machinery.stopwatch import RINGS_IN_LIMIT, OutOfTime, Stopwatch

LIMIT_S = 0.2
# In a process with one thread: where there are more, any of them takes the signals that this one does not want.
HELD_UP = """
import signal
from tuanzi.machinery.stopwatch import Stopwatch

watch = Stopwatch(0.2)
watch.arm()
watch.start()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
signal.sigtimedwait({signal.SIGUSR1}, 0.6)
assert signal.SIGALRM in signal.sigpending()
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
watch.stop()
print("one signal for all the time, and the command goes on")
"""


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


def test_a_command_is_not_ended_for_a_time_in_which_the_process_was_not_let_run() -> None:
    done = subprocess.run([sys.executable, "-c", HELD_UP], capture_output=True, text=True, check=True)

    assert done.stdout == "one signal for all the time, and the command goes on\n"
