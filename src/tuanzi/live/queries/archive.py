"""Streams in the database: what was told to whom, up to which number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tuanzi.base.time import to_ms
from tuanzi.live.queries.desks import RowDesk
from tuanzi.live.store import (
    BEGIN_ANEW,
    CHAPTERS_BEFORE,
    CURSORS_OF_STREAMS,
    EMPTY_CHAPTERS,
    EPOCH,
    FLOORS_AFTER,
    FLOORS_OF_STREAMS,
    FORGOTTEN_ESCALATIONS,
    FORGOTTEN_RUNS,
    KNOWN_POSTS,
    LOG_POSITIONS,
    NEWEST_CHAPTER,
    NEWEST_OF_CHAPTER,
    NEWEST_OF_STREAMS,
    OLDEST_ESCALATIONS,
    OLDEST_OWNERS,
    OLDEST_POSTS,
    OLDEST_RUNS,
    ORDER_OWNERS,
    POSITION,
    POSTED_EVENTS,
    RUNS_AFTER,
    STREAM_CHAPTERS,
    STREAM_CURSORS,
    STREAM_EPOCHS,
    STREAM_ESCALATIONS,
    STREAM_FLOORS,
    STREAM_RUNS,
    STREAM_STATE,
)
from tuanzi.machinery.database import Ask
from tuanzi.machinery.internal import OLDEST_PARKED, PARKED_EVENT, PARKED_EVENTS, Rows
from tuanzi.machinery.push.ports import Batch, Draft, StreamState
from tuanzi.machinery.several import several
from tuanzi.machinery.tables import Row

# Our choice: after so long no order of somebody who was erased has anything more to tell.
FORGETTING = timedelta(days=30)
# Our choice: its key has some 125 pages. Measured, a message costs a quarter more at twice of it, and a tenth less at
# half of it; but then a stream is read in twice as many parts.
CHAPTER_MESSAGES = 8_000
CHAPTER_MAX = 2**63 - 1  # before it are all
# Our choice: some 300 bytes each. A board has hundreds told together, of which a reader may want the last.
RUN_MAX = 32
# Our choice: a page takes about 2 ms, of which those who decide in the same process wait for half.
STREAMS_AT_ONCE = 1_000


class StreamArchive:
    """The streams of a campus in its database `notices`; an `Archive`. At most one in all processes keeps anything."""

    def __init__(
        self, desk: RowDesk, *, chapter_messages: int = CHAPTER_MESSAGES, has_all_readers: bool = False
    ) -> None:
        """has_all_readers: all who read these streams are at one gateway, which only says more than it said before."""
        self._desk = desk
        self._has_all_readers = has_all_readers
        self._chapter_messages = chapter_messages
        # The chapter that is written, and how many messages it has; None: the database is asked.
        self._chapter: tuple[int, int] | None = None

    async def begin(self, *, fresh: str, positions: Mapping[str, int]) -> str:
        """The name of this history; when there is none yet it is `fresh`, and begins after these events of each log."""
        epoch = await self.find_epoch()
        if not epoch:
            rows = Rows(
                inserts=[(STREAM_EPOCHS, [("streams", fresh)])], upserts=[(LOG_POSITIONS, list(positions.items()))]
            )
            await self._desk.keep_rows(rows)
        return epoch or fresh

    async def find_epoch(self) -> str:
        """The name of this history; '' before anything was told."""
        rows = await self._desk.rows(EPOCH)
        return str(rows[0][0]) if rows else ""

    async def load(self, stream: str) -> StreamState:
        """Where a stream is."""
        return state_of(await self._desk.rows(STREAM_STATE, {"stream": stream}))

    async def read(self, stream: str, *, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Messages after a number."""
        rows = await self._desk.rows(RUNS_AFTER, {"stream": stream, "after": after, "limit": limit})
        return messages_of(rows, after=after, limit=limit)

    async def newest(self, streams: Sequence[str]) -> dict[str, int]:
        """The newest number of each; 0 for one nobody wrote to."""

        def reading(ask: Ask) -> dict[str, int]:
            found = dict.fromkeys(streams, 0)
            for slots in several(streams):
                for stream, number in [*ask(NEWEST_OF_STREAMS, slots), *ask(FLOORS_OF_STREAMS, slots)]:
                    found[stream] = max(found[stream], number)
            return found

        return await self._desk.look(reading)

    async def newest_of_all(self, *, streams_max: int) -> dict[str, int] | None:
        """The newest number of every stream there is; None when there are more of them."""
        found: dict[str, int] = {}
        before = CHAPTER_MAX
        while chapters := await self._desk.rows(CHAPTERS_BEFORE, {"before": before}):
            ((before,),) = chapters
            if not await self._add_all(found, NEWEST_OF_CHAPTER, {"chapter": before}, streams_max=streams_max):
                return None
        # At last: what is forgotten meanwhile was there when its chapter was read.
        return found if await self._add_all(found, FLOORS_AFTER, {}, streams_max=streams_max) else None

    async def _add_all(self, found: dict[str, int], sql: str, slots: Mapping[str, Any], *, streams_max: int) -> bool:
        """Add what a statement finds, page by page; whether all was found and there are not too many."""
        after = ""
        while rows := await self._desk.rows(sql, {**slots, "after": after, "limit": STREAMS_AT_ONCE}):
            for stream, number in rows:
                found[stream] = max(number, found.get(stream, 0))
            if len(found) > streams_max:
                return False
            after = rows[-1][0]
        return True

    async def position(self, source: str) -> int:
        """The last event of a log whose messages are kept."""
        rows = await self._desk.rows(POSITION, {"source": source})
        return int(rows[0][0]) if rows else 0

    async def known(self, event_ids: Sequence[str]) -> set[str]:
        """Which of these posts are kept."""
        return await self._desk.look(
            lambda ask: {id for slots in several(event_ids) for (id,) in ask(KNOWN_POSTS, slots)}
        )

    async def keep(self, batch: Batch) -> None:
        """Keep all of a batch in one commit."""
        at_ms = to_ms(batch.at)
        chapter, has = await self._find_chapter()
        begun: list[Row] = []
        if has >= self._chapter_messages:
            chapter, has, begun = chapter + 1, 0, [(chapter + 1, at_ms)]
        posted = [(event_id, at_ms) for event_id in batch.posted]
        parked = [(source, number, name, reason, at_ms) for source, number, name, reason in batch.parked]
        rows = Rows(
            inserts=[
                *batch.inserts,
                (STREAM_RUNS, runs_of(batch.messages, chapter=chapter, at_ms=at_ms)),
                (POSTED_EVENTS, posted),
                (PARKED_EVENTS, parked),
            ],
            upserts=[*batch.upserts, (LOG_POSITIONS, list(batch.positions.items())), (STREAM_CHAPTERS, begun)],
            removes=[(PARKED_EVENTS, list(batch.heard))],
        )
        self._chapter = None  # whatever comes of it
        await self._desk.keep_rows(rows)
        self._chapter = chapter, has + len(batch.messages)

    async def is_parked(self, source: str, number: int) -> bool:
        """Whether this event is laid aside."""
        return bool(await self._desk.rows(PARKED_EVENT, {"source": source, "number": number}))

    async def oldest_parked(self, source: str) -> int | None:
        """The number of the oldest event of a source that is laid aside."""
        rows = await self._desk.rows(OLDEST_PARKED, {"source": source})
        return int(rows[0][0]) if rows else None

    async def _find_chapter(self) -> tuple[int, int]:
        """The chapter to write, and how many messages it has."""
        if self._chapter is not None:
            return self._chapter
        rows = await self._desk.rows(NEWEST_CHAPTER)
        return rows[0] if rows else (-1, self._chapter_messages)

    async def sweep(self, *, before: datetime, limit: int) -> int:
        """Forget the oldest messages and owners, before them those of erased people; a stream remembers up to which
        number it forgot."""
        slots = {"before_ms": to_ms(before), "limit": limit}
        since_ms = to_ms(before - FORGETTING)
        old = await self._desk.rows(FORGOTTEN_RUNS, {"since_ms": since_ms, "limit": limit})
        old = old or await self._desk.rows(OLDEST_RUNS, slots)
        posts = [event_id for (event_id,) in await self._desk.rows(OLDEST_POSTS, slots)]
        owners = [order_id for (order_id,) in await self._desk.rows(OLDEST_OWNERS, slots)]
        chapters = [chapter for (chapter,) in await self._desk.rows(EMPTY_CHAPTERS, slots)]
        escalations = await self._desk.rows(FORGOTTEN_ESCALATIONS, {"since_ms": since_ms, "limit": limit})
        escalations = escalations or await self._desk.rows(OLDEST_ESCALATIONS, slots)
        if not (old or posts or owners or chapters or escalations):
            return 0
        floors: dict[str, int] = {}
        for _, stream, number in old:
            floors[stream] = max(number, floors.get(stream, 0))
        rows = Rows(
            upserts=[(STREAM_FLOORS, list(floors.items()))],
            removes=[
                (STREAM_RUNS, [(chapter, stream, number) for chapter, stream, number in old]),
                (POSTED_EVENTS, posts),
                (ORDER_OWNERS, owners),
                (STREAM_CHAPTERS, chapters),
                (STREAM_ESCALATIONS, [id for (id,) in escalations]),
            ],
        )
        await self._desk.keep_rows(rows)
        return max(len(old), len(posts), len(owners), len(escalations))

    async def keep_cursors(self, cursors: Sequence[tuple[str, int, int]]) -> None:
        """Remember how far streams were sent and acknowledged; what is kept never goes back, for another device of the
        person may have said more at another gateway. One that says so within the same milliseconds may be forgotten.
        """

        if self._has_all_readers:
            await self._desk.keep_rows(Rows(upserts=[(STREAM_CURSORS, list(cursors))]))
            return

        def reading(ask: Ask) -> dict[str, tuple[int, int]]:
            pages = several([stream for stream, _, _ in cursors])
            return {stream: (sent, acked) for slots in pages for stream, sent, acked in ask(CURSORS_OF_STREAMS, slots)}

        kept = await self._desk.look(reading)
        rows = []
        for stream, sent, acked in cursors:
            sent_before, acked_before = kept.get(stream, (0, 0))
            if sent > sent_before or acked > acked_before:
                rows.append((stream, max(sent, sent_before), max(acked, acked_before)))
        if rows:
            await self._desk.keep_rows(Rows(upserts=[(STREAM_CURSORS, rows)]))


