"""Sub-orders in the hands of merchants and riders, and what goes back when a meal is not made (B2, B5, B8, B9)."""

from __future__ import annotations

import pytest

from tests.heart import OPERATOR, TO_THE_DOOR, Campus
from tuanzi.base.ids import OrderId
from tuanzi.base.problem import Unknown
from tuanzi.events import OrderAdvanced, OrderCancelled, RefundDue, SubOrderAdvanced
from tuanzi.orders import AdvanceSubOrder, IllegalStep, RefundOrder, RefundTooLarge, SubStep
from tuanzi.pricing import CouponState


@pytest.fixture
def campus() -> Campus:
    return Campus()


def two_merchants(campus: Campus, *, coupon: str | None = None) -> OrderId:
    """A split order with beef of one merchant and milk tea of another, 3700 - 300 + 301 fen: 2022, 1378 and the fee."""
    first = campus.open("m1", "beef", "milk-tea", coupon=coupon)
    campus.pay(first.order_id)
    for member in ("m2", "m3"):
        campus.pay(campus.join(first.group_id, member).order_id)
    campus.settle_refunds()
    return OrderId(first.order_id)


def refundable(campus: Campus, order_id: str) -> list[int]:
    return [part.fen for part in campus.order(order_id).refundable]


def test_an_order_follows_its_least_advanced_sub_order(campus: Campus) -> None:
    order_id = two_merchants(campus)
    noodles, tea = f"{order_id}.1", f"{order_id}.2"

    states = []
    for step in TO_THE_DOOR:
        states.append(campus.advance(noodles, step).order_state.value)
    for step in TO_THE_DOOR:
        states.append(campus.advance(tea, step).order_state.value)

    assert states == ["split"] * 5 + ["accepted", "cooking", "cooking", "picked_up", "delivered"]


def test_every_step_of_an_order_is_told_even_when_it_takes_several_at_once(campus: Campus) -> None:
    order_id = two_merchants(campus)
    campus.advance(f"{order_id}.1", *TO_THE_DOOR)
    told = len(campus.told(OrderAdvanced))

    campus.advance(f"{order_id}.2", SubStep.REJECT)

    steps = [(event.before, event.state) for event in campus.told(OrderAdvanced)[told:]]
    assert steps == [
        ("split", "accepted"),
        ("accepted", "cooking"),
        ("cooking", "picked_up"),
        ("picked_up", "delivered"),
    ]
    assert campus.timers() == [f"accept:{campus.order(order_id).group_id}", f"complete:{order_id}"]


def test_a_merchant_moves_only_his_own_sub_orders(campus: Campus) -> None:
    order_id = two_merchants(campus)
    command = AdvanceSubOrder(
        sub_order_id=f"{order_id}.1",  # type: ignore[arg-type]
        step=SubStep.ACCEPT,
        by=OPERATOR,
        merchant_id="tea",
    )

    with campus.refused(Unknown):
        campus.do(command)


def test_an_operator_ends_by_hand_what_a_rider_began(campus: Campus) -> None:
    order_id = two_merchants(campus)
    campus.advance(f"{order_id}.1", *TO_THE_DOOR[:3])
    campus.advance(f"{order_id}.1", SubStep.PICK_UP, by="rider-1")

    campus.advance(f"{order_id}.1", SubStep.DELIVER, by="operator")

    assert campus.sub_orders(order_id)[0].rider_id == "rider-1"
    assert campus.told(SubOrderAdvanced)[-1].by == "operator"


def test_what_one_merchant_rejects_goes_back_by_line_with_its_share_of_the_fee(campus: Campus) -> None:
    order_id = two_merchants(campus)
    subs = campus.sub_orders(order_id)
    assert [(sub.payable.fen, sub.delivery.fen) for sub in subs] == [(2022 + 179, 179), (1378 + 122, 122)]

    campus.advance(f"{order_id}.2", SubStep.REJECT)

    order = campus.order(order_id)
    assert (order.state.value, order.promised.fen) == ("split", 1378 + 122)
    assert refundable(campus, order_id) == [2022, 0, 179]
    assert campus.told(RefundDue)[-1].reason == "rejected"
    assert campus.held_and_sold("milk-tea") == (0, 0)
    assert campus.held_and_sold("beef") == (0, 3)
    campus.deliver(order_id)
    assert campus.state(order_id) == "delivered"


def test_an_order_that_every_merchant_rejected_is_refunded_as_a_whole(campus: Campus) -> None:
    order_id = two_merchants(campus)

    campus.advance(f"{order_id}.1", SubStep.REJECT)
    campus.advance(f"{order_id}.2", SubStep.REJECT)

    order = campus.order(order_id)
    assert (order.state.value, order.promised.fen) == ("refunding", 3701)
    assert [refund.amount.fen for refund in order.refunds] == [2201, 1500]
    assert [event.reason for event in campus.told(OrderCancelled)] == ["rejected"]
    campus.settle_refunds()
    assert campus.state(order_id) == "refunded"


def test_b4_a_coupon_is_free_again_when_no_merchant_made_anything(campus: Campus) -> None:
    coupon = campus.grant("m1", "c1", 500)
    order_id = two_merchants(campus, coupon=coupon)

    campus.advance(f"{order_id}.1", SubStep.REJECT)
    assert campus.coupon(coupon).state is CouponState.USED
    campus.advance(f"{order_id}.2", SubStep.REJECT)

    assert campus.coupon(coupon).state is CouponState.FREE
    campus.settle_refunds()
    assert campus.state(order_id) == "refunded"


