"""Money that comes late, twice, wrongly or for nobody: it finds a seat or goes back, once (B1, C4)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.heart import OPERATOR, TRIO, Campus
from tuanzi.catalog import PutCampaign
from tuanzi.events import LateMoneySettled, OrderPaid, OrderRefunded, PaymentCaptured, RefundDue, RefundSettled
from tuanzi.groups import HearCapture, Seated
from tuanzi.money import payment_of
from tuanzi.pricing import CouponState


@pytest.fixture
def campus() -> Campus:
    return Campus()


def expired(campus: Campus, group_id: str, member: str, *wanted: str, coupon: str | None = None) -> Seated:
    """A member's seat that was not paid in time."""
    seated = campus.join(group_id, member, *wanted, coupon=coupon)
    campus.pass_time(minutes=5)
    assert campus.state(seated.order_id) == "cancelled"
    return seated


def paid_group(campus: Campus, member: str = "m1", **more: str) -> Seated:
    """A group opened and paid by its leader."""
    seated = campus.open(member, **more)
    campus.pay(seated.order_id)
    return seated


def test_p1_money_after_the_seat_expired_takes_a_seat_of_the_same_group(campus: Campus) -> None:
    group = paid_group(campus)
    late = expired(campus, group.group_id, "m2")

    campus.pay(late.order_id)

    assert campus.state(late.order_id) == "paid"
    assert [seat.member_id for seat in campus.the_group(group.group_id).seats] == ["m1", "m2"]
    assert campus.held_and_sold("beef") == (2, 0)
    assert campus.told(LateMoneySettled) == [
        LateMoneySettled(order_id=late.order_id, member_id="m2", group_id=group.group_id, amount_fen=2201)
    ]
    assert campus.told(RefundDue) == []


def test_c4_money_whose_event_comes_after_it_was_heard_of_otherwise_goes_nowhere(campus: Campus) -> None:
    seated = campus.open("m1")
    payment_id = payment_of(seated.order_id)

    # Its event is parked, so that reconciliation has it heard; afterwards the event is heard too.
    campus.capture(seated.order_id)
    campus.do(HearCapture(order_id=seated.order_id, payment_id=payment_id, amount_fen=2201))

    assert campus.state(seated.order_id) == "paid"
    assert len(campus.told(OrderPaid)) == 1
    assert campus.told(RefundDue) == []


def test_who_left_and_paid_all_the_same_is_seated_nowhere_and_has_his_money_back(campus: Campus) -> None:
    group = paid_group(campus)
    left = campus.join(group.group_id, "m2")
    other = paid_group(campus, "m9")
    campus.leave(group.group_id, "m2")
    campus.kill()

    campus.pay(left.order_id)

    assert campus.state(left.order_id) == "refunding"
    for one in (group, other):
        assert len(campus.the_group(one.group_id).seats) == 1
    assert campus.held_and_sold("beef") == (2, 0)
    assert [(due.order_id, due.amount_fen, due.reason) for due in campus.told(RefundDue)] == [
        (left.order_id, 2201, "late")
    ]
    assert [late.group_id for late in campus.told(LateMoneySettled)] == [None]
    campus.settle_refunds()
    assert campus.state(left.order_id) == "refunded"


def test_who_cancelled_and_paid_all_the_same_has_his_money_back_and_may_join_again(campus: Campus) -> None:
    group = paid_group(campus)
    first = campus.join(group.group_id, "m2")
    campus.cancel(first.order_id, "m2")
    again = campus.join(group.group_id, "m2")

    campus.pay(first.order_id)
    campus.pay(again.order_id)

    assert campus.state(first.order_id) == "refunding"
    assert campus.state(again.order_id) == "paid"


def test_p1_late_money_can_be_what_completes_the_group(campus: Campus) -> None:
    group = campus.group("m1", "m2")[0]
    late = expired(campus, group.group_id, "m3")

    campus.pay(late.order_id)

    assert campus.the_group(group.group_id).state.value == "closed"
    assert campus.state(late.order_id) == "split"
    assert campus.held_and_sold("beef") == (0, 3)


def test_p1_money_for_a_full_group_takes_a_seat_of_another_of_its_building_and_meal(campus: Campus) -> None:
    group = campus.group("m1", "m2")[0]
    late = expired(campus, group.group_id, "m3")
    campus.pay(campus.join(group.group_id, "m4").order_id)
    paid_group(campus, "m5", building="dorm-2")
    paid_group(campus, "m6", campaign="once")
    other = paid_group(campus, "m7")

    campus.pay(late.order_id)

    assert campus.order(late.order_id).group_id == other.group_id
    assert campus.state(late.order_id) == "paid"
    assert [seat.member_id for seat in campus.the_group(other.group_id).seats] == ["m7", "m3"]
    assert campus.told(OrderPaid)[-1].group_id == other.group_id
    assert campus.told(LateMoneySettled)[-1].group_id == other.group_id


