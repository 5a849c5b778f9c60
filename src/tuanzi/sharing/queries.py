"""What pages show of shares: who got what of an order, statements, terms, accounts, what needs a person (C2, C3)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from io import StringIO
from typing import Any

from msgspec import Struct

from tuanzi.base.problem import Unknown
from tuanzi.base.time import SHANGHAI, from_ms, show, to_ms
from tuanzi.machinery.database import Ask
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.several import several
from tuanzi.money import PAID_OTHERWISE, WRITTEN_OFF, Account, OrderLedger, ReceiverResult, order_ledger
from tuanzi.sharing import store
from tuanzi.sharing.model import (
    FIRST_TERMS,
    Case,
    CaseKind,
    CaseState,
    Payee,
    ReturnState,
    Share,
    SharePart,
    ShareReturn,
    ShareState,
    Sharing,
    SharingState,
    SharingTerms,
    Transfer,
    advance_of,
    case_ids_begin,
)
from tuanzi.sharing.problems import StatementTooLong

STATEMENT_LINES_MAX = 20_000  # about 4 MB as JSON
STATEMENT_DAYS_MAX = 92


class PartyView(Struct, frozen=True, kw_only=True, gc=False):
    """What one party gets of one sub-order.

    amount_fen: as it was set aside. net_fen: after refunds; what of it is owed_fen still, on_its_way_fen and given_fen
    less back_fen.
    """

    sub_order_id: str
    party: str
    account: str
    state: str
    amount_fen: int
    cut_fen: int
    back_fen: int
    net_fen: int
    owed_fen: int
    on_its_way_fen: int
    given_fen: int


class SharePartView(Struct, frozen=True, kw_only=True, gc=False):
    """What one receiver was given in a share."""

    account: str
    amount_fen: int
    result: str
    reason: str
    back_fen: int


class ShareView(Struct, frozen=True, kw_only=True, gc=False):
    """A share at the payment company."""

    out_order_no: str
    state: str
    reason: str
    sent_at: datetime
    ended_at: datetime | None
    parts: list[SharePartView]


class ReturnView(Struct, frozen=True, kw_only=True, gc=False):
    """Shared money that came back, or did not."""

    out_return_no: str
    refund_id: str
    account: str
    amount_fen: int
    state: str
    reason: str


class OrderMoney(OrderLedger, frozen=True, kw_only=True, gc=False):
    """Who got what of an order, to the fen.

    captured_fen = escrow_fen + parties_fen + refund_owed_fen + refunded_fen + refunded_otherwise_fen + forgone_fen:
    what nobody lays claim to yet, what the parties have after refunds, what is on its way back, what went back through
    the payment company or otherwise, and what an operator wrote off. adds_up: whether that is so. subsidy_fen comes on
    top, from the platform.
    """

    parties_fen: int
    refunded_otherwise_fen: int
    forgone_fen: int
    subsidy_fen: int
    adds_up: bool
    state: str | None
    payout: str | None
    terms_version: int | None
    parties: list[PartyView]
    shares: list[ShareView]
    returns: list[ReturnView]


class StatementLine(Struct, frozen=True, kw_only=True, gc=False):
    """One movement; positive is more for the merchant. balance_fen: what he is owed after it."""

    at: datetime
    kind: str
    reference: str
    order_id: str
    amount_fen: int
    balance_fen: int


class Statement(Struct, frozen=True, kw_only=True, gc=False):
    """What a merchant earned, lost and was paid in some days of Asia/Shanghai, `from_on` to `until_on`, both included.

    opening_fen + the sum of all lines = closing_fen; totals_fen by kind of movement add up to the same sum. What he
    owes for refunds that the platform advanced is counted against him.
    """

    merchant_id: str
    from_on: date
    until_on: date
    opening_fen: int
    closing_fen: int
    totals_fen: dict[str, int]
    lines: list[StatementLine]


class AccountView(Struct, frozen=True, kw_only=True, gc=False):
    """An account's balance: debit positive, credit negative."""

    account: str
    balance_fen: int


