"""Whom the pool still owes for bringing, and what was paid outside (decisions 0035, 0038)."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.several import rows_of_there
from tuanzi.sharing import store
from tuanzi.sharing.model import POOL, Party, SharingState, account_of


class UnpaidCarrierView(Struct, frozen=True, kw_only=True, gc=False):
    """A sub-order of a completed order that no rider is known to have brought, and what is owed to whoever did."""

    sub_order_id: str
    order_id: str
    owed_fen: int
    completed_at: datetime


class UnpaidCarrierPage(Struct, frozen=True, kw_only=True, gc=False):
    """Sub-orders by order, the oldest first; `next` is where the next page begins, None on the last; a page may be
    short."""

    items: list[UnpaidCarrierView]
    next: str | None


class CarrierPaymentView(Struct, frozen=True, kw_only=True, gc=False):
    """What an operator said was paid outside, and by what evidence."""

    sub_order_id: str
    order_id: str
    amount_fen: int
    note: str
    paid_by: str
    paid_at: datetime


class CarrierPaymentPage(Struct, frozen=True, kw_only=True, gc=False):
    """What was paid outside, the newest orders first; `next` is where the next page begins, None on the last."""

    items: list[CarrierPaymentView]
    next: str | None


async def unpaid_carrier_page(desk: Desk, *, after: str, limit: int) -> UnpaidCarrierPage:
    """What the pool owes for the next `limit` completed orders after `after` of which no rider was known."""
    rows = await desk.rows(store.UNBROUGHT_AFTER, {"after": after, "limit": limit + 1})
    ids = [order_id for (order_id,) in rows[:limit]]
    owed = await _owed_for(desk, ids)
    items = [each for order_id in ids for each in owed.get(order_id, [])]
    return UnpaidCarrierPage(items=items, next=ids[-1] if len(rows) > limit else None)


async def carrier_payment_page(desk: Desk, *, before: str, limit: int) -> CarrierPaymentPage:
    """What was paid outside for sub-orders before `before`, or the newest."""
    rows = await desk.rows(store.CARRIER_PAYMENTS_BEFORE, {"before": before or "~", "limit": limit + 1})
    items = []
    for paid in map(store.CARRIER_PAYMENTS.from_row, rows[:limit]):
        shown = {name: getattr(paid, name) for name in CarrierPaymentView.__struct_fields__ if name != "amount_fen"}
        items.append(CarrierPaymentView(**shown, amount_fen=paid.amount.fen))
    return CarrierPaymentPage(items=items, next=items[-1].sub_order_id if len(rows) > limit else None)


async def _owed_for(desk: Desk, order_ids: list[str]) -> dict[str, list[UnpaidCarrierView]]:
    """By order, what the pool owes for it; nothing for those that are not over, for a rider may still be heard of."""
    pool = account_of(Party.RIDER, POOL)
    kept = await rows_of_there(desk.rows, store.TRANSFERS_OF_ORDERS, order_ids)
    posted = await rows_of_there(desk.rows, store.SHARINGS_OF_ORDERS, order_ids)
    over = {
        sharing.order_id: sharing.completed_at
        for sharing in map(store.SHARINGS.from_row, posted)
        if sharing.state is SharingState.POSTED and sharing.completed_at is not None
    }
    owed: dict[str, list[UnpaidCarrierView]] = {}
    for order in map(store.TRANSFERS.from_row, kept):
        completed_at = over.get(order.order_id)
        if completed_at is None:
            continue
        for each in order.by_line:
            if each.account == pool and each.held:
                view = UnpaidCarrierView(
                    sub_order_id=each.sub_order_id,
                    order_id=order.order_id,
                    owed_fen=each.held_fen,
                    completed_at=completed_at,
                )
                owed.setdefault(order.order_id, []).append(view)
    return owed
