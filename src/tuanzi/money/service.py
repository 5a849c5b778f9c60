"""Records what the payment company did and books every fen of it (C2, C4): one function for each sentence.

Ids come with the commands or are functions of them, so every repeat finds what it did before.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from msgspec.structs import replace

from tuanzi.base.ids import OrderId, PaymentId, PersonId, RefundId
from tuanzi.base.money import Money
from tuanzi.base.problem import Invalid
from tuanzi.base.unit import Unit
from tuanzi.events import PaymentCaptured, RefundDue, RefundRefused, RefundSettled
from tuanzi.money.model import (
    CAPTURE_WAIT,
    PAID_OTHERWISE,
    PAY_WINDOW,
    WRITTEN_OFF,
    Account,
    AskPayment,
    AskRefund,
    Balance,
    ClosePayment,
    Entry,
    Journal,
    JournalHead,
    JournalKind,
    KeepAsking,
    Misgiving,
    OpenPayment,
    Payment,
    PaymentStanding,
    PaymentState,
    PayoutHold,
    RecordCapture,
    RecordRefund,
    RecordRefusal,
    Refund,
    RefundProgress,
    RefundStanding,
    RefundState,
    ResendRefund,
    RetryRefund,
    SendRefund,
    capture_journal,
    empty_account,
    out_refund_no_of,
    out_trade_no_of,
    pause,
    payment_of,
    refund_due_journal,
    refund_settled_journal,
    transfer,
)
from tuanzi.money.problems import BookedDifferently, CaptureDiffers, PaymentEnded


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
    resend = ResendRefund(sent=sending, next_no=out_refund_no_of(f"{refund.id}.a{attempt}"))
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

    A refusal keeps the money owed. A refund that settles after all, after a refusal, is booked: the money has left.
    Another amount than was sent is a refusal for a person to look at. Raises Unknown.
    """
    refund = unit.load(Refund, command.refund_id)
    if refund.state in (RefundState.SETTLED, RefundState.WAITING, RefundState.PARKED):
        return refund_standing(refund)
    if refund.refusal == WRITTEN_OFF:
        return refund_standing(refund)
    if command.out_refund_no:
        refund = replace(refund, out_refund_no=command.out_refund_no)
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


def restore_journal(unit: Unit, journal: Journal) -> None:
    """Write a journal's rows as they must have been, whatever is left of them; balances counted them before (C3)."""
    unit.restore(journal.head())
    for entry in journal.entries:
        unit.restore(entry)


def restore_balance(unit: Unit, account: str, *, amount: Money) -> None:
    """Write an account's running balance as the sum of its entries (C3)."""
    known = unit.find(Balance, account) or empty_account(account)
    unit.restore(replace(known, amount=amount))


def set_aside(unit: Unit, *, id: str, order_id: str, more: Money, now: datetime) -> None:
    """Book what the provider has more (or less: negative) than the ledger into suspense, once for each id (C3)."""
    aside = transfer(
        JournalKind.DIFFERENCE,
        id,
        order_id=order_id,
        debit=Account.PROVIDER_CLEARING.value,
        credit=Account.SUSPENSE.value,
        amount=more,
        at=now,
    )
    book(unit, aside)


def reverse_capture(unit: Unit, payment: Payment, *, escrow: Money, id: str, now: datetime) -> None:
    """Book that the provider never had a payment's money, once for each id; the payment's row stays as evidence (C3).

    escrow: what its order still has in escrow, which is gone; what went on to others is now in suspense.
    """
    gone = min(escrow, payment.captured)
    own = f"{JournalKind.REVERSAL.value}:{id}"
    moves = (
        (Account.ORDER_ESCROW, gone),
        (Account.SUSPENSE, payment.captured - gone),
        (Account.PROVIDER_CLEARING, -payment.captured),
    )
    entries = [
        Entry(journal_id=own, line=i, account=account.value, order_id=payment.order_id, amount=amount)
        for i, (account, amount) in enumerate([move for move in moves if move[1]])
    ]
    book(unit, Journal(kind=JournalKind.REVERSAL, reference=id, at=now, entries=tuple(entries)))


