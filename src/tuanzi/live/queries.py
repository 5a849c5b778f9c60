"""What is read for live: streams from the database, whose an order is, who may hear what (A4, A5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Struct, structs

from tuanzi import people
from tuanzi.base.ids import GroupId, SessionId
from tuanzi.base.problem import Unknown
from tuanzi.base.time import to_ms
from tuanzi.base.who import Role, Who
from tuanzi.groups import load_group
from tuanzi.live.model import (
    OPS,
    RIDERS,
    AnyMessage,
    GroupPicture,
    OpsPicture,
    claim_of,
    stream_of_merchant,
    stream_of_person,
)
from tuanzi.live.store import (
    BEGIN_ANEW,
    CHAPTERS_BEFORE,
    CURSORS_OF_STREAMS,
    DUE_ESCALATIONS,
    EMPTY_CHAPTERS,
    EPOCH,
    ESCALATED_OF_STREAMS,
    FLOORS_AFTER,
    FLOORS_OF_STREAMS,
    FORGOTTEN_ESCALATIONS,
    FORGOTTEN_MESSAGES,
    FORGOTTEN_OF_STREAMS,
    KNOWN_EVENTS,
    LATE_ESCALATIONS,
    LOG_POSITIONS,
    MESSAGES_AFTER,
    NEWEST_CHAPTER,
    NEWEST_OF_CHAPTER,
    NEWEST_OF_STREAMS,
    OLDEST_ESCALATIONS,
    OLDEST_MESSAGES,
    OLDEST_OWNERS,
    ORDER_OWNERS,
    POSITION,
    RECENT_STREAMS,
    STREAM_CHAPTERS,
    STREAM_CURSORS,
    STREAM_EPOCHS,
    STREAM_ESCALATIONS,
    STREAM_FLOORS,
    STREAM_MESSAGES,
    STREAM_STATE,
    EscalationState,
    StreamEscalation,
)
from tuanzi.machinery.database import Ask
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.internal import OLDEST_PARKED, PARKED_EVENT, PARKED_EVENTS, Rows
from tuanzi.machinery.push.ports import Batch, ChannelKind, Escalated, StreamState, Ticket
from tuanzi.machinery.push.protocol import Close, Closing, Fault, Refused
from tuanzi.machinery.several import several
from tuanzi.machinery.tables import Row

V = TypeVar("V")
# Our choice: after so long no order of somebody who was erased has anything more to tell.
FORGETTING = timedelta(days=30)
# Our choice: its key has some 125 pages. Measured, a message costs a quarter more at twice of it, and a tenth less at
# half of it; but then a stream is read in twice as many parts.
CHAPTER_MESSAGES = 8_000
CHAPTER_MAX = 2**63 - 1  # before it are all
# Our choice: a page takes about 2 ms, of which those who decide in the same process wait for half.
STREAMS_AT_ONCE = 1_000
# Our choice: those who were told something within two minutes; of more the rest waits for the next message to them.
RECENT_STREAMS_MAX = 500_000
_encode = msgspec.json.Encoder().encode


class NumberedMessage(Struct, frozen=True, kw_only=True, gc=False):
    """A message of a stream."""

    number: int
    data: AnyMessage


class MessagePage(Struct, frozen=True, kw_only=True, gc=False):
    """Messages of my stream after a number, in order. newest, acked: of the whole stream."""

    items: tuple[NumberedMessage, ...]
    epoch: str
    newest: int
    acked: int


_read = msgspec.json.Decoder(AnyMessage).decode


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
        return _state_of(await self._desk.rows(STREAM_STATE, {"stream": stream}))

    async def read(self, stream: str, *, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Messages after a number."""
        rows = await self._desk.rows(MESSAGES_AFTER, {"stream": stream, "after": after, "limit": limit})
        return [(number, body.encode()) for number, body in rows]

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

    async def known(self, event_ids: Sequence[str]) -> set[str]:
        """Which of these events are kept."""
        return await self._desk.look(
            lambda ask: {id for slots in several(event_ids) for (id,) in ask(KNOWN_EVENTS, slots)}
        )

    async def keep(self, batch: Batch) -> None:
        """Keep all of a batch in one commit."""
        at_ms = to_ms(batch.at)
        chapter, has = await self._find_chapter()
        begun: list[Row] = []
        if has >= self._chapter_messages:
            chapter, has, begun = chapter + 1, 0, [(chapter + 1, at_ms)]
        messages = [
            (draft.event_id, chapter, draft.stream, number, draft.kind, at_ms, draft.data.decode())
            for draft, number in batch.messages
        ]
        parked = [(source, number, name, reason, at_ms) for source, number, name, reason in batch.parked]
        rows = Rows(
            inserts=[*batch.inserts, (STREAM_MESSAGES, messages), (PARKED_EVENTS, parked)],
            upserts=[*batch.upserts, (LOG_POSITIONS, list(batch.positions.items())), (STREAM_CHAPTERS, begun)],
            removes=[(PARKED_EVENTS, list(batch.heard))],
        )
        self._chapter = None  # whatever comes of it
        await self._desk.keep_rows(rows)
        self._chapter = chapter, has + len(messages)

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
        old = await self._desk.rows(FORGOTTEN_MESSAGES, {"since_ms": since_ms, "limit": limit})
        old = old or await self._desk.rows(OLDEST_MESSAGES, slots)
        owners = [order_id for (order_id,) in await self._desk.rows(OLDEST_OWNERS, slots)]
        chapters = [chapter for (chapter,) in await self._desk.rows(EMPTY_CHAPTERS, slots)]
        escalations = await self._desk.rows(FORGOTTEN_ESCALATIONS, {"since_ms": since_ms, "limit": limit})
        escalations = escalations or await self._desk.rows(OLDEST_ESCALATIONS, slots)
        if not old and not owners and not chapters and not escalations:
            return 0
        floors: dict[str, int] = {}
        for _, stream, number in old:
            floors[stream] = max(number, floors.get(stream, 0))
        rows = Rows(
            upserts=[(STREAM_FLOORS, list(floors.items()))],
            removes=[
                (STREAM_MESSAGES, [event_id for event_id, _, _ in old]),
                (ORDER_OWNERS, owners),
                (STREAM_CHAPTERS, chapters),
                (STREAM_ESCALATIONS, [id for (id,) in escalations]),
            ],
        )
        await self._desk.keep_rows(rows)
        return max(len(old), len(owners), len(escalations))

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


