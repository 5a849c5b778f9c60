"""A6 with a Redis Cluster that is killed, paused and gone: what was kept arrives at every gateway, without a repeat."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from servers.redis import RedisCluster
from tests.engines.fanout.test_contract import process
from tests.live.office import Direct
from tests.live.test_repeats import SCHEMA
from tests.undisturbed import Undisturbed
from tests.waiting import until
from tuanzi import live, wiring
from tuanzi.engines.fanout.redis import RedisFanOut, channel_of
from tuanzi.engines.redis.cluster import REPLY_S
from tuanzi.machinery.push.gateway import Gateway
from tuanzi.machinery.push.hub import Hub
from tuanzi.machinery.push.keeper import Keeper
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.push.ports import Batch, ChannelKind, Draft, Ticket
from tuanzi.machinery.push.seen import Seen

CAMPUS = "beijing"
PEOPLE = 20


class Gate:
    """Lets everybody in, under the name that he says."""

    async def admit(self, token: str) -> Ticket:
        """Whoever he says he is."""
        return Ticket(
            person_id=token,
            session_id=token,
            campus_id=CAMPUS,
            stream=f"user:{token}",
            expires_at=wiring.wall_clock() + timedelta(hours=1),
            rights=None,
        )

    async def kind_of(self, ticket: Ticket, channel: str) -> ChannelKind:
        """Streams only."""
        return ChannelKind.STREAM

    async def picture(self, campus_id: str, channel: str, watching: int) -> bytes:
        """There are no pictures."""
        return b"{}"


class Line:
    """The socket of one person, who remembers the numbers of what he was sent."""

    def __init__(self) -> None:
        self.waiting_bytes = 0
        self.address = ""
        self.numbers: list[int] = []
        self.is_in = False

    def send(self, text: bytes) -> None:
        """Remember what came."""
        for said in map(msgspec.json.decode, text.split(b"\n")):
            for place in said.get("connect", {}).get("subs", {}).values():
                self.is_in = True
                self.numbers += [each["offset"] for each in place["publications"]]
            publication: dict[str, Any] = said.get("push", {}).get("pub", {})
            if publication:
                self.numbers.append(publication["offset"])

    def close(self, code: int, reason: str) -> None:
        """The gateway ends."""

    def abort(self) -> None:
        """Nothing waits."""


class Campus:
    """A keeper in one process and two gateways in others, each with the people of the campus, over one database."""

    def __init__(self, desk: Direct, fan_outs: list[RedisFanOut]) -> None:
        self.keeping, *self.serving = fan_outs
        self.archive = live.StreamArchive(desk)
        self.keeper = Keeper(
            CAMPUS,
            [],
            teller=live.LiveTeller(desk),
            archive=self.archive,
            fan_out=self.keeping,
            seen=Seen(clock=time.monotonic),
            now=wiring.wall_clock,
        )
        self.lines: list[Line] = []
        self.kept = 0
        self._gateways: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Everybody comes in at every gateway."""
        for i, fan_out in enumerate(self.serving):
            hub = Hub(CAMPUS, archive=self.archive, gate=Gate(), limits=PushLimits(), clock=time.monotonic)
            hub.epoch = "e"
            gateway = Gateway(
                {CAMPUS: hub}, Gate(), name=f"g{i}", limits=PushLimits(), clock=time.monotonic, now=wiring.wall_clock
            )
            fan_out.join(CAMPUS, hub)
            self._gateways.append(asyncio.create_task(gateway.run()))
            await until(lambda gateway=gateway: gateway.has_room)  # type: ignore[misc]
            for person in range(PEOPLE):
                line = Line()
                self.lines.append(line)
                gateway.accept(line).on_text(b'{"id":1,"connect":{"token":"p%d"}}' % person)
        await until(lambda: all(line.is_in for line in self.lines))
        await until(lambda: all(each.hears_all for each in self.serving))

    async def close(self) -> None:
        """The gateways end."""
        for gateway in self._gateways:
            gateway.cancel()
        await asyncio.gather(*self._gateways, return_exceptions=True)

    async def say(self, times: int = 1, *, pause_s: float = 0.0) -> None:
        """Everybody is told something, so many times."""
        for _ in range(times):
            self.kept += 1
            drafts = [Draft(f"user:p{i}", b'{"n":1}', event_id=f"e{self.kept}.{i}") for i in range(PEOPLE)]
            posted = asyncio.ensure_future(self.keeper.post(drafts))
            await asyncio.sleep(0)
            await self.keeper.step()
            await posted
            await asyncio.sleep(pause_s)

    @property
    def have_all(self) -> bool:
        """Whether everybody was sent everything, each once and in order."""
        wanted = list(range(1, self.kept + 1))
        return all(line.numbers == wanted for line in self.lines)


