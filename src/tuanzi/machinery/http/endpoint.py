"""One route made ready to be asked: everything that does not depend on the request is worked out once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from tuanzi.base.who import Role, Who
from tuanzi.machinery.http.documents import RawHeaders
from tuanzi.machinery.http.matching import parameters
from tuanzi.machinery.http.reading import body_decoder, empty_body, query_decoder, without_phones
from tuanzi.machinery.http.routes import HandlerT, Route

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
BODY_BYTES_MAX = 2 * 1024 * 1024
CAMPUS = "campus"

JSON = (b"content-type", b"application/json")
NOSNIFF = (b"x-content-type-options", b"nosniff")
PRIVATE = (b"cache-control", b"no-store")
# May be kept by the reader, but is asked for again each time; then mostly answered 304.
REVALIDATED = (b"cache-control", b"no-cache")
BY_PERSON = (b"vary", b"authorization")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route with its decoders and rules.

    places: the path's parameters by name and place. campus_at: where the campus stands among the segments.
    needs_who: whether a session is needed. keeps_texts: whether its body may be an operator's words.
    status: with which an answer is sent; 204 has no body.
    empty_query: what no query at all means, where it is optional.
    """

    route: Route
    handler: HandlerT
    places: tuple[tuple[str, int], ...]
    campus_at: int | None
    needs_who: bool
    roles: frozenset[Role]
    writes: bool
    keyed: bool
    takes_body: bool
    keeps_texts: bool
    decode_body: Callable[[bytes], Any]
    decode_query: Callable[[bytes], Any]
    query_is_optional: bool
    empty_query: Any
    status: int
    heads: RawHeaders

    def is_open_to(self, who: Who | None, campus: str | None) -> bool:
        """Whether this person may ask, on this campus; None is somebody who is not signed in."""
        if who is None:
            return not self.needs_who
        if campus is not None and who.campus_id != campus:
            # Who belongs to no campus is an operator of the whole platform, or looks around where everyone may.
            if who.campus_id is not None:
                return False
            if self.needs_who and Role.OPERATOR not in who.roles:
                return False
        return not self.roles or not self.roles.isdisjoint(who.roles)


def endpoint_of(route: Route) -> Endpoint:
    """The route, made ready. Raises ValueError for one that cannot be meant so."""
    writes = route.method in WRITES
    if not writes and route.method != "GET":
        raise ValueError(f"no method for a route: {route.method} {route.path}")
    if route.body is not None and not writes:
        raise ValueError(f"a {route.method} has no body: {route.path}")
    if not 0 < route.body_bytes_max <= BODY_BYTES_MAX:
        raise ValueError(f"a body of {route.body_bytes_max} bytes is not allowed: {route.path}")
    HTTPStatus(route.status)
    places = parameters(route.path)
    needs_who = route.signed_in or bool(route.roles)
    empty = _empty_query(route.query)
    media = JSON if route.media == "application/json" else (JSON[0], route.media.encode("ascii"))
    return Endpoint(
        route=route,
        handler=route.handler,
        places=places,
        campus_at=dict(places).get(CAMPUS),
        needs_who=needs_who,
        roles=route.roles,
        writes=writes,
        keyed=writes and route.keyed,
        takes_body=route.body is not None,
        keeps_texts=_keeps_texts(route),
        decode_body=_body_reader(route),
        decode_query=query_decoder(route.query),
        query_is_optional=route.query is None or empty is not None,
        empty_query=empty,
        status=204 if route.answer is None and route.status == 200 else route.status,
        heads=[media, NOSNIFF, PRIVATE] if needs_who or writes else [media, NOSNIFF, REVALIDATED, BY_PERSON],
    )


def _body_reader(route: Route) -> Callable[[bytes], Any]:
    if route.is_raw:
        return bytes
    if route.body is None:
        return empty_body
    decode = body_decoder(route.body)
    return without_phones(decode) if _keeps_texts(route) else decode


def _keeps_texts(route: Route) -> bool:
    if route.body is None or route.is_file or route.is_raw or route.is_phone:
        return False
    return route.is_free_text or Role.OPERATOR in route.roles


def _empty_query(kind: Any) -> Any:
    """What no query at all means, decoded once; None when it has to be decoded each time."""
    if kind is None or not kind.__struct_config__.frozen:
        return None
    try:
        return msgspec.convert({}, kind, strict=False)
    except msgspec.ValidationError:
        return None
