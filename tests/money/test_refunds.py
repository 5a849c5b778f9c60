"""B5, B8, C4: what is due goes back once, each on his own, and never more than was paid."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from tests.bench_unit import BenchUnit
from tests.money.test_payments import balance, capture, opening
from tests.money.till import MEMBER, NOON, ORDER, PAYMENT, bench
from tuanzi.base.money import ZERO, Money
from tuanzi.events import PaymentCaptured, RefundDue, RefundRefused, RefundSettled
from tuanzi.money.model import (
    AskRefund,
    Payment,
    RecordRefund,
    Refund,
    RefundProgress,
    RefundState,
    RetryRefund,
    SendRefund,
)
from tuanzi.money.service import hold_refund, open_payment, record_capture, record_refund, send_refund
from tuanzi.sharing import on_refund_due
from tuanzi.sharing.service import retry_refund

LATER = NOON + timedelta(minutes=5)


def due(refund_id: str = "r_1", amount_fen: int = 1200, **others: Any) -> RefundDue:
    """Core says that money must go back."""
    facts = {"order_id": ORDER, "member_id": MEMBER, "reason": "group_failed", **others}
    return RefundDue(refund_id=refund_id, amount_fen=amount_fen, **facts)


def said(progress: RefundProgress, *, refund_id: str = "r_1", amount_fen: int = 1200, reason: str = "") -> RecordRefund:
    """The provider's word on a refund."""
    return RecordRefund(refund_id=refund_id, progress=progress, amount_fen=amount_fen, reason=reason)


def refused(reason: str, *, refund_id: str = "r_1", amount_fen: int = 1200) -> RefundRefused:
    """The event that asks for a person."""
    return RefundRefused(refund_id=refund_id, order_id=ORDER, amount_fen=amount_fen, reason=reason)


SENDING = SendRefund(
    refund_id="r_1",
    out_refund_no="r_1",
    out_trade_no=PAYMENT,
    amount_fen=1200,
    captured_fen=1200,
    reason="group_failed",
)
SETTLED = RefundSettled(refund_id="r_1", order_id=ORDER, amount_fen=1200)


@pytest.fixture
def unit() -> BenchUnit:
    """A unit with one captured payment of 1200 fen, of which it has been told."""
    paid = bench()
    record_capture(paid, capture(), now=NOON)
    paid.events.clear()
    return paid


def test_p9_a_refund_is_owed_in_the_ledger_before_the_provider_is_called(unit: BenchUnit) -> None:
    on_refund_due(unit, due(), now=LATER)

    assert unit.load(Refund, "r_1") == Refund(
        id="r_1",
        order_id=ORDER,
        payment_id=PAYMENT,
        amount=Money(1200),
        state=RefundState.DUE,
        out_refund_no="r_1",
        reason="group_failed",
        due_at=LATER,
    )
    assert unit.load(Payment, PAYMENT).refunded == Money(1200)
    assert balance(unit, "order_escrow") == ZERO
    assert balance(unit, "user_refund_payable") == Money(-1200)
    assert balance(unit, "provider_clearing") == Money(1200)
    assert unit.timers == {"refund:r_1": (LATER, SENDING)}
    assert unit.events == []


def test_a_settled_refund_leaves_nothing_owed_and_is_told_once(unit: BenchUnit) -> None:
    on_refund_due(unit, due(), now=NOON)

    answers = [record_refund(unit, said(RefundProgress.SETTLED), now=LATER) for _ in range(3)]

    assert answers[0] == answers[1] == answers[2]
    assert unit.load(Refund, "r_1").settled_at == LATER
    assert balance(unit, "user_refund_payable") == ZERO
    assert balance(unit, "provider_clearing") == ZERO
    assert unit.events == [SETTLED]
    assert unit.timers == {}


def test_a_repeated_refund_due_changes_nothing(unit: BenchUnit) -> None:
    on_refund_due(unit, due(), now=NOON)
    before, timers = dict(unit.values), dict(unit.timers)

    on_refund_due(unit, due(), now=LATER)

    assert unit.values == before
    assert unit.timers == timers
    assert unit.events == []


def test_a_repeat_with_another_amount_is_told_and_changes_nothing(unit: BenchUnit) -> None:
    on_refund_due(unit, due(), now=NOON)
    before = dict(unit.values)

    on_refund_due(unit, due(amount_fen=1), now=LATER)

    assert unit.values == before
    assert unit.events == [refused("repeat_differs", amount_fen=1)]


