"""A database that is read by a process which does not write it, and may be moved meanwhile (docs/runbooks/move.md)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from tuanzi.engines.database.replicas import Replicated, Since
from tuanzi.machinery.database import Ask, DatabaseUnavailable
from tuanzi.machinery.tables import Row

V = TypeVar("V")


class Opened(Protocol):
    """A database that is there."""

    def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[Row]: ...

    def look(self, reading: Callable[[Ask], V]) -> V: ...

    def close(self) -> None: ...


class Whereabouts:
    """Reads a database where it is in charge. One that refuses an answer is looked for again, and asked again when it
    is somewhere else by now: what was left answers nothing, for its tables are called otherwise. For any thread."""

    def __init__(self, find: Callable[[], object], opening: Callable[[], Opened]) -> None:
        """find: where it is, as something that can be compared. opening: opens it there."""
        self._find = find
        self._opening = opening
        self._lock = threading.Lock()
        self._place = find()
        self._opened = opening()

    def rows(self, sql: str, slots: Mapping[str, Any] | None = None, *, as_of: float | None = None) -> list[Row]:
        """The rows of a query over a committed state. as_of: by when what was committed is to be seen; None: by now.

        Raises DatabaseUnavailable.
        """
        return self._ask(lambda opened: _seen(opened, as_of).rows(sql, slots))

    def look(self, reading: Callable[[Ask], V], *, as_of: float | None = None) -> V:
        """What `reading` makes of one committed state; begun once more where it is somewhere else.

        Raises DatabaseUnavailable.
        """
        return self._ask(lambda opened: _seen(opened, as_of).look(reading))

    def saw(self, position: str, *, as_of: float) -> None:
        """From now on everybody here is to see this position, behind all that was committed by `as_of`."""
        if isinstance(self._opened, Replicated):
            self._opened.saw(position, as_of=as_of)

    def find_again(self) -> None:
        """Look where it is now."""
        with self._lock:
            place = self._find()
            if place == self._place:
                return
            left, self._opened, self._place = self._opened, self._opening(), place
        left.close()

    def close(self) -> None:
        """Let go of connections."""
        self._opened.close()

    def _ask(self, question: Callable[[Opened], V]) -> V:
        asked = self._opened
        try:
            return question(asked)
        except DatabaseUnavailable:
            self.find_again()
            if self._opened is asked:
                raise
        return question(self._opened)


def _seen(opened: Opened, as_of: float | None) -> Opened | Since:
    return opened.since(as_of) if as_of is not None and isinstance(opened, Replicated) else opened
