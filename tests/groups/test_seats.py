"""Opening, joining and leaving a group (B1), and what it holds: seats, portions, coupons, uses."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from msgspec.structs import replace

from tests.heart import CUT_OFF, OPERATOR, START, TRIO, Campus, students
from tuanzi.base.ids import BuildingId, CampaignId, PersonId
from tuanzi.base.problem import Unknown
from tuanzi.catalog import (
    BuildingNotServed,
    CampaignNotLive,
    CampaignNotServing,
    CampaignState,
    DishNotInCampaign,
    DishNotOnSale,
    PutCampaign,
    SetDishOnSale,
)
from tuanzi.events import GroupFailed, GroupOpened, LeaderChanged, OrderCancelled, OrderPlaced, RefundDue, SeatHeld
from tuanzi.groups import (
    AlreadyMember,
    BuildingNotInGroup,
    CloseGroup,
    ExpireSeat,
    GroupFull,
    GroupNotOpen,
    MinimumNotReached,
    NoSeat,
    OrderLimitExceeded,
    QuoteCart,
    SeatCommitted,
    Seated,
    TooManyUnpaid,
    UserLimitReached,
)
from tuanzi.groups.model import UNPAID_MAX, UNSERVED_MAX
from tuanzi.orders import OrderState
from tuanzi.pricing import CouponState, CouponTaken
from tuanzi.stock import StockShort


@pytest.fixture
def campus() -> Campus:
    return Campus()


def test_a_member_opens_a_group_and_holds_its_first_seat(campus: Campus) -> None:
    seated = campus.open("m1", "beef", ("soup", 2))

    assert seated == Seated(
        group_id="g_000001",
        order_id="o_000002",
        order_state=OrderState.CREATED,
        payable_fen=3402 - 300 + 301,
        saved_fen=300 + 600,
        pay_before=START + timedelta(seconds=300),
        group_state="open",  # type: ignore[arg-type]
        seats_taken=1,
        paid_count=0,
        closes_at=START + timedelta(minutes=45),
    )
    assert campus.the_group(seated.group_id).leader_id == "m1"
    assert (campus.held_and_sold("beef"), campus.held_and_sold("soup")) == ((1, 0), (2, 0))
    assert campus.timers() == ["close:g_000001", "seat:o_000002"]
    assert [type(event) for event in campus.events] == [GroupOpened, OrderPlaced, SeatHeld]


def test_a_member_joins_at_the_price_of_the_smallest_tier(campus: Campus) -> None:
    group = campus.open("m1", campaign="ladder")

    seated = campus.join(group.group_id, "m2")

    assert seated.payable_fen == 2200 - 220 + 301
    assert seated.seats_taken == 2
    assert campus.held_and_sold("beef") == (2, 0)


def test_a_cart_is_quoted_at_every_tier_without_taking_a_seat(campus: Campus) -> None:
    command = QuoteCart(
        campaign_id=CampaignId("ladder"),
        building_id=BuildingId("dorm-1"),
        member_id=PersonId("m1"),
        lines=campus.opening("m1").lines,
    )

    with campus.nothing_changes():
        quoted = campus.do(command)

    assert [(tier.size, tier.payable_fen) for tier in quoted.tiers] == [
        (3, 1980 + 301),
        (5, 1870 + 181),
        (10, 1770 + 91),
    ]
    assert quoted.delivery_fen == 301


@pytest.mark.parametrize("evicted", [False, True])
def test_the_last_seat_goes_to_exactly_one_of_many_in_a_batch(campus: Campus, evicted: bool) -> None:
    """P4: seats are counted and taken by one writer, so nobody counts while another takes."""
    group = campus.group("m1", "m2", paid=2)[0]
    if evicted:
        campus.evict()

    answers = campus.batch([campus.joining(group.group_id, member) for member in students(50, first=10)])

    assert Counter(type(answer) for answer in answers) == {Seated: 1, GroupFull: 49}
    assert isinstance(answers[0], Seated)
    assert campus.held_and_sold("beef") == (3, 0)
    assert len(campus.the_group(group.group_id).seats) == 3


def test_the_last_seat_goes_to_exactly_one_of_many_one_by_one(campus: Campus) -> None:
    group = campus.group("m1", "m2", paid=2)[0]
    campus.join(group.group_id, "m3")

    for member in students(20, first=10):
        campus.evict()
        with campus.refused(GroupFull):
            campus.join(group.group_id, member)

    assert [seat.member_id for seat in campus.the_group(group.group_id).seats] == ["m1", "m2", "m3"]


def test_fifty_join_a_group_of_ten_and_ten_are_in_it(campus: Campus) -> None:
    group = campus.open("m1", campaign="ladder")

    answers = campus.batch([campus.joining(group.group_id, member) for member in students(50, first=10)])

    assert Counter(type(answer) for answer in answers) == {Seated: 9, GroupFull: 41}
    assert campus.held_and_sold("beef") == (10, 0)


def test_a_member_has_one_seat_in_a_group(campus: Campus) -> None:
    group = campus.open("m1")

    with campus.refused(AlreadyMember):
        campus.join(group.group_id, "m1", "soup")


def test_a_member_may_sit_in_two_groups(campus: Campus) -> None:
    campus.open("m1")

    other = campus.open("m1")

    assert other.seats_taken == 1


def served(campus: Campus, member: str) -> None:
    """He has had an order that was split: a regular."""
    seated = campus.open(member)
    others = [campus.join(seated.group_id, f"{member}-{i}") for i in (1, 2)]
    for each in (seated, *others):
        campus.pay(each.order_id)


@pytest.mark.parametrize("is_regular", [False, True], ids=["newcomer", "regular"])
def test_a_member_holds_three_unpaid_orders_and_no_fourth(campus: Campus, is_regular: bool) -> None:
    if is_regular:
        served(campus, "m1")
    held = [campus.open("m1") for _ in range(UNPAID_MAX)]
    other = campus.open("m2")
    campus.kill()

    with campus.refused(TooManyUnpaid):
        campus.open("m1")
    with campus.refused(TooManyUnpaid):
        campus.join(other.group_id, "m1")

    campus.pay(held[1].order_id)  # counted from here: one waits
    campus.join(other.group_id, "m1")
    campus.open("m1")
    with campus.refused(TooManyUnpaid):
        campus.open("m1")
    campus.leave(held[2].group_id, "m1")
    last = campus.open("m1")
    with campus.refused(TooManyUnpaid):
        campus.open("m1")
    campus.leave(last.group_id, "m1")  # what came to nothing is no payment
    campus.open("m1")
    with campus.refused(TooManyUnpaid):
        campus.open("m1")
    campus.pass_time(seconds=300)
    assert campus.open("m1").order_state is OrderState.CREATED


def test_a_member_who_pays_has_as_many_orders_as_he_likes(campus: Campus) -> None:
    for _ in range(UNSERVED_MAX + 5):
        campus.pay(campus.open("m1").order_id)

    assert campus.open("m1").order_state is OrderState.CREATED


def test_an_order_has_no_more_portions_than_the_campaign_allows(campus: Campus) -> None:
    """medusa issue 16502: the same dish on two lines counts together."""
    group = campus.open("m1", ("beef", 3), ("beef", 3))

    with campus.refused(OrderLimitExceeded):
        campus.join(group.group_id, "m2", ("beef", 3), ("beef", 4))

    assert campus.held_and_sold("beef") == (6, 0)


def test_a_member_uses_a_limited_campaign_once(campus: Campus) -> None:
    group = campus.open("m1", campaign="once")

    with campus.refused(UserLimitReached):
        campus.open("m1", campaign="once")

    assert campus.uses("once", "m1") == 1
    assert campus.join(group.group_id, "m2").seats_taken == 2


def test_an_order_that_came_to_nothing_does_not_count_against_the_limit(campus: Campus) -> None:
    left = campus.open("m1", campaign="once")
    campus.leave(left.group_id, "m1")
    expired = campus.open("m1", campaign="once")
    campus.pass_time(minutes=5)
    failed = campus.open("m1", campaign="once")
    campus.pay(failed.order_id)
    campus.pass_time(minutes=45)

    assert [campus.state(one.order_id) for one in (left, expired, failed)] == ["cancelled", "cancelled", "refunded"]
    assert campus.uses("once", "m1") == 0
    assert campus.open("m1", campaign="once").seats_taken == 1


def test_a_group_is_opened_only_where_its_campaign_delivers(campus: Campus) -> None:
    with campus.refused(BuildingNotServed):
        campus.open("m1", building="dorm-3")
    with campus.refused(Unknown):
        campus.open("m1", campaign="ladder", building="moon")


def test_a_member_may_have_it_brought_to_another_building_of_the_campaign(campus: Campus) -> None:
    group = campus.open("m1")

    seated = campus.join(group.group_id, "m2", building="dorm-2")

    assert campus.order(seated.order_id).building_id == "dorm-2"
    with campus.refused(BuildingNotInGroup):
        campus.join(group.group_id, "m3", building="dorm-3")


def test_a_campaign_for_everywhere_delivers_only_to_buildings_that_exist(campus: Campus) -> None:
    group = campus.open("m1", campaign="ladder")

    assert campus.join(group.group_id, "m2", building="dorm-3").seats_taken == 2
    with campus.refused(Unknown):
        campus.join(group.group_id, "m3", building="moon")


def test_a_group_closes_no_later_than_the_meal_can_be_ordered(campus: Campus) -> None:
    campus.pass_time(until=CUT_OFF - timedelta(minutes=10))

    seated = campus.open("m1")

    assert seated.closes_at == CUT_OFF
    assert seated.pay_before == CUT_OFF - timedelta(minutes=5)


def test_no_group_is_opened_after_the_meal_cut_off(campus: Campus) -> None:
    campus.pass_time(until=CUT_OFF)

    with campus.refused(CampaignNotServing):
        campus.open("m1")


def test_no_group_is_opened_in_an_ended_campaign(campus: Campus) -> None:
    campus.do(PutCampaign(campaign=replace(TRIO, state=CampaignState.ENDED), by=OPERATOR))

    with campus.refused(CampaignNotLive):
        campus.open("m1")


def test_the_deadline_refuses_even_before_its_timer_fired(campus: Campus) -> None:
    group = campus.open("m1")
    campus.jump(minutes=45)

    with campus.refused(GroupNotOpen):
        campus.join(group.group_id, "m2")

    assert campus.the_group(group.group_id).state.value == "open"


def test_a_minute_before_the_deadline_a_seat_is_held_only_until_the_deadline(campus: Campus) -> None:
    group = campus.open("m1")
    campus.jump(minutes=44)

    seated = campus.join(group.group_id, "m2")

    assert seated.pay_before == group.closes_at


def test_a_merchant_cooks_only_from_his_minimum_at_list_price(campus: Campus) -> None:
    with campus.refused(MinimumNotReached):
        campus.open("m1", "beef", "cake")

    assert campus.open("m1", "beef", ("cake", 2)).seats_taken == 1


def test_a_dish_of_another_merchant_or_off_sale_is_refused(campus: Campus) -> None:
    noodles = replace(TRIO, id="noodles-only", merchant_ids=("noodles",))
    campus.do(PutCampaign(campaign=noodles, by=OPERATOR))

    with campus.refused(DishNotInCampaign):
        campus.open("m1", "milk-tea", campaign="noodles-only")
    campus.do(SetDishOnSale(dish_id="beef", is_on_sale=False, merchant_id=None, by=OPERATOR))  # type: ignore[arg-type]
    with campus.refused(DishNotOnSale):
        campus.open("m1")


def test_portions_are_held_until_none_is_left(campus: Campus) -> None:
    campus.open("m1", ("cake", 3))

    with campus.refused(StockShort):
        campus.open("m2", ("cake", 2))

    assert campus.held_and_sold("cake") == (3, 0)
    campus.set_portions("cake", 5)
    assert campus.open("m2", ("cake", 2)).seats_taken == 1


# Leaving


def test_a_member_leaves_before_he_paid_and_nothing_of_him_is_held(campus: Campus) -> None:
    group = campus.open("m1")
    seated = campus.join(group.group_id, "m2", ("soup", 2))

    left = campus.leave(group.group_id, "m2")

    assert (left.order_state.value, left.refund_due_fen, left.group_state.value) == ("cancelled", 0, "open")
    assert campus.held_and_sold("soup") == (0, 0)
    assert campus.timers() == [f"close:{group.group_id}", f"seat:{group.order_id}"]
    assert campus.told(OrderCancelled)[-1].order_id == seated.order_id
    assert campus.join(group.group_id, "m2").seats_taken == 2


def test_a_member_who_paid_leaves_an_open_group_and_gets_all_of_it_back(campus: Campus) -> None:
    group = campus.group("m1", "m2", paid=2)

    left = campus.leave(group[1].group_id, "m2")

    assert (left.order_state.value, left.refund_due_fen) == ("refunding", 2201)
    assert [(due.order_id, due.amount_fen) for due in campus.told(RefundDue)] == [(group[1].order_id, 2201)]
    campus.settle_refunds()
    assert campus.state(group[1].order_id) == "refunded"
    assert campus.balances() == {"order_escrow": -2201, "provider_clearing": 2201}
    assert campus.held_and_sold("beef") == (1, 0)


def test_who_paid_cannot_leave_a_formed_group(campus: Campus) -> None:
    group = campus.group("m1", "m2", "m3", campaign="ladder")[0]

    with campus.refused(SeatCommitted):
        campus.leave(group.group_id, "m2")


def test_who_has_not_paid_can_leave_a_formed_group(campus: Campus) -> None:
    group = campus.group("m1", "m2", "m3", "m4", paid=3, campaign="ladder")

    left = campus.leave(group[0].group_id, "m4")

    assert (left.order_state.value, left.group_state.value) == ("cancelled", "formed")


def test_a_stranger_has_no_seat_to_leave(campus: Campus) -> None:
    group = campus.open("m1")

    with campus.refused(NoSeat):
        campus.leave(group.group_id, "m9")
    with campus.refused(Unknown):
        campus.cancel(group.order_id, "m9")


def test_cancelling_twice_changes_nothing_the_second_time(campus: Campus) -> None:
    group = campus.group("m1", "m2", paid=2)
    first = campus.cancel(group[1].order_id, "m2")

    with campus.nothing_changes():
        again = campus.cancel(group[1].order_id, "m2")

    assert again == first


def test_p11_the_leader_hands_over_to_the_earliest_paid_member_and_the_deadline_stays(campus: Campus) -> None:
    """P11: the new leader gets no window of his own, and every order stays in its group."""
    seated = campus.group("m1", "m2", "m3", paid=0)
    campus.pay(seated[2].order_id)
    before = campus.the_group(seated[0].group_id)

    campus.leave(seated[0].group_id, "m1")

    group = campus.the_group(seated[0].group_id)
    assert (before.leader_id, group.leader_id) == ("m1", "m3")
    assert group.closes_at == before.closes_at
    assert [seat.member_id for seat in group.seats] == ["m2", "m3"]
    assert {campus.order(one.order_id).group_id for one in seated} == {group.id}
    assert [event.leader_id for event in campus.told(LeaderChanged)] == ["m3"]


def test_when_nobody_has_paid_the_earliest_member_leads(campus: Campus) -> None:
    seated = campus.group("m1", "m2", "m3", paid=0)

    campus.leave(seated[0].group_id, "m1")

    assert campus.the_group(seated[0].group_id).leader_id == "m2"


def test_the_last_one_to_leave_ends_the_group(campus: Campus) -> None:
    seated = campus.open("m1")

    left = campus.leave(seated.group_id, "m1")

    assert left.group_state.value == "failed"
    assert campus.told(GroupFailed) == [GroupFailed(group_id=seated.group_id, order_ids=(), reason="nobody_left")]
    assert campus.timers() == []
    with campus.refused(GroupNotOpen):
        campus.join(seated.group_id, "m2")


# Seats that are not paid in time


def test_a_seat_not_paid_in_time_is_free_again(campus: Campus) -> None:
    group = campus.open("m1")
    campus.pay(group.order_id)
    late = campus.join(group.group_id, "m2")

    campus.pass_time(seconds=299)
    assert campus.state(late.order_id) == "created"
    campus.pass_time(seconds=1)

    assert campus.state(late.order_id) == "cancelled"
    assert campus.held_and_sold("beef") == (1, 0)
    assert campus.timers() == [f"close:{group.group_id}"]


def test_a_stale_timer_does_nothing(campus: Campus) -> None:
    """P6: a deadline looks at the state again; it never overwrites what happened meanwhile."""
    closed = campus.group("m1", "m2", "m3")
    failed = campus.open("m4")
    campus.leave(failed.group_id, "m4")

    with campus.nothing_changes():
        for one in (*closed, failed):
            campus.do(ExpireSeat(order_id=one.order_id))  # type: ignore[arg-type]
            campus.do(CloseGroup(group_id=one.group_id))  # type: ignore[arg-type]


def test_p15_deadlines_survive_a_crash(campus: Campus) -> None:
    """P15: timers are rows of the same commit, not threads."""
    group = campus.group("m1", "m2", paid=1)
    campus.kill()

    campus.pass_time(minutes=45)

    assert [campus.state(one.order_id) for one in group] == ["refunded", "cancelled"]


# Coupons


def test_a_coupon_is_held_with_the_seat_and_used_by_the_split(campus: Campus) -> None:
    campus.grant("m1", "c1", 500)
    seated = campus.open("m1", coupon="c1")

    assert seated.payable_fen == 2200 - 300 - 500 + 301
    assert (campus.coupon("c1").state, campus.coupon("c1").order_id) == (CouponState.HELD, seated.order_id)
    with campus.refused(CouponTaken):
        campus.open("m1", coupon="c1")
    campus.pay(seated.order_id)
    for member in ("m2", "m3"):
        campus.pay(campus.join(seated.group_id, member).order_id)
    assert campus.coupon("c1").state is CouponState.USED


@pytest.mark.parametrize("paid", [False, True])
def test_a_coupon_comes_back_with_a_cancelled_order(campus: Campus, paid: bool) -> None:
    campus.grant("m1", "c1", 500)
    seated = campus.open("m1", coupon="c1")
    if paid:
        campus.pay(seated.order_id)

    campus.leave(seated.group_id, "m1")

    assert (campus.coupon("c1").state, campus.coupon("c1").order_id) == (CouponState.FREE, None)


def test_a_coupon_that_takes_nothing_off_stays_the_members(campus: Campus) -> None:
    campus.grant("m1", "c1", 500, threshold_fen=2201)

    seated = campus.open("m1", coupon="c1")

    assert seated.payable_fen == 2201
    assert (campus.coupon("c1").state, campus.coupon("c1").order_id) == (CouponState.FREE, None)
    assert campus.open("m1", "beef", "soup", coupon="c1").payable_fen == 2801 - 300 - 500 + 301


def test_a_coupon_for_which_a_better_tier_leaves_nothing_comes_back(campus: Campus) -> None:
    campus.grant("m1", "c1", 100)
    tiers = (replace(TRIO.tiers[0], size=2, off_fen=0), replace(TRIO.tiers[0], size=3, off_percent=100, off_fen=0))
    campus.do(PutCampaign(campaign=replace(TRIO, id="all-off", tiers=tiers), by=OPERATOR))
    seated = campus.open("m1", campaign="all-off", coupon="c1")
    campus.pay(seated.order_id)

    for member in ("m2", "m3"):
        campus.pay(campus.join(seated.group_id, member).order_id)

    assert campus.order(seated.order_id).quote.payable.fen == 301
    assert (campus.coupon("c1").state, campus.coupon("c1").order_id) == (CouponState.FREE, None)


# Free orders


def test_a_free_order_is_paid_at_once_and_the_last_one_splits_the_group(campus: Campus) -> None:
    first = campus.open("m1", campaign="gift")
    campus.join(first.group_id, "m2")

    last = campus.join(first.group_id, "m3")

    assert (first.payable_fen, first.order_state.value, first.paid_count) == (0, "paid", 1)
    assert (last.group_state.value, last.paid_count) == ("closed", 3)
    assert [campus.state(one.order_id) for one in (first, last)] == ["split", "split"]
    assert campus.held_and_sold("beef") == (0, 3)
    assert campus.told(RefundDue) == []
    assert campus.balances() == {}


def test_a_free_order_of_a_failed_group_is_refunded_with_nothing_to_pay(campus: Campus) -> None:
    seated = campus.open("m1", campaign="gift")

    campus.pass_time(minutes=45)

    assert campus.state(seated.order_id) == "refunded"
    assert campus.told(RefundDue) == []
    assert campus.held_and_sold("beef") == (0, 0)
