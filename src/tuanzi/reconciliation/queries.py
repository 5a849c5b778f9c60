"""What operators see of the reconciliation: runs, differences with their evidence, reports and their chain (C3)."""

from __future__ import annotations

import csv
import io
import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from tuanzi.base.ids import PaymentId
from tuanzi.base.problem import Unknown
from tuanzi.events import BillsUnusable, DifferenceFound, DifferenceRaised, DifferenceRepaired
from tuanzi.machinery.http.routes import Desk
from tuanzi.money import in_suspense, payments_named
from tuanzi.reconciliation import store
from tuanzi.reconciliation.model import Book, Cursor, KeptDifference, Kind, Report, Side, State, broken_links

COLUMNS = ("class", "key", "order_id", "merchants", "sides", "unexplained_fen", "mend", "state", "found_at")


log = logging.getLogger("tuanzi.reconciliation")


class Watch:
    """What one campus's reconciliation has found since this process started, for `/metrics` and the log.

    found, raised, repaired: by class; what was found before is counted under "".
    """

    def __init__(self, campus: str, desk: Desk) -> None:
        self.campus = campus
        self.found: Counter[str] = Counter()
        self.raised: Counter[str] = Counter()
        self.repaired: Counter[str] = Counter()
        self.bills_unusable = 0
        self._desk = desk
        self._classes: dict[str, str] = {}

    @property
    def last_run_at(self) -> datetime | None:
        """When books were compared last; None before the first time in this process."""
        cursor = self._desk.peek(Cursor, "books")
        return None if cursor is None else cursor.last_run_at

    def on_events(self, numbered: Sequence[tuple[int, object]]) -> None:
        """Count what happened, and call for a person when only he can go on."""
        for _, event in numbered:
            match event:
                case DifferenceFound():
                    self.found[event.difference_class] += 1
                    self._classes[event.difference_id] = event.difference_class
                    if event.is_raised:
                        self._raise(event.difference_id, "a person must decide")
                case DifferenceRaised():
                    self._raise(event.difference_id, event.reason)
                case DifferenceRepaired():
                    self.repaired[self._classes.pop(event.difference_id, "")] += 1
                case BillsUnusable():
                    self.bills_unusable += 1
                    extra = {"campus": self.campus, "on_day": event.on_day, "reason": event.reason}
                    log.error("reconciliation.bills_unusable", extra=extra)
                case _:
                    pass

    def _raise(self, difference_id: str, reason: str) -> None:
        kind = self._classes.get(difference_id, "")
        self.raised[kind] += 1
        extra = {"campus": self.campus, "difference": difference_id, "difference_class": kind, "reason": reason}
        log.error("reconciliation.difference_raised", extra=extra)


class RunView(Struct, frozen=True, kw_only=True, gc=False):
    """One comparison that found something, was a day's, or was asked for."""

    id: str
    kind: str
    on_day: str | None
    began_at: datetime
    ended_at: datetime
    orders_read: int
    lines_read: int
    under_way: int
    found: int
    unexplained_fen: int
    fault: str
    report_number: int


class RunsPage(Struct, frozen=True, kw_only=True, gc=False):
    """Runs, newest first; `next` is where the next page begins, None on the last.

    minute_runs: how many comparisons there have been, the ones without a finding too; last_run_at: the last of them.
    billed_until: the last day whose bills were compared.
    """

    items: tuple[RunView, ...]
    next: str | None
    minute_runs: int
    last_run_at: datetime | None
    billed_until: str | None


class DifferenceView(Struct, frozen=True, kw_only=True, gc=False):
    """A difference: what each book says, how far apart they are, and what became of it. `evidence`: the rows."""

    id: str
    difference_class: str
    key: str
    order_id: str
    merchant_ids: tuple[str, ...]
    sides: tuple[Side, ...]
    unexplained_fen: int
    mend: str
    state: str
    is_raised: bool
    run_id: str
    found_at: datetime
    occurrences: int
    attempts: int
    ended_at: datetime | None
    ended_by: str | None
    reason: str | None
    evidence: msgspec.Raw


class DifferencesPage(Struct, frozen=True, kw_only=True, gc=False):
    """Differences by id; `next` is where the next page begins, None on the last."""

    items: tuple[DifferenceView, ...]
    next: str | None


class ReportLine(Struct, frozen=True, kw_only=True, gc=False):
    """One report of the chain; `is_whole`: it is as it was written, where it was written."""

    number: int
    run_id: str
    made_at: datetime
    previous: str
    hash: str
    is_whole: bool


class ReportsPage(Struct, frozen=True, kw_only=True, gc=False):
    """Reports in order; `next` is where the next page begins, None on the last. `broken`: numbers on this page."""

    items: tuple[ReportLine, ...]
    next: int | None
    broken: tuple[int, ...]


