"""Giving a seat up: by its member, or by the time in which it was to be paid."""

from __future__ import annotations

from datetime import datetime

from tuanzi import orders
from tuanzi.base.problem import Unknown
from tuanzi.base.unit import Unit
from tuanzi.groups.model import Group, GroupState, SeatState
from tuanzi.groups.problems import GroupNotOpen, SeatCommitted
from tuanzi.groups.service.commands import CancelOrder, ExpireSeat, LeaveGroup, Left
from tuanzi.groups.service.seats import release_seat, tell_home
from tuanzi.orders import Order, OrderState


def leave_group(unit: Unit, command: LeaveGroup, *, now: datetime) -> Left:
    """Give up a seat: an unpaid one any time, a paid one until the group has formed; then its money comes back.

    A leader who leaves hands over to the earliest paid member, else the earliest; the deadline stays (P11). The last
    one to leave ends the group. Raises Unknown, NoSeat, GroupNotOpen, SeatCommitted.
    """
    group = unit.load(Group, command.group_id)
    if group.state not in (GroupState.OPEN, GroupState.FORMED):
        raise GroupNotOpen(group_id=group.id, state=group.state.value)
    seat = group.seat_of_member(command.member_id)
    if seat.state is SeatState.PAID and group.state is GroupState.FORMED:
        raise SeatCommitted(group_id=group.id)
    order = unit.load(Order, seat.order_id)
    if group.home is not None and order.state is not OrderState.CREATED:
        tell_home(unit, group, order=order, reason="left")  # paid: the home may have counted on it
    else:
        if seat.state is SeatState.HELD:
            order = orders.cancel_unpaid(unit, order, reason="left", is_given_up=True)
        else:
            order = orders.refund_all(unit, order, reason="left")
        group = release_seat(unit, group, seat=seat, reason="left")
    return Left(
        group_id=group.id,
        order_id=order.id,
        order_state=order.state,
        refund_due_fen=order.promised.fen,
        group_state=group.state,
    )


def cancel_order(unit: Unit, command: CancelOrder, *, now: datetime) -> Left:
    """Give up an order with its seat; one that has ended already stays as it is. Raises as `leave_group` does."""
    order = unit.load(Order, command.order_id)
    if order.member_id != command.member_id:
        raise Unknown(kind="order", id=command.order_id)
    if order.state in (OrderState.CANCELLED, OrderState.REFUNDING, OrderState.REFUNDED):
        group = unit.load(Group, order.group_id)
        return Left(
            group_id=group.id,
            order_id=order.id,
            order_state=order.state,
            refund_due_fen=order.promised.fen,
            group_state=group.state,
        )
    return leave_group(unit, LeaveGroup(group_id=order.group_id, member_id=command.member_id), now=now)


def expire_seat(unit: Unit, command: ExpireSeat, *, now: datetime) -> Left | None:
    """A seat not paid in time is free again; when it was paid or given up meanwhile nothing happens."""
    order = unit.load(Order, command.order_id)
    if order.state is not OrderState.CREATED:
        return None
    order = orders.cancel_unpaid(unit, order, reason="not_paid_in_time")
    group = unit.load(Group, order.group_id)
    seat = group.seat_of(order.id)
    assert seat is not None, f"{order.id} waits for its payment without a seat"
    group = release_seat(unit, group, seat=seat, reason="not_paid_in_time")
    return Left(
        group_id=group.id, order_id=order.id, order_state=order.state, refund_due_fen=0, group_state=group.state
    )
