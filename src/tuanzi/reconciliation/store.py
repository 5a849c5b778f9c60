"""The reconciliation's tables, and its looks at the books of a campus: each database once, in one state (C3)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from msgspec import Struct

from tuanzi import money, orders, sharing, stock
from tuanzi.machinery.database import Ask
from tuanzi.machinery.internal import EVENTS_AFTER, POSITION_OF_SOURCE
from tuanzi.machinery.room import Keeps
from tuanzi.machinery.several import SEVERAL, rows_of
from tuanzi.machinery.tables import Row, table
from tuanzi.money import ENTRIES, JOURNALS, PAYMENTS, REFUNDS
from tuanzi.reconciliation.model import (
    Cursor,
    Journal,
    KeptDifference,
    OrderBooks,
    PortionsWanted,
    Report,
    Run,
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

_DIFFERENCE = "SELECT " + ", ".join(DIFFERENCES.columns) + " FROM differences "
_RUN = "SELECT " + ", ".join(RUNS.columns) + " FROM reconciliation_runs "
_REPORT = "SELECT " + ", ".join(REPORTS.columns) + " FROM reconciliation_reports "
_CURSOR = "SELECT " + ", ".join(CURSORS.columns) + " FROM reconciliation_cursors "

CURSOR = _CURSOR + "WHERE id = 'books' ORDER BY id LIMIT 1"
DIFFERENCE = _DIFFERENCE + "WHERE id = :id ORDER BY id LIMIT 1"
DIFFERENCES_NAMED = _DIFFERENCE + "WHERE id IN (" + SEVERAL + ") ORDER BY id LIMIT 100"
DIFFERENCES_IN_STATE = _DIFFERENCE + "WHERE state = :state AND id > :after ORDER BY state, id LIMIT :limit"
AMOUNTS_OPEN = _DIFFERENCE + "WHERE state = 'open' AND id > :after AND kind = :kind ORDER BY state, id LIMIT :limit"
# What was, or is to be, set aside; whatever became of the difference since.
SET_ASIDE = (
    _DIFFERENCE
    + "WHERE id > :after AND mend IN ('set_aside', 'reverse_capture') AND state IN ('open', 'settled')"
    + " ORDER BY id LIMIT :limit"
)
DIFFERENCES_OF_RUN = _DIFFERENCE + "WHERE run_id = :run_id AND id > :after ORDER BY run_id, id LIMIT :limit"
DIFFERENCES_AFTER = _DIFFERENCE + "WHERE id > :after ORDER BY id LIMIT :limit"
RUNS_BEFORE = _RUN + "WHERE id < :before ORDER BY id DESC LIMIT :limit"
REPORT = _REPORT + "WHERE number = :number ORDER BY number LIMIT 1"
REPORTS_AFTER = _REPORT + "WHERE number > :after ORDER BY number LIMIT :limit"
COUNTS = """
SELECT state, kind, is_raised, COUNT(*), SUM(unexplained_fen) FROM differences
GROUP BY state, kind, is_raised ORDER BY state, kind, is_raised LIMIT 100
"""
# Of one person, for his export: the differences that he ended as an operator, without whose they were.
_ENDED = ("id", "ended_by", "ended_at_ms", "reason")
KEPT_ENDED = (
    "SELECT "
    + ", ".join(_ENDED)
    + " FROM differences WHERE ended_by = :person_id AND id > :after ORDER BY id LIMIT :limit"
)
KEEPS = (Keeps(table="differences", columns=_ENDED, sql=KEPT_ENDED),)
LAST_NUMBER = "SELECT event_number FROM writer_cursor WHERE id = 1 ORDER BY id LIMIT 1"


class Log(Struct, frozen=True, kw_only=True, gc=False):
    """Where a database is: its last event, and the last one of the other database that it has heard."""

    number: int
    heard: int


class OrdersLook(Struct, frozen=True, kw_only=True, gc=False):
    """The rows of core about some orders in one state, by order.

    told: the orders of its events that money had not heard; `is_complete`: those are all.
    """

    log: Log
    orders: dict[str, Row]
    subs: dict[str, list[Row]]
    told: frozenset[str]
    is_complete: bool

    def print_of(self, order_id: str) -> int:
        """The same for the same rows, as long as this process lives."""
        return hash((self.orders.get(order_id), tuple(self.subs.get(order_id, ()))))


class MoneyLook(Struct, frozen=True, kw_only=True, gc=False):
    """The rows of money about some orders in one state, by order; journals by order and id: heads and entries.

    due: the journals that shares must have, with their turnover where it is kept.
    """

    log: Log
    payments: dict[str, list[Row]]
    refunds: dict[str, list[Row]]
    heads: dict[str, dict[str, Row]]
    entries: dict[str, dict[str, list[Row]]]
    due: dict[str, dict[str, int | None]]

    def print_of(self, order_id: str) -> int:
        """The same for the same rows, as long as this process lives."""
        journals = tuple((id, tuple(rows)) for id, rows in self.entries.get(order_id, {}).items())
        heads = tuple(self.heads.get(order_id, {}).values())
        payments, refunds = self.payments.get(order_id, ()), self.refunds.get(order_id, ())
        due = tuple(self.due.get(order_id, {}).items())
        return hash((tuple(payments), tuple(refunds), heads, journals, due))


class Told(Struct, frozen=True, kw_only=True, gc=False):
    """Whose orders events are about; not complete when there may be more of them."""

    order_ids: frozenset[str]
    last: int
    is_complete: bool


class _About(Struct, frozen=True, gc=False):
    """What of an event tells which order it is about."""

    order_id: str = ""
    order_ids: tuple[str, ...] = ()


_about = msgspec.json.Decoder(_About).decode


def differences_by_id(ask: Ask, ids: Sequence[str]) -> list[KeptDifference]:
    """The differences with these ids, as far as there are."""
    return [DIFFERENCES.from_row(row) for row in rows_of(ask, DIFFERENCES_NAMED, ids)]


def log_of(ask: Ask, other: str) -> Log:
    """Where this database is."""
    heard = ask(POSITION_OF_SOURCE, {"source": other})
    return Log(number=int(ask(LAST_NUMBER)[0][0]), heard=int(heard[0][0]) if heard else 0)


def told_after(ask: Ask, number: int, *, names: Collection[str] | None = None, limit: int = UNHEARD_MAX) -> Told:
    """The orders that events after `number` are about; of these names only, when given."""
    rows = ask(EVENTS_AFTER, {"after": number, "limit": limit})
    order_ids: set[str] = set()
    for _, name, _, _, body in rows:
        if names is None or name in names:
            about = _about(body)
            order_ids.update(about.order_ids, [about.order_id] if about.order_id else [])
    last = rows[-1][0] if rows else number
    return Told(order_ids=frozenset(order_ids), last=last, is_complete=len(rows) < limit)


def look_at_money(ask: Ask, order_ids: Sequence[str]) -> MoneyLook:
    """What money says of these orders, and how far it is."""
    rows = money.rows_of_orders(ask, order_ids)
    payments, refunds = _grouped(rows.payments, at=_PAYMENT_OF), _grouped(rows.refunds, at=_REFUND_OF)
    owners = {row[0]: row[_PAYMENT_OF] for row in rows.payments} | {row[0]: row[_REFUND_OF] for row in rows.refunds}
    lines = _grouped(rows.entries, at=0)
    heads: dict[str, dict[str, Row]] = {}
    entries: dict[str, dict[str, list[Row]]] = {}
    for id, some in lines.items():
        entries.setdefault(_owner(id, owners, some), {})[id] = some
    for row in rows.heads:
        heads.setdefault(_owner(row[0], owners, lines.get(row[0], [])), {})[row[0]] = row
    return MoneyLook(
        log=log_of(ask, "core"),
        payments=payments,
        refunds=refunds,
        heads=heads,
        entries=entries,
        due=sharing.journals_due(ask, order_ids),
    )


_PAYMENT_OF = PAYMENTS.columns.index("order_id")
_REFUND_OF = REFUNDS.columns.index("order_id")
_ENTRY_OF = ENTRIES.columns.index("order_id")
_SUB_ORDER_OF = orders.SUB_ORDERS.columns.index("order_id")


def _owner(journal_id: str, owners: dict[str, str], lines: Sequence[Row]) -> str:
    """The order a journal is about: that of the row it books, else that of most of its entries."""
    owner = owners.get(journal_id.partition(":")[2])
    named = [row[_ENTRY_OF] for row in lines]
    return owner or (max(named, key=named.count) if named else "")


def _grouped(rows: Sequence[Row], *, at: int) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[at], []).append(row)
    return groups


def look_at_orders(ask: Ask, order_ids: Sequence[str], *, heard_until: int, names: Collection[str]) -> OrdersLook:
    """What core says of these orders; `heard_until`: how far money had heard it, `names`: the events that it hears."""
    told = told_after(ask, heard_until, names=names)
    rows, sub_rows = orders.order_rows(ask, order_ids)
    return OrdersLook(
        log=log_of(ask, "money"),
        orders={row[0]: row for row in rows},
        subs=_grouped(sub_rows, at=_SUB_ORDER_OF),
        told=told.order_ids,
        is_complete=told.is_complete,
    )


def books_of(order_id: str, core: OrdersLook, cash: MoneyLook) -> OrderBooks:
    """One order out of a look at each database."""
    row = core.orders.get(order_id)
    book = orders.order_book_of([] if row is None else [row], core.subs.get(order_id, []))
    heads, entries = cash.heads.get(order_id, {}), cash.entries.get(order_id, {})
    journals = {
        id: Journal(
            head=JOURNALS.from_row(heads[id]) if id in heads else None,
            entries=tuple([ENTRIES.from_row(line) for line in entries.get(id, ())]),
        )
        for id in {**heads, **entries}
    }
    return OrderBooks(
        order_id=order_id,
        order=book.orders.get(order_id),
        is_readable=order_id not in book.unreadable,
        subs=book.subs.get(order_id, ()),
        payments=tuple([PAYMENTS.from_row(one) for one in cash.payments.get(order_id, ())]),
        refunds=tuple([REFUNDS.from_row(one) for one in cash.refunds.get(order_id, ())]),
        journals=journals,
        due=cash.due.get(order_id, {}),
    )


class StockLook(Struct, frozen=True, kw_only=True, gc=False):
    """What orders want of stock and what stock has, for a meal in one state; nothing when an order cannot be read: that
    is told as a difference of its own, and the meal is looked at when it is settled."""

    wanted: dict[tuple[str, str], PortionsWanted]
    kept: dict[tuple[str, str], Portions]


NOTHING_SEEN = StockLook(wanted={}, kept={})


class MealLook(Struct, frozen=True, kw_only=True, gc=False):
    """A meal's portions, and the rows of its orders and of their sub-orders, some orders' together, in one state.

    mark: the same for the same rows, as long as this process lives.
    """

    parts: list[tuple[list[Row], list[Row]]]
    kept: dict[tuple[str, str], Portions]
    mark: int


def look_at_meal(ask: Ask, meal_id: str, *, since: str, at_once: int) -> MealLook:
    """What there is of a meal. since: an order id below those of its orders. at_once: orders of a part."""
    rows, sub_rows = orders.rows_of_meal(ask, meal_id, since=since)
    portions = stock.portions_of_meal(ask, meal_id)
    subs = _grouped(sub_rows, at=_SUB_ORDER_OF)
    pages = [rows[i : i + at_once] for i in range(0, len(rows), at_once)]
    return MealLook(
        parts=[(page, [sub for row in page for sub in subs.get(row[0], ())]) for page in pages],
        kept=_by_place(portions),
        mark=hash((tuple(rows), tuple(sub_rows), tuple(map(repr, portions)))),
    )


def wanted_by(rows: Sequence[Row], sub_rows: Sequence[Row]) -> dict[tuple[str, str], PortionsWanted] | None:
    """What these orders hold and have bought; None when one of them cannot be read."""
    book = orders.order_book_of(rows, sub_rows)
    if book.unreadable:
        return None
    return wanted_of([(order, book.subs.get(order.id, ())) for order in book.orders.values()])


def look_at_stock(ask: Ask, meal_id: str, *, since: str) -> StockLook:
    """A meal's stock, at once: half a second of a reading thread for 20,000 orders."""
    wanted = wanted_by(*orders.rows_of_meal(ask, meal_id, since=since))
    if wanted is None:
        return NOTHING_SEEN
    return StockLook(wanted=wanted, kept=_by_place(stock.portions_of_meal(ask, meal_id)))


def _by_place(portions: Sequence[Portions]) -> dict[tuple[str, str], Portions]:
    return {(one.dish_id, one.meal_id): one for one in portions}
