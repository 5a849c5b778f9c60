"""The browsers' journey of tests/web/test_four_windows.py, in front of an installation of many processes (E1, issue 5).

MariaDB with a replica, Redis Cluster, RabbitMQ and Kafka behind an api with its gateway, two writers and a worker.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from servers.cluster import Servers
from tests.cluster.conftest import Ground
from tests.cluster.serving import AHEAD, SEEDED
from tests.web import conftest as web
from tests.web.serving import START
from tests.web.test_four_windows import take_from_opening_to_delivered
from tuanzi.wiring import wall_clock

browser_type_launch_args = web.browser_type_launch_args
SEEDED_S_MAX = 120.0


class HouseOfMany(web.PagesHouse):
    """A house of many processes, and what tests ask of it besides its pages."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.data = folder / "processes" / "data"
        self.data.mkdir(parents=True)
        self._ahead_s = (START - wall_clock()).total_seconds()
        self.pass_time(seconds=0)
        ground = Ground(servers, folder, program=(sys.executable, "-m", "tests.cluster.serving"))
        self.cluster = ground.cluster
        add = self.cluster.add
        api = add("api", "api", "gateway")
        members = [api, *(add(f"writer{i}", "writer") for i in (1, 2)), add("worker", "worker")]
        with ThreadPoolExecutor(len(members)) as threads:
            list(threads.map(lambda member: member.start(), members))
        until = time.monotonic() + SEEDED_S_MAX
        while not (self.data / SEEDED).exists():
            assert time.monotonic() < until, api.process.last_words()
            time.sleep(0.05)
        self.serves_at(api.address)

    def pass_time(self, *, seconds: float) -> None:
        """Move the clock of every process; what is due happens."""
        self._ahead_s += seconds
        fresh = self.data / f"{AHEAD}.fresh"
        fresh.write_text(str(self._ahead_s), encoding="ascii")
        fresh.rename(self.data / AHEAD)

    def stop(self) -> None:
        """Let it end as an operator would."""
        self.client.close()
        self.cluster.stop()
        assert [member.process.status for member in self.cluster.members] == [0] * len(self.cluster.members)


@pytest.fixture(scope="module")
def house(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HouseOfMany]:
    """A house of many processes whose boards are empty."""
    house = HouseOfMany(servers, tmp_path_factory.mktemp("many"))
    yield house
    house.stop()


@pytest.fixture(scope="module")
def browser(browser_type_launch_args: dict[str, Any]) -> Iterator[Browser]:
    """Chromium, for these tests alone: as long as its driver is there, no test of this process can run a loop."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(**browser_type_launch_args)


def test_two_students_a_merchant_and_a_rider_take_a_group_from_opening_to_delivered(
    house: HouseOfMany, browser: Browser
) -> None:
    take_from_opening_to_delivered(house, browser, language="zh-CN")
