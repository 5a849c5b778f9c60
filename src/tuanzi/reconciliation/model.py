"""Comparing books, purely: rows keyed exactly, compared to the fen; every difference gets its class and its mend (C3).

The classes D1 to D7 and what is done about each are reliability.md 3.3. Nothing here reads a clock or a database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from hashlib import sha256

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.money import ZERO, Money
from tuanzi.base.time import SHANGHAI
from tuanzi.money import (
    Account,
    Balance,
    BillLine,
    BillState,
    Entry,
    JournalHead,
    Payment,
    PaymentState,
    RecordCapture,
    RecordRefund,
    Refund,
    RefundState,
    capture_journal,
    payment_of,
    refund_due_journal,
    refund_settled_journal,
)
from tuanzi.orders import DEAD, HOLDING, Order, OrderRecord, OrderState, SubOrder, SubOrderState, state_by_sub_orders
from tuanzi.orders import Refund as Promise
from tuanzi.pricing import allocate_refund
from tuanzi.sharing import BookedAtProvider
from tuanzi.splitting import plan
from tuanzi.stock import Portions

# What the ledger noted so shortly before midnight may stand in the provider's next bill (our choice: its clock and its
# answers are seconds off, a callback that is late is noted later and so finds its line in an earlier bill).
CUT_OFF = timedelta(minutes=30)
DAY = timedelta(days=1)

BOOKED = frozenset({RefundState.DUE, RefundState.SENT, RefundState.SETTLED, RefundState.REFUSED})
_encode = msgspec.json.encode


class Kind(StrEnum):
    """The seven classes of differences."""

    UNKNOWN_HERE = "D1"  # the provider has it, the ledger does not (长款)
    UNKNOWN_THERE = "D2"  # the ledger has it, the provider does not (短款)
    AMOUNTS = "D3"
    STATES = "D4"  # the provider is done with it, the ledger is not
    TWICE = "D5"  # twice at the provider
    CUT_OFF = "D6"  # noted on two sides of midnight
    ORDER_BOOK = "D7"  # the ledger, the order book and stock do not say the same


class Mend(StrEnum):
    """What is done about a difference; each is harmless twice and looks again before it changes anything."""

    REPLAY_CAPTURE = "replay_capture"  # as its callback would: an order that is gone gets it refunded
    ADVANCE_PAYMENT = "advance_payment"
    ADVANCE_REFUND = "advance_refund"
    REVERSE_CAPTURE = "reverse_capture"  # when the provider, asked, was not paid: reversed, held, and a person
    RESEND_REFUND = "resend_refund"  # when the provider, asked, did not pay it back: sent again under its number
    AWAIT = "await"  # sharing asks about it until it is over
    CARRY = "carry"
    RESTORE_CAPTURE = "restore_capture"  # the payment's row and its journal, as most of them say
    RESTORE_REFUND = "restore_refund"
    RESTORE_BALANCE = "restore_balance"  # rebuilt from the entries
    OWE_REFUND = "owe_refund"  # the order promised it, the ledger never heard
    RETELL_CAPTURE = "retell_capture"  # the ledger has it, the order never heard
    RETELL_REFUND = "retell_refund"
    RESTORE_ORDER = "restore_order"  # its amounts from the ledger, its state from its sub-orders
    RESTORE_SUB_ORDERS = "restore_sub_orders"  # from the order's plan
    RESTORE_PORTIONS = "restore_portions"  # from the orders
    SET_ASIDE = "set_aside"  # the difference to suspense, and a person
    NONE = "none"  # a person


# These end without a person when all goes well.
SAFE = frozenset(Mend) - {Mend.SET_ASIDE, Mend.NONE, Mend.REVERSE_CAPTURE}


class Book(StrEnum):
    """Who says something."""

    PROVIDER = "provider"
    LEDGER = "ledger"  # journals and entries
    PAYMENTS = "payments"  # the ledger's payments and refunds
    ORDERS = "orders"
    STOCK = "stock"


class Side(Struct, frozen=True, kw_only=True, gc=False):
    """What one book says: an amount, a state, or nothing (None)."""

    book: Book
    fen: int | None
    says: str = ""


class Difference(Struct, frozen=True, kw_only=True, gc=False):
    """Two books that do not agree about one thing.

    key: the thing, by the id that both books have for it. unexplained_fen: how far they are apart, never negative.
    evidence: the rows of each side as they were read, as JSON.
    """

    kind: Kind
    key: str
    order_id: str
    sides: tuple[Side, ...]
    unexplained_fen: int
    mend: Mend
    evidence: str

    @property
    def id(self) -> str:
        """The same for the same thing and class, so that what is found again is not a new difference."""
        return difference_id(self.kind, self.key)


def difference_id(kind: Kind, key: str) -> str:
    """The id of a difference of this class about this thing."""
    return f"d_{sha256(f'{kind.value}|{key}'.encode()).hexdigest()[:24]}"


def _differs(
    kind: Kind, key: str, *sides: Side, mend: Mend, order_id: str, fen: int, rows: Mapping[str, object]
) -> Difference:
    return Difference(
        kind=kind,
        key=key,
        order_id=order_id,
        sides=sides,
        unexplained_fen=abs(fen),
        mend=mend,
        evidence=_encode(rows).decode(),
    )


# within the campus: ledger, payments, order book


class Journal(Struct, frozen=True, kw_only=True, gc=False):
    """What is left of a journal: its head, its entries by line."""

    head: JournalHead | None
    entries: tuple[Entry, ...]

    def votes(self) -> Iterator[int]:
        """What its rows say was moved: the head once, every line once."""
        if self.head is not None:
            yield self.head.turnover.fen
        for entry in self.entries:
            yield abs(entry.amount.fen)

    @property
    def exists(self) -> bool:
        """Whether anything is left of it."""
        return self.head is not None or bool(self.entries)

    @property
    def moved(self) -> int | None:
        """The fen it moved; None when its rows do not agree."""
        said = set(self.votes())
        balance = sum(entry.amount.fen for entry in self.entries)
        if self.head is None or balance or self.head.entry_count != len(self.entries):
            return None
        turnover = sum(entry.amount.fen for entry in self.entries if entry.amount.fen > 0)
        return turnover if turnover == self.head.turnover.fen and said else None


NOWHERE = Journal(head=None, entries=())


class OrderBooks(Struct, frozen=True, kw_only=True, gc=False):
    """All that the books of a campus say of one order, read from one state of each database.

    order: None when the order book does not have it. is_readable: False when its row is there, but is no order.
    journals: by id; every journal with an entry of this order, and those its payments and refunds should have.
    due: journals that its shares must have, with their turnover where it is kept.
    """

    order_id: str
    order: OrderRecord | None
    is_readable: bool
    subs: tuple[SubOrder, ...]
    payments: tuple[Payment, ...]
    refunds: tuple[Refund, ...]
    journals: Mapping[str, Journal]
    due: Mapping[str, int | None] = {}

    def journal(self, kind: str, reference: str) -> Journal:
        """What is left of one journal."""
        return self.journals.get(f"{kind}:{reference}", NOWHERE)


def of_order(books: OrderBooks) -> list[Difference]:
    """Every difference within the campus about one order: first within the money, then, if there is none, with the
    order book, which follows the ledger."""
    found = [*_captures(books), *_refunds(books), *_strangers(books)]
    return found or [*_order_book(books)] or [*_plan(books)]


def standing(votes: Sequence[int]) -> int | None:
    """The amount that stands when rows differ: the one that most say, two at least; None: the provider must be asked.

    A row that is gone has no vote: rows vanish by accident, but do not appear by it.
    """
    counts = Counter(vote for vote in votes if vote).most_common(2)
    if not counts or counts[0][1] < 2 or (len(counts) > 1 and counts[1][1] == counts[0][1]):
        return None
    return counts[0][0]


class CaptureBooks(Struct, frozen=True, kw_only=True, gc=False):
    """All that is left of one captured payment in the money database."""

    payment_id: str
    order_id: str
    payment: Payment | None
    capture: Journal
    misfit: Journal
    promised: Money  # back, by its refunds

    @property
    def journal(self) -> Journal:
        """The journal it was booked by."""
        return self.misfit if self.misfit.exists and not self.capture.exists else self.capture

    @property
    def is_captured(self) -> bool:
        """Whether anything here says that its money came."""
        return self.journal.exists or (self.payment is not None and bool(self.payment.captured))

    @property
    def stands(self) -> int | None:
        """The captured fen, as most rows say."""
        row = [self.payment.captured.fen] if self.payment is not None else []
        return standing([*row, *self.journal.votes()])

    @property
    def agrees(self) -> bool:
        """Whether the row and its journal say the same, in full."""
        payment = self.payment
        if payment is None or payment.state not in (PaymentState.CAPTURED, PaymentState.MISFIT):
            return False
        due = capture_journal(payment, at=payment.captured_at or payment.opened_at)
        journal = self.capture if payment.state is PaymentState.CAPTURED else self.misfit
        other = self.misfit if payment.state is PaymentState.CAPTURED else self.capture
        same = journal.entries == due.entries and journal.moved == payment.captured.fen
        return same and not other.exists and payment.refunded == self.promised

    def restored(self, fen: int, *, member_id: str, transaction_id: str, provider: str, now: datetime) -> Payment:
        """The payment as it must have been when `fen` came; what nobody here knows any more is given."""
        payment = self.payment
        head = self.journal.head
        came_at = head.at if head is not None else now
        if payment is None:
            payment = Payment(
                id=self.payment_id,  # type: ignore[arg-type]
                order_id=self.order_id,  # type: ignore[arg-type]
                member_id=member_id,  # type: ignore[arg-type]
                amount=Money(fen),
                state=PaymentState.CAPTURED,
                provider=provider,
                out_trade_no=self.payment_id,
                opened_at=came_at,
            )
        fits = not self.misfit.exists or self.capture.exists
        return replace(
            payment,
            amount=Money(fen) if fits else payment.amount,
            state=PaymentState.CAPTURED if fits else PaymentState.MISFIT,
            transaction_id=payment.transaction_id or transaction_id,
            captured_at=payment.captured_at or came_at,
            captured=Money(fen),
            refunded=self.promised,
        )


def captures_of(books: OrderBooks) -> list[CaptureBooks]:
    """What the money database says of each payment of an order, its rows or what is left of its journals."""
    rows = {str(payment.id): payment for payment in books.payments}
    named = {
        journal_id.partition(":")[2]: None
        for journal_id in books.journals
        if journal_id.startswith(("capture:", "misfit:")) and books.journals[journal_id].exists
    }
    promised: Counter[str] = Counter()
    for back in refunds_of(books):
        if back.is_booked:
            promised[back.payment_id] += back.stands or 0
    return [
        CaptureBooks(
            payment_id=payment_id,
            order_id=books.order_id,
            payment=rows.get(payment_id),
            capture=books.journal("capture", payment_id),
            misfit=books.journal("misfit", payment_id),
            promised=Money(promised[payment_id]),
        )
        for payment_id in {**rows, **named}
    ]


def _captures(books: OrderBooks) -> Iterator[Difference]:
    for capture in captures_of(books):
        if not capture.is_captured or capture.agrees:
            continue
        payment = capture.payment
        row_fen = None if payment is None else payment.captured.fen
        fens = [fen for fen in (row_fen, *capture.journal.votes()) if fen is not None]
        yield _differs(
            Kind.ORDER_BOOK,
            capture.payment_id,
            Side(book=Book.PAYMENTS, fen=row_fen, says="" if payment is None else payment.state.value),
            Side(book=Book.LEDGER, fen=capture.journal.moved),
            mend=Mend.RESTORE_CAPTURE,
            order_id=books.order_id,
            fen=max(fens, default=0),
            rows={"payment": payment, "capture": capture.capture, "misfit": capture.misfit},
        )


class RefundBooks(Struct, frozen=True, kw_only=True, gc=False):
    """All that is left of one refund in the money database, and what its order promised."""

    refund_id: str
    order_id: str
    refund: Refund | None
    due: Journal
    settled: Journal
    promise: Promise | None

    @property
    def stands(self) -> int | None:
        """Its fen, as most rows say."""
        row = [self.refund.amount.fen] if self.refund is not None else []
        promised = [self.promise.amount.fen] if self.promise is not None else []
        return standing([*row, *self.due.votes(), *self.settled.votes(), *promised])

    @property
    def payment_id(self) -> str:
        """The payment it is taken from: its order's own, but for one that is returned as a whole."""
        if self.refund is not None:
            return self.refund.payment_id
        is_return = self.refund_id.endswith(".back")
        return self.refund_id.removesuffix(".back") if is_return else payment_of(self.order_id)

    @property
    def is_booked(self) -> bool:
        """Whether it was booked as owed, by what is left of it."""
        return self.due.exists or (self.refund is not None and self.refund.state in BOOKED)

    @property
    def is_settled(self) -> bool:
        """Whether the ledger booked that it was paid back."""
        return self.settled.exists

    @property
    def agrees(self) -> bool:
        """Whether the row and its journals say the same, in full."""
        refund = self.refund
        if refund is None:
            return not self.due.exists and not self.settled.exists
        due = refund_due_journal(refund, at=refund.due_at).entries if refund.state in BOOKED else ()
        is_settled = refund.state is RefundState.SETTLED
        settled = refund_settled_journal(refund, at=refund.due_at).entries if is_settled else ()
        return (
            self.due.entries == due
            and self.due.moved == (refund.amount.fen if due else None)
            and self.settled.entries == settled
            and self.settled.moved == (refund.amount.fen if settled else None)
        )

    def restored(self, fen: int, *, out_refund_no: str, now: datetime) -> Refund:
        """The refund as it must have been for `fen`."""
        refund = self.refund
        head = self.due.head or self.settled.head
        if refund is None:
            refund = Refund(
                id=self.refund_id,  # type: ignore[arg-type]
                order_id=self.order_id,  # type: ignore[arg-type]
                payment_id=self.payment_id,  # type: ignore[arg-type]
                amount=Money(fen),
                state=RefundState.DUE,
                out_refund_no=out_refund_no,
                reason="" if self.promise is None else self.promise.reason,
                due_at=now if head is None else head.at,
            )
        state = refund.state
        settled_at = refund.settled_at
        if self.settled.exists or state is RefundState.SETTLED:
            state = RefundState.SETTLED
            settled_at = settled_at or (now if self.settled.head is None else self.settled.head.at)
        elif state not in BOOKED:
            state, settled_at = RefundState.DUE, None
        return replace(refund, amount=Money(fen), state=state, settled_at=settled_at)


