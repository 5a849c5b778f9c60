"""How a room says what it answers over HTTP: a `Route` for each method and path, handled with a `Call`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from tuanzi.base.ids import Ids
from tuanzi.base.once import Once
from tuanzi.base.problem import Problem
from tuanzi.base.unit import Key
from tuanzi.base.who import Role, Who

BodyT = TypeVar("BodyT")
QueryT = TypeVar("QueryT")
V = TypeVar("V")


class Committed(Protocol):
    """What the writer says after the commit.

    answer: what the command returned. body: the same as JSON bytes (the first answer again for a repeated
    Idempotency-Key, when `replayed`; `answer` and `events` are then None and empty).
    events: (number, event) of everything the command and its listeners emitted, in order.
    """

    @property
    def answer(self) -> Any: ...
    @property
    def body(self) -> bytes: ...
    @property
    def events(self) -> tuple[tuple[int, Any], ...]: ...
    @property
    def replayed(self) -> bool: ...


class Desk(Protocol):
    """Where one database's commands are handed in and its rows are read."""

    async def submit(
        self, command: Any, *, who: str = "", key: Once | None = None, is_accepted: bool = False, heard_by: str = ""
    ) -> Committed:
        """Have the writer carry out `command`; returns after the commit.

        who: the person's id. key: his Idempotency-Key; the same person, key and command again get the first
        answer, a different command under that key raises KeyReused.
        is_accepted: it happened already, such as a payment at the provider, and is not turned away when many wait.
        heard_by: the database that the caller waits for next (`followed`): a writer elsewhere then tells both at once.
        Raises the command's Problem; Busy when the queue is too long; Unavailable when nothing could be kept.
        """

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a committed, recent state; `:name` slots, ordered and bounded by the statement."""

    async def few(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """As `rows`, of a few rows that a few keys name; cheaper where they can be read at once."""

    async def followed(self, source: str, number: int) -> tuple[Any, ...]:
        """Wait until this database has handled event `number` of the database `source`; give what it emitted then.

        The caller sets the time limit, as HTTP does for every answer: the work is safe and goes on all the same.
        """

    def peek(self, kind: type[V], key: Key) -> V | None:
        """The committed value when this process happens to have it at hand, else None: ask `rows` then."""

    def subscribe(self, subscriber: Callable[[Sequence[tuple[int, Any]]], None]) -> None:
        """Call `subscriber` with the (number, event) of every commit, before its callers are answered.

        It must be quick; what it raises is logged and hurts nobody else.
        """


class Desks(Protocol):
    """The desks one campus needs; `platform` is shared by all."""

    @property
    def core(self) -> Desk: ...
    @property
    def money(self) -> Desk: ...
    @property
    def delivery(self) -> Desk: ...
    @property
    def notices(self) -> Desk: ...
    @property
    def platform(self) -> Desk: ...


@dataclass(slots=True)
class Call(Generic[BodyT, QueryT]):
    """One request, parsed, checked and allowed: what a handler gets.

    path: the path's values by name. key: the Idempotency-Key, always there on writes of signed-in people.
    desks: of the campus in the path; on paths without a campus only `platform` may be used.
    """

    who: Who | None
    path: Mapping[str, str]
    body: BodyT
    query: QueryT
    key: Once | None
    now: datetime
    ids: Ids
    desks: Desks
    client: str  # the address asked from, for rate limits; never logged
    headers: Mapping[bytes, bytes] = field(default_factory=dict)  # by lower-case names; for callers who sign requests

    @property
    def caller(self) -> Who:
        """Who asks, where only signed-in people may."""
        assert self.who is not None, "the route is not for signed-in people only"
        return self.who


class NoBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An empty object: what a write takes that needs to be told nothing."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a status other than the route's, bytes already encoded, or an ETag.

    body: a struct, or JSON bytes. etag: without quotes; a GET whose If-None-Match names it is answered 304.
    """

    body: Any
    status: int | None = None
    etag: str | None = None
    replayed: bool = False


HandlerT = Callable[[Call[Any, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path, e.g. POST /v1/campuses/{campus}/groups.

    handler: awaits a Call, returns a struct of type `answer`, a Committed (its body is sent), or a Reply.
    body, query: struct types that the request is checked against; None where there is none.
    roles: who may call it; empty means everyone, signed in or not. `signed_in` adds: any signed-in person.
    A person of a campus may only use paths of his own campus; this is checked before the handler runs.
    problems: the room's refusals that may be answered, for the OpenAPI; those of the house are added to all.
    keyed: whether a write needs an Idempotency-Key (all but those a repeat of which is harmless by nature).
    body_bytes_max: the longest body that is read; up to 2 MiB where a file is imported.
    is_file: the room says of each row of the body what is wrong with it. In every other body that an operator may send,
    texts with phones in them are refused before the handler runs.
    is_free_text: the same of a body that members send. is_phone: a phone is what the body is for, and none is kept.
    is_raw: the handler gets the body's bytes as they came, for they are signed; `body` only describes them.
    media: what an answer is; where it is not JSON, the handler gives a Reply with bytes.
    """

    method: str
    path: str
    handler: HandlerT
    answer: Any
    summary: str
    body: Any = None
    query: Any = None
    status: int = 200
    roles: frozenset[Role] = frozenset()
    signed_in: bool = True
    problems: tuple[type[Problem], ...] = ()
    keyed: bool = True
    body_bytes_max: int = 65536
    is_file: bool = False
    is_free_text: bool = False
    is_phone: bool = False
    is_raw: bool = False
    media: str = "application/json"
