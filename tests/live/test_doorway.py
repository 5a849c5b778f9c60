"""A5: who connects and does not say what he wants takes nobody's place, nor the loop's time."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random

import pytest

from tests.live.test_addresses import a_gateway
from tests.waiting import until
from tuanzi.base.ids import Ids
from tuanzi.engines.sockets.doorway import HANDSHAKE_S_MAX, Doorway
from tuanzi.engines.sockets.picows import serve_sockets
from tuanzi.machinery.http.proxies import Proxies
from tuanzi.machinery.http.refusals import Refusals
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.push.protocol import JSON

ASKS = (
    b"GET /connection/websocket HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
HERE, NEXT_DOOR, FAR = "127.0.0.1", "127.0.0.2", "127.0.0.3"
Caller = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def serving(*, most: int, most_of_one: int) -> AsyncIterator[int]:
    """A gateway whose doorway has room for so many."""
    gateway = a_gateway(0, at=[0.0])
    listening = socket.socket()
    listening.bind(("0.0.0.0", 0))
    port = listening.getsockname()[1]
    server = await serve_sockets(
        listening,
        {JSON: gateway.accept},
        path="/connection/websocket",
        has_room=lambda: True,
        client_of=Proxies("").client_of,
        refuse=Refusals(Ids(Random(7).getrandbits)).tell,
        message_bytes_max=1024,
        unsent_bytes_max=1024,
        arriving_max=most,
        arriving_of_one_max=most_of_one,
    )
    yield port
    server.close()


async def call(port: int, address: str) -> Caller:
    """Connect from an address of this machine."""
    return await asyncio.open_connection(HERE, port, local_addr=(address, 0))


async def asks(caller: Caller) -> bytes:
    """Ask to be let through; the first line of the answer, "" where the connection is gone."""
    reader, writer = caller
    writer.write(ASKS)
    try:
        return await asyncio.wait_for(reader.readline(), 60)
    except ConnectionResetError:
        return b""


async def gone_of(*callers: Caller) -> list[bool]:
    """Which connections have ended, a moment after one of them has."""

    def look() -> list[bool]:
        return [reader.at_eof() or reader.exception() is not None for reader, _ in callers]

    await until(lambda: any(look()))
    await asyncio.sleep(0.2)  # time for others to go too
    return look()


async def leave(*callers: Caller) -> None:
    """Hang up."""
    for _, writer in callers:
        writer.close()


async def test_of_an_address_that_only_holds_places_the_oldest_goes_and_nobody_else() -> None:
    async with serving(most=10, most_of_one=3) as port:
        through = await call(port, HERE)
        answered = await asks(through)
        silent = [await call(port, HERE) for _ in range(3)]
        neighbour = await call(port, NEXT_DOOR)
        newcomer = await call(port, HERE)

        gone = await gone_of(*silent, neighbour, newcomer, through)
        asked = [await asks(caller) for caller in (silent[1], neighbour, newcomer)]
        await leave(through, *silent, neighbour, newcomer)

    assert answered == b"HTTP/1.1 101 Switching Protocols\r\n"
    assert gone == [True, False, False, False, False, False]
    assert asked == [answered] * 3


async def test_of_all_who_only_hold_places_the_oldest_goes() -> None:
    async with serving(most=3, most_of_one=2) as port:
        silent = [await call(port, address) for address in (HERE, NEXT_DOOR, NEXT_DOOR)]
        newcomer = await call(port, FAR)

        gone = await gone_of(*silent, newcomer)
        await leave(*silent, newcomer)

    assert gone == [True, False, False, False]


async def test_a_campus_behind_one_address_comes_back_at_once_and_all_are_let_through() -> None:
    limits = PushLimits(per_address_max=1000)
    async with serving(most=limits.arriving_max, most_of_one=limits.arriving_of_one_max) as port:
        callers = await asyncio.gather(*(call(port, HERE) for _ in range(400)))
        answers = await asyncio.gather(*map(asks, callers))
        await leave(*callers)

    assert limits.arriving_of_one_max == 500
    assert set(answers) == {b"HTTP/1.1 101 Switching Protocols\r\n"}


def test_who_was_let_through_or_could_stay_no_longer_is_not_counted() -> None:
    at = [0.0]
    listening = socket.socket()
    listening.bind((HERE, 0))
    listening.listen()
    port = listening.getsockname()[1]
    with Doorway(listening, most=9, most_of_one=2, clock=lambda: at[0]) as doorway:
        calling = [socket.create_connection((HERE, port)) for _ in range(2)]
        accepted = [doorway.accept() for _ in calling]
        doorway.passed(accepted[0][1])
        doorway.passed(accepted[0][1])
        after_one_passed = doorway.in_doorway
        at[0] = HANDSHAKE_S_MAX + 1
        calling += [socket.create_connection((HERE, port)) for _ in range(2)]
        accepted += [doorway.accept() for _ in range(2)]

        assert (after_one_passed, doorway.in_doorway, doorway.turned_away) == (1, 2, 0)
        for connection in (*calling, *(each for each, _ in accepted)):
            connection.close()


async def test_without_files_newcomers_are_turned_away_and_the_loop_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(most=10, most_of_one=10) as port:
        through = await call(port, HERE)
        assert (await asks(through)).startswith(b"HTTP/1.1 101")
        callers = [socket.socket() for _ in range(3)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        filling: list[int] = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(each.fileno() for each in callers) + 8, hard))
            with suppress(OSError):
                while True:
                    filling.append(os.open(os.devnull, os.O_RDONLY))
            for caller in callers:
                caller.setblocking(False)
                await asyncio.get_running_loop().sock_connect(caller, (HERE, port))
            await until(lambda: "live.no_files_left" in [record.message for record in caplog.records])
            said = [await asyncio.wait_for(asyncio.get_running_loop().sock_recv(each, 1), 60) for each in callers]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for file in filling:
                os.close(file)
        later = await call(port, HERE)
        answered = await asks(later)
        await leave(through, later)
        for caller in callers:
            caller.close()

    assert said == [b""] * 3
    assert answered.startswith(b"HTTP/1.1 101")
    assert [record.message for record in caplog.records if record.levelname != "DEBUG"] == ["live.no_files_left"]
