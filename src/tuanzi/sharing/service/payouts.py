"""Paying a completed order out: merchants first, persons a day later, then what is left is unfrozen (B3)."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.unit import Unit
from tuanzi.money import ASK_LATEST, Payment, ShareProgress, out_refund_no_of, pause, payouts_held, send_refund
from tuanzi.sharing.model import (
    PERSONS_WAIT,
    POOL,
    PROVIDER_WAIT,
    ROUNDS_MAX,
    AddReceivers,
    AskUnfreeze,
    ClawBack,
    Party,
    Payee,
    PayeeState,
    PayoutStanding,
    PayoutState,
    RecordUnfreeze,
    SendUnfreeze,
    Sharing,
    SharingState,
    StartPayout,
    Transfer,
    account_of,
    payee_id_of,
    unregistered_payee,
)
from tuanzi.sharing.service.debts import withhold
from tuanzi.sharing.service.payees import receivable
from tuanzi.sharing.service.shares import close_transfer, give_share, payout_standing, payout_timer
from tuanzi.sharing.service.transfers import is_for_person, note_unbrought, transfers_of

_POOL = account_of(Party.RIDER, POOL)


def dispute(unit: Unit, order_id: str) -> None:
    """Its member asked for after-sale: persons are given nothing until that is decided. A repeat changes nothing.

    Merchants' shares come back when they must.
    """
    sharing = unit.find(Sharing, order_id)
    if sharing is not None and not sharing.is_disputed:
        unit.put(replace(sharing, is_disputed=True))


def end_dispute(unit: Unit, sharing: Sharing, *, now: datetime) -> None:
    """After-sale is decided: persons wait for that no more."""
    unit.put(replace(sharing, is_disputed=False))
    if sharing.payout is PayoutState.DUE and (sharing.persons_at or now) <= now:
        unit.schedule(payout_timer(sharing), StartPayout(order_id=sharing.order_id), at=now)


def complete(unit: Unit, order_id: str, *, now: datetime) -> None:
    """The order is completed, so its money need not be held any more, or its after-sale is closed; a repeat changes
    nothing."""
    sharing = unit.find(Sharing, order_id)
    if sharing is None:
        return
    if sharing.completed_at is not None:
        if sharing.is_disputed:
            end_dispute(unit, sharing, now=now)
        return
    completed = replace(sharing, completed_at=now, is_disputed=False)
    unit.put(completed)
    if completed.state is SharingState.POSTED:
        release(unit, completed, now=now)


def start_payout(unit: Unit, command: StartPayout, *, now: datetime) -> PayoutStanding:
    """Give the next share of a completed order, or unfreeze the rest when nothing more is to be given.

    Merchants are given theirs first, persons a day later, and not before an after-sale is decided. Changes nothing
    unless a payout is due. Raises Unknown.
    """
    sharing = unit.load(Sharing, command.order_id)
    if sharing.payout is not PayoutState.DUE:
        return payout_standing(sharing)
    payment = unit.find(Payment, sharing.payment_id)
    if payment is None or payment.transaction_id is None:
        return _finish(unit, sharing)  # it cost nothing
    if _is_held(unit, sharing):
        sharing = _send_held_refunds(unit, sharing, now=now)
        unit.schedule(payout_timer(sharing), command, at=now + ASK_LATEST)
        return payout_standing(sharing)
    persons_at = sharing.persons_at or now
    do_persons_wait = sharing.is_disputed or now < persons_at
    due, payees = _payable(unit, sharing, persons_too=not do_persons_wait, now=now)
    new = tuple([receivable(payee) for payee in payees.values() if payee.state is PayeeState.NEW])
    if not due:
        sharing = _send_held_refunds(unit, sharing, now=now)
    if not due and do_persons_wait and any([is_for_person(each) for each in transfers_of(unit, sharing)]):
        if now < persons_at:
            unit.schedule(payout_timer(sharing), command, at=persons_at)
        return payout_standing(sharing)
    if not due:
        unfreezing = replace(sharing, payout=PayoutState.UNFREEZING)
        unit.put(unfreezing)
        number = out_refund_no_of(f"{sharing.order_id}.u")
        unfreeze = SendUnfreeze(order_id=sharing.order_id, out_order_no=number, transaction_id=payment.transaction_id)
        unit.schedule(payout_timer(sharing), unfreeze, at=now)
        return payout_standing(unfreezing)
    if new:
        unit.schedule(payout_timer(sharing), AddReceivers(order_id=sharing.order_id, receivers=new), at=now)
        return payout_standing(sharing)
    return give_share(unit, sharing, payment=payment, due=due, payees=payees, now=now)


def record_unfreeze(unit: Unit, command: RecordUnfreeze, *, now: datetime) -> PayoutStanding:
    """The payout is done when nothing is frozen any more; else it is asked about. Raises Unknown."""
    sharing = unit.load(Sharing, command.order_id)
    if sharing.payout is not PayoutState.UNFREEZING:
        return payout_standing(sharing)
    is_refused = command.progress is ShareProgress.REFUSED
    if command.progress is ShareProgress.FINISHED or (is_refused and not command.frozen_fen):
        return _finish(unit, sharing)
    payment = unit.load(Payment, sharing.payment_id)
    number = out_refund_no_of(f"{sharing.order_id}.u")
    send = SendUnfreeze(order_id=sharing.order_id, out_order_no=number, transaction_id=payment.transaction_id or "")
    later = now + pause(sharing.completed_at or now, now=now)
    unit.schedule(payout_timer(sharing), send if is_refused else AskUnfreeze(sent=send), at=later)
    return payout_standing(sharing)


def release(unit: Unit, sharing: Sharing, *, now: datetime) -> None:
    """Let an order's money go out, as soon as the payment company does."""
    payment = unit.find(Payment, sharing.payment_id)
    paid_at = payment.captured_at if payment is not None and payment.captured_at is not None else now
    completed_at = sharing.completed_at or now
    unit.put(replace(sharing, payout=PayoutState.DUE, persons_at=completed_at + PERSONS_WAIT))
    if any([each.account == _POOL and each.held_fen for each in transfers_of(unit, sharing)]):
        note_unbrought(unit, sharing)
    at = max(now, paid_at + PROVIDER_WAIT)
    unit.schedule(payout_timer(sharing), StartPayout(order_id=sharing.order_id), at=at)


