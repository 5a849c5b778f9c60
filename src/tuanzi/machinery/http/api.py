"""The HTTP API: one ASGI application over the routes of all rooms (J2, J5).

A request goes through: its spot in the tree of paths, the campus, the person, how often he asks, his right, the
Idempotency-Key, the body and the query, the handler, and out in one start and one body message. Whatever refuses is a
problem document. Nothing stands between this and the server, because each layer of middleware costs as much as all of
it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from itertools import count
from math import ceil
from time import monotonic
from typing import Any

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from tuanzi.base.ids import Ids
from tuanzi.base.network import network_of
from tuanzi.base.once import once
from tuanzi.base.problem import Forbidden, Problem, Unknown
from tuanzi.base.who import Who
from tuanzi.machinery.afar import came_at
from tuanzi.machinery.http.deadlines import Deadlines
from tuanzi.machinery.http.documents import CHINESE, ENGLISH, RawHeaders, preferred_language
from tuanzi.machinery.http.endpoint import NOSNIFF, PRIVATE, REVALIDATED, Endpoint, endpoint_of
from tuanzi.machinery.http.matching import Spot, find_spot, plant, requested_segments
from tuanzi.machinery.http.misfits import UNNAMED, Vocabulary
from tuanzi.machinery.http.openapi import openapi_of
from tuanzi.machinery.http.pages import Page, Pages
from tuanzi.machinery.http.problems import (
    AnswerFailed,
    AnswerLate,
    KeyMissing,
    MethodNotAllowed,
    NotFound,
    NotSignedIn,
    RequestTimeout,
    TooManyRequests,
)
from tuanzi.machinery.http.reading import (
    Gone,
    Headers,
    check_json,
    check_repeats,
    find_body,
    find_key,
    find_request_id,
    find_token,
    headers_of,
    read_body,
)
from tuanzi.machinery.http.refusals import refusal_of
from tuanzi.machinery.http.routes import Call, Desks, Reply, Route
from tuanzi.machinery.limiter import Limiter

_log = logging.getLogger("tuanzi.http")
_encode = msgspec.json.Encoder().encode

Authenticate = Callable[[str, datetime, str], Awaitable[Who | None]]
Recall = Callable[[str, datetime], Who | None]
DesksOf = Callable[[str | None], Desks | None]
Answer = tuple[int, RawHeaders, bytes]

_REPLAYED = (b"idempotent-replayed", b"true")
_BODILESS = frozenset({204, 304})
# Our choice: so many seconds' worth may come at once, such as the pages of somebody who was away for a while.
BURST_S = 10
# Our choice: a whole dorm of those who have not signed in yet may be behind one address.
STRANGERS = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a request may take, to arrive and to be answered; and how many a second one person may send in the long
    run, 0 for any number. Who is not signed in is counted by his address, of IPv6 by its /64, which may send ten times
    as many."""

    body_wait_s: float = 10.0
    answer_wait_s: float = 10.0
    requests_per_s: int = 0