def test_b4_a_coupon_is_free_again_when_all_goes_back_before_a_rider_has_it(campus: Campus) -> None:
    coupon = campus.grant("m1", "c1", 500)
    order_id = two_merchants(campus, coupon=coupon)

    campus.do(RefundOrder(order_id=order_id, amount_fen=None, reason="kind", by=OPERATOR))

    assert campus.coupon(coupon).state is CouponState.FREE


def test_b4_a_coupon_stays_used_when_one_merchant_made_his_part(campus: Campus) -> None:
    coupon = campus.grant("m1", "c1", 500)
    order_id = two_merchants(campus, coupon=coupon)
    campus.advance(f"{order_id}.1", *TO_THE_DOOR)

    campus.advance(f"{order_id}.2", SubStep.REJECT)
    campus.do(RefundOrder(order_id=order_id, amount_fen=None, reason="cold", by=OPERATOR))

    assert campus.coupon(coupon).state is CouponState.USED


def test_after_a_hand_made_refund_rejects_still_give_back_exactly_what_is_left(campus: Campus) -> None:
    order_id = two_merchants(campus)
    campus.do(RefundOrder(order_id=order_id, amount_fen=1000, reason="kind", by=OPERATOR))
    assert sum(refundable(campus, order_id)) == 2701

    campus.advance(f"{order_id}.1", SubStep.REJECT)
    campus.advance(f"{order_id}.2", SubStep.REJECT)

    assert refundable(campus, order_id) == [0, 0, 0]
    assert campus.order(order_id).promised.fen == 3701
    assert campus.state(order_id) == "refunding"


def test_a_sub_order_that_a_coupon_paid_for_is_still_brought_when_the_other_is_rejected(campus: Campus) -> None:
    campus.grant("m1", "c1", 5000, merchant="tea")
    order_id = two_merchants(campus, coupon="c1")
    assert [sub.payable.fen for sub in campus.sub_orders(order_id)] == [2022 + 301, 0]

    campus.advance(f"{order_id}.1", SubStep.REJECT)

    assert campus.state(order_id) == "split"
    assert refundable(campus, order_id) == [0, 0, 0]
    assert campus.advance(f"{order_id}.2", *TO_THE_DOOR).order_state.value == "delivered"


def test_when_the_free_sub_order_is_rejected_too_the_order_is_refunded(campus: Campus) -> None:
    campus.grant("m1", "c1", 5000, merchant="tea")
    order_id = two_merchants(campus, coupon="c1")

    for number in (1, 2):
        campus.advance(f"{order_id}.{number}", SubStep.REJECT)
    campus.settle_refunds()

    assert [refund.amount.fen for refund in campus.order(order_id).refunds] == [2323]
    assert campus.state(order_id) == "refunded"


def test_a_free_order_that_is_rejected_ends_with_nothing_to_pay(campus: Campus) -> None:
    seated = [campus.open("m1", campaign="gift")]
    seated += [campus.join(seated[0].group_id, member) for member in ("m2", "m3")]

    campus.advance(f"{seated[0].order_id}.1", SubStep.REJECT)

    assert campus.state(seated[0].order_id) == "refunded"
    assert campus.told(RefundDue) == []


def test_a_refunded_order_moves_no_more(campus: Campus) -> None:
    order_id = two_merchants(campus)
    campus.do(RefundOrder(order_id=order_id, amount_fen=None, reason="kind", by=OPERATOR))

    for number in (1, 2):
        with campus.refused(IllegalStep):
            campus.advance(f"{order_id}.{number}", SubStep.ACCEPT)

    assert campus.state(order_id) == "refunding"
    campus.settle_refunds()
    assert campus.state(order_id) == "refunded"


def test_partial_refunds_sum_to_what_was_paid_and_never_above(campus: Campus) -> None:
    order_id = two_merchants(campus)

    def refund(amount_fen: int) -> None:
        campus.do(RefundOrder(order_id=order_id, amount_fen=amount_fen, reason="kind", by=OPERATOR))

    for amount_fen in (1, 999, 1700):
        refund(amount_fen)
    with campus.refused(RefundTooLarge):
        refund(1002)
    assert campus.state(order_id) == "split"
    refund(1001)

    assert [item.amount.fen for item in campus.order(order_id).refunds] == [1, 999, 1700, 1001]
    assert refundable(campus, order_id) == [0, 0, 0]
    assert campus.state(order_id) == "refunding"
    assert len({due.refund_id for due in campus.told(RefundDue)}) == len(campus.told(RefundDue))


@pytest.mark.parametrize("amount_fen", [0, -5])
def test_nothing_and_less_cannot_be_refunded(campus: Campus, amount_fen: int) -> None:
    order_id = two_merchants(campus)

    with campus.refused(RefundTooLarge):
        campus.do(RefundOrder(order_id=order_id, amount_fen=amount_fen, reason="kind", by=OPERATOR))


def test_an_order_is_refunded_only_when_every_one_of_its_refunds_arrived(campus: Campus) -> None:
    seated = campus.group("m1", "m2", "m3")
    order_id = seated[1].order_id
    campus.do(RefundOrder(order_id=order_id, amount_fen=None, reason="kind", by=OPERATOR))

    assert [(refund.reason, refund.amount.fen) for refund in campus.order(order_id).refunds] == [
        ("tier_difference", 1),
        ("kind", 2200),
    ]
    campus.settle_refund(f"{order_id}.r2", 2200)
    assert (campus.state(order_id), campus.order(order_id).refunded.fen) == ("refunding", 2200)
    campus.settle_refund(f"{order_id}.r1", 1)
    assert (campus.state(order_id), campus.order(order_id).refunded.fen) == ("refunded", 2201)
