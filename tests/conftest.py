"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings

from servers.maria import Maria
from tests.databases import Site

# `make test` tries the same cases every time, so that a red run is the change's fault; `make soak` looks for new ones.
# How long it takes to make a case says how busy the machine is and nothing about Tuanzi.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """A MariaDB server for everybody; who hurts one starts another.

    In memory where there is such a folder: making a table waits for the disk several times, and a house has a hundred.
    """
    memory = Path("/dev/shm")
    with TemporaryDirectory(prefix="tuanzi-", dir=memory if os.access(memory, os.W_OK) else None) as folder:
        servers = Maria(Path(folder), is_durable=False)
        try:
            yield Site(servers, servers.start_primary())
        finally:
            servers.stop()
