"""Refunds: owed, sent, settled, refused (C2, C4)."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from msgspec.structs import replace

from tuanzi.base.ids import OrderId, PaymentId, RefundId
from tuanzi.base.money import Money
from tuanzi.base.unit import Unit
from tuanzi.events import RefundDue, RefundRefused, RefundSettled
from tuanzi.money.model import (
    CAPTURE_WAIT,
    PAID_OTHERWISE,
    WRITTEN_OFF,
    Account,
    AskRefund,
    JournalKind,
    Misgiving,
    Payment,
    PaymentState,
    RecordRefund,
    Refund,
    RefundProgress,
    RefundStanding,
    RefundState,
    ResendRefund,
    RetryRefund,
    SendRefund,
    next_refund_no,
    out_refund_no_of,
    pause,
    payment_of,
    refund_due_journal,
    refund_settled_journal,
    suspense_ended_journal,
    transfer,
)
from tuanzi.money.problems import NotInSuspense
from tuanzi.money.service.ledger import book, book_new


def note_refund(unit: Unit, due: RefundDue, *, now: datetime) -> Refund | None:
    """The refund that is due, not yet kept; None when it is kept already, or cannot be, which RefundRefused tells.

    A repeat changes nothing; one with other terms, or an amount that is not positive, is told.
    """
    payment_id = due.payment_id or payment_of(due.order_id)
    known = unit.find(Refund, due.refund_id)
    if known is not None:
        if (known.payment_id, known.amount.fen) != (payment_id, due.amount_fen):
            _refuse_due(unit, due, misgiving=Misgiving.REPEAT_DIFFERS)
        return None
    if due.amount_fen <= 0:
        _refuse_due(unit, due, misgiving=Misgiving.NOT_POSITIVE)
        return None
    return Refund(
        id=RefundId(due.refund_id),
        order_id=OrderId(due.order_id),
        payment_id=PaymentId(payment_id),
        amount=Money(due.amount_fen),
        state=RefundState.WAITING,
        out_refund_no=out_refund_no_of(due.refund_id),
        reason=due.reason[:80],
        due_at=now,
        sub_order_id=due.sub_order_id,
    )


def payment_to_refund(unit: Unit, refund: Refund) -> Payment | None:
    """The payment of a refund, when all of the refund can come out of it."""
    payment = unit.find(Payment, refund.payment_id)
    if payment is None or payment.state is not PaymentState.CAPTURED or payment.order_id != refund.order_id:
        return None
    return payment if refund.amount.fen <= payment.left().fen else None


def let_refund_wait(unit: Unit, refund: Refund, *, now: datetime) -> RefundStanding:
    """Look at a refund again later; nothing of it is booked."""
    unit.put(refund)
    unit.schedule(_refund_timer(refund), RetryRefund(refund_id=refund.id), at=now + pause(refund.due_at, now=now))
    return refund_standing(refund)


def promise_refund(unit: Unit, refund: Refund, *, now: datetime) -> RefundStanding:
    """Book a waiting refund as owed and send it, never above what its payment has left (B5).

    Waits up to 24 h for a payment that is not captured here yet. Parked as a whole, before anything is booked, when it
    is above what is left, or of another order; then RefundRefused asks for a person. The caller has seen to it that the
    order's escrow holds so much.
    """
    payment = unit.find(Payment, refund.payment_id)
    if payment is None or payment.state is not PaymentState.CAPTURED:
        if now - refund.due_at >= CAPTURE_WAIT:
            return _park(unit, refund, misgiving=Misgiving.NOT_CAPTURED)
        return let_refund_wait(unit, refund, now=now)
    if payment.order_id != refund.order_id:
        return _park(unit, refund, misgiving=Misgiving.WRONG_ORDER)
    if refund.amount.fen > payment.left().fen:
        return _park(unit, refund, misgiving=Misgiving.OVER_REFUND)
    promised = replace(refund, state=RefundState.DUE, refusal=None)
    unit.put(promised)
    unit.put(payment.promise_back(refund.amount))
    book(unit, refund_due_journal(refund, at=now))
    unit.schedule(_refund_timer(refund), _sending(promised, payment), at=now)
    return refund_standing(promised)


def return_suspense(unit: Unit, payment_id: PaymentId, *, now: datetime) -> Refund:
    """Owe all of a payment in suspense to who paid it and send it, once for each payment (C4).

    From here on it is a refund as any other; what the provider refuses is a person's case. Raises Unknown,
    NotInSuspense (what a repeat gets).
    """
    payment = unit.load(Payment, payment_id)
    if not payment.is_in_suspense:
        raise NotInSuspense(payment_id=payment.id)
    refund_id = f"{payment.id}.back"
    refund = Refund(
        id=RefundId(refund_id),
        order_id=payment.order_id,
        payment_id=payment.id,
        amount=payment.left(),
        state=RefundState.DUE,
        out_refund_no=out_refund_no_of(refund_id),
        reason="amount_differs",
        due_at=now,
    )
    unit.add(refund)
    unit.put(payment.promise_back(refund.amount))
    book_new(unit, suspense_ended_journal(payment, at=now), refund_due_journal(refund, at=now))
    unit.schedule(_refund_timer(refund), _sending(refund, payment), at=now)
    return refund


def hold_refund(unit: Unit, refund_id: str) -> None:
    """Do not send a refund that is owed until `send_refund`: shared money comes back first (P12)."""
    unit.unschedule(_refund_timer(unit.load(Refund, refund_id)))


def send_refund(unit: Unit, refund_id: str, *, now: datetime) -> None:
    """Send a refund that is owed and was held; one that went on meanwhile stays as it is."""
    refund = unit.load(Refund, refund_id)
    if refund.state is RefundState.DUE:
        unit.schedule(_refund_timer(refund), _sending(refund, unit.load(Payment, refund.payment_id)), at=now)


def resend_refund(unit: Unit, refund_id: str, *, attempt: int, now: datetime) -> None:
    """Send a refused refund again: under its number, or under one of this attempt's where that is used up."""
    refund = unit.load(Refund, refund_id)
    assert refund.state is RefundState.REFUSED, f"{refund_id} is {refund.state}"
    again = replace(refund, state=RefundState.DUE, refusal=None)
    unit.put(again)
    sending = _sending(again, unit.load(Payment, refund.payment_id))
    resend = ResendRefund(sent=sending, next_no=next_refund_no(refund.id, attempt=attempt))
    unit.schedule(_refund_timer(refund), resend, at=now)


