"""Who got what of an order, to the fen (C2)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.several import whole_rows_there
from tuanzi.money import PAID_OTHERWISE, WRITTEN_OFF, OrderLedger, order_ledger
from tuanzi.sharing import store
from tuanzi.sharing.model import Share, SharePart, ShareReturn, Sharing, SharingState, Transfer


class PartyView(Struct, frozen=True, kw_only=True, gc=False):
    """What one party gets of one sub-order.

    amount_fen: as it was set aside. net_fen: after refunds; what of it is owed_fen still, on_its_way_fen and given_fen
    less back_fen.
    """

    sub_order_id: str
    party: str
    account: str
    state: str
    amount_fen: int
    cut_fen: int
    back_fen: int
    net_fen: int
    owed_fen: int
    on_its_way_fen: int
    given_fen: int


class SharePartView(Struct, frozen=True, kw_only=True, gc=False):
    """What one receiver was given in a share."""

    account: str
    amount_fen: int
    result: str
    reason: str
    back_fen: int


class ShareView(Struct, frozen=True, kw_only=True, gc=False):
    """A share at the payment company."""

    out_order_no: str
    state: str
    reason: str
    sent_at: datetime
    ended_at: datetime | None
    parts: list[SharePartView]


class ReturnView(Struct, frozen=True, kw_only=True, gc=False):
    """Shared money that came back, or did not."""

    out_return_no: str
    refund_id: str
    account: str
    amount_fen: int
    state: str
    reason: str


class OrderMoney(OrderLedger, frozen=True, kw_only=True, gc=False):
    """Who got what of an order, to the fen.

    captured_fen = escrow_fen + parties_fen + refund_owed_fen + refunded_fen + refunded_otherwise_fen + forgone_fen:
    what nobody lays claim to yet, what the parties have after refunds, what is on its way back, what went back through
    the payment company or otherwise, and what an operator wrote off. adds_up: whether that is so. subsidy_fen comes on
    top, from the platform.
    """

    parties_fen: int
    refunded_otherwise_fen: int
    forgone_fen: int
    subsidy_fen: int
    adds_up: bool
    state: str | None
    payout: str | None
    terms_version: int | None
    parties: list[PartyView]
    shares: list[ShareView]
    returns: list[ReturnView]


async def order_money(desk: Desk, order_id: str, *, member_id: str | None) -> OrderMoney:
    """Who got what of an order so far. member_id: who may see it; None is an operator.

    Raises Unknown when nothing was paid for it, or by somebody else.
    """
    ledger = await order_ledger(desk, order_id, member_id=member_id)
    slots = {"order_id": order_id}
    rows = await desk.rows(store.SHARING, slots)
    sharing = store.SHARINGS.from_row(rows[0]) if rows else None
    transfers = await _transfers(desk, sharing)
    parts = [
        store.SHARE_PARTS.from_row(row) for row in await whole_rows_there(desk.rows, store.SHARE_PARTS_OF_ORDER, slots)
    ]
    shares = [store.SHARES.from_row(row) for row in await whole_rows_there(desk.rows, store.SHARES_OF_ORDER, slots)]
    returns = [store.RETURNS.from_row(row) for row in await whole_rows_there(desk.rows, store.RETURNS_OF_ORDER, slots)]
    is_posted = sharing is not None and sharing.state is SharingState.POSTED
    parties_fen = sum(each.net.fen for each in transfers if is_posted and not each.is_subsidy)
    otherwise = sum(refund.amount_fen for refund in ledger.refunds if refund.refusal == PAID_OTHERWISE)
    forgone = sum(refund.amount_fen for refund in ledger.refunds if refund.refusal == WRITTEN_OFF)
    told = parties_fen + ledger.escrow_fen + ledger.refund_owed_fen + ledger.refunded_fen + otherwise + forgone
    return OrderMoney(
        **{name: getattr(ledger, name) for name in OrderLedger.__struct_fields__},
        parties_fen=parties_fen,
        refunded_otherwise_fen=otherwise,
        forgone_fen=forgone,
        subsidy_fen=sum(each.net.fen for each in transfers if is_posted and each.is_subsidy),
        adds_up=told == ledger.captured_fen,
        state=None if sharing is None else sharing.state.value,
        payout=None if sharing is None else sharing.payout.value,
        terms_version=None if sharing is None else sharing.terms_version,
        parties=[_party_view(each, sharing) for each in transfers],
        shares=[_share_view(share, parts) for share in shares],
        returns=[_return_view(each) for each in returns],
    )


async def _transfers(desk: Desk, sharing: Sharing | None) -> list[Transfer]:
    if sharing is None:
        return []
    slots: Mapping[str, Any] = {"gid": sharing.gid, "order_id": sharing.order_id}
    rows = await desk.rows(store.TRANSFERS_OF_ORDER, slots)
    return [each for row in rows for each in store.TRANSFERS.from_row(row).by_line]


def _party_view(each: Transfer, sharing: Sharing | None) -> PartyView:
    assert sharing is not None, "a transfer has a sharing"
    return PartyView(
        sub_order_id=each.sub_order_id,
        party=each.party.value,
        account=each.account,
        state=sharing.state.value,
        amount_fen=each.amount.fen,
        cut_fen=each.cut.fen,
        back_fen=each.back.fen,
        net_fen=each.net.fen,
        owed_fen=each.held.fen,
        on_its_way_fen=each.sent.fen,
        given_fen=each.given.fen,
    )


def _share_view(share: Share, parts: list[SharePart]) -> ShareView:
    return ShareView(
        out_order_no=share.out_order_no,
        state=share.state.value,
        reason=share.reason,
        sent_at=share.sent_at,
        ended_at=share.ended_at,
        parts=[
            SharePartView(
                account=part.account,
                amount_fen=part.amount.fen,
                result=part.result.value,
                reason=part.reason,
                back_fen=part.back.fen,
            )
            for part in parts
            if part.share_id == share.id
        ],
    )


def _return_view(each: ShareReturn) -> ReturnView:
    return ReturnView(
        out_return_no=each.out_return_no,
        refund_id=each.refund_id,
        account=each.account,
        amount_fen=each.amount.fen,
        state=each.state.value,
        reason=each.reason,
    )
