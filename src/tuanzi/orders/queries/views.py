"""Orders and sub-orders as pages show them."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from tuanzi.orders.model import Order, OrderState, SubOrder, SubOrderState


class LineView(Struct, frozen=True, kw_only=True, gc=False):
    """One line of an order; `list_fen` is the price of all its portions without discounts."""

    dish_id: str
    merchant_id: str
    quantity: int
    list_fen: int
    payable_fen: int


class RefundView(Struct, frozen=True, kw_only=True, gc=False):
    """Money on its way back, or back already."""

    refund_id: str
    amount_fen: int
    reason: str
    is_settled: bool


class SubOrderView(Struct, frozen=True, kw_only=True, gc=False):
    """What one merchant makes for one member."""

    sub_order_id: str
    order_id: str
    merchant_id: str
    building_id: str
    meal_id: str
    state: SubOrderState
    items_fen: int
    discount_fen: int
    delivery_fen: int
    payable_fen: int
    rider_id: str | None
    dishes: dict[str, int]
    planned_at: datetime


class OrderView(Struct, frozen=True, kw_only=True, gc=False):
    """An order as its member sees it. `saved_fen`: against ordering alone."""

    order_id: str
    group_id: str
    campaign_id: str
    member_id: str
    building_id: str
    meal_id: str
    state: OrderState
    lines: tuple[LineView, ...]
    delivery_fen: int
    payable_fen: int
    saved_fen: int
    paid_fen: int
    refund_due_fen: int
    refunded_fen: int
    refunds: tuple[RefundView, ...]
    rule_version: int
    placed_at: datetime
    pay_before: datetime
    delivered_at: datetime | None
    version: int


class AfterSaleView(Struct, frozen=True, kw_only=True, gc=False):
    """What the member said is wrong, and when; when he took it back, None while he did not.

    reason: "" when he said nothing, or was erased since. asked_at: None when none was asked for, or he was erased and
    it waits no more.
    """

    order_id: str
    reason: str
    asked_at: datetime | None
    withdrawn_at: datetime | None


class OpenAfterSaleView(Struct, frozen=True, kw_only=True, gc=False):
    """An after-sale that waits for an operator. reason: as in `AfterSaleView`. left_fen: what can still go back."""

    order_id: str
    member_id: str
    asked_at: datetime
    reason: str
    left_fen: int


class OpenAfterSalePage(Struct, frozen=True, kw_only=True, gc=False):
    """After-sales that wait, of the oldest order first; `next` is None on the last page."""

    items: tuple[OpenAfterSaleView, ...]
    next: str | None


class OrderPage(Struct, frozen=True, kw_only=True, gc=False):
    """Orders of a member, newest first; `next` is None on the last page."""

    items: tuple[OrderView, ...]
    next: str | None


class CampusOrderPage(Struct, frozen=True, kw_only=True, gc=False):
    """Orders of a campus, newest first; `next` is None on the last page, and a page may be short or empty before it."""

    items: tuple[OrderView, ...]
    next: str | None


class SubOrderPage(Struct, frozen=True, kw_only=True, gc=False):
    """Sub-orders, oldest first; `next` is None on the last page.

    late_minutes, given_up_minutes: since `planned_at`, for one that is not accepted yet; ready_minutes: for one that is
    (`AcceptanceTerms`).
    """

    items: tuple[SubOrderView, ...]
    next: str | None
    late_minutes: int
    given_up_minutes: int
    ready_minutes: int


def view_of(order: Order) -> OrderView:
    """An order as its member sees it."""
    quote = order.quote
    return OrderView(
        order_id=order.id,
        group_id=order.group_id,
        campaign_id=order.campaign_id,
        member_id=order.member_id,
        building_id=order.building_id,
        meal_id=order.meal_id,
        state=order.state,
        lines=tuple(
            [
                LineView(
                    dish_id=line.dish_id,
                    merchant_id=line.merchant_id,
                    quantity=line.quantity,
                    list_fen=line.list_price.fen,
                    payable_fen=line.payable.fen,
                )
                for line in quote.lines
            ]
        ),
        delivery_fen=quote.delivery_fee.fen,
        payable_fen=quote.payable.fen,
        saved_fen=quote.saved.fen,
        paid_fen=order.paid.fen,
        refund_due_fen=order.promised.fen,
        refunded_fen=order.refunded.fen,
        refunds=tuple(
            [
                RefundView(
                    refund_id=refund.id,
                    amount_fen=refund.amount.fen,
                    reason=refund.reason,
                    is_settled=refund.is_settled,
                )
                for refund in order.refunds
            ]
        ),
        rule_version=quote.rule_version,
        placed_at=order.placed_at,
        pay_before=order.pay_before,
        delivered_at=order.delivered_at,
        version=order.version,
    )


def sub_view_of(sub: SubOrder) -> SubOrderView:
    """A sub-order as pages show it."""
    dishes: dict[str, int] = {}
    for line in sub.order_lines:
        dishes[line.dish_id] = dishes.get(line.dish_id, 0) + line.quantity
    return SubOrderView(
        sub_order_id=sub.id,
        order_id=sub.order_id,
        merchant_id=sub.merchant_id,
        building_id=sub.building_id,
        meal_id=sub.meal_id,
        state=sub.state,
        items_fen=sub.items.fen,
        discount_fen=sub.discount.fen,
        delivery_fen=sub.delivery.fen,
        payable_fen=sub.payable.fen,
        rider_id=sub.rider_id,
        dishes=dishes,
        planned_at=sub.planned_at,
    )