def refunds_of(books: OrderBooks) -> list[RefundBooks]:
    """What the money database says of each refund of an order, its rows or what is left of its journals."""
    rows = {str(refund.id): refund for refund in books.refunds}
    promises = {promise.id: promise for promise in books.order.refunds} if books.order is not None else {}
    named = {
        journal_id.partition(":")[2]: None
        for journal_id in books.journals
        if journal_id.startswith(("refund_due:", "refund_settled:")) and books.journals[journal_id].exists
    }
    return [
        RefundBooks(
            refund_id=refund_id,
            order_id=books.order_id,
            refund=rows.get(refund_id),
            due=books.journal("refund_due", refund_id),
            settled=books.journal("refund_settled", refund_id),
            promise=promises.get(refund_id),
        )
        for refund_id in {**rows, **named}
    ]


def _refunds(books: OrderBooks) -> Iterator[Difference]:
    for back in refunds_of(books):
        if back.agrees:
            continue
        refund = back.refund
        row_fen = None if refund is None else refund.amount.fen
        fens = [fen for fen in (row_fen, *back.due.votes(), *back.settled.votes()) if fen is not None]
        yield _differs(
            Kind.ORDER_BOOK,
            back.refund_id,
            Side(book=Book.PAYMENTS, fen=row_fen, says="" if refund is None else refund.state.value),
            Side(book=Book.LEDGER, fen=back.settled.moved if back.settled.exists else back.due.moved),
            mend=Mend.RESTORE_REFUND,
            order_id=books.order_id,
            fen=max(fens, default=0),
            rows={"refund": refund, "due": back.due, "settled": back.settled, "promise": back.promise},
        )