@asynccontextmanager
async def campus(servers: RedisCluster, *, reply_s: float = REPLY_S) -> AsyncIterator[Campus]:
    """A campus whose people have all heard a first message. reply_s: longer where a busy machine is no fault."""
    async with AsyncExitStack() as stack:
        fan_outs = [await stack.enter_async_context(process(servers, reply_s=reply_s)) for _ in range(3)]
        campus = Campus(Direct(SCHEMA), fan_outs)
        try:
            await campus.open()
            await campus.say()
            await until(lambda: campus.have_all)
            yield campus
        finally:
            await campus.close()
    await asyncio.to_thread(servers.settle)


@pytest.fixture
def master(redis_cluster: RedisCluster) -> int:
    """The master of the campus's channel, by port."""
    redis_cluster.settle()
    found = redis_cluster.find_master(channel_of(CAMPUS))
    assert found is not None
    return found


async def test_what_is_kept_while_a_master_is_killed_and_replaced_arrives(
    redis_cluster: RedisCluster, master: int
) -> None:
    async with campus(redis_cluster) as city:
        redis_cluster.kill(master)
        await until(lambda: not any(each.hears_all for each in city.serving))
        await city.say(20, pause_s=0.02)
        await until(lambda: city.have_all)  # though nothing comes after it by whose number it would be missed
        # Heard again without the archive, over the master that took its place.
        await until(lambda: all(each.hears_all for each in city.serving))
        await city.say(10)
        await until(lambda: city.have_all)
        await asyncio.to_thread(redis_cluster.start_again, master)


async def test_what_is_kept_while_a_master_stands_still_arrives(redis_cluster: RedisCluster, master: int) -> None:
    async with campus(redis_cluster) as city:
        redis_cluster.pause(master)
        try:
            await city.say(100, pause_s=0.04)
            await until(lambda: city.have_all)
        finally:
            redis_cluster.resume(master)
        await city.say(10, pause_s=0.1)
        await until(lambda: city.have_all)


async def test_without_redis_everything_arrives_within_seconds(redis_cluster: RedisCluster, master: int) -> None:
    async with campus(redis_cluster) as city:
        servers = await asyncio.to_thread(redis_cluster.masters)
        for each in servers:
            redis_cluster.kill(each)
        try:
            await until(lambda: not any(each.hears_all for each in city.serving))
            await city.say(10)
            clock = Undisturbed()
            began = clock()
            await until(lambda: city.have_all)
            took_s = clock() - began
        finally:
            for each in servers:
                await asyncio.to_thread(redis_cluster.start_again, each)

    assert took_s < 5


async def test_a_bell_that_was_lost_is_missed_at_the_next(redis_cluster: RedisCluster, master: int) -> None:
    async with campus(redis_cluster, reply_s=5.0) as city:
        caught_up = catch_ups(city)
        city.keeping._numbers[CAMPUS] += 1  # as if Redis had not taken it
        await city.archive.keep(_message(number=city.kept + 1))
        city.kept += 1
        city.keeper.start_over()
        await until(lambda: [each.figures.missed for each in city.serving] == [1, 1])
        await until(lambda: [line.numbers[-1] for line in city.lines[::PEOPLE]] == [city.kept] * 2)
        caught_up = [after - before for before, after in zip(caught_up, catch_ups(city), strict=True)]
        city.kept -= 1

    assert min(caught_up) >= 1


def catch_ups(city: Campus) -> list[int]:
    """How often each gateway was sent to the archive."""
    return [each.figures.catch_ups for each in city.serving]


def _message(*, number: int) -> Batch:
    return Batch(at=wiring.wall_clock(), messages=[(Draft("user:p0", b'{"n":1}', event_id="lost"), number)])
