"""On the guest's own campus: his order, portions, coupon and money; one function for each step."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from tuanzi.base.ids import GroupId, OrderId
from tuanzi.base.unit import Unit
from tuanzi.catalog import Building, Dish, dishes_for_cart
from tuanzi.groups import (
    Group,
    GroupState,
    Home,
    HomeNews,
    JoinGroup,
    Quoted,
    Seated,
    follow_home,
    hold_late_guest,
    late_money_seated,
    lose_seat,
    place_guest,
    quote_at,
    refund_late,
    seated_as,
)
from tuanzi.guests.model import (
    ASK_WITHIN,
    FORGOTTEN_AFTER,
    GRACE,
    EndEmptyPart,
    GuestSeat,
    GuestSeatState,
    HearHome,
    NewsTaken,
    PartEnded,
    PartTerms,
)
from tuanzi.guests.problems import HomeAway, SeatGone
from tuanzi.guests.service.commands import (
    AskAgain,
    AskSeat,
    ForgetSeat,
    GiveUpSeat,
    PlaceSeat,
    QuoteGuest,
    RecordAnswer,
    SeatAsked,
    SeatStanding,
    SendWord,
    Word,
)
from tuanzi.guests.service.home import LIVE
from tuanzi.orders import Order

# Our choice: home decides at the deadline and is heard within seconds, unless it is away for long.
LOOK_AGAIN = timedelta(hours=1)


def ask_seat(unit: Unit, command: AskSeat, *, now: datetime) -> SeatAsked:
    """Begin a guest's seat, when this campus could serve him. Raises what the catalog refuses of a cart."""
    unit.load(Building, command.building_id)
    dish_ids = [line.dish_id for line in command.wanted]
    dishes_for_cart(unit, dish_ids, merchant_ids={unit.load(Dish, id).merchant_id for id in dish_ids}, now=now)
    seat = GuestSeat(
        order_id=command.order_id,
        group_id=command.group_id,
        campus_id=command.campus_id,
        home_id=command.home_id,
        member_id=command.member_id,
        building_id=command.building_id,
        wanted=command.wanted,
        coupon_id=command.coupon_id,
        state=GuestSeatState.ASKED,
        reason="",
        facts={},
        asked_at=now,
        is_dorm_head=command.is_dorm_head,
        is_returning=command.is_returning,
    )
    unit.add(seat)
    _give_up_later(unit, seat, now=now)
    return SeatAsked(order_id=seat.order_id)


def quote_guest(unit: Unit, command: QuoteGuest, *, now: datetime) -> Quoted:
    """What a guest's cart would cost at each tier, by this campus's rules.

    Raises what the catalog and coupons refuse.
    """
    cart = command.cart
    return quote_at(
        unit,
        cart,
        tiers=command.tiers,
        delivery_fee=command.delivery_fee,
        merchant_ids={unit.load(Dish, line.dish_id).merchant_id for line in cart.lines},
        is_leader=False,
        now=now,
    )


def ask_again(unit: Unit, command: AskAgain, *, now: datetime) -> SeatStanding:
    """Ask anew for a seat that home, which was away, has let go of since; any other stays as it is."""
    seat = unit.load(GuestSeat, command.order_id)
    if seat.state is GuestSeatState.GONE and seat.reason == HomeAway.code:
        seat = replace(seat, state=GuestSeatState.ASKED, reason="", facts={}, asked_at=now, attempt=seat.attempt + 1)
        unit.put(seat)
        _give_up_later(unit, seat, now=now)
    return SeatStanding(order_id=seat.order_id, state=seat.state)


def place_seat(unit: Unit, command: PlaceSeat, *, now: datetime) -> Seated:
    """Hold what is this campus's for a seat that home holds; a repeat places no other order, and hears how his stands.

    Raises SeatGone, and what joining a group refuses; then the caller gives up the seat.
    """
    seat = unit.load(GuestSeat, command.order_id)
    order = unit.find(Order, seat.order_id)
    if seat.attempt != command.attempt or (
        order is None and seat.state in (GuestSeatState.LEAVING, GuestSeatState.GONE)
    ):
        raise SeatGone(order_id=seat.order_id, reason=seat.reason)
    if order is not None:
        return seated_as(unit.load(Group, order.group_id), order)
    answer = command.answer
    assert answer.news is not None, f"{seat.order_id}: home holds no seat"
    assert answer.terms is not None, f"{seat.order_id}: home holds no seat"
    part = unit.find(Group, seat.group_id)
    if part is None:
        part = _part(seat, answer.terms, answer.news)
        unit.schedule(_part_timer(part.id), EndEmptyPart(group_id=part.id), at=part.closes_at + GRACE)
    part = _follow(unit, part, answer.news)
    unit.put(replace(seat, state=GuestSeatState.HELD))
    unit.unschedule(_timer(seat.order_id))
    join = JoinGroup(
        group_id=seat.group_id,
        order_id=seat.order_id,
        member_id=seat.member_id,
        lines=seat.wanted,
        building_id=seat.building_id,
        coupon_id=seat.coupon_id,
        is_dorm_head=seat.is_dorm_head,
        is_returning=seat.is_returning,
    )
    return place_guest(unit, join, part=part, now=now)