_OWN_KINDS = ("capture:", "misfit:", "refund_due:", "refund_settled:")


def _strangers(books: OrderBooks) -> Iterator[Difference]:
    """Journals of other kinds that do not balance, are not all there or not as much as was shared: only a person knows
    what they booked."""
    for journal_id in {**books.journals, **books.due}:
        journal, due = books.journals.get(journal_id, NOWHERE), books.due.get(journal_id)
        is_there = journal.exists or journal_id not in books.due
        is_whole = journal.moved is not None or not journal.exists
        if journal_id.startswith(_OWN_KINDS) or (is_there and is_whole and due in (None, journal.moved)):
            continue
        yield _differs(
            Kind.ORDER_BOOK,
            journal_id,
            Side(book=Book.LEDGER, fen=journal.moved, says="" if journal.exists else "no journal"),
            Side(book=Book.PAYMENTS, fen=due, says="its shares"),
            mend=Mend.NONE,
            order_id=books.order_id,
            fen=max([*journal.votes(), due or 0]),
            rows={"journal": journal, "due": due},
        )


def paid_by_ledger(books: OrderBooks) -> Money:
    """What the ledger has of an order's own payment, unless all of it was returned as not its price."""
    own = payment_of(books.order_id)
    payment = next((one for one in books.payments if one.id == own), None)
    if payment is None or payment.state is not PaymentState.CAPTURED:
        return ZERO
    returned = any(refund.id == f"{own}.back" and refund.state in BOOKED for refund in books.refunds)
    return ZERO if returned else payment.captured


