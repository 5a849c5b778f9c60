"""Serves an ASGI application over HTTP/1.1 on one socket, and stops without losing an answer (decision 0011)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from starlette.types import ASGIApp

from tuanzi.base.problem import Problem
from tuanzi.machinery.http.connection import Bounds, Connection
from tuanzi.machinery.http.proxies import Proxies
from tuanzi.machinery.http.reading import Headers
from tuanzi.machinery.http.refusals import Refusal

USUAL = Bounds()


class Server:
    """Listens until `close`, then answers what came and lets go.

    refuse: how it is told to who sent these headers that what he sent is no request.
    proxies: addresses or networks, comma separated, whose X-Forwarded-For is believed; `*` believes all.
    drain_s_max: how long a stop waits for answers under way.
    """

    def __init__(
        self,
        application: ASGIApp,
        *,
        refuse: Callable[[Problem, Headers], Refusal],
        proxies: str = "",
        drain_s_max: float = 10.0,
        bounds: Bounds = USUAL,
    ) -> None:
        """Raises ValueError for a proxy that is no address."""
        self.application = application
        self.refuse = refuse
        self.bounds = bounds
        self.ticks = 0
        self.is_stopping = False
        self._proxies = Proxies(proxies)
        self._drain_s_max = drain_s_max
        self._connections: set[Connection] = set()
        self._closing = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    async def serve(self, listening: socket.socket) -> None:
        """Serve until `close`. When cancelled, everything is dropped."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self), sock=listening, backlog=4096)
        async with asyncio.TaskGroup() as tasks:
            ticking = tasks.create_task(self._tick())
            try:
                await self._closing.wait()
                self.is_stopping = True
                server.close()
                for connection in list(self._connections):
                    connection.stop()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._drain_s_max):
                        await self._empty.wait()
            finally:
                self.is_stopping = True
                server.close()
                ticking.cancel()
                left = [connection.abort() for connection in list(self._connections)]
                await asyncio.gather(*[task for task in left if task is not None], return_exceptions=True)

    def close(self) -> None:
        """Stop; harmless twice."""
        self._closing.set()

    def opened(self, connection: Connection) -> None:
        """A client is there."""
        self._connections.add(connection)
        self._empty.clear()
        if self.is_stopping:
            connection.stop()

    def ended(self, connection: Connection) -> None:
        """It is gone, and nothing is done for it any more."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def client_of(self, peer: tuple[str, int] | None, headers: list[tuple[bytes, bytes]]) -> tuple[str, int] | None:
        """Whom a request came from, as `Proxies` says."""
        return self._proxies.client_of(peer, headers)

    async def _tick(self) -> None:
        """Count the seconds and look at every connection, so that none needs a timer of its own."""
        while True:
            await asyncio.sleep(1.0)
            self.ticks += 1
            for connection in list(self._connections):
                connection.look()
