"""A desk's time beside the machine's, which somebody sets (B1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuanzi.machinery.desk.clock import SteadyClock

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)


class Hands:
    """The machine's clock."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@given(st.lists(st.integers(-100_000, 100_000), max_size=40))
def test_it_never_goes_back_never_stands_still_and_never_is_behind(steps_s: list[int]) -> None:
    machine = Hands()
    clock = SteadyClock(machine, name="toy")
    last = clock.now()

    for step_s in steps_s:
        machine.now += timedelta(seconds=step_s)
        now = clock.now()
        assert now >= machine.now
        assert now > last if step_s > 0 else now == last
        last = now

    machine.now += 2 * timedelta(seconds=clock.ahead_s)
    assert clock.now() == machine.now
    assert clock.ahead_s == 0


def test_what_was_ahead_is_right_again_after_twice_as_long_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tuanzi.desk")
    machine = Hands()
    clock = SteadyClock(machine, name="toy")

    machine.now -= timedelta(hours=1)
    said = []
    for _ in range(120):
        clock.now()
        said.append(clock.ahead_s)
        machine.now += timedelta(minutes=1)

    # The machine's clock has caught up when it shows what this one showed last.
    assert said == [3600.0 - 30 * i for i in range(119)] + [0.0]
    assert [(record.message, record.levelname) for record in caplog.records] == [
        ("desk.clock_ahead", "ERROR"),
        ("desk.clock_right", "INFO"),
    ]


def test_a_second_that_ntp_takes_back_is_not_worth_a_word(caplog: pytest.LogCaptureFixture) -> None:
    machine = Hands()
    clock = SteadyClock(machine, name="toy")

    machine.now -= timedelta(seconds=9)
    clock.now()

    assert clock.ahead_s == 9
    assert not caplog.records