def _order_book(books: OrderBooks) -> Iterator[Difference]:
    order = books.order
    captured = Money(sum(payment.captured.fen for payment in books.payments))
    if order is None:
        yield from _without_order(books, captured)
        return
    paid = paid_by_ledger(books)
    ledger = Side(book=Book.LEDGER, fen=paid.fen)
    says = Side(book=Book.ORDERS, fen=order.paid.fen, says=order.state.value)
    rows = {"order": order, "payments": books.payments, "refunds": books.refunds}

    def differs(mend: Mend, fen: int, *sides: Side) -> Difference:
        return _differs(
            Kind.ORDER_BOOK,
            books.order_id,
            *(sides or (ledger, says)),
            mend=mend,
            order_id=books.order_id,
            fen=fen,
            rows=rows,
        )

    if order.paid != paid:
        never_heard = not order.paid and order.state in (OrderState.CREATED, OrderState.CANCELLED)
        if not books.payments:  # nothing is left of it in the money database: the provider is asked
            yield _nothing_left(books, order)
            return
        yield differs(Mend.RETELL_CAPTURE if never_heard else Mend.RESTORE_ORDER, order.paid.fen - paid.fen)
        return
    promises = list(_promises(books, order))
    if promises:
        yield from promises
        return
    if not _adds_up(order):
        yield differs(Mend.RESTORE_ORDER, order.paid.fen)
        return
    state = state_expected(order, books.subs)
    if state is not None and state is not order.state:
        sides = says, Side(book=Book.ORDERS, fen=None, says=f"its sub-orders and refunds say {state.value}")
        yield differs(Mend.RESTORE_ORDER, 0, *sides)
    elif state is None and not may_be(order):
        yield differs(Mend.NONE, order.paid.fen)


def _promises(books: OrderBooks, order: OrderRecord) -> Iterator[Difference]:
    """Refunds that the order and the ledger do not have alike."""
    kept = {str(refund.id): refund for refund in books.refunds if not refund.id.endswith(".back")}
    for promise in order.refunds:
        refund = kept.pop(promise.id, None)
        if refund is None:
            yield _promise_differs(books, promise, None, mend=Mend.OWE_REFUND)
        elif refund.amount != promise.amount:
            yield _promise_differs(books, promise, refund, mend=Mend.RESTORE_ORDER)
        elif promise.is_settled and refund.state is not RefundState.SETTLED:
            yield _promise_differs(books, promise, refund, mend=Mend.ADVANCE_REFUND)
        elif refund.state is RefundState.SETTLED and not promise.is_settled:
            yield _promise_differs(books, promise, refund, mend=Mend.RETELL_REFUND)
    for refund in kept.values():
        if refund.state is not RefundState.PARKED:
            yield _promise_differs(books, None, refund, mend=Mend.RESTORE_ORDER)


def _nothing_left(books: OrderBooks, order: OrderRecord) -> Difference:
    """An order that was paid, and no payment and no journal of it."""
    return _differs(
        Kind.ORDER_BOOK,
        payment_of(books.order_id),
        Side(book=Book.PAYMENTS, fen=None),
        Side(book=Book.LEDGER, fen=None),
        Side(book=Book.ORDERS, fen=order.paid.fen, says=order.state.value),
        mend=Mend.RESTORE_CAPTURE,
        order_id=books.order_id,
        fen=order.paid.fen,
        rows={"order": order},
    )


def _without_order(books: OrderBooks, captured: Money) -> Iterator[Difference]:
    """Money of an order that is not in the order book and was not all returned: a person must look."""
    returned = sum(one.amount.fen for one in books.refunds if one.id.endswith(".back") and one.state in BOOKED)
    if books.is_readable and captured.fen == returned:
        return
    yield _differs(
        Kind.ORDER_BOOK,
        books.order_id,
        Side(book=Book.LEDGER, fen=captured.fen),
        Side(book=Book.ORDERS, fen=None, says="" if books.is_readable else "unreadable"),
        mend=Mend.NONE,
        order_id=books.order_id,
        fen=captured.fen - returned,
        rows={"payments": books.payments, "refunds": books.refunds, "sub_orders": books.subs},
    )


