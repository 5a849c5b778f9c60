"""The process that writes for the server dies under load: nothing acknowledged is lost, nothing is done twice (J4)."""

from __future__ import annotations

import asyncio
import os
import signal

from tests.faults.books import wrong_in
from tests.faults.city import City, Files
from tests.faults.crowd import Crowd
from tests.faults.server import Server, children_of

DEATHS = 6


async def test_a_scribe_that_dies_under_load_costs_time_only(city: City) -> None:
    with Server(city.data) as server:
        assert server.process is not None
        crowd = Crowd(city, port=server.port, seed=7, connections=16)
        crowd.up.set()
        ordering = asyncio.create_task(crowd.order())
        killed = set()
        for _ in range(DEATHS):
            await crowd.until_plans(len(crowd.plans) + 3)
            (scribe,) = children_of(server.process.pid)
            killed.add(scribe)
            os.kill(scribe, signal.SIGKILL)
        await crowd.until_plans(len(crowd.plans) + 3)
        crowd.end()
        await ordering
        await crowd.repeat()

        assert len(killed) == DEATHS
        assert crowd.differing == []
        assert crowd.refused.keys() <= {"409 stock/stock-short"}
        assert server.ask("GET", "/readyz")[0] == 200
        assert server.stop() == 0
    assert wrong_in(Files(city.data), crowd=crowd) == []
    assert "Traceback" not in server.log.read_text()
