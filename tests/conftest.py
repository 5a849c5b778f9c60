"""What holds for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.databases import Site, servers

# `make test` tries the same cases every time, so that a red run is the change's fault; `make soak` looks for new ones.
# How long it takes to make a case says how busy the machine is and nothing about Tuanzi.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """A MariaDB server for everybody; who hurts one starts another."""
    with servers(is_durable=False) as made:
        yield Site(made, made.start_primary())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes test, a file goes to one of them, but for `spread` tests, which go one by one.

    Those begin, for they are long; the short files fill what is left at the end. Files of one need's engines stay
    together, for they share a server.
    """
    items.sort(key=lambda item: item.get_closest_marker("spread") is None)
    for item in items:
        if item.get_closest_marker("spread") is None:
            file = item.nodeid.partition("::")[0]
            shares = file.startswith("tests/engines/")
            item.add_marker(pytest.mark.xdist_group(file.rpartition("/")[0] if shares else file))