def _promise_differs(books: OrderBooks, promise: Promise | None, refund: Refund | None, *, mend: Mend) -> Difference:
    promised = ZERO if promise is None else promise.amount
    booked = ZERO if refund is None else refund.amount
    return _differs(
        Kind.ORDER_BOOK,
        f"{books.order_id}#{promise.id if promise is not None else refund.id if refund is not None else ''}",
        Side(
            book=Book.ORDERS,
            fen=None if promise is None else promised.fen,
            says="settled" if promise is not None and promise.is_settled else "",
        ),
        Side(
            book=Book.LEDGER,
            fen=None if refund is None else booked.fen,
            says="" if refund is None else refund.state.value,
        ),
        mend=mend,
        order_id=books.order_id,
        fen=max(promised.fen, booked.fen),
        rows={"promise": promise, "refund": refund},
    )


def _adds_up(order: OrderRecord) -> bool:
    """Whether an order's own amounts add up: its price, what it paid, what is left of that and what it promised."""
    left = sum(part.fen for part in order.refundable)
    quoted = sum(line.payable.fen for line in order.quote.lines) + order.quote.delivery_fee.fen
    if quoted != order.quote.payable.fen or order.sub_orders not in (0, _merchants_of(order)):
        return False
    if order.paid and (order.paid != order.payable or left + order.promised.fen != order.paid.fen):
        return False
    return bool(order.paid) or not order.refunds


def _merchants_of(order: Order) -> int:
    """How many sub-orders its split makes: one for each merchant."""
    return len({line.merchant_id for line in order.quote.lines})


def state_expected(order: Order, subs: Sequence[SubOrder]) -> OrderState | None:
    """The state that an order's sub-orders and refunds prove; None when they leave it open."""
    if order.paid and order.promised == order.paid and not _is_live(subs):
        is_over = all(refund.is_settled for refund in order.refunds)
        return OrderState.REFUNDED if is_over else OrderState.REFUNDING
    if order.state in (OrderState.REFUNDING, OrderState.REFUNDED):
        return None
    if order.sub_orders and len(subs) == order.sub_orders:
        reached = state_by_sub_orders([sub.state for sub in subs])
        if reached is OrderState.DELIVERED:
            over = (OrderState.DELIVERED, OrderState.COMPLETED, OrderState.AFTER_SALE)
            return order.state if order.state in over else OrderState.DELIVERED
        return reached
    return None


def _is_live(subs: Sequence[SubOrder]) -> bool:
    """Whether food of an order is still made or on its way."""
    return any(sub.state not in DEAD for sub in subs)


_BEFORE_MONEY = frozenset({OrderState.CREATED, OrderState.CANCELLED})
_WITH_MONEY_UNSPLIT = frozenset({OrderState.PAID, OrderState.GROUPED})
_GOING_BACK = frozenset({OrderState.REFUNDING, OrderState.REFUNDED})
_UNSPLIT = _BEFORE_MONEY | _WITH_MONEY_UNSPLIT | _GOING_BACK


def may_be(order: Order) -> bool:
    """Whether an order may be in its state at all, by its amounts and the number of its sub-orders."""
    if order.state in _GOING_BACK:
        is_over = all(refund.is_settled for refund in order.refunds)
        return order.promised == order.paid and is_over is (order.state is OrderState.REFUNDED)
    if order.sub_orders:
        return order.state not in _BEFORE_MONEY | _WITH_MONEY_UNSPLIT
    return order.state in (_WITH_MONEY_UNSPLIT if order.paid or not order.payable else _BEFORE_MONEY)


def _plan(books: OrderBooks) -> Iterator[Difference]:
    """Sub-orders that are not what the order's final price was split into."""
    order = books.order
    if order is None or not order.sub_orders:
        return
    kept = sum(sub.payable.fen for sub in books.subs)
    if len(books.subs) == order.sub_orders and kept == order.quote.payable.fen and _planned(order, books.subs):
        return
    yield _differs(
        Kind.ORDER_BOOK,
        f"{books.order_id}/plan",
        Side(book=Book.ORDERS, fen=order.quote.payable.fen, says=f"{order.sub_orders} sub-orders"),
        Side(book=Book.ORDERS, fen=kept, says=f"{len(books.subs)} sub-orders"),
        mend=Mend.RESTORE_SUB_ORDERS,
        order_id=books.order_id,
        fen=order.quote.payable.fen - kept or order.quote.payable.fen,
        rows={"order": order, "sub_orders": books.subs},
    )


def _planned(order: OrderRecord, subs: Sequence[SubOrder]) -> bool:
    """Whether sub-orders hold the order's lines, each once and at its price."""
    lines = {line.number: line for sub in subs for line in sub.order_lines}
    made = sum(len(sub.order_lines) for sub in subs)
    return made == len(order.quote.lines) == len(lines) and all(
        (lines[i].dish_id, lines[i].quantity, lines[i].payable) == (line.dish_id, line.quantity, line.payable)
        for i, line in enumerate(order.quote.lines)
        if i in lines
    )


