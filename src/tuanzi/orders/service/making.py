"""An order from its split until it is delivered: shops make its sub-orders, riders bring them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from tuanzi import stock
from tuanzi.base.ids import PersonId
from tuanzi.base.money import Money
from tuanzi.base.problem import Unknown
from tuanzi.base.unit import Unit
from tuanzi.orders.model import (
    COMPLETES_AFTER,
    MERCHANT_STEPS,
    Order,
    OrderHold,
    OrderState,
    Step,
    SubOrder,
    SubOrderState,
    SubStep,
    steps_to_follow,
    sub_state_after,
)
from tuanzi.orders.problems import IllegalStep, OrderHeld
from tuanzi.orders.service.commands import AdvanceSubOrder, CompleteOrder, SubOrderAnswer
from tuanzi.orders.service.refunds import refund_all, refund_due
from tuanzi.orders.service.steps import (
    free_portions,
    is_live,
    order_advanced,
    sub_order_advanced,
    sub_states_of,
    take_step,
)
from tuanzi.pricing import Quote, give_back_coupon, use_coupon

_STARTS: Final = frozenset({SubStep.ACCEPT, SubStep.COOK})
_ALIVE: Final = frozenset({OrderState.SPLIT, OrderState.ACCEPTED, OrderState.COOKING, OrderState.PICKED_UP})


def mark_split(unit: Unit, order: Order, *, final: Quote, subs: Sequence[SubOrder]) -> Order:
    """The group's split is decided: the price is final, the difference goes back, the portions are sold.

    subs: as planned, waiting for `open_sub_orders`.
    """
    coupon_id = order.quote.coupon_id
    order, refund = order.after(Step.SPLIT).repriced(final, sub_orders=len(subs))
    if refund is not None:
        unit.emit(refund_due(order, refund_id=refund.id, amount=refund.amount, reason=refund.reason))
    unit.put(order)
    for sub in subs:
        unit.add(sub)
    stock.sell(unit, order.portions, meal_id=order.meal_id)
    if coupon_id is not None and final.coupon_id is not None:
        use_coupon(unit, coupon_id=coupon_id, order_id=order.id)
    elif coupon_id is not None:  # the better tier left it nothing to take
        give_back_coupon(unit, coupon_id=coupon_id, order_id=order.id)
    unit.emit(order_advanced(order, before=OrderState.GROUPED))
    return order


def advance_sub_order(unit: Unit, command: AdvanceSubOrder, *, now: datetime) -> SubOrderAnswer:
    """Move a sub-order on, and its order with it. Raises Unknown (none, or not his), IllegalStep, OrderHeld."""
    before = unit.load(SubOrder, command.sub_order_id)
    if command.merchant_id is not None and before.merchant_id != command.merchant_id:
        raise Unknown(kind="suborder", id=command.sub_order_id)
    order = unit.load(Order, before.order_id)
    if order.state in (OrderState.REFUNDING, OrderState.REFUNDED) and command.step in MERCHANT_STEPS:
        raise IllegalStep(order_id=order.id, state=order.state.value, step=command.step.value)
    if command.step in _STARTS and unit.find(OrderHold, order.id) is not None:
        raise OrderHeld(order_id=order.id)
    return advance(unit, before, order=order, step=command.step, by=command.by, now=now)


def follow_rider(unit: Unit, sub_order_id: str, *, step: SubStep, rider_id: str, now: datetime) -> None:
    """A rider has or brought it, as delivery says; what is further on already, or rejected, stays as it is."""
    sub = unit.find(SubOrder, sub_order_id)
    if sub is None or sub_state_after(sub.state, step) is None:
        return
    advance(unit, sub, order=unit.load(Order, sub.order_id), step=step, by=PersonId(rider_id), now=now)


def advance(
    unit: Unit,
    before: SubOrder,
    *,
    order: Order,
    step: SubStep,
    by: PersonId,
    now: datetime,
    reason: str = "rejected",
) -> SubOrderAnswer:
    """A sub-order takes a step, and its order follows. Raises IllegalStep."""
    sub = before.after(step, rider_id=None if step in MERCHANT_STEPS else by)
    unit.put(sub)
    unit.emit(sub_order_advanced(sub, before=before.state, by=by))
    if sub.state is SubOrderState.REJECTED:
        order = _reject(unit, order, sub, reason=reason)
    order = _follow(unit, order, now=now, reason=reason)
    return SubOrderAnswer(sub_order_id=sub.id, state=sub.state, order_id=order.id, order_state=order.state)


def _reject(unit: Unit, order: Order, sub: SubOrder, *, reason: str) -> Order:
    """Its merchant cannot make it, or never said that he can: its price goes back by line, its portions are free."""
    free_portions(unit, sub)
    parts = [Money(0)] * len(order.refundable)
    for line in sub.order_lines:
        parts[line.number] = order.refundable[line.number]
    parts[-1] = Money(min(sub.delivery.fen, order.refundable[-1].fen))
    amount = Money(sum([part.fen for part in parts]))
    if not amount:
        return order
    # Another sub-order may live and cost nothing (a coupon paid for it): then the order goes on with nothing left.
    if amount == order.paid - order.promised and not any(map(is_live, sub_states_of(unit, order))):
        return refund_all(unit, order, reason=reason)
    order, refund = order.promise(amount, reason=reason, parts=parts)
    unit.put(order)
    unit.emit(refund_due(order, refund_id=refund.id, amount=amount, reason=reason, sub_order_id=sub.id))
    return order


def _follow(unit: Unit, order: Order, *, now: datetime, reason: str) -> Order:
    """Bring an order to where its least advanced live sub-order is."""
    subs = sub_states_of(unit, order)
    for step in steps_to_follow(order.state, subs):
        order = take_step(unit, order, step=step)
    if order.state is OrderState.DELIVERED and order.delivered_at is None:
        order = replace(order, delivered_at=now)
        unit.put(order)
        unit.schedule(f"complete:{order.id}", CompleteOrder(order_id=order.id), at=now + COMPLETES_AFTER)
    elif subs and not any(map(is_live, subs)) and order.state in _ALIVE:
        order = refund_all(unit, order, reason=reason)  # nothing was paid for it, so nothing went back yet
    return order