def pay_refund_otherwise(unit: Unit, refund_id: str, *, now: datetime) -> None:
    """A refused refund was paid from the platform's own bank account: it is settled, and told so."""
    refund = unit.load(Refund, refund_id)
    assert refund.state is RefundState.REFUSED, f"{refund_id} is {refund.state}"
    _settle(unit, refund, now=now, otherwise=True)


def write_off_refund(unit: Unit, refund_id: str, *, now: datetime) -> None:
    """A refused refund is not owed any more; the member got nothing, so it is not told as settled."""
    refund = unit.load(Refund, refund_id)
    assert refund.state is RefundState.REFUSED, f"{refund_id} is {refund.state}"
    unit.put(replace(refund, refusal=WRITTEN_OFF))
    given_up = transfer(
        JournalKind.WRITTEN_OFF,
        refund.id,
        order_id=refund.order_id,
        debit=Account.USER_REFUND_PAYABLE.value,
        credit=Account.WRITTEN_OFF.value,
        amount=refund.amount,
        at=now,
    )
    book_new(unit, given_up)


def record_refund(unit: Unit, command: RecordRefund, *, now: datetime) -> RefundStanding:
    """Book what the provider did with a refund and tell of it once; repeats and late reports change nothing.

    A refusal keeps the money owed; a notice of one is no news while the refund is being sent, or of a number before.
    A refund that settles after all, after a refusal, is booked: the money has left. Another amount than was sent is a
    refusal for a person to look at. Raises Unknown.
    """
    refund = unit.load(Refund, command.refund_id)
    if refund.state in (RefundState.SETTLED, RefundState.WAITING, RefundState.PARKED):
        return refund_standing(refund)
    if refund.refusal == WRITTEN_OFF:
        return refund_standing(refund)
    # While it is being sent, perhaps under another number, whoever sends it hears what became of it.
    is_before = refund.state is RefundState.DUE or command.about_no != refund.out_refund_no
    if command.about_no and command.progress is not RefundProgress.SETTLED and is_before:
        return refund_standing(refund)
    refund = replace(refund, out_refund_no=command.out_refund_no or command.about_no or refund.out_refund_no)
    if command.progress is RefundProgress.SETTLED and command.amount_fen == refund.amount.fen:
        return _settle(unit, refund, now=now)
    if refund.state is RefundState.REFUSED:
        return refund_standing(refund)
    match command.progress:
        case RefundProgress.SETTLED:
            return _refuse(unit, refund, refusal=Misgiving.AMOUNT_DIFFERS.value)
        case RefundProgress.REFUSED:
            return _refuse(unit, refund, refusal=command.reason[:80] or "refused")
        case RefundProgress.PROCESSING | RefundProgress.UNKNOWN:
            sent = replace(refund, state=RefundState.SENT)
            unit.put(sent)
            ask = AskRefund(sent=_sending(sent, unit.load(Payment, refund.payment_id)))
            unit.schedule(_refund_timer(refund), ask, at=now + pause(refund.due_at, now=now))
            return refund_standing(sent)
        case _:
            assert_never(command.progress)