class Escalations:
    """What nobody acknowledged in time, in the database `notices`; an `EscalationBook`."""

    def __init__(self, desk: RowDesk) -> None:
        self._desk = desk

    async def recent(self, prefix: str, *, back: timedelta) -> dict[str, int]:
        """The newest number of each stream that was written to in the last moments of all."""
        slots = {
            "back_ms": back // timedelta(milliseconds=1),
            "prefix": prefix,
            "end": prefix[:-1] + chr(ord(prefix[-1]) + 1),
            "limit": RECENT_STREAMS_MAX,
        }
        return dict(await self._desk.rows(RECENT_STREAMS, slots))

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


def rename_history(database: Any, *, fresh: str) -> None:
    """Begin a history of another name with the messages that there are, when anything was told: whoever knows a number
    of the one before loads everything anew. fresh: letters and digits."""
    database.execute_script(BEGIN_ANEW.format(fresh=fresh))


def find_log_position(database: Any, source: str) -> int | None:
    """The last event of `source` that was told, as the database `notices` keeps it; None before its streams began."""
    rows = database.rows(POSITION, {"source": source})
    return int(rows[0][0]) if rows else None


def _state_of(rows: Sequence[Row]) -> StreamState:
    ((newest, floor, sent, acked),) = rows
    return StreamState(newest=max(newest, floor), floor=floor, sent=sent, acked=acked)


