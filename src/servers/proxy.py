"""A TCP proxy that stalls or cuts what it carries, for tests of networks that fail one way or both."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

_READ_MAX = 65_536


class Proxy:
    """Carries connections made to `port` on 127.0.0.1 to `target_port` there; runs in the event loop.

    there, back: whether bytes from clients to the server, and from it to them, pass. What stalls is kept, and goes on
    its way afterwards, as in a network that comes back. carried: bytes that passed, both ways.
    """

    def __init__(self, target_port: int, *, port: int = 0) -> None:
        self.port = port
        self.carried = 0
        self._target_port = target_port
        self._there = asyncio.Event()
        self._back = asyncio.Event()
        self._there.set()
        self._back.set()
        self._refuses = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen from now on."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def stall(self, *, there: bool = False, back: bool = False) -> None:
        """Let nothing pass in these directions; connections stay open, and new ones can be made."""
        if there:
            self._there.clear()
        if back:
            self._back.clear()

    def cut(self) -> None:
        """Reset every connection, and each new one at once, until `heal`."""
        self._refuses = True
        for writer in list(self._writers):
            _reset(writer)

    def heal(self) -> None:
        """Let everything pass again."""
        self._refuses = False
        self._there.set()
        self._back.set()

    async def stop(self) -> None:
        """Reset what is open and listen no more."""
        self.cut()
        self.heal()
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(0)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            _reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            _reset(writer)
            return
        both = {writer, far_writer}
        self._writers |= both
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pump(reader, far_writer, self._there))
                ways.create_task(self._pump(far_reader, writer, self._back))
        finally:
            self._writers -= both
            for one in both:
                one.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, may_pass: asyncio.Event) -> None:
        """Carry one direction to its end; then both ends are told."""
        with contextlib.suppress(OSError):
            while some := await reader.read(_READ_MAX):
                await may_pass.wait()
                writer.write(some)
                self.carried += len(some)
                await writer.drain()
        writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close at once, with a reset instead of a farewell."""
    with contextlib.suppress(OSError):
        plug = writer.get_extra_info("socket")
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
