"""Once a day: the ledger and what the provider says it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime

import msgspec
from msgspec.structs import replace

from tuanzi import money, orders, sharing
from tuanzi.machinery.database import Ask
from tuanzi.money import (
    BillKind,
    BillLine,
    BillState,
    Cashier,
    PaymentProvider,
    RecordCapture,
    Refund,
    TradeState,
    payment_named,
    refund_named,
)
from tuanzi.reconciliation import store
from tuanzi.reconciliation.handlers.books import FINDINGS_MAX, Books, Comparison, merchants_of
from tuanzi.reconciliation.model import (
    DAY,
    CheckBills,
    Difference,
    Finding,
    KeptDifference,
    Kind,
    RecordRun,
    RunKind,
    State,
    Statement,
    bill_fault,
    day_of,
    difference_id,
    gap_fault,
    lines_of_here,
    of_statement,
)

# Our choice: at 100 ms each these are asked about in a third of an errand's time; the next run asks about the next.
ASKED_MAX = 100


class EveryDay:
    """Compares the ledger of one campus with the bills of its payment company."""

    def __init__(self, books: Books, provider: PaymentProvider, comparison: Comparison) -> None:
        self._books = books
        self._provider = provider
        self._cashier = Cashier(provider)
        self._comparison = comparison

    async def check_bills(self, errand: CheckBills, *, now: datetime) -> RecordRun:
        """Compare the ledger with what the provider says it did on a day.

        Raises BillNotReady, ProviderUnreachable: then it is tried again.
        """
        cursor = await self._comparison.cursor()
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
        trades_before = await self._provider.bill(BillKind.TRADES, on - DAY, now=now)
        shares_before = await self._provider.bill(BillKind.SHARES, on - DAY, now=now)
        paid = {line.transaction_id for line in (*trades, *trades_before)}
        trades, shares = lines_of_here(trades, shares, trades_before=trades_before)
        shares = await self._shared_here(shares, paid=paid, now=now)
        named = await self._named(trades, now=now)
        trades = [line for line in trades if line.key not in named.left | named.told]
        carried = [one for one in await self._comparison.in_state(State.CARRIED) if _carried_from(one) < on.isoformat()]
        due = frozenset(one.item for one in carried)
        matched = tuple(one.id for one in carried if one.item in {line.key for line in (*trades, *shares)})
        bills = BillsRead(
            on=on,
            trades=trades,
            shares=shares,
            before=(*trades_before, *shares_before),
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
        return Day(findings=await self._withmerchants_of(found), matched=matched, is_whole=not named.left)

    async def _shared_here(self, shares: Sequence[BillLine], *, paid: Set[str], now: datetime) -> list[BillLine]:
        """Shares without those of other campuses whose payments are older than these bills.

        The provider is asked about the payment of each that is not known here: it says nobody else what was attached.
        paid: the transactions in the bills.
        """
        numbers = {line.key.partition("/")[0] for line in shares if line.transaction_id not in paid}
        known = await self._books.money.look(lambda ask: sharing.booked_by_number(ask, sorted(numbers)))
        unknown = sorted(numbers - {one.key.partition("/")[0] for one in known})
        elsewhere: set[str] = set()
        for number in unknown[:ASKED_MAX]:
            share_id = refund_named(number)  # as a refund's, it begins with its order
            if share_id is None:
                continue
            trade_no = money.out_trade_no_of(money.payment_of(share_id.partition(".")[0]))
            seen = await self._provider.query(trade_no, now=now)
            if seen.state is TradeState.PAID and not seen.attach:
                elsewhere.add(number)
        return [line for line in shares if line.key.partition("/")[0] not in elsewhere]

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

    async def _withmerchants_of(self, found: Sequence[Difference]) -> list[Finding]:
        order_ids = sorted({one.order_id for one in found if one.order_id})
        book = await self._books.core.look(lambda ask: orders.order_book(ask, order_ids))
        return [Finding(difference=one, merchant_ids=merchants_of(book.subs.get(one.order_id, ()))) for one in found]


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


def _paid_there(refunds: Sequence[Refund]) -> list[Refund]:
    """Those that the provider paid: an operator may have paid one from the bank, which no bill tells."""
    return [one for one in refunds if one.refusal != money.PAID_OTHERWISE]


def _carried_from(kept: KeptDifference) -> str:
    """The day whose bill did not have it."""
    return str(msgspec.json.decode(kept.evidence)["on"])