class AccountPage(Struct, frozen=True, kw_only=True, gc=False):
    """Accounts by name; `next` is where the next page begins, None on the last."""

    items: list[AccountView]
    next: str | None


class TermsView(Struct, frozen=True, kw_only=True, gc=False):
    """A version of the terms of sharing; rates are of 10,000."""

    version: int
    platform_rate: int
    leader_rate: int
    ambassador_rate: int
    provider_rate: int
    rider_rate: int
    subsidy_rate: int
    subsidy_budget_fen: int
    outward_max: int
    persons_max: int
    note: str
    made_by: str
    made_at: datetime | None


class TermsPage(Struct, frozen=True, kw_only=True, gc=False):
    """The terms in force first, then those before them; what of the subsidy budget is used."""

    items: list[TermsView]
    subsidy_used_fen: int
    next: int | None


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


class PayeePage(Struct, frozen=True, kw_only=True, gc=False):
    """Who is given shares, by id; `next` is where the next page begins, None on the last."""

    items: list[Payee]
    next: str | None


async def order_money(desk: Desk, order_id: str, *, member_id: str | None) -> OrderMoney:
    """Who got what of an order so far. member_id: who may see it; None is an operator.

    Raises Unknown when nothing was paid for it, or by somebody else.
    """
    ledger = await order_ledger(desk, order_id, member_id=member_id)
    slots = {"order_id": order_id}
    rows = await desk.rows(store.SHARING, slots)
    sharing = store.SHARINGS.from_row(rows[0]) if rows else None
    transfers = await _transfers(desk, sharing)
    parts = [store.SHARE_PARTS.from_row(row) for row in await desk.rows(store.SHARE_PARTS_OF_ORDER, slots)]
    shares = [store.SHARES.from_row(row) for row in await desk.rows(store.SHARES_OF_ORDER, slots)]
    returns = [store.RETURNS.from_row(row) for row in await desk.rows(store.RETURNS_OF_ORDER, slots)]
    is_posted = sharing is not None and sharing.state is SharingState.POSTED
    parties_fen = sum(each.net.fen for each in transfers if is_posted and not each.is_subsidy)
    otherwise = sum(refund.amount_fen for refund in ledger.refunds if refund.refusal == PAID_OTHERWISE)
    forgone = sum(refund.amount_fen for refund in ledger.refunds if refund.refusal == WRITTEN_OFF)
    told = parties_fen + ledger.escrow_fen + ledger.refund_owed_fen + ledger.refunded_fen + otherwise + forgone
    return OrderMoney(
        **{name: getattr(ledger, name) for name in OrderLedger.__struct_fields__},
        parties_fen=parties_fen,
        refunded_otherwise_fen=otherwise,
        forgone_fen=forgone,
        subsidy_fen=sum(each.net.fen for each in transfers if is_posted and each.is_subsidy),
        adds_up=told == ledger.captured_fen,
        state=None if sharing is None else sharing.state.value,
        payout=None if sharing is None else sharing.payout.value,
        terms_version=None if sharing is None else sharing.terms_version,
        parties=[_party_view(each, sharing) for each in transfers],
        shares=[_share_view(share, parts) for share in shares],
        returns=[_return_view(each) for each in returns],
    )


