"""Serves HTTP over the house, here or elsewhere (J2, J4): the API in front, health and metrics behind it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
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
from tuanzi.base.problem import Problem, Unknown
from tuanzi.base.who import Role
from tuanzi.installation import Front, WorkerSide, WriterSide
from tuanzi.machinery.collector import walk_when_quiet
from tuanzi.machinery.http.api import Api, Limits
from tuanzi.machinery.http.documents import CHINESE, ENGLISH, preferred_language
from tuanzi.machinery.http.problems import NotFound
from tuanzi.machinery.http.reading import Headers
from tuanzi.machinery.http.refusals import Refusal, Refusals
from tuanzi.machinery.http.routes import Call, Route
from tuanzi.machinery.http.server import Server
from tuanzi.roles.fields import FIELDS
from tuanzi.roles.live import live_gateway
from tuanzi.roles.metrics import Metrics, Watched
from tuanzi.roles.overview import overview_route
from tuanzi.roles.pages import BuiltPages
from tuanzi.roles.poster import LANGUAGES, Posters, facts_of, link_of
from tuanzi.roles.records import records_route
from tuanzi.settings import Settings, is_play_money
from tuanzi.wiring import House

log = logging.getLogger("tuanzi.api")

DRAIN_S_MAX = 10
# The page carries its own style and script and speaks only to this server, which also has its icon.
_HOME_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src 'self'"
)


_NOT_KEPT = {"cache-control": "no-store"}


# The house whose desks are here, or the one whose desks are elsewhere.
Serving = House | Front

# Who decides for campuses, or does their errands, and serves nobody.
Deciding = WriterSide | WorkerSide

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


def routes_of(house: Serving) -> list[Route]:
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
        records_route(house),
        *(route for room in house.rooms for route in room.routes),
    ]


def application(
    house: Serving, *, others: Sequence[Deciding] = (), inbox: Inbox | None = None, accounts: Accounts = ()
) -> Api:
    """The ASGI application over a house that runs.

    others: other parts that work in this process, of whom machines are told too.
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
        fallback=_behind(house, others, inbox, accounts),
        limits=Limits(requests_per_s=house.settings.requests_per_s),
        known=FIELDS,
    )


