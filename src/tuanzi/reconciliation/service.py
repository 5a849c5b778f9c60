"""Keeps what comparing found and books what mends it; nothing is believed that may have moved since (C3).

Every command is harmless twice: journals have ids of their own, rows are written as they must be, an ended difference
stays ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

import msgspec
from msgspec.structs import replace

from tuanzi.base.money import Money
from tuanzi.base.problem import Problem
from tuanzi.base.time import SHANGHAI
from tuanzi.base.unit import Unit
from tuanzi.events import BillsUnusable, DifferenceFound, DifferenceRaised, DifferenceRepaired, OrderDoubted, RefundDue
from tuanzi.machinery.memory import Place
from tuanzi.money import (
    Account,
    Balance,
    NotInSuspense,
    Payment,
    RecordRefund,
    Refund,
    RefundProgress,
    RefundState,
    capture_journal,
    end_aside,
    free_payouts,
    hold_payouts,
    keep_proof,
    record_capture,
    record_refund,
    refund_due_journal,
    refund_settled_journal,
    restore_balance,
    restore_journal,
    return_suspense,
    reverse_capture,
    set_aside,
)
from tuanzi.reconciliation.model import (
    DAY,
    SAFE,
    AdvanceRefund,
    AsideEnd,
    AsideEnded,
    Asked,
    AskRun,
    Begin,
    CheckBills,
    CheckBooks,
    Cursor,
    DifferenceStanding,
    EndAside,
    EndDifference,
    Finding,
    KeptDifference,
    Kind,
    Mend,
    MendDifference,
    OweRefund,
    RaiseDifference,
    RecordRun,
    ReplayCapture,
    Report,
    RestoreBalance,
    RestoreCapture,
    RestoreRefund,
    ReturnSuspense,
    ReverseCapture,
    Run,
    RunKind,
    SetAside,
    SettleDifference,
    State,
    SuspenseReturned,
    TryAgain,
    report_hash,
)
from tuanzi.reconciliation.problems import BillsGone, DayNotOver, DifferenceEnded
from tuanzi.sharing import on_refund_due

EVERY = timedelta(minutes=1)  # internal differences are told within 60 s (reliability.md 7)
# The provider's bills are there at 10:00 (WeChat Pay v3); five minutes later everybody else has asked.
BILLS_AT = time(10, 5, tzinfo=SHANGHAI)
BILLS_KEPT = timedelta(days=90)  # WeChat Pay v3: three months; asked for older ones it says no for ever
ASK_AGAIN = timedelta(hours=1)  # our choice, for bills that cannot be used; a person asks the provider meanwhile
ATTEMPTS_MAX = 20  # about 15 minutes; then a person is told, and it is tried no more

_INTO = {
    AsideEnd.PAID_OTHERWISE: Account.PLATFORM_FUNDS,
    AsideEnd.BOOKED_BACK: Account.PROVIDER_CLEARING,
    AsideEnd.WRITE_OFF: Account.WRITTEN_OFF,
}

_encode = msgspec.json.encode


def begin(unit: Unit, command: Begin, *, now: datetime) -> None:
    """Compare from now on: books every minute, the bills of today and of every day after. A repeat changes nothing.

    Where a day that is not over was compared, a clock was ahead then, and which days it passed over nobody knows: all
    are compared again whose bills the provider keeps.
    """
    cursor = unit.find(Cursor, "books") or Cursor()
    today = now.astimezone(SHANGHAI).date()
    if not cursor.billed:
        cursor = replace(cursor, billed=(today - DAY).isoformat())
        unit.put(cursor)
    elif cursor.billed >= today.isoformat():
        cursor = replace(cursor, billed=(_first_billable(now) - DAY).isoformat())
        unit.put(cursor)
    unit.schedule("reconciliation:books", CheckBooks(), at=now + EVERY)
    _bill_next(unit, cursor, now=now)


def ask_run(unit: Unit, command: AskRun, *, now: datetime) -> Asked:
    """Have books compared at once, with the bills of a day when one is named. Raises DayNotOver, BillsGone."""
    if command.on is None:
        unit.schedule("reconciliation:asked", CheckBooks(kind=RunKind.ASKED), at=now)
    else:
        today = now.astimezone(SHANGHAI).date()
        if command.on >= today or now < bills_ready_at(command.on):
            raise DayNotOver(on=command.on.isoformat())
        if today - command.on > BILLS_KEPT:
            raise BillsGone(on=command.on.isoformat(), first_on=(today - BILLS_KEPT).isoformat())
        unit.schedule(_asked_timer(command.on), CheckBills(on=command.on, kind=RunKind.ASKED), at=now)
    return Asked(on=command.on)


def bills_ready_at(on: date) -> datetime:
    """When the bills of a day are asked for."""
    return datetime.combine(on + DAY, BILLS_AT)


def record_run(unit: Unit, command: RecordRun, *, now: datetime) -> None:
    """Keep what a comparison found, have it mended, hold payouts, write the report, and go on later.

    What is open already is not found again.
    """
    cursor = unit.find(Cursor, "books") or Cursor()
    run_id = _run_id(command, number=cursor.report_number + 1)
    found = [kept for finding in command.findings if (kept := _keep(unit, finding, run_id=run_id, now=now)) is not None]
    for difference_id in command.matched:
        _end(unit, unit.load(KeptDifference, difference_id), State.SETTLED, by="itself", reason="in a bill", now=now)
    # Another run may have been recorded meanwhile: the chain goes on from what is kept, the rest is this run's.
    cursor = replace(command.cursor, report_number=cursor.report_number, report_hash=cursor.report_hash)
    if command.on is None or command.kind is RunKind.ASKED:
        cursor = replace(cursor, billed=(unit.find(Cursor, "books") or cursor).billed)
    else:
        cursor = _with_books_of(unit, cursor)
    if found or command.kind is not RunKind.MINUTE or command.matched or command.fault:
        cursor = _report(unit, command, cursor=cursor, found=found, run_id=run_id, now=now)
    unit.put(cursor)
    if command.proof is not None:
        keep_proof(unit, command.proof)
    if command.on is not None and command.fault:
        unit.emit(BillsUnusable(on_day=command.on.isoformat(), reason=command.fault))
    if command.on is None and command.kind is RunKind.MINUTE:
        next_at = now if command.is_behind else max(now, command.began_at + EVERY)
        unit.schedule("reconciliation:books", CheckBooks(), at=next_at)
    elif (
        command.on is not None
        and command.kind is RunKind.DAILY
        and command.fault
        and command.on >= _first_billable(now)
    ):
        unit.schedule("reconciliation:bills", CheckBills(on=command.on), at=now + ASK_AGAIN)
    elif command.kind is RunKind.DAILY:
        _bill_next(unit, cursor, now=now)
    elif command.on is not None and not command.is_whole:
        unit.schedule(_asked_timer(command.on), CheckBills(on=command.on, kind=RunKind.ASKED), at=now)


def _with_books_of(unit: Unit, cursor: Cursor) -> Cursor:
    """A day's cursor with how far the minute runs are now."""
    kept = unit.find(Cursor, "books") or cursor
    return replace(kept, billed=cursor.billed)


