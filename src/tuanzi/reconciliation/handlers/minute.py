"""Every minute: what moved since the last run, the next part of the round through all orders, balances and stock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from functools import partial

from msgspec.structs import replace

from tuanzi import money, orders, stock
from tuanzi.base.ids import make_id
from tuanzi.base.time import SHANGHAI
from tuanzi.money import Account
from tuanzi.reconciliation import store
from tuanzi.reconciliation.handlers.books import (
    FINDINGS_MAX,
    MEALS_LOOK_BACK,
    ORDERED_BEFORE_MEAL,
    ORDERS_AT_ONCE,
    Comparison,
    Readable,
    ReadableBooks,
)
from tuanzi.reconciliation.model import (
    CheckBooks,
    Cursor,
    Difference,
    Finding,
    PortionsWanted,
    RecordRun,
    RunKind,
    State,
    of_balances,
    of_stock,
)

# Our choice: 1 ms of a reading thread.
EVENTS_AT_ONCE = 500
# Our choice: the orders of so many events are compared in a few seconds, unhurried; the next run follows at once.
MOVED_MAX = 5_000
# An errand has 30 s. Measured, unhurried beside 700 chains/s, an order takes 4.3 ms; beside full load up to twice that.
ORDERS_MAX = 1_500
# Entries are summed whenever that takes less than one part in 300 of a reading thread (0.2 s for half a million).
ENTRIES_A_MINUTE = 500_000
CLEAN_MAX = 200_000  # about 200 bytes each
# Our choice: the hour at which the fewest are awake; it reads the whole ledger twice, beside the writer.
PROVEN_AT = time(4, 0, tzinfo=SHANGHAI)
LAST_ID = "~"  # sorts after every id


class EveryMinute:
    """Compares the books of one campus with each other.

    moved_max: events of each database whose orders one run compares. orders_max: orders of a run, not counting those
    by which a page of events is too long; a half for what moved in either database, what is left for the round, of
    which there is a quarter at least.
    """

    def __init__(
        self,
        books: ReadableBooks,
        comparison: Comparison,
        *,
        moved_max: int = MOVED_MAX,
        orders_max: int = ORDERS_MAX,
    ) -> None:
        self._books = books
        self._comparison = comparison
        self._moved_max = moved_max
        self._orders_max = orders_max
        self._clean: dict[str, tuple[int, int]] = {}
        self._clean_meals: dict[str, int] = {}

    async def check_books(self, errand: CheckBooks, *, now: datetime) -> RecordRun:
        """Compare what moved since the last run, the next part of the round through all orders, balances and stock.

        When more moved than one run compares, it is all that is compared: the rest waits until nothing is behind. The
        whole ledger is proven, whatever else is found, when an operator asks, and every night as soon as nothing is
        behind.
        """
        cursor = await self._comparison.cursor()
        moved_core = await self._moved(self._books.core, cursor.core_number)
        moved_money = await self._moved(self._books.money, cursor.money_number)
        is_behind = not (moved_core.is_complete and moved_money.is_complete)
        moved = sorted(moved_core.order_ids | moved_money.order_ids)
        left = max(self._orders_max // 4, self._orders_max - len(moved))
        swept, swept_until = ([], cursor.swept) if is_behind else await self._sweep(cursor.swept, most=left)
        order_ids = list(dict.fromkeys([*moved, *swept]))
        findings: list[Finding] = []
        under_way: set[str] = set()
        heard_core, heard_money = moved_core.last, moved_money.last
        for i in range(0, len(order_ids), ORDERS_AT_ONCE):
            part = order_ids[i : i + ORDERS_AT_ONCE]
            compared = await self._comparison.compare(part, known=self._clean)
            findings += compared.findings
            if len(self._clean) > CLEAN_MAX:
                self._clean.clear()
            under_way |= compared.under_way
            if compared.under_way:
                heard_core = min(heard_core, compared.core_heard)
                heard_money = min(heard_money, compared.money_heard)
        entries, summed_at, proof = cursor.entries, cursor.summed_at, None
        # A row that is wrong makes sums wrong as well: it is mended first, and they are looked at in the next run.
        open_now = await self._comparison.in_state(State.OPEN)
        known = {one.id for one in open_now}
        findings = [finding for finding in findings if finding.difference.id not in known]
        is_calm = not findings and not is_behind
        is_asked = errand.kind is RunKind.ASKED
        is_full = is_asked or (not is_behind and await self._is_time_to_prove(cursor, now=now))
        if is_full or (is_calm and self._is_time_to_sum(cursor, now=now)):
            sums, proof = await self._books.money.look(lambda ask: money.prove_ledger(ask, now=now, is_full=is_full))
            if is_calm:
                entries, summed_at = proof.entries, now
                findings += [Finding(difference=one, merchant_ids=_owner_of(one)) for one in _of_sums(sums)]
        # Nor can stock be held against an order book in which an order of these meals may be missing.
        if is_calm and not any(one.order_id and one.found_at >= now - MEALS_LOOK_BACK for one in open_now):
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
            proof=proof,
        )

    async def _moved(self, book: Readable, number: int) -> store.Told:
        """The orders that events after `number` are about, page after page; of what is more than one run compares the
        next one is told, and this is not complete."""
        most = self._moved_max
        order_ids: set[str] = set()
        page = store.Told(order_ids=frozenset(), last=number, is_complete=False)
        while not page.is_complete and page.last < number + most and len(order_ids) < self._orders_max // 2:
            after, limit = page.last, min(most, EVENTS_AT_ONCE)
            page = await book.look(partial(store.told_after, number=after, limit=limit))
            order_ids |= page.order_ids
        return store.Told(order_ids=frozenset(order_ids), last=page.last, is_complete=page.is_complete)

    async def _sweep(self, after: str, *, most: int) -> tuple[list[str], str]:
        """The next orders of the round through all that either database knows, and the last; "" when all were seen."""
        core = await self._books.core.look(lambda ask: orders.order_ids_after(ask, after, limit=most))
        cash = await self._books.money.look(lambda ask: money.order_ids_between(ask, after, LAST_ID, limit=most))
        swept = sorted({*core, *cash})[:most]
        return swept, swept[-1] if len(swept) == most else ""

    def _is_time_to_sum(self, cursor: Cursor, *, now: datetime) -> bool:
        if cursor.summed_at is None:
            return True
        pause = timedelta(minutes=cursor.entries // ENTRIES_A_MINUTE)
        return now - cursor.summed_at >= pause

    async def _is_time_to_prove(self, cursor: Cursor, *, now: datetime) -> bool:
        """Every night; and, while some journal does not add up, whenever it is time to sum."""
        proof = await self._comparison.proof()
        if proof is None or proof.proven_at is None or proof.proven_at < _last_night(now):
            return True
        return bool(proof.unbalanced) and self._is_time_to_sum(cursor, now=now)

    async def _stock(self, *, now: datetime) -> list[Finding]:
        """Compare the portions of the meals of yesterday and later."""
        day = (now - MEALS_LOOK_BACK).astimezone(SHANGHAI).date().isoformat()
        since = make_id("o", now=now - MEALS_LOOK_BACK - ORDERED_BEFORE_MEAL, chance=0)
        meals = await self._books.core.look(lambda ask: stock.meals_from(ask, day))
        wanted: dict[tuple[str, str], PortionsWanted] = {}
        kept: dict[tuple[str, str], stock.Portions] = {}
        known = self._clean_meals.copy()  # what is found of a meal is lost when a later one cannot be looked at
        for meal_id in meals:
            look = await self._comparison.stock_of(meal_id, since=since, known=known)
            wanted |= look.wanted
            kept |= look.kept
        found = of_stock(wanted, kept)
        for one in found:
            known.pop(one.key.rpartition("/")[2], None)
        self._clean_meals = known
        return [Finding(difference=one) for one in found]


def _last_night(now: datetime) -> datetime:
    """The last time that it was PROVEN_AT."""
    tonight = datetime.combine(now.astimezone(SHANGHAI).date(), PROVEN_AT)
    return tonight if tonight <= now else tonight - timedelta(days=1)


def _of_sums(sums: Sequence[money.AccountSums]) -> list[Difference]:
    return of_balances({one.account: one.summed_fen for one in sums}, {one.account: one.running_fen for one in sums})


def _owner_of(difference: Difference) -> tuple[str, ...]:
    """The merchant whose account it is."""
    account, _, owner = difference.key.removeprefix("balance:").partition(":")
    return (owner,) if account == Account.MERCHANT_PAYABLE.value and owner else ()