class Api:
    """Answers the routes, /openapi.json, /docs and /problems; everything else goes to `fallback`."""

    def __init__(
        self,
        routes: Iterable[Route],
        *,
        authenticate: Authenticate,
        recall: Recall,
        desks_of: DesksOf,
        ids: Ids,
        clock: Callable[[], datetime],
        fallback: ASGIApp,
        languages: Sequence[str] = (CHINESE, ENGLISH),
        limits: Limits = Limits(),
        known: Vocabulary = UNNAMED,
    ) -> None:
        """Put the routes together. Raises ValueError when two are the same or one cannot be meant so.

        authenticate: whose session a token opens that came from a client address, or None; may ask the database, and
        raise Unavailable or what refuses.
        recall: the same from memory; None when it is not known there, then `authenticate` is asked.
        desks_of: the desks of a campus, None for an unknown one; those of the platform when given None.
        fallback: an ASGI application for pages, static files, health, lifespan and WebSockets.
        languages: what problems are told in, the usual one first.
        known: how a person is told of fields that do not fit.
        """
        routes = tuple(routes)
        self._root = plant((route.method, route.path, endpoint_of(route)) for route in routes)
        self._authenticate = authenticate
        self._recall = recall
        self._desks_of = desks_of
        self._ids = ids
        self._clock = clock
        self._fallback = fallback
        self._languages = tuple(languages)
        self._known = known
        self._answering = Deadlines(limits.answer_wait_s)
        self._receiving = Deadlines(limits.body_wait_s)
        rate = limits.requests_per_s
        self._persons = Limiter(rate, rate * BURST_S) if rate else None
        self._strangers = Limiter(rate * STRANGERS, rate * STRANGERS * BURST_S) if rate else None
        # To describe them takes as long as all else here, and few houses are ever asked.
        self._pages = Pages(lambda: openapi_of(routes))
        # Unlike ids of the house these need not sort, and cost 0.2 us.
        self._request_ids = count(1)
        self._request_id_prefix = f"q{ids.token()[:12]}".encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] != "http":
            await self._fallback(scope, receive, send)
            return
        segments = requested_segments(scope)
        spot = find_spot(self._root, segments)
        if spot is None and not self._is_ours(scope["path"]):
            await self._fallback(scope, receive, send)
            return
        came_at.set(monotonic())
        raw = scope["headers"]
        headers = headers_of(raw)
        request_id = find_request_id(headers) or b"%b-%d" % (self._request_id_prefix, next(self._request_ids))
        method = scope["method"]
        endpoint = None if spot is None else spot.endpoints.get(method)
        try:
            if len(headers) != len(raw):
                check_repeats(raw)
            if endpoint is None:
                status, heads, body = self._explain(spot, scope["path"], method, headers)
            else:
                status, heads, body = await self._carry_out(endpoint, segments, headers, scope, receive)
        except Problem as problem:
            status, heads, body = self._refuse(problem, headers, request_id, endpoint)
            # The frames it came through refer to it: nothing but the collector would find that ring of 40 objects.
            problem.with_traceback(None)
        except Gone:
            _log.debug("http.gone", extra=_fields(request_id, endpoint))
            return
        except Exception:
            _log.error("http.crashed", exc_info=True, extra=_fields(request_id, endpoint))
            status, heads, body = self._refuse(AnswerFailed(), headers, request_id, None)
        if status not in _BODILESS:
            heads.append((b"content-length", b"%d" % len(body)))
        heads.append((b"x-request-id", request_id))
        try:
            await send({"type": "http.response.start", "status": status, "headers": heads})
            await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
        except OSError:
            # The client hung up while the answer was on its way; what was done is done.
            _log.debug("http.gone", extra=_fields(request_id, endpoint))

    async def _carry_out(
        self, endpoint: Endpoint, segments: list[str], headers: Headers, scope: Scope, receive: Receive
    ) -> Answer:
        now = self._clock()
        campus = None if endpoint.campus_at is None else segments[endpoint.campus_at]
        desks = self._desks_of(campus)
        if desks is None:
            raise Unknown(campus=campus)
        client = scope.get("client")
        host = client[0] if client else ""
        who = None
        if b"authorization" in headers and (token := find_token(headers)) is not None:
            who = self._recall(token, now)
            if who is None:
                who = await self._answering.keep(self._authenticate(token, now, host), late=AnswerLate)
        limiter = self._strangers if who is None else self._persons
        # What is signed comes from a vendor's few addresses, as often as there is something to tell.
        if limiter is not None and not endpoint.route.is_raw:
            wait_s = limiter.take(network_of(host) if who is None else who.person_id, now)
            if wait_s:
                raise TooManyRequests(retry_after_s=ceil(wait_s))
        if not endpoint.is_open_to(who, campus):
            raise Forbidden() if who is not None else NotSignedIn()
        key = None
        raw_query: bytes = scope["query_string"]
        plain = endpoint.query_is_optional and not raw_query
        query = endpoint.empty_query if plain else endpoint.decode_query(raw_query)
        body = None
        if endpoint.writes:
            given = find_key(headers)
            if given is None and (endpoint.keyed or b"idempotency-key" in headers):
                raise KeyMissing()
            if endpoint.takes_body:
                check_json(headers)
            raw_body = find_body(scope, headers, endpoint.route.body_bytes_max)
            if raw_body is None:
                reading = read_body(receive, headers, endpoint.route.body_bytes_max)
                raw_body = await self._receiving.keep(reading, late=RequestTimeout)
            body = endpoint.decode_body(raw_body)
            if given is not None:
                key = once(given, scope["method"].encode(), scope["path"].encode(), raw_query, raw_body)
        call: Call[Any, Any] = Call(
            who,
            {name: segments[i] for name, i in endpoint.places},
            body,
            query,
            key,
            now,
            self._ids,
            desks,
            host,
            headers,
        )
        result = await self._answering.keep(endpoint.handler(call), late=AnswerLate)
        return _answer(endpoint, result, who, headers)

    def _refuse(self, problem: Problem, headers: Headers, request_id: bytes, endpoint: Endpoint | None) -> Answer:
        if problem.status >= 500 and endpoint is not None:
            _log.warning("http.failed", extra={**_fields(request_id, endpoint), "problem": type(problem).__name__})
        language = self._language(headers)
        refusal = refusal_of(problem, language=language, request_id=request_id, known=self._known)
        return refusal.status, refusal.headers, refusal.body

    def _is_ours(self, path: str) -> bool:
        return path.startswith("/v1/") or path == "/v1" or self._pages.has(path)

    def _explain(self, spot: Spot[Endpoint] | None, path: str, method: str, headers: Headers) -> Answer:
        """What is answered where no route is: a page about the API, OPTIONS, or that there is nothing."""
        page = None
        if spot is None:
            html = b"text/html" in headers.get(b"accept", b"")
            page = self._pages.find(path, language=self._language(headers), html=html)
            if page is None:
                raise NotFound()
        allowed = "GET, HEAD, OPTIONS" if spot is None else spot.allowed
        if method == "OPTIONS":
            return 204, [(b"allow", allowed.encode("ascii"))], b""
        if page is None or method not in ("GET", "HEAD"):
            raise MethodNotAllowed(allow=allowed)
        return _sent(page, headers)

    def _language(self, headers: Headers) -> str:
        return preferred_language(headers.get(b"accept-language", b""), self._languages)


