"""What holds for every simulated run: the rooms tell of each planned fault, and nobody wants to read that."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _without_logs() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def _with_few_collections() -> Iterator[None]:
    """A world is thrown away as a whole; Python need not look through it again and again meanwhile."""
    before = gc.get_threshold()
    gc.set_threshold(500_000, 20, 1_000)
    yield
    gc.set_threshold(*before)
