"""HTTP/1.1 over a real socket: what goes out, what is refused, what is too slow, and how it stops (J2, J5)."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.waiting import until
from tuanzi.base.ids import Ids
from tuanzi.machinery.http.connection import Bounds, Connection
from tuanzi.machinery.http.exchange import Exchange
from tuanzi.machinery.http.refusals import Refusals
from tuanzi.machinery.http.server import Server

REFUSALS = Refusals(Ids(Random(1).getrandbits))

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """Answers what it was asked: method, path, query and body; notes what happened."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.let_go = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.seen.append(path)
        if path == "/crash":
            raise RuntimeError("as planted")
        if path == "/wait":
            await self.let_go.wait()
        body = b""
        while path != "/unread":
            message = await receive()
            if message["type"] == "http.disconnect":
                self.seen.append("gone")
                return
            body += message["body"]
            if not message["more_body"]:
                break
        if path == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for part in (b"one ", b"two"):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        if path == "/large":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(200):
                await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        extra = [(b"x-evil", b"a\r\nset-cookie: b")] if path == "/evil" else []
        client = scope["client"][0]
        said = b"%s %s %s %s" % (scope["method"].encode(), path.encode(), scope["query_string"], client.encode())
        await send({"type": "http.response.start", "status": 200, "headers": extra})
        await send({"type": "http.response.body", "body": said + b" " + body})


@asynccontextmanager
async def serving(
    application: ASGIApp,
    *,
    bounds: Bounds | None = None,
    proxies: str = "",
    drain_s_max: float = 5.0,
    connections_max: int = 1000,
) -> AsyncIterator[tuple[Server, Callable[[], Awaitable[Client]]]]:
    server = Server(
        application,
        refuse=REFUSALS.tell,
        proxies=proxies,
        drain_s_max=drain_s_max,
        bounds=bounds or Bounds(),
        connections_max=connections_max,
    )
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    task = asyncio.create_task(server.serve(listening))
    await asyncio.sleep(0)

    async def connect() -> Client:
        return await asyncio.open_connection("127.0.0.1", port)

    try:
        async with asyncio.timeout(60):  # of a busy machine; nothing here is waited for so long
            yield server, connect
    finally:
        server.close()
        await task


async def answer(reader: asyncio.StreamReader, *, bodiless: bool = False) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lines = head.split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:-2])
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    elif "content-length" in headers and not bodiless:
        body = await reader.readexactly(int(headers["content-length"]))
    return int(lines[0].split(" ")[1]), headers, body


async def test_a_connection_is_kept_and_answers_one_request_after_another() -> None:
    async with serving(Echo()) as (_, connect):
        reader, writer = await connect()
        for i in range(3):
            writer.write(b"GET /a%%20b?n=%d HTTP/1.1\r\nHost: x\r\n\r\n" % i)
            status, headers, body = await answer(reader)
            assert (status, body) == (200, b"GET /a b n=%d 127.0.0.1 " % i)
            assert "connection" not in headers


async def test_one_connection_too_many_closes_the_oldest_that_is_not_being_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    echo = Echo()
    async with serving(echo, connections_max=3) as (server, connect):
        busy, silent, kept = await connect(), await connect(), await connect()
        busy[1].write(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: echo.seen == ["/wait"])
        kept[1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await answer(kept[0])

        newcomer = await connect()
        gone = await silent[0].read()
        for client in (newcomer, kept):
            client[1].write(b"GET /later HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await answer(client[0]))[0] == 200
        echo.let_go.set()
        waited = await answer(busy[0])
        for _, writer in (busy, silent, kept, newcomer):
            writer.close()
        await until(lambda: not server._connections)

    assert gone == b""
    assert waited[0] == 200
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == ["http.connections_full"]


async def test_where_all_are_being_answered_the_newcomer_goes() -> None:
    echo = Echo()
    async with serving(echo, connections_max=2) as (_, connect):
        busy = [await connect(), await connect()]
        for _, writer in busy:
            writer.write(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: echo.seen == ["/wait"] * 2)

        newcomer = await connect()

        assert await newcomer[0].read() == b""
        echo.let_go.set()
        assert [(await answer(reader))[0] for reader, _ in busy] == [200, 200]
        for _, writer in (*busy, newcomer):
            writer.close()


async def test_nothing_of_an_answered_request_is_left_for_the_collector() -> None:
    async with serving(Echo()) as (_, connect):
        reader, writer = await connect()
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                await answer(reader)
            left = sum(type(each) is Exchange for each in gc.get_objects())
        finally:
            gc.enable()

    assert left <= 1  # the last one, as long as no other comes


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3,
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
        b"GET /fail HTTP/1.1\r\nHost: x\r\n\r\n",
        b"no request\r\n\r\n",
    ],
)
async def test_nothing_of_a_closed_connection_is_left_for_the_collector(sent: bytes) -> None:
    async with serving(Echo()) as (server, connect):
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                _, writer = await connect()
                writer.write(sent)
                await asyncio.sleep(0.005)
                writer.close()
            await server._empty.wait()
            left = [each for each in gc.get_objects() if type(each) in (Connection, Exchange)]
        finally:
            gc.enable()

    assert len(left) <= 1


