"""kill -9 of the real process under load, 50 times: nothing acknowledged is lost, nothing happens twice (issue 2)."""

from __future__ import annotations

import asyncio
from random import Random

from tests.faults.books import finish, wrong_in
from tests.faults.city import City, Files
from tests.faults.crowd import Crowd
from tests.faults.server import Server

KILLS = 50
RESTART_S_MAX = 3.0
SEED = 20261123


async def test_fifty_kills_under_load_lose_nothing_and_do_nothing_twice(city: City) -> None:
    chance = Random(SEED)
    files = Files(city.data)

    with Server(city.data) as server:
        crowd = Crowd(city, port=server.port, seed=SEED)
        crowd.up.set()
        ordering = asyncio.create_task(crowd.order())
        for _ in range(KILLS):
            await crowd.go_on(orders=11, plans=3)
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            crowd.up.clear()
            server.kill()
            restart_s = await asyncio.to_thread(server.start)
            crowd.up.set()
            assert restart_s < RESTART_S_MAX
            assert not ordering.done()
        await finish(crowd, ordering, lambda: files, within_s=60)
        assert server.stop() == 0

    assert crowd.differing[:3] == []
    assert set(crowd.refused) <= {"409 stock/stock-short"}, crowd.refused
    assert len(crowd.placed) > 10 * KILLS
    assert len(crowd.plans) > 2 * KILLS
    assert crowd.retried > KILLS
    assert wrong_in(files, crowd=crowd) == [], f"seed {SEED}"
