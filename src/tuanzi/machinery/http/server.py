"""Serves an ASGI application over HTTP/1.1 on one socket, and stops without losing an answer (decision 0011)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from itertools import islice

from starlette.types import ASGIApp

from tuanzi.base.problem import Problem
from tuanzi.machinery.http.connection import Bounds, Connection
from tuanzi.machinery.http.proxies import Proxies
from tuanzi.machinery.http.reading import Headers
from tuanzi.machinery.http.refusals import Refusal

log = logging.getLogger("tuanzi.http")

USUAL = Bounds()
# Our choice: as many as a gateway has. A browser keeps up to six for 75 s, and opens another when one was closed. One
# that was used once and does nothing takes 5.5 KiB, measured, and a file.
CONNECTIONS_MAX = 20_000
# So many that are being answered are passed over to find one that is not.
_PASSED_OVER_MAX = 100
_TOLD_EVERY_S = 60


class Server:
    """Listens until `close`, then answers what came and lets go.

    refuse: how it is told to who sent these headers that what he sent is no request.
    proxies: addresses or networks, comma separated, whose X-Forwarded-For is believed; `*` believes all.
    drain_s_max: how long a stop waits for answers under way. connections_max: one more closes the oldest that is not
    being answered; where all are, the newcomer's.
    """

    def __init__(
        self,
        application: ASGIApp,
        *,
        refuse: Callable[[Problem, Headers], Refusal],
        proxies: str = "",
        drain_s_max: float = 10.0,
        bounds: Bounds = USUAL,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        """Raises ValueError for a proxy that is no address."""
        self.application = application
        self.refuse = refuse
        self.bounds = bounds
        self.ticks = 0
        self.is_stopping = False
        self._proxies = Proxies(proxies)
        self._drain_s_max = drain_s_max
        self._connections: dict[Connection, None] = {}  # the oldest first
        self._connections_max = connections_max
        self._told_at = -_TOLD_EVERY_S
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
        self._connections[connection] = None
        self._empty.clear()
        if self.is_stopping:
            connection.stop()
        elif len(self._connections) > self._connections_max:
            self._make_room(connection)

    def _make_room(self, newcomer: Connection) -> None:
        """Close the oldest connection that is not being answered: its client opens another when he needs it, and who
        only holds places does so for nothing."""
        if self.ticks - self._told_at >= _TOLD_EVERY_S:
            self._told_at = self.ticks
            log.warning("http.connections_full", extra={"connections": len(self._connections)})
        for oldest in list(islice(self._connections, _PASSED_OVER_MAX)):
            # To the end of the line: who is being answered is not looked at again soon.
            self._connections[oldest] = self._connections.pop(oldest)
            if oldest.is_idle and oldest is not newcomer:
                oldest.stop()
                return
        newcomer.stop()

    def ended(self, connection: Connection) -> None:
        """It is gone, and nothing is done for it any more."""
        self._connections.pop(connection, None)
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