def test_p1_money_without_any_seat_goes_back_at_once(campus: Campus) -> None:
    group = campus.group("m1", "m2")[0]
    late = expired(campus, group.group_id, "m3")
    campus.pay(campus.join(group.group_id, "m4").order_id)

    campus.pay(late.order_id)

    order = campus.order(late.order_id)
    assert (order.state.value, order.paid.fen, order.promised.fen) == ("refunding", 2201, 2201)
    assert campus.told(RefundDue)[-1] == RefundDue(
        refund_id=f"{late.order_id}.r1", order_id=late.order_id, member_id="m3", amount_fen=2201, reason="late"
    )
    assert campus.told(LateMoneySettled)[-1].group_id is None
    campus.settle_refunds()
    assert campus.state(late.order_id) == "refunded"
    balances = campus.balances()
    assert balances["provider_clearing"] == 6601
    assert {"order_escrow", "user_refund_payable"}.isdisjoint(balances)  # all of it is shared


def test_p2_money_after_the_group_failed_is_not_swallowed(campus: Campus) -> None:
    group = paid_group(campus)
    campus.jump(minutes=44)
    late = campus.join(group.group_id, "m2")
    campus.jump(minutes=1)
    campus.fire()

    campus.pay(late.order_id)

    assert campus.state(late.order_id) == "refunding"
    campus.settle_refunds()
    assert campus.balances() == {}


def test_p2_money_after_the_group_closed_goes_back(campus: Campus) -> None:
    group = campus.group("m1", "m2", "m3", campaign="ladder")[0]
    campus.jump(minutes=44)
    late = campus.join(group.group_id, "m4")
    campus.jump(minutes=1)
    campus.fire()

    campus.pay(late.order_id)

    assert campus.the_group(group.group_id).state.value == "closed"
    assert (campus.state(late.order_id), campus.order(late.order_id).promised.fen) == ("refunding", 2281)


def test_p3_a_cancelled_order_comes_back_only_with_its_seat_portions_and_coupon(campus: Campus) -> None:
    """P3: an order whose stock was given back is not paid without it."""
    group = paid_group(campus)
    campus.grant("m2", "c1", 500)
    late = expired(campus, group.group_id, "m2", "beef", coupon="c1")
    assert campus.coupon("c1").state is CouponState.FREE

    campus.pay(late.order_id)

    assert campus.state(late.order_id) == "paid"
    assert (campus.coupon("c1").state, campus.coupon("c1").order_id) == (CouponState.HELD, late.order_id)
    assert campus.held_and_sold("beef") == (2, 0)


def test_p3_late_money_goes_back_when_the_portions_are_gone(campus: Campus) -> None:
    group = paid_group(campus)
    late = expired(campus, group.group_id, "m2")
    campus.set_portions("beef", 1)

    campus.pay(late.order_id)

    assert campus.state(late.order_id) == "refunding"
    assert campus.held_and_sold("beef") == (1, 0)


def test_p3_late_money_goes_back_when_the_dish_was_closed(campus: Campus) -> None:
    group = paid_group(campus)
    late = expired(campus, group.group_id, "m2")
    campus.set_portions("beef", 100, is_closed=True)

    campus.pay(late.order_id)

    assert campus.state(late.order_id) == "refunding"


def test_p3_late_money_goes_back_when_its_coupon_lowers_another_price_now(campus: Campus) -> None:
    group = paid_group(campus)
    campus.grant("m2", "c1", 500)
    late = expired(campus, group.group_id, "m2", "beef", coupon="c1")
    other = campus.open("m2", "soup", coupon="c1", campaign="once")

    campus.pay(late.order_id)

    assert campus.state(late.order_id) == "refunding"
    assert campus.coupon("c1").order_id == other.order_id
    assert campus.held_and_sold("beef") == (1, 0)


def test_late_money_goes_back_when_the_members_limit_is_used_up(campus: Campus) -> None:
    group = paid_group(campus, campaign="once")
    late = expired(campus, group.group_id, "m2")
    campus.open("m2", campaign="once")

    campus.pay(late.order_id)

    assert campus.state(late.order_id) == "refunding"
    assert campus.uses("once", "m2") == 1


def test_late_money_that_found_a_seat_counts_against_the_limit(campus: Campus) -> None:
    group = paid_group(campus, campaign="once")
    late = expired(campus, group.group_id, "m2")
    assert campus.uses("once", "m2") == 0

    campus.pay(late.order_id)

    assert campus.uses("once", "m2") == 1


