"""Lists of orders and their sub-orders, from the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tuanzi.base.ids import OrderId, PersonId
from tuanzi.base.time import from_ms
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.several import several, whole_rows_there
from tuanzi.orders.model import Complaints, Order, OrderState
from tuanzi.orders.queries.views import (
    AfterSaleView,
    CampusOrderPage,
    OpenAfterSalePage,
    OpenAfterSaleView,
    OrderPage,
    OrderView,
    SubOrderView,
    sub_view_of,
    view_of,
)
from tuanzi.orders.store import (
    AFTER_SALES_OPEN,
    COMPLAINTS,
    COMPLAINTS_OF_MEMBER,
    COMPLAINTS_OF_MEMBERS,
    KEPT_AFTER_SALES,
    LAST_LOOKED_AT,
    ORDER_IDS_OF_MEMBER,
    ORDERS,
    ORDERS_BEFORE,
    ORDERS_NAMED,
    ORDERS_OF_MEMBER,
    SUB_ORDERS,
    SUB_ORDERS_OF_GROUP,
)

# Our choice: an hour of a lunch wave; about 10 ms.
ORDERS_LOOKED_AT_MAX = 5_000


async def after_sale_view(desk: Desk, order: Order) -> AfterSaleView:
    """What an order's member says is wrong with it, and since when it waits."""
    kept = desk.peek(Complaints, order.member_id)
    if kept is None:
        rows = await desk.rows(COMPLAINTS_OF_MEMBER, {"member_id": order.member_id})
        kept = COMPLAINTS.from_row(rows[0]) if rows else Complaints(member_id=order.member_id)
    said = kept.of(order.id)
    if said is not None:
        return AfterSaleView(
            order_id=order.id, reason=said.reason, asked_at=said.asked_at, withdrawn_at=said.withdrawn_at
        )
    asked_at = None
    if order.state is OrderState.AFTER_SALE:  # of before a complaint without a word was kept, or of who is erased
        (slots,) = several([order.id])
        rows = await desk.rows(KEPT_AFTER_SALES, slots)
        asked_at = from_ms(rows[0][1]) if rows else None
    return AfterSaleView(order_id=order.id, reason="", asked_at=asked_at, withdrawn_at=None)


async def open_after_sales(desk: Desk, *, after: str, limit: int) -> OpenAfterSalePage:
    """After-sales that wait for an operator, of the oldest order first."""
    rows = await desk.rows(AFTER_SALES_OPEN, {"after": after, "limit": limit + 1})
    there = [(from_ms(asked_at_ms), ORDERS.from_row(tuple(row))) for asked_at_ms, *row in rows]
    said: dict[str, Complaints] = {}
    for slots in several([order.member_id for _, order in there]):
        kept = map(COMPLAINTS.from_row, await desk.rows(COMPLAINTS_OF_MEMBERS, slots))
        said |= {each.member_id: each for each in kept}
    items = [_open_view(order, asked_at=asked_at, said=said.get(order.member_id)) for asked_at, order in there]
    return OpenAfterSalePage(items=tuple(items[:limit]), next=items[limit - 1].order_id if len(items) > limit else None)


def _open_view(order: Order, *, asked_at: datetime, said: Complaints | None) -> OpenAfterSaleView:
    complaint = None if said is None else said.of(order.id)
    return OpenAfterSaleView(
        order_id=order.id,
        member_id=order.member_id,
        asked_at=asked_at,
        reason="" if complaint is None else complaint.reason,
        left_fen=order.paid.fen - order.promised.fen,
    )


async def order_page(desk: Desk, *, member_id: PersonId, before: str, limit: int) -> OrderPage:
    """Orders of a member, older than `before`."""
    slots = {"member_id": member_id, "before": before or "~", "limit": limit + 1}
    rows = await desk.rows(ORDERS_OF_MEMBER, slots)
    items = [view_of(ORDERS.from_row(row)) for row in rows]
    return OrderPage(items=tuple(items[:limit]), next=items[limit - 1].order_id if len(items) > limit else None)


async def campus_order_page(desk: Desk, *, state: OrderState | None, before: str, limit: int) -> CampusOrderPage:
    """Orders of the campus older than `before`, in a state or all, of the next ORDERS_LOOKED_AT_MAX."""
    slots = {"before": before or "~", "state": "" if state is None else state.value, "looked": ORDERS_LOOKED_AT_MAX}
    rows = await desk.rows(ORDERS_BEFORE, {**slots, "limit": limit + 1})
    items = [view_of(ORDERS.from_row(row)) for row in rows]
    if len(items) > limit:
        return CampusOrderPage(items=tuple(items[:limit]), next=items[limit - 1].order_id)
    ((last, looked),) = await desk.rows(LAST_LOOKED_AT, slots)
    return CampusOrderPage(items=tuple(items), next=last if looked == ORDERS_LOOKED_AT_MAX else None)


async def orders_by_id(desk: Desk, order_ids: Sequence[str]) -> list[OrderView]:
    """The orders with these ids, as far as there are, by id."""
    return [
        view_of(ORDERS.from_row(row)) for slots in several(order_ids) for row in await desk.rows(ORDERS_NAMED, slots)
    ]


async def sub_orders_of_group(desk: Desk, group_id: str) -> list[SubOrderView]:
    """A closed group's sub-orders: its split plan, and how far each is."""
    rows = await whole_rows_there(desk.rows, SUB_ORDERS_OF_GROUP, {"group_id": group_id})
    return [sub_view_of(SUB_ORDERS.from_row(row)) for row in rows]


async def order_ids_of(desk: Desk, person_id: str, *, after: str, limit: int) -> list[OrderId]:
    """The orders of a member, oldest first."""
    slots = {"person_id": person_id, "after": after, "limit": limit}
    return [OrderId(id) for (id,) in await desk.rows(ORDER_IDS_OF_MEMBER, slots)]
