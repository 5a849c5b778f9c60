"""The order book beside other books, within a look (C3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from tuanzi.machinery.database import Ask
from tuanzi.machinery.several import rows_of
from tuanzi.orders.model import OrderRecord, SubOrder
from tuanzi.orders.store import (
    ORDER_IDS_AFTER,
    ORDER_RECORDS,
    ORDERS,
    ORDERS_NAMED,
    ORDERS_OF_MEAL,
    SUB_ORDERS,
    SUB_ORDERS_NAMED,
)

SUB_ORDERS_MAX = 100
SUB_ORDERS_OF_LOST = 5  # of an order that is not there itself, so many are looked for
MEAL_AT_ONCE = 1_000


class OrderBook(Struct, frozen=True, kw_only=True, gc=False):
    """What the order book says of some orders: by id; the sub-orders of each; `unreadable`: rows that are no orders."""

    orders: dict[str, OrderRecord]
    subs: dict[str, tuple[SubOrder, ...]]
    unreadable: frozenset[str]


def order_rows(ask: Ask, order_ids: Sequence[str]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The rows of these orders and of their sub-orders, as they are kept; see `order_book_of`."""
    rows = rows_of(ask, ORDERS_NAMED, order_ids)
    there = {row[0] for row in rows}
    lost = [f"{id}.{i}" for id in order_ids if id not in there for i in range(1, SUB_ORDERS_OF_LOST + 1)]
    left = rows_of(ask, SUB_ORDERS_NAMED, lost)
    return rows, [*_sub_rows(ask, rows), *left]


def order_book(ask: Ask, order_ids: Sequence[str]) -> OrderBook:
    """The order book of these orders."""
    return order_book_of(*order_rows(ask, order_ids))


def order_ids_after(ask: Ask, after: str, *, limit: int) -> list[str]:
    """The ids of the orders that come after one, in order."""
    return [row[0] for row in ask(ORDER_IDS_AFTER, {"after": after, "limit": limit})]


def rows_of_meal(ask: Ask, meal_id: str, *, since: str) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The rows of a meal's orders that may hold or have bought portions, and of their sub-orders.

    since: an order id below theirs.
    """
    found: list[tuple[Any, ...]] = []
    after = since
    while True:
        rows = ask(ORDERS_OF_MEAL, {"after": after, "meal_id": meal_id, "limit": MEAL_AT_ONCE})
        found += rows
        if len(rows) < MEAL_AT_ONCE:
            return found, _sub_rows(ask, found)
        after = rows[-1][0]


def order_book_of(rows: Sequence[tuple[Any, ...]], sub_rows: Sequence[tuple[Any, ...]]) -> OrderBook:
    """What rows of orders and of their sub-orders say; a row that is no order is told apart."""
    orders: dict[str, OrderRecord] = {}
    unreadable: set[str] = set()
    for row in rows:
        try:
            orders[row[0]] = ORDER_RECORDS.from_row(row)
        except (ValueError, TypeError, msgspec.MsgspecError):
            unreadable.add(row[0])
    subs: dict[str, list[SubOrder]] = {}
    for sub in map(SUB_ORDERS.from_row, sub_rows):
        subs.setdefault(sub.order_id, []).append(sub)
    return OrderBook(
        orders=orders,
        subs={order_id: tuple(made) for order_id, made in subs.items()},
        unreadable=frozenset(unreadable),
    )


def _sub_rows(ask: Ask, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The sub-orders of orders; one more is asked for than each knows of, so that one too many is seen as well."""
    count_at = ORDERS.columns.index("sub_orders")
    named = [f"{row[0]}.{i}" for row in rows for i in range(1, min(int(row[count_at]) + 1, SUB_ORDERS_MAX) + 1)]
    return rows_of(ask, SUB_ORDERS_NAMED, named)
