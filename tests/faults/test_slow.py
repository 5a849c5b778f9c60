"""A slow or poisoned command hurts itself alone, in the real process under uvloop (issue 2, section 2)."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from tests.databases import MEMORY
from tests.faults.books import finish, wrong_in
from tests.faults.city import CAMPUS, City, Files
from tests.faults.crowd import Crowd
from tests.faults.server import Server
from tests.processes import descendants_of
from tests.undisturbed import Undisturbed

PLANTED = (sys.executable, "-m", "tests.faults.planted")
PATH = f"/v1/campuses/{CAMPUS}/planted"
MEMORY_BYTES_MIN = 48 * 2**20  # the folder and its logs are a tenth of it
_NUMBERS = count()


@pytest.fixture
def city(seeded: City, tmp_path: Path) -> Iterator[City]:
    """A folder of its own, in memory where there is room: a disk that others keep busy is not what is slow here."""
    is_roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES_MIN
    with TemporaryDirectory(prefix="tuanzi-", dir=MEMORY if is_roomy else tmp_path) as folder:
        data = Path(folder) / "data"
        shutil.copytree(seeded.data, data)
        yield replace(seeded, data=data)


class Misbehaved(NamedTuple):
    """What came of the planted command. passed_s: by the wall's clock; took_s: without what neighbours took."""

    status: int
    code: str
    passed_s: float
    took_s: float


def misbehave(server: Server, how: str) -> Misbehaved:
    """Send the planted command."""
    clock = undisturbed(server)
    passed, began = time.monotonic(), clock()
    status, body = server.ask("POST", PATH, key=f"planted-{next(_NUMBERS)}", body={"how": how})
    return Misbehaved(status, json.loads(body).get("code", ""), time.monotonic() - passed, clock() - began)


def undisturbed(server: Server) -> Undisturbed:
    """A clock for what the server, those who write for it now, and those who ask it have to do."""
    assert server.process is not None
    return Undisturbed(server.process.pid, *descendants_of(server.process.pid))


def stopped_in(server: Server) -> int:
    """How many times the stopwatch ended a command, as the log says: each costs everybody its limit once."""
    return server.log.read_text(encoding="utf-8").count("writer.command_too_slow")


def test_the_stopwatch_ends_a_command_that_never_ends_under_uvloop(city: City) -> None:
    with Server(city.data, words=PLANTED) as server:
        misbehave(server, "well")  # whoever writes for it is there from now on
        told = [(misbehave(server, "loops"), misbehave(server, "well")) for _ in range(3)]

        for loops, well in told:
            assert loops[:2] == (503, "machinery/too-slow")
            assert loops.passed_s >= 0.25
            assert loops.took_s < 1.0
            assert well.status == 200
        assert min(well.took_s for _, well in told) < 0.25  # a commit now and then waits for its disk
        assert stopped_in(server) == 3
        assert Files(city.data).rows("core", "SELECT COUNT(*) FROM timers WHERE id = 'planted'") == [(0,)]
        assert server.stop() == 0


@pytest.mark.parametrize("how", ["crashes", "unkept"])
def test_a_poisoned_command_is_refused_alone_and_the_next_works(city: City, how: str) -> None:
    with Server(city.data, words=PLANTED) as server:
        answers = [misbehave(server, how) for _ in range(3)]
        well = misbehave(server, "well")

        assert [answer[:2] for answer in answers] == [(500, "machinery/crashed")] * 3
        assert well.status == 200
        assert server.ask("GET", "/readyz")[0] == 200
        assert Files(city.data).rows("core", "SELECT COUNT(*) FROM timers WHERE id = 'planted'") == [(0,)]
        assert server.stop() == 0


async def test_others_are_answered_within_a_second_of_a_slow_command(city: City) -> None:
    with Server(city.data, words=PLANTED) as server, ThreadPoolExecutor(2) as threads:
        crowd = Crowd(city, port=server.port, seed=3, connections=16)
        crowd.up.set()
        ordering = asyncio.create_task(crowd.order())
        loop = asyncio.get_running_loop()
        answers = []
        await crowd.until_plans(6)
        crowd.clock, crowd.slowest_s = undisturbed(server), 0.0
        for how in ("loops", "crashes", "loops", "unkept"):
            answers.append(await loop.run_in_executor(threads, misbehave, server, how))
            await crowd.go_on(orders=8, plans=2)
        slowest_s = crowd.slowest_s
        await finish(crowd, ordering, lambda: Files(city.data), within_s=60)
        assert server.stop() == 0

    assert [answer.status for answer in answers] == [503, 500, 503, 500]
    assert crowd.refused.keys() <= {"409 stock/stock-short"}
    assert crowd.retried == 0
    assert slowest_s < 1.0
    assert stopped_in(server) == 2
    assert len(crowd.plans) > 10
    assert wrong_in(Files(city.data), crowd=crowd) == []
