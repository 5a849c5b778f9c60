"""The reconciliation's tables, and its looks at the books of a campus: each database once, in one state (C3)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from msgspec import Struct

from tuanzi import money, orders, stock
from tuanzi.machinery.database import Ask
from tuanzi.machinery.internal import EVENTS_AFTER, POSITION_OF_SOURCE
from tuanzi.machinery.tables import table
from tuanzi.money import Entry, JournalHead, Payment, Refund
from tuanzi.reconciliation.model import (
    Cursor,
    Journal,
    KeptDifference,
    OrderBooks,
    PortionsWanted,
    Report,
    Run,
    journal_ids,
    wanted_of,
)
from tuanzi.stock import Portions

CURSORS = table("reconciliation_cursors", Cursor, key="id")
RUNS = table("reconciliation_runs", Run, key="id")
DIFFERENCES = table("differences", KeptDifference, key="id")
REPORTS = table("reconciliation_reports", Report, key="number")
TABLES = (CURSORS, RUNS, DIFFERENCES, REPORTS)

# Events that were not heard yet are read so many at once; further behind, nothing is compared across databases.
UNHEARD_MAX = 5_000
MOVED_MAX = 100_000
SWEPT_AT_ONCE = 2_000

_DIFFERENCE = "SELECT " + ", ".join(DIFFERENCES.columns) + " FROM differences "
_RUN = "SELECT " + ", ".join(RUNS.columns) + " FROM reconciliation_runs "
_REPORT = "SELECT " + ", ".join(REPORTS.columns) + " FROM reconciliation_reports "
_CURSOR = "SELECT " + ", ".join(CURSORS.columns) + " FROM reconciliation_cursors "

CURSOR = _CURSOR + "WHERE id = 'books' ORDER BY id LIMIT 1"
DIFFERENCE = _DIFFERENCE + "WHERE id = :id ORDER BY id LIMIT 1"
DIFFERENCES_IN_STATE = _DIFFERENCE + "WHERE state = :state AND id > :after ORDER BY state, id LIMIT :limit"
DIFFERENCES_OF_RUN = _DIFFERENCE + "WHERE run_id = :run_id AND id > :after ORDER BY run_id, id LIMIT :limit"
DIFFERENCES_AFTER = _DIFFERENCE + "WHERE id > :after ORDER BY id LIMIT :limit"
RUNS_BEFORE = _RUN + "WHERE id < :before ORDER BY id DESC LIMIT :limit"
REPORT = _REPORT + "WHERE number = :number ORDER BY number LIMIT 1"
REPORTS_AFTER = _REPORT + "WHERE number > :after ORDER BY number LIMIT :limit"
COUNTS = """
SELECT state, kind, is_raised, COUNT(*), SUM(unexplained_fen) FROM differences
GROUP BY state, kind, is_raised ORDER BY state, kind, is_raised LIMIT 100
"""
LAST_NUMBER = "SELECT event_number FROM writer_cursor WHERE id = 1 ORDER BY id LIMIT 1"


class Log(Struct, frozen=True, kw_only=True, gc=False):
    """Where a database is: its last event, and the last one of the other database that it has heard."""

    number: int
    heard: int


class OrdersLook(Struct, frozen=True, kw_only=True, gc=False):
    """What core says of some orders in one state; `told`: the orders of its events that money had not heard."""

    log: Log
    book: orders.OrderBook
    told: frozenset[str]
    is_complete: bool


class MoneyLook(Struct, frozen=True, kw_only=True, gc=False):
    """What money says of some orders in one state."""

    log: Log
    payments: dict[str, tuple[Payment, ...]]
    refunds: dict[str, tuple[Refund, ...]]
    journals: dict[str, dict[str, Journal]]


class Told(Struct, frozen=True, kw_only=True, gc=False):
    """Whose orders events are about; not complete when there are more than UNHEARD_MAX."""

    order_ids: frozenset[str]
    last: int
    is_complete: bool


class _About(Struct, frozen=True, gc=False):
    """What of an event tells which order it is about."""

    order_id: str = ""
    order_ids: tuple[str, ...] = ()


_about = msgspec.json.Decoder(_About).decode


def log_of(ask: Ask, other: str) -> Log:
    """Where this database is."""
    heard = ask(POSITION_OF_SOURCE, {"source": other})
    return Log(number=int(ask(LAST_NUMBER)[0][0]), heard=int(heard[0][0]) if heard else 0)


def told_after(ask: Ask, number: int, *, names: Collection[str] | None = None) -> Told:
    """The orders that events after `number` are about; of these names only, when given."""
    rows = ask(EVENTS_AFTER, {"after": number, "limit": UNHEARD_MAX})
    order_ids: set[str] = set()
    for _, name, _, _, body in rows:
        if names is None or name in names:
            about = _about(body)
            order_ids.update(about.order_ids, [about.order_id] if about.order_id else [])
    last = rows[-1][0] if rows else number
    return Told(order_ids=frozenset(order_ids), last=last, is_complete=len(rows) < UNHEARD_MAX)


def all_told_after(ask: Ask, number: int) -> Told:
    """The same page after page; what is more than MOVED_MAX events is told the next time."""
    order_ids: set[str] = set()
    page = told_after(ask, number)
    while not page.is_complete and page.last < number + MOVED_MAX:
        order_ids |= page.order_ids
        page = told_after(ask, page.last)
    return Told(order_ids=frozenset(order_ids | page.order_ids), last=page.last, is_complete=page.is_complete)


def look_at_money(ask: Ask, order_ids: Sequence[str]) -> MoneyLook:
    """What money says of these orders, and how far it is."""
    payments: dict[str, list[Payment]] = {}
    refunds: dict[str, list[Refund]] = {}
    all_payments = money.payments_of_orders(ask, order_ids)
    all_refunds = money.refunds_of_orders(ask, order_ids)
    for payment in all_payments:
        payments.setdefault(payment.order_id, []).append(payment)
    for refund in all_refunds:
        refunds.setdefault(refund.order_id, []).append(refund)
    named = journal_ids(all_payments, all_refunds)
    ids = list(dict.fromkeys([*named, *money.journals_of_orders(ask, order_ids)]))
    heads = {head.id: head for head in money.journal_heads(ask, ids)}
    entries: dict[str, list[Entry]] = {}
    for entry in money.entries_of_journals(ask, ids):
        entries.setdefault(entry.journal_id, []).append(entry)
    owners = {payment.id: payment.order_id for payment in all_payments}
    owners |= {refund.id: refund.order_id for refund in all_refunds}  # type: ignore[misc]
    journals = _by_order(ids, heads, entries, owners)  # type: ignore[arg-type]
    return MoneyLook(
        log=log_of(ask, "core"),
        payments={order_id: tuple(rows) for order_id, rows in payments.items()},
        refunds={order_id: tuple(rows) for order_id, rows in refunds.items()},
        journals=journals,
    )


def _by_order(
    ids: Sequence[str],
    heads: dict[str, JournalHead],
    entries: dict[str, list[Entry]],
    owners: dict[str, str],
) -> dict[str, dict[str, Journal]]:
    """Journals by the order they are about: that of the row they book, else that of most of their entries."""
    journals: dict[str, dict[str, Journal]] = {}
    for id in ids:
        lines = entries.get(id, [])
        owner = owners.get(id.partition(":")[2])
        if owner is None:
            named = [line.order_id for line in lines]
            owner = max(named, key=named.count) if named else ""
        journals.setdefault(owner, {})[id] = Journal(head=heads.get(id), entries=tuple(lines))
    return journals


def look_at_orders(ask: Ask, order_ids: Sequence[str], *, heard_until: int, names: Collection[str]) -> OrdersLook:
    """What core says of these orders; `heard_until`: how far money had heard it, `names`: the events that it hears."""
    told = told_after(ask, heard_until, names=names)
    return OrdersLook(
        log=log_of(ask, "money"),
        book=orders.order_book(ask, order_ids),
        told=told.order_ids,
        is_complete=told.is_complete,
    )


def books_of(order_id: str, core: OrdersLook, cash: MoneyLook) -> OrderBooks:
    """One order out of a look at each database."""
    return OrderBooks(
        order_id=order_id,
        order=core.book.orders.get(order_id),
        is_readable=order_id not in core.book.unreadable,
        subs=core.book.subs.get(order_id, ()),
        payments=cash.payments.get(order_id, ()),
        refunds=cash.refunds.get(order_id, ()),
        journals=cash.journals.get(order_id, {}),
    )


class StockLook(Struct, frozen=True, kw_only=True, gc=False):
    """What orders want of stock and what stock has, for some meals, in one state."""

    wanted: dict[tuple[str, str], PortionsWanted]
    kept: dict[tuple[str, str], Portions]


def look_at_stock(ask: Ask, meal_ids: Sequence[str], *, since: str) -> StockLook:
    """The portions of these meals, and what their orders hold and have bought; since: an order id below theirs."""
    wanted: dict[tuple[str, str], PortionsWanted] = {}
    kept: dict[tuple[str, str], Portions] = {}
    for meal_id in meal_ids:
        book = orders.orders_of_meal(ask, meal_id, since=since)
        if book.unreadable:
            continue  # told as a difference of its own; the meal is looked at when that one is settled
        wanted |= wanted_of([(order, book.subs.get(order.id, ())) for order in book.orders.values()])
        kept |= {(one.dish_id, one.meal_id): one for one in stock.portions_of_meal(ask, meal_id)}
    return StockLook(wanted=wanted, kept=kept)