def test_late_money_never_gives_a_member_two_seats_in_a_group(campus: Campus) -> None:
    group = paid_group(campus, campaign="ladder")
    late = expired(campus, group.group_id, "m2")
    again = campus.join(group.group_id, "m2")

    campus.pay(late.order_id)

    assert campus.state(late.order_id) == "refunding"
    assert [seat.order_id for seat in campus.the_group(group.group_id).seats] == [group.order_id, again.order_id]


def test_late_money_takes_no_seat_on_other_terms_than_were_paid_for(campus: Campus) -> None:
    group = campus.group("m1", "m2")[0]
    late = expired(campus, group.group_id, "m3", "milk-tea")
    campus.pay(campus.join(group.group_id, "m4").order_id)
    campus.do(PutCampaign(campaign=replace(TRIO, merchant_ids=("noodles",)), by=OPERATOR))
    paid_group(campus, "m5")

    campus.pay(late.order_id)

    assert campus.state(late.order_id) == "refunding"


def test_money_a_second_after_pay_before_pays_the_seat_while_it_is_still_held(campus: Campus) -> None:
    group = paid_group(campus)
    seated = campus.join(group.group_id, "m2")
    campus.jump(minutes=5, seconds=1)

    campus.pay(seated.order_id)
    campus.fire()

    assert campus.state(seated.order_id) == "paid"
    assert campus.told(LateMoneySettled) == []


def test_a_capture_that_is_reported_again_changes_nothing(campus: Campus) -> None:
    seated = paid_group(campus)

    with campus.nothing_changes():
        campus.pay(seated.order_id)

    assert len(campus.told(PaymentCaptured)) == 1


def test_a_capture_heard_again_after_a_crash_changes_nothing(campus: Campus) -> None:
    seated = paid_group(campus)

    with campus.nothing_changes():
        campus.kill()

    assert campus.state(seated.order_id) == "paid"


def test_a_second_payment_of_an_order_goes_back_and_the_order_is_as_it_was(campus: Campus) -> None:
    """vendure issue 2620: customers can pay twice."""
    seated = paid_group(campus)
    before = campus.order(seated.order_id)

    campus.pay(seated.order_id, payment_id="p_second")

    assert campus.told(RefundDue) == [
        RefundDue(
            refund_id="p_second.back",
            order_id=seated.order_id,
            member_id="m1",
            amount_fen=2201,
            reason="not_its_payment",
            payment_id="p_second",
        )
    ]
    campus.settle_refunds()
    assert campus.order(seated.order_id) == before
    assert campus.told(OrderRefunded) == []
    assert campus.balances() == {"order_escrow": -2201, "provider_clearing": 2201}


def test_only_an_orders_own_payment_pays_it_for_its_refunds_are_taken_from_there(campus: Campus) -> None:
    seated = campus.open("m1")

    campus.pay(seated.order_id, payment_id="p_other")

    assert campus.state(seated.order_id) == "created"
    assert [due.payment_id for due in campus.told(RefundDue)] == ["p_other"]
    campus.settle_refunds()
    assert campus.balances() == {}


@pytest.mark.parametrize("amount_fen", [1, 2200, 2202])
def test_another_amount_than_the_price_goes_back_and_the_order_still_waits(campus: Campus, amount_fen: int) -> None:
    seated = campus.open("m1")

    campus.pay(seated.order_id, amount_fen=amount_fen)

    assert campus.state(seated.order_id) == "created"
    assert [(due.refund_id, due.amount_fen, due.reason) for due in campus.told(RefundDue)] == [
        (f"{payment_of(seated.order_id)}.back", amount_fen, "amount_differs")
    ]
    campus.settle_refunds()
    assert campus.balances() == {}


def test_money_of_an_order_nobody_knows_goes_back(campus: Campus) -> None:
    campus.pay("o_nobody", amount_fen=500)
    campus.settle_refunds()

    assert [(due.order_id, due.amount_fen, due.reason) for due in campus.told(RefundDue)] == [
        ("o_nobody", 500, "unknown_order")
    ]
    assert len(campus.told(RefundSettled)) == 1
    assert campus.balances() == {}
    assert campus.rows("SELECT number FROM parked_events") == []


def test_p9_a_refund_that_settles_is_told_once_and_ends_the_order(campus: Campus) -> None:
    """P9: seat and stock are freed in the commit that promises the refund, so sending it again frees nothing again."""
    group = campus.group("m1", "m2")
    campus.leave(group[0].group_id, "m2")
    assert campus.held_and_sold("beef") == (1, 0)
    campus.kill()

    campus.settle_refunds()
    campus.settle_refunds()

    assert len(campus.told(OrderRefunded)) == 1
    assert campus.state(group[1].order_id) == "refunded"
    assert campus.held_and_sold("beef") == (1, 0)
