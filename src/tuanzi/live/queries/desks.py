"""The desks that are asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from tuanzi.machinery.database import Ask
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.internal import Rows

V = TypeVar("V")


class RowDesk(Desk, Protocol):
    """A desk that also keeps rows as they are, and answers many questions at once."""

    async def look(self, reading: Callable[[Ask], V]) -> V:
        """What `reading` makes of the answers to its questions, all of one committed state; it runs in a thread."""

    async def keep_rows(self, rows: Rows) -> None:
        """Keep rows in the next commit; returns after it. Raises Crashed when the database refuses them."""


class CampusDesks(Protocol):
    """What live needs of a campus."""

    @property
    def core(self) -> Desk: ...
    @property
    def notices(self) -> RowDesk: ...
