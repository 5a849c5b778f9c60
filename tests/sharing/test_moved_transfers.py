"""Transfers that were kept a row each are one row an order after migration 0007, and say the same (B2)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tuanzi.base.money import ZERO, Money
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.sharing.model import Party, Transfer
from tuanzi.sharing.store import TRANSFERS

BEFORE = ("every/0001_machinery", "money/0002_money", "money/0003_sharing")
OLD = """
INSERT INTO transfers (gid, order_id, line, sub_order_id, party, account, amount_fen, outward_fen, cut_fen, sent_fen,
    given_fen, back_fen, closed)
VALUES ('g.split', 'o_2', 1, 'o_2.1', 'rider', 'rider_payable:pool', 30, 0, 0, 0, 0, 0, 0),
    ('g.split', 'o_1', 2, 'o_1.2', 'platform', 'platform_income', 7, 0, 0, 0, 0, 0, 0),
    ('g.split', 'o_1', 0, 'o_1.1', 'merchant', 'merchant_payable:m_1', 1000, 900, 50, 100, 200, 20, 1),
    ('g.split', 'o_1', 1, 'o_1.1', 'subsidy', 'merchant_payable:m_1', 40, 0, 0, 0, 0, 0, 0),
    ('g.split', 'o_2', 0, 'o_2.1', 'leader', 'campus_agent_payable:u_1', 5, 5, 0, 0, 0, 0, 2);
"""


@pytest.fixture(params=["sqlite", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A ledger of the release before, with transfers in it."""
    is_file = request.param == "sqlite"
    made = Sqlite(tmp_path / "money.db") if is_file else MariaDb(request.getfixturevalue("site").address())
    for name in BEFORE:
        made.execute_script(migration(name))
    made.execute_script(OLD)
    yield made
    made.close()


def migration(name: str) -> str:
    """The text of a migration."""
    return (resources.files("tuanzi.migrations") / f"{name}.sql").read_text(encoding="utf-8")


def test_every_transfer_is_in_its_order_s_row_at_its_line(database: Any) -> None:
    database.execute_script(migration("money/0007_order_transfers"))

    rows = database.rows("SELECT gid, order_id, transfers FROM order_transfers ORDER BY order_id")
    first, second = [TRANSFERS.from_row(row) for row in rows]
    assert (first.gid, first.order_id, second.gid, second.order_id) == ("g.split", "o_1", "g.split", "o_2")
    assert [each.line for each in first.by_line] == [0, 1, 2]
    assert [(each.line, each.party, each.closed) for each in second.by_line] == [
        (0, Party.LEADER, 2),
        (1, Party.RIDER, 0),
    ]
    assert first.by_line[0] == Transfer(
        gid="g.split",
        order_id=first.order_id,
        line=0,
        sub_order_id=first.by_line[0].sub_order_id,
        party=Party.MERCHANT,
        account="merchant_payable:m_1",
        amount=Money(1000),
        outward=Money(900),
        cut=Money(50),
        sent=Money(100),
        given=Money(200),
        back=Money(20),
        closed=1,
    )
    assert first.by_line[0].sub_order_id == "o_1.1"
    assert first.by_line[2].cut == ZERO


def test_a_ledger_without_transfers_has_none_after_it(database: Any) -> None:
    database.execute_script("DELETE FROM transfers WHERE line >= 0;")
    database.execute_script(migration("money/0007_order_transfers"))

    assert database.rows("SELECT gid, order_id, transfers FROM order_transfers") == []