def give_up_seat(unit: Unit, command: GiveUpSeat, *, now: datetime) -> SeatStanding:
    """End a seat that never became an order; home must hear it even when it refused, for a Try may come twice.

    As long as home has not answered, a repeat has it told again: what is said twice is harmless, what is not said is a
    seat that nobody gives back.
    """
    seat = unit.load(GuestSeat, command.order_id)
    if seat.attempt != command.attempt or seat.state not in (GuestSeatState.ASKED, GuestSeatState.LEAVING):
        return SeatStanding(order_id=seat.order_id, state=seat.state)
    if seat.state is GuestSeatState.ASKED:
        seat = replace(seat, state=GuestSeatState.LEAVING, reason=command.reason, facts=command.facts)
        unit.put(seat)
    send(unit, seat, word=Word.LEAVE, now=now)
    return SeatStanding(order_id=seat.order_id, state=seat.state)


def record_answer(unit: Unit, command: RecordAnswer, *, now: datetime) -> SeatStanding:
    """Do what home decided about a seat; of an answer to a word that is not said any more only the news counts.

    When the seat was gone before its money came, home is asked once more, for any seat of the group.
    """
    answer = command.answer
    waiting = GuestSeatState.LEAVING if command.word is Word.LEAVE else GuestSeatState.PAYING
    seat = unit.load(GuestSeat, answer.order_id)
    part = unit.find(Group, seat.group_id)
    if part is not None and answer.news is not None:
        part = _follow(unit, part, answer.news)
        seat = unit.load(GuestSeat, seat.order_id)
    if seat.state is waiting and seat.attempt == command.attempt:
        place = None if part is None else part.seat_of(seat.order_id)
        if answer.is_seated:
            seat = _paid(unit, seat)
        elif command.word is Word.PAY and place is not None:
            seat = _ask_anew(unit, seat, now=now)
        else:
            seat = replace(seat, state=GuestSeatState.GONE)
            if unit.find(Order, seat.order_id) is None:
                forget = ForgetSeat(order_id=seat.order_id)
                unit.schedule(f"forget-seat:{seat.order_id}", forget, at=now + FORGOTTEN_AFTER)
            if part is not None and place is not None and part.state in LIVE:
                lose_seat(unit, part, seat=place, reason="left" if command.word is Word.LEAVE else "late")
        unit.put(seat)
    return SeatStanding(order_id=seat.order_id, state=seat.state)


def take_late_money(unit: Unit, seat: GuestSeat, *, now: datetime) -> None:
    """Money came for an order whose seat was let go: home is asked for another one of the group, or it goes back.

    At once where home is still to be told that the seat was let go, or where this campus has nothing left for him.
    """
    order = unit.load(Order, seat.order_id)
    part = unit.load(Group, order.group_id)
    if seat.state is GuestSeatState.GONE and hold_late_guest(unit, order, part=part, now=now):
        unit.put(_ask_anew(unit, seat, now=now))
    else:
        refund_late(unit, order)


def hear_home(unit: Unit, command: HearHome, *, now: datetime) -> NewsTaken:
    """Follow what the home says of a group; nothing happens when no guest of this campus ever had an order in it."""
    news = command.news
    part = unit.find(Group, news.group_id)
    if part is None or part.home is None:
        return NewsTaken(group_id=news.group_id, version=0)
    part = _follow(unit, part, news)
    return NewsTaken(group_id=part.id, version=news.version if part.home is None else part.home.version)


def end_empty_part(unit: Unit, command: EndEmptyPart, *, now: datetime) -> PartEnded:
    """End a part whose guests have all gone before the deadline: home, where nobody of here sits, tells nothing.

    One with guests waits for what home decides, and is looked at again.
    """
    part = unit.load(Group, command.group_id)
    if part.state not in LIVE:
        return PartEnded(group_id=part.id, is_ended=False)
    if part.seats:
        unit.schedule(_part_timer(part.id), command, at=now + LOOK_AGAIN)
        return PartEnded(group_id=part.id, is_ended=False)
    unit.put(part.ended(GroupState.FAILED))
    return PartEnded(group_id=part.id, is_ended=True)


