"""What shops have to make, and what they are late with (B8, B9)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from tuanzi.base.time import to_ms
from tuanzi.catalog import merchant_ids
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.several import several
from tuanzi.orders.model import AcceptanceTerms, SubOrderState
from tuanzi.orders.queries.views import SubOrderPage, sub_view_of
from tuanzi.orders.store import (
    ACCEPTANCE_TERMS,
    SUB_ORDERS,
    SUB_ORDERS_OF_MERCHANT,
    SUB_ORDERS_UNACCEPTED,
    SUB_ORDERS_UNREADY,
    TERMS_OF_ACCEPTANCE,
)


async def merchant_board(desk: Desk, *, merchant_id: str, state: SubOrderState, after: str, limit: int) -> SubOrderPage:
    """A merchant's sub-orders in a state."""
    slots = {"merchant_id": merchant_id, "state": state.value, "after": after, "limit": limit + 1}
    rows = await desk.rows(SUB_ORDERS_OF_MERCHANT, slots)
    return _page(rows, limit=limit, terms=await acceptance_terms(desk))


async def unaccepted(desk: Desk, *, after: str, limit: int, now: datetime) -> SubOrderPage:
    """Sub-orders that their shops are late to accept."""
    terms = await acceptance_terms(desk)
    slots = {"before_ms": to_ms(now - terms.late), "after": after, "limit": limit + 1}
    return _page(await _rows_of_all_shops(desk, SUB_ORDERS_UNACCEPTED, slots), limit=limit, terms=terms)


async def unready(desk: Desk, *, after: str, limit: int, now: datetime) -> SubOrderPage:
    """Sub-orders that their shops accepted and are late to have ready."""
    terms = await acceptance_terms(desk)
    slots = {"before_ms": to_ms(now - terms.ready), "after": after, "limit": limit + 1}
    return _page(await _rows_of_all_shops(desk, SUB_ORDERS_UNREADY, slots), limit=limit, terms=terms)


async def _rows_of_all_shops(desk: Desk, sql: str, slots: dict[str, Any]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for merchants in several(await merchant_ids(desk)):
        rows += await desk.rows(sql, {**slots, **merchants})
    return sorted(rows, key=itemgetter(0))[: slots["limit"]]


async def acceptance_terms(desk: Desk) -> AcceptanceTerms:
    """How long shops may take to accept, and until it is ready."""
    rows = await desk.rows(TERMS_OF_ACCEPTANCE)
    return ACCEPTANCE_TERMS.from_row(rows[0]) if rows else AcceptanceTerms()


def _page(rows: Sequence[tuple[Any, ...]], *, limit: int, terms: AcceptanceTerms) -> SubOrderPage:
    items = [sub_view_of(SUB_ORDERS.from_row(row)) for row in rows]
    return SubOrderPage(
        items=tuple(items[:limit]),
        next=items[limit - 1].sub_order_id if len(items) > limit else None,
        late_minutes=terms.late_minutes,
        given_up_minutes=terms.given_up_minutes,
        ready_minutes=terms.ready_minutes,
    )
