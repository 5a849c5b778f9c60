"""What one client and all of them may ask of a gateway is bounded, and who asks for more is told why (A5)."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from tests.journeys.conftest import BEEF_RICE, LUNCH_FOR_THREE, Cast, Person, done
from tests.live.lines import Talk, Watch, a_gateway
from tests.live.phones import Phone
from tests.live.street import token_of
from tests.waiting import until
from tuanzi.machinery.push.client import Client
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.push.protocol import Close

UPGRADE = (
    b"GET /connection/websocket HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
# What a client may say again and again: the one is read by its shape, the other as any command.
SAYINGS: dict[str, bytes] = {
    "nothing": b"",
    "acknowledgements": b'{"send":{"data":{"ack":1}}}',
    "commands": b'{"id":7,"rpc":{"method":"ack","data":{"number":1}}}',
}


async def opened_group(person: Person) -> str:
    """The channel of a group that this person has opened."""
    opened = await done(person.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201)
    return f"group:{opened['group_id']}"


async def test_who_comes_when_all_places_are_taken_is_told_to_come_back_and_may_when_one_is_free(cast: Cast) -> None:
    gateway = cast.town.house.live.gateway
    gateway.limits = PushLimits(connections_max=1)
    told = await token_of(cast.ming)
    phone = Phone(cast.ming.id, told["token"])
    await phone.connect(told["port"])

    refused = await answer_to_upgrade(told["port"])
    phone.drop()
    await until(lambda: gateway.connections == 0)
    accepted = await answer_to_upgrade(told["port"])

    assert refused[0] == "HTTP/1.1 503 Service Unavailable"
    assert "Retry-After: 5" in refused
    assert "Content-Type: application/problem+json" in refused
    assert json.loads(refused[-1])["code"] == "machinery/unavailable"
    assert accepted[0] == "HTTP/1.1 101 Switching Protocols"


@pytest.mark.parametrize(("language", "title"), [("", "没有这个地址"), ("en", "There is nothing at this address.")])
async def test_an_address_that_is_none_is_refused_by_a_problem_at_the_gateway_too(
    cast: Cast, language: str, title: str
) -> None:
    told = await token_of(cast.ming)
    elsewhere = UPGRADE.replace(b"/websocket", b"/nothing?x=1").replace(
        b"\r\n\r\n", b"\r\nAccept-Language: %b\r\nX-Request-Id: mine-1\r\n\r\n" % language.encode()
    )

    refused = await answer_to_upgrade(told["port"], elsewhere)

    assert refused[0] == "HTTP/1.1 404 Not Found"
    assert "Content-Type: application/problem+json" in refused
    assert json.loads(refused[-1]) == {
        "type": "/problems/http/not-found",
        "title": title,
        "status": 404,
        "code": "http/not-found",
        "instance": "mine-1",
    }


async def test_who_speaks_no_websocket_is_told_by_a_problem_that_it_takes_one(cast: Cast) -> None:
    told = await token_of(cast.ming)
    plain = b"GET /connection/websocket HTTP/1.1\r\nHost: here\r\nAccept-Language: en\r\n\r\n"

    refused = await answer_to_upgrade(told["port"], plain)
    accepted = await answer_to_upgrade(told["port"], UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: WebSocket"))

    assert refused[0] == "HTTP/1.1 426 Upgrade Required"
    assert {"Upgrade: websocket", "Content-Type: application/problem+json"} <= set(refused)
    problem = json.loads(refused[-1])
    assert (problem["code"], problem["title"]) == ("http/upgrade-needed", "Only WebSockets are taken at this address.")
    assert accepted[0] == "HTTP/1.1 101 Switching Protocols"


async def answer_to_upgrade(port: int, upgrade: bytes = UPGRADE) -> list[str]:
    """The lines of the answer to who wants a WebSocket: the head, and what a refusal says in the last."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(upgrade)
    head = await reader.readuntil(b"\r\n\r\n")
    body = b"" if b" 101 " in head else await reader.read()
    writer.close()
    return [*head.decode().split("\r\n"), body.decode()]


async def test_nothing_of_a_client_who_has_gone_is_left_for_the_collector(cast: Cast) -> None:
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                talk = Talk(cast, gateway)
                await talk.connect(cast.ming)
                talk.client.on_closed()
            del talk
            left = [each for each in gc.get_objects() if type(each) is Client]
        finally:
            gc.enable()

    assert not left