def _bill_next(unit: Unit, cursor: Cursor, *, now: datetime) -> None:
    """Have the next day's bills asked for. Days whose bills the provider keeps no more, for the campus was off so long,
    are passed over, and that is told once."""
    on, first = date.fromisoformat(cursor.billed) + DAY, _first_billable(now)
    if on < first:
        unit.emit(BillsUnusable(on_day=on.isoformat(), reason=f"kept no more, as those until {first - DAY}"))
        unit.put(replace(cursor, billed=(first - DAY).isoformat()))
        on = first
    unit.schedule("reconciliation:bills", CheckBills(on=on), at=max(now, bills_ready_at(on)))


def _first_billable(now: datetime) -> date:
    """The oldest day to be compared: its bills and those of the day before are kept still."""
    return now.astimezone(SHANGHAI).date() - BILLS_KEPT + DAY


def _run_id(command: RecordRun, *, number: int) -> str:
    """Sorts by time; told apart by the number that its report would have."""
    day = "" if command.on is None else f".{command.on.isoformat()}"
    return f"{command.began_at.strftime('%Y%m%dT%H%M%S')}.{number}.{command.kind.value}{day}"


def new_to_run(command: RecordRun) -> Sequence[Place]:
    """What a run looks for and mostly makes: the differences it found."""
    return [(KeptDifference, finding.difference.id) for finding in command.findings]


