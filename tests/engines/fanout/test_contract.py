"""A6, the promise of the fan-out on every engine: what was committed reaches every gateway of its campus, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio

from servers.redis import RedisCluster
from tests.engines.redis import connected
from tests.waiting import until
from tuanzi.engines.fanout.here import Here
from tuanzi.engines.fanout.redis import RedisFanOut
from tuanzi.machinery.push.ports import FanOut, Kept


class Gateway:
    """A gateway that remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[Kept] = []
        self.changed: list[str] = []
        self.catch_ups = 0

    def deliver(self, batch: Sequence[Kept]) -> None:
        """Remember messages."""
        self.heard += batch

    def change(self, channel: str) -> None:
        """Remember a picture."""
        self.changed.append(channel)

    def catch_up(self) -> None:
        """Remember that something may be missing."""
        self.catch_ups += 1


class Broken(Gateway):
    """A gateway that fails."""

    def deliver(self, batch: Sequence[Kept]) -> None:
        """Fail."""
        raise RuntimeError("broken")


@asynccontextmanager
async def process(servers: RedisCluster, *, reply_s: float = 5.0) -> AsyncIterator[RedisFanOut]:
    """The fan-out of one process."""
    async with connected(servers, reply_s=reply_s) as cluster:
        fan_out = RedisFanOut(cluster, name="process")
        running = asyncio.create_task(fan_out.run())
        try:
            yield fan_out
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest_asyncio.fixture(params=["here", "redis"])
async def processes(request: pytest.FixtureRequest) -> AsyncIterator[list[FanOut]]:
    """The fan-outs of three processes; with an engine of one process, the same three times."""
    if request.param == "here":
        yield [Here()] * 3
        return
    servers: RedisCluster = request.getfixturevalue("redis_cluster")
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(process(servers)) for _ in range(3)]


async def gateways_of(processes: list[FanOut], campus: str) -> list[Gateway]:
    """A gateway of each process, and everybody is heard."""
    gateways = []
    for each in processes:
        gateways.append(Gateway())
        each.join(campus, gateways[-1])
    await until(lambda: all(each.hears_all for each in processes if isinstance(each, RedisFanOut)))
    return gateways


def messages(first: int, count: int, *, stream: str = "user:p1") -> list[Kept]:
    return [Kept(stream, number, b'{"state":"n%d"}' % number) for number in range(first, first + count)]


async def test_every_gateway_of_a_campus_hears_all_in_order(processes: list[FanOut]) -> None:
    gateways = await gateways_of(processes, "beijing")

    for i in range(40):
        processes[0].publish("beijing", messages(1 + 50 * i, 50))
        if i % 10 == 9:
            await asyncio.sleep(0)

    await until(lambda: all(len(gateway.heard) >= 2_000 for gateway in gateways))
    assert [gateway.heard for gateway in gateways] == [messages(1, 2_000)] * 3


async def test_each_process_may_publish_and_its_own_gateway_hears_at_once(processes: list[FanOut]) -> None:
    gateways = await gateways_of(processes, "beijing")

    for i, (each, gateway) in enumerate(zip(processes, gateways, strict=True)):
        each.publish("beijing", messages(1, 1, stream=f"user:p{i}"))
        assert gateway.heard[-1].stream == f"user:p{i}"

    await until(lambda: all(len(gateway.heard) >= 3 for gateway in gateways))
    assert [sorted(each.stream for each in gateway.heard) for gateway in gateways] == [
        ["user:p0", "user:p1", "user:p2"]
    ] * 3


async def test_other_campuses_hear_nothing(processes: list[FanOut]) -> None:
    beijing = await gateways_of(processes, "beijing")
    shanghai = await gateways_of(processes, "shanghai")

    processes[0].publish("beijing", messages(1, 1))
    processes[0].publish("shanghai", messages(7, 1))

    await until(lambda: all(gateway.heard for gateway in [*beijing, *shanghai]))
    assert [gateway.heard for gateway in beijing] == [messages(1, 1)] * 3
    assert [gateway.heard for gateway in shanghai] == [messages(7, 1)] * 3


async def test_every_gateway_hears_which_pictures_changed(processes: list[FanOut]) -> None:
    gateways = await gateways_of(processes, "beijing")

    processes[1].change("beijing", ["group:g1", "board:b1"])

    await until(lambda: all(gateway.changed for gateway in gateways))
    assert [gateway.changed for gateway in gateways] == [["group:g1", "board:b1"]] * 3


async def test_a_gateway_that_fails_hurts_no_other(processes: list[FanOut]) -> None:
    for each in processes:
        each.join("beijing", Broken())
    gateways = await gateways_of(processes, "beijing")

    processes[0].publish("beijing", messages(1, 1))
    processes[0].publish("beijing", messages(2, 1))

    await until(lambda: all(len(gateway.heard) >= 2 for gateway in gateways))
    assert [gateway.heard for gateway in gateways] == [messages(1, 2)] * 3
