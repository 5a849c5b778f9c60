"""Which committed events nobody needs any more: all have heard them, and a group's history is not asked for so late."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from tuanzi.base.time import to_ms
from tuanzi.machinery.internal import OLDEST_EVENTS

# Our choice: as long as WeChat keeps the bills (three months) that a dispute about an old group is settled with. At
# 50,000 orders a day and 15 events of 300 bytes each it is some 20 GB in all of a campus's databases.
EVENTS_KEPT_FOR = timedelta(days=90)
# Our choice: 200 rows cost a commit some milliseconds; at one turn a second 17 million are swept in a day.
EVENTS_AT_ONCE = 200

# The last event that somebody needs no more; may raise Unavailable.
Heard = Callable[[], Awaitable[int]]


class OldEvents:
    """The oldest events of one log, as far as they may go; always from its beginning on, so that no gap arises."""

    def __init__(self) -> None:
        self._hearers: list[Heard] = []

    def keep_for(self, heard: Heard) -> None:
        """Keep events until this one has heard them, however old they are."""
        self._hearers.append(heard)

    async def find(self, rows: Callable[..., Awaitable[list[tuple[Any, ...]]]], *, now: datetime) -> list[int]:
        """Numbers of at most EVENTS_AT_ONCE events, in order; never the newest, by which the log's end is known.

        rows: reads the log's database. Raises Unavailable.
        """
        before_ms = to_ms(now - EVENTS_KEPT_FOR)
        oldest = await rows(OLDEST_EVENTS, {"limit": EVENTS_AT_ONCE + 1})
        old = [number for number, at_ms in oldest[:-1] if at_ms < before_ms]
        for heard in self._hearers if old else ():
            until = await heard()
            old = [number for number in old if number <= until]
        return old
