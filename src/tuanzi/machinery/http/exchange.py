"""One HTTP/1.1 request and its answer, as an ASGI application sees them (RFC 9112)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Protocol

from starlette.types import Message

CLOSE = (b"connection", b"close")
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_BODILESS = frozenset({204, 304})
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CHUNKED = (b"transfer-encoding", b"chunked")


class Sender(Protocol):
    """What an exchange needs of its connection."""

    is_choked: bool

    @property
    def is_last(self) -> bool:
        """Whether the answer under way is the last of this connection."""

    def write(self, data: bytes) -> None:
        """Send; when the client is gone it goes nowhere."""

    async def drained(self) -> None:
        """Wait until the client reads again, or is gone."""

    def regulate(self) -> None:
        """Read on only while nothing waits that is not wanted yet."""


class Exchange:
    """One request and its answer, as ASGI sees them."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_has_begun",
        "_is_chunked",
        "_is_head",
        "_start",
        "_waiter",
        "buffered",
        "expects_continue",
        "is_answered",
        "is_gone",
        "is_read",
        "keeps_alive",
        "scope",
    )

    def __init__(self, connection: Sender, scope: dict[str, Any], *, keeps_alive: bool, expects_continue: bool) -> None:
        self.scope = scope
        self.keeps_alive = keeps_alive
        self.expects_continue = expects_continue
        self.buffered = 0
        self.is_read = False
        self.is_answered = False
        self.is_gone = False
        self._connection = connection
        self._chunks: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._start: Message | None = None
        self._has_begun = False
        self._is_chunked = False
        self._is_head = scope["method"] == "HEAD"
        scope["tuanzi.received"] = self.received

    def received(self) -> bytes | None:
        """The whole body when all of it is here already; then `receive` has nothing more to give."""
        if not self.is_read or self.is_gone:
            return None
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._take()
        return body

    async def receive(self) -> Message:
        """The next part of the body, or that the client is gone (ASGI)."""
        while not self._chunks and not self.is_read and not self.is_gone:
            if self.expects_continue and not self.is_answered:
                self.expects_continue = False
                self._connection.write(_CONTINUE)
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self.is_gone or self.is_answered:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self._take(), "more_body": not self.is_read}

    async def send(self, message: Message) -> None:
        """Part of the answer (ASGI); head and body leave in one write. Waits while the client does not read."""
        if message["type"] == "http.response.start":
            if self._has_begun:
                raise RuntimeError("an answer begins once")
            self._has_begun = True
            self._start = message
            return
        if self.is_answered or not self._has_begun:
            raise RuntimeError("a body comes after its head, and ends once")
        body: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        start, self._start = self._start, None
        head = b"" if start is None else self._head_of(start, is_whole=not more, size=len(body))
        if self._is_head:
            body = b""
        elif self._is_chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        self.is_answered = not more
        connection = self._connection
        if head or body:
            connection.write(head + body)
        if connection.is_choked:
            await connection.drained()

    def feed(self, chunk: bytes) -> None:
        """More of the body came; after the answer nobody wants it."""
        self.expects_continue = False
        if not self.is_answered:
            self._chunks.append(chunk)
            self.buffered += len(chunk)
            self._wake()

    def end(self) -> None:
        """The body is complete."""
        self.is_read = True
        self._wake()

    def hang_up(self) -> None:
        """Nobody waits for the answer any more."""
        self.is_gone = True
        self._wake()

    def let_go(self) -> None:
        """It is over: nothing refers to itself any more, so that it is gone at once and not when Python next looks."""
        self.scope.pop("tuanzi.received", None)

    def _take(self) -> bytes:
        body = b"".join(self._chunks)
        self._chunks.clear()
        if self.buffered:
            self.buffered = 0
            self._connection.regulate()
        return body

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _head_of(self, start: Message, *, is_whole: bool, size: int) -> bytes:
        status: int = start["status"]
        headers = list(start.get("headers", ()))
        named = {name for name, _ in headers}
        if b"content-length" not in named and status not in _BODILESS:
            if is_whole:
                headers.append((b"content-length", b"%d" % size))
            elif self.scope["http_version"] == "1.1":
                headers.append(_CHUNKED)
                self._is_chunked = True
            else:
                self.keeps_alive = False  # the end of the connection is the end of the body
        if not self.keeps_alive or self._connection.is_last:
            headers.append(CLOSE)
        return head_of(status, headers)


def head_of(status: int, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The head of an answer. Raises RuntimeError when a header would make two of itself."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    if lines.count(b"\n") != len(headers):
        raise RuntimeError("a header holds a line break")
    return _STATUS_LINES[status] + lines + b"\r\n"
