"""The terms that orders are shared by, and the budget for subsidies."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.money import ZERO, Money
from tuanzi.base.unit import Unit
from tuanzi.sharing.model import (
    BUDGET_ID,
    FIRST_TERMS,
    IN_FORCE_ID,
    ChangeTerms,
    SharingTerms,
    SubsidyBudget,
    TermsChanged,
    TermsInForce,
    terms_id,
)
from tuanzi.sharing.problems import BudgetUsedUp, TermsMoved


def change_terms(unit: Unit, command: ChangeTerms, *, now: datetime) -> TermsChanged:
    """Put new terms in force; orders set aside before keep theirs. Raises TermsMoved, TermsInvalid."""
    before = terms_in_force(unit)
    if before.version != command.after_version:
        raise TermsMoved(version=before.version)
    version = before.version + 1
    terms = replace(command.terms, id=terms_id(version), version=version, made_by=command.operator_id, made_at=now)
    unit.add(terms)
    unit.put(TermsInForce(id=IN_FORCE_ID, version=version))
    budget = unit.find(SubsidyBudget, BUDGET_ID) or SubsidyBudget(id=BUDGET_ID, most=ZERO, used=ZERO)
    unit.put(replace(budget, most=max(terms.subsidy_budget, budget.used)))
    return TermsChanged(version=version)


def terms_in_force(unit: Unit) -> SharingTerms:
    """The terms that orders are shared by now."""
    pointer = unit.find(TermsInForce, IN_FORCE_ID)
    return FIRST_TERMS if pointer is None else unit.load(SharingTerms, terms_id(pointer.version))


def spend(unit: Unit, amount: Money, *, terms: SharingTerms) -> None:
    """Set a part of the subsidy budget aside. Raises BudgetUsedUp; the table's CHECK says the same."""
    budget = unit.find(SubsidyBudget, BUDGET_ID) or SubsidyBudget(id=BUDGET_ID, most=terms.subsidy_budget, used=ZERO)
    used = budget.used + amount
    if used > terms.subsidy_budget:
        raise BudgetUsedUp(left_fen=max(0, (terms.subsidy_budget - budget.used).fen), needed_fen=amount.fen)
    unit.put(replace(budget, used=used))


def unspend(unit: Unit, amount: Money) -> None:
    """Give a part of the subsidy budget free again."""
    if amount:
        budget = unit.load(SubsidyBudget, BUDGET_ID)
        unit.put(replace(budget, used=budget.used - amount))