async def test_requests_sent_at_once_are_answered_in_their_order() -> None:
    echo = Echo()
    async with serving(echo) as (_, connect):
        reader, writer = await connect()
        writer.write(b"GET /wait HTTP/1.1\r\n\r\n" + b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % i for i in range(20)))
        await until(lambda: echo.seen)
        await asyncio.sleep(0.05)  # time for what would be asked too early
        assert echo.seen == ["/wait"]
        echo.let_go.set()
        paths = [(await answer(reader))[2].split(b" ")[1] for _ in range(21)]
        assert paths == [b"/wait", *(b"/%d" % i for i in range(20))]


async def test_more_requests_at_once_than_allowed_are_refused_after_the_ones_before() -> None:
    echo = Echo()
    async with serving(echo, bounds=Bounds(pipelined=3)) as (_, connect):
        reader, writer = await connect()
        writer.write(b"GET /wait HTTP/1.1\r\n\r\n" + b"GET / HTTP/1.1\r\n\r\n" * 9)
        await until(lambda: echo.seen == ["/wait"])
        echo.let_go.set()
        statuses = [(await answer(reader))[0] for _ in range(5)]
        assert statuses == [200, 200, 200, 200, 400]
        assert await reader.read() == b""


async def test_a_body_may_come_in_pieces_and_in_chunks() -> None:
    async with serving(Echo()) as (_, connect):
        reader, writer = await connect()
        writer.write(b"POST /p HTTP/1.1\r\nContent-Length: 6\r\n\r\nab")
        await asyncio.sleep(0.02)
        writer.write(b"cdef")
        assert (await answer(reader))[2].endswith(b" abcdef")
        writer.write(b"POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await asyncio.sleep(0.02)
        writer.write(b"2\r\nde\r\n0\r\nX-After: 1\r\n\r\n")
        assert (await answer(reader))[2].endswith(b" abcde")


async def test_a_large_body_arrives_whole_though_little_of_it_waits_at_a_time() -> None:
    async with serving(Echo(), bounds=Bounds(body_bytes=1000)) as (_, connect):
        reader, writer = await connect()
        writer.write(b"POST /p HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        assert len((await answer(reader))[2]) > 3_000_000


async def test_who_waits_for_leave_to_send_his_body_gets_it() -> None:
    async with serving(Echo()) as (_, connect):
        reader, writer = await connect()
        writer.write(b"POST /p HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ok")
        assert (await answer(reader))[2].endswith(b" ok")


async def test_a_body_that_nobody_reads_does_not_spoil_the_next_request() -> None:
    async with serving(Echo()) as (_, connect):
        reader, writer = await connect()
        writer.write(b"POST /unread HTTP/1.1\r\nContent-Length: 5\r\n\r\nab")
        assert (await answer(reader))[0] == 200
        writer.write(b"cdeGET /next HTTP/1.1\r\n\r\n")
        assert (await answer(reader))[2].startswith(b"GET /next")


async def test_a_head_answer_has_no_body_and_a_stream_comes_in_chunks() -> None:
    async with serving(Echo()) as (_, connect):
        reader, writer = await connect()
        writer.write(b"HEAD /x HTTP/1.1\r\n\r\nGET /stream HTTP/1.1\r\n\r\n")
        status, headers, _ = await answer(reader, bodiless=True)
        assert (status, headers["content-length"]) == (200, "19")
        assert (await answer(reader))[2] == b"one two"


async def test_older_clients_get_their_answer_and_the_end() -> None:
    async with serving(Echo()) as (_, connect):
        reader, writer = await connect()
        writer.write(b"GET /stream HTTP/1.0\r\n\r\n")
        said = await reader.read()
        assert said.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"connection: close" in said
        assert said.endswith(b"\r\n\r\none two")


async def test_a_last_request_is_told_so_and_nothing_after_it_is_read() -> None:
    echo = Echo()
    async with serving(echo) as (_, connect):
        reader, writer = await connect()
        writer.write(b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
        assert (await answer(reader))[1]["connection"] == "close"
        assert await reader.read() == b""
        assert echo.seen == ["/a"]


UNREADABLE, TOO_LARGE = (400, "http/request-unreadable"), (431, "http/head-too-large")


@pytest.mark.parametrize(
    ("sent", "refused"),
    [
        (b"NONSENSE\r\n\r\n", UNREADABLE),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", UNREADABLE),  # TLS
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", UNREADABLE),
        (b"GET /\xff HTTP/1.1\r\n\r\n", UNREADABLE),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", UNREADABLE),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", UNREADABLE),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nabc", UNREADABLE),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", UNREADABLE),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", (414, "http/address-too-long")),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", TOO_LARGE),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", TOO_LARGE),
    ],
)
async def test_what_is_no_request_is_refused_with_a_problem_and_the_connection_ends(
    sent: bytes, refused: tuple[int, str]
) -> None:
    echo = Echo()
    async with serving(echo) as (_, connect):
        reader, writer = await connect()
        writer.write(sent)
        said, headers, body = await answer(reader)
        assert (said, headers["connection"]) == (refused[0], "close")
        assert headers["content-type"] == "application/problem+json"
        problem = json.loads(body)
        assert (problem["status"], problem["code"], problem["instance"]) == (*refused, headers["x-request-id"])
        writer.write(b"GET /never HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
    assert "/never" not in echo.seen


async def test_what_is_no_request_is_refused_in_the_words_of_its_own_headers() -> None:
    async with serving(Echo()) as (_, connect):
        reader, writer = await connect()
        writer.write(b"GET /first HTTP/1.1\r\nAccept-Language: en\r\nX-Request-Id: first\r\n\r\n")
        assert (await answer(reader))[0] == 200
        writer.write(b"NONSENSE\r\n\r\n")
        _, headers, body = await answer(reader)
        assert (headers["content-language"], json.loads(body)["title"]) == ("zh-cn", "无法识别的 HTTP 请求")
        assert headers["x-request-id"] != "first"

        reader, writer = await connect()
        head = b"GET / HTTP/1.1\r\nAccept-Language: en\r\nX-Request-Id: mine\r\n"
        writer.write(head + b"X: y\r\n" * 200 + b"\r\n")
        _, headers, body = await answer(reader)
        assert (headers["content-language"], headers["x-request-id"]) == ("en", "mine")
        assert json.loads(body)["title"] == "There are more headers than this server reads, or longer ones."


async def test_a_head_that_does_not_end_is_refused_before_it_is_large() -> None:
    async with serving(Echo()) as (_, connect):
        reader, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(20):
            writer.write(b"y" * 4000)
            await asyncio.sleep(0.005)
        assert (await answer(reader))[0] == 431


async def test_an_upgrade_that_nobody_speaks_is_answered_as_a_plain_request() -> None:
    async with serving(Echo()) as (_, connect):
        reader, writer = await connect()
        writer.write(b"GET /u HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x85")
        status, headers, body = await answer(reader)
        assert (status, headers["connection"]) == (200, "close")
        assert body.startswith(b"GET /u")


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nX: ", b"\r\n"])
async def test_who_does_not_finish_his_request_is_let_go(sent: bytes) -> None:
    async with serving(Echo(), bounds=Bounds(idle_s=1, head_wait_s=1)) as (_, connect):
        reader, writer = await connect()
        writer.write(sent)
        async with asyncio.timeout(9):  # less than without these bounds
            assert await reader.read() == b""


async def test_who_does_not_read_his_answer_is_let_go_and_holds_nobody_up() -> None:
    async with serving(Echo(), bounds=Bounds(choked_s=1)) as (server, connect):
        _, writer = await connect()
        writer.write(b"GET /large HTTP/1.1\r\n\r\n")
        reader, other = await connect()
        other.write(b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert (await answer(reader))[0] == 200
        await reader.read()
        async with asyncio.timeout(20):  # less than without this bound
            await server._empty.wait()


async def test_whoever_hangs_up_in_the_middle_of_a_body_is_noticed() -> None:
    echo = Echo()
    async with serving(echo) as (server, connect):
        _, writer = await connect()
        writer.write(b"POST /p HTTP/1.1\r\nContent-Length: 5\r\n\r\nab")
        await until(lambda: echo.seen == ["/p"])
        writer.transport.abort()
        await server._empty.wait()
        assert echo.seen == ["/p", "gone"]


async def test_who_closes_his_sending_side_still_gets_his_answer() -> None:
    echo = Echo()
    async with serving(echo) as (_, connect):
        reader, writer = await connect()
        writer.write(b"GET /wait HTTP/1.1\r\n\r\n")
        writer.write_eof()
        await until(lambda: echo.seen == ["/wait"])
        await asyncio.sleep(0.05)  # time for the end to be heard of
        echo.let_go.set()
        assert (await answer(reader))[0] == 200
        assert await reader.read() == b""


@pytest.mark.parametrize("path", [b"/crash", b"/evil"])
async def test_an_application_that_fails_costs_its_own_request_only(path: bytes) -> None:
    async with serving(Echo()) as (_, connect):
        reader, writer = await connect()
        writer.write(b"GET " + path + b" HTTP/1.1\r\n\r\n")
        status, headers, _ = await answer(reader)
        assert (status, headers["connection"]) == (500, "close")
        assert "set-cookie" not in headers
        reader, writer = await connect()
        writer.write(b"GET /a HTTP/1.1\r\n\r\n")
        assert (await answer(reader))[0] == 200


async def test_a_stop_answers_what_was_asked_and_closes_who_waits() -> None:
    echo = Echo()
    async with serving(echo) as (server, connect):
        idle, _ = await connect()
        reader, writer = await connect()
        writer.write(b"GET /wait HTTP/1.1\r\n\r\n")
        await until(lambda: echo.seen == ["/wait"])
        server.close()
        assert await idle.read() == b""
        echo.let_go.set()
        status, headers, _ = await answer(reader)
        assert (status, headers["connection"]) == (200, "close")
        assert await reader.read() == b""
        with pytest.raises(OSError, match="Connect"):
            await connect()


async def test_a_stop_does_not_wait_for_ever() -> None:
    echo = Echo()
    async with serving(echo, drain_s_max=0.2) as (server, connect):
        reader, writer = await connect()
        writer.write(b"GET /wait HTTP/1.1\r\n\r\n")
        await until(lambda: echo.seen == ["/wait"])
        server.close()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await answer(reader)


@pytest.mark.parametrize(
    ("proxies", "said", "client"),
    [
        ("", b"9.9.9.9", b"127.0.0.1"),
        ("10.0.0.0/8", b"9.9.9.9", b"127.0.0.1"),
        ("127.0.0.1", b"9.9.9.9", b"9.9.9.9"),
        ("127.0.0.1, 10.0.0.0/8", b"1.1.1.1, 9.9.9.9, 10.1.2.3", b"9.9.9.9"),
        ("127.0.0.1", b"", b"127.0.0.1"),
        ("*", b"1.1.1.1, 9.9.9.9", b"1.1.1.1"),
    ],
)
async def test_only_proxies_that_are_believed_say_who_asks(proxies: str, said: bytes, client: bytes) -> None:
    async with serving(Echo(), proxies=proxies) as (_, connect):
        reader, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\nX-Forwarded-For: " + said + b"\r\n\r\n")
        assert (await answer(reader))[2].split(b" ")[3] == client


def test_a_proxy_is_believed_also_where_one_socket_hears_ipv4_and_ipv6() -> None:
    server = Server(Echo(), refuse=REFUSALS.tell, proxies="127.0.0.1")

    heard = [
        server.client_of((peer, 1), [(b"x-forwarded-for", b"9.9.9.9")])
        for peer in ("::ffff:127.0.0.1", "::ffff:127.0.0.2")
    ]

    assert heard == [("9.9.9.9", 0), ("::ffff:127.0.0.2", 1)]


def test_a_proxy_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        Server(Echo(), refuse=REFUSALS.tell, proxies="nowhere")
