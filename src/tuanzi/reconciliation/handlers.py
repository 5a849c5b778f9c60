"""The errands of the reconciliation: they look at all books, outside of every batch, and bring home a command (C3).

Nothing that is under way is taken for a difference: books of two databases are compared only for orders about which no
event waits to be heard, and what one database says is read in one state.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from tuanzi import groups, money, orders, sharing, stock
from tuanzi.base.ids import DishId, MealId, OrderId, make_id
from tuanzi.base.money import ZERO
from tuanzi.base.time import SHANGHAI
from tuanzi.machinery.database import Ask
from tuanzi.money import (
    Account,
    BillKind,
    BillLine,
    BillState,
    Cashier,
    PaymentProvider,
    RecordCapture,
    RecordRefund,
    Refund,
    RefundAsked,
    RefundProgress,
    RefundState,
    TradeState,
    out_refund_no_of,
    out_trade_no_of,
    payment_named,
    refund_named,
)
from tuanzi.reconciliation import store
from tuanzi.reconciliation.model import (
    DAY,
    NOTHING_WANTED,
    NOWHERE,
    AdvanceRefund,
    CaptureBooks,
    CheckBills,
    CheckBooks,
    Cursor,
    Difference,
    EndDifference,
    Finding,
    KeptDifference,
    Kind,
    Mend,
    MendDifference,
    Mending,
    OrderBooks,
    OweRefund,
    RaiseDifference,
    RecordRun,
    ReplayCapture,
    RestoreBalance,
    RestoreCapture,
    RestoreRefund,
    ReverseCapture,
    RunKind,
    SetAside,
    State,
    Statement,
    TryAgain,
    bill_fault,
    captures_of,
    day_of,
    difference_id,
    escrow_of,
    gap_fault,
    may_be,
    of_balances,
    of_order,
    of_statement,
    of_stock,
    promise_of,
    refunds_of,
    restored_order,
    restored_sub_orders,
)
from tuanzi.reconciliation.model import Book as Said

V = TypeVar("V")

# Our choice: a look reads so many orders at once, about 50 ms of a reading thread; a run tells so many differences, and
# the next one begins where it began.
ORDERS_AT_ONCE = 500
FINDINGS_MAX = 500
# Our choice: the orders of so many events are compared in a few seconds, unhurried; the next run follows at once.
MOVED_MAX = 5_000
# Our choice: at 100 ms each these are asked about in a third of an errand's time; the next run asks about the next.
ASKED_MAX = 100
# Entries are summed whenever that takes less than one part in 300 of a reading thread (0.2 s for half a million).
ENTRIES_A_MINUTE = 500_000
CLEAN_MAX = 200_000  # about 200 bytes each
LAST_ID = "~"  # sorts after every id
MEALS_LOOK_BACK = timedelta(days=1)
ORDERED_BEFORE_MEAL = timedelta(days=3)


class Book(Protocol):
    """One database of a campus, as far as comparing needs it."""

    async def look(self, reading: Callable[[Ask], V]) -> V:
        """What `reading` makes of the answers to its questions, all of one committed state."""

    async def submit(self, command: Any, *, who: str = "", key: None = None, is_accepted: bool = False) -> Any:
        """Have the database's writer carry out a command; returns after the commit. Raises its Problem."""


class Books(Protocol):
    """The books of a campus."""

    @property
    def core(self) -> Book: ...
    @property
    def money(self) -> Book: ...