def test_refunds_go_up_to_what_was_paid_and_not_a_fen_above(unit: BenchUnit) -> None:
    on_refund_due(unit, due("r_1", 700), now=NOON)
    on_refund_due(unit, due("r_2", 501), now=NOON)
    on_refund_due(unit, due("r_3", 500), now=NOON)

    assert unit.load(Refund, "r_1").state is RefundState.DUE
    assert unit.load(Refund, "r_2").state is RefundState.PARKED
    assert unit.load(Refund, "r_3").state is RefundState.DUE
    assert unit.load(Payment, PAYMENT).refunded == Money(1200)
    assert balance(unit, "user_refund_payable") == Money(-1200)
    assert sorted(unit.timers) == ["refund:r_1", "refund:r_3"]
    assert unit.events == [refused("over_refund", refund_id="r_2", amount_fen=501)]


def test_a_parked_refund_is_not_settled_by_anything_the_provider_says(unit: BenchUnit) -> None:
    on_refund_due(unit, due(amount_fen=1201), now=NOON)
    before = dict(unit.values)

    record_refund(unit, said(RefundProgress.SETTLED, amount_fen=1201), now=LATER)

    assert unit.values == before
    assert unit.events == [refused("over_refund", amount_fen=1201)]


@pytest.mark.parametrize("amount_fen", [0, -1])
def test_a_refund_of_nothing_or_less_is_told_and_not_kept(unit: BenchUnit, amount_fen: int) -> None:
    before = dict(unit.values)

    on_refund_due(unit, due(amount_fen=amount_fen), now=NOON)

    assert unit.values == before
    assert unit.events == [refused("not_positive", amount_fen=amount_fen)]


def test_a_refund_out_of_another_orders_payment_is_parked(unit: BenchUnit) -> None:
    on_refund_due(unit, due(order_id="o_other", payment_id=PAYMENT), now=NOON)

    assert unit.load(Refund, "r_1").state is RefundState.PARKED
    assert unit.load(Payment, PAYMENT).refunded == ZERO
    assert [event.reason for event in unit.events] == ["wrong_order"]


def test_a_refund_may_name_the_orders_second_payment(unit: BenchUnit) -> None:
    record_capture(unit, capture(payment_id="p_second", amount_fen=900, transaction_id="t_2"), now=NOON)

    on_refund_due(unit, due(amount_fen=900, payment_id="p_second"), now=NOON)

    assert unit.load(Payment, PAYMENT).refunded == ZERO
    assert unit.load(Payment, "p_second").refunded == Money(900)
    assert unit.timers["refund:r_1"][1].out_trade_no == "p_second"


def test_p7_a_member_whose_refund_is_refused_does_not_keep_the_others_waiting(unit: BenchUnit) -> None:
    others = {"order_id": "o_b", "payment_id": "p_b"}
    record_capture(unit, capture(payment_id="p_b", order_id="o_b", transaction_id="t_b"), now=NOON)
    unit.events.clear()

    on_refund_due(unit, due("r_a", 9999), now=NOON)
    on_refund_due(unit, due("r_b", 1200, **others), now=NOON)
    record_refund(unit, said(RefundProgress.SETTLED, refund_id="r_b"), now=LATER)

    assert unit.load(Refund, "r_a").state is RefundState.PARKED
    assert unit.load(Refund, "r_b").state is RefundState.SETTLED
    assert unit.events == [
        refused("over_refund", refund_id="r_a", amount_fen=9999),
        RefundSettled(refund_id="r_b", order_id="o_b", amount_fen=1200),
    ]


def test_a_refund_before_its_capture_waits_for_it() -> None:
    empty = bench()
    on_refund_due(empty, due(), now=NOON)
    assert empty.load(Refund, "r_1").state is RefundState.WAITING
    assert empty.timers == {"refund:r_1": (NOON + timedelta(seconds=30), RetryRefund(refund_id="r_1"))}
    assert balance(empty, "user_refund_payable") == ZERO

    record_capture(empty, capture(), now=LATER)
    standing = retry_refund(empty, RetryRefund(refund_id="r_1"), now=LATER)

    assert standing.state is RefundState.DUE
    assert balance(empty, "user_refund_payable") == Money(-1200)
    assert empty.timers == {"refund:r_1": (LATER, SENDING)}


def test_a_refund_of_a_payment_that_is_only_opened_waits_too() -> None:
    unit = bench()
    open_payment(unit, opening(), now=NOON)

    on_refund_due(unit, due(), now=NOON)

    assert unit.load(Refund, "r_1").state is RefundState.WAITING
    assert unit.events == []


def test_a_payment_that_promises_back_more_than_it_got_cannot_be_made(unit: BenchUnit) -> None:
    with pytest.raises(ValueError, match="1201 of 1200 fen"):
        unit.load(Payment, PAYMENT).promise_back(Money(1201))


