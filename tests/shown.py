"""The databases of a campus of the heart, as routes read them: desks that give rows, and take no command."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from tests.heart import Campus
from tuanzi.base.once import Once
from tuanzi.base.unit import Key
from tuanzi.machinery.http.routes import Committed

V = TypeVar("V")


class Shown:
    """One of them, as a `Desk` of which a route only reads."""

    def __init__(self, campus: Campus, kind: str = "core") -> None:
        self._campus, self._kind = campus, kind

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """What the database keeps now."""
        return self._campus.rows(sql, slots, database=self._kind)

    few = rows

    def peek(self, kind: type[V], key: Key) -> V | None:
        """Nothing is at hand."""
        return None

    async def submit(
        self, command: Any, *, who: str = "", key: Once | None = None, is_accepted: bool = False, heard_by: str = ""
    ) -> Committed:
        """Commands are given to the campus itself."""
        raise NotImplementedError

    async def followed(self, source: str, number: int) -> tuple[Any, ...]:
        """Nobody waits for an event who only reads."""
        raise NotImplementedError

    def subscribe(self, subscriber: Callable[[Sequence[tuple[int, Any]]], None]) -> None:
        """Nobody listens who only reads."""
        raise NotImplementedError
