"""Those who serve and those who decide, apart: they meet by logs and lines, as processes of an installation do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.conftest import Cast, Town


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Town, "is_apart", True)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """A house at lunch time, in two parts."""
    async with Town(tmp_path) as town:
        yield town


@pytest.fixture
async def cast(town: Town) -> Cast:
    """Everybody, signed in."""
    return await Cast(town).gather()