async def merchant_statement(desk: Desk, merchant_id: str, *, from_on: date, until_on: date) -> Statement:
    """A merchant's statement over whole days of Asia/Shanghai, `until_on` included.

    Raises StatementTooLong beyond 92 days or 20,000 lines. Reads all entries of the merchant's orders, since ever.
    """
    if not timedelta() <= until_on - from_on < timedelta(days=STATEMENT_DAYS_MAX):
        raise StatementTooLong(days_max=STATEMENT_DAYS_MAX)
    owed = Account.MERCHANT_PAYABLE.of(merchant_id)
    period = {"from_ms": to_ms(_midnight(from_on)), "until_ms": to_ms(_midnight(until_on + timedelta(days=1)))}
    slots = {"owed": owed, "advance": advance_of(owed), **period, "limit": STATEMENT_LINES_MAX + 1}
    rows = await desk.rows(store.STATEMENT_LINES, slots)
    if len(rows) > STATEMENT_LINES_MAX:
        raise StatementTooLong(lines_max=STATEMENT_LINES_MAX)
    before = await desk.rows(store.STATEMENT_OPENING, slots)
    opening = balance = -int(before[0][0])
    lines = []
    totals: dict[str, int] = {}
    for at_ms, kind, journal_id, _, order_id, fen in rows:
        balance -= fen
        totals[kind] = totals.get(kind, 0) - fen
        line = StatementLine(
            at=from_ms(at_ms),
            kind=kind,
            reference=journal_id.partition(":")[2],
            order_id=order_id,
            amount_fen=-fen,
            balance_fen=balance,
        )
        lines.append(line)
    return Statement(
        merchant_id=merchant_id,
        from_on=from_on,
        until_on=until_on,
        opening_fen=opening,
        closing_fen=balance,
        totals_fen=totals,
        lines=lines,
    )


def statement_csv(statement: Statement) -> bytes:
    """The statement as a file for a spreadsheet: UTF-8 with a mark, amounts in fen, opening first and closing last."""
    text = StringIO()
    write = csv.writer(text, lineterminator="\r\n")
    write.writerow(("at", "kind", "reference", "order_id", "amount_fen", "balance_fen"))
    write.writerow((statement.from_on.isoformat(), "opening", "", "", "", statement.opening_fen))
    for line in statement.lines:
        row = (show(line.at), line.kind, line.reference, line.order_id, line.amount_fen, line.balance_fen)
        write.writerow(row)
    moved = statement.closing_fen - statement.opening_fen
    write.writerow((statement.until_on.isoformat(), "closing", "", "", moved, statement.closing_fen))
    return b"\xef\xbb\xbf" + text.getvalue().encode()


async def account_page(desk: Desk, *, after: str, limit: int) -> AccountPage:
    """Accounts whose name comes after `after`, at most `limit`, by their running balances."""
    rows = await desk.rows(store.BALANCES_AFTER, {"after": after, "limit": limit + 1})
    items = [AccountView(account=account, balance_fen=fen) for account, fen in rows[:limit]]
    return AccountPage(items=items, next=items[-1].account if len(rows) > limit else None)


async def terms_page(desk: Desk, *, before: int | None, limit: int) -> TermsPage:
    """Versions of the terms, the newest first, before a version; version 0 is what the house begins with."""
    slots = {"before": 2**53 if before is None else before, "limit": limit + 1}
    rows = await desk.rows(store.TERMS_BEFORE, slots)
    items = [terms_view(store.TERMS.from_row(row)) for row in rows[:limit]]
    if len(rows) < limit and (before is None or before > 0):
        items.append(terms_view(FIRST_TERMS))
    budget = await desk.rows(store.BUDGET)
    is_last = not items or items[-1].version == 0
    return TermsPage(
        items=items, subsidy_used_fen=budget[0][2] if budget else 0, next=None if is_last else items[-1].version
    )


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
    settlements = [
        SettlementView(number=number, reason=reason, how=how, settled_by=by, settled_at=from_ms(at_ms), note=note)
        for _, number, reason, how, by, at_ms, note in await desk.rows(store.SETTLEMENTS_OF_CASE, {"case_id": case_id})
    ]
    return CaseEvidence(case=_case_view(case), settlements=settlements, order=order)


