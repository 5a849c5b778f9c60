"""Differences within the campus about one order: within the money, and between ledger and order book."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuanzi.base.money import ZERO, Money
from tuanzi.money import PaymentState, Refund, RefundState, payment_of
from tuanzi.orders import DEAD, Order, OrderRecord, OrderState, SubOrder, state_by_sub_orders
from tuanzi.orders import Refund as Promise
from tuanzi.reconciliation.model.books import BOOKED, NOWHERE, OrderBooks, captures_of, refunds_of
from tuanzi.reconciliation.model.differences import Book, Difference, Kind, Mend, Side, difference_of


def of_order(books: OrderBooks) -> list[Difference]:
    """Every difference within the campus about one order: first within the money, then, if there is none, with the
    order book, which follows the ledger; and money in suspense, which no other book has yet."""
    found = [*_captures(books), *_refunds(books), *_strangers(books)]
    return [*(found or [*_order_book(books)] or [*_plan(books)]), *_in_suspense(books)]


def _captures(books: OrderBooks) -> Iterator[Difference]:
    for capture in captures_of(books):
        if not capture.is_captured or capture.agrees:
            continue
        payment = capture.payment
        row_fen = None if payment is None else payment.captured.fen
        fens = [fen for fen in (row_fen, *capture.journal.votes()) if fen is not None]
        yield difference_of(
            Kind.ORDER_BOOK,
            capture.payment_id,
            Side(book=Book.PAYMENTS, fen=row_fen, says="" if payment is None else payment.state.value),
            Side(book=Book.LEDGER, fen=capture.journal.moved),
            mend=Mend.RESTORE_CAPTURE,
            order_id=books.order_id,
            fen=max(fens, default=0),
            rows={"payment": payment, "capture": capture.capture, "misfit": capture.misfit},
        )


def _in_suspense(books: OrderBooks) -> Iterator[Difference]:
    """Money that came and was not what was asked: no order has it, and a person sends it back."""
    for payment in books.payments:
        if payment.is_in_suspense:
            yield difference_of(
                Kind.AMOUNTS,
                payment.id,
                Side(book=Book.ORDERS, fen=payment.amount.fen, says="asked"),
                Side(book=Book.PAYMENTS, fen=payment.captured.fen, says=payment.state.value),
                mend=Mend.NONE,
                order_id=books.order_id,
                fen=payment.captured.fen,
                rows={"payment": payment, "misfit": books.journal("misfit", payment.id)},
            )


def _refunds(books: OrderBooks) -> Iterator[Difference]:
    for back in refunds_of(books):
        if back.agrees:
            continue
        refund = back.refund
        row_fen = None if refund is None else refund.amount.fen
        fens = [fen for fen in (row_fen, *back.due.votes(), *back.settled.votes()) if fen is not None]
        yield difference_of(
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
        yield difference_of(
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
        return difference_of(
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
    return difference_of(
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
    yield difference_of(
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
    return difference_of(
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
    if quoted != order.quote.payable.fen or order.sub_orders not in (0, merchants_of(order)):
        return False
    if order.paid and (order.paid != order.payable or left + order.promised.fen != order.paid.fen):
        return False
    return bool(order.paid) or not order.refunds


def merchants_of(order: Order) -> int:
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
# States of an order that may have no sub-orders.
UNSPLIT = _BEFORE_MONEY | _WITH_MONEY_UNSPLIT | _GOING_BACK


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
    yield difference_of(
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
