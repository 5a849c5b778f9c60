"""A seeded folder, made once and copied for every test."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.city import City, seed

STUDENTS = 640


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> City:
    """The folder the others are copied from."""
    return asyncio.run(seed(tmp_path_factory.mktemp("city") / "data", students=STUDENTS))


@pytest.fixture
def city(seeded: City, tmp_path: Path) -> City:
    """A folder of its own."""
    data = tmp_path / "data"
    shutil.copytree(seeded.data, data)
    return replace(seeded, data=data)
