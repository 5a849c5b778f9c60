"""What was completed before the upgrade, and nobody is known to have brought, is listed after it (decision 0035)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.migrate import released

LAST = "money/0014_unbrought_orders"
POOL = "rider_payable:pool"


def booked(order_id: str, kind: str, fen: int, account: str = POOL) -> str:
    """What a journal booked into an account for an order."""
    return (
        "INSERT INTO journals (id, kind, reference, entry_count, turnover_fen, at_ms)"
        f" VALUES ('{kind}:{order_id}', '{kind}', '{order_id}', 2, 90, 0);"
        "INSERT INTO entries (journal_id, line, account, order_id, amount_fen)"
        f" VALUES ('{kind}:{order_id}', 0, '{account}', '{order_id}', {fen});"
    )


def shared(order_id: str, *, completed_at_ms: int | None, state: str = "posted") -> str:
    """An order's money in a split."""
    at = "NULL" if completed_at_ms is None else completed_at_ms
    columns = (
        "order_id, gid, group_id, payment_id, terms_version, state, payable_fen, claimed_fen, transfers, tried_at_ms"
    )
    columns += ", completed_at_ms, payout, rounds, held_refunds"
    values = f"'{order_id}', 'g.split', 'g', 'pay_{order_id}', 1, '{state}', 100, 100, 1, 0, {at}, 'done', 0, '[]'"
    return f"INSERT INTO sharings ({columns}) VALUES ({values});"


@pytest.fixture(params=["sqlite", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A ledger as the release before made it."""
    is_file = request.param == "sqlite"
    made = Sqlite(tmp_path / "money.db") if is_file else MariaDb(request.getfixturevalue("site").address())
    for name, text, _ in released(("every", "money")):
        if name < LAST or name.startswith("every/"):
            made.execute_script(text)
    yield made
    made.close()


def test_completed_orders_for_which_the_pool_owes_something_are_listed_and_no_others(database: Any) -> None:
    script = [
        shared("o_owed", completed_at_ms=1),
        booked("o_owed", "sharing", -90),
        shared("o_brought", completed_at_ms=1),
        booked("o_brought", "sharing", -90),
        booked("o_brought", "rider_credit", 90),
        booked("o_brought", "rider_credited", -90, "rider_payable:p_1"),
        shared("o_partly", completed_at_ms=2),
        booked("o_partly", "sharing", -90),
        booked("o_partly", "claw_back", 30),
        shared("o_under_way", completed_at_ms=None),
        booked("o_under_way", "sharing", -90),
    ]
    database.execute_script("\n".join(script))

    database.execute_script((resources.files("tuanzi.migrations") / f"{LAST}.sql").read_text(encoding="utf-8"))

    noted = database.rows("SELECT order_id, completed_at_ms FROM unbrought_orders ORDER BY order_id")
    assert noted == [("o_owed", 1), ("o_partly", 2)]