def runs_of(messages: Sequence[tuple[Draft, int]], *, chapter: int, at_ms: int) -> list[Row]:
    """Numbered messages as rows of `stream_runs`, in order of their key."""
    streams: dict[str, tuple[int, list[bytes]]] = {}
    for draft, number in messages:
        begun = streams.get(draft.stream)
        if begun is None:
            streams[draft.stream] = (number, [draft.data])
        else:
            begun[1].append(draft.data)
    rows: list[Row] = []
    for stream, (first, bodies) in sorted(streams.items()):
        for at in range(0, len(bodies), RUN_MAX):
            some = bodies[at : at + RUN_MAX]
            text = (b"[" + b",".join(some) + b"]").decode()
            rows.append((chapter, stream, first + at + len(some) - 1, first + at, at_ms, text))
    return rows


_read_run = msgspec.json.Decoder(list[msgspec.Raw]).decode


def messages_of(rows: Sequence[Row], *, after: int, limit: int) -> list[tuple[int, bytes]]:
    """The numbers and messages of rows as RUNS_AFTER gives them, at most `limit` of them after a number."""
    found = [
        (number, bytes(message))
        for first, messages in rows
        for number, message in enumerate(_read_run(messages), first)
        if number > after
    ]
    return found[:limit]


def state_of(rows: Sequence[Row]) -> StreamState:
    """Where a stream is, as STREAM_STATE says."""
    ((newest, floor, sent, acked),) = rows
    return StreamState(newest=max(newest, floor), floor=floor, sent=sent, acked=acked)


def rename_history(database: Any, *, fresh: str) -> None:
    """Begin a history of another name with the messages that there are, when anything was told: whoever knows a number
    of the one before loads everything anew. fresh: letters and digits."""
    database.execute_script(BEGIN_ANEW.format(fresh=fresh))


def find_log_position(database: Any, source: str) -> int | None:
    """The last event of `source` that was told, as the database `notices` keeps it; None before its streams began."""
    rows = database.rows(POSITION, {"source": source})
    return int(rows[0][0]) if rows else None