def _is_held(unit: Unit, sharing: Sharing) -> bool:
    """Whether the books of one of its merchants are looked into; then nothing of the order goes out (C3)."""
    parts = transfers_of(unit, sharing)
    owners = {each.account.partition(":")[2] for each in parts if each.party is Party.MERCHANT and each.due}
    return any([payouts_held(unit, owner) for owner in sorted(owners)])


def _payable(
    unit: Unit, sharing: Sharing, *, persons_too: bool, now: datetime
) -> tuple[list[Transfer], dict[str, Payee]]:
    """What can be given now, and to whom; what cannot is closed: owed, and a case."""
    due: list[Transfer] = []
    payees: dict[str, Payee] = {}
    for each in transfers_of(unit, sharing):
        payee_id = None if is_for_person(each) and not persons_too else payee_id_of(each.account)
        if each.due and payee_id is not None:
            each = withhold(unit, each, now=now)
        if not each.due or payee_id is None:
            continue
        payee = unit.find(Payee, payee_id) or unregistered_payee(payee_id)
        if payee.state is PayeeState.REFUSED:
            close_transfer(unit, each, reason=payee.refusal, now=now)
        elif sharing.rounds >= ROUNDS_MAX:
            close_transfer(unit, each, reason="too_many_rounds", now=now)
        else:
            due.append(each)
            payees[payee_id] = payee
    return due, payees


def _finish(unit: Unit, sharing: Sharing) -> PayoutStanding:
    done = replace(sharing, payout=PayoutState.DONE)
    unit.put(done)
    unit.unschedule(payout_timer(done))
    return payout_standing(done)


def _send_held_refunds(unit: Unit, sharing: Sharing, *, now: datetime) -> Sharing:
    """Send the refunds that waited for persons to be given theirs, but for those whose returns are open."""
    if not sharing.held_refunds:
        return sharing
    freed = replace(sharing, held_refunds=())
    unit.put(freed)
    for refund_id in sharing.held_refunds:
        if not unit.load(ClawBack, refund_id).open_returns:
            send_refund(unit, refund_id, now=now)
    return freed
