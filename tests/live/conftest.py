"""The people of a street whose gateway takes WebSockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.conftest import Cast
from tests.live.street import street


@pytest.fixture
async def cast(tmp_path: Path) -> AsyncIterator[Cast]:
    """Everybody, signed in, with a gateway."""
    async with street(tmp_path) as cast:
        yield cast
