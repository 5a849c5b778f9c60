"""Serves HTTP over the house of this process (J2, J4): the API in front, health and metrics behind it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from importlib import resources
from typing import Any, Protocol

from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount
from starlette.routing import Route as Page

from tuanzi.base.ids import GroupId
from tuanzi.base.problem import Unknown
from tuanzi.base.who import Role
from tuanzi.machinery.http.api import Api
from tuanzi.machinery.http.documents import CHINESE, ENGLISH, preferred_language
from tuanzi.machinery.http.routes import Call, Route
from tuanzi.machinery.http.server import Server
from tuanzi.roles.live import live_gateway
from tuanzi.roles.metrics import Metrics
from tuanzi.roles.overview import overview_route
from tuanzi.roles.pages import BuiltPages
from tuanzi.roles.poster import LANGUAGES, Posters, facts_of
from tuanzi.settings import SettingWrong
from tuanzi.wiring import House

log = logging.getLogger("tuanzi.api")

DRAIN_S_MAX = 10
# The page carries its own style and script and speaks only to this server.
_HOME_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


_NOT_KEPT = {"cache-control": "no-store"}


# The role and phone of each.
Accounts = Sequence[tuple[Role, str]]


class Inbox(Protocol):
    """What the demo would have sent to phones."""

    def last_code(self, phone: str) -> str | None:
        """The newest code for a phone; None when there is none."""


class CampusLine(Struct, frozen=True, kw_only=True, gc=False):
    """A campus that is served here."""

    id: str


class CampusList(Struct, frozen=True, kw_only=True, gc=False):
    """Every campus that is served here, by id."""

    items: tuple[CampusLine, ...]


class Clock(Struct, frozen=True, kw_only=True, gc=False):
    """What time it is here: countdowns of pages go by it, not by the clock of a phone."""

    now: datetime


def routes_of(house: House) -> list[Route]:
    """Every route of the API: those of the house itself, then those of its rooms."""

    async def list_campuses(call: Call[None, None]) -> CampusList:
        """GET /v1/campuses: the campuses served here."""
        return CampusList(items=tuple(CampusLine(id=campus) for campus in sorted(house.campuses)))

    async def tell_time(call: Call[None, None]) -> Clock:
        """GET /v1/clock: what time it is here."""
        return Clock(now=call.now)

    return [
        Route(
            "GET", "/v1/campuses", list_campuses, answer=CampusList, summary="The campuses served here", signed_in=False
        ),
        Route("GET", "/v1/clock", tell_time, answer=Clock, summary="The server's time", signed_in=False),
        overview_route(house),
        *(route for room in house.rooms for route in room.routes),
    ]


def application(house: House, *, inbox: Inbox | None = None, accounts: Accounts = ()) -> Api:
    """The ASGI application over a house that runs.

    inbox: where the demo keeps what it would have sent to phones; shown to callers on this machine only, as are
    accounts: whom of the demo a person may be.
    """
    return Api(
        routes_of(house),
        authenticate=house.doorkeeper.authenticate,
        recall=house.doorkeeper.recall,
        desks_of=house.desks_of,
        ids=house.ids,
        clock=house.clock,
        fallback=_behind(house, inbox, accounts),
    )


def _behind(house: House, inbox: Inbox | None, accounts: Accounts) -> Starlette:
    """Health and metrics, which machines ask; pages and posters for people."""
    metrics = Metrics(house)
    posters = Posters()

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

    async def show_poster(request: Request) -> Response:
        campus, group_id = request.path_params["campus"], request.path_params["group_id"]
        desks = house.desks_of(campus)
        language = request.query_params.get("language") or preferred_language(
            request.headers.get("accept-language", "").encode("latin-1"), (CHINESE, ENGLISH)
        )
        if desks is None or language not in LANGUAGES:
            return PlainTextResponse("Not found\n", 404)
        link = f"{request.base_url}m/#/pages/group/group?campus={campus}&id={group_id}"
        try:
            facts = await facts_of(desks.core, GroupId(group_id), campus=campus, language=language, link=link)
        except Unknown:
            return PlainTextResponse("Not found\n", 404)
        return Response(
            await posters.poster(facts),
            headers={"cache-control": "public, max-age=10", "vary": "accept-language"},
            media_type="image/png",
        )

    async def show_inbox(request: Request) -> Response:
        """What the demo would have sent to a phone: only for somebody who sits at this machine."""
        if inbox is None or not _is_here(request):
            return JSONResponse({"is_demo": inbox is not None, "code": None}, headers=_NOT_KEPT)
        code = inbox.last_code(request.query_params.get("phone", ""))
        return JSONResponse({"is_demo": True, "code": code}, headers=_NOT_KEPT)

    async def show_accounts(request: Request) -> Response:
        """Whom of the demo a person may be: only for somebody who sits at this machine."""
        items = [{"role": role, "phone": phone} for role, phone in accounts] if _is_here(request) else []
        return JSONResponse({"items": items}, headers=_NOT_KEPT)

    def gateway_of(host: str) -> str:
        return house.settings.live_url or f"ws://{host}:{house.address.port} wss://{host}:{house.address.port}"

    pages = resources.files("tuanzi.roles") / "pages"
    return Starlette(
        routes=[
            Page("/", show_home),
            Page("/healthz", healthz),
            Page("/readyz", readyz),
            Page("/metrics", figures),
            Page("/demo/inbox", show_inbox),
            Page("/demo/accounts", show_accounts),
            Page("/share/campuses/{campus}/groups/{group_id}/poster.png", show_poster),
            Mount("/m", app=BuiltPages(pages / "student", gateway_of=gateway_of)),
            Mount("/console", app=BuiltPages(pages / "console", gateway_of=gateway_of)),
        ],
    )


def _is_here(request: Request) -> bool:
    """Whether somebody at this machine asks, and for this machine."""
    here = {"127.0.0.1", "::1", "localhost"}
    return request.client is not None and request.client.host in here and request.url.hostname in here


async def serve(
    house: House,
    *,
    beside: Callable[[], Awaitable[Any]] | None = None,
    inbox: Inbox | None = None,
    accounts: Accounts = (),
) -> None:
    """Serve until SIGINT or SIGTERM, then answer what was accepted and close. Raises Fenced, OSError (port taken).

    beside: work that lives as long as the server, e.g. the demo's students; it starts when the writers are open.
    inbox, accounts: as for `application`.
    """
    try:
        serving = application(house, inbox=inbox, accounts=accounts)
        server = Server(serving, proxies=house.settings.proxies, drain_s_max=DRAIN_S_MAX)
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
