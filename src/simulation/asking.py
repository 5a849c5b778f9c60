"""Asking a house as an app does, by its rooms' routes; only the network is left out, and mostly the door check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import msgspec

from tuanzi.base.ids import Ids
from tuanzi.base.once import once
from tuanzi.base.problem import Problem
from tuanzi.base.who import Who
from tuanzi.machinery.http.routes import Call, Desk, Desks, Reply, Route
from tuanzi.machinery.room import Room

LOST = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: a route's method and path, the path's values, and who asks.

    key: the Idempotency-Key of a write. query: as the URL would say it.
    """

    method: str
    path: str
    who: Who | None
    values: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    query: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status, LOST (0) when the connection broke, and the JSON or the problem's code and facts."""

    status: int
    json: Any = None
    code: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status < 300

    @property
    def is_unsure(self) -> bool:
        """Whether a client would ask again: lost, or turned away for now."""
        return self.status in (LOST, 408, 429) or self.status >= 500


@dataclass(slots=True)
class CampusDesks:
    """The desks of a campus without a platform database, whose place core takes."""

    core: Desk
    money: Desk
    delivery: Desk
    notices: Desk

    @property
    def platform(self) -> Desk:
        """Nothing that is simulated asks it."""
        return self.core


class Door(Protocol):
    """Says who somebody is now, and whether he may ask, as the door of the API does."""

    async def admit(self, who: Who, route: Route, desks: Desks) -> Who:
        """Him with his rights of now. Raises the door's refusal."""


class Counter:
    """Where requests for one campus are handed in."""

    def __init__(
        self,
        rooms: Sequence[Room],
        *,
        campus: str,
        ids: Ids,
        clock: Callable[[], datetime],
        door: Door | None = None,
    ) -> None:
        """door: None lets everybody in as who he says he is."""
        self._routes: dict[tuple[str, str], Route] = {
            (route.method, route.path): route for room in rooms for route in room.routes
        }
        self._campus = campus
        self._ids = ids
        self._clock = clock
        self._door = door

    async def answer(self, ask: Ask, desks: Desks) -> Answer:
        """Carry out a request; a refusal is an answer."""
        route = self._routes[ask.method, ask.path]
        key = once(ask.key, ask.path.encode(), msgspec.json.encode([ask.values, ask.body])) if ask.key else None
        call: Call[Any, Any] = Call(
            who=ask.who,
            path={"campus": self._campus, **ask.values},
            body=None if route.body is None else msgspec.convert(ask.body, route.body),
            query=None if route.query is None else msgspec.convert(ask.query, route.query),
            key=key,
            now=self._clock(),
            ids=self._ids,
            desks=desks,
            client="simulation",
        )
        try:
            if self._door is not None and ask.who is not None:
                call.who = await self._door.admit(ask.who, route, desks)
            answer = await route.handler(call)
        except Problem as problem:
            return Answer(problem.status, json=problem.facts, code=problem.code)
        body = answer.body if hasattr(answer, "replayed") else answer
        if not isinstance(body, bytes):
            body = msgspec.json.encode(body)
        status = answer.status if isinstance(answer, Reply) and answer.status else route.status
        return Answer(status, json=msgspec.json.decode(body))
