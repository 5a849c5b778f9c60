"""What a shop accepted and does not have ready in time is late, told once, and goes on (B8, B9; decision 0030)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.heart import OPERATOR, TO_THE_DOOR, Campus, run
from tests.live.test_tells import told
from tests.orders.test_acceptance import split, states
from tuanzi.base.ids import OrderId
from tuanzi.events import RefundDue, SubOrdersLate, SubOrdersUnready
from tuanzi.orders import (
    AcceptanceTerms,
    AcceptanceTermsInvalid,
    AdvanceSubOrder,
    RefundOrder,
    SetAcceptanceTerms,
    SubStep,
)


@pytest.fixture
def campus() -> Campus:
    return Campus()


def unready(campus: Campus) -> list[str]:
    return [id for event in campus.told(SubOrdersUnready) for id in event.sub_order_ids]


def accept_all(campus: Campus, order_ids: list[str]) -> None:
    for order_id in order_ids:
        for sub in campus.sub_orders(order_id):
            campus.advance(sub.id, SubStep.ACCEPT)


def timers_of_watches(campus: Campus) -> list[str]:
    return [timer for timer in campus.timers() if timer.startswith(("accept:", "ready:"))]


def test_what_is_not_ready_half_an_hour_after_the_split_is_late_and_that_is_told_once(campus: Campus) -> None:
    group_id, order_ids = split(campus)
    accept_all(campus, order_ids)
    campus.advance(f"{order_ids[1]}.1", SubStep.COOK)
    campus.advance(f"{order_ids[2]}.1", SubStep.COOK, SubStep.READY)

    campus.pass_time(minutes=30, seconds=-1)
    assert campus.told(SubOrdersUnready) == []
    campus.pass_time(minutes=120)

    assert campus.told(SubOrdersUnready) == [
        SubOrdersUnready(
            group_id=group_id, merchant_id="noodles", sub_order_ids=(f"{order_ids[0]}.1", f"{order_ids[1]}.1")
        ),
        SubOrdersUnready(group_id=group_id, merchant_id="tea", sub_order_ids=(f"{order_ids[0]}.2",)),
    ]
    assert timers_of_watches(campus) == []


def test_food_that_may_be_cooked_is_not_given_back_by_itself_and_goes_on_when_it_is_made(campus: Campus) -> None:
    _, order_ids = split(campus)
    accept_all(campus, order_ids)
    before = campus.balances()

    campus.pass_time(minutes=600)

    assert states(campus, *order_ids) == ["accepted"] * 4
    assert [due for due in campus.told(RefundDue) if due.reason != "tier_difference"] == []
    assert campus.balances() == before
    campus.advance(f"{order_ids[1]}.1", *TO_THE_DOOR[1:])
    assert campus.state(order_ids[1]) == "delivered"


def test_an_operator_gives_up_what_is_never_made_and_its_price_goes_back_to_the_fen(campus: Campus) -> None:
    _, order_ids = split(campus)
    accept_all(campus, order_ids)
    campus.pass_time(minutes=31)

    for order_id in order_ids:
        for sub in campus.sub_orders(order_id):
            campus.do(AdvanceSubOrder(sub_order_id=sub.id, step=SubStep.REJECT, by=OPERATOR))
    campus.settle_refunds()

    kept = [campus.order(order_id) for order_id in order_ids]
    assert [order.refunded for order in kept] == [order.paid for order in kept]
    assert campus.balances() == {}
    assert campus.held_and_sold("beef") == (0, 0)


def test_what_is_ready_in_time_is_never_late_and_in_a_quick_kitchen_nothing_is_watched(campus: Campus) -> None:
    _, order_ids = split(campus)
    for order_id in order_ids:
        campus.deliver(order_id)

    campus.pass_time(minutes=6)
    assert timers_of_watches(campus) == []
    campus.pass_time(minutes=60)

    assert unready(campus) == []


def test_what_was_accepted_late_is_late_to_be_ready_too(campus: Campus) -> None:
    _, order_ids = split(campus)
    campus.pass_time(minutes=19)
    campus.advance(f"{order_ids[1]}.1", SubStep.ACCEPT)

    campus.pass_time(minutes=11, seconds=-1)
    assert unready(campus) == []
    campus.pass_time(seconds=1)

    assert len(campus.told(SubOrdersLate)) == 2
    assert unready(campus) == [f"{order_ids[1]}.1"]


def test_what_is_accepted_after_the_look_is_looked_at_again(campus: Campus) -> None:
    terms = AcceptanceTerms(late_minutes=5, given_up_minutes=20, ready_minutes=10)
    campus.do(SetAcceptanceTerms(terms=terms, by=OPERATOR))
    _, order_ids = split(campus)
    campus.advance(f"{order_ids[2]}.1", SubStep.ACCEPT)
    campus.pass_time(minutes=12)
    campus.advance(f"{order_ids[1]}.1", SubStep.ACCEPT)

    assert unready(campus) == [f"{order_ids[2]}.1"]
    campus.pass_time(minutes=8)

    assert unready(campus) == [f"{order_ids[2]}.1", f"{order_ids[1]}.1"]
    assert timers_of_watches(campus) == []


def test_of_what_is_held_nothing_may_be_made_so_it_is_late_only_when_it_is_free_again(campus: Campus) -> None:
    _, order_ids = split(campus)
    accept_all(campus, order_ids)
    campus.core.database.execute_script(f"INSERT INTO order_holds VALUES ('{order_ids[0]}', 'd1');")
    campus.evict()

    campus.pass_time(minutes=60, seconds=-1)
    assert unready(campus) == [f"{order_ids[1]}.1", f"{order_ids[2]}.1"]
    campus.core.database.execute_script("DELETE FROM order_holds;")
    campus.evict()
    campus.pass_time(seconds=1)

    assert unready(campus)[2:] == [f"{order_ids[0]}.1", f"{order_ids[0]}.2"]


def test_what_was_refunded_meanwhile_is_late_to_nobody(campus: Campus) -> None:
    _, order_ids = split(campus)
    accept_all(campus, order_ids)
    campus.pass_time(minutes=6)
    for order_id in order_ids:
        campus.do(RefundOrder(order_id=OrderId(order_id), amount_fen=None, reason="kind", by=OPERATOR))

    campus.pass_time(minutes=60)

    assert unready(campus) == []
    assert timers_of_watches(campus) == []


def test_late_in_a_crash_it_is_told_once(campus: Campus) -> None:
    _, order_ids = split(campus)
    accept_all(campus, order_ids)
    campus.pass_time(minutes=10)
    campus.kill()
    campus.evict()

    campus.pass_time(minutes=30)
    campus.kill()
    campus.pass_time(minutes=60)

    assert sorted(unready(campus)) == sorted(sub.id for id in order_ids for sub in campus.sub_orders(id))


def test_a_shop_of_a_house_that_stood_still_has_its_time_from_then_on(campus: Campus) -> None:
    _, order_ids = split(campus)
    accept_all(campus, order_ids)
    campus.jump(hours=1)

    campus.fire()
    campus.pass_time(minutes=25, seconds=-1)
    assert unready(campus) == []
    campus.pass_time(seconds=1)

    assert len(unready(campus)) == 4


def test_an_operator_says_when_it_is_to_be_ready_even_before_it_is_late_to_be_accepted(campus: Campus) -> None:
    terms = AcceptanceTerms(late_minutes=8, given_up_minutes=20, ready_minutes=2)
    campus.do(SetAcceptanceTerms(terms=terms, by=OPERATOR))
    _, order_ids = split(campus)
    accept_all(campus, order_ids)

    campus.pass_time(minutes=8, seconds=-1)
    assert unready(campus) == []
    campus.pass_time(seconds=1)

    assert len(unready(campus)) == 4


def test_the_shops_board_is_told_of_its_own_once(campus: Campus) -> None:
    group_id, order_ids = split(campus)
    accept_all(campus, order_ids)
    campus.pass_time(minutes=90)

    messages = [(to, said) for to, said in run(told(campus.events)) if said["kind"] == "board.unready"]

    assert [to for to, _ in messages] == ["board:noodles", "board:tea"]
    assert [said["sub_order_ids"] for _, said in messages] == [
        [f"{order_id}.1" for order_id in order_ids],
        [f"{order_ids[0]}.2"],
    ]
    assert {said["group_id"] for _, said in messages} == {group_id}


@pytest.mark.parametrize("ready", [0, 1441])
def test_a_term_of_no_time_or_of_more_than_a_day_is_none(ready: int) -> None:
    with pytest.raises(AcceptanceTermsInvalid):
        AcceptanceTerms(ready_minutes=ready)

    assert AcceptanceTerms().ready == timedelta(minutes=30)
