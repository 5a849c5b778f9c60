"""Accounts, terms and payees, as operators page through them (C2)."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from tuanzi.machinery.http.routes import Desk
from tuanzi.sharing import store
from tuanzi.sharing.model import FIRST_TERMS, Payee, SharingTerms


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


class PayeePage(Struct, frozen=True, kw_only=True, gc=False):
    """Who is given shares, by id; `next` is where the next page begins, None on the last."""

    items: list[Payee]
    next: str | None


async def account_page(desk: Desk, *, after: str, limit: int) -> AccountPage:
    """Accounts whose name comes after `after`, at most `limit`, by their running balances."""
    rows = await desk.rows(store.BALANCES_AFTER, {"after": after, "limit": limit + 1})
    items = [AccountView(account=account, balance_fen=fen) for account, fen in rows[:limit]]
    return AccountPage(items=items, next=items[-1].account if len(rows) > limit else None)


async def terms_page(desk: Desk, *, before: int | None, limit: int) -> TermsPage:
    """Versions of the terms, the newest first, before a version; version 0 is what the house begins with."""
    slots = {"before": 2**53 if before is None else before, "limit": limit + 1}
    rows = await desk.rows(store.TERMS_BEFORE, slots)
    items = [_terms_view(store.TERMS.from_row(row)) for row in rows[:limit]]
    if len(rows) < limit and (before is None or before > 0):
        items.append(_terms_view(FIRST_TERMS))
    budget = await desk.rows(store.BUDGET)
    is_last = not items or items[-1].version == 0
    return TermsPage(
        items=items, subsidy_used_fen=budget[0][2] if budget else 0, next=None if is_last else items[-1].version
    )


async def payee_page(desk: Desk, *, after: str, limit: int) -> PayeePage:
    """Who is given shares, by id."""
    rows = await desk.rows(store.PAYEES_AFTER, {"after": after, "limit": limit + 1})
    items = [store.PAYEES.from_row(row) for row in rows[:limit]]
    return PayeePage(items=items, next=items[-1].id if len(rows) > limit else None)


def _terms_view(terms: SharingTerms) -> TermsView:
    """Terms as they are shown."""
    shown = {name: getattr(terms, name) for name in TermsView.__struct_fields__ if name != "subsidy_budget_fen"}
    return TermsView(**shown, subsidy_budget_fen=terms.subsidy_budget.fen)
