"""What nobody acknowledged in time (A5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import structs

from tuanzi.live.queries.desks import RowDesk
from tuanzi.live.store import (
    CURSORS_OF_STREAMS,
    DUE_ESCALATIONS,
    ESCALATED_OF_STREAMS,
    FLOORS_OF_STREAMS,
    FORGOTTEN_OF_STREAMS,
    LATE_ESCALATIONS,
    NEWEST_AT,
    RECENT_STREAMS,
    STREAM_ESCALATIONS,
    EscalationState,
    StreamEscalation,
)
from tuanzi.machinery.database import Ask
from tuanzi.machinery.internal import Rows
from tuanzi.machinery.push.ports import Escalated
from tuanzi.machinery.several import several, whole_rows_there
from tuanzi.machinery.tables import Row

# Our choice: those who were told something within two minutes; when there are more, all are read once more.
RECENT_STREAMS_AT_FIRST = 500_000


class Escalations:
    """What nobody acknowledged in time, in the database `notices`; an `EscalationBook`."""

    def __init__(self, desk: RowDesk) -> None:
        self._desk = desk

    async def recent(self, prefix: str, *, back: timedelta) -> dict[str, int]:
        """The newest number of each stream that was written to in the last moments of all."""
        newest = await self._desk.rows(NEWEST_AT)
        if not newest:
            return {}
        slots = {
            "after_ms": newest[0][0] - back // timedelta(milliseconds=1),
            "prefix": prefix,
            "end": prefix[:-1] + chr(ord(prefix[-1]) + 1),
        }
        return dict(await whole_rows_there(self._desk.rows, RECENT_STREAMS, slots, at_first=RECENT_STREAMS_AT_FIRST))

    async def escalate(self, noted: Mapping[str, int], *, at: datetime) -> list[Escalated]:
        """Keep in one commit what of these is neither acknowledged nor escalated; of who was erased nothing is."""
        streams = list(noted)

        def reading(ask: Ask) -> tuple[dict[str, int], set[str]]:
            done = dict.fromkeys(streams, 0)
            forgotten: set[str] = set()
            for slots in several(streams):
                for stream, _, acked in ask(CURSORS_OF_STREAMS, slots):
                    done[stream] = acked
                for stream, number in [*ask(ESCALATED_OF_STREAMS, slots), *ask(FLOORS_OF_STREAMS, slots)]:
                    done[stream] = max(done[stream], number)
                forgotten.update(stream for (stream,) in ask(FORGOTTEN_OF_STREAMS, slots))
            return done, forgotten

        done, forgotten = await self._desk.look(reading)
        escalated = [
            Escalated(id=f"{stream}.{number}", stream=stream, first_number=done[stream] + 1, last_number=number)
            for stream, number in noted.items()
            if number > done[stream] and stream not in forgotten
        ]
        if escalated:
            rows = [_row_of(each, EscalationState.DUE, at=at) for each in escalated]
            await self._desk.keep_rows(Rows(inserts=[(STREAM_ESCALATIONS, rows)]))
        return escalated

    async def due(self, *, limit: int) -> list[Escalated]:
        """What other means have not taken yet."""
        return [_escalated_of(kept) for kept in await self._find(DUE_ESCALATIONS, limit)]

    async def handed(self, escalated: Sequence[Escalated]) -> None:
        """Keep that other means have taken these; what was acknowledged meanwhile stays so."""
        ids = {each.id for each in escalated}
        due = [kept for kept in await self._find(DUE_ESCALATIONS, len(ids)) if kept.id in ids]
        await self._move(due, EscalationState.HANDED)

    async def find_late(self, *, limit: int) -> list[Escalated]:
        """Keep which were acknowledged after all."""
        late = await self._find(LATE_ESCALATIONS, limit)
        await self._move(late, EscalationState.LATE)
        return [_escalated_of(kept) for kept in late]

    async def _find(self, sql: str, limit: int) -> list[StreamEscalation]:
        return [STREAM_ESCALATIONS.from_row(row) for row in await self._desk.rows(sql, {"limit": limit})]

    async def _move(self, kept: Sequence[StreamEscalation], state: EscalationState) -> None:
        if kept:
            rows = [STREAM_ESCALATIONS.to_row(structs.replace(each, state=state)) for each in kept]
            await self._desk.keep_rows(Rows(upserts=[(STREAM_ESCALATIONS, rows)]))


def _row_of(escalated: Escalated, state: EscalationState, *, at: datetime) -> Row:
    kept = StreamEscalation(
        id=escalated.id,
        stream=escalated.stream,
        first_number=escalated.first_number,
        last_number=escalated.last_number,
        state=state,
        at=at,
    )
    return STREAM_ESCALATIONS.to_row(kept)


def _escalated_of(kept: StreamEscalation) -> Escalated:
    return Escalated(id=kept.id, stream=kept.stream, first_number=kept.first_number, last_number=kept.last_number)
