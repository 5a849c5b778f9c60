"""What is shown of streams and groups when somebody asks."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from tuanzi.base.ids import GroupId
from tuanzi.groups import load_group
from tuanzi.live.model import AnyMessage, GroupPicture
from tuanzi.live.queries.archive import messages_of, state_of
from tuanzi.live.store import EPOCH, RUNS_AFTER, STREAM_STATE
from tuanzi.machinery.http.routes import Desk

_read = msgspec.json.Decoder(AnyMessage).decode


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
    state = state_of(await desk.rows(STREAM_STATE, {"stream": stream}))
    start = max(state.acked, state.floor) if after is None else after
    rows = await desk.rows(RUNS_AFTER, {"stream": stream, "after": start, "limit": limit})
    found = messages_of(rows, after=start, limit=limit)
    epoch = await desk.rows(EPOCH)
    return MessagePage(
        items=tuple(NumberedMessage(number=number, data=_read(body)) for number, body in found),
        epoch=str(epoch[0][0]) if epoch else "",
        newest=state.newest,
        acked=state.acked,
    )