async def payee_page(desk: Desk, *, after: str, limit: int) -> PayeePage:
    """Who is given shares, by id."""
    rows = await desk.rows(store.PAYEES_AFTER, {"after": after, "limit": limit + 1})
    items = [store.PAYEES.from_row(row) for row in rows[:limit]]
    return PayeePage(items=items, next=items[-1].id if len(rows) > limit else None)


def terms_view(terms: SharingTerms) -> TermsView:
    """Terms as they are shown."""
    shown = {name: getattr(terms, name) for name in TermsView.__struct_fields__ if name != "subsidy_budget_fen"}
    return TermsView(**shown, subsidy_budget_fen=terms.subsidy_budget.fen)


async def _transfers(desk: Desk, sharing: Sharing | None) -> list[Transfer]:
    if sharing is None:
        return []
    slots: Mapping[str, Any] = {"gid": sharing.gid, "order_id": sharing.order_id}
    rows = await desk.rows(store.TRANSFERS_OF_ORDER, slots)
    return [each for row in rows for each in store.TRANSFERS.from_row(row).by_line]


def _midnight(on: date) -> datetime:
    return datetime.combine(on, time_of_day(), tzinfo=SHANGHAI)


def _party_view(each: Transfer, sharing: Sharing | None) -> PartyView:
    assert sharing is not None, "a transfer has a sharing"
    return PartyView(
        sub_order_id=each.sub_order_id,
        party=each.party.value,
        account=each.account,
        state=sharing.state.value,
        amount_fen=each.amount.fen,
        cut_fen=each.cut.fen,
        back_fen=each.back.fen,
        net_fen=each.net.fen,
        owed_fen=each.held.fen,
        on_its_way_fen=each.sent.fen,
        given_fen=each.given.fen,
    )


def _share_view(share: Share, parts: list[SharePart]) -> ShareView:
    return ShareView(
        out_order_no=share.out_order_no,
        state=share.state.value,
        reason=share.reason,
        sent_at=share.sent_at,
        ended_at=share.ended_at,
        parts=[
            SharePartView(
                account=part.account,
                amount_fen=part.amount.fen,
                result=part.result.value,
                reason=part.reason,
                back_fen=part.back.fen,
            )
            for part in parts
            if part.share_id == share.id
        ],
    )


def _return_view(each: ShareReturn) -> ReturnView:
    return ReturnView(
        out_return_no=each.out_return_no,
        refund_id=each.refund_id,
        account=each.account,
        amount_fen=each.amount.fen,
        state=each.state.value,
        reason=each.reason,
    )


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


# the books side by side, within a look (C3)

DAY_AT_ONCE = 1_000


class BookedAtProvider(Struct, frozen=True, kw_only=True, gc=False):
    """What is kept of money that a receiver was given, or gave back.

    key: as in the provider's bill: `out_order_no/account`, or out_return_no. is_return: which of the two.
    fen: what it moved, or is to move. is_over: whether that is known; is_done: whether it was moved.
    """

    key: str
    order_id: str
    is_return: bool
    fen: int
    is_over: bool
    is_done: bool
    at: datetime | None


