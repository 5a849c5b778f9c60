"""Sharing's tables in the money database and the SQL its pages read with."""

from __future__ import annotations

from tuanzi.machinery.tables import table
from tuanzi.sharing.model import Sharing, SharingBranch, SharingTerms, SubsidyBudget, TermsInForce, Transfer

TERMS = table("sharing_terms", SharingTerms, key="id")
TERMS_IN_FORCE = table("terms_in_force", TermsInForce, key="id")
BUDGETS = table("subsidy_budgets", SubsidyBudget, key="id")
BRANCHES = table("sharing_branches", SharingBranch, key="gid")
SHARINGS = table("sharings", Sharing, key="order_id")
TRANSFERS = table("transfers", Transfer, key=("gid", "order_id", "line"))
TABLES = (TERMS, TERMS_IN_FORCE, BUDGETS, BRANCHES, SHARINGS, TRANSFERS)