def restored_order(books: OrderBooks) -> Order:
    """The order with the ledger's amounts (the ledger wins) and the state that its sub-orders and refunds prove.

    What was taken of which line by refunds is kept when it still adds up, else taken anew. Raises ValueError when no
    order can be made of it.
    """
    record = books.order
    if record is None:
        raise ValueError(f"order {books.order_id} is not there")
    paid = paid_by_ledger(books)
    known = {promise.id: promise for promise in record.refunds}
    booked = [
        refund for refund in books.refunds if not refund.id.endswith(".back") and refund.state is not RefundState.PARKED
    ]
    promises = tuple(
        Promise(
            id=refund.id,
            amount=refund.amount,
            reason=known[refund.id].reason if refund.id in known else refund.reason,
            is_settled=refund.state is RefundState.SETTLED,
        )
        for refund in sorted(booked, key=lambda one: _number_of(one.id))
    )
    promised = Money(sum(promise.amount.fen for promise in promises))
    left = record.refundable
    if not paid:
        left = ()
    elif sum(part.fen for part in left) + promised.fen != paid.fen:
        whole = (*[line.payable for line in record.quote.lines], record.quote.delivery_fee)
        taken = Money(sum(part.fen for part in whole) + promised.fen - paid.fen)
        parts = allocate_refund(taken, whole) if taken else [ZERO] * len(whole)
        left = tuple(Money(have.fen - part.fen) for have, part in zip(whole, parts, strict=True))
    is_split = bool(record.sub_orders or books.subs) or record.state not in _UNSPLIT
    fixed = replace(
        record,
        paid=paid,
        payable=paid or record.payable,
        refunds=promises,
        refundable=left,
        sub_orders=_merchants_of(record) if is_split else 0,
    )
    state = state_expected(fixed, books.subs) or fixed.state
    return replace(fixed, state=state, version=record.version + 1).as_order()


def _number_of(refund_id: str) -> tuple[int, str]:
    number = refund_id.rpartition(".r")[2]
    return (int(number) if number.isdecimal() else 0), refund_id


def promise_of(books: OrderBooks, key: str) -> Promise | None:
    """The promise that the key of a difference names."""
    promises = () if books.order is None else books.order.refunds
    return next((promise for promise in promises if promise.id == key.partition("#")[2]), None)


def escrow_of(books: OrderBooks) -> Money:
    """What an order still has in escrow, by its entries."""
    entries = [entry for journal in books.journals.values() for entry in journal.entries]
    fen = sum(entry.amount.fen for entry in entries if entry.account == Account.ORDER_ESCROW.value)
    return Money(max(0, -fen))


def restored_sub_orders(books: OrderBooks, *, now: datetime) -> tuple[SubOrder, ...] | None:
    """The sub-orders as the order's price is split; those that are there keep how far they are.

    One that is gone is as far as its order. None when some were rejected, for it may have been one of them.
    """
    order = books.order
    assert order is not None
    kept = {sub.id: sub for sub in books.subs}
    was_rejected = any(promise.reason == "rejected" for promise in order.refunds)
    restored = []
    for sub in plan(order, order.quote, now=now):
        known = kept.get(sub.id)
        if known is None and was_rejected:
            return None
        if known is not None:
            restored.append(replace(sub, state=known.state, rider_id=known.rider_id, planned_at=known.planned_at))
        else:
            others = [one.planned_at for one in books.subs]
            restored.append(replace(sub, state=_sub_state(order.state), planned_at=min(others, default=now)))
    return tuple(restored)


def _sub_state(state: OrderState) -> SubOrderState:
    """How far a sub-order is whose order is so far."""
    match state:
        case OrderState.ACCEPTED:
            return SubOrderState.ACCEPTED
        case OrderState.COOKING:
            return SubOrderState.COOKING
        case OrderState.PICKED_UP:
            return SubOrderState.PICKED_UP
        case OrderState.DELIVERED | OrderState.COMPLETED | OrderState.AFTER_SALE:
            return SubOrderState.DELIVERED
        case OrderState.REFUNDING | OrderState.REFUNDED:
            return SubOrderState.WITHDRAWN
        case _:
            return SubOrderState.PLANNED


# balances and stock


def of_balances(entries: Mapping[str, int], balances: Mapping[str, int]) -> list[Difference]:
    """Accounts whose running balance is not the sum of their entries."""
    off = {
        account: entries.get(account, 0) - balances.get(account, 0)
        for account in sorted({**entries, **balances})
        if entries.get(account, 0) != balances.get(account, 0)
    }
    # Several that are off by nothing together: a journal is missing, or one too many, and no balance is wrong.
    is_journal = len(off) > 1 and sum(off.values()) == 0
    found = [
        _differs(
            Kind.ORDER_BOOK,
            f"balance:{account}",
            Side(book=Book.LEDGER, fen=entries.get(account, 0), says="the sum of its entries"),
            Side(book=Book.PAYMENTS, fen=balances.get(account), says="its running balance"),
            mend=Mend.NONE if is_journal else Mend.RESTORE_BALANCE,
            order_id="",
            fen=fen,
            rows={"balance": Balance(account=account, amount=Money(balances.get(account, 0))), "off": off},
        )
        for account, fen in off.items()
    ]
    return found


class PortionsWanted(Struct, frozen=True, kw_only=True, gc=False):
    """How many portions of a dish orders hold and have bought for a meal."""

    held: int
    sold: int


NOTHING_WANTED = PortionsWanted(held=0, sold=0)


def of_stock(
    wanted: Mapping[tuple[str, str], PortionsWanted], kept: Mapping[tuple[str, str], Portions]
) -> list[Difference]:
    """Dishes of meals whose portions are not what the orders say; keys are (dish, meal). Portions are no fen."""
    found = []
    for place in sorted({**wanted, **kept}):
        due, portions = wanted.get(place, NOTHING_WANTED), kept.get(place)
        said = (0, 0) if portions is None else (portions.held, portions.sold)
        if said == (due.held, due.sold):
            continue
        fits = portions is None or due.held + due.sold <= portions.total
        difference = _differs(
            Kind.ORDER_BOOK,
            f"portions:{place[0]}/{place[1]}",
            Side(book=Book.ORDERS, fen=None, says=f"{due.held} held, {due.sold} sold"),
            Side(book=Book.STOCK, fen=None, says="no row" if portions is None else f"{said[0]} held, {said[1]} sold"),
            mend=Mend.RESTORE_PORTIONS if fits else Mend.NONE,
            order_id="",
            fen=0,
            rows={"orders": due, "portions": portions},
        )
        found.append(difference)
    return found


