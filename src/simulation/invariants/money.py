"""Money is neither made nor lost, and prices are exact (I1, I10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from simulation.invariants import store
from simulation.invariants.books import Books, OrderRow
from tuanzi.base.money import total


def money_adds_up(books: Books) -> Iterator[str]:
    """I1: every journal and all accounts sum to 0, and the running balances say the same."""
    for journal_id, kept, found, fen in books.house.rows("money", store.UNBALANCED_JOURNALS):
        yield f"journal {journal_id}: {found} of {kept} entries, off by {fen} fen"
    (all_fen,) = books.house.rows("money", store.ALL_ENTRIES_FEN)[0]
    if all_fen:
        yield f"all entries sum to {all_fen} fen"
    for account, running, summed in books.house.rows("money", store.ACCOUNTS):
        if running != summed:
            yield f"account {account}: {running} fen kept, {summed} fen booked"
    back: Counter[str] = Counter()
    for refund in books.refunds.values():
        if refund.state not in ("waiting", "parked"):
            back[refund.payment_id] += refund.amount_fen
    for payment in books.payments:
        if back[payment.id] != payment.refunded_fen or payment.refunded_fen > payment.captured_fen:
            yield f"payment {payment.id}: {payment.refunded_fen} fen noted as promised back, {back[payment.id]} are"


def books_agree(books: Books) -> Iterator[str]:
    """I1 at rest: ledger = provider = orders, to the fen, order by order."""
    captured: Counter[str] = Counter()
    for payment in books.payments:
        captured[payment.order_id] += payment.captured_fen
        if payment.captured_fen and payment.order_id not in books.orders:
            yield f"payment {payment.id}: captured for an order that does not exist"
    due: Counter[str] = Counter()
    settled: Counter[str] = Counter()
    returned: Counter[str] = Counter()
    for refund in books.refunds.values():
        due[refund.order_id] += refund.amount_fen
        if refund.state == "settled":
            settled[refund.order_id] += refund.amount_fen
        if refund.id.endswith(".back"):
            returned[refund.order_id] += refund.amount_fen
    for order in books.orders.values():
        yield from _order_agrees(books, order, captured[order.id] - returned[order.id])
    escrow: Counter[str] = Counter()
    owed: Counter[str] = Counter()
    for order_id, account, fen in books.house.rows("money", store.ORDER_ACCOUNTS):
        escrow[order_id] -= fen if account in ("order_escrow", "suspense") else 0
        owed[order_id] -= fen if account == "user_refund_payable" else 0
    claimed = dict(books.house.rows("money", store.CLAIMS))
    for order_id, fen in captured.items():
        if fen != escrow[order_id] + owed[order_id] + settled[order_id] + claimed.get(order_id, 0):
            yield (
                f"order {order_id}: {fen} fen captured, {escrow[order_id]} in escrow, {owed[order_id]} owed, "
                f"{settled[order_id]} given back, {claimed.get(order_id, 0)} the parties'"
            )
    provider = books.provider
    if provider.paid_fen != sum(captured.values()):
        yield f"the provider holds {provider.paid_fen} fen, the ledger {sum(captured.values())}"
    if provider.refunded_fen != sum(settled.values()):
        yield f"the provider gave {provider.refunded_fen} fen back, the ledger says {sum(settled.values())}"
    accounts = {account: running for account, running, _ in books.house.rows("money", store.ACCOUNTS)}
    held = provider.paid_fen - provider.refunded_fen - provider.shared_fen
    if accounts.get("provider_clearing", 0) != held:
        yield f"the provider holds {held} fen, the ledger says {accounts.get('provider_clearing', 0)}"


def _order_agrees(books: Books, order: OrderRow, captured_fen: int) -> Iterator[str]:
    if order.paid_fen != captured_fen:
        yield f"order {order.id} ({order.state}): {order.paid_fen} fen paid, {captured_fen} fen captured and kept"
    promised = sum(refund.amount.fen for refund in order.refunds)
    if order.refundable and total(order.refundable).fen + promised != order.paid_fen:
        yield f"order {order.id}: {total(order.refundable).fen} fen left and {promised} promised of {order.paid_fen}"
    if order.state in ("refunding", "refunded") and promised != order.paid_fen:
        yield f"order {order.id} is {order.state}, but {promised} of {order.paid_fen} fen were promised back"
    if order.state == "cancelled" and order.paid_fen:
        yield f"order {order.id} is cancelled with {order.paid_fen} fen in it"
    for promise in order.refunds:
        refund = books.refunds.get(promise.id)
        if refund is None or refund.amount_fen != promise.amount.fen:
            yield f"order {order.id}: refund {promise.id} of {promise.amount} is not in the ledger so"
        elif (refund.state == "settled") != promise.is_settled:
            yield f"order {order.id}: refund {promise.id} is {refund.state}, the order says {promise}"


def prices_are_exact(books: Books) -> Iterator[str]:
    """I10: lines add up to the price, sub-orders to the order, and a plan to what its members paid."""
    for order in books.orders.values():
        quote = order.quote
        lines = [line.payable.fen for line in quote.lines]
        delivery, payable = quote.delivery_fee.fen, quote.payable.fen
        if sum(lines) + delivery != payable or min(lines) < 0:
            yield f"order {order.id}: lines of {lines} and {delivery} for delivery make {payable}"
        if order.paid_fen not in (0, order.payable_fen):
            yield f"order {order.id}: {order.paid_fen} of {order.payable_fen} fen paid"
    made: Counter[str] = Counter()
    for sub in books.sub_orders:
        made[sub.order_id] += sub.payable_fen
        if sub.items_fen - sub.discount_fen + sub.delivery_fen != sub.payable_fen:
            yield f"sub-order {sub.id} does not add up"
    for order in books.orders.values():
        if order.sub_orders and made[order.id] != order.quote.payable.fen:
            yield f"order {order.id}: sub-orders of {made[order.id]} fen make {order.quote.payable.fen}"
    for plan in books.told("splitting.planned"):
        yield from _plan_adds_up(books, plan)


def _plan_adds_up(books: Books, plan: dict[str, Any]) -> Iterator[str]:
    planned = sum(sub["payable_fen"] for sub in plan["sub_orders"])
    if planned + plan["returned_fen"] != plan["paid_fen"] or min(planned, plan["returned_fen"]) < 0:
        yield f"group {plan['group_id']}: {planned} planned and {plan['returned_fen']} returned of {plan['paid_fen']}"
    order_ids = {sub["order_id"] for sub in plan["sub_orders"]}
    paid = sum(books.orders[order_id].paid_fen for order_id in order_ids if order_id in books.orders)
    if paid != plan["paid_fen"]:
        yield f"group {plan['group_id']}: its members paid {paid} fen, its plan says {plan['paid_fen']}"