def _behind(house: Serving, others: Sequence[Deciding], inbox: Inbox | None, accounts: Accounts) -> Starlette:
    """Health and metrics, which machines ask; pages and posters for people."""
    posters = Posters()

    home = (resources.files("tuanzi.roles") / "home.html").read_text(encoding="utf-8")

    async def show_home(request: Request) -> Response:
        return HTMLResponse(home, headers={"cache-control": "no-cache", "content-security-policy": _HOME_POLICY})

    async def show_poster(request: Request) -> Response:
        campus, group_id = request.path_params["campus"], request.path_params["group_id"]
        desks = house.desks_of(campus)
        language = request.query_params.get("language") or preferred_language(
            request.headers.get("accept-language", "").encode("latin-1"), (CHINESE, ENGLISH)
        )
        if desks is None:
            raise Unknown(campus=campus)
        if language not in LANGUAGES:
            raise NotFound()
        asked_at = str(request.base_url).rstrip("/")
        link = link_of(campus, group_id, public_url=house.settings.public_url, asked_at=asked_at)
        facts = await facts_of(desks.core, GroupId(group_id), campus=campus, language=language, link=link)
        return Response(
            await posters.poster(facts, asker="" if request.client is None else request.client.host, now=house.clock()),
            headers={"cache-control": "public, max-age=10", "vary": "accept-language"},
            media_type="image/png",
        )

    async def show_inbox(request: Request) -> Response:
        """What the demo would have sent to a phone: only for somebody who sits at this machine.

        Pages of every house ask, so the phone is in a header: addresses are kept in logs of proxies.
        """
        if inbox is None or not _is_here(request):
            return JSONResponse({"is_demo": inbox is not None, "code": None}, headers=_NOT_KEPT)
        code = inbox.last_code(request.headers.get("tuanzi-phone", ""))
        return JSONResponse({"is_demo": True, "code": code}, headers=_NOT_KEPT)

    async def show_accounts(request: Request) -> Response:
        """Whom of the demo a person may be: only for somebody who sits at this machine."""
        items = [{"role": role, "phone": phone} for role, phone in accounts] if _is_here(request) else []
        return JSONResponse({"items": items}, headers=_NOT_KEPT)

    def gateway_of(host: str) -> str:
        return house.settings.live_url or f"ws://{host}:{house.address.port} wss://{host}:{house.address.port}"

    pages = resources.files("tuanzi.roles") / "pages"
    return Refusals(house.ids).application(
        [
            Page("/", show_home),
            *health_of(house, *others),
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


def health_application(first: Serving | Deciding, *others: Serving | Deciding) -> Starlette:
    """The ASGI application of a process that answers nobody but machines that watch it."""
    return Refusals(first.ids).application(health_of(first, *others))


def health_of(first: Serving | Deciding, *others: Serving | Deciding) -> list[Page]:
    """What machines ask of any process: whether it lives, whether it works, and the figures of all its parts."""
    watched = Watched(first, *others)
    metrics = Metrics(watched)

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(request: Request) -> Response:
        closed = watched.closed
        return JSONResponse({"status": "ready" if not closed else "starting", "closed": closed}, 503 if closed else 200)

    async def figures(request: Request) -> Response:
        return PlainTextResponse(await metrics.text(), media_type="text/plain; version=0.0.4")

    return [Page("/healthz", healthz), Page("/readyz", readyz), Page("/metrics", figures)]


class Part(Protocol):
    """A part of the house that works in this process."""

    async def run(self) -> None:
        """Work until `close`."""

    def close(self) -> None:
        """Stop when what was accepted is done."""


async def serve(
    house: Serving,
    *,
    others: Sequence[Deciding] = (),
    has_api: bool = True,
    has_gateway: bool = True,
    beside: Callable[[], Awaitable[Any]] | None = None,
    inbox: Inbox | None = None,
    accounts: Accounts = (),
) -> None:
    """Serve until SIGINT or SIGTERM, then answer what was accepted and close. Raises Fenced, OSError (port taken).

    others: other parts that work in this process. has_api: whether people are answered, or only machines that watch
    this one. has_gateway: whether WebSockets are taken.
    beside: work that lives as long as the server, e.g. the demo's students; it starts when the writers are open.
    inbox, accounts: as for `application`.
    """
    settings = house.settings
    app: Any = health_application(house, *others)
    if has_api:
        app = application(house, others=others, inbox=inbox, accounts=accounts)
    gateway = live_gateway(house, _bound(settings.host, settings.live_port)) if has_gateway else None
    refuse = Refusals(house.ids).tell
    await _serve(settings, app, [house, *others], refuse=refuse, gateway=gateway, beside=_beside(house, beside))


async def serve_health(first: Deciding, *others: Deciding) -> None:
    """As `serve`, for a process that answers nobody but machines that watch it."""
    await _serve(first.settings, health_application(first, *others), [first, *others], refuse=Refusals(first.ids).tell)


async def _serve(
    settings: Settings,
    app: Any,
    parts: Sequence[Part],
    *,
    refuse: Callable[[Problem, Headers], Refusal],
    gateway: AbstractAsyncContextManager[None] | None = None,
    beside: Coroutine[Any, Any, None] | None = None,
) -> None:
    """Serve an application while parts work; when one of them ends, all do."""
    server = Server(app, refuse=refuse, proxies=settings.proxies, drain_s_max=DRAIN_S_MAX)
    listening = _bound(settings.host, settings.port)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.close)
    async with asyncio.TaskGroup() as tasks:
        for part in parts:
            tasks.create_task(part.run()).add_done_callback(lambda _: server.close())
        walking = tasks.create_task(walk_when_quiet())
        living = None if beside is None else tasks.create_task(beside)
        log.info("api.serving", extra={"address": f"http://{settings.host}:{settings.port}"})
        if is_play_money(settings):
            log.warning("settings.play_money", extra={"payments": settings.payments})
        async with nullcontext() if gateway is None else gateway:
            await server.serve(listening)
        if living is not None:
            living.cancel()
        walking.cancel()
        for part in parts:
            part.close()
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


async def _beside(house: Serving, work: Callable[[], Awaitable[Any]] | None) -> None:
    await house.opened()
    if work is not None:
        await work()