class Gatekeeper:
    """Lets people in and tells what they may hear; a `Gate`. Each time somebody comes his session is looked up."""

    def __init__(
        self,
        platform: Desk,
        campuses: Mapping[str, CampusDesks],
        *,
        keys: people.Keys,
        now: Callable[[], datetime],
        overview: Callable[[str], OpsPicture],
    ) -> None:
        """overview: what a campus's operators see."""
        self._platform = platform
        self._campuses = campuses
        self._keys = keys
        self._now = now
        self._overview = overview

    async def admit(self, token: str) -> Ticket:
        """Who holds this token. Refused when it is over, Closing when it is none or the session has ended."""
        text, _, signature = token.partition(".")
        if not token or not self._keys.signed(text, signature):
            raise Closing(Close.INVALID_TOKEN, "invalid token")
        claim = claim_of(text)
        if claim is None or claim.campus_id not in self._campuses:
            raise Closing(Close.INVALID_TOKEN, "invalid token")
        now = self._now()
        if now >= claim.expires_at:
            raise Refused(Fault.TOKEN_EXPIRED)
        who = await people.find_who(self._platform, SessionId(claim.session_id), now=now)
        if who is None:
            raise Closing(Close.SIGNED_OUT, "signed out")
        if who.campus_id is not None and who.campus_id != claim.campus_id:
            raise Closing(Close.INVALID_TOKEN, "another campus")
        return Ticket(
            person_id=who.person_id,
            session_id=who.session_id,
            campus_id=claim.campus_id,
            stream=stream_of_person(who.person_id),
            expires_at=claim.expires_at,
            rights=who,
        )

    async def kind_of(self, ticket: Ticket, channel: str) -> ChannelKind:
        """How this person hears a channel."""
        who = ticket.rights
        assert isinstance(who, Who)
        name, _, id = channel.partition(":")
        is_operator = Role.OPERATOR in who.roles
        match name:
            case "group" if id:
                await self._check_group(ticket.campus_id, id)
                return ChannelKind.PICTURE
            case "board" if id:
                is_his = Role.MERCHANT in who.roles and channel == stream_of_merchant(who.merchant_id or "")
                return _allowed(ChannelKind.STREAM, is_operator or is_his)
            case "user" if id:
                raise Refused(Fault.ALREADY_SUBSCRIBED if channel == ticket.stream else Fault.PERMISSION_DENIED)
            case _ if channel == RIDERS:
                return _allowed(ChannelKind.STREAM, is_operator or Role.RIDER in who.roles)
            case _ if channel == OPS:
                return _allowed(ChannelKind.PICTURE, is_operator)
            case _:
                raise Refused(Fault.UNKNOWN_CHANNEL)

    async def _check_group(self, campus_id: str, group_id: str) -> None:
        try:
            await load_group(self._campuses[campus_id].core, GroupId(group_id))
        except Unknown:
            raise Refused(Fault.UNKNOWN_CHANNEL) from None

    async def picture(self, campus_id: str, channel: str, watching: int) -> bytes:
        """What a channel looks like now."""
        if channel == OPS:
            return _encode(self._overview(campus_id))
        group_id = GroupId(channel.partition(":")[2])
        return _encode(await group_picture(self._campuses[campus_id].core, group_id, watching=watching))


def _allowed(kind: ChannelKind, is_allowed: bool) -> ChannelKind:
    if not is_allowed:
        raise Refused(Fault.PERMISSION_DENIED)
    return kind


async def group_picture(desk: Desk, group_id: GroupId, *, watching: int) -> GroupPicture:
    """A group as its channel shows it. Raises Unknown."""
    group = await load_group(desk, group_id)
    paid = group.paid_count
    return GroupPicture(
        group_id=group.id,
        state=group.state.value,
        seats_max=group.seats_max,
        seats_taken=len(group.seats),
        paid_count=paid,
        missing=max(0, group.tiers[0].size - paid),
        closes_at=group.closes_at,
        version=group.version,
        watching=watching,
    )


async def message_page(desk: Desk, stream: str, *, after: int | None, limit: int) -> MessagePage:
    """A part of a stream; what nobody acknowledged yet when `after` is None."""
    state = _state_of(await desk.rows(STREAM_STATE, {"stream": stream}))
    start = max(state.acked, state.floor) if after is None else after
    rows = await desk.rows(MESSAGES_AFTER, {"stream": stream, "after": start, "limit": limit})
    epoch = await desk.rows(EPOCH)
    return MessagePage(
        items=tuple(NumberedMessage(number=number, data=_read(body)) for number, body in rows),
        epoch=str(epoch[0][0]) if epoch else "",
        newest=state.newest,
        acked=state.acked,
    )