def journals_due(ask: Ask, order_ids: Sequence[str]) -> dict[str, dict[str, int | None]]:
    """By order: the journals that sharing has booked for it, and their turnover; None where that is not kept."""
    due: dict[str, dict[str, int | None]] = {}
    decided: dict[str, datetime] = {}
    for sharing in map(store.SHARINGS.from_row, _rows(ask, store.SHARINGS_OF_ORDERS, order_ids)):
        if sharing.state is SharingState.POSTED and sharing.decided_at is not None and sharing.payable:
            decided[sharing.order_id] = sharing.decided_at
            due.setdefault(sharing.order_id, {})[f"sharing:{sharing.order_id}"] = None
    given: dict[str, int] = {}
    for part in map(store.SHARE_PARTS.from_row, _rows(ask, store.PARTS_OF_ORDERS, order_ids)):
        if part.result is ReceiverResult.SUCCESS:
            given[part.share_id] = given.get(part.share_id, 0) + part.amount.fen
    for share in map(store.SHARES.from_row, _rows(ask, store.SHARES_OF_ORDERS, order_ids)):
        if share.state is ShareState.FINISHED and given.get(share.id):
            due.setdefault(share.order_id, {})[f"share_given:{share.id}"] = given[share.id]
    for back in map(store.RETURNS.from_row, _rows(ask, store.RETURNS_OF_ORDERS, order_ids)):
        if back.state is ReturnState.SETTLED:
            due.setdefault(back.order_id, {})[f"share_returned:{back.id}"] = back.left.fen
    for claw in map(store.CLAW_BACKS.from_row, _rows(ask, store.CLAW_BACKS_OF_ORDERS, order_ids)):
        if claw.order_id in decided and claw.at > decided[claw.order_id]:
            due.setdefault(claw.order_id, {})[f"claw_back:{claw.refund_id}"] = None
    return due


def booked_by_number(ask: Ask, numbers: Sequence[str]) -> list[BookedAtProvider]:
    """What is kept under these numbers of the provider, shares and returns."""
    shares = [store.SHARES.from_row(row) for row in _rows(ask, store.SHARES_NUMBERED, numbers)]
    returns = [store.RETURNS.from_row(row) for row in _rows(ask, store.RETURNS_NUMBERED, numbers)]
    return [*_booked_shares(ask, shares), *map(_booked_return, returns)]


def booked_between(ask: Ask, begins: datetime, ends: datetime) -> list[BookedAtProvider]:
    """What was noted as given or given back in a period."""
    shares = [store.SHARES.from_row(row) for row in _of_period(ask, store.SHARES_ENDED, begins, ends)]
    returns = [store.RETURNS.from_row(row) for row in _of_period(ask, store.RETURNS_ENDED, begins, ends)]
    return [one for one in (*_booked_shares(ask, shares), *map(_booked_return, returns)) if one.is_done]


def _booked_shares(ask: Ask, shares: Sequence[Share]) -> Iterator[BookedAtProvider]:
    """One for each receiver of each share: his parts of it are given as one."""
    parts: dict[str, list[SharePart]] = {}
    for part in map(store.SHARE_PARTS.from_row, _rows(ask, store.PARTS_OF_SHARES, [share.id for share in shares])):
        parts.setdefault(part.share_id, []).append(part)
    for share in shares:
        for account in dict.fromkeys(part.account for part in parts.get(share.id, ())):
            own = [part for part in parts[share.id] if part.account == account]
            yield BookedAtProvider(
                key=f"{share.out_order_no}/{account}",
                order_id=share.order_id,
                is_return=False,
                fen=sum(part.amount.fen for part in own),
                is_over=share.state is not ShareState.SENT,
                is_done=all(part.result is ReceiverResult.SUCCESS for part in own),
                at=share.ended_at,
            )


def _booked_return(back: ShareReturn) -> BookedAtProvider:
    return BookedAtProvider(
        key=back.out_return_no,
        order_id=back.order_id,
        is_return=True,
        fen=back.left.fen,
        is_over=back.state not in (ReturnState.DUE, ReturnState.SENT),
        is_done=back.state is ReturnState.SETTLED,
        at=back.ended_at,
    )


def _rows(ask: Ask, sql: str, ids: Sequence[str]) -> list[tuple[Any, ...]]:
    return [row for slots in several(ids) for row in ask(sql, slots)]


def _of_period(ask: Ask, sql: str, begins: datetime, ends: datetime) -> Iterator[tuple[Any, ...]]:
    after = ""
    while True:
        slots = {"after": after, "from_ms": to_ms(begins), "until_ms": to_ms(ends), "limit": DAY_AT_ONCE}
        rows = ask(sql, slots)
        yield from rows
        if len(rows) < DAY_AT_ONCE:
            return
        after = rows[-1][0]
