"""An order, its sub-orders and its promises as the other books prove them; the ledger wins."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.money import ZERO, Money
from tuanzi.money import Account, RefundState
from tuanzi.orders import NOT_ACCEPTED, Order, OrderState, SubOrder, SubOrderState
from tuanzi.orders import Refund as Promise
from tuanzi.pricing import allocate_refund
from tuanzi.reconciliation.model.books import OrderBooks
from tuanzi.reconciliation.model.orders import UNSPLIT, merchants_of, paid_by_ledger, state_expected
from tuanzi.splitting import plan


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
    is_split = bool(record.sub_orders or books.subs) or record.state not in UNSPLIT
    fixed = replace(
        record,
        paid=paid,
        payable=paid or record.payable,
        refunds=promises,
        refundable=left,
        sub_orders=merchants_of(record) if is_split else 0,
    )
    state = state_expected(fixed, books.subs) or fixed.state
    return replace(fixed, state=state).as_order()


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
    was_rejected = any(promise.reason in ("rejected", NOT_ACCEPTED) for promise in order.refunds)
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
