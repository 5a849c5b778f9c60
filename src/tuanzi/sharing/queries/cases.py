"""What needs a person, with all there is about it (C2, C3)."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from tuanzi.base.problem import Unknown
from tuanzi.base.time import from_ms
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.several import whole_rows_there
from tuanzi.sharing import store
from tuanzi.sharing.model import Case, CaseKind, CaseState, case_ids_begin
from tuanzi.sharing.queries.order import OrderMoney, order_money


class CaseView(Struct, frozen=True, kw_only=True, gc=False):
    """Something that needs, or needed, a person."""

    id: str
    kind: str
    reference: str
    order_id: str
    amount_fen: int
    reason: str
    state: str
    opened_at: datetime
    times: int
    settled_at: datetime | None
    settled_by: str | None
    settled_how: str | None
    note: str | None


class CasePage(Struct, frozen=True, kw_only=True, gc=False):
    """Cases by id; `next` is where the next page begins, None on the last."""

    items: list[CaseView]
    next: str | None


class SettlementView(Struct, frozen=True, kw_only=True, gc=False):
    """What an operator did about a case the `number`th time it came up, and the reason it had then."""

    number: int
    reason: str
    how: str
    settled_by: str
    settled_at: datetime
    note: str


class CaseEvidence(Struct, frozen=True, kw_only=True, gc=False):
    """A case with all there is about its order's money; None when nothing was ever paid for it.

    settlements: what operators did about it, newest first, at most 100.
    """

    case: CaseView
    settlements: list[SettlementView]
    order: OrderMoney | None


async def case_page(desk: Desk, *, state: CaseState, kind: CaseKind | None, after: str, limit: int) -> CasePage:
    """Cases in a state, of a kind or of all, whose id comes after `after`, at most `limit`."""
    first = "" if kind is None else case_ids_begin(kind)
    until = f"{first}~"  # no id comes after it
    slots = {"state": state.value, "after": max(after, first), "until": until, "limit": limit + 1}
    rows = await desk.rows(store.CASES_AFTER, slots)
    items = [_case_view(store.CASES.from_row(row)) for row in rows[:limit]]
    return CasePage(items=items, next=items[-1].id if len(rows) > limit else None)


async def case_evidence(desk: Desk, case_id: str) -> CaseEvidence:
    """A case and all there is about its order's money. Raises Unknown."""
    rows = await desk.rows(store.CASE, {"id": case_id})
    if not rows:
        raise Unknown(kind="case", id=case_id)
    case = store.CASES.from_row(rows[0])
    try:
        order = await order_money(desk, case.order_id, member_id=None)
    except Unknown:
        order = None
    settled = await whole_rows_there(desk.rows, store.SETTLEMENTS_OF_CASE, {"case_id": case_id})
    settlements = [
        SettlementView(number=number, reason=reason, how=how, settled_by=by, settled_at=from_ms(at_ms), note=note)
        for _, number, reason, how, by, at_ms, note in settled
    ]
    return CaseEvidence(case=_case_view(case), settlements=settlements, order=order)


def _case_view(case: Case) -> CaseView:
    return CaseView(
        id=case.id,
        kind=case.kind.value,
        reference=case.reference,
        order_id=case.order_id,
        amount_fen=case.amount.fen,
        reason=case.reason,
        state=case.state.value,
        opened_at=case.opened_at,
        times=case.times,
        settled_at=case.settled_at,
        settled_by=case.settled_by,
        settled_how=None if case.settled_how is None else case.settled_how.value,
        note=case.note,
    )