def _keep(unit: Unit, finding: Finding, *, run_id: str, now: datetime) -> KeptDifference | None:
    """Keep a difference that is new; None when it is open already, or a bill says again what was dealt with."""
    found = finding.difference
    known = unit.find(KeptDifference, found.id)
    if known is not None and known.covers(found):
        return None
    is_raised = found.mend not in SAFE
    kept = KeptDifference(
        id=found.id,
        kind=found.kind,
        item=found.key,
        order_id=found.order_id,
        merchant_ids=finding.merchant_ids,
        sides=found.sides,
        unexplained_fen=found.unexplained_fen,
        mend=found.mend,
        evidence=found.evidence,
        state=State.CARRIED if found.mend is Mend.CARRY else State.OPEN,
        run_id=run_id,
        found_at=now,
        occurrences=1 if known is None else known.occurrences + 1,
        is_raised=is_raised,
    )
    if known is None:
        unit.add(kept)
    else:
        unit.put(kept)
    if kept.state is State.OPEN and kept.unexplained_fen:
        for merchant_id in kept.merchant_ids:
            hold_payouts(unit, merchant_id, because=kept.id)
    if found.mend not in (Mend.NONE, Mend.CARRY):
        unit.schedule(_mend_timer(kept.id), MendDifference(difference_id=kept.id), at=now)
    told = DifferenceFound(
        difference_id=kept.id,
        difference_class=kept.kind.value,
        key=kept.item,
        order_id=kept.order_id,
        unexplained_fen=kept.unexplained_fen,
        mend=kept.mend.value,
        is_raised=is_raised,
    )
    unit.emit(told)
    return kept


def _report(
    unit: Unit, command: RecordRun, *, cursor: Cursor, found: list[KeptDifference], run_id: str, now: datetime
) -> Cursor:
    number = cursor.report_number + 1
    run = Run(
        id=run_id,
        kind=command.kind,
        on_day=None if command.on is None else command.on.isoformat(),
        began_at=command.began_at,
        ended_at=now,
        orders_read=command.orders_read,
        lines_read=command.lines_read,
        under_way=command.under_way,
        found=len(found),
        unexplained_fen=sum(kept.unexplained_fen for kept in found if kept.state is State.OPEN),
        fault=command.fault[:200],
        report_number=number,
    )
    body = _encode({"run": run, "matched": command.matched, "differences": found}).decode()
    digest = report_hash(cursor.report_hash, body)
    unit.put(run)
    unit.add(Report(number=number, run_id=run_id, made_at=now, body=body, previous=cursor.report_hash, hash=digest))
    return replace(cursor, report_number=number, report_hash=digest)


# the end of a difference


def end_difference(unit: Unit, command: EndDifference, *, now: datetime) -> DifferenceStanding:
    """Note that a difference is mended or was gone. Raises Unknown."""
    by = "mend" if command.state is State.REPAIRED else "itself"
    kept = unit.load(KeptDifference, command.difference_id)
    return _end(unit, kept, command.state, by=by, reason=command.reason, now=now)


def settle_difference(unit: Unit, command: SettleDifference, *, now: datetime) -> DifferenceStanding:
    """An operator has dealt with it, and says how. Raises Unknown, DifferenceEnded."""
    kept = unit.load(KeptDifference, command.difference_id)
    if kept.is_ended:
        raise DifferenceEnded(difference_id=kept.id, state=kept.state.value)
    return _end(unit, kept, State.SETTLED, by=command.by, reason=command.reason, now=now)


def return_from_suspense(unit: Unit, command: ReturnSuspense, *, now: datetime) -> SuspenseReturned:
    """Send money of another amount than was asked back to who paid it; the difference is settled by who said so.

    Also of one that a person had settled and left in suspense. Raises Unknown, NotInSuspense: of anything else, and
    when it was sent back before.
    """
    kept = unit.load(KeptDifference, command.difference_id)
    payment = unit.find(Payment, kept.item)
    if kept.kind is not Kind.AMOUNTS or payment is None:
        raise NotInSuspense(payment_id=kept.item)
    refund = return_suspense(unit, payment.id, now=now)
    _end(unit, kept, State.SETTLED, by=command.by, reason="sent_back", now=now)
    return SuspenseReturned(difference_id=kept.id, refund_id=refund.id, amount_fen=refund.amount.fen)


