"""Rows of splits that releases before kept otherwise say the same after migrations core/0011 and core/0017 (B3)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tuanzi.base.ids import OrderId
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.splitting.model import BranchState, OrderPlan, SplitBranch, SplitPlan
from tuanzi.splitting.store import SPLIT_BRANCHES, SPLIT_PLANS, SPLITS

OLD = """
INSERT INTO split_branches (gid, branch, address, state, attempts, last_error)
VALUES ('a.split', 'sharing', 'money', 'refused', 2, 'sharing/money-short'),
    ('b.split', 'stock', 'core', 'tried', 0, NULL),
    ('a.split', 'stock', 'core', 'cancelled', 0, NULL),
    ('a.split', 'delivery', 'delivery', 'registered', 1, NULL);
"""


OLD_PLANS = """
INSERT INTO splits (gid, group_id, state, reason, plan, deadline_at_ms, started_at_ms, attempts, epoch, needs_human)
VALUES ('a.split', 'a', 'trying', '', '[{"order_id":"o_1","final":null,"subs":[]}]', 15000, 0, 0, 1, 0),
    ('b.split', 'b', 'trying', '', '[]', 15001, 1, 0, 1, 0);
"""


@pytest.fixture(params=["sqlite", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Splits of the release before."""
    is_file = request.param == "sqlite"
    made = Sqlite(tmp_path / "core.db") if is_file else MariaDb(request.getfixturevalue("site").address())
    made.execute_script(migration("0008_splitting"))
    made.execute_script(OLD)
    yield made
    made.close()


def migration(name: str) -> str:
    """The text of a migration of core."""
    return (resources.files("tuanzi.migrations") / f"core/{name}.sql").read_text(encoding="utf-8")


def test_every_branch_is_in_its_split_s_row(database: Any) -> None:
    database.execute_script(migration("0011_branches_of_splits"))

    rows = database.rows("SELECT gid, branches FROM branches_of_splits ORDER BY gid")
    moved = [SPLIT_BRANCHES.from_row(row) for row in rows]
    assert [each.gid for each in moved] == ["a.split", "b.split"]
    assert sorted(moved[0].branches, key=lambda each: each.branch) == [
        SplitBranch(branch="delivery", address="delivery", state=BranchState.REGISTERED, attempts=1),
        SplitBranch(
            branch="sharing", address="money", state=BranchState.REFUSED, attempts=2, last_error="sharing/money-short"
        ),
        SplitBranch(branch="stock", address="core", state=BranchState.CANCELLED),
    ]
    assert moved[1].branches == (SplitBranch(branch="stock", address="core", state=BranchState.TRIED),)


def test_every_plan_is_in_a_row_of_its_own(database: Any) -> None:
    database.execute_script(OLD_PLANS)

    database.execute_script(migration("0017_plans_of_splits"))

    plans = database.rows(f"SELECT {', '.join(SPLIT_PLANS.columns)} FROM plans_of_splits ORDER BY gid")
    assert [SPLIT_PLANS.from_row(row) for row in plans] == [
        SplitPlan(gid="a.split", orders=(OrderPlan(order_id=OrderId("o_1"), final=None, subs=()),)),
        SplitPlan(gid="b.split", orders=()),
    ]
    splits = database.rows(f"SELECT {', '.join(SPLITS.columns)} FROM splits ORDER BY gid")
    assert [(split.gid, split.group_id, split.epoch) for split in map(SPLITS.from_row, splits)] == [
        ("a.split", "a", 1),
        ("b.split", "b", 1),
    ]
