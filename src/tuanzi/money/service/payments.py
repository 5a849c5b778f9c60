"""Payments: what became of each try to pay, and money that came (C2, C4)."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from msgspec.structs import replace

from tuanzi.base.ids import OrderId, PaymentId, PersonId
from tuanzi.base.money import Money
from tuanzi.base.problem import Invalid
from tuanzi.base.unit import Unit
from tuanzi.events import PaymentCaptured
from tuanzi.money.model import (
    PAY_WINDOW,
    AskPayment,
    ClosePayment,
    KeepAsking,
    OpenPayment,
    Payment,
    PaymentStanding,
    PaymentState,
    RecordCapture,
    RecordRefusal,
    capture_journal,
    out_trade_no_of,
    pause,
)
from tuanzi.money.problems import CaptureDiffers, PaymentEnded
from tuanzi.money.service.ledger import book_new


def record_capture(unit: Unit, command: RecordCapture, *, now: datetime) -> PaymentStanding:
    """Book the money that came and tell of it, exactly once for each payment; a repeat gets the same answer.

    A payment never opened here, closed or refused is recorded too: money that came is never lost, and core decides
    what becomes of it (P1, P2). Another amount than was asked goes to suspense and is not told.
    Raises CaptureDiffers when it was recorded before with another amount or transaction, or belongs to another order.
    """
    if command.amount_fen <= 0:
        raise Invalid(amount_fen=command.amount_fen)
    amount = Money(command.amount_fen)
    opened = unit.find(Payment, command.payment_id)
    if opened is None:
        payment = Payment(
            id=PaymentId(command.payment_id),
            order_id=OrderId(command.order_id),
            member_id=PersonId(command.member_id),
            amount=amount,
            state=PaymentState.CAPTURED,
            provider=command.provider,
            out_trade_no=out_trade_no_of(command.payment_id),
            opened_at=now,
            transaction_id=command.transaction_id,
            captured_at=now,
            captured=amount,
        )
        unit.add(payment)
        _book_capture(unit, payment, now=now)
        return _standing(payment)
    if opened.order_id != command.order_id:
        raise CaptureDiffers(payment_id=opened.id, order_id=opened.order_id)
    match opened.state:
        case PaymentState.CAPTURED | PaymentState.MISFIT:
            if opened.captured != amount or opened.transaction_id != command.transaction_id:
                raise CaptureDiffers(payment_id=opened.id, amount_fen=opened.captured.fen)
            return _standing(opened)
        case PaymentState.OPENED | PaymentState.REFUSED | PaymentState.CLOSED:
            payment = replace(
                opened,
                state=PaymentState.CAPTURED if opened.amount == amount else PaymentState.MISFIT,
                transaction_id=command.transaction_id,
                captured=amount,
                captured_at=now,
            )
            unit.put(payment)
            unit.unschedule(_ask_timer(payment.id))
            _book_capture(unit, payment, now=now)
            return _standing(payment)
        case _:
            assert_never(opened.state)


def new_to_capture(command: RecordCapture) -> tuple[tuple[type, str], ...]:
    """What recording a capture looks for and mostly makes: the payment."""
    return ((Payment, command.payment_id),)


def open_payment(unit: Unit, command: OpenPayment, *, now: datetime) -> PaymentStanding:
    """Note that a payment waits for its member, and have the provider asked when no callback comes.

    A repeat changes nothing. Raises PaymentDiffers for other terms than before, PaymentEnded when it is closed.
    """
    payment = unit.find(Payment, command.payment_id)
    if payment is None:
        payment = _payment(command, PaymentState.OPENED, now=now)
        unit.add(payment)
        _ask_later(unit, payment, now=now)
        return _standing(payment)
    payment.same_terms(order_id=command.order_id, amount=Money(command.amount_fen))
    match payment.state:
        case PaymentState.OPENED | PaymentState.CAPTURED | PaymentState.MISFIT:
            return _standing(payment)
        case PaymentState.REFUSED:
            payment = replace(payment, state=PaymentState.OPENED, opened_at=now)
            unit.put(payment)
            _ask_later(unit, payment, now=now)
            return _standing(payment)
        case PaymentState.CLOSED:
            raise PaymentEnded(payment_id=payment.id)
        case _:
            assert_never(payment.state)


def record_refusal(unit: Unit, command: RecordRefusal, *, now: datetime) -> PaymentStanding:
    """Note that the provider refused; what is captured or closed stays so."""
    payment = unit.find(Payment, command.payment_id)
    if payment is None:
        payment = _payment(command, PaymentState.REFUSED, now=now)
        unit.add(payment)
    elif payment.state is PaymentState.OPENED:
        payment = replace(payment, state=PaymentState.REFUSED)
        unit.put(payment)
        unit.unschedule(_ask_timer(payment.id))
    return _standing(payment)


def close_payment(unit: Unit, command: ClosePayment, *, now: datetime) -> PaymentStanding:
    """Note that a payment can no longer be paid; one that is captured stays captured. Raises Unknown."""
    payment = unit.load(Payment, command.payment_id)
    if payment.state in (PaymentState.OPENED, PaymentState.REFUSED):
        payment = replace(payment, state=PaymentState.CLOSED)
        unit.put(payment)
        unit.unschedule(_ask_timer(payment.id))
    return _standing(payment)


def keep_asking(unit: Unit, command: KeepAsking, *, now: datetime) -> PaymentStanding:
    """Have the provider asked again about a payment that is still open; else nothing. Raises Unknown."""
    payment = unit.load(Payment, command.payment_id)
    if payment.state is PaymentState.OPENED:
        _ask_later(unit, payment, now=now)
    return _standing(payment)


def _payment(command: OpenPayment | RecordRefusal, state: PaymentState, *, now: datetime) -> Payment:
    return Payment(
        id=PaymentId(command.payment_id),
        order_id=OrderId(command.order_id),
        member_id=PersonId(command.member_id),
        amount=Money(command.amount_fen),
        state=state,
        provider=command.provider,
        out_trade_no=out_trade_no_of(command.payment_id),
        opened_at=now,
    )


def _book_capture(unit: Unit, payment: Payment, *, now: datetime) -> None:
    book_new(unit, capture_journal(payment, at=now))
    if payment.state is PaymentState.CAPTURED:
        captured = PaymentCaptured(
            order_id=payment.order_id, payment_id=payment.id, amount_fen=payment.captured.fen, captured_at=now
        )
        unit.emit(captured)


def _ask_later(unit: Unit, payment: Payment, *, now: datetime) -> None:
    give_up_at = payment.opened_at + PAY_WINDOW
    ask = AskPayment(payment_id=payment.id, out_trade_no=payment.out_trade_no, give_up_at=give_up_at)
    unit.schedule(_ask_timer(payment.id), ask, at=now + pause(payment.opened_at, now=now))


def _ask_timer(payment_id: str) -> str:
    return f"payment:{payment_id}"


def _standing(payment: Payment) -> PaymentStanding:
    return PaymentStanding(
        payment_id=payment.id,
        order_id=payment.order_id,
        state=payment.state,
        amount_fen=payment.amount.fen,
        captured_fen=payment.captured.fen,
        captured_at=payment.captured_at,
    )