def hold_payouts(unit: Unit, merchant_id: str, *, because: str) -> None:
    """Pay this merchant nothing out until `free_payouts` was told the same reason; a repeat changes nothing (C3)."""
    hold = unit.find(PayoutHold, merchant_id)
    reasons = () if hold is None else hold.because
    if because not in reasons:
        unit.put(PayoutHold(merchant_id=merchant_id, because=(*reasons, because)))


def free_payouts(unit: Unit, merchant_id: str, *, because: str) -> None:
    """Forget one reason to hold a merchant's payouts; nothing happens when it was none."""
    hold = unit.find(PayoutHold, merchant_id)
    if hold is None or because not in hold.because:
        return
    left = tuple([reason for reason in hold.because if reason != because])
    if left:
        unit.put(replace(hold, because=left))
    else:
        unit.remove(PayoutHold, merchant_id)


def payouts_held(unit: Unit, merchant_id: str) -> bool:
    """Whether a merchant is to be paid nothing out for now: his books do not agree (C3)."""
    return unit.find(PayoutHold, merchant_id) is not None


def refund_standing(refund: Refund) -> RefundStanding:
    """How a refund stands, for an answer."""
    return RefundStanding(refund_id=refund.id, state=refund.state, amount_fen=refund.amount.fen, refusal=refund.refusal)


def book(unit: Unit, journal: Journal) -> bool:
    """Book a journal once: True when it is booked now, False when the very same was booked before.

    Raises BookedDifferently for other entries under the same id, where the first booking stands; Overdrawn.
    """
    head = unit.find(JournalHead, journal.id)
    if head is None:
        book_new(unit, journal)
        return True
    same = head.entry_count == len(journal.entries) and all(
        unit.find(Entry, (entry.journal_id, entry.line)) == entry for entry in journal.entries
    )
    if not same:
        raise BookedDifferently(journal_id=journal.id)
    return False


def book_new(unit: Unit, *journals: Journal) -> None:
    """Book journals whose ids are known to be new; the table's key says the same. Raises Overdrawn.

    Limits hold for what all of them leave: each account is moved once, however many of their lines it has.
    """
    moved: dict[str, int] = {}
    for journal in journals:
        unit.add(journal.head())
        for entry in journal.entries:
            unit.add(entry)
            moved[entry.account] = moved.get(entry.account, 0) + entry.amount.fen
    for account, fen in moved.items():
        balance = unit.find(Balance, account) or empty_account(account)
        unit.put(balance.moved(Money(fen)))


def _book_capture(unit: Unit, payment: Payment, *, now: datetime) -> None:
    book_new(unit, capture_journal(payment, at=now))
    if payment.state is PaymentState.CAPTURED:
        captured = PaymentCaptured(
            order_id=payment.order_id, payment_id=payment.id, amount_fen=payment.captured.fen, captured_at=now
        )
        unit.emit(captured)


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


def _ask_later(unit: Unit, payment: Payment, *, now: datetime) -> None:
    give_up_at = payment.opened_at + PAY_WINDOW
    ask = AskPayment(payment_id=payment.id, out_trade_no=payment.out_trade_no, give_up_at=give_up_at)
    unit.schedule(_ask_timer(payment.id), ask, at=now + pause(payment.opened_at, now=now))


def _sending(refund: Refund, payment: Payment) -> SendRefund:
    return SendRefund(
        refund_id=refund.id,
        out_refund_no=refund.out_refund_no,
        out_trade_no=payment.out_trade_no,
        amount_fen=refund.amount.fen,
        captured_fen=payment.captured.fen,
        reason=refund.reason,
    )


def _ask_timer(payment_id: str) -> str:
    return f"payment:{payment_id}"


def _refund_timer(refund: Refund) -> str:
    return f"refund:{refund.id}"


def _standing(payment: Payment) -> PaymentStanding:
    return PaymentStanding(
        payment_id=payment.id,
        order_id=payment.order_id,
        state=payment.state,
        amount_fen=payment.amount.fen,
        captured_fen=payment.captured.fen,
        captured_at=payment.captured_at,
    )
