"""Takes WebSockets for the gateway of this process, on a port of its own (A1)."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tuanzi import live
from tuanzi.engines.sockets.picows import serve_sockets
from tuanzi.installation import Front
from tuanzi.machinery.http.proxies import Proxies
from tuanzi.machinery.http.refusals import Refusals
from tuanzi.machinery.push.protocol import JSON, PROTOBUF
from tuanzi.wiring import House

log = logging.getLogger("tuanzi.live")


@asynccontextmanager
async def live_gateway(house: House | Front, listening: socket.socket) -> AsyncIterator[None]:
    """Take WebSockets on a bound socket while this lasts; then everybody is told to come back."""
    gateway = house.live.gateway
    house.address.port = listening.getsockname()[1]  # before it is taken over
    server = await serve_sockets(
        listening,
        {JSON: gateway.accept, PROTOBUF: gateway.accept_protobuf},
        path=live.PATH,
        has_room=lambda: gateway.has_room,
        client_of=Proxies(house.settings.proxies).client_of,
        refuse=Refusals(house.ids).tell,
        message_bytes_max=gateway.limits.message_bytes_max,
        unsent_bytes_max=gateway.limits.unsent_bytes_max,
        arriving_max=gateway.limits.arriving_max,
        arriving_of_one_max=gateway.limits.arriving_of_one_max,
    )
    log.info("live.serving", extra={"address": f"ws://{house.settings.host}:{house.address.port}{live.PATH}"})
    try:
        yield
    finally:
        server.close()
        await gateway.keep_cursors(of_all=True)
        gateway.shut()