def end_set_aside(unit: Unit, command: EndAside, *, now: datetime) -> AsideEnded:
    """Book what a difference has in suspense as an operator says that it ended, once; the difference is settled by him.

    Also of one that a person had settled and left in suspense; what was said then is kept before what is said now.
    Raises Unknown, NotInSuspense (what a repeat gets, and a reversal that is to be booked back: more than what is in
    suspense was reversed).
    """
    kept = unit.load(KeptDifference, command.difference_id)
    if kept.kind is Kind.UNKNOWN_THERE and command.how is AsideEnd.BOOKED_BACK:
        raise NotInSuspense(difference_id=kept.id)
    more = end_aside(unit, id=kept.id, order_id=kept.order_id, into=_INTO[command.how], now=now)
    said = f"{command.how.value}: {command.reason}"
    if kept.is_ended:
        unit.put(replace(kept, ended_by=command.by, ended_at=now, reason=f"{kept.reason or ''}; {said}"))
        unit.emit(DifferenceRepaired(difference_id=kept.id, by=command.by, reason=said, about=kept.order_id))
    else:
        _end(unit, kept, State.SETTLED, by=command.by, reason=said, now=now)
    return AsideEnded(difference_id=kept.id, how=command.how, suspense_fen=more.fen)


def raise_difference(unit: Unit, command: RaiseDifference, *, now: datetime) -> DifferenceStanding:
    """Ask for a person, once. Raises Unknown."""
    return _raise(unit, unit.load(KeptDifference, command.difference_id), reason=command.reason)


def try_again(unit: Unit, command: TryAgain, *, now: datetime) -> DifferenceStanding:
    """Mend it later, and later again; in the end ask for a person. Raises Unknown."""
    kept = unit.load(KeptDifference, command.difference_id)
    if kept.is_ended:
        return _standing(kept)
    kept = replace(kept, attempts=kept.attempts + 1, reason=command.reason)
    unit.put(kept)
    if kept.attempts >= ATTEMPTS_MAX:
        return _raise(unit, kept, reason=command.reason)
    pause = timedelta(seconds=min(60, 2**kept.attempts))
    unit.schedule(_mend_timer(kept.id), MendDifference(difference_id=kept.id), at=now + pause)
    return _standing(kept)


def _end(unit: Unit, kept: KeptDifference, state: State, *, by: str, reason: str, now: datetime) -> DifferenceStanding:
    if kept.is_ended:
        return _standing(kept)
    ended = kept.ended(state, by=by, reason=reason, at=now)
    unit.put(ended)
    unit.unschedule(_mend_timer(kept.id))
    for merchant_id in kept.merchant_ids:
        free_payouts(unit, merchant_id, because=kept.id)
    unit.emit(DifferenceRepaired(difference_id=kept.id, by=by, reason=reason, about=kept.order_id))
    return _standing(ended)


def _repaired(unit: Unit, kept: KeptDifference, *, now: datetime) -> DifferenceStanding:
    return _end(unit, kept, State.REPAIRED, by="mend", reason=kept.mend.value, now=now)


def _raise(unit: Unit, kept: KeptDifference, *, reason: str) -> DifferenceStanding:
    if kept.is_ended:
        return _standing(kept)
    raised = replace(kept, is_raised=True, reason=reason)
    unit.put(raised)
    unit.unschedule(_mend_timer(kept.id))
    if not kept.is_raised:
        unit.emit(DifferenceRaised(difference_id=kept.id, reason=reason))
    return _standing(raised)


# what mends


def restore_capture(unit: Unit, command: RestoreCapture, *, now: datetime) -> DifferenceStanding:
    """Write a payment and its journal as most rows say they were; not when the payment has moved on since.

    What memory has may be right while the row is not: then that is written again.
    """
    kept, right = unit.load(KeptDifference, command.difference_id), command.payment
    if kept.is_ended:
        return _standing(kept)
    known = unit.find(Payment, right.id)
    if known is not None and known != command.seen:
        same = (known.captured, known.state, known.refunded) == (right.captured, right.state, right.refunded)
        if not same:
            return _later(unit, kept, now=now)
        right = known
    unit.restore(right)
    restore_journal(unit, capture_journal(right, at=right.captured_at or now))
    return _repaired(unit, kept, now=now)


def restore_refund(unit: Unit, command: RestoreRefund, *, now: datetime) -> DifferenceStanding:
    """Write a refund and its journals as most rows say they were, and have one that is still owed asked about."""
    kept, right = unit.load(KeptDifference, command.difference_id), command.refund
    if kept.is_ended:
        return _standing(kept)
    known = unit.find(Refund, right.id)
    if known is not None and known != command.seen:
        if (known.amount, known.state) != (right.amount, right.state):
            return _later(unit, kept, now=now)
        right = known
    unit.restore(right)
    restore_journal(unit, refund_due_journal(right, at=right.due_at))
    if right.state is RefundState.SETTLED:
        restore_journal(unit, refund_settled_journal(right, at=right.settled_at or now))
    elif right.state in (RefundState.DUE, RefundState.SENT):
        ask = RecordRefund(refund_id=right.id, progress=RefundProgress.UNKNOWN, amount_fen=right.amount.fen)
        record_refund(unit, ask, now=now)
    return _repaired(unit, kept, now=now)


