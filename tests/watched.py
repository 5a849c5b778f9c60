"""A place that can be looked at as a whole, so that a test can say what did not change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tuanzi.base.problem import Problem

E = TypeVar("E")


class Watched(ABC):
    """Whoever has `everything` that is kept, and `events`, all that were."""

    events: list[Any]

    @abstractmethod
    def everything(self) -> dict[str, list[Any]]:
        """All that is kept, by its table."""

    def told(self, kind: type[E]) -> list[E]:
        """All events of a kind, in order."""
        return [event for event in self.events if type(event) is kind]

    @contextmanager
    def nothing_changes(self) -> Iterator[None]:
        """What happens inside leaves all that is kept as it was: tables, events and timers."""
        before = self.everything()
        yield
        assert self.everything() == before

    @contextmanager
    def refused(self, problem: type[Problem]) -> Iterator[None]:
        """What happens inside is refused with this problem, and changes nothing."""
        with self.nothing_changes():
            try:
                yield
            except problem:
                return
            raise AssertionError(f"{problem.__name__} was not raised")
