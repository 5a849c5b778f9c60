"""Differences between a day's bills of the provider and the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta

from msgspec import Struct

from tuanzi.base.time import SHANGHAI
from tuanzi.money import BillLine, BillState, Payment, PaymentState, Refund, RefundState
from tuanzi.reconciliation.model.differences import Book, Difference, Kind, Mend, Side, difference_of
from tuanzi.sharing import BookedAtProvider

# What the ledger noted so shortly before midnight may stand in the provider's next bill (our choice: its clock and its
# answers are seconds off, a callback that is late is noted later and so finds its line in an earlier bill).
CUT_OFF = timedelta(minutes=30)
DAY = timedelta(days=1)


def bill_fault(on: date, *, trades: Sequence[BillLine], shares: Sequence[BillLine], funds: Sequence[BillLine]) -> str:
    """Why the bills of a day cannot be used: what moved in one did not in another; empty when they can.

    Fees stand in the bill of funds alone; near midnight one bill may have today what the other has tomorrow.
    """
    moved, in_funds = _moves(on, (*trades, *shares)), _moves(on, funds)
    wrong = {move for move in {**moved, **in_funds} if moved[move] != in_funds[move]}
    if not wrong:
        return ""
    return f"{len(wrong)} of {len(moved)} numbers, such as {min(wrong)[1]}, are not alike in the bill of funds"


def lines_of_here(
    trades: Sequence[BillLine], shares: Sequence[BillLine], *, trades_before: Sequence[BillLine]
) -> tuple[list[BillLine], list[BillLine]]:
    """The trades and shares of a day without those of other campuses that have the same account with the company.

    The bill of shares does not say whose they are; the payment of most is in the bill of its day, or of the day before.
    """
    elsewhere = {line.transaction_id for line in (*trades, *trades_before) if line.is_elsewhere}
    here = [line for line in trades if not line.is_elsewhere]
    return here, [line for line in shares if line.transaction_id not in elsewhere]


# Our choice: so many at once are no accident; nor is it one when nothing of a day is there, be it as few as three.
GAP_MIN = 10
GAP_ALL_MIN = 3


def gap_fault(found: Sequence[Difference], *, of: int) -> str:
    """Why a bill is not believed that lacks more than a tenth of what the ledger noted; empty when it does not.

    Then the bill is not whole, or is somebody else's: reversing a whole lunch for it would be the greater fault.
    """
    missing = sum(one.kind is Kind.UNKNOWN_THERE for one in found)
    is_gap = missing * 10 > of and (missing >= GAP_MIN or (missing == of and of >= GAP_ALL_MIN))
    if not is_gap:
        return ""
    return f"{missing} of the {of} payments and refunds of the day are not in the bills"


def _moves(on: date, lines: Sequence[BillLine]) -> Counter[tuple[str, str]]:
    """Fen by what was done and its number; the parts of a share are one movement of funds."""
    begins, ends = day_of(on)
    fens: Counter[tuple[str, str]] = Counter()
    for line in lines:
        if line.state is not BillState.FEE and begins + CUT_OFF <= line.at < ends - CUT_OFF:
            fens[line.state.value, line.key.partition("/")[0]] += line.amount_fen
    return fens


def day_of(on: date) -> tuple[datetime, datetime]:
    """When a day of bills begins and ends, in Asia/Shanghai."""
    begins = datetime.combine(on, time(), tzinfo=SHANGHAI)
    return begins, begins + DAY


class Statement(Struct, frozen=True, kw_only=True, gc=False):
    """A day as the provider and the ledger have it.

    lines: of the day. before: keys of payments and refunds in the bill of the day before.
    payments, refunds: by their numbers at the provider; at least those of the lines.
    shared: what shares and returns are kept under the numbers of the lines, by key.
    captured, settled, moved: what the ledger noted on that day, or carried into it (keys in `carried`).
    paid_twice: by trade number: the payment that had paid the order before.
    """

    on: date
    lines: Sequence[BillLine]
    before: frozenset[str]
    payments: Mapping[str, Payment]
    refunds: Mapping[str, Refund]
    shared: Mapping[str, BookedAtProvider]
    captured: Sequence[Payment]
    settled: Sequence[Refund]
    moved: Sequence[BookedAtProvider]
    carried: frozenset[str]
    paid_twice: Mapping[str, str]


def of_statement(day: Statement) -> list[Difference]:
    """Every difference between a day's bill and the ledger, each with one class."""
    found: list[Difference] = []
    seen: dict[str, BillLine] = {}
    for line in sorted(day.lines, key=lambda one: one.at):
        first = seen.get(line.key)
        seen.setdefault(line.key, line)
        if first is not None:
            found.append(_twice(day, first, line))
        elif line.state is BillState.PAID:
            found += _paid(day, line)
        elif line.state is BillState.REFUNDED:
            found += _refunded(day, line)
        elif line.state in (BillState.SHARED, BillState.RETURNED):
            found += _shared(day, line)
    there = seen.keys() | day.before
    for payment in day.captured:
        if (key := payment.out_trade_no) not in there:
            noted = Noted(key=key, at=payment.captured_at, order_id=payment.order_id, fen=payment.captured.fen)
            found.append(_not_there(day, noted, row=payment, mend=Mend.REVERSE_CAPTURE))
    for refund in day.settled:
        if (key := refund.out_refund_no) not in there:
            noted = Noted(key=key, at=refund.settled_at, order_id=refund.order_id, fen=refund.amount.fen)
            found.append(_not_there(day, noted, row=refund, mend=Mend.RESEND_REFUND))
    for booked in day.moved:
        if booked.key not in there:
            noted = Noted(key=booked.key, at=booked.at, order_id=booked.order_id, fen=booked.fen)
            found.append(_not_there(day, noted, row=booked, mend=Mend.NONE))
    return found


