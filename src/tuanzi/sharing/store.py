"""Sharing's tables in the money database and the SQL its pages read with."""

from __future__ import annotations

from tuanzi.machinery.tables import table
from tuanzi.sharing.model import (
    Case,
    ClawBack,
    Payee,
    Share,
    SharePart,
    ShareReturn,
    Sharing,
    SharingBranch,
    SharingTerms,
    SubsidyBudget,
    TermsInForce,
    Transfer,
)

TERMS = table("sharing_terms", SharingTerms, key="id")
TERMS_IN_FORCE = table("terms_in_force", TermsInForce, key="id")
BUDGETS = table("subsidy_budgets", SubsidyBudget, key="id")
BRANCHES = table("sharing_branches", SharingBranch, key="gid")
SHARINGS = table("sharings", Sharing, key="order_id")
TRANSFERS = table("transfers", Transfer, key=("gid", "order_id", "line"))
PAYEES = table("payees", Payee, key="id")
SHARES = table("shares", Share, key="id")
SHARE_PARTS = table("share_parts", SharePart, key=("share_id", "number"))
CLAW_BACKS = table("claw_backs", ClawBack, key="refund_id")
RETURNS = table("share_returns", ShareReturn, key="id")
CASES = table("cases", Case, key="id")
TABLES = (
    TERMS,
    TERMS_IN_FORCE,
    BUDGETS,
    BRANCHES,
    SHARINGS,
    TRANSFERS,
    PAYEES,
    SHARES,
    SHARE_PARTS,  # after the shares they refer to
    CLAW_BACKS,
    RETURNS,
    CASES,
)
