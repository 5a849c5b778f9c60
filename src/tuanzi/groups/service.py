"""What can be done with a group, one function for each sentence of the spec (B1).

A campus has one writer, so there are no races here: the last seat goes to whoever queued first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from tuanzi import orders, stock
from tuanzi.base.ids import BuildingId, CampaignId, CampusId, CouponId, DishId, GroupId, MerchantId, OrderId, PersonId
from tuanzi.base.money import ZERO, Money
from tuanzi.base.problem import Problem, Unknown
from tuanzi.base.unit import Unit
from tuanzi.catalog import (
    Building,
    CampaignTier,
    Dish,
    Merchant,
    dishes_for_cart,
    load_building_served,
    load_campaign_for_opening,
    load_meal_for_opening,
)
from tuanzi.events import (
    GroupClosed,
    GroupFailed,
    GroupFormed,
    GroupOpened,
    GuestLeaving,
    GuestPaid,
    LateMoneySettled,
    LeaderChanged,
    SeatHeld,
    SeatPaid,
    SeatReleased,
    TierReached,
)
from tuanzi.groups.model import (
    OPEN_GROUPS_MAX,
    UNSERVED_MAX,
    CampaignUse,
    Group,
    GroupState,
    Home,
    OpenGroups,
    OrderedBefore,
    Seat,
    SeatState,
)
from tuanzi.groups.problems import (
    BuildingNotInGroup,
    GroupElsewhere,
    GroupNotOpen,
    MinimumNotReached,
    OrderLimitExceeded,
    SeatCommitted,
    UserLimitReached,
)
from tuanzi.machinery.memory import Place
from tuanzi.orders import HOLDING, Order, OrderState
from tuanzi.people import ForgetPerson, Forgotten
from tuanzi.pricing import (
    Cart,
    CartLine,
    Quote,
    Tier,
    active_rules,
    give_back_coupon,
    hold_coupon,
    load_free_coupon,
    quote,
)

# Our choice: late money looks at so many other groups for a seat.
GROUPS_TRIED_MAX = 20


class Wanted(Struct, frozen=True, kw_only=True, gc=False):
    """So many portions of a dish; `set_meal_id` and `addon` as in `pricing.CartLine`."""

    dish_id: DishId
    quantity: int
    set_meal_id: str | None = None
    addon: bool = False


class OpenGroup(Struct, frozen=True, kw_only=True, gc=False):
    """Open a group and take its first seat (开团). is_dorm_head, is_returning: as the member's session says."""

    group_id: GroupId
    order_id: OrderId
    member_id: PersonId
    campaign_id: CampaignId
    building_id: BuildingId
    lines: tuple[Wanted, ...]
    coupon_id: CouponId | None = None
    is_dorm_head: bool = False
    is_returning: bool = False


class JoinGroup(Struct, frozen=True, kw_only=True, gc=False):
    """Take a seat (参团); brought to the group's building when none is named."""

    group_id: GroupId
    order_id: OrderId
    member_id: PersonId
    lines: tuple[Wanted, ...]
    building_id: BuildingId | None = None
    coupon_id: CouponId | None = None
    is_dorm_head: bool = False
    is_returning: bool = False


class Seated(Struct, frozen=True, kw_only=True, gc=False):
    """A seat is held: what to pay and until when; a free order is paid already."""

    group_id: str
    order_id: str
    order_state: OrderState
    payable_fen: int
    saved_fen: int
    pay_before: datetime
    group_state: GroupState
    seats_taken: int
    paid_count: int
    closes_at: datetime


class QuoteCart(Struct, frozen=True, kw_only=True, gc=False):
    """Price a cart at every tier of a campaign without taking a seat; nothing changes."""

    campaign_id: CampaignId
    building_id: BuildingId
    member_id: PersonId
    lines: tuple[Wanted, ...]
    coupon_id: CouponId | None = None
    is_dorm_head: bool = False
    is_returning: bool = False


class Off(Struct, frozen=True, kw_only=True, gc=False):
    """What one rule takes off a cart; `rule_id` may also be "tier" or "coupon"."""

    rule_id: str
    amount_fen: int


class TierPrice(Struct, frozen=True, kw_only=True, gc=False):
    """What a cart costs when the group reaches a size: `list_fen` and the share of the delivery less all `offs`.

    saved_fen: against ordering alone, with the whole delivery fee.
    """

    size: int
    list_fen: int
    delivery_fen: int
    offs: tuple[Off, ...]
    payable_fen: int
    saved_fen: int


