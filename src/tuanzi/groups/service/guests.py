"""Seats of guests at home, and the part of a group that is here while the group is at home elsewhere (B7)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from tuanzi import orders
from tuanzi.base.ids import CampusId, GroupId, OrderId, PersonId
from tuanzi.base.money import Money
from tuanzi.base.unit import Unit
from tuanzi.catalog import Dish
from tuanzi.events import GroupFormed, LateMoneySettled, SeatHeld, SeatPaid, SeatReleased
from tuanzi.groups.model import Group, GroupState, Home, Seat, SeatState
from tuanzi.groups.service.commands import JoinGroup, Seated
from tuanzi.groups.service.ending import close, fail
from tuanzi.groups.service.joining import take_seat
from tuanzi.groups.service.members import count_use
from tuanzi.orders import Order, OrderState


class HomeNews(Struct, frozen=True, kw_only=True, gc=False):
    """What a group's home campus says of it to one campus with guests in it.

    paid_count: of all campuses. paid, held: that campus's orders with a seat. delivery_fee_fen: its part of the fee.
    """

    group_id: GroupId
    version: int
    state: GroupState
    leader_id: PersonId
    paid_count: int
    paid: tuple[OrderId, ...]
    held: tuple[OrderId, ...]
    delivery_fee_fen: int


def news_of(group: Group, *, campus_id: CampusId) -> HomeNews:
    """What its home says of a group to a campus."""
    seats = [seat for seat in group.seats if seat.campus_id == campus_id]
    return HomeNews(
        group_id=group.id,
        version=group.version,
        state=group.outcome,
        leader_id=group.leader_id,
        paid_count=group.paid_count,
        paid=tuple([seat.order_id for seat in seats if seat.state is SeatState.PAID]),
        held=tuple([seat.order_id for seat in seats if seat.state is SeatState.HELD]),
        delivery_fee_fen=group.delivery_fee_of(campus_id).fen,
    )


def seat_guest(unit: Unit, group: Group, *, seat: Seat, pay_before: datetime, now: datetime) -> Group:
    """At home: hold a guest's seat. Raises GroupNotOpen, AlreadyMember, GroupFull, UserLimitReached."""
    group = group.seated(seat, now=now)
    count_use(unit, group, member_id=seat.member_id, by=1)
    unit.put(group)
    held = SeatHeld(group_id=group.id, order_id=seat.order_id, member_id=seat.member_id, pay_before=pay_before)
    unit.emit(held)
    return group


def place_guest(unit: Unit, command: JoinGroup, *, part: Group, now: datetime) -> Seated:
    """On his own campus: the order of a guest whose seat is held at home, with dishes of this campus.

    Raises Unknown, GroupNotOpen, AlreadyMember, TooManyUnpaid, OrderLimitExceeded, MinimumNotReached, StockShort, and
    what the catalog and coupons refuse.
    """
    merchants = {unit.load(Dish, line.dish_id).merchant_id: None for line in command.lines}
    known = dict.fromkeys(part.merchant_ids)
    return take_seat(unit, replace(part, merchant_ids=tuple({**known, **merchants})), command=command, now=now)


def follow_home(
    unit: Unit,
    part: Group,
    *,
    news: HomeNews,
    leaving: Collection[OrderId] = (),
    paying: Collection[OrderId] = (),
) -> Group:
    """Make this part what its home says: seats that are gone, paid ones, formed, closed or failed; each once.

    leaving: orders whose members asked to leave. paying: whose money home has not answered for; while the group takes
    members they may still get a seat. What was known already, and all news after the end, changes nothing.
    """
    assert part.home is not None
    if part.state in (GroupState.CLOSED, GroupState.FAILED) or news.version <= part.home.version:
        return part
    home = Home(
        campus_id=part.home.campus_id,
        version=news.version,
        paid_elsewhere=news.paid_count - len(news.paid),
        delivery_fee=Money(news.delivery_fee_fen),
    )
    part = replace(part, home=home, leader_id=news.leader_id, version=part.version + 1)
    stay = {*news.paid, *news.held}
    if news.state in (GroupState.OPEN, GroupState.FORMED):
        stay.update(paying)
    for seat in [seat for seat in part.seats if seat.order_id not in stay]:
        part = lose_seat(unit, part, seat=seat, reason="left" if seat.order_id in leaving else "late")
    for seat in [seat for seat in part.seats if seat.order_id in news.paid and seat.state is SeatState.HELD]:
        part = part.paid(seat.order_id)
        paid = SeatPaid(group_id=part.id, order_id=seat.order_id, member_id=seat.member_id, paid_count=news.paid_count)
        unit.emit(paid)
    if news.state is GroupState.FAILED:
        return fail(unit, part, reason="failed_at_home")
    if news.state is not GroupState.OPEN:
        part = _form_here(unit, part, size=news.paid_count)
    if news.state is GroupState.CLOSED:
        if part.seats:
            return close(unit, part)
        part = part.ended(GroupState.CLOSED)
    unit.put(part)
    return part


def lose_seat(unit: Unit, part: Group, *, seat: Seat, reason: str) -> Group:
    """A guest's seat is gone at home: an unpaid order ends, paid money goes back, for `reason`."""
    order = unit.load(Order, seat.order_id)
    unit.unschedule(f"seat:{order.id}")
    if order.state is OrderState.CREATED:
        orders.cancel_unpaid(unit, order, reason="group_closed")
    elif order.state in (OrderState.PAID, OrderState.GROUPED):
        orders.refund_all(unit, order, reason=reason)
        if reason == "late":
            settled = LateMoneySettled(
                order_id=order.id, member_id=order.member_id, group_id=None, amount_fen=order.paid.fen
            )
            unit.emit(settled)
    part = replace(part.without([seat.order_id]), leader_id=part.leader_id)
    released = SeatReleased(group_id=part.id, order_id=order.id, member_id=order.member_id, reason=reason)
    unit.emit(released)
    unit.put(part)
    return part


def _form_here(unit: Unit, part: Group, *, size: int) -> Group:
    """The group has formed at home: so have its orders here, each when its seat is paid."""
    paid = [unit.load(Order, seat.order_id) for seat in part.seats if seat.state is SeatState.PAID]
    for order in paid:
        if order.state is OrderState.PAID:
            orders.mark_grouped(unit, order)
    if part.state is GroupState.FORMED:
        return part
    unit.emit(GroupFormed(group_id=part.id, size=size, order_ids=tuple([order.id for order in paid])))
    return part.ended(GroupState.FORMED)
