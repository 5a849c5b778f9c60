"""A slow or poisoned command hurts itself alone, in the real process under uvloop (issue 2, section 2)."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from tests.faults.books import wrong_in
from tests.faults.city import CAMPUS, City, Files
from tests.faults.crowd import Crowd
from tests.faults.server import Server

PLANTED = (sys.executable, "-m", "tests.faults.planted")
PATH = f"/v1/campuses/{CAMPUS}/planted"
_NUMBERS = count()


def misbehave(server: Server, how: str) -> tuple[int, str, float]:
    """Send the planted command: status, problem code, seconds."""
    began = time.monotonic()
    status, body = server.ask("POST", PATH, key=f"planted-{next(_NUMBERS)}", body={"how": how})
    return status, json.loads(body).get("code", ""), time.monotonic() - began


def stopped_in(server: Server) -> int:
    """How many times the stopwatch ended a command, as the log says: each costs everybody its limit once."""
    return server.log.read_text(encoding="utf-8").count("writer.command_too_slow")


def test_the_stopwatch_ends_a_command_that_never_ends_under_uvloop(city: City) -> None:
    with Server(city.data, words=PLANTED) as server:
        status, code, took_s = misbehave(server, "loops")
        next_status, _, next_s = misbehave(server, "well")

        assert (status, code) == (503, "machinery/too-slow")
        assert 0.25 <= took_s < 1.0
        assert next_status == 200
        assert next_s < 0.25
        assert stopped_in(server) == 1
        assert Files(city.data).rows("core", "SELECT COUNT(*) FROM timers WHERE id = 'planted'") == [(0,)]
        assert server.stop() == 0


@pytest.mark.parametrize("how", ["crashes", "unkept"])
def test_a_poisoned_command_is_refused_alone_and_the_next_works(city: City, how: str) -> None:
    with Server(city.data, words=PLANTED) as server:
        answers = [misbehave(server, how) for _ in range(3)]
        well = misbehave(server, "well")

        assert [answer[:2] for answer in answers] == [(500, "machinery/crashed")] * 3
        assert well[0] == 200
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
        for how in ("loops", "crashes", "loops", "unkept"):
            answers.append(await loop.run_in_executor(threads, misbehave, server, how))
            await asyncio.sleep(0.1)
        crowd.end()
        await ordering
        slowest_s = crowd.slowest_s
        assert server.stop() == 0

    assert [answer[0] for answer in answers] == [503, 500, 503, 500]
    assert crowd.refused.keys() <= {"409 stock/stock-short"}
    assert crowd.retried == 0
    assert slowest_s < 1.0
    assert stopped_in(server) == 2
    assert len(crowd.plans) > 10
    assert wrong_in(Files(city.data), crowd=crowd) == []