class Quoted(Struct, frozen=True, kw_only=True, gc=False):
    """What a cart costs at each tier, smallest first."""

    tiers: tuple[TierPrice, ...]
    delivery_fen: int
    rule_version: int


class LeaveGroup(Struct, frozen=True, kw_only=True, gc=False):
    """A member gives up his seat."""

    group_id: GroupId
    member_id: PersonId


class CancelOrder(Struct, frozen=True, kw_only=True, gc=False):
    """A member gives up his order while its group has not formed."""

    order_id: OrderId
    member_id: PersonId


class Left(Struct, frozen=True, kw_only=True, gc=False):
    """A seat was given up; what was paid comes back."""

    group_id: str
    order_id: str
    order_state: OrderState
    refund_due_fen: int
    group_state: GroupState


class HearCapture(Struct, frozen=True, kw_only=True, gc=False):
    """The ledger has an order's money, and the order never heard of it (C3)."""

    order_id: OrderId
    payment_id: str
    amount_fen: int


class ExpireSeat(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: a seat was not paid in time."""

    order_id: OrderId


class CloseGroup(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: a group's deadline."""

    group_id: GroupId


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
    _list_open(unit, group)
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
    return _take_seat(unit, group, join, now=now)


def join_group(unit: Unit, command: JoinGroup, *, now: datetime) -> Seated:
    """Hold a seat, its portions and its coupon until it is paid.

    Raises Unknown, GroupElsewhere, GroupNotOpen, AlreadyMember, GroupFull, BuildingNotInGroup, OrderLimitExceeded,
    UserLimitReached, MinimumNotReached, StockShort, and what the catalog and coupons refuse.
    """
    group = unit.load(Group, command.group_id)
    if group.home is not None:
        raise GroupElsewhere(group_id=group.id, campus_id=group.home.campus_id)
    return _take_seat(unit, group, command, now=now)


def quote_cart(unit: Unit, command: QuoteCart, *, now: datetime) -> Quoted:
    """What a cart would cost at each tier; nothing changes. Raises what opening a group raises."""
    campaign = load_campaign_for_opening(unit, command.campaign_id, now=now)
    load_building_served(unit, command.building_id, campaign=campaign)
    dishes = dishes_for_cart(
        unit, [line.dish_id for line in command.lines], merchant_ids=campaign.merchant_ids, now=now
    )
    coupon = None
    if command.coupon_id is not None:
        coupon = load_free_coupon(unit, coupon_id=command.coupon_id, member_id=command.member_id, now=now)
    is_first_order = _ordered_before(unit, command.member_id).is_none and not command.is_returning
    book = active_rules(unit)
    quotes = []
    for tier in campaign.tiers:
        cart = Cart(
            lines=_cart_lines(command.lines, dishes),
            tier=_priced(tier),
            delivery_fee=campaign.delivery_fee,
            fee_shares=tier.size,
            priced_at=now,
            is_first_order=is_first_order,
            is_dorm_head=command.is_dorm_head,
            building_id=command.building_id,
            coupon=coupon,
        )
        quotes.append(quote(book, cart))
    return Quoted(
        tiers=tuple(
            TierPrice(
                size=tier.size,
                list_fen=sum(line.list_price.fen for line in priced.lines),
                delivery_fen=priced.fee_share.fen,
                offs=tuple(Off(rule_id=off.rule_id, amount_fen=off.amount.fen) for off in priced.amounts),
                payable_fen=priced.payable.fen,
                saved_fen=priced.saved.fen,
            )
            for tier, priced in zip(campaign.tiers, quotes, strict=True)
        ),
        delivery_fen=quotes[0].delivery_fee.fen,
        rule_version=quotes[0].rule_version,
    )


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
        _tell_home(unit, group, order, reason="left")  # paid: the home may have counted on it
    else:
        if seat.state is SeatState.HELD:
            order = orders.cancel_unpaid(unit, order, reason="left")
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


def close_group(unit: Unit, command: CloseGroup, *, now: datetime) -> None:
    """A group's deadline: a formed one closes with the tier it reached, an open one fails, an ended one stays so."""
    group = unit.load(Group, command.group_id)
    if group.state is GroupState.FORMED:
        _close(unit, group)
    elif group.state is GroupState.OPEN:
        _fail(unit, group, reason="deadline")


def give_up(unit: Unit, group: Group, *, reason: str) -> Group:
    """A closed group's split was cancelled: nobody gets a meal, everybody his money, portions and coupon back."""
    return _fail(unit, group, reason=reason, refund_reason=reason)


def forget_use(unit: Unit, group_id: GroupId, *, order_id: OrderId) -> None:
    """An order that ended after its group had closed no longer counts against its member's limit in the campaign."""
    group = unit.load(Group, group_id)
    seat = group.seat_of(order_id)
    if group.state is GroupState.CLOSED and seat is not None:
        _count_use(unit, group, seat.member_id, by=-1)


def settle_capture(unit: Unit, order: Order, *, now: datetime) -> None:
    """An order's own money came, for the first time: its seat is paid, or it finds another, or all of it goes back."""
    if order.state is OrderState.CREATED:
        group = unit.load(Group, order.group_id)
        unit.unschedule(f"seat:{order.id}")
        _take_money(unit, group, orders.mark_paid(unit, order))
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
    _count_use(unit, group_found, order.member_id, by=1)
    _pay_seat(unit, group_found.seated(seat, now=now), order)
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


# Seats


def _take_seat(unit: Unit, group: Group, command: JoinGroup, *, now: datetime) -> Seated:
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
    before = _ordered_before(unit, command.member_id)
    _count_use(unit, group, command.member_id, by=1)
    is_first = before.is_none and not command.is_returning
    order = _priced_order(unit, group, command, building_id=building_id, is_first_order=is_first, now=now)
    unit.put(before.with_order(order.id))
    unit.put(group)
    orders.place(unit, order)
    held = SeatHeld(group_id=group.id, order_id=order.id, member_id=order.member_id, pay_before=order.pay_before)
    unit.emit(held)
    if order.payable:
        unit.schedule(f"seat:{order.id}", ExpireSeat(order_id=order.id), at=order.pay_before)
    else:
        order = orders.mark_paid(unit, order)
        group = _take_money(unit, group, order)
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


def _priced_order(
    unit: Unit,
    group: Group,
    command: JoinGroup,
    *,
    building_id: BuildingId,
    is_first_order: bool,
    now: datetime,
) -> Order:
    """The order at the price of the smallest tier; its portions and coupon are held."""
    portions: dict[DishId, int] = {}
    for line in command.lines:
        portions[line.dish_id] = portions.get(line.dish_id, 0) + line.quantity
    if sum(portions.values()) > group.per_order_limit:
        raise OrderLimitExceeded(group_id=group.id, limit=group.per_order_limit)
    dishes = dishes_for_cart(unit, [line.dish_id for line in command.lines], merchant_ids=group.merchant_ids, now=now)
    coupon = None
    if command.coupon_id is not None:
        coupon = hold_coupon(
            unit, coupon_id=command.coupon_id, member_id=command.member_id, order_id=command.order_id, now=now
        )
    smallest = group.tiers[0]
    cart = Cart(
        lines=_cart_lines(command.lines, dishes),
        tier=_priced(smallest),
        delivery_fee=group.delivery_fee,
        fee_shares=smallest.size,
        priced_at=now,
        is_first_order=is_first_order,
        is_dorm_head=command.is_dorm_head,
        is_leader=command.member_id == group.leader_id,
        building_id=building_id,
        coupon=coupon,
    )
    priced = quote(active_rules(unit), cart)
    if coupon is not None and priced.coupon_id is None:
        # It takes nothing off this cart: it stays the member's, and no later price may use it.
        give_back_coupon(unit, coupon_id=coupon.id, order_id=command.order_id)
        cart = replace(cart, coupon=None)
    _check_minimums(unit, priced)
    stock.hold(unit, portions, meal_id=group.meal_id, totals={dish.id: dish.portions_per_meal for dish in dishes})
    return Order(
        id=command.order_id,
        group_id=group.id,
        campaign_id=group.campaign_id,
        member_id=command.member_id,
        building_id=building_id,
        meal_id=group.meal_id,
        state=OrderState.CREATED,
        quote=priced,
        cart=cart,
        payable=priced.payable,
        paid=ZERO,
        refundable=(),
        refunds=(),
        placed_at=now,
        pay_before=min(now + group.pay_within, group.closes_at),
    )


def _cart_lines(lines: Sequence[Wanted], dishes: Sequence[Dish]) -> tuple[CartLine, ...]:
    return tuple(
        [
            CartLine(
                dish_id=dish.id,
                merchant_id=dish.merchant_id,
                unit_price=dish.price,
                quantity=line.quantity,
                set_meal_id=line.set_meal_id,
                addon=line.addon,
            )
            for line, dish in zip(lines, dishes, strict=True)
        ]
    )


def _priced(tier: CampaignTier) -> Tier:
    return Tier(size=tier.size, off_percent=tier.off_percent, off=tier.off)


def _check_minimums(unit: Unit, priced: Quote) -> None:
    """Raises MinimumNotReached: a merchant's dishes, at list price, are below what he cooks for."""
    worth: dict[MerchantId, int] = {}
    for line in priced.lines:
        worth[line.merchant_id] = worth.get(line.merchant_id, 0) + line.list_price.fen
    for merchant_id, fen in worth.items():
        minimum = unit.load(Merchant, merchant_id).min_order
        if fen < minimum.fen:
            raise MinimumNotReached(merchant_id=merchant_id, minimum_fen=minimum.fen, worth_fen=fen)


def _count_use(unit: Unit, group: Group, member_id: PersonId, *, by: int) -> None:
    """Count an order of a member in a campaign that limits them. Raises UserLimitReached."""
    if not group.per_user_limit:
        return
    use = unit.find(CampaignUse, (group.campaign_id, member_id))
    used = 0 if use is None else use.orders
    if by > 0 and used >= group.per_user_limit:
        raise UserLimitReached(campaign_id=group.campaign_id, limit=group.per_user_limit)
    unit.put(CampaignUse(campaign_id=group.campaign_id, member_id=member_id, orders=used + by))


def forget_member(unit: Unit, command: ForgetPerson, *, now: datetime) -> Forgotten:
    """A member is erased: what is kept here leads to nobody any more; whether he ordered is told, for first orders."""
    ordered = not _ordered_before(unit, command.person_id).is_none
    return Forgotten(person_id=command.person_id, has_ordered=ordered)


def _ordered_before(unit: Unit, member_id: PersonId) -> OrderedBefore:
    """What tells whether a member's next order is his first. Left out are his last ones that came to nothing, down to
    one that did not: it tells enough, and those before it need not be read. Of very many all are read."""
    before = unit.find(OrderedBefore, member_id) or OrderedBefore(member_id=member_id)
    live: list[OrderId] = []
    for i in reversed(range(len(before.order_ids))):
        order = unit.load(Order, before.order_ids[i])
        if order.sub_orders > 0:
            return OrderedBefore(member_id=member_id, is_regular=True)
        if order.state in HOLDING:
            live.insert(0, order.id)
            if len(before.order_ids) < UNSERVED_MAX:
                return replace(before, order_ids=(*before.order_ids[:i], *live))
    return replace(before, order_ids=tuple(live))


def release_seat(unit: Unit, group: Group, *, seat: Seat, reason: str) -> Group:
    """The seat is free again; the leader hands over; a group with nobody left fails, unless this is a part of one."""
    leader_id = group.leader_id
    unit.unschedule(f"seat:{seat.order_id}")
    if group.home is not None:
        return _release_here(unit, group, seat, reason=reason)
    group = group.without([seat.order_id])
    _count_use(unit, group, seat.member_id, by=-1)
    released = SeatReleased(group_id=group.id, order_id=seat.order_id, member_id=seat.member_id, reason=reason)
    unit.emit(released)
    if not group.seats:
        return _fail(unit, group, reason="nobody_left")
    unit.put(group)
    if group.leader_id != leader_id:
        unit.emit(LeaderChanged(group_id=group.id, leader_id=group.leader_id))
    return group


def _take_money(unit: Unit, group: Group, order: Order) -> Group:
    """An order is paid whose seat is held: here, or on the group's home campus, which then says what comes of it."""
    if group.home is None:
        return _pay_seat(unit, group, order)
    unit.emit(GuestPaid(order_id=order.id, group_id=group.id, member_id=order.member_id))
    return group


def _pay_seat(unit: Unit, group: Group, order: Order) -> Group:
    return pay_seat(unit, group, order_id=order.id, member_id=order.member_id, order=order)


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
        return _close(unit, group)
    unit.put(group)
    return group


# The end of a group


def _close(unit: Unit, group: Group) -> Group:
    """A formed group takes no more members; seats that are not paid by now are lost."""
    held = [seat for seat in group.seats if seat.state is SeatState.HELD]
    for seat in held:
        if seat.campus_id is None:
            order = orders.cancel_unpaid(unit, unit.load(Order, seat.order_id), reason="group_closed")
            unit.unschedule(f"seat:{order.id}")
        _count_use(unit, group, seat.member_id, by=-1)
    leader_id = group.leader_id
    if held:
        group = group.without([seat.order_id for seat in held])
    group = group.ended(GroupState.CLOSED)
    unit.put(group)
    if group.leader_id != leader_id:
        unit.emit(LeaderChanged(group_id=group.id, leader_id=group.leader_id))
    unit.unschedule(f"close:{group.id}")
    _unlist_open(unit, group)
    unit.emit(GroupClosed(group_id=group.id, size=group.paid_count, order_ids=group.own_order_ids))
    return group


def _fail(unit: Unit, group: Group, *, reason: str, refund_reason: str = "group_failed") -> Group:
    """The group comes to nothing: who paid is refunded, each on his own (P7, P8); unpaid orders end."""
    for seat in group.seats:
        _count_use(unit, group, seat.member_id, by=-1)
        if seat.campus_id is not None:
            continue  # his own campus gives him back what is his
        order = unit.load(Order, seat.order_id)
        if order.state is not OrderState.CREATED:
            orders.refund_all(unit, order, reason=refund_reason)
        else:
            orders.cancel_unpaid(unit, order, reason="group_failed")
            unit.unschedule(f"seat:{order.id}")
    group = group.ended(GroupState.FAILED)
    unit.put(group)
    unit.unschedule(f"close:{group.id}")
    _unlist_open(unit, group)
    unit.emit(GroupFailed(group_id=group.id, order_ids=group.own_order_ids, reason=reason))
    return group


# Seats of guests at home, and the part of a group that is here while the group is at home elsewhere (B7)


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
    _count_use(unit, group, seat.member_id, by=1)
    unit.put(group)
    held = SeatHeld(group_id=group.id, order_id=seat.order_id, member_id=seat.member_id, pay_before=pay_before)
    unit.emit(held)
    return group


def place_guest(unit: Unit, command: JoinGroup, *, part: Group, now: datetime) -> Seated:
    """On his own campus: the order of a guest whose seat is held at home, with dishes of this campus.

    Raises Unknown, GroupNotOpen, AlreadyMember, OrderLimitExceeded, MinimumNotReached, StockShort, and what the catalog
    and coupons refuse.
    """
    merchants = {unit.load(Dish, line.dish_id).merchant_id: None for line in command.lines}
    known = dict.fromkeys(part.merchant_ids)
    return _take_seat(unit, replace(part, merchant_ids=tuple({**known, **merchants})), command, now=now)


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
        return _fail(unit, part, reason="failed_at_home")
    if news.state is not GroupState.OPEN:
        part = _form_here(unit, part, size=news.paid_count)
    if news.state is GroupState.CLOSED:
        if part.seats:
            return _close(unit, part)
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


def _release_here(unit: Unit, part: Group, seat: Seat, *, reason: str) -> Group:
    """A seat that was never paid is given up on the guest's side; its home is told."""
    _tell_home(unit, part, unit.load(Order, seat.order_id), reason=reason)
    part = replace(part.without([seat.order_id]), leader_id=part.leader_id)
    released = SeatReleased(group_id=part.id, order_id=seat.order_id, member_id=seat.member_id, reason=reason)
    unit.emit(released)
    unit.put(part)
    return part


def _tell_home(unit: Unit, part: Group, order: Order, *, reason: str) -> None:
    unit.emit(GuestLeaving(order_id=order.id, group_id=part.id, member_id=order.member_id, reason=reason))


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


# Late money


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
    unit.put(_ordered_before(unit, order.member_id).with_order(order.id))
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
    if order.cart is not None and order.cart.is_first_order and not _ordered_before(unit, order.member_id).is_none:
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


# The list of open groups


def _list_open(unit: Unit, group: Group) -> None:
    listed = unit.find(OpenGroups, (group.campaign_id, group.building_id, group.meal_id))
    ids = () if listed is None else listed.group_ids
    if len(ids) < OPEN_GROUPS_MAX:
        listed = OpenGroups(
            campaign_id=group.campaign_id,
            building_id=group.building_id,
            meal_id=group.meal_id,
            group_ids=(*ids, group.id),
        )
        unit.put(listed)


def _unlist_open(unit: Unit, group: Group) -> None:
    listed = unit.find(OpenGroups, (group.campaign_id, group.building_id, group.meal_id))
    if listed is not None and group.id in listed.group_ids:
        ids = tuple([group_id for group_id in listed.group_ids if group_id != group.id])
        unit.put(replace(listed, group_ids=ids))
