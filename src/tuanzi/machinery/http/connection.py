"""HTTP/1.1 for an ASGI application: one connection, its requests one after another (RFC 9112).

Everything a client can make large or slow is bounded (J5): the head, how many requests wait behind one another, what of
a body waits to be read, how long a head, the rest of a body, the next request and the reading of an answer may take.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import unquote

import httptools
from starlette.types import ASGIApp

from tuanzi.base.problem import Problem
from tuanzi.machinery.http.exchange import CLOSE, Exchange, head_of
from tuanzi.machinery.http.problems import (
    AddressTooLong,
    AnswerFailed,
    HeadTooLarge,
    RequestUnreadable,
    VersionUnknown,
)
from tuanzi.machinery.http.reading import Headers, headers_of
from tuanzi.machinery.http.refusals import Refusal

log = logging.getLogger("tuanzi.http")

_VERSIONS = frozenset({"1.0", "1.1"})


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection may use; seconds are rounded up to the server's next look at it, once a second.

    Our choice: heads as nginx bounds them (32 KiB in all), the idle time longer than that of the usual proxies (60 s).
    """

    idle_s: int = 75
    head_wait_s: int = 10
    rest_wait_s: int = 10
    choked_s: int = 30
    head_bytes: int = 32 * 1024
    headers: int = 100
    url_bytes: int = 8 * 1024
    body_bytes: int = 64 * 1024
    pipelined: int = 64


class Host(Protocol):
    """What a connection needs of its server. ticks: seconds since it began, counted by its one timer."""

    application: ASGIApp
    bounds: Bounds
    ticks: int
    is_stopping: bool

    def client_of(self, peer: tuple[str, int] | None, headers: list[tuple[bytes, bytes]]) -> tuple[str, int] | None:
        """Whom a request came from, as far as proxies are believed."""

    def refuse(self, problem: Problem, headers: Headers) -> Refusal:
        """How a refusal is told to who sent these headers."""

    def opened(self, connection: Connection) -> None:
        """A client is there."""

    def ended(self, connection: Connection) -> None:
        """It is gone, and nothing is done for it any more."""


