"""A Redis server that does not know what it is called is reached where it answered (Redis: CLUSTER SLOTS)."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from servers.process import Process, free_ports
from tuanzi.engines.cache.redis import RedisCache
from tuanzi.engines.redis.cluster import Cluster
from tuanzi.machinery.sharedcache import Claim, Shared

HOST = "127.0.0.2"  # not where an empty name leads


def cli(port: int, *words: str) -> str:
    """What the server answers."""
    command = ["redis-cli", "-h", HOST, "-p", str(port), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()


@pytest.fixture(params=["ip", "unknown-endpoint", "hostname"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """Where a cluster of one server listens, which calls itself '', nothing, or '?'."""
    port, bus_port = free_ports(2)
    words = ["redis-server", "--port", str(port), "--bind", HOST, "--dir", str(tmp_path), "--save", ""]
    words += ["--cluster-enabled", "yes", "--cluster-port", str(bus_port)]
    words += ["--cluster-preferred-endpoint-type", request.param]

    def is_there() -> bool:
        with suppress(subprocess.CalledProcessError):
            return cli(port, "PING") == "PONG"
        return False

    server = Process("redis-server alone", words, log=tmp_path / "log")
    server.start(is_there, within_s=60)
    cli(port, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    until = time.monotonic() + 60
    while "cluster_state:ok" not in cli(port, "CLUSTER", "INFO"):
        assert time.monotonic() < until
        time.sleep(0.05)
    yield port
    server.kill()


@asynccontextmanager
async def reached(port: int) -> AsyncIterator[Cluster]:
    """A client that has had ten seconds to reach the server."""
    client = Cluster([(HOST, port)], reply_s=5.0)
    running = asyncio.create_task(client.run())
    connecting = asyncio.create_task(client.connected.wait())
    try:
        await asyncio.wait({running, connecting}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        yield client
    finally:
        running.cancel()
        connecting.cancel()
        await asyncio.gather(running, connecting, return_exceptions=True)


async def test_a_server_that_gives_no_name_is_reached_by_the_one_that_it_was_asked_by(port: int) -> None:
    async with reached(port) as client:
        cache = RedisCache(client)
        cache.put("order:1", Shared(1, b"one"), keep_s=60)

        assert await cache.find("order:1") == Shared(1, b"one")
        assert client.is_whole
        assert client.owner("order:1") == (HOST, port)


async def test_a_value_that_another_hand_wrote_is_loaded_anew(port: int) -> None:
    async with reached(port) as client:
        cache = RedisCache(client)
        await client.ask("{order:1}", "SET", "{order:1}", "not ours, and longer than sixteen")

        assert await cache.find("order:1") is Claim.MINE
        assert cache.lost == 1
