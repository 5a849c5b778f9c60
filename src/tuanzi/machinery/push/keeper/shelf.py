"""Where a campus's messages are numbered and kept: each once, and a stream's next one after its newest (A3, A4).

Numbers come from memory, backed by the table. Of posts a repeat is dropped here, by its id: the Bloom filter says which
may be one, the table which is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from tuanzi.base.problem import Problem
from tuanzi.machinery.problems import Crashed
from tuanzi.machinery.push.escalation import Escalator
from tuanzi.machinery.push.keeper.numbers import NUMBERS_MAX, Numbers
from tuanzi.machinery.push.keeper.words import KeeperFigures
from tuanzi.machinery.push.ports import Archive, Batch, Draft, Kept
from tuanzi.machinery.push.seen import Seen

KEPT_FOR = timedelta(days=7)
SWEEP_EVERY_S = 60.0
SWEPT_AT_ONCE = 500


class Shelf:
    """The streams of a campus as the table has them. One batch at a time is kept."""

    def __init__(self, archive: Archive, *, seen: Seen, figures: KeeperFigures, escalator: Escalator | None) -> None:
        """escalator: who looks after what nobody acknowledges; None where nobody does."""
        self._archive = archive
        self._seen = seen
        self._figures = figures
        self._escalator = escalator
        self._numbers = Numbers()
        self._learned = -1  # the history of its numbers that was learned last

    def forget(self) -> None:
        """Ask the table for every number anew."""
        self._numbers.forget()

    async def keep(self, batch: Batch, messages: Sequence[Draft]) -> list[Kept]:
        """Number and keep messages of a log. Raises Crashed when the table refuses them all the same."""
        try:
            return await self._number_and_keep(batch, messages)
        except Crashed:
            self._numbers.forget()  # memory may have forgotten something: ask the table for every number
            return await self._number_and_keep(batch, messages)

    async def keep_posts(self, messages: Sequence[Draft], *, at: datetime) -> list[Kept]:
        """Number and keep those posts that are new. Raises Crashed when the table refuses them all the same."""
        new = await self._new(messages, is_sure=False)
        try:
            kept = await self._number_and_keep(Batch(at=at, posted=[draft.event_id for draft in new]), new)
        except Crashed:
            # The filter or memory forgot something: ask the table for everything.
            self._numbers.forget()
            new = await self._new(messages, is_sure=True)
            kept = await self._number_and_keep(Batch(at=at, posted=[draft.event_id for draft in new]), new)
        self._seen.add(draft.event_id for draft in new)
        return kept

    async def tend(self, now: Callable[[], datetime]) -> None:
        """Know all streams, and forget messages when they are old, a few at a time; until cancelled."""
        while True:
            await self._learn()
            try:
                swept = await self._archive.sweep(before=now() - KEPT_FOR, limit=SWEPT_AT_ONCE)
            except Problem:
                swept = 0
            self._figures.swept += swept
            if swept < SWEPT_AT_ONCE:
                await asyncio.sleep(SWEEP_EVERY_S)

    async def _number_and_keep(self, batch: Batch, messages: Sequence[Draft]) -> list[Kept]:
        numbers = self._numbers
        newest = {draft.stream: numbers.find(draft.stream) for draft in messages}
        unknown = [stream for stream, number in newest.items() if number is None]
        if unknown:
            newest.update(await self._archive.newest(unknown))
        before = newest.copy()
        numbered: list[tuple[Draft, int]] = []
        for draft in messages:
            number = newest[draft.stream] = (newest[draft.stream] or 0) + 1
            numbered.append((draft, number))
        batch.messages = numbered
        await self._archive.keep(batch)
        for stream, reached in newest.items():
            numbers.keep(stream, reached or 0)
        if self._escalator is not None:
            self._escalator.note(before, newest)
        return [Kept(draft.stream, number, draft.data) for draft, number in numbered]

    async def _new(self, messages: Sequence[Draft], *, is_sure: bool) -> list[Draft]:
        """Those posts that are not kept yet, each once. is_sure: ask for all, whatever the filter says."""
        may_know = self._seen.may_know
        here: dict[str, None] = {}
        maybe: list[str] = []
        new: list[Draft] = []
        for draft in messages:
            if draft.event_id in here:
                self._figures.repeats += 1
                continue
            here[draft.event_id] = None
            if is_sure or may_know(draft.event_id):
                maybe.append(draft.event_id)
            new.append(draft)
        if not maybe:
            return new
        known = await self._archive.known(maybe)
        self._figures.repeats += len(known)
        return [draft for draft in new if draft.event_id not in known]

    async def _learn(self) -> None:
        """Learn the newest numbers of all streams, again when they had to be forgotten. Of more than memory holds those
        are asked for that are needed: a rush of people who were told nothing since the start took a sixth of a core for
        such questions, measured with 40 chapters, and more with each chapter there is."""
        history = self._numbers.history
        if history != self._learned:
            with contextlib.suppress(Problem):
                numbers = await self._archive.newest_of_all(streams_max=2 * NUMBERS_MAX)
                self._learned = history
                if numbers is not None:
                    self._numbers.learn(numbers, history=history)
