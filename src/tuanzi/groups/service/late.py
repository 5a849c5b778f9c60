"""Money that comes in, and that comes late: another seat, or all of it goes back."""

from __future__ import annotations

from datetime import datetime

from tuanzi import orders, stock
from tuanzi.base.ids import GroupId
from tuanzi.base.problem import Problem
from tuanzi.base.unit import Unit
from tuanzi.catalog import Dish
from tuanzi.events import GuestPaid, LateMoneySettled
from tuanzi.groups.model import CampaignUse, Group, GroupState, OpenGroups, Seat, SeatState
from tuanzi.groups.service.members import count_use, ordered_before
from tuanzi.groups.service.seats import pay_seat, take_money
from tuanzi.orders import Order, OrderState
from tuanzi.pricing import hold_coupon

# Our choice: late money looks at so many other groups for a seat.
GROUPS_TRIED_MAX = 20


def settle_capture(unit: Unit, order: Order, *, now: datetime) -> None:
    """An order's own money came, for the first time: its seat is paid, or it finds another, or all of it goes back.

    Who gave his order up gets it back, whatever seats there are: he does not want one.
    """
    if order.state is OrderState.CREATED:
        group = unit.load(Group, order.group_id)
        unit.unschedule(f"seat:{order.id}")
        take_money(unit, group, order=orders.mark_paid(unit, order))
        return
    if order.is_given_up:
        refund_late(unit, order)
        return
    if unit.load(Group, order.group_id).home is not None:
        late = GuestPaid(order_id=order.id, group_id=order.group_id, member_id=order.member_id, is_late=True)
        unit.emit(late)
        return
    group_found = _find_seat(unit, order, now=now)
    if group_found is None:
        refund_late(unit, order)
        return
    order, seat = _seat_again(unit, order, group_id=group_found.id, now=now)
    count_use(unit, group_found, member_id=order.member_id, by=1)
    group_found = group_found.seated(seat, now=now)
    pay_seat(unit, group_found, order_id=order.id, member_id=order.member_id, order=order)
    late_money_seated(unit, order)


def refund_late(unit: Unit, order: Order) -> None:
    """Money that came for an order that had ended goes back, and its member is told."""
    orders.refund_late(unit, order, reason="late")
    settled = LateMoneySettled(
        order_id=order.id, member_id=order.member_id, group_id=None, amount_fen=order.payable.fen
    )
    unit.emit(settled)


def late_money_seated(unit: Unit, order: Order) -> None:
    """Money that came late has a seat, and its member is told."""
    settled = LateMoneySettled(
        order_id=order.id, member_id=order.member_id, group_id=order.group_id, amount_fen=order.payable.fen
    )
    unit.emit(settled)


def hold_late_guest(unit: Unit, order: Order, *, part: Group, now: datetime) -> bool:
    """On a guest's own campus: hold his portions and coupon again, and a place in this part until home decides.

    False, and nothing changed, when this campus knows already that there can be no seat, or has nothing left for him.
    """
    is_live = part.state in (GroupState.OPEN, GroupState.FORMED) and now < part.closes_at and not part.is_full
    if not is_live or any([seat.member_id == order.member_id for seat in part.seats]):
        return False
    if not _hold_again(unit, part, order, now=now):
        return False
    order, seat = _seat_again(unit, order, group_id=part.id, now=now)
    unit.put(part.seated(seat, now=now))
    return True


def _seat_again(unit: Unit, order: Order, *, group_id: GroupId, now: datetime) -> tuple[Order, Seat]:
    """The order alive again, with a seat for it."""
    unit.put(ordered_before(unit, order.member_id).with_order(order.id))
    order = orders.revive(unit, order, group_id=group_id)
    seat = Seat(
        member_id=order.member_id,
        order_id=order.id,
        building_id=order.building_id,
        state=SeatState.HELD,
        since=now,
    )
    return order, seat


def _find_seat(unit: Unit, order: Order, *, now: datetime) -> Group | None:
    """A group with a free seat on the terms that were paid for: the order's own, else another of its building and
    meal; its portions and coupon are held again. None when there is none, or nothing to eat is left."""
    own = unit.load(Group, order.group_id)
    listed = unit.find(OpenGroups, (own.campaign_id, own.building_id, own.meal_id))
    candidates = [own.id, *(listed.group_ids[:GROUPS_TRIED_MAX] if listed is not None else ())]
    for group_id in candidates:
        group = unit.load(Group, group_id)
        if not group.takes_members(now=now) or group.terms != own.terms:
            continue
        if any(seat.member_id == order.member_id for seat in group.seats):
            continue
        return group if _hold_again(unit, group, order, now=now) else None
    return None


def _hold_again(unit: Unit, group: Group, order: Order, *, now: datetime) -> bool:
    if order.cart is not None and order.cart.is_first_order and not ordered_before(unit, order.member_id).is_none:
        return False  # another order has been the first meanwhile, and its price may be given once only
    portions = order.portions
    dishes = [unit.load(Dish, dish_id) for dish_id in portions]
    try:
        if group.per_user_limit:
            use = unit.find(CampaignUse, (group.campaign_id, order.member_id))
            if use is not None and use.orders >= group.per_user_limit:
                return False
        stock.hold(unit, portions, meal_id=order.meal_id, totals={dish.id: dish.portions_per_meal for dish in dishes})
    except Problem:
        return False
    if order.quote.coupon_id is None:
        return True
    try:
        hold_coupon(unit, coupon_id=order.quote.coupon_id, member_id=order.member_id, order_id=order.id, now=now)
    except Problem:
        stock.release(unit, portions, meal_id=order.meal_id)
        return False
    return True
