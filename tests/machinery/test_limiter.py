"""J3, J5: rate limits let a burst through, then a steady rate, for each key alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuanzi.machinery.limiter import Limiter

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_a_burst_goes_through_and_the_next_is_told_how_long_to_wait() -> None:
    limiter = Limiter(0.5, 3)

    waits = [limiter.take("ip", NOON) for _ in range(4)]

    assert waits[:3] == [0.0, 0.0, 0.0]
    assert waits[3] == pytest.approx(2.0, abs=1e-5)


def test_who_waits_as_told_gets_through_once() -> None:
    limiter = Limiter(0.5, 3)
    for _ in range(3):
        limiter.take("ip", NOON)

    assert limiter.take("ip", later(1.999)) > 0
    assert limiter.take("ip", later(2)) == 0.0
    assert limiter.take("ip", later(2)) > 0


def test_being_refused_takes_nothing() -> None:
    limiter = Limiter(1, 1)
    limiter.take("ip", NOON)

    for _ in range(100):
        limiter.take("ip", later(0.5))

    assert limiter.take("ip", later(1)) == 0.0


def test_keys_do_not_share_a_bucket() -> None:
    limiter = Limiter(1, 1)
    limiter.take("a", NOON)

    assert limiter.take("b", NOON) == 0.0
    assert limiter.take("a", NOON) > 0


def test_a_full_bucket_does_not_grow() -> None:
    limiter = Limiter(1, 2)
    limiter.take("ip", NOON)

    waits = [limiter.take("ip", later(3600)) for _ in range(3)]

    assert [wait > 0 for wait in waits] == [False, False, True]


def test_a_clock_set_back_makes_nobody_wait_longer_than_an_empty_bucket() -> None:
    limiter = Limiter(1, 5)
    limiter.take("ip", later(3600))

    assert limiter.take("ip", NOON) == pytest.approx(1.0, abs=1e-5)
    assert limiter.take("ip", later(1)) == 0.0


def test_it_holds_no_more_keys_than_it_may_and_remembers_who_keeps_asking() -> None:
    limiter = Limiter(0.001, 1, keys_max=100)
    limiter.take("greedy", NOON)

    for i in range(10_000):
        limiter.take(f"ip{i}", NOON)
        assert len(limiter) <= 100
        assert limiter.take("greedy", NOON) > 0


@pytest.mark.parametrize(("rate", "burst", "keys_max"), [(0, 1, 10), (-1, 1, 10), (1, 0, 10), (1, 1, 1)])
def test_a_limit_that_lets_nobody_through_is_refused(rate: float, burst: int, keys_max: int) -> None:
    with pytest.raises(ValueError, match="nobody gets through"):
        Limiter(rate, burst, keys_max=keys_max)


@given(
    st.floats(0.01, 100), st.integers(1, 20), st.lists(st.floats(0, 10), min_size=1, max_size=200)
)  # fmt: skip
def test_never_more_than_the_burst_and_the_rate_get_through(rate: float, burst: int, pauses: list[float]) -> None:
    limiter = Limiter(rate, burst)
    at_s = 0.0
    passed: list[float] = []

    for pause in pauses:
        at_s += pause
        if limiter.take("ip", later(at_s)) == 0.0:
            passed.append(at_s)

    for i, since in enumerate(passed):
        for n, until in enumerate(passed[i:], start=1):
            assert n <= burst + (until - since) * rate + 0.01