class Connection(asyncio.Protocol):
    """One client's connection; answers its requests in their order, whatever comes in between."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._bounds = host.bounds
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._peer: tuple[str, int] | None = None
        self._local: tuple[str, int] | None = None
        self._reading: Exchange | None = None  # the one whose bytes are coming
        self._current: Exchange | None = None  # the one that is being answered
        self._waiting: deque[Exchange] = deque()
        self._task: asyncio.Task[None] | None = None
        self._called: asyncio.Future[None] | None = None  # what the task waits for between two requests
        self._until = 0
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._is_in_head = False
        self._expects_continue = False
        self._refusal: Problem | None = None
        self._is_paused = False
        self._is_ending = False
        self._drained: asyncio.Future[None] | None = None
        self.is_choked = False

    # what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there and has as long as for a head."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self._peer = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None
        self._local = (str(local[0]), int(local[1])) if isinstance(local, tuple) else None
        self._until = self._host.ticks + self._bounds.idle_s
        self._host.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone; who works for it learns so when he waits for the rest of the body."""
        self._transport = None
        self._forget_waiting()
        for exchange in (self._reading, self._current):
            if exchange is not None:
                exchange.hang_up()
        self.resume_writing()
        if self._task is None:
            self._end()
        elif self._called is not None and not self._called.done():
            self._called.set_result(None)

    def eof_received(self) -> bool:
        """The client sends no more, but may still read its answers."""
        if self._reading is not None and not self._reading.is_read:
            self._reading.hang_up()
        self._is_ending = True
        return self._current is not None

    def data_received(self, data: bytes) -> None:
        """Bytes of one request or of several."""
        parser = self._parser
        if self._is_ending or parser is None:
            return
        was_in_head = self._is_in_head
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._is_ending = True  # what comes after is another protocol, which nobody speaks here
        except httptools.HttpParserError:
            reading = self._reading
            if reading is None or not reading.is_read or reading.keeps_alive:
                self._refusal = self._refusal or RequestUnreadable()
            else:
                self._is_ending = True  # after the last request nothing is read
        if self._is_in_head and was_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self._bounds.head_bytes:
                self._refusal = self._refusal or HeadTooLarge()
        if self._refusal:
            self._refuse()

    def pause_writing(self) -> None:
        """The client does not read what is sent."""
        self.is_choked = True
        self._until = self._host.ticks + self._bounds.choked_s

    def resume_writing(self) -> None:
        """It reads again, or is gone."""
        self.is_choked = False
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # what the parser calls

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._url = b""
        self._headers = []
        self._head_bytes = 0
        self._is_in_head = True
        self._expects_continue = False
        if self._current is None:
            self._until = self._host.ticks + self._bounds.head_wait_s

    def on_url(self, url: bytes) -> None:
        """The target, or a part of it."""
        self._url += url
        if len(self._url) > self._bounds.url_bytes:
            self._refusal = self._refusal or AddressTooLong()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; those after the body are nobody's."""
        if not self._is_in_head or self._refusal:
            return
        name = name.lower()
        self._headers.append((name, value))
        self._head_bytes += len(name) + len(value)
        if len(self._headers) > self._bounds.headers or self._head_bytes > self._bounds.head_bytes:
            self._refusal = HeadTooLarge()
        elif name == b"expect":
            self._expects_continue = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        """The head is there: it is answered now, or when those before it are."""
        self._is_in_head = False
        parser = self._parser
        if self._refusal or parser is None:
            return
        version = parser.get_http_version()
        scope = self._scope_of(parser.get_method(), version)
        if scope is None or version not in _VERSIONS:
            self._refusal = RequestUnreadable() if scope is None else VersionUnknown()
            return
        is_upgrade = parser.should_upgrade()
        if is_upgrade and _has_body(self._headers):
            self._refusal = RequestUnreadable()  # its body cannot be told from the other protocol
            return
        exchange = Exchange(
            self,
            scope,
            keeps_alive=parser.should_keep_alive() and not is_upgrade,
            expects_continue=self._expects_continue and version == "1.1",
        )
        self._reading = exchange
        if self._current is None:
            self._begin(exchange)
        elif len(self._waiting) < self._bounds.pipelined:
            self._waiting.append(exchange)
            self.regulate()
        else:
            self._reading = None
            self._refusal = RequestUnreadable()

    def on_body(self, chunk: bytes) -> None:
        """Part of the body."""
        if self._reading is not None:
            self._reading.feed(chunk)
            if self._reading.buffered > self._bounds.body_bytes:
                self.regulate()

    def on_message_complete(self) -> None:
        """The body is there too; what comes next has headers of its own."""
        if self._refusal is None:
            self._headers = []
        if self._reading is not None:
            self._reading.end()

    # what exchanges and the server call

    @property
    def is_last(self) -> bool:
        """Whether the answer under way is the last of this connection."""
        return (self._host.is_stopping or self._refusal is not None or self._is_ending) and not self._waiting

    def write(self, data: bytes) -> None:
        """Send; when the client is gone it goes nowhere."""
        if self._transport is not None:
            self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the client reads again, or is gone."""
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_future()
        await self._drained

    def regulate(self) -> None:
        """Read on only while nothing waits that is not wanted yet."""
        reading = self._reading
        pause = bool(self._waiting) or (reading is not None and reading.buffered > self._bounds.body_bytes)
        if pause == self._is_paused or self._transport is None or self._transport.is_closing():
            return
        self._is_paused = pause
        if pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def look(self) -> None:
        """Close what takes too long; called once a second."""
        if self._host.ticks < self._until or self._transport is None:
            return
        if self.is_choked or self._transport.is_closing():
            self._transport.abort()
        elif self._current is None:
            self._transport.close()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being answered here."""
        return self._current is None

    def stop(self) -> None:
        """Close as soon as what is under way is answered; now, if nothing is."""
        if self._current is None and self._transport is not None:
            self._transport.close()

    def abort(self) -> asyncio.Task[None] | None:
        """Close at once; gives the work that was cancelled."""
        if self._transport is not None:
            self._transport.abort()
        if self._task is not None:
            self._task.cancel()
        return self._task

    # the work

    def _scope_of(self, method: bytes, version: str) -> dict[str, Any] | None:
        """What ASGI tells of a request; None when its target is none."""
        url = self._url
        try:
            if url[:1] != b"/" or b"#" in url:
                parsed = httptools.parse_url(url)
                raw_path, query = parsed.path or b"/", parsed.query or b""
            else:
                raw_path, _, query = url.partition(b"?")
            path = raw_path.decode("ascii")
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
            return None
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "server": self._local,
            "client": self._host.client_of(self._peer, self._headers),
            "scheme": "http",
            "method": method.decode("ascii"),
            "root_path": "",
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._headers,
        }

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())
        elif self._called is not None and not self._called.done():
            self._called.set_result(None)

    async def _work(self) -> None:
        """Answer one exchange after another; one task for a connection, as each request's own would cost as much as its
        parsing. So what an application keeps in a context variable lasts as long as the connection."""
        try:
            while self._current is not None:
                exchange = self._current
                try:
                    await self._host.application(exchange.scope, exchange.receive, exchange.send)
                except Exception:
                    log.error("http.application_failed", exc_info=True)
                finally:
                    exchange.let_go()
                self._finish(exchange)
                if self._current is None and self._transport is not None:
                    self._called = asyncio.get_running_loop().create_future()
                    await self._called
        finally:
            self._task = None
            if self._current is not None:
                self._current = None
                if self._transport is not None:
                    self._transport.abort()
            if self._transport is None:
                self._end()

    def _end(self) -> None:
        """Nobody is there and nothing is done any more: what refers to this is let go of, so that it is gone at once.
        Else each that closed would leave a ring of some 20 objects for Python's collector."""
        if self._reading is not None:
            self._reading.let_go()
        self._parser = self._reading = None
        self._host.ended(self)

    def _forget_waiting(self) -> None:
        """Nobody is answered any more."""
        for exchange in self._waiting:
            exchange.let_go()
        self._waiting.clear()

    def _finish(self, exchange: Exchange) -> None:
        """An exchange is over: the next one, or wait for it, or the end."""
        self._current = None
        if self._transport is None:
            return
        if not exchange.is_answered:
            self._refusal = self._refusal or (RequestUnreadable() if exchange.is_gone else AnswerFailed())
        if self._refusal and not self._waiting:
            self._refuse()
        elif not exchange.keeps_alive or self.is_last or exchange.expects_continue:
            self._is_ending = True
            self._close()
        elif self._waiting:
            self._begin(self._waiting.popleft())
            self.regulate()
        else:
            self._until = self._host.ticks + (self._bounds.idle_s if exchange.is_read else self._bounds.rest_wait_s)
            self.regulate()

    def _refuse(self) -> None:
        """What came is no request: say so when those before it are answered, and read no more."""
        self._is_ending = True
        if self._reading is not None and not self._reading.is_read:
            self._reading.hang_up()
        if self._current is not None or self._transport is None or self._refusal is None:
            return
        told = self._host.refuse(self._refusal, headers_of(self._headers))
        headers = [*told.headers, (b"content-length", b"%d" % len(told.body)), CLOSE]
        self.write(head_of(told.status, headers) + told.body)
        self._close()

    def _close(self) -> None:
        """End the sending side; what still comes is read and forgotten for a moment, so that the answer is not lost to
        a reset (RFC 9112, 9.6)."""
        transport = self._transport
        if transport is None:
            return
        if (self._reading is None or self._reading.is_read) and not self._refusal:
            transport.close()
            return
        self._until = self._host.ticks + 2
        self._forget_waiting()
        if self._is_paused:
            self._is_paused = False
            transport.resume_reading()
        try:
            transport.write_eof()
        except OSError:  # the client has gone already
            transport.close()


def _has_body(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 ") != b"")
        for name, value in headers
    )