class Noted(Struct, frozen=True, kw_only=True, gc=False):
    """What the ledger has of something that its bill may lack."""

    key: str
    at: datetime | None
    order_id: str
    fen: int


def _paid(day: Statement, line: BillLine) -> Iterator[Difference]:
    payment = day.payments.get(line.key)
    provider = Side(book=Book.PROVIDER, fen=line.amount_fen, says=line.state.value)
    order_id = "" if payment is None else payment.order_id
    rows = {"line": line, "payment": payment}
    ledger = Side(
        book=Book.LEDGER,
        fen=None if payment is None else payment.captured.fen,
        says="" if payment is None else payment.state.value,
    )

    def differs(kind: Kind, mend: Mend, fen: int) -> Difference:
        return difference_of(kind, line.key, provider, ledger, mend=mend, order_id=order_id, fen=fen, rows=rows)

    if payment is None:
        is_twice = line.key in day.paid_twice
        yield differs(Kind.TWICE if is_twice else Kind.UNKNOWN_HERE, Mend.REPLAY_CAPTURE, line.amount_fen)
        return
    match payment.state:
        case PaymentState.OPENED:
            yield differs(Kind.STATES, Mend.ADVANCE_PAYMENT, line.amount_fen)
        case PaymentState.REFUSED | PaymentState.CLOSED:
            yield differs(Kind.UNKNOWN_HERE, Mend.REPLAY_CAPTURE, line.amount_fen)
        case PaymentState.CAPTURED | PaymentState.MISFIT:
            if payment.captured.fen != line.amount_fen:
                yield differs(Kind.AMOUNTS, Mend.SET_ASIDE, line.amount_fen - payment.captured.fen)
            elif payment.transaction_id != line.transaction_id:
                yield differs(Kind.TWICE, Mend.NONE, line.amount_fen)


