"""The books of a campus, and looking at them: what they say of orders, and which differences are kept of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

from tuanzi import money, orders
from tuanzi.machinery.database import Ask
from tuanzi.machinery.several import whole_rows
from tuanzi.machinery.tables import Row
from tuanzi.money import LedgerProof
from tuanzi.reconciliation import store
from tuanzi.reconciliation.model import (
    NOTHING_WANTED,
    Cursor,
    Finding,
    KeptDifference,
    OrderBooks,
    PortionsWanted,
    State,
    of_order,
)

V = TypeVar("V")
# Gives by (target, source) the names of the events that a database hears of another; asked when it is needed, for the
# reconciliation's own events are among them.
Hears = Callable[[], Mapping[tuple[str, str], Collection[str]]]

# Our choice: a run tells so many differences, and the next one begins where it began.
FINDINGS_MAX = 500
# Python lets one thread work at a time. The loop gives its turn away with each request and answer, and waits up to half
# a millisecond to have it again: people wait as long as a look computes. Measured at 700 chains/s with this beside in
# the same process: of 500 orders a look took up to 200 ms and the slowest hundredth of chains 70 to 110, of 50 orders
# 20 ms and 40 to 58. An order takes some 110 us either way, also in the checker, whom nobody waits for.
ORDERS_AT_ONCE = 50
MEALS_LOOK_BACK = timedelta(days=1)
ORDERED_BEFORE_MEAL = timedelta(days=3)


class Readable(Protocol):
    """One database of a campus, as far as comparing needs it."""

    async def look(self, reading: Callable[[Ask], V]) -> V:
        """What `reading` makes of the answers to its questions, all of one committed state."""


class Book(Readable, Protocol):
    """One database of a campus, as far as mending needs it."""

    async def submit(self, command: Any, *, who: str = "", key: None = None, is_accepted: bool = False) -> Any:
        """Have the database's writer carry out a command; returns after the commit. Raises its Problem."""


class ReadableBooks(Protocol):
    """The books of a campus for who only looks at them."""

    @property
    def core(self) -> Readable: ...
    @property
    def money(self) -> Readable: ...


class Books(Protocol):
    """The books of a campus."""

    @property
    def core(self) -> Book: ...
    @property
    def money(self) -> Book: ...


class Comparison:
    """Looks at the books of one campus, outside of every batch."""

    def __init__(self, books: ReadableBooks, *, hears: Hears) -> None:
        self._books = books
        self._hears = hears

    async def compare(self, order_ids: Sequence[str], *, known: dict[str, tuple[int, int]] | None = None) -> Compared:
        """Each order's books, but for those about which an event was under way between the looks.

        known: the rows of orders that agreed, as prints; who has them still agrees, and is not compared again, for a
        comparison knows nothing but the rows. Those that agree now are added.
        """
        heard = self._hears()
        names_core, names_money = heard.get(("core", "money"), ()), heard.get(("money", "core"), ())
        cash = await self._books.money.look(lambda ask: store.look_at_money(ask, order_ids))
        core = await self._books.core.look(
            lambda ask: store.look_at_orders(ask, order_ids, heard_until=cash.log.heard, names=names_money)
        )
        since = min(cash.log.number, core.log.heard)

        def compared(ask: Ask) -> Compared:
            late = store.told_after(ask, since, names=names_core)
            under_way = set(core.told | late.order_ids) & set(order_ids)
            if not (core.is_complete and late.is_complete):
                under_way = set(order_ids)
            left = [one for one in order_ids if one not in under_way]
            books, findings = _compared(left, core, cash, known=known)
            return Compared(
                books=books,
                findings=findings,
                under_way=frozenset(under_way),
                core_heard=cash.log.heard,
                money_heard=since,
            )

        return await self._books.money.look(compared)

    async def stock_of(self, meal_id: str, *, since: str, known: dict[str, int]) -> store.StockLook:
        """A meal's stock, added up a few orders at once; since: an order id below those of its orders.

        known: marks of meals that agreed: of who has the same rows there is nothing. Every other one is added; whoever
        finds a difference takes its meal out again.
        """
        look = await self._books.core.look(
            lambda ask: store.look_at_meal(ask, meal_id, since=since, at_once=ORDERS_AT_ONCE)
        )
        if known.get(meal_id) == look.mark:
            return store.NOTHING_SEEN
        wanted: dict[tuple[str, str], PortionsWanted] = {}
        for part in look.parts:
            some = await self._books.core.look(partial(_wanted_by, part))
            if some is None:
                return store.NOTHING_SEEN
            for place, more in some.items():
                wanted[place] = wanted.get(place, NOTHING_WANTED) + more
        known[meal_id] = look.mark
        return store.StockLook(wanted=wanted, kept=look.kept)

    async def cursor(self) -> Cursor:
        """How far the comparing is."""
        rows = await self._books.money.look(lambda ask: ask(store.CURSOR))
        return store.CURSORS.from_row(rows[0]) if rows else Cursor()

    async def proof(self) -> LedgerProof | None:
        """What the last reading of the whole ledger said; None before the first."""
        return await self._books.money.look(money.find_proof)

    async def in_state(self, state: State) -> list[KeptDifference]:
        """All differences in a state, by id."""
        slots = {"state": state.value, "after": ""}
        rows = await self._books.money.look(lambda ask: whole_rows(ask, store.DIFFERENCES_IN_STATE, slots))
        return [store.DIFFERENCES.from_row(row) for row in rows]

    async def find_difference(self, difference_id: str) -> KeptDifference | None:
        """A difference as it is kept; None when there is none."""
        rows = await self._books.money.look(lambda ask: ask(store.DIFFERENCE, {"id": difference_id}))
        return store.DIFFERENCES.from_row(rows[0]) if rows else None


@dataclass(frozen=True, slots=True)
class Compared:
    """Orders' books that could be compared, what differs, and the orders that wait; how far both had heard."""

    books: Sequence[OrderBooks]
    findings: Sequence[Finding]
    under_way: frozenset[str]
    core_heard: int
    money_heard: int


def _compared(
    order_ids: Sequence[str],
    core: store.OrdersLook,
    cash: store.MoneyLook,
    *,
    known: dict[str, tuple[int, int]] | None,
) -> tuple[list[OrderBooks], list[Finding]]:
    """The books of orders and what differs; it takes about 0.1 ms an order, so it is done in a reading thread."""
    compared: list[OrderBooks] = []
    findings: list[Finding] = []
    for order_id in order_ids:
        prints = core.print_of(order_id), cash.print_of(order_id)
        if known is not None and known.get(order_id) == prints:
            continue
        books = store.books_of(order_id, core, cash)
        found = _findings(books)
        compared.append(books)
        findings += found
        if known is not None and not found:
            known[order_id] = prints
    return compared, findings


def _wanted_by(part: tuple[Sequence[Row], Sequence[Row]], _ask: Ask) -> dict[tuple[str, str], PortionsWanted] | None:
    """What some orders want of stock; they are read already, but a reading thread has the time to add up."""
    rows, sub_rows = part
    return store.wanted_by(rows, sub_rows)


def _findings(books: OrderBooks) -> list[Finding]:
    merchant_ids = merchants_of(books.subs)
    return [Finding(difference=one, merchant_ids=merchant_ids) for one in of_order(books)]


def merchants_of(subs: Sequence[orders.SubOrder]) -> tuple[str, ...]:
    """The merchants of sub-orders, each once."""
    return tuple(sorted({str(sub.merchant_id) for sub in subs}))
