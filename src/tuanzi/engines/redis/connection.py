"""One pipelined connection to one Redis server; each reply comes in time or is `LOST`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, Self, cast

import hiredis

# Our choice: at 100 bytes each 1 MB waits at the worst; more asks than that are lost at once.
WAITING_MAX = 10_000
# So many replies in a row that came too late, and nothing more is asked until one comes: 3 asks find out, not all.
LATE_MAX = 3
OPEN_S_MAX = 0.5
_STALL_S = 0.004

_MORE: Final = object()

Word = bytes | str | int


class Lost(Enum):
    """What stands for a reply that did not come, or that says that this server is the wrong one to ask."""

    LOST = "lost"


LOST: Final = Lost.LOST


class Refused(Exception):
    """A server does not let this client in; says why."""


class Connection(asyncio.Protocol):
    """One connection. What is asked in one turn of the event loop goes out in one write."""

    def __init__(self, *, reply_s: float, on_wrong: Callable[[], None]) -> None:
        """reply_s: how long a reply is waited for. on_wrong: called when the server says another one is to be asked,
        and when the connection ends."""
        self._loop = asyncio.get_running_loop()
        self._reply_s = reply_s
        self._on_wrong = on_wrong
        self._reader = hiredis.Reader(notEnoughData=_MORE)
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._late = 0  # replies that nobody waits for any more
        self._late_since = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    @classmethod
    async def open(
        cls, address: tuple[str, int], *, user: str, password: str, reply_s: float, on_wrong: Callable[[], None]
    ) -> Self:
        """A connection that has been let in. Raises OSError, TimeoutError or Refused."""
        async with asyncio.timeout(OPEN_S_MAX):
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(lambda: cls(reply_s=reply_s, on_wrong=on_wrong), *address)
        try:
            await connection.enter(user=user, password=password)
        except BaseException:
            connection.close()
            raise
        return connection

    async def enter(self, *, user: str, password: str) -> None:
        """Say who asks. Raises Refused, TimeoutError."""
        words = ["AUTH", user, password] if user else ["AUTH", password] if password else ["PING"]
        reply = await self.ask(*words)
        if isinstance(reply, hiredis.ReplyError):
            raise Refused(str(reply))
        if reply is LOST:
            raise TimeoutError

    @property
    def is_open(self) -> bool:
        """Whether it is connected."""
        return self._transport is not None

    @property
    def answers(self) -> bool:
        """Whether it is connected and replies come in time."""
        return self._transport is not None and self._late < LATE_MAX

    @property
    def late_s(self) -> float:
        """For how long a reply has been missing."""
        return self._loop.time() - self._late_since if self._late else 0.0

    def ask(self, *words: Word) -> asyncio.Future[Any]:
        """Send a command; the future gets its reply, a `hiredis.ReplyError` or LOST, and never an exception."""
        future = self._loop.create_future()
        if self._transport is None or self._late >= LATE_MAX or len(self._waiting) >= WAITING_MAX:
            future.set_result(LOST)
            return future
        self._unsent.append(hiredis.pack_command(words))  # type: ignore[arg-type]  # its stub: a tuple of one
        if len(self._unsent) == 1:
            self._loop.call_soon(self._send)
        until = self._loop.time() + self._reply_s
        self._waiting.append((future, until))
        if self._alarm is None:
            self._alarm = self._loop.call_at(until, self._give_up)
        return future

    def close(self) -> None:
        """End it; whoever waits for a reply gets LOST."""
        if self._transport is not None:
            self._transport.abort()
        self.connection_lost(None)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are of no class of asyncio

    def data_received(self, data: bytes) -> None:
        """Replies, in the order of what was asked."""
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not _MORE:
                self.take(reply)
        except hiredis.ProtocolError:
            self.close()

    def take(self, reply: Any) -> None:
        """Give a reply to whoever waits for it."""
        if self._late:
            self._late -= 1
            return
        if not self._waiting:
            self.close()
            return
        future, _ = self._waiting.popleft()
        if isinstance(reply, hiredis.ReplyError) and _is_wrong(reply):
            self._on_wrong()
            reply = LOST
        if not future.done():
            future.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone; a repeat does nothing."""
        if self._transport is None:
            return
        self._transport = None
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._unsent.clear()
        waiting, self._waiting = self._waiting, deque()
        for future, _ in waiting:
            if not future.done():
                future.set_result(LOST)
        self._on_wrong()

    def _send(self) -> None:
        if self._transport is not None and self._unsent:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def _give_up(self, is_sure: bool = False) -> None:
        """Nobody waits longer than he may; the reply is dropped should it come."""
        self._alarm = None
        now = self._loop.time()
        if not is_sure and self._waiting and now - self._waiting[0][1] > _STALL_S:
            # This process stood still, not the server: what came meanwhile is read first.
            self._alarm = self._loop.call_later(_STALL_S / 2, self._give_up, True)
            return
        while self._waiting and self._waiting[0][1] <= now:
            future, _ = self._waiting.popleft()
            if not self._late:
                self._late_since = now
            self._late += 1
            if not future.done():
                future.set_result(LOST)
        if self._late >= LATE_MAX:
            self._on_wrong()
        if self._waiting:
            self._alarm = self._loop.call_at(self._waiting[0][1], self._give_up)


class Listening(Connection):
    """A connection that hears sharded channels; it ends when the server says that another one has them."""

    on_message: Callable[[bytes], None]

    def take(self, reply: Any) -> None:
        """A message, or what the server says about the channel."""
        if not isinstance(reply, list):
            super().take(reply)
        elif reply[0] == b"smessage":
            self.on_message(reply[2])
        elif reply[0] == b"sunsubscribe":  # the slot has moved to another server
            self.close()
        else:  # "ssubscribe" and "pong" are answers
            super().take(reply)


def _is_wrong(error: hiredis.ReplyError) -> bool:
    return str(error).startswith(("MOVED", "ASK", "CLUSTERDOWN", "LOADING", "READONLY", "MASTERDOWN", "TRYAGAIN"))


async def reply_of(future: asyncio.Future[Any]) -> Any:
    """A reply, LOST in place of an error."""
    reply = await future
    return LOST if isinstance(reply, hiredis.ReplyError) else reply
