"""Whoever is told to stop stops, also when what he waits for never came (issue 5: rolling restart)."""

from __future__ import annotations

import asyncio
import time

from servers.process import answers
from tests.cluster.conftest import Ground

STOPS_S_MAX = 15.0


async def test_a_front_whose_databases_never_came_ends_when_it_is_told(ground: Ground) -> None:
    front = ground.cluster.add("front", "api", "gateway")  # and no writer, who would make them
    await asyncio.to_thread(front.process.start, lambda: answers(front.port))
    is_ready = await asyncio.to_thread(front.is_ready)

    began = time.monotonic()
    await asyncio.to_thread(front.process.stop, within_s=2 * STOPS_S_MAX)

    assert not is_ready
    assert front.process.status == 0, front.process.last_words()
    assert time.monotonic() - began < STOPS_S_MAX
