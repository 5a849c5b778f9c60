"""An order until its group closes: placed, paid, grouped, or ended before its money came."""

from __future__ import annotations

from msgspec.structs import replace

from tuanzi import stock
from tuanzi.base.ids import GroupId
from tuanzi.base.unit import Unit
from tuanzi.events import OrderPaid, OrderPlaced
from tuanzi.orders.model import Order, Step
from tuanzi.orders.service.steps import order_cancelled, take_step
from tuanzi.pricing import give_back_coupon


def place(unit: Unit, order: Order) -> None:
    """Keep a new order that waits to be paid; its seat, stock and coupon are held by the caller."""
    unit.add(order)
    placed = OrderPlaced(
        order_id=order.id,
        group_id=order.group_id,
        member_id=order.member_id,
        payable_fen=order.payable.fen,
        pay_before=order.pay_before,
    )
    unit.emit(placed)


def mark_paid(unit: Unit, order: Order) -> Order:
    """The money is in and the seat is held."""
    return _paid(unit, order.captured(Step.PAY))


def revive(unit: Unit, order: Order, *, group_id: GroupId) -> Order:
    """Late money found a seat, perhaps in another group; stock and coupon are held again by the caller."""
    return _paid(unit, replace(order.captured(Step.REVIVE), group_id=group_id))


def mark_grouped(unit: Unit, order: Order) -> Order:
    """The group has formed."""
    return take_step(unit, order, step=Step.FORM)


def cancel_unpaid(unit: Unit, order: Order, *, reason: str, is_given_up: bool = False) -> Order:
    """The order ends before its money came; what it held of stock and its coupon are free again.

    is_given_up: by its member himself: when he pays all the same, his money goes back (`Order.is_given_up`).
    """
    order = order.after(Step.CANCEL)
    if is_given_up:
        order = replace(order, pay_before=order.placed_at)
    unit.put(order)
    stock.release(unit, order.portions, meal_id=order.meal_id)
    free_coupon(unit, order)
    unit.emit(order_cancelled(order, reason=reason))
    return order


def free_coupon(unit: Unit, order: Order) -> None:
    """The coupon it holds, if any, is free again."""
    if order.quote.coupon_id is not None:
        give_back_coupon(unit, coupon_id=order.quote.coupon_id, order_id=order.id)


def _paid(unit: Unit, order: Order) -> Order:
    unit.put(order)
    paid = OrderPaid(order_id=order.id, group_id=order.group_id, member_id=order.member_id, paid_fen=order.paid.fen)
    unit.emit(paid)
    return order
