"""Serves the sandbox: the API, the pay pages, WeChat's sign-in beside them, and control for whoever has the token."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from threading import Thread
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandboxes import wechatlogin
from sandboxes.wechatpay import pages
from sandboxes.wechatpay.callbacks import Sender
from sandboxes.wechatpay.company import Company
from sandboxes.wechatpay.control import Control
from sandboxes.wechatpay.gate import Gate

log = logging.getLogger("sandboxes.wechatpay")

# As nginx does. Clients keep an idle connection for 5 s, as uvicorn would too: some would ask on one that just ends.
KEEP_ALIVE_S = 75


class _Protocol(HttpToolsProtocol):
    """Lets a fault cut the connection."""

    def on_headers_complete(self) -> None:
        """Hand the way to cut on with the request."""
        self.scope["cut"] = self.transport.abort  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()


class _Server(uvicorn.Server):
    """Leaves signals to `serve`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def application(company: Company, sender: Sender, *, control_token: str) -> ASGIApp:
    """The ASGI application. control_token: empty when nobody may control it."""
    routes: list[Any] = [*pages.routes(company, sender)]
    if control_token:
        routes.append(Mount("/control", routes=Control(company, sender, control_token).routes()))
    beside = Starlette(routes=routes)
    gate = Gate(company, sender)
    keys = company.keys
    login = wechatlogin.Company(keys.appid, keys.app_secret, clock=company.clock.now)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path.startswith("/v3/"):
            await gate(scope, receive, send)
        elif path.startswith((wechatlogin.SESSIONS, wechatlogin.PHONES)):
            await login(scope, receive, send)
        else:
            await beside(scope, receive, send)

    return app


async def serve(company: Company, *, listening: socket.socket, control_token: str, with_stdin: bool) -> None:
    """Serve until SIGINT or SIGTERM; with_stdin: or until whoever started this closes its standard input."""
    sender = Sender(company)
    config = uvicorn.Config(
        application(company, sender, control_token=control_token),
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, server)
    if with_stdin:
        Thread(target=_wait_for_end, args=(loop, server), daemon=True).start()
    sending = asyncio.create_task(sender.run())
    sending.add_done_callback(lambda _: _stop(server))
    try:
        await server.serve([listening])
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        company.book.close()


def _wait_for_end(loop: asyncio.AbstractEventLoop, server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    loop.call_soon_threadsafe(_stop, server)


def _stop(server: uvicorn.Server) -> None:
    server.should_exit = True
