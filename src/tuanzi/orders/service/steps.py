"""An order and its sub-orders, a step further, and what is told of it."""

from __future__ import annotations

from msgspec.structs import replace

from tuanzi import stock
from tuanzi.base.unit import Unit
from tuanzi.events import OrderAdvanced, OrderCancelled, OrderCompleted, SubOrderAdvanced
from tuanzi.orders.model import DEAD, Order, OrderState, Step, SubOrder, SubOrderState
from tuanzi.pricing import portions_of


def take_step(unit: Unit, order: Order, *, step: Step) -> Order:
    """The order after a step, kept and told. Raises IllegalStep."""
    after = order.after(step)
    unit.put(after)
    unit.emit(order_advanced(after, before=order.state))
    if after.state is OrderState.COMPLETED:
        unit.emit(OrderCompleted(order_id=after.id, member_id=after.member_id))
    return after


def withdraw(unit: Unit, sub: SubOrder, *, reason: str) -> None:
    """Nobody wants it any more, and no rider has it: it leaves the boards, its portions are free again."""
    withdrawn = replace(sub, state=SubOrderState.WITHDRAWN)
    unit.put(withdrawn)
    free_portions(unit, sub)
    unit.emit(sub_order_advanced(withdrawn, before=sub.state, by=reason))


def free_portions(unit: Unit, sub: SubOrder) -> None:
    """What was sold for it may be sold again."""
    stock.give_back(unit, portions_of(sub.order_lines), meal_id=sub.meal_id)


def sub_orders_of(unit: Unit, order: Order) -> list[SubOrder]:
    """In the order of the split; none before it."""
    return [unit.load(SubOrder, f"{order.id}.{i}") for i in range(1, order.sub_orders + 1)]


def sub_states_of(unit: Unit, order: Order) -> list[SubOrderState]:
    """Where its sub-orders are."""
    return [sub.state for sub in sub_orders_of(unit, order)]


def is_live(state: SubOrderState) -> bool:
    """Whether somebody still wants it and is to have it."""
    return state not in DEAD


def order_advanced(order: Order, *, before: OrderState) -> OrderAdvanced:
    """That an order is in another state now."""
    return OrderAdvanced(order_id=order.id, member_id=order.member_id, before=before.value, state=order.state.value)


def sub_order_advanced(sub: SubOrder, *, before: SubOrderState, by: str) -> SubOrderAdvanced:
    """That a sub-order is in another state now."""
    return SubOrderAdvanced(
        sub_order_id=sub.id,
        order_id=sub.order_id,
        merchant_id=sub.merchant_id,
        before=before.value,
        state=sub.state.value,
        by=by,
    )


def order_cancelled(order: Order, *, reason: str) -> OrderCancelled:
    """That nothing more comes of an order."""
    return OrderCancelled(
        order_id=order.id,
        group_id=order.group_id,
        member_id=order.member_id,
        reason=reason,
        paid_fen=order.paid.fen,
    )
