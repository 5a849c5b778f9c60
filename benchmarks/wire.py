"""The client side of HTTP/1.1, as cheap as it can be, so that the load generator does not measure itself.

One request at a time on a kept connection; answers must carry a Content-Length. Nothing is retried.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

AnswerT = Callable[[int, bytes], None]
_HEADERS = (
    b"Host: 127.0.0.1\r\nAuthorization: Bearer %b\r\nIdempotency-Key: %b\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
)
POST = b"POST %b HTTP/1.1\r\n" + _HEADERS
GET = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %b\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens on this machine."""

    port: int
    host: str = "127.0.0.1"


class Connection(asyncio.Protocol):
    """A kept connection that carries one request at a time."""

    __slots__ = ("_buffer", "_on_answer", "_transport", "is_lost")

    def __init__(self) -> None:
        self._buffer = b""
        self._on_answer: AnswerT | None = None
        self._transport: asyncio.Transport | None = None
        self.is_lost = False

    def send(self, request: bytes, on_answer: AnswerT) -> None:
        """Send one request; `on_answer` is called once with (status, body), status 0 meaning the connection is lost."""
        if self.is_lost or self._transport is None:
            on_answer(0, b"")
            return
        self._on_answer = on_answer
        self._transport.write(request)

    def close(self) -> None:
        """Close without waiting."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Kept by asyncio's rules."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it

    def data_received(self, data: bytes) -> None:
        """Usually the whole answer in one piece; otherwise pieces are put together."""
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._buffer = data
            return
        at = data.find(b"content-length: ", 0, end)
        if at < 0:
            at = data[:end].lower().find(b"content-length: ")
        if at < 0:
            raise RuntimeError(f"an answer without Content-Length: {data[:end]!r}")
        length = int(data[at + 16 : data.index(b"\r", at)])
        body = data[end + 4 :]
        if len(body) < length:
            self._buffer = data
            return
        self._buffer = b""
        on_answer = self._on_answer
        if on_answer is None or len(body) > length:
            raise RuntimeError("an answer that nobody asked for")
        self._on_answer = None
        on_answer(int(data[9:12]), body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits hears of it as status 0."""
        self.is_lost = True
        on_answer, self._on_answer = self._on_answer, None
        if on_answer is not None:
            on_answer(0, b"")


async def connect(address: Address, count: int) -> list[Connection]:
    """That many open connections."""
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Connection, address.host, address.port))[1] for _ in range(count)]


class Pace:
    """An open loop: tells when the next of a steady `rate` a second is due, whatever the server does.

    Times are those of `time.perf_counter()`, in seconds: uvloop's own clock counts whole milliseconds and stands still
    while it works, which would hide latency.
    """

    def __init__(self, rate: float, *, seconds: float, act: Callable[[float], None]) -> None:
        """act: called with the scheduled time of each; it must not wait."""
        self._step = 1 / rate
        self._count = int(rate * seconds)
        self._act = act

    async def run(self) -> None:
        """Call `act` for each that is due, once a millisecond; returns when all were called."""
        began = time.perf_counter()
        sent = 0
        while sent < self._count:
            due = min(self._count, int((time.perf_counter() - began) / self._step) + 1)
            while sent < due:
                self._act(began + sent * self._step)
                sent += 1
            await asyncio.sleep(0.001)


def percentile(ordered: list[float], share: float) -> float:
    """The value that `share` of `ordered` does not exceed (nearest rank); 0 for none."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
