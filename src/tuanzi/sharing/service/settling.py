"""What an operator does about a case."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from msgspec.structs import replace

from tuanzi.base.unit import Unit
from tuanzi.money import (
    Account,
    JournalKind,
    ReceiverKind,
    Refund,
    RefundState,
    out_refund_no_of,
    pay_refund_otherwise,
    resend_refund,
    write_off_refund,
)
from tuanzi.sharing.model import (
    Case,
    CaseKind,
    CaseSettlement,
    CaseStanding,
    CaseState,
    PayoutState,
    ReturnState,
    SettleCase,
    Settlement,
    ShareReturn,
    Sharing,
)
from tuanzi.sharing.problems import CannotSettle, CaseSettled
from tuanzi.sharing.service.debts import owe_no_more
from tuanzi.sharing.service.journals import book
from tuanzi.sharing.service.refunds import pay_back
from tuanzi.sharing.service.returns import return_errand, return_timer
from tuanzi.sharing.service.transfers import keep_transfer, transfers_of


def settle_case(unit: Unit, command: SettleCase, *, now: datetime) -> CaseStanding:
    """Settle what would not go on by itself, and keep who did it, how and why, each time it came up.

    Retried: it is tried again, and is a case again when that fails. Paid otherwise: the platform's bank account paid
    or was paid. Written off: nobody is owed it any more. Raises Unknown, CaseSettled, CannotSettle.
    """
    case = unit.load(Case, command.case_id)
    if case.state is CaseState.SETTLED:
        raise CaseSettled(case_id=case.id)
    settled = replace(
        case,
        state=CaseState.SETTLED,
        settled_at=now,
        settled_by=command.operator_id,
        settled_how=command.how,
        note=command.note,
    )
    unit.put(settled)
    done = CaseSettlement(
        case_id=case.id,
        number=case.times,
        reason=case.reason,
        how=command.how,
        settled_by=command.operator_id,
        settled_at=now,
        note=command.note,
    )
    unit.add(done)
    match case.kind:
        case CaseKind.REFUND:
            _settle_refund_case(unit, case, command.how, now=now)
        case CaseKind.SHARE:
            _settle_share_case(unit, case, command.how, now=now)
        case CaseKind.RETURN:
            _settle_return_case(unit, case, command.how, now=now)
        case _:
            assert_never(case.kind)
    return CaseStanding(case_id=settled.id, state=settled.state, how=command.how)


def _settle_refund_case(unit: Unit, case: Case, how: Settlement, *, now: datetime) -> None:
    refund = unit.find(Refund, case.reference)
    is_refused = refund is not None and refund.state is RefundState.REFUSED
    if refund is not None and refund.state is RefundState.PARKED and how is Settlement.RETRY:
        pay_back(unit, replace(refund, state=RefundState.WAITING, refusal=None, due_at=now), now=now)
    elif is_refused and how is Settlement.RETRY:
        resend_refund(unit, case.reference, attempt=case.times, now=now)
    elif is_refused and how is Settlement.PAID_OTHERWISE:
        pay_refund_otherwise(unit, case.reference, now=now)
    elif is_refused:
        write_off_refund(unit, case.reference, now=now)
    elif how is not Settlement.WRITE_OFF:
        raise CannotSettle(case_id=case.id, how=how.value)  # nothing is booked of it: it can only be laid aside


def _settle_share_case(unit: Unit, case: Case, how: Settlement, *, now: datetime) -> None:
    """What the payment company would not give is paid from the bank, or not at all; it is frozen no more."""
    sharing = unit.find(Sharing, case.order_id)
    line = case.reference.rpartition(".")[2]
    if how is Settlement.WRITE_OFF and not line.isdecimal():
        return  # a share's results were not what was asked; nothing is booked of it
    if sharing is None or how is Settlement.RETRY or not line.isdecimal() or sharing.payout is PayoutState.SHARING:
        raise CannotSettle(case_id=case.id, how=how.value)
    before = transfers_of(unit, sharing)[int(line)]
    owed = before.held - before.due
    keep_transfer(unit, replace(before, given=before.given + owed))
    is_paid = how is Settlement.PAID_OTHERWISE
    source = Account.PLATFORM_FUNDS if is_paid else Account.WRITTEN_OFF
    kind = JournalKind.PAID_OTHERWISE if is_paid else JournalKind.WRITTEN_OFF
    lines = {before.account: owed.fen, source.value: -owed.fen}
    book(unit, kind, reference=f"{case.reference}.{case.times}", order_id=case.order_id, lines=lines, now=now)


def _settle_return_case(unit: Unit, case: Case, how: Settlement, *, now: datetime) -> None:
    back = unit.load(ShareReturn, case.reference)
    match how:
        case Settlement.RETRY:
            if back.kind is not ReceiverKind.MERCHANT:
                raise CannotSettle(case_id=case.id, how=how.value)
            owe_no_more(unit, back)
            attempts = back.attempts + 1
            number = out_refund_no_of(f"{back.id}.a{attempts}")  # a refused number is refused for good
            again = replace(back, state=ReturnState.DUE, attempts=attempts, out_return_no=number, due_at=now, reason="")
            unit.put(again)
            unit.schedule(return_timer(again), return_errand(unit, again), at=now)
        case Settlement.PAID_OTHERWISE | Settlement.WRITE_OFF:
            owe_no_more(unit, back)
            is_paid = how is Settlement.PAID_OTHERWISE
            state = ReturnState.PAID_OTHERWISE if is_paid else ReturnState.WRITTEN_OFF
            unit.put(replace(back, state=state, ended_at=now))
            account = Account.PLATFORM_FUNDS if is_paid else Account.WRITTEN_OFF
            kind = JournalKind.PAID_OTHERWISE if is_paid else JournalKind.WRITTEN_OFF
            lines = {account.value: back.left.fen, back.owed_in: -back.left.fen}
            book(unit, kind, reference=back.id, order_id=back.order_id, lines=lines, now=now)
        case _:
            assert_never(how)