class ReportView(Struct, frozen=True, kw_only=True, gc=False):
    """A report as it was written."""

    number: int
    run_id: str
    made_at: datetime
    previous: str
    hash: str
    is_whole: bool
    body: msgspec.Raw


class _Row(Struct, frozen=True, gc=False):
    """What of a reported difference stands in the table."""

    kind: str
    item: str
    order_id: str
    merchant_ids: tuple[str, ...]
    sides: tuple[Side, ...]
    unexplained_fen: int
    mend: str
    state: str
    found_at: str


class _Body(Struct, frozen=True, gc=False):
    differences: tuple[_Row, ...]


async def runs_page(desk: Desk, *, before: str, limit: int) -> RunsPage:
    """Runs before `before` (all: "~"), newest first."""
    rows = [
        store.RUNS.from_row(row) for row in await desk.rows(store.RUNS_BEFORE, {"before": before, "limit": limit + 1})
    ]
    cursors = [store.CURSORS.from_row(row) for row in await desk.rows(store.CURSOR)]
    views = tuple(
        RunView(
            id=run.id,
            kind=run.kind.value,
            on_day=run.on_day,
            began_at=run.began_at,
            ended_at=run.ended_at,
            orders_read=run.orders_read,
            lines_read=run.lines_read,
            under_way=run.under_way,
            found=run.found,
            unexplained_fen=run.unexplained_fen,
            fault=run.fault,
            report_number=run.report_number,
        )
        for run in rows[:limit]
    )
    return RunsPage(
        items=views,
        next=views[-1].id if len(rows) > limit else None,
        minute_runs=cursors[0].minute_runs if cursors else 0,
        last_run_at=cursors[0].last_run_at if cursors else None,
        billed_until=(cursors[0].billed or None) if cursors else None,
    )


async def differences_page(
    desk: Desk, *, state: State | None, run_id: str | None, after: str, limit: int
) -> DifferencesPage:
    """Differences of a run, or in a state, or all, whose ids come after `after`."""
    slots: dict[str, object] = {"after": after, "limit": limit + 1}
    if run_id is not None:
        rows = await desk.rows(store.DIFFERENCES_OF_RUN, {**slots, "run_id": run_id})
    elif state is not None:
        rows = await desk.rows(store.DIFFERENCES_IN_STATE, {**slots, "state": state.value})
    else:
        rows = await desk.rows(store.DIFFERENCES_AFTER, slots)
    items = tuple(difference_view(store.DIFFERENCES.from_row(row)) for row in rows[:limit])
    return DifferencesPage(items=items, next=items[-1].id if len(rows) > limit else None)


class SuspenseView(Struct, frozen=True, kw_only=True, gc=False):
    """Money of another amount than was asked: no order has it, and it waits until a person sends it back."""

    difference_id: str
    payment_id: str
    order_id: str
    member_id: str
    asked_fen: int
    came_fen: int
    came_at: datetime | None


class SuspensePage(Struct, frozen=True, kw_only=True, gc=False):
    """Money in suspense by difference; `next` is where the next page begins, None on the last; a page may be short."""

    items: tuple[SuspenseView, ...]
    next: str | None


async def suspense_page(desk: Desk, *, after: str, limit: int) -> SuspensePage:
    """Money that came and was not what was asked, and that nobody has dealt with."""
    slots = {"kind": Kind.AMOUNTS.value, "after": after, "limit": limit + 1}
    found = [store.DIFFERENCES.from_row(row) for row in await desk.rows(store.AMOUNTS_OPEN, slots)]
    page = found[:limit]
    payments = {one.id: one for one in await payments_named(desk, [kept.item for kept in page])}
    items = tuple(
        SuspenseView(
            difference_id=kept.id,
            payment_id=payment.id,
            order_id=payment.order_id,
            member_id=payment.member_id,
            asked_fen=payment.amount.fen,
            came_fen=payment.captured.fen,
            came_at=payment.captured_at,
        )
        for kept in page
        if (payment := payments.get(PaymentId(kept.item))) is not None and payment.is_in_suspense
    )
    return SuspensePage(items=items, next=page[-1].id if len(found) > limit else None)


class AsideView(Struct, frozen=True, kw_only=True, gc=False):
    """Money in suspense because the payment company said more or less than the ledger knew.

    suspense_fen: how much; negative when money is missing there. provider_fen, ledger_fen: what each says; None for
    nothing. state: of the difference, which a person may have settled while the money stayed.
    """

    difference_id: str
    difference_class: str
    key: str
    order_id: str
    provider_fen: int | None
    ledger_fen: int | None
    suspense_fen: int
    state: str
    found_at: datetime


