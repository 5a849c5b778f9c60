"""Seats that are there: paid, or free again."""

from __future__ import annotations

from msgspec.structs import replace

from tuanzi import orders
from tuanzi.base.ids import OrderId, PersonId
from tuanzi.base.unit import Unit
from tuanzi.events import GroupFormed, GuestLeaving, GuestPaid, LeaderChanged, SeatPaid, SeatReleased, TierReached
from tuanzi.groups.model import Group, GroupState, Seat, SeatState
from tuanzi.groups.service.ending import close, fail
from tuanzi.groups.service.members import count_use
from tuanzi.orders import Order


def release_seat(unit: Unit, group: Group, *, seat: Seat, reason: str) -> Group:
    """The seat is free again; the leader hands over; a group with nobody left fails, unless this is a part of one."""
    leader_id = group.leader_id
    unit.unschedule(f"seat:{seat.order_id}")
    if group.home is not None:
        return _release_here(unit, group, seat, reason=reason)
    group = group.without([seat.order_id])
    count_use(unit, group, member_id=seat.member_id, by=-1)
    released = SeatReleased(group_id=group.id, order_id=seat.order_id, member_id=seat.member_id, reason=reason)
    unit.emit(released)
    if not group.seats:
        return fail(unit, group, reason="nobody_left")
    unit.put(group)
    if group.leader_id != leader_id:
        unit.emit(LeaderChanged(group_id=group.id, leader_id=group.leader_id))
    return group


def take_money(unit: Unit, group: Group, *, order: Order) -> Group:
    """An order is paid whose seat is held: here, or on the group's home campus, which then says what comes of it."""
    if group.home is None:
        return pay_seat(unit, group, order_id=order.id, member_id=order.member_id, order=order)
    unit.emit(GuestPaid(order_id=order.id, group_id=group.id, member_id=order.member_id))
    return group


def pay_seat(unit: Unit, group: Group, *, order_id: OrderId, member_id: PersonId, order: Order | None = None) -> Group:
    """A seat's money is in; the group may form, reach a better tier, or be complete. order: None for a guest's."""
    group = group.paid(order_id)
    paid_count = group.paid_count
    seat_paid = SeatPaid(group_id=group.id, order_id=order_id, member_id=member_id, paid_count=paid_count)
    unit.emit(seat_paid)
    if group.state is GroupState.FORMED:
        if order is not None:
            orders.mark_grouped(unit, order)
        if any(tier.size == paid_count for tier in group.tiers):
            unit.emit(TierReached(group_id=group.id, size=paid_count))
    elif paid_count >= group.tiers[0].size:
        group = group.ended(GroupState.FORMED)
        paid = [seat for seat in group.seats if seat.state is SeatState.PAID and seat.campus_id is None]
        order_ids = tuple([seat.order_id for seat in paid])
        for own_id in order_ids:
            orders.mark_grouped(unit, unit.load(Order, own_id))
        unit.emit(GroupFormed(group_id=group.id, size=paid_count, order_ids=order_ids))
    if paid_count >= group.seats_max:
        return close(unit, group)
    unit.put(group)
    return group


def _release_here(unit: Unit, part: Group, seat: Seat, *, reason: str) -> Group:
    """A seat that was never paid is given up on the guest's side; its home is told."""
    tell_home(unit, part, order=unit.load(Order, seat.order_id), reason=reason)
    part = replace(part.without([seat.order_id]), leader_id=part.leader_id)
    released = SeatReleased(group_id=part.id, order_id=seat.order_id, member_id=seat.member_id, reason=reason)
    unit.emit(released)
    unit.put(part)
    return part


def tell_home(unit: Unit, part: Group, *, order: Order, reason: str) -> None:
    """Let the group's home know that a guest is leaving."""
    unit.emit(GuestLeaving(order_id=order.id, group_id=part.id, member_id=order.member_id, reason=reason))
