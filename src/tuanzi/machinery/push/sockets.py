"""The port to WebSockets: what the gateway asks of a connection, whatever engine keeps the promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Socket(Protocol):
    """One accepted connection. Nothing here waits or raises because of its peer."""

    def send(self, text: bytes) -> None:
        """Send one text frame; what the peer does not take now waits in memory."""

    def send_bytes(self, frame: bytes) -> None:
        """Send one binary frame; the same."""

    def close(self, code: int, reason: str) -> None:
        """Say why, then close when the peer has answered or a few seconds have passed; harmless twice."""

    def abort(self) -> None:
        """Close now; what waits is dropped."""

    @property
    def address(self) -> str:
        """The client's address, behind proxies as they say it; "" where there is none, as of a local socket."""

    @property
    def waiting_bytes(self) -> int:
        """What was sent and the peer has not taken yet; the kernel's own buffers are not counted."""


class Listener(Protocol):
    """What hears from a connection."""

    def on_text(self, text: bytes) -> None:
        """A whole text message came."""

    def on_bytes(self, frame: bytes) -> None:
        """A whole binary message came."""

    def on_beat(self) -> bool:
        """What is no message came, or a part of one: a ping, a pong that nobody asked for. Whether to go on with it."""

    def on_full(self) -> None:
        """More waits than should: send nothing until `on_drained`."""

    def on_drained(self) -> None:
        """The peer has taken what waited."""

    def on_closed(self) -> None:
        """The connection is gone; the last call."""


# Called with each new connection; gives who listens to it.
Accept = Callable[[Socket], Listener]