def refund_standing(refund: Refund) -> RefundStanding:
    """How a refund stands, for an answer."""
    return RefundStanding(refund_id=refund.id, state=refund.state, amount_fen=refund.amount.fen, refusal=refund.refusal)


def _settle(unit: Unit, refund: Refund, *, now: datetime, otherwise: bool = False) -> RefundStanding:
    refusal = PAID_OTHERWISE if otherwise else None
    settled = replace(refund, state=RefundState.SETTLED, settled_at=now, refusal=refusal)
    unit.put(settled)
    book(unit, refund_settled_journal(settled, at=now))
    unit.unschedule(_refund_timer(refund))
    told = RefundSettled(
        refund_id=refund.id,
        order_id=refund.order_id,
        amount_fen=refund.amount.fen,
        was_refused=refund.state is RefundState.REFUSED,
    )
    unit.emit(told)
    return refund_standing(settled)


def _park(unit: Unit, refund: Refund, *, misgiving: Misgiving) -> RefundStanding:
    """Keep a refund that cannot be right without booking or sending it; RefundRefused asks for a person."""
    return _end(unit, replace(refund, state=RefundState.PARKED, refusal=misgiving.value))


def _refuse(unit: Unit, refund: Refund, *, refusal: str) -> RefundStanding:
    return _end(unit, replace(refund, state=RefundState.REFUSED, refusal=refusal))


def _end(unit: Unit, refused: Refund) -> RefundStanding:
    """Keep a refund that will not go on by itself, and ask for a person."""
    unit.put(refused)
    unit.unschedule(_refund_timer(refused))
    told = RefundRefused(
        refund_id=refused.id,
        order_id=refused.order_id,
        amount_fen=refused.amount.fen,
        reason=refused.refusal or "refused",
    )
    unit.emit(told)
    return refund_standing(refused)


def _refuse_due(unit: Unit, due: RefundDue, *, misgiving: Misgiving) -> None:
    refused = RefundRefused(
        refund_id=due.refund_id, order_id=due.order_id, amount_fen=due.amount_fen, reason=misgiving.value
    )
    unit.emit(refused)


def _sending(refund: Refund, payment: Payment) -> SendRefund:
    return SendRefund(
        refund_id=refund.id,
        out_refund_no=refund.out_refund_no,
        out_trade_no=payment.out_trade_no,
        amount_fen=refund.amount.fen,
        captured_fen=payment.captured.fen,
        reason=refund.reason,
    )


def _refund_timer(refund: Refund) -> str:
    return f"refund:{refund.id}"
