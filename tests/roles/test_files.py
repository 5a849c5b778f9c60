"""A process may open as many connections as a gateway has places for, as far as its machine lets it (A5)."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from tuanzi.machinery.push.limits import PushLimits
from tuanzi.roles.files import FILES_OPEN, allow_files

LIMIT = resource.RLIMIT_NOFILE


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What this process is allowed, again after the test."""
    before = resource.getrlimit(LIMIT)
    yield
    resource.setrlimit(LIMIT, before)


def test_what_a_shell_allows_is_raised_to_what_is_wanted_and_no_further_than_may_be() -> None:
    _, hard = resource.getrlimit(LIMIT)
    resource.setrlimit(LIMIT, (1_000, hard))

    assert allow_files(1_500) == 1_500
    assert resource.getrlimit(LIMIT) == (1_500, hard)
    assert allow_files(1_200) == 1_200
    assert resource.getrlimit(LIMIT) == (1_500, hard)
    if hard != resource.RLIM_INFINITY:
        assert allow_files(hard + 1) == hard


def test_a_gateways_places_and_its_doorway_fit_twice() -> None:
    limits = PushLimits()

    assert 2 * (limits.connections_max + limits.arriving_max) <= FILES_OPEN
