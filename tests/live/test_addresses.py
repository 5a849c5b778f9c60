"""A5: one client address cannot take every place of a gateway, and a campus behind one address has places enough."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from tests.live.lines import Line
from tests.waiting import until
from tuanzi import wiring
from tuanzi.base.ids import Ids
from tuanzi.engines.sockets.picows import serve_sockets
from tuanzi.machinery.http.proxies import Proxies
from tuanzi.machinery.http.refusals import Refusals
from tuanzi.machinery.push import gateway as gateways
from tuanzi.machinery.push.gateway import LINGER_S, Gateway
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.push.protocol import JSON, Close
from tuanzi.machinery.push.sockets import Listener
from tuanzi.settings import read_settings

CROWDED = Close.TOO_MANY_OF_ADDRESS


class Nobody:
    """Lets nobody in."""

    async def admit(self, token: str) -> Any:
        raise NotImplementedError


def a_gateway(most: int, *, at: list[float]) -> Gateway:
    """A gateway of nobody, where one address may have so many connections. at: what time it is."""
    limits = PushLimits(per_address_max=most)
    gate: Any = Nobody()
    return Gateway({}, gate, name="g", limits=limits, clock=lambda: at[0], now=wiring.wall_clock)


class Door:
    """Who connects to a gateway, and from where."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def enter(self, address: str) -> tuple[Line, Listener]:
        """Connect from an address."""
        line = Line()
        line.address = address
        return line, self._gateway.accept(line)


def test_one_connection_more_than_its_address_may_have_is_closed_and_no_other() -> None:
    gateway = a_gateway(2, at=[0.0])
    door = Door(gateway)
    first, leaver = door.enter("2001:db8:7::1")
    second, _ = door.enter("2001:db8:7::2")

    refused, refused_client = door.enter("2001:db8:7::3")
    elsewhere = [door.enter(address)[0] for address in ("2001:db8:7:1::1", "10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2")]

    assert [line.code for line in (first, second, refused)] == [None, None, CROWDED]
    assert [line.code for line in elsewhere] == [None] * 4
    assert door.enter("10.0.0.1")[0].code == CROWDED  # also as IPv4 in IPv6
    assert gateway.closes == {"too_many_of_address": 2}
    assert gateway.address_connections_max == 2

    # Who was refused is not counted, and frees no place when he goes; who leaves does.
    refused_client.on_closed()
    assert door.enter("2001:db8:7::3")[0].code == CROWDED
    leaver.on_closed()
    assert [door.enter("2001:db8:7::4")[0].code for _ in range(2)] == [None, CROWDED]


def test_who_is_refused_and_does_not_go_is_let_go_of_and_nothing_is_kept_of_addresses_that_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = [0.0]
    gateway = a_gateway(1, at=at)
    door = Door(gateway)
    _, kept = door.enter("10.0.0.1")
    line, refused = door.enter("10.0.0.1")
    aborted: list[bool] = []
    monkeypatch.setattr(line, "abort", lambda: aborted.append(True))

    at[0] = LINGER_S + 1
    gateway.tick()
    refused.on_closed()
    kept.on_closed()

    assert aborted == [True]
    assert (gateway.connections, gateway.address_connections_max) == (0, 0)
    assert gateway._networks == {}


async def test_nobody_is_sent_away_for_what_a_gateway_did_not_read_while_it_stood_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gateways, "TICK_S", 0.001)
    at = [0.0]
    gateway = a_gateway(9, at=at)
    door = Door(gateway)
    stranger, _ = door.enter("10.0.0.1")
    working = asyncio.create_task(gateway.run())
    await until(lambda: gateway._ticks > 1)

    async def look(times: int) -> None:
        ticks = gateway._ticks
        await until(lambda: gateway._ticks >= ticks + times)

    at[0] += 3600  # it was stopped, and its machine's clock was not
    await look(3)
    code_then = stranger.code
    for _ in range(6):
        at[0] += 2
        await look(2)
    working.cancel()

    assert code_then is None
    assert stranger.code == Close.STALE


def test_of_an_address_that_is_full_the_log_says_so_once_until_places_were_free(
    caplog: pytest.LogCaptureFixture,
) -> None:
    door = Door(a_gateway(2, at=[0.0]))
    clients = [door.enter("10.0.0.1")[1] for _ in range(5)]

    clients[0].on_closed()
    clients += [door.enter("10.0.0.1")[1] for _ in range(3)]

    said = [record.__dict__ for record in caplog.records if record.message == "push.address_full"]
    assert [(facts["network"], facts["connections"]) for facts in said] == [("10.0.0.1", 2)] * 2


@pytest.mark.parametrize(("most", "address"), [(0, "10.0.0.1"), (1, "")])
def test_without_a_limit_or_an_address_nobody_is_refused(most: int, address: str) -> None:
    door = Door(a_gateway(most, at=[0.0]))

    assert {door.enter(address)[0].code for _ in range(50)} == {None}


def test_a_campus_has_ten_thousand_places_unless_the_house_says_otherwise(tmp_path: Any) -> None:
    environment = {"TUANZI_DATA": str(tmp_path), "TUANZI_SECRET": "s" * 32}

    assert read_settings(environment).live_address_max == PushLimits().per_address_max == 10_000
    assert read_settings({**environment, "TUANZI_LIVE_ADDRESS_MAX": "0"}).live_address_max == 0


@asynccontextmanager
async def serving(gateway: Gateway, *, proxies: str) -> AsyncIterator[int]:
    """A gateway on a free port of this machine."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    server = await serve_sockets(
        listening,
        {JSON: gateway.accept},
        path="/connection/websocket",
        has_room=lambda: True,
        client_of=Proxies(proxies).client_of,
        refuse=Refusals(Ids(Random(7).getrandbits)).tell,
        message_bytes_max=1024,
        unsent_bytes_max=1024,
        arriving_max=100,
        arriving_of_one_max=100,
    )
    yield port
    server.close()


async def close_code(gateway: Gateway, port: int, forwarded: str) -> int | None:
    """Connect, for whom a proxy says; why it was closed, None when it was not."""
    refused, came = gateway.closes.total(), gateway.connections + gateway.closes.total()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET /connection/websocket HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"X-Forwarded-For: %b\r\n\r\n" % forwarded.encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    await until(lambda: gateway.connections + gateway.closes.total() > came)
    if gateway.closes.total() == refused:
        OPEN.append(writer)
        return None
    frame = await reader.readexactly(4)
    writer.close()
    return int.from_bytes(frame[2:4], "big")


OPEN: list[asyncio.StreamWriter] = []


@pytest.mark.parametrize(
    ("proxies", "codes"),
    [
        ("127.0.0.1", [None, None, CROWDED]),  # who asked is whom the proxy names
        ("", [None, CROWDED, CROWDED]),  # nobody is believed: all come from this machine
    ],
)
async def test_the_address_of_a_connection_is_its_peers_or_what_a_proxy_says_that_is_believed(
    proxies: str, codes: list[int | None]
) -> None:
    gateway = a_gateway(1, at=[0.0])
    async with serving(gateway, proxies=proxies) as port:
        told = [await close_code(gateway, port, client) for client in ("9.9.9.1", "9.9.9.2", "9.9.9.1")]

        while OPEN:
            OPEN.pop().close()
        await until(lambda: gateway.connections == 0)

    assert told == codes