def test_a_refund_whose_payment_does_not_come_in_a_day_is_parked() -> None:
    empty = bench()
    on_refund_due(empty, due(), now=NOON)

    retry_refund(empty, RetryRefund(refund_id="r_1"), now=NOON + timedelta(hours=24) - timedelta(milliseconds=1))
    assert empty.load(Refund, "r_1").state is RefundState.WAITING
    retry_refund(empty, RetryRefund(refund_id="r_1"), now=NOON + timedelta(hours=24))

    assert empty.load(Refund, "r_1").state is RefundState.PARKED
    assert empty.timers == {}
    assert empty.events == [refused("not_captured")]


def test_a_late_retry_of_a_refund_that_went_on_does_nothing(unit: BenchUnit) -> None:
    on_refund_due(unit, due(), now=NOON)
    before = dict(unit.values)

    standing = retry_refund(unit, RetryRefund(refund_id="r_1"), now=LATER)

    assert standing.state is RefundState.DUE
    assert unit.values == before


def test_a_refund_in_progress_is_asked_about_later(unit: BenchUnit) -> None:
    on_refund_due(unit, due(), now=NOON)

    standing = record_refund(unit, said(RefundProgress.PROCESSING), now=NOON)

    assert standing.state is RefundState.SENT
    assert balance(unit, "user_refund_payable") == Money(-1200)
    assert unit.timers == {"refund:r_1": (NOON + timedelta(seconds=30), AskRefund(sent=SENDING))}
    assert unit.events == []


def test_a_refused_refund_stays_owed_and_asks_for_a_person_once(unit: BenchUnit) -> None:
    on_refund_due(unit, due(), now=NOON)

    for _ in range(2):
        record_refund(unit, said(RefundProgress.REFUSED, reason="user_account_abnormal"), now=LATER)

    assert unit.load(Refund, "r_1").state is RefundState.REFUSED
    assert unit.load(Refund, "r_1").refusal == "user_account_abnormal"
    assert unit.load(Payment, PAYMENT).refunded == Money(1200)
    assert balance(unit, "user_refund_payable") == Money(-1200)
    assert unit.events == [refused("user_account_abnormal")]


def test_a_refund_that_settles_after_a_refusal_is_booked_for_the_money_has_left(unit: BenchUnit) -> None:
    on_refund_due(unit, due(), now=NOON)
    record_refund(unit, said(RefundProgress.REFUSED, reason="closed"), now=NOON)

    record_refund(unit, said(RefundProgress.SETTLED), now=LATER)

    assert balance(unit, "user_refund_payable") == ZERO
    assert balance(unit, "provider_clearing") == ZERO
    assert unit.events == [refused("closed"), replace(SETTLED, was_refused=True)]


def test_a_late_refusal_or_progress_does_not_undo_what_is_settled(unit: BenchUnit) -> None:
    on_refund_due(unit, due(), now=NOON)
    record_refund(unit, said(RefundProgress.SETTLED), now=NOON)
    before = dict(unit.values)

    record_refund(unit, said(RefundProgress.REFUSED), now=LATER)
    record_refund(unit, said(RefundProgress.PROCESSING), now=LATER)

    assert unit.values == before
    assert unit.timers == {}
    assert unit.events == [SETTLED]


def test_a_refund_settled_with_another_amount_is_left_to_a_person(unit: BenchUnit) -> None:
    on_refund_due(unit, due(), now=NOON)

    record_refund(unit, said(RefundProgress.SETTLED, amount_fen=1199), now=LATER)

    assert unit.load(Refund, "r_1").state is RefundState.REFUSED
    assert balance(unit, "provider_clearing") == Money(1200)
    assert unit.events == [refused("amount_differs")]


def test_the_capture_itself_is_not_told_again_by_refunds(unit: BenchUnit) -> None:
    on_refund_due(unit, due(), now=NOON)
    record_refund(unit, said(RefundProgress.SETTLED), now=NOON)
    record_capture(unit, capture(), now=LATER)

    assert not [event for event in unit.events if isinstance(event, PaymentCaptured)]


def test_a_held_refund_is_sent_once_and_not_when_it_went_on_meanwhile(unit: BenchUnit) -> None:
    on_refund_due(unit, due(), now=NOON)
    hold_refund(unit, "r_1")
    held = dict(unit.timers)
    send_refund(unit, "r_1", now=LATER)
    sent = dict(unit.timers)
    record_refund(unit, said(RefundProgress.SETTLED), now=LATER)

    send_refund(unit, "r_1", now=LATER)

    assert (held, sent) == ({}, {"refund:r_1": (LATER, SENDING)})
    assert unit.timers == {}
