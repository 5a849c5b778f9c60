"""Rows of splits, their branches and their coordinator, and how pages ask for them."""

from __future__ import annotations

from tuanzi.machinery.tables import table
from tuanzi.splitting.model import Split, SplitBranches, SplitCoordinator, SplitPlan

SPLITS = table("splits", Split, key="gid")
SPLIT_PLANS = table("plans_of_splits", SplitPlan, key="gid")
SPLIT_BRANCHES = table("branches_of_splits", SplitBranches, key="gid", padded={"branches": 64})
SPLIT_COORDINATORS = table("split_coordinators", SplitCoordinator, key="id")
TABLES = (SPLITS, SPLIT_PLANS, SPLIT_BRANCHES, SPLIT_COORDINATORS)

SPLIT_OF_GROUP = "SELECT " + ", ".join(SPLITS.columns) + " FROM splits WHERE group_id = :group_id ORDER BY gid LIMIT 1"
PLAN_OF_SPLIT = (
    "SELECT " + ", ".join(SPLIT_PLANS.columns) + " FROM plans_of_splits WHERE gid = :gid ORDER BY gid LIMIT 1"
)
SPLITS_COUNTED = """
SELECT state, COUNT(*), MIN(started_at_ms), SUM(CASE WHEN gid > :since THEN 1 ELSE 0 END) FROM splits
WHERE gid > :since OR state IN ('trying', 'confirming', 'cancelling') GROUP BY state ORDER BY state LIMIT 5
"""
# In each of the databases: what its branches of a split have come to.
FENCES_OF_SPLIT = "SELECT branch, state, epoch, at_ms FROM fences WHERE gid = :gid ORDER BY branch LIMIT 10"
BRANCHES_OF_SPLIT = "SELECT gid, branches FROM branches_of_splits WHERE gid = :gid ORDER BY gid LIMIT 1"
