"""C4: callbacks repeated, late, reordered or forged change nothing twice and nothing wrongly."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.bench_unit import BenchUnit
from tests.money.till import MEMBER, NOON, ORDER, PAYMENT, bench
from tuanzi.base.money import ZERO, Money
from tuanzi.base.problem import Invalid, Unknown
from tuanzi.events import PaymentCaptured
from tuanzi.money.model import (
    AskPayment,
    Balance,
    ClosePayment,
    Entry,
    KeepAsking,
    OpenPayment,
    Payment,
    PaymentState,
    RecordCapture,
    RecordRefusal,
    out_refund_no_of,
    out_trade_no_of,
    pause,
    payment_of,
)
from tuanzi.money.problems import CaptureDiffers, PaymentDiffers, PaymentEnded
from tuanzi.money.service import close_payment, keep_asking, open_payment, record_capture, record_refusal

LATER = NOON + timedelta(hours=3)
CAPTURED = PaymentCaptured(order_id=ORDER, payment_id=PAYMENT, amount_fen=1200, captured_at=NOON)


def capture(
    *, payment_id: str = PAYMENT, order_id: str = ORDER, amount_fen: int = 1200, transaction_id: str = "t_1"
) -> RecordCapture:
    """The provider's word that the money is there."""
    return RecordCapture(
        payment_id=payment_id,
        order_id=order_id,
        member_id=MEMBER,
        amount_fen=amount_fen,
        transaction_id=transaction_id,
        provider="sandbox",
    )


def opening(*, amount_fen: int = 1200) -> OpenPayment:
    """The provider waits for the member."""
    return OpenPayment(payment_id=PAYMENT, order_id=ORDER, member_id=MEMBER, amount_fen=amount_fen, provider="sandbox")


def refusal() -> RecordRefusal:
    """The provider refused."""
    return RecordRefusal(payment_id=PAYMENT, order_id=ORDER, member_id=MEMBER, amount_fen=1200, provider="sandbox")


def opened() -> BenchUnit:
    """A unit with an open payment."""
    unit = bench()
    open_payment(unit, opening(), now=NOON)
    return unit


def balance(unit: BenchUnit, account: str) -> Money:
    """The running balance of an account."""
    kept = unit.find(Balance, account)
    return ZERO if kept is None else kept.amount


def test_a_payment_that_was_never_opened_is_recorded_booked_and_told() -> None:
    unit = bench()

    standing = record_capture(unit, capture(), now=NOON)

    assert standing.state is PaymentState.CAPTURED
    assert standing.captured_fen == 1200
    assert unit.load(Payment, PAYMENT) == Payment(
        id=PAYMENT,
        order_id=ORDER,
        member_id=MEMBER,
        amount=Money(1200),
        state=PaymentState.CAPTURED,
        provider="sandbox",
        out_trade_no=PAYMENT,
        opened_at=NOON,
        transaction_id="t_1",
        captured_at=NOON,
        captured=Money(1200),
        refunded=ZERO,
    )
    assert unit.load(Entry, (f"capture:{PAYMENT}", 0)).amount == Money(1200)
    assert balance(unit, "provider_clearing") == Money(1200)
    assert balance(unit, "order_escrow") == Money(-1200)
    assert unit.events == [CAPTURED]


def test_an_opened_payment_is_captured_and_no_longer_asked_about() -> None:
    unit = opened()
    assert list(unit.timers) == [f"payment:{PAYMENT}"]

    record_capture(unit, capture(), now=NOON)

    assert unit.load(Payment, PAYMENT).state is PaymentState.CAPTURED
    assert unit.timers == {}
    assert unit.events == [CAPTURED]


def test_p19_a_repeated_callback_gets_the_same_answer_and_books_nothing() -> None:
    unit = bench()
    first = record_capture(unit, capture(), now=NOON)
    before = dict(unit.values)

    again = [record_capture(unit, capture(), now=LATER) for _ in range(3)]

    assert again == [first, first, first]
    assert unit.values == before
    assert unit.events == [CAPTURED]


@pytest.mark.parametrize(
    "forged",
    [capture(amount_fen=1), capture(amount_fen=120_000), capture(transaction_id="t_2"), capture(order_id="o_other")],
    ids=["smaller", "larger", "other transaction", "other order"],
)
def test_a_forged_callback_for_a_captured_payment_is_refused_and_changes_nothing(forged: RecordCapture) -> None:
    unit = bench()
    record_capture(unit, capture(), now=NOON)
    before = dict(unit.values)

    with pytest.raises(CaptureDiffers):
        record_capture(unit, forged, now=LATER)

    assert unit.values == before
    assert unit.events == [CAPTURED]


@pytest.mark.parametrize("amount_fen", [0, -1200])
def test_nothing_or_less_is_no_capture(amount_fen: int) -> None:
    unit = bench()

    with pytest.raises(Invalid):
        record_capture(unit, capture(amount_fen=amount_fen), now=NOON)

    assert (unit.values, unit.events) == ({}, [])


def test_p2_money_for_a_closed_payment_is_captured_and_told_not_swallowed() -> None:
    unit = opened()
    close_payment(unit, ClosePayment(payment_id=PAYMENT), now=NOON)

    record_capture(unit, capture(), now=LATER)

    assert unit.load(Payment, PAYMENT).state is PaymentState.CAPTURED
    assert balance(unit, "order_escrow") == Money(-1200)
    assert unit.events == [PaymentCaptured(order_id=ORDER, payment_id=PAYMENT, amount_fen=1200, captured_at=LATER)]


