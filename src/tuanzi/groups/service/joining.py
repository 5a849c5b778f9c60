"""Opening and joining a group: a seat is held with its portions and its coupon."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tuanzi import orders
from tuanzi.base.unit import Unit
from tuanzi.catalog import Building, load_building_served, load_campaign_for_opening, load_meal_for_opening
from tuanzi.events import GroupOpened, SeatHeld
from tuanzi.groups.model import Group, GroupState, OrderedBefore, Seat, SeatState
from tuanzi.groups.problems import BuildingNotInGroup, GroupElsewhere
from tuanzi.groups.service.commands import CloseGroup, ExpireSeat, JoinGroup, OpenGroup, Seated
from tuanzi.groups.service.listing import enlist
from tuanzi.groups.service.members import count_use, may_hold_more, ordered_before
from tuanzi.groups.service.prices import priced_order
from tuanzi.groups.service.seats import take_money
from tuanzi.machinery.memory import Place
from tuanzi.orders import Order


def asked_by_open(command: OpenGroup) -> Sequence[Place]:
    """What opening asks for that is seldom in memory: most members order for the first time of the day."""
    return [(OrderedBefore, command.member_id)]


def asked_by_join(command: JoinGroup) -> Sequence[Place]:
    """What joining asks for that is seldom in memory, and the group, which a restart has forgotten."""
    return [(Group, command.group_id), (OrderedBefore, command.member_id)]


def open_group(unit: Unit, command: OpenGroup, *, now: datetime) -> Seated:
    """Open a group for the meal that can be ordered now and hold its first seat.

    Raises Unknown, CampaignNotLive, CampaignNotServing, BuildingNotServed, and what joining raises.
    """
    campaign = load_campaign_for_opening(unit, command.campaign_id, now=now)
    load_building_served(unit, command.building_id, campaign=campaign)
    meal = load_meal_for_opening(unit, campaign, now=now)
    group = Group(
        id=command.group_id,
        campaign_id=campaign.id,
        leader_id=command.member_id,
        building_id=command.building_id,
        meal_id=meal.id,
        state=GroupState.OPEN,
        tiers=campaign.tiers,
        merchant_ids=campaign.merchant_ids,
        building_ids=campaign.building_ids,
        delivery_fee=campaign.delivery_fee,
        pay_within_s=campaign.pay_within_s,
        per_order_limit=campaign.per_order_limit,
        per_user_limit=campaign.per_user_limit,
        opened_at=now,
        closes_at=campaign.group_closes_at(meal, now=now),
        seats=(),
        guest_campuses=campaign.guest_campuses,
    )
    opened = GroupOpened(
        group_id=group.id,
        campaign_id=group.campaign_id,
        building_id=group.building_id,
        leader_id=group.leader_id,
        closes_at=group.closes_at,
    )
    unit.emit(opened)
    unit.schedule(f"close:{group.id}", CloseGroup(group_id=group.id), at=group.closes_at)
    enlist(unit, group)
    join = JoinGroup(
        group_id=group.id,
        order_id=command.order_id,
        member_id=command.member_id,
        lines=command.lines,
        building_id=command.building_id,
        coupon_id=command.coupon_id,
        is_dorm_head=command.is_dorm_head,
        is_returning=command.is_returning,
    )
    return take_seat(unit, group, command=join, now=now)


def join_group(unit: Unit, command: JoinGroup, *, now: datetime) -> Seated:
    """Hold a seat, its portions and its coupon until it is paid.

    Raises Unknown, GroupElsewhere, GroupNotOpen, AlreadyMember, GroupFull, BuildingNotInGroup, TooManyUnpaid,
    OrderLimitExceeded, UserLimitReached, MinimumNotReached, StockShort, and what the catalog and coupons refuse.
    """
    group = unit.load(Group, command.group_id)
    if group.home is not None:
        raise GroupElsewhere(group_id=group.id, campus_id=group.home.campus_id)
    return take_seat(unit, group, command=command, now=now)


def take_seat(unit: Unit, group: Group, *, command: JoinGroup, now: datetime) -> Seated:
    """Hold a seat, its portions and its coupon; a free order is paid at once. Raises as `join_group` does."""
    building_id = group.building_id if command.building_id is None else command.building_id
    if building_id != group.building_id and group.building_ids and building_id not in group.building_ids:
        raise BuildingNotInGroup(group_id=group.id, building_id=building_id)
    if building_id != group.building_id:
        unit.load(Building, building_id)
    seat = Seat(
        member_id=command.member_id,
        order_id=command.order_id,
        building_id=building_id,
        state=SeatState.HELD,
        since=now,
    )
    group = group.seated(seat, now=now)
    before = may_hold_more(unit, ordered_before(unit, command.member_id), now=now)
    count_use(unit, group, member_id=command.member_id, by=1)
    is_first = before.is_none and not command.is_returning
    order = priced_order(unit, group, command=command, building_id=building_id, is_first_order=is_first, now=now)
    unit.put(before.with_order(order.id))
    unit.put(group)
    orders.place(unit, order)
    held = SeatHeld(group_id=group.id, order_id=order.id, member_id=order.member_id, pay_before=order.pay_before)
    unit.emit(held)
    if order.payable:
        unit.schedule(f"seat:{order.id}", ExpireSeat(order_id=order.id), at=order.pay_before)
    else:
        order = orders.mark_paid(unit, order)
        group = take_money(unit, group, order=order)
        order = unit.load(Order, order.id)
    return seated_as(group, order)


def seated_as(group: Group, order: Order) -> Seated:
    """A seat and its order, for an answer."""
    return Seated(
        group_id=group.id,
        order_id=order.id,
        order_state=order.state,
        payable_fen=order.payable.fen,
        saved_fen=order.quote.saved.fen,
        pay_before=order.pay_before,
        group_state=group.state,
        seats_taken=len(group.seats),
        paid_count=group.paid_count,
        closes_at=group.closes_at,
    )
