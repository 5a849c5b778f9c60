"""The books of one order: its payments, refunds and journals, and what stands when their rows differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.ids import OrderId, PaymentId, PersonId, RefundId
from tuanzi.base.money import Money
from tuanzi.money import (
    Entry,
    JournalHead,
    Payment,
    PaymentState,
    Refund,
    RefundState,
    capture_journal,
    payment_of,
    refund_due_journal,
    refund_settled_journal,
)
from tuanzi.orders import OrderRecord, SubOrder
from tuanzi.orders import Refund as Promise

BOOKED = frozenset({RefundState.DUE, RefundState.SENT, RefundState.SETTLED, RefundState.REFUSED})


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
                id=PaymentId(self.payment_id),
                order_id=OrderId(self.order_id),
                member_id=PersonId(member_id),
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
                id=RefundId(self.refund_id),
                order_id=OrderId(self.order_id),
                payment_id=PaymentId(self.payment_id),
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