def test_p3_a_captured_payment_is_neither_reopened_closed_nor_refused_by_what_comes_late() -> None:
    unit = bench()
    record_capture(unit, capture(), now=NOON)
    before = dict(unit.values)

    standings = [
        open_payment(unit, opening(), now=LATER),
        close_payment(unit, ClosePayment(payment_id=PAYMENT), now=LATER),
        record_refusal(unit, refusal(), now=LATER),
        keep_asking(unit, KeepAsking(payment_id=PAYMENT), now=LATER),
    ]

    assert {standing.state for standing in standings} == {PaymentState.CAPTURED}
    assert unit.values == before
    assert unit.timers == {}


def test_money_of_another_amount_than_asked_waits_in_suspense_and_is_not_told() -> None:
    unit = opened()

    standing = record_capture(unit, capture(amount_fen=1), now=NOON)

    assert standing.state is PaymentState.MISFIT
    assert (standing.amount_fen, standing.captured_fen) == (1200, 1)
    assert balance(unit, "provider_clearing") == Money(1)
    assert balance(unit, "suspense") == Money(-1)
    assert balance(unit, "order_escrow") == ZERO
    assert unit.events == []


def test_money_in_suspense_is_not_booked_twice_either() -> None:
    unit = opened()
    first = record_capture(unit, capture(amount_fen=1), now=NOON)
    before = dict(unit.values)

    again = record_capture(unit, capture(amount_fen=1), now=LATER)
    with pytest.raises(CaptureDiffers):
        record_capture(unit, capture(), now=LATER)

    assert again == first
    assert unit.values == before


def test_a_second_payment_of_the_same_order_is_captured_too_and_core_decides() -> None:
    unit = bench()
    record_capture(unit, capture(), now=NOON)

    record_capture(unit, capture(payment_id="p_second", transaction_id="t_2"), now=NOON)

    assert balance(unit, "order_escrow") == Money(-2400)
    assert [event.payment_id for event in unit.events] == [PAYMENT, "p_second"]


def test_opening_twice_changes_nothing() -> None:
    unit = opened()
    before, timers = dict(unit.values), dict(unit.timers)

    standing = open_payment(unit, opening(), now=LATER)

    assert standing.state is PaymentState.OPENED
    assert unit.values == before
    assert unit.timers == timers


def test_opening_for_another_amount_is_refused() -> None:
    unit = opened()

    with pytest.raises(PaymentDiffers):
        open_payment(unit, opening(amount_fen=1), now=NOON)

    assert unit.load(Payment, PAYMENT).amount == Money(1200)


def test_a_refused_payment_may_be_opened_again_a_closed_one_not() -> None:
    unit = opened()
    record_refusal(unit, refusal(), now=NOON)
    assert unit.load(Payment, PAYMENT).state is PaymentState.REFUSED
    assert unit.timers == {}

    assert open_payment(unit, opening(), now=LATER).state is PaymentState.OPENED
    assert close_payment(unit, ClosePayment(payment_id=PAYMENT), now=LATER).state is PaymentState.CLOSED
    with pytest.raises(PaymentEnded):
        open_payment(unit, opening(), now=LATER)

    assert unit.load(Payment, PAYMENT).state is PaymentState.CLOSED
    assert unit.timers == {}


def test_a_payment_nobody_knows_cannot_be_closed() -> None:
    unit = bench()

    with pytest.raises(Unknown):
        close_payment(unit, ClosePayment(payment_id=PAYMENT), now=NOON)


def test_an_open_payment_is_asked_about_after_30_seconds_and_then_at_growing_pauses() -> None:
    unit = opened()
    ask = AskPayment(payment_id=PAYMENT, out_trade_no=PAYMENT, give_up_at=NOON + timedelta(hours=2))
    assert unit.timers == {f"payment:{PAYMENT}": (NOON + timedelta(seconds=30), ask)}

    keep_asking(unit, KeepAsking(payment_id=PAYMENT), now=NOON + timedelta(minutes=2))

    assert unit.timers == {f"payment:{PAYMENT}": (NOON + timedelta(minutes=4), ask)}


@pytest.mark.parametrize(
    ("waited_s", "pause_s"), [(0, 30), (29, 30), (30, 30), (31, 31), (599, 599), (600, 600), (86_400, 600)]
)
def test_pauses_grow_with_the_wait_from_30_seconds_to_10_minutes(waited_s: int, pause_s: int) -> None:
    now: datetime = NOON + timedelta(seconds=waited_s)

    assert pause(NOON, now=now) == timedelta(seconds=pause_s)


def test_outside_numbers_are_functions_of_ids_that_the_provider_accepts() -> None:
    long = "p_." + "o" * 61

    assert payment_of(ORDER) == PAYMENT
    assert payment_of("17") == "p_.17"
    assert out_trade_no_of(PAYMENT) == PAYMENT
    assert len(out_trade_no_of(long)) == 32
    assert out_trade_no_of(long) == out_trade_no_of(long) != out_trade_no_of("p_." + "o" * 60)
    assert out_refund_no_of(f"{ORDER}.late:1") == f"{ORDER}*late@1"
    assert len(out_refund_no_of("r" * 65)) == 64
    assert out_refund_no_of("a*b") != out_refund_no_of("a.b") == "a*b"
