"""A2: what is read where nobody decides is at least as new as whoever reads it must see."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from typing import cast as typed

import pytest

from tuanzi.machinery import afar
from tuanzi.machinery.afar import REQUEST_S_MAX, RemoteDesk, came_at
from tuanzi.machinery.tables import Row


class Asked:
    """A database that notes by when what was committed is to be seen."""

    def __init__(self) -> None:
        self.as_of: list[float] = []

    def rows(self, sql: str, slots: Mapping[str, Any] | None = None, *, as_of: float) -> list[Row]:
        self.as_of.append(as_of)
        return []

    def close(self) -> None:
        """Nothing to let go of."""


@pytest.mark.parametrize(
    ("now", "came", "as_of"),
    [
        (5.0, None, 5.0),  # by no request, and the machine has just begun
        (5.0, 2.0, 2.0),
        (1_000.0, None, 1_000.0),
        (1_000.0, 995.0, 995.0),
        (1_000.0, 1_000.0 - REQUEST_S_MAX, 1_000.0),  # left behind by a request of long ago
    ],
)
async def test_who_came_by_no_request_sees_what_is_there_now_however_young_the_machine_is(
    monkeypatch: pytest.MonkeyPatch, now: float, came: float | None, as_of: float
) -> None:
    nobody = typed(Any, None)
    asked = Asked()
    desk = RemoteDesk("beijing.core", "core", nobody, typed(Any, asked), words=nobody, events=nobody)
    monkeypatch.setattr(afar, "time", SimpleNamespace(monotonic=lambda: now))

    async def read() -> None:
        if came is not None:
            came_at.set(came)
        await desk.rows("SELECT 1")

    await asyncio.create_task(read())

    assert asked.as_of == [as_of]
    desk.close()
