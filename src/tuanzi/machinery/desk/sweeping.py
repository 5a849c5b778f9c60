"""Forgetting what nobody needs any more, so that tables stay bounded: kept answers, and events all have heard."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from tuanzi.base.time import to_ms
from tuanzi.machinery.database import DatabaseUnavailable
from tuanzi.machinery.desk.lanes import Lanes
from tuanzi.machinery.internal import ANSWERS_BEFORE, EVENTS, OLDEST_ANSWER, OLDEST_EVENTS, ForgetAnswers, Rows
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.writer import Request

# Our choice: as long as WeChat keeps the bills (three months) that a dispute about an old group is settled with. At
# 50,000 orders a day and 15 events of 300 bytes each it is some 20 GB in all of a campus's databases.
EVENTS_KEPT_FOR = timedelta(days=90)
# Our choice: 200 rows cost a commit some milliseconds; at one turn a second 17 million are swept in a day.
EVENTS_AT_ONCE = 200
EVENTS_AGAIN_S = 1.0
# Clients retry within minutes; three days also cover one whose phone was off over a weekend.
ANSWERS_KEPT_FOR = timedelta(days=3)
SWEEP_EVERY_S = 300.0
SWEEP_AFTER_S_MAX = 3600.0
SWEPT_AT_ONCE = 500

# The last event that somebody needs no more; may raise Unavailable.
Heard = Callable[[], Awaitable[int]]
# The rows of a committed, recent state.
Read = Callable[..., Awaitable[list[tuple[Any, ...]]]]


class OldEvents:
    """The oldest events of one log, as far as they may go: all have heard them, and nobody asks so late for a group's
    history. Always from its beginning on, so that no gap arises."""

    def __init__(self) -> None:
        self._hearers: list[Heard] = []

    def keep_for(self, heard: Heard) -> None:
        """Keep events until this one has heard them, however old they are."""
        self._hearers.append(heard)

    async def find(self, rows: Read, *, now: datetime) -> list[int]:
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


class Sweeping:
    """Has a desk's writer forget what is old, as work that may wait. rows: reads its database."""

    def __init__(self, lanes: Lanes, old_events: OldEvents, *, rows: Read, now: Callable[[], datetime]) -> None:
        self._lanes = lanes
        self._old_events = old_events
        self._rows = rows
        self._now = now

    async def sweep_answers(self) -> None:
        """Forget kept answers when they are old, a few at a time, so that the table stays bounded."""
        while True:
            before_ms = to_ms(self._now() - ANSWERS_KEPT_FOR)
            pause_s = SWEEP_EVERY_S
            try:
                old = await self._rows(ANSWERS_BEFORE, {"before_ms": before_ms, "limit": SWEPT_AT_ONCE})
                if not old:
                    oldest = await self._rows(OLDEST_ANSWER)
                    in_s = (oldest[0][0] - before_ms) / 1000 if oldest else SWEEP_AFTER_S_MAX
                    pause_s = min(max(in_s, SWEEP_EVERY_S), SWEEP_AFTER_S_MAX)
            except (DatabaseUnavailable, Unavailable):
                old = []
            is_swept = False
            if old:
                forget = ForgetAnswers(answers=tuple((who, key) for who, key in old))
                is_swept = (await self._lanes.put(Request(forget), is_work=True)).problem is None
            # A full disk lets everything be read and nothing be forgotten: it is not asked again at once.
            if len(old) < SWEPT_AT_ONCE or not is_swept:
                await asyncio.sleep(pause_s)

    async def sweep_events(self) -> None:
        """Forget events that are old and were heard by all, a few at a time."""
        while True:
            old: list[Any] = []
            with contextlib.suppress(DatabaseUnavailable, Unavailable):
                old = await self._old_events.find(self._rows, now=self._now())
            if old:
                await self._lanes.put(Request(Rows(removes=[(EVENTS, old)])), is_work=True)
            await asyncio.sleep(EVENTS_AGAIN_S if len(old) == EVENTS_AT_ONCE else SWEEP_AFTER_S_MAX)