class Reconciler:
    """Compares the books of one campus and its payment company.

    hears: by (target, source): the names of the events that a database hears of another. moved_max: events of each
    database whose orders one run compares.
    """

    def __init__(
        self,
        books: Books,
        provider: PaymentProvider,
        *,
        hears: Mapping[tuple[str, str], Collection[str]],
        moved_max: int = MOVED_MAX,
    ) -> None:
        self._books = books
        self._provider = provider
        self._cashier = Cashier(provider)
        self._hears = hears
        self._moved_max = moved_max
        self._clean: dict[str, tuple[int, int]] = {}
        self._clean_meals: dict[str, int] = {}

    # every minute

    async def check_books(self, errand: CheckBooks, *, now: datetime) -> RecordRun:
        """Compare what moved since the last run, the next part of the round through all orders, balances and stock.

        When more moved than one run compares, it is all that is compared: the rest waits until nothing is behind.
        """
        cursor = await self._cursor()
        most = self._moved_max
        moved_core = await self._books.core.look(lambda ask: store.all_told_after(ask, cursor.core_number, limit=most))
        moved_money = await self._books.money.look(
            lambda ask: store.all_told_after(ask, cursor.money_number, limit=most)
        )
        is_behind = not (moved_core.is_complete and moved_money.is_complete)
        swept, swept_until = ([], cursor.swept) if is_behind else await self._sweep(cursor.swept)
        order_ids = list(dict.fromkeys([*sorted(moved_core.order_ids | moved_money.order_ids), *swept]))
        findings: list[Finding] = []
        under_way: set[str] = set()
        heard_core, heard_money = moved_core.last, moved_money.last
        for i in range(0, len(order_ids), ORDERS_AT_ONCE):
            part = order_ids[i : i + ORDERS_AT_ONCE]
            compared = await self.compare(part, known=self._clean)
            findings += compared.findings
            if len(self._clean) > CLEAN_MAX:
                self._clean.clear()
            under_way |= compared.under_way
            if compared.under_way:
                heard_core = min(heard_core, compared.core_heard)
                heard_money = min(heard_money, compared.money_heard)
        entries, summed_at = cursor.entries, cursor.summed_at
        # A row that is wrong makes sums wrong as well: it is mended first, and they are looked at in the next run.
        open_now = await self._in_state(State.OPEN)
        known = {one.id for one in open_now}
        findings = [finding for finding in findings if finding.difference.id not in known]
        if not findings and not is_behind:
            if self._is_time_to_sum(cursor, now=now):
                sums, entries = await self._books.money.look(money.ledger_sums)
                summed_at = now
                findings += [Finding(difference=one, merchant_ids=_owner_of(one)) for one in _of_sums(sums)]
            # Nor can stock be held against an order book in which an order of these meals may be missing.
            if not any(one.order_id and one.found_at >= now - MEALS_LOOK_BACK for one in open_now):
                findings += await self._stock(now=now)
        after = replace(
            cursor, minute_runs=cursor.minute_runs + 1, last_run_at=now, summed_at=summed_at, entries=entries
        )
        if len(findings) <= FINDINGS_MAX:
            after = replace(
                after,
                core_number=max(cursor.core_number, heard_core),
                money_number=max(cursor.money_number, heard_money),
                swept=swept_until,
            )
        return RecordRun(
            kind=errand.kind,
            on=None,
            began_at=now,
            cursor=after,
            orders_read=len(order_ids),
            lines_read=0,
            under_way=len(under_way),
            findings=tuple(findings[:FINDINGS_MAX]),
            # Where the run came no further, the next one would not either.
            is_behind=is_behind and (after.core_number, after.money_number) > (cursor.core_number, cursor.money_number),
        )

    async def _sweep(self, after: str) -> tuple[list[str], str]:
        """The next orders of the round through all that either database knows, and the last; "" when all were seen."""
        most = store.SWEPT_AT_ONCE
        core = await self._books.core.look(lambda ask: orders.order_ids_after(ask, after, limit=most))
        cash = await self._books.money.look(lambda ask: money.order_ids_between(ask, after, LAST_ID, limit=most))
        swept = sorted({*core, *cash})[:most]
        return swept, swept[-1] if len(swept) == most else ""

    async def compare(self, order_ids: Sequence[str], *, known: dict[str, tuple[int, int]] | None = None) -> Compared:
        """Each order's books, but for those about which an event was under way between the looks.

        known: the rows of orders that agreed, as prints; who has them still agrees, and is not compared again, for a
        comparison knows nothing but the rows. Those that agree now are added.
        """
        names_core, names_money = self._hears.get(("core", "money"), ()), self._hears.get(("money", "core"), ())
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

    def _is_time_to_sum(self, cursor: Cursor, *, now: datetime) -> bool:
        if cursor.summed_at is None:
            return True
        pause = timedelta(minutes=cursor.entries // ENTRIES_A_MINUTE)
        return now - cursor.summed_at >= pause

    async def _stock(self, *, now: datetime) -> list[Finding]:
        """Compare the portions of the meals of yesterday and later."""
        day = (now - MEALS_LOOK_BACK).astimezone(SHANGHAI).date().isoformat()
        since = make_id("o", now=now - MEALS_LOOK_BACK - ORDERED_BEFORE_MEAL, chance=0)
        meals = await self._books.core.look(lambda ask: stock.meals_from(ask, day))
        found = await self._books.core.look(
            lambda ask: _stock_differences(ask, meals, since=since, known=self._clean_meals)
        )
        return [Finding(difference=one) for one in found]

    # once a day

    async def check_bills(self, errand: CheckBills, *, now: datetime) -> RecordRun:
        """Compare the ledger with what the provider says it did on a day.

        Raises BillNotReady, ProviderUnreachable: then it is tried again.
        """
        cursor = await self._cursor()
        on = errand.on
        trades = await self._provider.bill(BillKind.TRADES, on, now=now)
        shares = await self._provider.bill(BillKind.SHARES, on, now=now)
        funds = await self._provider.bill(BillKind.FUNDS, on, now=now)
        fault = bill_fault(on, trades=trades, shares=shares, funds=funds)
        day = Day(fault=fault) if fault else await self._compare_day(on, trades, shares, now=now)
        is_whole = day.is_whole and len(day.findings) <= FINDINGS_MAX
        if errand.kind is RunKind.DAILY and not day.fault and is_whole:
            cursor = replace(cursor, billed=on.isoformat())
        return RecordRun(
            kind=errand.kind,
            on=on,
            began_at=now,
            cursor=cursor,
            orders_read=0,
            lines_read=len(trades) + len(shares) + len(funds),
            under_way=0,
            findings=tuple(day.findings[:FINDINGS_MAX]),
            matched=day.matched,
            fault=day.fault,
            is_whole=is_whole,
        )

    async def _compare_day(
        self, on: date, trades: Sequence[BillLine], shares: Sequence[BillLine], *, now: datetime
    ) -> Day:
        before = [
            line
            for kind in (BillKind.TRADES, BillKind.SHARES)
            for line in await self._provider.bill(kind, on - DAY, now=now)
        ]
        named = await self._named(trades, now=now)
        trades = [line for line in trades if line.key not in named.left | named.told]
        carried = [one for one in await self._in_state(State.CARRIED) if _carried_from(one) < on.isoformat()]
        due = frozenset(one.item for one in carried)
        matched = tuple(one.id for one in carried if one.item in {line.key for line in (*trades, *shares)})
        bills = BillsRead(
            on=on,
            trades=trades,
            shares=shares,
            before=before,
            paid=named.paid,
            twice=named.twice,
            carried=due,
        )
        statement = await self._books.money.look(lambda ask: _statement(ask, bills))
        found = of_statement(statement)
        if fault := gap_fault(found, of=len(statement.captured) + len(statement.settled) + len(statement.moved)):
            return Day(fault=fault)
        found = [one for one in found if not (one.kind is Kind.CUT_OFF and one.key in due)]
        # A carried one that is found with another class is no longer carried.
        other = {one.key for one in found}
        matched += tuple(one.id for one in carried if one.item in other and one.id not in matched)
        known = {
            one.id: one
            for one in await self._books.money.look(lambda ask: store.differences_by_id(ask, [one.id for one in found]))
        }
        found = [one for one in found if one.id not in known or not known[one.id].covers(one)]
        return Day(findings=await self._with_merchants(found), matched=matched, is_whole=not named.left)

    async def _named(self, trades: Sequence[BillLine], *, now: datetime) -> Named:
        """Payments by trade number; and, of numbers the ledger does not know, those whose order was paid before.

        The provider is asked about each unknown number: what was attached to it tells its order. What was told before
        is not asked about again.
        """
        paid: dict[str, str] = {
            line.key: payment_id
            for line in trades
            if line.state is BillState.PAID and (payment_id := payment_named(line.key)) is not None
        }
        known = await self._books.money.look(lambda ask: money.payments_by_id(ask, list(paid.values())))
        here = {payment.out_trade_no for payment in known}
        unknown = list(dict.fromkeys([line.key for line in trades if line.state is BillState.PAID]))
        unknown = [key for key in unknown if key not in here]
        ids = {difference_id(kind, key): key for key in unknown for kind in (Kind.UNKNOWN_HERE, Kind.TWICE)}
        before = await self._books.money.look(lambda ask: store.differences_by_id(ask, list(ids)))
        told = {ids[one.id] for one in before if not one.is_ended}
        asked = [key for key in unknown if key not in told]
        captures: dict[str, RecordCapture] = {}
        for key in asked[:ASKED_MAX]:
            seen = await self._provider.query(key, now=now)
            if seen.state is TradeState.PAID and seen.attach:
                captures[key] = self._cashier.capture_of(seen)
                paid[key] = captures[key].payment_id
        order_ids = sorted({str(capture.order_id) for capture in captures.values()})
        twice: dict[str, str] = {}
        for other in await self._books.money.look(lambda ask: money.payments_of_orders(ask, order_ids)):
            for key, capture in captures.items():
                if other.captured and other.order_id == capture.order_id and other.id != capture.payment_id:
                    twice.setdefault(key, other.id)
        return Named(paid=paid, twice=twice, left=frozenset(asked[ASKED_MAX:]), told=frozenset(told))

    async def _in_state(self, state: State) -> list[KeptDifference]:
        rows = await self._books.money.look(
            lambda ask: ask(store.DIFFERENCES_IN_STATE, {"state": state.value, "after": "", "limit": 1000})
        )
        return [store.DIFFERENCES.from_row(row) for row in rows]

    async def _with_merchants(self, found: Sequence[Difference]) -> list[Finding]:
        order_ids = sorted({one.order_id for one in found if one.order_id})
        book = await self._books.core.look(lambda ask: orders.order_book(ask, order_ids))
        return [Finding(difference=one, merchant_ids=_merchants(book.subs.get(one.order_id, ()))) for one in found]

    async def _cursor(self) -> Cursor:
        rows = await self._books.money.look(lambda ask: ask(store.CURSOR))
        return store.CURSORS.from_row(rows[0]) if rows else Cursor()

    # one difference

    async def mend(self, errand: MendDifference, *, now: datetime) -> Mending:
        """Look at a difference again and do what its class needs; gives the command that books and ends it.

        Raises ProviderUnreachable and what the core refuses: then it is tried again.
        """
        kept = await self._difference(errand.difference_id)
        if kept is None or kept.is_ended:
            return EndDifference(difference_id=errand.difference_id, state=State.SETTLED, reason="ended before")
        match kept.mend:
            case Mend.REPLAY_CAPTURE | Mend.ADVANCE_PAYMENT:
                return await self._replay(kept, now=now)
            case Mend.ADVANCE_REFUND:
                return await self._advance_refund(kept, now=now)
            case Mend.RESEND_REFUND:
                return await self._resend_refund(kept, now=now)
            case Mend.REVERSE_CAPTURE:
                return await self._reverse(kept, now=now)
            case Mend.SET_ASIDE:
                says = {side.book: side.fen or 0 for side in kept.sides}
                more_fen = says[Said.PROVIDER] - says[Said.LEDGER]
                if msgspec.json.decode(kept.evidence)["line"]["amount_fen"] < 0:
                    more_fen = -more_fen  # it went out
                return SetAside(difference_id=kept.id, order_id=kept.order_id, more_fen=more_fen)
            case Mend.AWAIT:
                return await self._await_share(kept)
            case Mend.RESTORE_BALANCE:
                return await self._restore_balance(kept)
            case Mend.RESTORE_PORTIONS:
                return await self._restore_portions(kept, now=now)
            case Mend.CARRY | Mend.NONE:
                return RaiseDifference(difference_id=kept.id, reason="a person must decide")
            case _:
                return await self._within(kept, now=now)

    async def _within(self, kept: KeptDifference, *, now: datetime) -> Mending:
        """A difference between the books of the campus, as it is now."""
        compared = await self.compare([kept.order_id])
        if not compared.books:
            return TryAgain(difference_id=kept.id, reason="events about the order are under way")
        (books,) = compared.books
        found = next((one for one in of_order(books) if one.id == kept.id), None)
        if found is None:
            return EndDifference(difference_id=kept.id, state=State.SETTLED, reason="gone when looked at again")
        core = self._books.core
        match found.mend:
            case Mend.RESTORE_CAPTURE:
                return await self._restore_capture(kept, books, now=now)
            case Mend.RESTORE_REFUND:
                return await self._restore_refund(kept, books, now=now)
            case Mend.ADVANCE_REFUND:
                return await self._advance_refund(kept, now=now)
            case Mend.OWE_REFUND:
                promise = promise_of(books, kept.item)
                assert books.order is not None
                assert promise is not None
                return OweRefund(
                    difference_id=kept.id,
                    refund_id=promise.id,
                    order_id=books.order_id,
                    member_id=books.order.member_id,
                    amount_fen=promise.amount.fen,
                    reason=promise.reason,
                )
            case Mend.RETELL_CAPTURE:
                payment = next(one for one in books.payments if one.captured)
                await core.submit(
                    groups.HearCapture(
                        order_id=OrderId(books.order_id),
                        payment_id=payment.id,
                        amount_fen=payment.captured.fen,
                    )
                )
            case Mend.RETELL_REFUND:
                refund_id = kept.item.partition("#")[2]
                await core.submit(orders.HearRefund(order_id=OrderId(books.order_id), refund_id=refund_id))
            case Mend.RESTORE_ORDER:
                try:
                    order = restored_order(books)
                except ValueError as error:
                    return RaiseDifference(difference_id=kept.id, reason=str(error)[:200])
                assert books.order is not None
                if order.state is books.order.state and not may_be(order):
                    return RaiseDifference(difference_id=kept.id, reason="nothing says which state it was in")
                done = await core.submit(orders.RestoreOrder(order=order, seen=books.order))
                if not done.answer.is_restored:
                    return TryAgain(difference_id=kept.id, reason="the order has moved on")
            case Mend.RESTORE_SUB_ORDERS:
                subs = restored_sub_orders(books, now=now)
                if subs is None:
                    return RaiseDifference(difference_id=kept.id, reason="which of its sub-orders were rejected?")
                await core.submit(orders.RestoreSubOrders(order_id=OrderId(books.order_id), subs=subs))
            case _:
                return RaiseDifference(difference_id=kept.id, reason="a person must decide")
        return EndDifference(difference_id=kept.id, state=State.REPAIRED, reason=found.mend.value)

    async def _restore_capture(self, kept: KeptDifference, books: OrderBooks, *, now: datetime) -> Mending:
        """What most rows say stands; when they leave it open the provider is asked, and so for what nobody knows."""
        capture = next(
            (one for one in captures_of(books) if one.payment_id == kept.item),
            CaptureBooks(
                payment_id=kept.item,
                order_id=books.order_id,
                payment=None,
                capture=NOWHERE,
                misfit=NOWHERE,
                promised=ZERO,
            ),
        )
        fen, member_id, transaction_id = capture.stands, "" if books.order is None else books.order.member_id, ""
        if fen is None or capture.payment is None:
            number = out_trade_no_of(kept.item) if capture.payment is None else capture.payment.out_trade_no
            seen = await self._provider.query(number, now=now)
            if seen.state is TradeState.PAID:
                transaction_id, member_id = seen.transaction_id, self._cashier.capture_of(seen).member_id
            if fen is None:
                said = {*capture.journal.votes(), capture.payment.captured.fen if capture.payment is not None else 0}
                if seen.state is not TradeState.PAID:
                    return RaiseDifference(difference_id=kept.id, reason=f"at the provider it is {seen.state.value}")
                if said != {0} and seen.amount_fen not in said:
                    return RaiseDifference(difference_id=kept.id, reason=f"the provider says {seen.amount_fen} fen")
                fen = seen.amount_fen
        payment = capture.restored(
            fen, member_id=member_id, transaction_id=transaction_id, provider=self._provider.name, now=now
        )
        return RestoreCapture(difference_id=kept.id, payment=payment, seen=capture.payment)

    async def _restore_refund(self, kept: KeptDifference, books: OrderBooks, *, now: datetime) -> Mending:
        back = next(one for one in refunds_of(books) if one.refund_id == kept.item)
        number = out_refund_no_of(kept.item) if back.refund is None else back.refund.out_refund_no
        fen = back.stands
        claims = back.refund is not None and back.refund.state is RefundState.SETTLED and not back.is_settled
        is_back = back.is_settled
        if fen is None or claims:
            seen = await self._provider.query_refund(number, now=now)
            is_back = seen.progress is RefundProgress.SETTLED
            if fen is None and seen.amount_fen not in {*back.due.votes(), *back.settled.votes()}:
                return RaiseDifference(difference_id=kept.id, reason=f"the provider says {seen.progress.value}")
            fen = seen.amount_fen if fen is None else fen
        refund = back.restored(fen, out_refund_no=number, now=now)
        if claims and not is_back:
            refund = replace(refund, state=RefundState.DUE, settled_at=None)
        return RestoreRefund(difference_id=kept.id, refund=refund, seen=back.refund)

    async def _replay(self, kept: KeptDifference, *, now: datetime) -> Mending:
        """Record what the provider has as its callback would have; what it has not is not believed."""
        seen = await self._provider.query(kept.item, now=now)
        if seen.state is not TradeState.PAID:
            return RaiseDifference(difference_id=kept.id, reason=f"asked, the provider says {seen.state.value}")
        return ReplayCapture(difference_id=kept.id, capture=self._cashier.capture_of(seen))

    async def _advance_refund(self, kept: KeptDifference, *, now: datetime) -> Mending:
        refund_id = kept.item.partition("#")[2] or refund_named(kept.item) or ""
        (refund,) = await self._books.money.look(lambda ask: money.refunds_by_id(ask, [refund_id])) or (None,)
        if refund is None:
            return RaiseDifference(difference_id=kept.id, reason="the refund is not there")
        seen = await self._provider.query_refund(refund.out_refund_no, now=now)
        if seen.progress is RefundProgress.UNKNOWN:
            return RaiseDifference(difference_id=kept.id, reason="asked, the provider never heard of it")
        record = RecordRefund(
            refund_id=refund.id, progress=seen.progress, amount_fen=seen.amount_fen, reason=seen.reason
        )
        return AdvanceRefund(difference_id=kept.id, refund=record)

    async def _resend_refund(self, kept: KeptDifference, *, now: datetime) -> Mending:
        """The ledger says the money is back and the provider does not: asked again under the same number."""
        refund_id = refund_named(kept.item) or ""
        (refund,) = await self._books.money.look(lambda ask: money.refunds_by_id(ask, [refund_id])) or (None,)
        if refund is None:
            return EndDifference(difference_id=kept.id, state=State.SETTLED, reason="gone when looked at again")
        (payment,) = await self._books.money.look(lambda ask: money.payments_by_id(ask, [refund.payment_id])) or (None,)
        if payment is None:
            return RaiseDifference(difference_id=kept.id, reason="its payment is not there")
        asked = RefundAsked(
            out_refund_no=refund.out_refund_no,
            out_trade_no=payment.out_trade_no,
            amount_fen=refund.amount.fen,
            captured_fen=payment.captured.fen,
            reason=refund.reason,
        )
        seen = await self._provider.refund(asked, now=now)
        if seen.progress is RefundProgress.SETTLED:
            return EndDifference(difference_id=kept.id, state=State.REPAIRED, reason=Mend.RESEND_REFUND.value)
        if seen.progress is RefundProgress.REFUSED:
            return RaiseDifference(difference_id=kept.id, reason=f"the provider refuses it: {seen.reason}"[:200])
        return TryAgain(difference_id=kept.id, reason="the provider works on it")

    async def _await_share(self, kept: KeptDifference) -> Mending:
        """Whether sharing knows by now what the provider did; it asks every few minutes."""
        number = kept.item.partition("/")[0]
        booked = await self._books.money.look(lambda ask: sharing.booked_by_number(ask, [number]))
        one = next((one for one in booked if one.key == kept.item), None)
        if one is None or not one.is_over:
            return TryAgain(difference_id=kept.id, reason="sharing has not heard of its end")
        if not one.is_done:
            return RaiseDifference(difference_id=kept.id, reason="the provider did it, and here it was given up")
        return EndDifference(difference_id=kept.id, state=State.REPAIRED, reason=Mend.AWAIT.value)

    async def _reverse(self, kept: KeptDifference, *, now: datetime) -> Mending:
        """Asked first: when it was not paid, nothing is made for it, and what was booked is reversed."""
        seen = await self._provider.query(kept.item, now=now)
        if seen.state is TradeState.PAID:
            return RaiseDifference(difference_id=kept.id, reason="asked, the provider says paid: its bill left it out")
        compared = await self.compare([kept.order_id])
        if not compared.books:
            return TryAgain(difference_id=kept.id, reason="events about the order are under way")
        (books,) = compared.books
        payment = next((one for one in books.payments if one.out_trade_no == kept.item), None)
        if payment is None:
            return EndDifference(difference_id=kept.id, state=State.SETTLED, reason="gone when looked at again")
        if books.order is not None:
            await self._books.core.submit(orders.HoldOrder(order_id=OrderId(books.order_id), because=kept.id))
        return ReverseCapture(difference_id=kept.id, payment_id=payment.id, escrow_fen=escrow_of(books).fen)

    async def _restore_balance(self, kept: KeptDifference) -> Mending:
        account = kept.item.removeprefix("balance:")
        sums, _ = await self._books.money.look(money.ledger_sums)
        found = next((one for one in sums if one.account == account), None)
        if found is None or found.balance_fen == found.running_fen:
            return EndDifference(difference_id=kept.id, state=State.SETTLED, reason="gone when looked at again")
        return RestoreBalance(difference_id=kept.id, account=account, fen=found.balance_fen, seen_fen=found.running_fen)

    async def _restore_portions(self, kept: KeptDifference, *, now: datetime) -> Mending:
        dish_id, _, meal_id = kept.item.removeprefix("portions:").partition("/")
        since = make_id("o", now=now - MEALS_LOOK_BACK - ORDERED_BEFORE_MEAL, chance=0)
        look = await self._books.core.look(lambda ask: store.look_at_stock(ask, [meal_id], since=since))
        found = next((one for one in of_stock(look.wanted, look.kept) if one.id == kept.id), None)
        if found is None:
            return EndDifference(difference_id=kept.id, state=State.SETTLED, reason="gone when looked at again")
        if found.mend is not Mend.RESTORE_PORTIONS:
            return RaiseDifference(difference_id=kept.id, reason="more is held and sold than there is")
        due, seen = look.wanted.get((dish_id, meal_id), NOTHING_WANTED), look.kept.get((dish_id, meal_id))
        restore = stock.RestorePortions(
            dish_id=DishId(dish_id),
            meal_id=MealId(meal_id),
            held=due.held,
            sold=due.sold,
            seen_held=0 if seen is None else seen.held,
            seen_sold=0 if seen is None else seen.sold,
        )
        done = await self._books.core.submit(restore)
        if not done.answer.is_restored:
            return TryAgain(difference_id=kept.id, reason="portions are moving")
        return EndDifference(difference_id=kept.id, state=State.REPAIRED, reason=Mend.RESTORE_PORTIONS.value)

    async def _difference(self, difference_id: str) -> KeptDifference | None:
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


def _findings(books: OrderBooks) -> list[Finding]:
    merchant_ids = _merchants(books.subs)
    return [Finding(difference=one, merchant_ids=merchant_ids) for one in of_order(books)]


def _merchants(subs: Sequence[orders.SubOrder]) -> tuple[str, ...]:
    return tuple(sorted({str(sub.merchant_id) for sub in subs}))


def _of_sums(sums: Sequence[money.AccountBalance]) -> list[Difference]:
    return of_balances({one.account: one.balance_fen for one in sums}, {one.account: one.running_fen for one in sums})


def _owner_of(difference: Difference) -> tuple[str, ...]:
    """The merchant whose account it is."""
    account, _, owner = difference.key.removeprefix("balance:").partition(":")
    return (owner,) if account == Account.MERCHANT_PAYABLE.value and owner else ()


def _stock_differences(ask: Ask, meals: Sequence[str], *, since: str, known: dict[str, int]) -> list[Difference]:
    look = store.look_at_stock(ask, meals, since=since, known=known)
    found = of_stock(look.wanted, look.kept)
    for one in found:
        known.pop(one.key.rpartition("/")[2], None)
    return found


def _carried_from(kept: KeptDifference) -> str:
    """The day whose bill did not have it."""
    return str(msgspec.json.decode(kept.evidence)["on"])


@dataclass(frozen=True, slots=True)
class Named:
    """Whom the trade numbers of a bill mean: their payments, and of a second payment the first.

    left: unknown numbers that the provider was not asked about in this run. told: those that differ, as is known.
    """

    paid: Mapping[str, str]
    twice: Mapping[str, str]
    left: frozenset[str]
    told: frozenset[str]


@dataclass(frozen=True, slots=True)
class Day:
    """What comparing a day's bills has given; `is_whole`: all lines were compared."""

    findings: Sequence[Finding] = ()
    matched: tuple[str, ...] = ()
    fault: str = ""
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class BillsRead:
    """The bills of a day, and whom their numbers name; see `Statement`."""

    on: date
    trades: Sequence[BillLine]
    shares: Sequence[BillLine]
    before: Sequence[BillLine]
    paid: Mapping[str, str]
    twice: Mapping[str, str]
    carried: frozenset[str]


def _paid_there(refunds: Sequence[Refund]) -> list[Refund]:
    """Those that the provider paid: an operator may have paid one from the bank, which no bill tells."""
    return [one for one in refunds if one.refusal != money.PAID_OTHERWISE]


def _statement(ask: Ask, bills: BillsRead) -> Statement:
    """A day out of one look at the ledger."""
    begins, ends = day_of(bills.on)
    lines = [line for line in bills.trades if line.state is BillState.REFUNDED]
    backs = [one for one in (refund_named(line.key) for line in lines) if one is not None]
    carried_payments = money.payments_by_id(ask, [one for one in map(payment_named, bills.carried) if one is not None])
    carried_refunds = money.refunds_by_id(ask, [one for one in map(refund_named, bills.carried) if one is not None])
    numbers = {line.key.partition("/")[0] for line in bills.shares} | {key.partition("/")[0] for key in bills.carried}
    shared = {one.key: one for one in sharing.booked_by_number(ask, sorted(numbers))}
    return Statement(
        on=bills.on,
        lines=[*bills.trades, *bills.shares],
        before=frozenset(line.key for line in bills.before),
        payments={one.out_trade_no: one for one in money.payments_by_id(ask, list(bills.paid.values()))},
        refunds={one.out_refund_no: one for one in money.refunds_by_id(ask, backs)},
        shared=shared,
        captured=[*money.captured_between(ask, begins, ends), *carried_payments],
        settled=[*_paid_there(money.settled_between(ask, begins, ends)), *carried_refunds],
        moved=[*sharing.booked_between(ask, begins, ends), *[shared[key] for key in bills.carried if key in shared]],
        carried=bills.carried,
        paid_twice=bills.twice,
    )
