"""Money that goes back to a member: why, how much, and that it arrived."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from tuanzi import stock
from tuanzi.base.ids import OrderId, SubOrderId
from tuanzi.base.money import Money
from tuanzi.base.unit import Unit
from tuanzi.events import OrderRefunded, RefundDue
from tuanzi.orders.model import ON_THE_COUNTER, OpenAfterSale, Order, OrderState, Step, SubOrderState
from tuanzi.orders.problems import IllegalStep
from tuanzi.orders.service.commands import OrderAnswer, RefundOrder, answer_of
from tuanzi.orders.service.placing import free_coupon
from tuanzi.orders.service.steps import is_live, order_cancelled, sub_orders_of, sub_states_of, take_step, withdraw

_BEFORE_SPLIT: Final = frozenset({OrderState.CREATED, OrderState.PAID, OrderState.GROUPED, OrderState.CANCELLED})


def refund_all(unit: Unit, order: Order, *, reason: str) -> Order:
    """A paid order ends and everything still there goes back; what it held of stock and its coupon are free again.

    After the split its sub-orders that no rider has yet are withdrawn and their portions free again; its coupon is when
    that leaves nothing of the order.
    """
    was = order.state
    order = order.after(Step.REFUND)
    if was in (OrderState.PAID, OrderState.GROUPED):
        stock.release(unit, order.portions, meal_id=order.meal_id)
        free_coupon(unit, order)
    if was is OrderState.AFTER_SALE:
        unit.remove(OpenAfterSale, order.id)
    for sub in sub_orders_of(unit, order):
        if sub.state in ON_THE_COUNTER:
            withdraw(unit, sub, reason=reason)
    if order.sub_orders and not any(map(is_live, sub_states_of(unit, order))):
        free_coupon(unit, order)
    unit.emit(order_cancelled(order, reason=reason))
    left = Money(order.paid.fen - order.promised.fen)
    if not left:
        unit.put(order)
        return take_step(unit, order, step=Step.REFUND_DONE) if _is_settled(order) else order
    order, refund = order.promise(left, reason=reason)
    unit.put(order)
    unit.emit(refund_due(order, refund_id=refund.id, amount=left, reason=reason))
    return order


def refund_late(unit: Unit, order: Order, *, reason: str) -> Order:
    """Money came for an order that had ended and found no seat: all of it goes back (peers' P1 to P3)."""
    order, refund = order.captured(Step.REFUND).promise(order.payable, reason=reason)
    unit.put(order)
    unit.emit(refund_due(order, refund_id=refund.id, amount=refund.amount, reason=reason))
    return order


def return_payment(unit: Unit, order: Order, *, payment_id: str, amount: Money, reason: str) -> None:
    """Money that is not this order's price - paid twice, or another amount - goes back; the order is as it was."""
    due = RefundDue(
        refund_id=f"{payment_id}.back",
        order_id=order.id,
        member_id=order.member_id,
        amount_fen=amount.fen,
        reason=reason,
        payment_id=payment_id,
    )
    unit.emit(due)


def refund_order(unit: Unit, command: RefundOrder, *, now: datetime) -> OrderAnswer:
    """Give money back by hand. Raises Unknown, IllegalStep, RefundTooLarge.

    Before the split an order is given back as a whole by cancelling it, for its seat is not this room's; and until the
    split is confirmed everywhere its money is being shared just now.
    """
    order = unit.load(Order, command.order_id)
    if order.state in _BEFORE_SPLIT or SubOrderState.WAITING in sub_states_of(unit, order):
        raise IllegalStep(order_id=order.id, state=order.state.value, step=Step.REFUND.value)
    left = order.paid - order.promised
    if command.amount_fen is None or command.amount_fen == left.fen:
        return answer_of(refund_all(unit, order, reason=command.reason))
    return answer_of(promise_refund(unit, order, amount=Money(command.amount_fen), reason=command.reason))


def settle_refund(unit: Unit, *, order_id: OrderId, refund_id: str) -> None:
    """A promised refund arrived; a repeat, or a returned payment that was no order's price, changes nothing here."""
    before = unit.find(Order, order_id)
    order = None if before is None else before.settled(refund_id)
    if order is None or order is before:
        return
    unit.put(order)
    amount = next(refund.amount for refund in order.refunds if refund.id == refund_id)
    refunded = OrderRefunded(
        order_id=order.id,
        refund_id=refund_id,
        member_id=order.member_id,
        amount_fen=amount.fen,
        refunded_fen=order.refunded.fen,
    )
    unit.emit(refunded)
    if order.state is OrderState.REFUNDING and _is_settled(order):
        take_step(unit, order, step=Step.REFUND_DONE)


def promise_refund(unit: Unit, order: Order, *, amount: Money, reason: str) -> Order:
    """A part of what was paid goes back; the order goes on. Raises RefundTooLarge."""
    order, refund = order.promise(amount, reason=reason)
    unit.put(order)
    unit.emit(refund_due(order, refund_id=refund.id, amount=amount, reason=reason))
    return order


def refund_due(
    order: Order, *, refund_id: str, amount: Money, reason: str, sub_order_id: SubOrderId | None = None
) -> RefundDue:
    """That money is to go back to an order's member."""
    return RefundDue(
        refund_id=refund_id,
        order_id=order.id,
        member_id=order.member_id,
        amount_fen=amount.fen,
        reason=reason,
        sub_order_id=sub_order_id,
    )


def _is_settled(order: Order) -> bool:
    return all(refund.is_settled for refund in order.refunds)