def restore_running_balance(unit: Unit, command: RestoreBalance, *, now: datetime) -> DifferenceStanding:
    """Write a running balance as the sum of its entries; not when it has moved on since."""
    kept = unit.load(KeptDifference, command.difference_id)
    if kept.is_ended:
        return _standing(kept)
    known = unit.find(Balance, command.account)
    said = 0 if known is None else known.amount.fen
    if said not in (command.seen_fen, command.fen):
        return _later(unit, kept, now=now)
    restore_balance(unit, command.account, amount=Money(command.fen))
    return _repaired(unit, kept, now=now)


def replay_capture(unit: Unit, command: ReplayCapture, *, now: datetime) -> DifferenceStanding:
    """Record money that came, as its callback would have: core decides what becomes of it (D1, D4, D5)."""
    kept = unit.load(KeptDifference, command.difference_id)
    if kept.is_ended:
        return _standing(kept)
    try:
        record_capture(unit, command.capture, now=now)
    except Problem as problem:
        return _raise(unit, kept, reason=problem.code)
    return _repaired(unit, kept, now=now)


def advance_refund(unit: Unit, command: AdvanceRefund, *, now: datetime) -> DifferenceStanding:
    """Record what the provider says of a refund (D4)."""
    kept = unit.load(KeptDifference, command.difference_id)
    if kept.is_ended:
        return _standing(kept)
    standing = record_refund(unit, command.refund, now=now)
    if standing.state is RefundState.SETTLED:
        return _repaired(unit, kept, now=now)
    if command.refund.progress is RefundProgress.PROCESSING:
        return _later(unit, kept, now=now)
    return _raise(unit, kept, reason=f"the refund is {standing.state.value}")


def owe_refund(unit: Unit, command: OweRefund, *, now: datetime) -> DifferenceStanding:
    """Owe and send what an order promised, once for each refund id, as the event would have (D7)."""
    kept = unit.load(KeptDifference, command.difference_id)
    if kept.is_ended:
        return _standing(kept)
    due = RefundDue(
        refund_id=command.refund_id,
        order_id=command.order_id,
        member_id=command.member_id,
        amount_fen=command.amount_fen,
        reason=command.reason,
    )
    on_refund_due(unit, due, now=now)
    return _repaired(unit, kept, now=now)


def book_reversal(unit: Unit, command: ReverseCapture, *, now: datetime) -> DifferenceStanding:
    """Reverse a capture that the provider never had, have its order held, and ask for a person (D2).

    Core hears of holding and freeing by the log of this database, so that whatever ends the difference frees the order
    and nothing holds it afterwards.
    """
    kept = unit.load(KeptDifference, command.difference_id)
    if kept.is_ended:
        return _standing(kept)
    payment = unit.load(Payment, command.payment_id)
    reverse_capture(unit, payment, escrow=Money(command.escrow_fen), id=kept.id, now=now)
    if command.holds_order:
        unit.emit(OrderDoubted(order_id=kept.order_id, difference_id=kept.id))
    return _raise(unit, kept, reason="the provider was never paid: reversed, and the order is held")


def book_aside(unit: Unit, command: SetAside, *, now: datetime) -> DifferenceStanding:
    """Book what the provider has more or less into suspense, and ask for a person (D3); of another amount than before
    the rest. Where nothing is left of it, somebody has dealt with it."""
    kept = unit.load(KeptDifference, command.difference_id)
    if kept.is_ended:
        return _standing(kept)
    left = set_aside(unit, id=kept.id, order_id=command.order_id, more=Money(command.more_fen), now=now)
    if not left:
        return _end(unit, kept, State.SETTLED, by="itself", reason="booked as a person said before", now=now)
    return _raise(unit, kept, reason="the amounts differ: the difference is in suspense")


def _later(unit: Unit, kept: KeptDifference, *, now: datetime) -> DifferenceStanding:
    return try_again(unit, TryAgain(difference_id=kept.id, reason="it has moved on"), now=now)


def _asked_timer(on: date) -> str:
    return f"reconciliation:asked:{on.isoformat()}"


def _mend_timer(difference_id: str) -> str:
    return f"mend:{difference_id}"


def _standing(kept: KeptDifference) -> DifferenceStanding:
    return DifferenceStanding(difference_id=kept.id, state=kept.state, is_raised=kept.is_raised, reason=kept.reason)
