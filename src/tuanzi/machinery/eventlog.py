"""The port to the event log that other processes hear: each database's `events` table, relayed (architecture 4)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from tuanzi.machinery.tables import Row


class EventLog(Protocol):
    """Carries committed events, (number, name, version, at_ms, body), from each database to whoever listens.

    source: a database, e.g. "beijing.core". at_ms: about when it was committed. The `events` table stays the truth:
    what is lost here, or too old to be kept, is read there; so who sees a gap in the numbers reads the table.
    """

    async def publish(self, source: str, events: Sequence[Row]) -> None:
        """Add committed events. Raises Unavailable: nobody knows which are there then; they are to be sent again."""

    async def newest(self, source: str) -> int:
        """The highest number that was published, 0 when there is none. Raises Unavailable."""

    def listen(self, sources: Sequence[str]) -> AsyncGenerator[tuple[str, list[Row]], None]:
        """Events published from now on, as (source, events), until whoever iterates is cancelled or stops.

        Each source first gives an empty list: what is published after that is heard, what came before is in the table.
        It may give another one later, when something may have been missed. Numbers grow: a repeat is left out.
        """

    async def close(self) -> None:
        """Let go of connections."""
