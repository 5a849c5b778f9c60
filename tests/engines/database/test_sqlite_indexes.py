"""E1: where a migration says which rows are asked for, SQLite's index has only those; others skip the remark."""

from __future__ import annotations

import pytest

from tests.machinery.test_indexes import opened, plan_of
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.engines.database.statements import statements_of
from tuanzi.money import store as money
from tuanzi.sharing import store as sharing

SCRIPT = """
CREATE TABLE things (
    id BIGINT NOT NULL PRIMARY KEY,
    owner VARCHAR(8)
);

CREATE INDEX things_by_owner ON things (owner, id); -- WHERE owner IS NOT NULL
"""


def test_rows_that_nobody_asks_for_are_not_in_the_index() -> None:
    database = Sqlite(None)

    database.execute_script(SCRIPT)

    made = database.rows("SELECT sql FROM sqlite_master WHERE name = 'things_by_owner'")
    assert made == [("CREATE INDEX things_by_owner ON things (owner, id) WHERE owner IS NOT NULL",)]
    (step,) = plan_of(database, "SELECT id FROM things WHERE owner = :owner ORDER BY id LIMIT 1")
    assert "things_by_owner (owner=?)" in step


def test_elsewhere_it_is_an_index_of_all_rows() -> None:
    (_, index) = statements_of(SCRIPT)

    assert index == "CREATE INDEX things_by_owner ON things (owner, id)"


@pytest.mark.parametrize("sql", [money.KEPT_OWED, sharing.STATEMENT_OPENING, sharing.STATEMENT_LINES])
def test_what_somebody_is_owed_is_found_by_his_account(sql: str) -> None:
    steps = plan_of(opened("money"), sql)

    assert any("entries_by_owner (account=?" in step for step in steps)
