"""Serves HTTP over the house of this process (J2, J4): the API in front, health and metrics behind it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any

from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route as Page

from tuanzi.machinery.http.api import Api
from tuanzi.machinery.http.routes import Call, Route
from tuanzi.machinery.http.server import Server
from tuanzi.roles.live import live_gateway
from tuanzi.roles.metrics import Metrics
from tuanzi.settings import SettingWrong
from tuanzi.wiring import House

log = logging.getLogger("tuanzi.api")

DRAIN_S_MAX = 10
# The page carries its own style and script and speaks only to this server.
_HOME_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


class CampusLine(Struct, frozen=True, kw_only=True, gc=False):
    """A campus that is served here."""

    id: str


class CampusList(Struct, frozen=True, kw_only=True, gc=False):
    """Every campus that is served here, by id."""

    items: tuple[CampusLine, ...]


def application(house: House) -> Api:
    """The ASGI application over a house that runs."""

    async def list_campuses(call: Call[None, None]) -> CampusList:
        """GET /v1/campuses: the campuses served here."""
        return CampusList(items=tuple(CampusLine(id=campus) for campus in sorted(house.campuses)))

    campuses = Route(
        "GET", "/v1/campuses", list_campuses, answer=CampusList, summary="The campuses served here", signed_in=False
    )
    return Api(
        [campuses, *(route for room in house.rooms for route in room.routes)],
        authenticate=house.doorkeeper.authenticate,
        recall=house.doorkeeper.recall,
        desks_of=house.desks_of,
        ids=house.ids,
        clock=house.clock,
        fallback=_behind(house),
    )


def _behind(house: House) -> Starlette:
    """Health and metrics: what machines ask."""
    metrics = Metrics(house)

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(request: Request) -> Response:
        closed = sorted(desk.name for desk in house.desks if not desk.is_open)
        return JSONResponse({"status": "ready" if not closed else "starting", "closed": closed}, 503 if closed else 200)

    async def figures(request: Request) -> Response:
        return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4")

    home = (resources.files("tuanzi.roles") / "home.html").read_text(encoding="utf-8")

    async def show_home(request: Request) -> Response:
        return HTMLResponse(home, headers={"cache-control": "no-cache", "content-security-policy": _HOME_POLICY})

    return Starlette(
        routes=[Page("/", show_home), Page("/healthz", healthz), Page("/readyz", readyz), Page("/metrics", figures)],
    )


async def serve(house: House, *, beside: Callable[[], Awaitable[Any]] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then answer what was accepted and close. Raises Fenced, OSError (port taken).

    beside: work that lives as long as the server, e.g. the demo's students; it starts when the writers are open.
    """
    try:
        server = Server(application(house), proxies=house.settings.proxies, drain_s_max=DRAIN_S_MAX)
    except ValueError as error:
        raise SettingWrong(f"TUANZI_PROXIES: {error}") from None
    listening = _bound(house.settings.host, house.settings.port)
    listening_live = _bound(house.settings.host, house.settings.live_port)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.close)
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(house.run())
        working.add_done_callback(lambda _: server.close())
        others = tasks.create_task(_beside(house, beside))
        log.info("api.serving", extra={"address": f"http://{house.settings.host}:{house.settings.port}"})
        async with live_gateway(house, listening_live):
            await server.serve(listening)
        others.cancel()
        house.close()
    log.info("api.closed")


def _bound(host: str, port: int) -> socket.socket:
    """A socket at the address; the server itself would end the process. Raises OSError, which names the address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise OSError(f"cannot serve at {host}:{port}: {error.strerror}") from error
    return bound


async def _beside(house: House, work: Callable[[], Awaitable[Any]] | None) -> None:
    await house.opened()
    if work is not None:
        await work()
