"""The books side by side, within a look: what the ledger and the provider must say by what sharing knows (C3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import Struct

from tuanzi.machinery.database import Ask
from tuanzi.machinery.several import rows_of, rows_of_period
from tuanzi.money import ReceiverResult
from tuanzi.sharing import store
from tuanzi.sharing.model import ReturnState, Share, SharePart, ShareReturn, ShareState, SharingState


class BookedAtProvider(Struct, frozen=True, kw_only=True, gc=False):
    """What is kept of money that a receiver was given, or gave back.

    key: as in the provider's bill: `out_order_no/account`, or out_return_no. is_return: which of the two.
    fen: what it moved, or is to move. is_over: whether that is known; is_done: whether it was moved.
    """

    key: str
    order_id: str
    is_return: bool
    fen: int
    is_over: bool
    is_done: bool
    at: datetime | None


def journals_due(ask: Ask, order_ids: Sequence[str]) -> dict[str, dict[str, int | None]]:
    """By order: the journals that sharing has booked for it, and their turnover; None where that is not kept."""
    due: dict[str, dict[str, int | None]] = {}
    decided: dict[str, datetime] = {}
    for sharing in map(store.SHARINGS.from_row, rows_of(ask, store.SHARINGS_OF_ORDERS, order_ids)):
        if sharing.state is SharingState.POSTED and sharing.decided_at is not None and sharing.payable:
            decided[sharing.order_id] = sharing.decided_at
            due.setdefault(sharing.order_id, {})[f"sharing:{sharing.order_id}"] = None
    given: dict[str, int] = {}
    for part in map(store.SHARE_PARTS.from_row, rows_of(ask, store.PARTS_OF_ORDERS, order_ids)):
        if part.result is ReceiverResult.SUCCESS:
            given[part.share_id] = given.get(part.share_id, 0) + part.amount.fen
    for share in map(store.SHARES.from_row, rows_of(ask, store.SHARES_OF_ORDERS, order_ids)):
        if share.state is ShareState.FINISHED and given.get(share.id):
            due.setdefault(share.order_id, {})[f"share_given:{share.id}"] = given[share.id]
    for back in map(store.RETURNS.from_row, rows_of(ask, store.RETURNS_OF_ORDERS, order_ids)):
        if back.state is ReturnState.SETTLED:
            due.setdefault(back.order_id, {})[f"share_returned:{back.id}"] = back.left.fen
    for claw in map(store.CLAW_BACKS.from_row, rows_of(ask, store.CLAW_BACKS_OF_ORDERS, order_ids)):
        if claw.order_id in decided and claw.at > decided[claw.order_id]:
            due.setdefault(claw.order_id, {})[f"claw_back:{claw.refund_id}"] = None
    return due


def booked_by_number(ask: Ask, numbers: Sequence[str]) -> list[BookedAtProvider]:
    """What is kept under these numbers of the provider, shares and returns."""
    shares = [store.SHARES.from_row(row) for row in rows_of(ask, store.SHARES_NUMBERED, numbers)]
    returns = [store.RETURNS.from_row(row) for row in rows_of(ask, store.RETURNS_NUMBERED, numbers)]
    return [*_booked_shares(ask, shares), *map(_booked_return, returns)]


def booked_between(ask: Ask, begins: datetime, ends: datetime) -> list[BookedAtProvider]:
    """What was noted as given or given back in a period."""
    shares = [store.SHARES.from_row(row) for row in rows_of_period(ask, store.SHARES_ENDED, begins, ends)]
    returns = [store.RETURNS.from_row(row) for row in rows_of_period(ask, store.RETURNS_ENDED, begins, ends)]
    return [one for one in (*_booked_shares(ask, shares), *map(_booked_return, returns)) if one.is_done]


def _booked_shares(ask: Ask, shares: Sequence[Share]) -> Iterator[BookedAtProvider]:
    """One for each receiver of each share: his parts of it are given as one."""
    parts: dict[str, list[SharePart]] = {}
    for part in map(store.SHARE_PARTS.from_row, rows_of(ask, store.PARTS_OF_SHARES, [share.id for share in shares])):
        parts.setdefault(part.share_id, []).append(part)
    for share in shares:
        for account in dict.fromkeys(part.account for part in parts.get(share.id, ())):
            own = [part for part in parts[share.id] if part.account == account]
            yield BookedAtProvider(
                key=f"{share.out_order_no}/{account}",
                order_id=share.order_id,
                is_return=False,
                fen=sum(part.amount.fen for part in own),
                is_over=share.state is not ShareState.SENT,
                is_done=all(part.result is ReceiverResult.SUCCESS for part in own),
                at=share.ended_at,
            )


def _booked_return(back: ShareReturn) -> BookedAtProvider:
    return BookedAtProvider(
        key=back.out_return_no,
        order_id=back.order_id,
        is_return=True,
        fen=back.left.fen,
        is_over=back.state not in (ReturnState.DUE, ReturnState.SENT),
        is_done=back.state is ReturnState.SETTLED,
        at=back.ended_at,
    )
