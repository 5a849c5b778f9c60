"""What shops do not accept is late, seen by operators, and then given up with its price back, exactly (B5, B8, B9)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.heart import OPERATOR, TO_THE_DOOR, Campus
from tuanzi.base.ids import OrderId
from tuanzi.events import OrderCancelled, RefundDue, SubOrderAdvanced, SubOrdersLate
from tuanzi.orders import (
    AcceptanceTerms,
    AcceptanceTermsInvalid,
    IllegalStep,
    RefundOrder,
    SetAcceptanceTerms,
    SubStep,
)


@pytest.fixture
def campus() -> Campus:
    return Campus()


def split(campus: Campus) -> tuple[str, list[str]]:
    """A split group; its first order has beef of one shop and milk tea of another, 2201 and 1500 fen."""
    first = campus.open("m1", "beef", "milk-tea")
    campus.pay(first.order_id)
    others = [campus.join(first.group_id, member).order_id for member in ("m2", "m3")]
    for order_id in others:
        campus.pay(order_id)
    campus.settle_refunds()
    return first.group_id, [first.order_id, *others]


def states(campus: Campus, *order_ids: str) -> list[str]:
    return [sub.state.value for order_id in order_ids for sub in campus.sub_orders(order_id)]


def test_a_shop_is_late_after_five_minutes_and_that_is_told_once(campus: Campus) -> None:
    group_id, order_ids = split(campus)
    campus.advance(f"{order_ids[1]}.1", SubStep.ACCEPT)

    campus.pass_time(minutes=5, seconds=-1)
    assert campus.told(SubOrdersLate) == []
    campus.pass_time(minutes=10)

    assert campus.told(SubOrdersLate) == [
        SubOrdersLate(
            group_id=group_id, merchant_id="noodles", sub_order_ids=(f"{order_ids[0]}.1", f"{order_ids[2]}.1")
        ),
        SubOrdersLate(group_id=group_id, merchant_id="tea", sub_order_ids=(f"{order_ids[0]}.2",)),
    ]
    assert states(campus, *order_ids) == ["planned", "planned", "accepted", "planned"]


def test_what_is_accepted_in_time_is_never_late(campus: Campus) -> None:
    _, order_ids = split(campus)
    for order_id in order_ids:
        campus.deliver(order_id)

    campus.pass_time(minutes=30)

    assert campus.told(SubOrdersLate) == []
    assert [timer for timer in campus.timers() if timer.startswith("accept:")] == []
    assert states(campus, *order_ids) == ["delivered"] * 4


def test_what_was_never_accepted_goes_back_exactly_and_its_portions_are_free(campus: Campus) -> None:
    _, order_ids = split(campus)
    for order_id in order_ids:
        campus.advance(f"{order_id}.1", *TO_THE_DOOR[:3])

    campus.pass_time(minutes=20, seconds=-1)
    assert states(campus, order_ids[0]) == ["ready", "planned"]
    campus.pass_time(seconds=1)

    assert states(campus, order_ids[0]) == ["ready", "rejected"]
    due = campus.told(RefundDue)[-1]
    assert (due.amount_fen, due.reason, due.sub_order_id) == (1378 + 122, "not_accepted", f"{order_ids[0]}.2")
    assert campus.told(SubOrderAdvanced)[-1].by == "not_accepted"
    assert campus.order(order_ids[0]).promised.fen == 1500
    assert campus.held_and_sold("milk-tea") == (0, 0)
    assert campus.held_and_sold("beef") == (0, 3)
    campus.settle_refunds()
    assert campus.order(order_ids[0]).refunded.fen == 1500
    assert sum(campus.balances().values()) == 0
    campus.advance(f"{order_ids[0]}.1", *TO_THE_DOOR[3:])
    assert campus.state(order_ids[0]) == "delivered"


def test_a_group_that_no_shop_accepted_is_refunded_to_the_fen(campus: Campus) -> None:
    _, order_ids = split(campus)

    campus.pass_time(minutes=20)
    campus.settle_refunds()
    campus.pass_time(minutes=10)

    assert [campus.state(order_id) for order_id in order_ids] == ["refunded"] * 3
    kept = [campus.order(order_id) for order_id in order_ids]
    assert [order.refunded for order in kept] == [order.paid for order in kept]
    assert {event.reason for event in campus.told(OrderCancelled)} == {"not_accepted"}
    assert campus.held_and_sold("beef") == (0, 0)
    assert campus.held_and_sold("milk-tea") == (0, 0)
    assert campus.balances() == {}
    assert campus.timers() == []


def test_given_up_in_a_crash_it_is_given_up_once(campus: Campus) -> None:
    _, order_ids = split(campus)
    campus.pass_time(minutes=10)
    campus.kill()
    campus.evict()

    campus.pass_time(minutes=30)
    campus.kill()
    campus.pass_time(minutes=30)

    assert [campus.state(order_id) for order_id in order_ids] == ["refunded"] * 3
    given_up = [due.sub_order_id for due in campus.told(RefundDue) if due.reason == "not_accepted"]
    assert len(given_up) == len(campus.told(OrderCancelled)) + 1


def test_a_shop_that_was_told_late_has_its_time_from_then_on(campus: Campus) -> None:
    _, order_ids = split(campus)
    campus.jump(hours=1)

    campus.fire()
    assert states(campus, *order_ids) == ["planned"] * 4
    campus.pass_time(minutes=15, seconds=-1)
    campus.advance(f"{order_ids[0]}.1", SubStep.ACCEPT)
    campus.pass_time(seconds=1)

    assert states(campus, *order_ids) == ["accepted", "rejected", "rejected", "rejected"]


def test_what_is_held_is_not_given_up_and_has_its_time_when_it_is_free_again(campus: Campus) -> None:
    _, order_ids = split(campus)
    campus.core.database.execute_script(f"INSERT INTO order_holds VALUES ('{order_ids[0]}', 'd1');")
    campus.evict()

    campus.pass_time(minutes=60)
    assert states(campus, *order_ids) == ["planned", "planned", "rejected", "rejected"]
    campus.core.database.execute_script("DELETE FROM order_holds;")
    campus.evict()
    campus.pass_time(minutes=6)

    late = {id for event in campus.told(SubOrdersLate) for id in event.sub_order_ids}
    assert f"{order_ids[0]}.1" in late
    assert states(campus, order_ids[0]) == ["planned", "planned"]
    campus.pass_time(minutes=15)
    assert states(campus, order_ids[0]) == ["rejected", "rejected"]


def test_what_was_given_up_is_accepted_no_more(campus: Campus) -> None:
    _, order_ids = split(campus)
    campus.pass_time(minutes=20)

    with campus.refused(IllegalStep):
        campus.advance(f"{order_ids[0]}.1", SubStep.ACCEPT)


def test_a_part_that_an_operator_gave_back_before_is_not_given_twice(campus: Campus) -> None:
    _, order_ids = split(campus)
    campus.do(RefundOrder(order_id=OrderId(order_ids[0]), amount_fen=1000, reason="kind", by=OPERATOR))

    campus.pass_time(minutes=20)
    campus.settle_refunds()

    order = campus.order(order_ids[0])
    assert (campus.state(order_ids[0]), order.refunded) == ("refunded", order.paid)
    assert campus.balances() == {}


def test_an_operator_says_how_long_shops_may_take(campus: Campus) -> None:
    terms = AcceptanceTerms(late_minutes=1, given_up_minutes=3)
    campus.do(SetAcceptanceTerms(terms=terms, by=OPERATOR))
    _, order_ids = split(campus)

    campus.pass_time(minutes=1)
    assert len(campus.told(SubOrdersLate)) == 2
    campus.pass_time(minutes=2)

    assert states(campus, *order_ids) == ["rejected"] * 4


@pytest.mark.parametrize(("late", "given_up"), [(0, 5), (5, 5), (6, 5), (5, 1441)])
def test_terms_that_give_a_shop_no_time_are_none(late: int, given_up: int) -> None:
    with pytest.raises(AcceptanceTermsInvalid):
        AcceptanceTerms(late_minutes=late, given_up_minutes=given_up)

    assert AcceptanceTerms().late + AcceptanceTerms().grace == timedelta(minutes=20)
