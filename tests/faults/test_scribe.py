"""The processes that write for the server die under load: nothing acknowledged is lost, nothing is done twice (J4)."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

from tests.faults.books import finish, wrong_in
from tests.faults.city import City, Files
from tests.faults.crowd import Crowd
from tests.faults.server import Server
from tests.processes import children_of, descendants_of
from tests.waiting import until

DEATHS = 6


async def test_a_scribe_that_dies_under_load_costs_time_only(city: City) -> None:
    with Server(city.data) as server:
        assert server.process is not None
        crowd = Crowd(city, port=server.port, seed=7, connections=16)
        crowd.up.set()
        ordering = asyncio.create_task(crowd.order())
        killed: set[int] = set()
        for death in range(DEATHS):
            await crowd.until_plans(len(crowd.plans) + 3)
            scribe, writers = await at_work(server.process.pid, killed=killed)
            # In turns: one of those that write, all of them, all of them with the one that starts them.
            dying = (writers[death % len(writers)],), writers, (scribe, *writers)
            for each in dying[death % len(dying)]:
                with suppress(ProcessLookupError):  # dead already: whoever started it took it along
                    os.kill(each, signal.SIGKILL)
                    killed.add(each)
        await crowd.until_plans(len(crowd.plans) + 3)
        await finish(crowd, ordering, lambda: Files(city.data), within_s=60)

        assert len(killed) > DEATHS
        assert crowd.differing == []
        assert crowd.refused.keys() <= {"409 stock/stock-short"}
        assert server.ask("GET", "/readyz")[0] == 200
        assert server.stop() == 0
    assert wrong_in(Files(city.data), crowd=crowd) == []
    assert "Traceback" not in server.log.read_text()


async def at_work(server: int, *, killed: set[int]) -> tuple[int, list[int]]:
    """The scribe and those that write, as soon as orders and payments have one each.

    Answers of before a death may come after it; and whoever was killed is there for a moment still.
    """

    def look() -> tuple[int, list[int]] | None:
        for scribe in set(children_of(server)) - killed:
            writers = [each for each in descendants_of(scribe) if each not in killed]
            if len(writers) >= 2:
                return scribe, writers
        return None

    found = await until(look, within_s=60)
    assert found is not None
    return found
