"""An idle client resumes, a slow one costs little and hurts nobody (A4, A5)."""

from __future__ import annotations

import asyncio

import msgspec

from tests.journeys.conftest import BEEF_RICE, LUNCH_FOR_THREE, Cast, done
from tests.live.lines import CAMPUS, Line, Talk, Watch, a_gateway
from tests.live.phones import Phone
from tests.live.street import token_of
from tests.waiting import until
from tuanzi.machinery.push.gateway import Gateway
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.push.ports import Draft
from tuanzi.machinery.push.protocol import Close
from tuanzi.wiring import House

HOUR_S = 3600
BIG = b'{"kind":"big","state":"n0","filling":"%s"}' % (b"x" * 16_000)
# More than a loopback connection's kernel buffers hold.
BIG_COUNT = 800


async def test_after_an_idle_hour_a_drop_of_a_second_resumes(cast: Cast) -> None:
    house: House = cast.town.house
    at = 0.0
    gateway = Gateway(
        house.live.hubs, house.live.gateway.gate, name="idle", limits=PushLimits(), clock=lambda: at, now=house.clock
    )
    running = asyncio.create_task(gateway.run())
    opened = await done(cast.ming.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201)
    told = await token_of(cast.ming)
    line = Line()
    await until(lambda: gateway.has_room and house.live.keepers["beijing"].figures.messages == 1)
    client = gateway.accept(line)
    client.on_text(msgspec.json.encode({"id": 1, "connect": {"token": told["token"]}}))
    await until(lambda: line.said)

    for _ in range(HOUR_S):
        at += 1.0
        gateway.tick()
        client.on_text(b"{}")
    place = line.said[0]["connect"]["subs"][told["channel"]]
    client.on_closed()
    at += 1.0
    await done(cast.ming.post(f"orders/{opened['order_id']}/pay"))
    await cast.town.settled()
    back = Line()
    position = {"recover": True, "offset": place["offset"], "epoch": place["epoch"]}
    connect = {"token": told["token"], "subs": {told["channel"]: position}}
    gateway.accept(back).on_text(msgspec.json.encode({"id": 1, "connect": connect}))
    await until(lambda: back.said)
    running.cancel()

    pings = [one for one in line.said if "push" in one]
    assert [one["data"]["state"] for one in place["publications"]] == ["created"]
    assert len(pings) == HOUR_S // PushLimits().ping_s
    assert {one["push"]["message"]["data"]["newest"] for one in pings} == {1}
    again = back.said[0]["connect"]["subs"][told["channel"]]
    assert (again["was_recovering"], again["recovered"]) == (True, True)
    assert [(one["offset"], one["data"]["state"]) for one in again["publications"]] == [(2, "paid")]


async def test_a_client_that_reads_nothing_costs_little_is_closed_and_hurts_nobody(cast: Cast) -> None:
    house: House = cast.town.house
    gateway, keeper = house.live.gateway, house.live.keepers["beijing"]
    gateway.limits = PushLimits(slow_s_max=600.0)  # the test says when that is over, and no busy machine before it
    slow, quick = [Phone(person.id, (await token_of(person))["token"]) for person in (cast.ming, cast.hua)]
    port = (await token_of(cast.ming))["port"]
    await slow.connect(port, receive_bytes=4096)
    await quick.connect(port)
    slow.transport.underlying_transport.pause_reading()

    for i in range(BIG_COUNT):
        await keeper.post(
            [Draft(slow.channel, BIG, event_id=f"big.{i}"), Draft(quick.channel, BIG, event_id=f"small.{i}")]
        )
    await until(lambda: quick.number == BIG_COUNT)
    (client,) = gateway.full
    waiting = client.waiting_bytes
    client.full_since -= gateway.limits.slow_s_max + 1
    gateway.tick()
    slow.transport.underlying_transport.resume_reading()
    await until(lambda: slow.wire.is_over.done())
    await slow.connect(port)
    await until(lambda: slow.number == BIG_COUNT)
    slow.drop()
    quick.drop()

    assert waiting <= 2 * gateway.limits.unsent_bytes_max
    assert slow.codes == [3008]
    assert gateway.closes["slow"] == 1
    assert (slow.wrong, quick.wrong) == ([], [])


async def test_a_client_that_reads_nothing_and_goes_on_asking_is_closed_before_his_answers_fill_memory(
    cast: Cast,
) -> None:
    class Deaf(Line):
        def send(self, text: bytes) -> None:
            self.waiting_bytes += len(text)
            super().send(text)

    stream, keeper = f"user:{cast.ming.id}", cast.town.house.live.keepers[CAMPUS]
    await keeper.post([Draft(stream, BIG, event_id=f"big.{i}") for i in range(3)])
    async with a_gateway(cast, Watch(), PushLimits(answers_bytes_max=20 * len(BIG))) as gateway:
        talk = Talk(cast, gateway, line=Deaf())
        await talk.connect(cast.ming)
        for _ in range(40):
            talk.send(history={"channel": stream, "limit": 3})
        await until(lambda: talk.line.code is not None)

    assert talk.line.code == Close.SLOW
    assert talk.line.waiting_bytes <= 24 * len(BIG)