class AsidePage(Struct, frozen=True, kw_only=True, gc=False):
    """What is set aside, by difference; `next` is where the next page begins, None on the last; a page may be short."""

    items: tuple[AsideView, ...]
    next: str | None


async def aside_page(desk: Desk, *, after: str, limit: int) -> AsidePage:
    """What is in suspense because of what the payment company said, and that nobody has dealt with."""
    rows = await desk.rows(store.SET_ASIDE, {"after": after, "limit": limit + 1})
    page = [store.DIFFERENCES.from_row(row) for row in rows[:limit]]
    left = await in_suspense(desk, [kept.id for kept in page])
    items = []
    for kept in page:
        says = {side.book: side.fen for side in kept.sides}
        if kept.id in left:
            view = AsideView(
                difference_id=kept.id,
                difference_class=kept.kind.value,
                key=kept.item,
                order_id=kept.order_id,
                provider_fen=says.get(Book.PROVIDER),
                ledger_fen=says.get(Book.LEDGER),
                suspense_fen=left[kept.id],
                state=kept.state.value,
                found_at=kept.found_at,
            )
            items.append(view)
    return AsidePage(items=tuple(items), next=page[-1].id if len(rows) > limit else None)


async def difference(desk: Desk, difference_id: str) -> DifferenceView:
    """One difference with its evidence. Raises Unknown."""
    rows = await desk.rows(store.DIFFERENCE, {"id": difference_id})
    if not rows:
        raise Unknown(kind="difference", id=difference_id)
    return difference_view(store.DIFFERENCES.from_row(rows[0]))


def difference_view(kept: KeptDifference) -> DifferenceView:
    """A difference as it is shown."""
    return DifferenceView(
        id=kept.id,
        difference_class=kept.kind.value,
        key=kept.item,
        order_id=kept.order_id,
        merchant_ids=kept.merchant_ids,
        sides=kept.sides,
        unexplained_fen=kept.unexplained_fen,
        mend=kept.mend.value,
        state=kept.state.value,
        is_raised=kept.is_raised,
        run_id=kept.run_id,
        found_at=kept.found_at,
        occurrences=kept.occurrences,
        attempts=kept.attempts,
        ended_at=kept.ended_at,
        ended_by=kept.ended_by,
        reason=kept.reason,
        evidence=msgspec.Raw(kept.evidence.encode()),
    )


async def reports_page(desk: Desk, *, after: int, limit: int) -> ReportsPage:
    """Reports after a number, and whether each is as it was written."""
    reports = [
        store.REPORTS.from_row(row)
        for row in await desk.rows(store.REPORTS_AFTER, {"after": max(0, after - 1), "limit": limit + 2})
    ]
    previous = reports.pop(0) if after and reports and reports[0].number == after else None
    more = len(reports) > limit
    page = reports[:limit]
    broken = broken_links(page, after=after, previous="" if previous is None else previous.hash)
    lines = tuple(
        ReportLine(
            number=report.number,
            run_id=report.run_id,
            made_at=report.made_at,
            previous=report.previous,
            hash=report.hash,
            is_whole=report.number not in broken,
        )
        for report in page
    )
    return ReportsPage(items=lines, next=lines[-1].number if more else None, broken=tuple(broken))


async def report(desk: Desk, number: int) -> ReportView:
    """One report. Raises Unknown."""
    rows = await desk.rows(store.REPORTS_AFTER, {"after": max(0, number - 2), "limit": 2})
    found = {one.number: one for one in map(store.REPORTS.from_row, rows)}
    if number not in found:
        raise Unknown(kind="report", id=number)
    kept = found[number]
    before = found.get(number - 1)
    broken = broken_links([kept], after=number - 1, previous="" if before is None else before.hash)
    return ReportView(
        number=kept.number,
        run_id=kept.run_id,
        made_at=kept.made_at,
        previous=kept.previous,
        hash=kept.hash,
        is_whole=not broken,
        body=msgspec.Raw(kept.body.encode()),
    )


async def report_csv(desk: Desk, number: int) -> bytes:
    """The differences of a report as a table, a row each. Raises Unknown."""
    rows = await desk.rows(store.REPORT, {"number": number})
    if not rows:
        raise Unknown(kind="report", id=number)
    return _table(store.REPORTS.from_row(rows[0])).encode()


def _table(kept: Report) -> str:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for row in msgspec.json.decode(kept.body, type=_Body).differences:
        sides = "; ".join(f"{side.book.value}: {side.fen} {side.says}".strip() for side in row.sides)
        cells = (row.kind, row.item, row.order_id, " ".join(row.merchant_ids), sides)
        table.writerow([*map(_plain, cells), row.unexplained_fen, row.mend, row.state, row.found_at])
    return text.getvalue()


def _plain(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@") else cell