async def test_a_phone_that_comes_and_goes_leaves_no_line_in_the_log(
    cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        told = await token_of(cast.ming)
        phone = Phone(cast.ming.id, told["token"])
        await phone.connect(told["port"])
        phone.drop()
        await until(lambda: cast.town.house.live.gateway.connections == 0)

    of_clients = ("picows.client.", "httpx")
    assert [record.getMessage() for record in caplog.records if not record.name.startswith(of_clients)] == []


async def test_one_connection_too_many_of_a_person_closes_his_oldest_and_nobody_elses(cast: Cast) -> None:
    async with a_gateway(cast, Watch(), PushLimits(per_person_max=2)) as gateway:
        other = Talk(cast, gateway)
        await other.connect(cast.hua)
        talks = [Talk(cast, gateway) for _ in range(3)]

        for talk in talks:
            await talk.connect(cast.ming)

        assert [talk.line.code for talk in talks] == [Close.TOO_MANY_CONNECTIONS, None, None]
        assert other.line.code is None


@pytest.mark.parametrize("saying", sorted(SAYINGS))
async def test_a_client_may_say_so_much_at_once_and_then_as_much_as_it_earns(cast: Cast, saying: str) -> None:
    watch, text = Watch(), SAYINGS[saying]
    async with a_gateway(cast, watch, PushLimits(commands_burst=20, commands_per_s=5.0)) as gateway:
        talk = Talk(cast, gateway)
        await talk.connect(cast.ming)  # the first of twenty

        for _ in range(19):
            talk.client.on_text(text)
        watch.at += 2.0
        for _ in range(10):
            talk.client.on_text(text)
        before = talk.line.code
        talk.client.on_text(text)

        assert before is None
        assert talk.line.code == Close.TOO_MANY_REQUESTS


PING, PONG, PART = 0x89, 0x8A, 0x01


def masked(head: int, payload: bytes) -> bytes:
    """A frame of a client."""
    return bytes((head, 0x80 | len(payload))) + bytes(4) + payload


async def test_a_few_pings_are_answered(cast: Cast) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", (await token_of(cast.ming))["port"])
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")

    writer.write(b"".join(masked(PING, b"%d" % i) for i in range(9)))
    answer = await reader.readexactly(9 * 3)
    writer.close()

    assert answer == b"".join(bytes((PONG, 1)) + b"%d" % i for i in range(9))


@pytest.mark.parametrize("head", [PING, PONG, PART], ids=["pings", "pongs", "parts without an end"])
async def test_frames_that_are_no_messages_are_counted_and_who_reads_no_answers_costs_nothing(
    cast: Cast, head: int
) -> None:
    gateway = cast.town.house.live.gateway
    _, writer = await asyncio.open_connection("127.0.0.1", (await token_of(cast.ming))["port"], limit=1)
    writer.write(UPGRADE)
    await until(lambda: gateway._strangers)
    (client,) = gateway._strangers

    with suppress(ConnectionError):
        for _ in range(500):
            writer.write(masked(head, b"" if head == PART else b"x" * 125) * 100)
            await writer.drain()
    await until(lambda: client.is_closed)
    writer.close()

    assert client.waiting_bytes < gateway.limits.unsent_bytes_max
    assert gateway.closes["too_many_requests"] == 1


async def test_what_is_earned_in_an_hour_is_no_more_than_what_may_be_said_at_once(cast: Cast) -> None:
    watch, text = Watch(), SAYINGS["acknowledgements"]
    async with a_gateway(cast, watch, PushLimits(commands_burst=20, commands_per_s=5.0)) as gateway:
        talk = Talk(cast, gateway)
        await talk.connect(cast.ming)
        for _ in range(19):
            talk.client.on_text(text)

        watch.at += 3600.0
        for _ in range(20):
            talk.client.on_text(text)
        before = talk.line.code
        talk.client.on_text(text)

        assert before is None
        assert talk.line.code == Close.TOO_MANY_REQUESTS


async def test_commands_that_wait_for_the_database_are_few(cast: Cast) -> None:
    async with a_gateway(cast, Watch(), PushLimits(waiting_commands_max=3)) as gateway:
        talk = Talk(cast, gateway)
        place = await talk.connect(cast.ming)
        assert place["recovered"]

        for _ in range(3):
            talk.send(subscribe={"channel": "group:g_nowhere"})
        before = talk.line.code
        talk.send(subscribe={"channel": "group:g_nowhere"})

        assert before is None
        assert talk.line.code == Close.TOO_MANY_REQUESTS


async def test_a_client_hears_so_many_channels(cast: Cast) -> None:
    channels = [await opened_group(person) for person in (cast.ming, cast.hua)]
    async with a_gateway(cast, Watch(), PushLimits(subscriptions_max=2)) as gateway:
        talk = Talk(cast, gateway)
        await talk.connect(cast.ming)  # his own stream is the first

        answers = [await talk.ask(subscribe={"channel": channel}) for channel in channels]
        await talk.ask(unsubscribe={"channel": channels[0]})
        again = await talk.ask(subscribe={"channel": channels[1]})

        assert "data" in answers[0]["subscribe"]
        assert answers[1]["error"]["code"] == 106
        assert "data" in again["subscribe"]


async def test_a_message_of_more_than_16_kib_ends_the_connection(cast: Cast) -> None:
    told = await token_of(cast.ming)
    phone = Phone(cast.ming.id, told["token"])
    await phone.connect(told["port"])
    assert phone.transport is not None

    phone.transport.send(1, b'{"id":9,"rpc":{"method":"%s"}}' % (b"x" * 16_384))
    await until(lambda: phone.wire.is_over.done() and cast.town.house.live.gateway.connections == 0)

    assert phone.codes == [1009]


async def test_who_does_not_say_who_he_is_in_ten_seconds_goes(cast: Cast) -> None:
    watch = Watch()
    async with a_gateway(cast, watch, PushLimits()) as gateway:
        stranger, known = Talk(cast, gateway), Talk(cast, gateway)
        await known.connect(cast.ming)

        watch.at += 9.9
        gateway.tick()
        before = stranger.line.code
        watch.at += 0.1
        gateway.tick()

        assert before is None
        assert (stranger.line.code, known.line.code) == (Close.STALE, None)


async def test_who_does_not_answer_a_ping_until_the_next_one_goes(cast: Cast) -> None:
    watch = Watch()
    async with a_gateway(cast, watch, PushLimits()) as gateway:
        silent, present = Talk(cast, gateway), Talk(cast, gateway)
        await silent.connect(cast.ming)
        await present.connect(cast.hua)

        for _ in range(2 * gateway.limits.ping_s):
            watch.at += 1.0
            gateway.tick()
            present.client.on_text(b"{}")

        assert (silent.line.code, present.line.code) == (Close.NO_PONG, None)


async def test_whose_token_is_over_comes_back_with_a_new_one(cast: Cast) -> None:
    watch = Watch()
    async with a_gateway(cast, watch, PushLimits()) as gateway:
        talk, refreshed = Talk(cast, gateway), Talk(cast, gateway)
        await talk.connect(cast.ming)
        await refreshed.connect(cast.hua)

        cast.town.now += timedelta(minutes=4)
        newer = (await token_of(cast.hua))["token"]
        answer = await refreshed.ask(refresh={"token": newer})
        cast.town.now += timedelta(minutes=1, seconds=gateway.limits.grace_s + 1)
        for _ in range(gateway.limits.ping_s):
            gateway.tick()

        assert answer["refresh"]["ttl"] == 300
        assert (talk.line.code, refreshed.line.code) == (Close.EXPIRED, None)


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense",
        b'{"id":1,"connect":7}',
        b'{"id":2,"rpc":{"method":"ack"}}',
        b'{"send":{"data":{"ack":1}}}',
        b"[]",
        b'{"id":1,"connect":{"token":"\xff"}}',
        b'{"id":1,"publish":' + b"[" * 10_000,
        b'{"id":99999999999999999999,"history":{"channel":"ops"}}',
    ],
)
async def test_what_is_no_command_or_comes_before_who_is_there_ends_the_connection(cast: Cast, text: bytes) -> None:
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        talk = Talk(cast, gateway)

        talk.client.on_text(text)

        assert talk.line.code == Close.BAD_REQUEST


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({"publish": {"channel": "user:p", "data": {}}}, 104),
        ({"rpc": {"method": "pay", "data": {}}}, 104),
        ({"rpc": {"method": "ack", "data": {"number": "many"}}}, 107),
        ({"subscribe": {"channel": "nowhere"}}, 102),
        ({"subscribe": {"channel": "user:somebody"}}, 103),
    ],
)
async def test_what_nobody_may_do_is_refused_and_the_connection_goes_on(
    cast: Cast, command: dict[str, Any], code: int
) -> None:
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        talk = Talk(cast, gateway)
        await talk.connect(cast.ming)

        answer = await talk.ask(**command)

        assert answer["error"]["code"] == code
        assert talk.line.code is None


async def test_more_than_was_sent_is_not_believed_to_have_arrived(cast: Cast) -> None:
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        talk = Talk(cast, gateway)
        await talk.connect(cast.ming)
        await opened_group(cast.ming)
        await until(lambda: any("pub" in one.get("push", {}) for one in talk.line.said))

        for number in (b"900", b"9000000000000000000", b"0", b"1"):
            talk.client.on_text(b'{"send":{"data":{"ack":%s}}}' % number)

        hub = cast.town.house.live.hubs["beijing"]
        stream = await hub.open(f"user:{cast.ming.id}")
        assert (stream.newest, stream.acked) == (1, 1)
        assert talk.line.code is None