def _refunded(day: Statement, line: BillLine) -> Iterator[Difference]:
    refund = day.refunds.get(line.key)
    provider = Side(book=Book.PROVIDER, fen=-line.amount_fen, says=line.state.value)
    ledger = Side(
        book=Book.LEDGER,
        fen=None if refund is None else refund.amount.fen,
        says="" if refund is None else refund.state.value,
    )
    order_id = "" if refund is None else refund.order_id
    rows = {"line": line, "refund": refund}

    def differs(kind: Kind, mend: Mend, fen: int) -> Difference:
        return difference_of(kind, line.key, provider, ledger, mend=mend, order_id=order_id, fen=fen, rows=rows)

    if refund is None or refund.state is RefundState.PARKED:
        yield differs(Kind.UNKNOWN_HERE, Mend.NONE, line.amount_fen)  # it left, and nobody here asked for it
    elif refund.amount.fen != -line.amount_fen:
        yield differs(Kind.AMOUNTS, Mend.SET_ASIDE, -line.amount_fen - refund.amount.fen)
    elif refund.state is not RefundState.SETTLED:
        yield differs(Kind.STATES, Mend.ADVANCE_REFUND, line.amount_fen)


def _shared(day: Statement, line: BillLine) -> Iterator[Difference]:
    """What a receiver was given, or gave back."""
    booked = day.shared.get(line.key)
    is_return = line.state is BillState.RETURNED
    fen = line.amount_fen if is_return else -line.amount_fen
    says = "" if booked is None else "done" if booked.is_done else "over" if booked.is_over else "under way"
    provider = Side(book=Book.PROVIDER, fen=fen, says=line.state.value)
    ledger = Side(book=Book.LEDGER, fen=None if booked is None else booked.fen, says=says)
    order_id = "" if booked is None else booked.order_id
    rows = {"line": line, "booked": booked}

    def differs(kind: Kind, mend: Mend, apart_fen: int) -> Difference:
        return difference_of(kind, line.key, provider, ledger, mend=mend, order_id=order_id, fen=apart_fen, rows=rows)

    if booked is None or booked.is_return is not is_return:
        yield differs(Kind.UNKNOWN_HERE, Mend.NONE, fen)  # it was moved, and nobody here asked for it
    elif booked.fen != fen:
        yield differs(Kind.AMOUNTS, Mend.SET_ASIDE, fen - booked.fen)
    elif not booked.is_over:
        yield differs(Kind.STATES, Mend.AWAIT, fen)
    elif not booked.is_done:
        yield differs(Kind.STATES, Mend.NONE, fen)


def _twice(day: Statement, first: BillLine, later: BillLine) -> Difference:
    """The same number a second time: which one is wrong, and how it goes back, only a person can say."""
    payment = day.payments.get(later.key)
    refund = day.refunds.get(later.key)
    return difference_of(
        Kind.TWICE,
        later.key,
        Side(book=Book.PROVIDER, fen=first.amount_fen + later.amount_fen, says="twice"),
        Side(book=Book.LEDGER, fen=None if payment is None else payment.captured.fen),
        mend=Mend.NONE,
        order_id=payment.order_id if payment is not None else refund.order_id if refund is not None else "",
        fen=later.amount_fen,
        rows={"first": first, "later": later, "payment": payment, "refund": refund},
    )


def _not_there(day: Statement, noted: Noted, *, row: object, mend: Mend) -> Difference:
    """The ledger has it and the bill does not: near midnight it is carried a day, else `mend` asks the provider."""
    _, ends_at = day_of(day.on)
    is_late = noted.at is not None and noted.at >= ends_at - CUT_OFF and noted.key not in day.carried
    return difference_of(
        Kind.CUT_OFF if is_late else Kind.UNKNOWN_THERE,
        noted.key,
        Side(book=Book.PROVIDER, fen=None),
        Side(book=Book.LEDGER, fen=noted.fen),
        mend=Mend.CARRY if is_late else mend,
        order_id=noted.order_id,
        fen=noted.fen,
        rows={"row": row, "on": day.on.isoformat()},
    )
