"""A client that speaks ASGI to an application in the same process, and a small API to ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Annotated, Any

import msgspec
from starlette.types import Message, Receive, Scope, Send

from tuanzi.base.ids import CampusId, Ids, PersonId, SessionId
from tuanzi.base.problem import Busy, Problem
from tuanzi.base.who import Role, Who
from tuanzi.machinery.http.api import Api, Limits
from tuanzi.machinery.http.routes import Call, Reply, Route

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
KEY = (b"idempotency-key", b"join-0001")
JSON = (b"content-type", b"application/json")


def _who(name: str, *roles: Role, campus: str | None) -> Who:
    return Who(PersonId(name), SessionId(f"s_{name}"), frozenset(roles), None if campus is None else CampusId(campus))


PEOPLE = {
    "li": _who("p_li", Role.STUDENT, campus="beijing"),
    "wang": _who("p_wang", Role.STUDENT, campus="shanghai"),
    "zhao": _who("p_zhao", Role.MERCHANT, campus="beijing"),
    "root": _who("p_root", Role.OPERATOR, campus=None),
    "new": _who("p_new", Role.STUDENT, campus=None),
}


class Full(Problem):
    """No seat is left in this group.

    Another group of the same campaign may have one.
    """

    code = "tests/full"
    status = 409
    title_zh = "该团已满"


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dish."""

    dish_id: str
    portions: Annotated[int, msgspec.Meta(ge=1, le=20)]


class Join(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a member brings."""

    lines: Annotated[tuple[Line, ...], msgspec.Meta(min_length=1)]
    note: str = ""


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """A seat."""

    order_id: str
    portions: int


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """Which dishes."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    hot: bool = False
    tag: tuple[str, ...] = ()
    after: str | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list."""

    after: str


class Menu(msgspec.Struct, frozen=True, kw_only=True):
    """What is cooked."""

    items: tuple[str, ...] = ()


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the handler was given."""

    who: str | None
    path: dict[str, str]
    query: Search | None = None


@dataclass(slots=True)
class Done:
    """A commit, as the writer tells of it."""

    answer: Any
    body: bytes
    events: tuple[tuple[int, Any], ...] = ()
    replayed: bool = False


@dataclass(slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


@dataclass(slots=True)
class Seen:
    """What the handlers were called with, and what they are told to do."""

    calls: list[Call[Any, Any]] = field(default_factory=list)
    do: Callable[[], Awaitable[Any]] | None = None


async def ask(
    app: Any,
    method: str,
    path: str,
    *headers: tuple[bytes, bytes],
    body: bytes | Sequence[bytes] | Receive = b"",
    query: str = "",
    token: str = "",
    send: Send | None = None,
    client: str = "127.0.0.1",
) -> Answer:
    """Ask and collect the answer. body: several chunks are sent in several messages; a Receive is used as it is."""
    sent: list[Message] = []
    chunks = [body] if isinstance(body, bytes) else body
    messages = None if callable(chunks) else iter(chunks)
    left = 0 if messages is None else len(chunks)  # type: ignore[arg-type]

    async def receive() -> Message:
        nonlocal left
        left -= 1
        assert messages is not None
        return {"type": "http.request", "body": next(messages), "more_body": left > 0}

    async def keep(message: Message) -> None:
        sent.append(message)

    authorization = ((b"authorization", f"Bearer {token}".encode()),) if token else ()
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [*authorization, *headers],
        "client": (client, 50000),
    }
    await app(scope, body if callable(body) else receive, send or keep)
    if not sent:
        return Answer(0, {}, b"")
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    names = [name.decode() for name, _ in sent[0]["headers"]]
    assert len(set(names)) == len(names), "a header is sent twice"
    heads = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], heads, sent[1]["body"])


def small_api(
    seen: Seen | None = None,
    *,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    clock: Callable[[], datetime] = lambda: NOON,
) -> Api:
    """An API of two campuses with a few routes; `seen` learns what the handlers got and says what they do."""
    seen = seen or Seen()

    async def told(call: Call[Any, Search]) -> Any:
        """GET /told

        Says what it was given.
        """
        seen.calls.append(call)
        if seen.do is not None:
            return await seen.do()
        return Told(who=call.who.person_id if call.who else None, path=dict(call.path), query=call.query)

    async def join(call: Call[Join, None]) -> Any:
        """POST /v1/campuses/{campus}/groups/{group}/members"""
        seen.calls.append(call)
        if seen.do is not None:
            return await seen.do()
        answer = Joined(order_id="o_1", portions=sum(line.portions for line in call.body.lines))
        return Done(answer, msgspec.json.encode(answer))

    async def leave(call: Call[None, None]) -> Any:
        """DELETE /v1/campuses/{campus}/groups/{group}/members"""
        seen.calls.append(call)
        return Done(None, b"null")

    async def tagged(call: Call[None, None]) -> Reply:
        """GET /v1/menu"""
        return Reply(b'{"items":[]}', etag="menu-7")

    async def note(call: Call[bytes, None]) -> Told:
        """POST /v1/notices: what a vendor has signed"""
        return Told(who=None, path={"length": str(len(call.body))})

    routes = (
        Route("GET", "/v1/campuses/{campus}/orders/{order}", told, Told, "An order"),
        Route("GET", "/v1/campuses/{campus}/dishes", told, Told, "Dishes", query=Search, signed_in=False),
        Route("GET", "/v1/campuses/{campus}/board", told, Told, "A board", roles=frozenset({Role.MERCHANT})),
        Route("POST", "/v1/campuses/{campus}/groups/{group}/members", join, Joined, "Join", body=Join, status=201,
              problems=(Full, Busy)),
        Route("DELETE", "/v1/campuses/{campus}/groups/{group}/members", leave, None, "Leave"),
        Route("PUT", "/v1/seen", join, Joined, "Seen", body=Join, keyed=False, signed_in=False, body_bytes_max=200),
        Route("GET", "/v1/orders", told, Told, "My orders", query=Page),
        Route("GET", "/v1/menu", tagged, Menu, "The menu", signed_in=False),
        Route("POST", "/v1/notices", note, Told, "A notice", body=Menu, keyed=False, signed_in=False, is_raw=True),
    )  # fmt: skip
    return Api(
        routes,
        authenticate=_authenticate,
        recall=lambda token, now: PEOPLE.get(token) if token != "zhao" else None,
        desks_of=lambda campus: object() if campus in (None, "beijing", "shanghai") else None,  # type: ignore[arg-type,return-value]
        ids=Ids(Random(7).getrandbits),
        clock=clock,
        limits=limits,
        fallback=_elsewhere,
    )


async def _authenticate(token: str, now: datetime, asker: str) -> Who | None:
    await asyncio.sleep(0)
    return PEOPLE.get(token)


async def _elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"page {scope['path']}".encode()})
