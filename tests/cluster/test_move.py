"""A campus moves to another database server while students order there (E1, issue 5; docs/runbooks/move.md).

Two real MariaDB servers. Its writer sleeps through the move and comes back, and the mover itself is killed in the
middle and called again. Whoever was not fenced learns of it while it runs, by the file that names the servers.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from servers.cluster import TUANZI
from servers.maria import APPLICATION, Maria, Node
from tests.cluster.conftest import Ground, goes_on, start
from tests.cluster.test_takeover import owner_of
from tests.faults.books import finish, wrong_in
from tests.faults.city import CAMPUS, City
from tests.faults.crowd import BASE, Crowd
from tests.undisturbed import Undisturbed

SEED = 20261128
CONNECTIONS = 16
LEFT, IN_CHARGE = "the old databases are written no more", "the new databases are in charge"


@pytest.fixture
def other() -> Iterator[tuple[Maria, Node]]:
    """A second server, with other passwords."""
    folder = Path(tempfile.mkdtemp(prefix="tz-"))
    maria = Maria(folder, is_durable=False)
    try:
        yield maria, maria.start_primary()
    finally:
        maria.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def test_no_order_is_lost_or_doubled_when_a_campus_moves_to_another_server(
    ground: Ground, city: City, other: tuple[Maria, Node], tmp_path: Path
) -> None:
    maria, node = other
    goal = f"mysql://{APPLICATION}:{maria.passwords[APPLICATION]}@127.0.0.1:{node.port}/{ground.schema}"
    file = tmp_path / "databases"
    file.touch(mode=0o600)
    add, settings = ground.cluster.add, {"TUANZI_DATABASES_FILE": str(file)}
    api, worker = add("api", "api", "gateway", settings=settings), add("worker", "worker", settings=settings)
    writers = [add(f"writer{i}", "writer", settings=settings) for i in (1, 2, 3)]
    await start(*writers, worker)
    await start(api)
    crowd = Crowd(city, port=api.port, seed=SEED, connections=CONNECTIONS)
    crowd.up.set()
    ordering = asyncio.create_task(crowd.order())
    await goes_on(crowd, count=4 * CONNECTIONS, within_s=60)

    zombie = await owner_of(writers)
    zombie.process.pause()
    killed = await move(api.environment, goal, until=LEFT)
    retried = crowd.retried
    refused = await whoever_orders_now(api.address, city)
    placed = len(crowd.placed)  # what was on its way to be answered is answered
    moved = await move(api.environment, goal)
    stopped = len(crowd.placed) - placed
    zombie.process.resume()
    file.write_text(f"{CAMPUS}={goal}\n", encoding="ascii")
    learned_s = await goes_on(crowd, count=1, within_s=60, clock=Undisturbed(api.process.pid))
    await goes_on(crowd, count=4 * CONNECTIONS, within_s=60)
    await finish(crowd, ordering, partial(ground.files, node), within_s=60)

    assert LEFT in killed
    assert IN_CHARGE not in killed
    assert IN_CHARGE in moved
    assert refused.status_code == 503, refused.text
    assert int(refused.headers["Retry-After"]) >= 1
    assert crowd.retried > retried
    assert stopped == 0
    # They learned of it while they ran, for nobody was started again.
    assert learned_s < 10
    assert api.process.is_running
    assert await owner_of([each for each in writers if each.process.is_running])
    # Whoever woke up or began there wrote nothing any more.
    for kind in ("core", "money", "delivery"):
        ((left_at,),) = ground.files().rows(kind, "SELECT event_number FROM residences")
        assert ground.files().rows(kind, "SELECT COALESCE(MAX(number), 0), COUNT(*) FROM left_events") == [
            (left_at, left_at)
        ]
    assert crowd.differing[:3] == []
    assert set(crowd.refused) <= {"409 stock/stock-short"}, crowd.refused
    assert wrong_in(ground.files(node), crowd=crowd) == [], f"seed {SEED}"


async def move(environment: dict[str, str], goal: str, *, until: str | None = None) -> str:
    """Call `tuanzi move`; what it said. until: killed as soon as it has said this."""
    process = await asyncio.create_subprocess_exec(
        TUANZI, "move", CAMPUS, "--to", goal, env=environment, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = []
    async with asyncio.timeout(120):
        while line := (await process.stderr.readline()).decode():
            said.append(line.rstrip())
            if said[-1] == until:
                process.kill()
                break
        status = await process.wait()
    assert status == (0 if until is None else -9), said
    return "\n".join(said)


async def whoever_orders_now(address: str, city: City) -> httpx.Response:
    """The answer to somebody who orders."""
    student = city.students[-1]
    head = {"Authorization": f"Bearer {student.token.decode()}", "Idempotency-Key": "while-it-moves-0001"}
    body = {"campaign_id": "bj-faults-3", "building_id": "bj-dorm-01"}
    body |= {"lines": [{"dish_id": city.dishes[1], "quantity": 1}]}  # type: ignore[dict-item]
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        return await client.post(f"{BASE}/groups", json=body, headers=head)