def _answer(endpoint: Endpoint, result: Any, who: Who | None, headers: Headers) -> Answer:
    """What a handler returned, as status, headers and body."""
    route = endpoint.route
    status = endpoint.status
    etag = None
    replayed = False
    if type(result) is Reply:
        body, etag, replayed = result.body, result.etag, result.replayed
        status = status if result.status is None else result.status
        if not isinstance(body, bytes):
            body = b"" if body is None else _encode(body)
    elif type(result) is route.answer or not hasattr(result, "replayed"):
        body = _encode(result)
    else:
        body, replayed = result.body, result.replayed
    heads = endpoint.heads.copy()
    if who is not None and not endpoint.needs_who:
        heads[2:] = [PRIVATE]
    if replayed:
        heads.append(_REPLAYED)
    if status == 204:
        return status, heads[1:], b""
    if not endpoint.writes and status == 200:
        tag = b'"%b"' % (blake2b(body, digest_size=9).hexdigest() if etag is None else etag).encode("ascii")
        heads.append((b"etag", tag))
        if b"if-none-match" in headers and _names(headers[b"if-none-match"], tag):
            return 304, heads[1:], b""
    return status, heads, body


def _sent(page: Page, headers: Headers) -> Answer:
    kept = [NOSNIFF, (b"etag", page.etag), REVALIDATED, *page.headers]
    if b"if-none-match" in headers and _names(headers[b"if-none-match"], page.etag):
        return 304, kept, b""
    return 200, [(b"content-type", page.media), *kept], page.body


def _names(if_none_match: bytes, tag: bytes) -> bool:
    """Whether an If-None-Match names the tag, weakly compared (RFC 9110, 13.1.2)."""
    if if_none_match == tag or if_none_match.strip() == b"*":
        return True
    return any(one.strip().removeprefix(b"W/") == tag for one in if_none_match.split(b","))


def _fields(request_id: bytes, endpoint: Endpoint | None) -> dict[str, str]:
    """What a line in the log says of a request: its id and the route, without what the client put in."""
    route = "" if endpoint is None else f"{endpoint.route.method} {endpoint.route.path}"
    return {"request_id": request_id.decode("ascii"), "route": route}
