"""The end of a group: closed, failed, or given up after its split."""

from __future__ import annotations

from datetime import datetime

from tuanzi import orders
from tuanzi.base.unit import Unit
from tuanzi.events import GroupClosed, GroupFailed, LeaderChanged
from tuanzi.groups.model import Group, GroupState, SeatState
from tuanzi.groups.service.commands import CloseGroup
from tuanzi.groups.service.listing import unlist
from tuanzi.groups.service.members import count_use
from tuanzi.orders import Order, OrderState


def close_group(unit: Unit, command: CloseGroup, *, now: datetime) -> None:
    """A group's deadline: a formed one closes with the tier it reached, an open one fails, an ended one stays so."""
    group = unit.load(Group, command.group_id)
    if group.state is GroupState.FORMED:
        close(unit, group)
    elif group.state is GroupState.OPEN:
        fail(unit, group, reason="deadline")


def give_up(unit: Unit, group: Group, *, reason: str) -> Group:
    """A closed group's split was cancelled: nobody gets a meal, everybody his money, portions and coupon back."""
    return fail(unit, group, reason=reason, refund_reason=reason)


def close(unit: Unit, group: Group) -> Group:
    """A formed group takes no more members; seats that are not paid by now are lost."""
    held = [seat for seat in group.seats if seat.state is SeatState.HELD]
    for seat in held:
        if seat.campus_id is None:
            order = orders.cancel_unpaid(unit, unit.load(Order, seat.order_id), reason="group_closed")
            unit.unschedule(f"seat:{order.id}")
        count_use(unit, group, member_id=seat.member_id, by=-1)
    leader_id = group.leader_id
    if held:
        group = group.without([seat.order_id for seat in held])
    group = group.ended(GroupState.CLOSED)
    unit.put(group)
    if group.leader_id != leader_id:
        unit.emit(LeaderChanged(group_id=group.id, leader_id=group.leader_id))
    unit.unschedule(f"close:{group.id}")
    unlist(unit, group)
    unit.emit(GroupClosed(group_id=group.id, size=group.paid_count, order_ids=group.own_order_ids))
    return group


def fail(unit: Unit, group: Group, *, reason: str, refund_reason: str = "group_failed") -> Group:
    """The group comes to nothing: who paid is refunded, each on his own (P7, P8); unpaid orders end."""
    failed = group.ended(GroupState.FAILED)
    for seat in group.seats:
        if not failed.counts(seat):
            count_use(unit, group, member_id=seat.member_id, by=-1)
        if seat.campus_id is not None:
            continue  # his own campus gives him back what is his
        order = unit.load(Order, seat.order_id)
        if order.state is not OrderState.CREATED:
            orders.refund_all(unit, order, reason=refund_reason)
        else:
            orders.cancel_unpaid(unit, order, reason="group_failed")
            unit.unschedule(f"seat:{order.id}")
    group = failed
    unit.put(group)
    unit.unschedule(f"close:{group.id}")
    unlist(unit, group)
    unit.emit(GroupFailed(group_id=group.id, order_ids=group.own_order_ids, reason=reason))
    return group