def forget_seat(unit: Unit, command: ForgetSeat, *, now: datetime) -> None:
    """Forget a seat that is gone and never became an order; one that was asked for anew since stays."""
    seat = unit.find(GuestSeat, command.order_id)
    is_gone = seat is not None and seat.state is GuestSeatState.GONE
    if is_gone and unit.find(Order, command.order_id) is None:
        unit.remove(GuestSeat, command.order_id)


def send(unit: Unit, seat: GuestSeat, *, word: Word, now: datetime) -> None:
    """Have the home campus told."""
    errand = SendWord(
        word=word,
        order_id=seat.order_id,
        group_id=seat.group_id,
        campus_id=seat.campus_id,
        home_id=seat.home_id,
        member_id=seat.member_id,
        reason=seat.reason,
        attempt=seat.attempt,
        building_id=seat.building_id,
    )
    unit.schedule(_timer(seat.order_id), errand, at=now)


def _give_up_later(unit: Unit, seat: GuestSeat, *, now: datetime) -> None:
    give_up = GiveUpSeat(order_id=seat.order_id, reason=HomeAway.code, attempt=seat.attempt)
    unit.schedule(_timer(seat.order_id), give_up, at=now + ASK_WITHIN)


def _ask_anew(unit: Unit, seat: GuestSeat, *, now: datetime) -> GuestSeat:
    seat = replace(seat, state=GuestSeatState.PAYING, reason="", attempt=seat.attempt + 1, is_late=True)
    send(unit, seat, word=Word.PAY_ANEW, now=now)
    return seat


def _paid(unit: Unit, seat: GuestSeat) -> GuestSeat:
    """The seat is his; money that came late has found it."""
    if seat.is_late:
        late_money_seated(unit, unit.load(Order, seat.order_id))
    return replace(seat, state=GuestSeatState.PAID, is_late=False)


def _follow(unit: Unit, part: Group, news: HomeNews) -> Group:
    """The part after the news, and each of its guests' seats with it."""
    seats = [unit.load(GuestSeat, seat.order_id) for seat in part.seats]
    leaving = {seat.order_id for seat in seats if seat.state is GuestSeatState.LEAVING}
    paying = {seat.order_id for seat in seats if seat.state is GuestSeatState.PAYING}
    after = follow_home(unit, part, news=news, leaving=leaving, paying=paying)
    if after is part:
        return part
    for seat in seats:
        state = _state_after(seat, after, news)
        if state is not seat.state:
            unit.put(_paid(unit, seat) if state is GuestSeatState.PAID else replace(seat, state=state))
            unit.unschedule(_timer(seat.order_id))
    return after


def _state_after(seat: GuestSeat, after: Group, news: HomeNews) -> GuestSeatState:
    if after.state is GroupState.FAILED:
        return GuestSeatState.GONE
    if seat.order_id not in (*news.paid, *news.held):
        is_asked_for = seat.state is GuestSeatState.PAYING and after.state in LIVE
        return seat.state if is_asked_for else GuestSeatState.GONE
    may_leave = seat.state is GuestSeatState.LEAVING and after.state is GroupState.OPEN
    return GuestSeatState.PAID if seat.order_id in news.paid and not may_leave else seat.state


def _part(seat: GuestSeat, terms: PartTerms, news: HomeNews) -> Group:
    """The part of a group that is here, before anything is in it."""
    return Group(
        id=seat.group_id,
        campaign_id=terms.campaign_id,
        leader_id=news.leader_id,
        building_id=terms.building_id,
        meal_id=terms.meal_id,
        state=GroupState.OPEN,
        tiers=terms.tiers,
        merchant_ids=(),
        building_ids=(),
        delivery_fee=terms.delivery_fee,
        pay_within_s=terms.pay_within_s,
        per_order_limit=terms.per_order_limit,
        per_user_limit=0,  # counted at home
        opened_at=terms.opened_at,
        closes_at=terms.closes_at,
        seats=(),
        home=Home(campus_id=seat.home_id, version=0, paid_elsewhere=0, delivery_fee=terms.delivery_fee),
    )


def _timer(order_id: OrderId) -> str:
    return f"guest:{order_id}"


def _part_timer(group_id: GroupId) -> str:
    return f"part:{group_id}"
