"""The port to the event log that other processes hear: each database's `events` table, relayed (architecture 4)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from tuanzi.machinery.tables import Row


class EventLog(Protocol):
    """Carries committed events, (number, name, version, at_ms, body), from each database to whoever listens.

    source: a database, e.g. "beijing.core". In order; numbers have no gaps but may repeat after a crash of the relay.
    The `events` table stays the truth: what is lost here, or too old to be kept, is read there.
    """

    async def publish(self, source: str, events: Sequence[Row]) -> None:
        """Add committed events. Raises Unavailable: nobody knows which are there then; they are to be sent again."""

    async def newest(self, source: str) -> int:
        """The highest number that was published, 0 when there is none. Raises Unavailable."""

    def listen(self, sources: Sequence[str]) -> AsyncIterator[tuple[str, list[Row]]]:
        """Events published from now on, as (source, events in order)."""

    async def close(self) -> None:
        """Let go of connections."""