def wanted_of(orders: Sequence[tuple[OrderRecord, Sequence[SubOrder]]]) -> dict[tuple[str, str], PortionsWanted]:
    """What orders hold and have bought, by dish and meal."""
    held: Counter[tuple[str, str]] = Counter()
    sold: Counter[tuple[str, str]] = Counter()
    for order, subs in orders:
        if order.state in HOLDING:
            for dish_id, count in order.portions.items():
                held[dish_id, order.meal_id] += count
        for sub in subs:
            if sub.state not in DEAD:
                for line in sub.order_lines:
                    sold[line.dish_id, sub.meal_id] += line.quantity
    return {place: PortionsWanted(held=held[place], sold=sold[place]) for place in {**held, **sold}}


# the provider's bills


def bill_fault(on: date, *, trades: Sequence[BillLine], shares: Sequence[BillLine], funds: Sequence[BillLine]) -> str:
    """Why the bills of a day cannot be used: what moved in one did not in another; empty when they can.

    Fees stand in the bill of funds alone; near midnight one bill may have today what the other has tomorrow.
    """
    moved, in_funds = _moves(on, (*trades, *shares)), _moves(on, funds)
    wrong = {move for move in {**moved, **in_funds} if moved[move] != in_funds[move]}
    if not wrong:
        return ""
    return f"{len(wrong)} of {len(moved)} numbers, such as {min(wrong)[1]}, are not alike in the bill of funds"


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
        return _differs(kind, line.key, provider, ledger, mend=mend, order_id=order_id, fen=fen, rows=rows)

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
        return _differs(kind, line.key, provider, ledger, mend=mend, order_id=order_id, fen=fen, rows=rows)

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
        return _differs(kind, line.key, provider, ledger, mend=mend, order_id=order_id, fen=apart_fen, rows=rows)

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
    return _differs(
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
    return _differs(
        Kind.CUT_OFF if is_late else Kind.UNKNOWN_THERE,
        noted.key,
        Side(book=Book.PROVIDER, fen=None),
        Side(book=Book.LEDGER, fen=noted.fen),
        mend=Mend.CARRY if is_late else mend,
        order_id=noted.order_id,
        fen=noted.fen,
        rows={"row": row, "on": day.on.isoformat()},
    )


# what is kept


class State(StrEnum):
    """Where a difference is."""

    OPEN = "open"
    CARRIED = "carried"  # looked at again with the next day's bill
    REPAIRED = "repaired"
    SETTLED = "settled"  # by a person, or it was gone when it was looked at again


class KeptDifference(Struct, frozen=True, kw_only=True, gc=False):
    """A difference and what became of it; found again after its end it is open again, and `occurrences` counts.

    is_raised: a person must act; told once as an ERROR. ended_by: who ended it, "mend" or a person; `reason`: why.
    """

    id: str
    kind: Kind
    item: str
    order_id: str
    merchant_ids: tuple[str, ...]
    sides: tuple[Side, ...]
    unexplained_fen: int
    mend: Mend
    evidence: str
    state: State
    run_id: str
    found_at: datetime
    attempts: int = 0
    occurrences: int = 1
    is_raised: bool = False
    ended_at: datetime | None = None
    ended_by: str | None = None
    reason: str | None = None

    @property
    def is_ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.state in (State.REPAIRED, State.SETTLED)

    def covers(self, found: Difference) -> bool:
        """Whether what is found is no news: this is open, or a bill says again what was dealt with."""
        is_said_again = found.kind is not Kind.ORDER_BOOK and self.evidence == found.evidence
        return not self.is_ended or is_said_again

    def ended(self, state: State, *, by: str, reason: str, at: datetime) -> KeptDifference:
        """With its end; one that ended stays as it is."""
        return self if self.is_ended else replace(self, state=state, ended_by=by, reason=reason, ended_at=at)


class RunKind(StrEnum):
    """Why books were compared."""

    MINUTE = "minute"
    DAILY = "daily"  # with the bills of a day
    ASKED = "asked"  # an operator wanted it


class Run(Struct, frozen=True, kw_only=True, gc=False):
    """One comparison that found something, or that was a day's or was asked for.

    on_day: whose bills were read. under_way: orders that were left to the next run, for events about them were not
    heard yet. unexplained_fen: of what was found, less what is carried.
    """

    id: str
    kind: RunKind
    on_day: str | None
    began_at: datetime
    ended_at: datetime
    orders_read: int
    lines_read: int
    under_way: int
    found: int
    unexplained_fen: int
    fault: str
    report_number: int


class Cursor(Struct, frozen=True, kw_only=True, gc=False):
    """How far the comparing is. `id` is always "books".

    core_number, money_number: events before were looked at. swept: the last order of the round through all of them.
    minute_runs: how many have been. summed_at, entries: the last time all entries were summed, and how many there were.
    billed: the last day whose bills were compared. report_number, report_hash: the end of the chain of reports.
    """

    id: str = "books"
    core_number: int = 0
    money_number: int = 0
    swept: str = ""
    minute_runs: int = 0
    last_run_at: datetime | None = None
    summed_at: datetime | None = None
    entries: int = 0
    billed: str = ""
    report_number: int = 0
    report_hash: str = ""


class Report(Struct, frozen=True, kw_only=True, gc=False):
    """What a run found, as JSON, for ever: `hash` is the SHA-256 of the hash before and the body."""

    number: int
    run_id: str
    made_at: datetime
    body: str
    previous: str
    hash: str


def report_hash(previous: str, body: str) -> str:
    """The hash of a report that follows the one with the hash `previous`; the first follows the empty one."""
    return sha256(f"{previous}\n{body}".encode()).hexdigest()


def broken_links(reports: Sequence[Report], *, after: int = 0, previous: str = "") -> list[int]:
    """The numbers of reports that are not as they were written, or not where; those that are gone count too.

    after, previous: the number and hash of the report before the first.
    """
    broken: list[int] = []
    number = after
    for report in reports:
        broken += range(number + 1, report.number)
        if report.previous != previous or report.hash != report_hash(report.previous, report.body):
            broken.append(report.number)
        number, previous = report.number, report.hash
    return broken


class Finding(Struct, frozen=True, kw_only=True, gc=False):
    """A difference, and the merchants whose payouts it concerns."""

    difference: Difference
    merchant_ids: tuple[str, ...] = ()


# commands and errands


class Begin(Struct, frozen=True, kw_only=True, gc=False):
    """The house has opened: compare from now on."""


class AskRun(Struct, frozen=True, kw_only=True, gc=False):
    """An operator wants the books compared now; `on`: with the bills of that day."""

    by: str
    on: date | None = None


class Asked(Struct, frozen=True, kw_only=True, gc=False):
    """Books will be compared at once."""

    on: date | None


class CheckBooks(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: compare ledger, order book and stock."""

    kind: RunKind = RunKind.MINUTE


class CheckBills(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: compare the ledger with the bills of a day."""

    on: date
    kind: RunKind = RunKind.DAILY


class MendDifference(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: look at a difference again and do what its class needs."""

    difference_id: str


class RecordRun(Struct, frozen=True, kw_only=True, gc=False):
    """What a comparison found; `cursor`: how far it got. matched: carried differences that found their line.

    is_whole: all that it found; else the next one begins where this one did and tells the rest. is_behind: more moved
    than one run compares, so the next one follows at once.
    """

    kind: RunKind
    on: date | None
    began_at: datetime
    cursor: Cursor
    orders_read: int
    lines_read: int
    under_way: int
    findings: tuple[Finding, ...]
    matched: tuple[str, ...] = ()
    fault: str = ""
    is_whole: bool = True
    is_behind: bool = False


class EndDifference(Struct, frozen=True, kw_only=True, gc=False):
    """A difference is mended, or was gone when it was looked at again."""

    difference_id: str
    state: State
    reason: str


class RaiseDifference(Struct, frozen=True, kw_only=True, gc=False):
    """A difference cannot be mended: a person must act."""

    difference_id: str
    reason: str


class TryAgain(Struct, frozen=True, kw_only=True, gc=False):
    """A difference could not be mended now."""

    difference_id: str
    reason: str


class SettleDifference(Struct, frozen=True, kw_only=True, gc=False):
    """An operator has dealt with a difference himself."""

    difference_id: str
    by: str
    reason: str


class RestoreCapture(Struct, frozen=True, kw_only=True, gc=False):
    """Write a payment and its journal as they must have been; `seen` is the row as it was read."""

    difference_id: str
    payment: Payment
    seen: Payment | None


class RestoreRefund(Struct, frozen=True, kw_only=True, gc=False):
    """Write a refund and its journals as they must have been; `seen` is the row as it was read."""

    difference_id: str
    refund: Refund
    seen: Refund | None


class RestoreBalance(Struct, frozen=True, kw_only=True, gc=False):
    """Write a running balance anew: `fen` is the sum of its entries, `seen_fen` the row as it was read."""

    difference_id: str
    account: str
    fen: int
    seen_fen: int


class ReplayCapture(Struct, frozen=True, kw_only=True, gc=False):
    """Record money that the provider has, as its callback would have."""

    difference_id: str
    capture: RecordCapture


class AdvanceRefund(Struct, frozen=True, kw_only=True, gc=False):
    """Record what the provider says of a refund, as its answer would have."""

    difference_id: str
    refund: RecordRefund


class OweRefund(Struct, frozen=True, kw_only=True, gc=False):
    """Owe what an order promised and the ledger never heard of."""

    difference_id: str
    refund_id: str
    order_id: str
    member_id: str
    amount_fen: int
    reason: str


class ReverseCapture(Struct, frozen=True, kw_only=True, gc=False):
    """Book that the provider never had this money; `escrow_fen`: what its order has left in escrow."""

    difference_id: str
    payment_id: str
    escrow_fen: int


class SetAside(Struct, frozen=True, kw_only=True, gc=False):
    """Book what the provider has more (or less: negative) into suspense."""

    difference_id: str
    order_id: str
    more_fen: int


class DifferenceStanding(Struct, frozen=True, kw_only=True, gc=False):
    """The answer of every command about a difference: where it is now."""

    difference_id: str
    state: State
    is_raised: bool
    reason: str | None


# What an errand that mends brings home.
Mending = (
    EndDifference
    | RaiseDifference
    | TryAgain
    | RestoreCapture
    | RestoreRefund
    | RestoreBalance
    | ReplayCapture
    | AdvanceRefund
    | OweRefund
    | ReverseCapture
    | SetAside
)
