"""What must add up in a server's database files after a load, whoever wrote them.

Tuanzi and the baseline name these tables and columns alike; they are found in whichever file of the folder has them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from benchmarks.load import SIZE, Acknowledged


def wrong_sums(folder: Path, acknowledged: Iterable[Acknowledged]) -> list[str]:
    """What does not add up in the files of a folder, as `wrong_rows` says."""
    return wrong_rows(lambda table, sql: _rows(folder, table, sql), acknowledged)


def wrong_rows(
    rows: Callable[[str, str], Iterable[tuple[str, int]]], acknowledged: Iterable[Acknowledged]
) -> list[str]:
    """What does not add up, in at most 20 lines; empty when all is well. rows: of a table, those of a query.

    Checked: every acknowledged chain's order is captured exactly once and for what was asked; no order is captured
    twice; every journal balances; no group sold more seats than it has; every split order's parts add up to its money.
    """
    payments = rows("payments", "SELECT order_id, amount_fen FROM payments WHERE captured_at_ms IS NOT NULL")
    captured: dict[str, int] = {}
    wrong: list[str] = []
    for order_id, amount_fen in payments:
        if order_id in captured:
            wrong.append(f"{order_id}: captured twice")
        captured[order_id] = amount_fen
    for chain in acknowledged:
        if captured.get(chain.order_id) != chain.payable_fen:
            found = captured.get(chain.order_id)
            wrong.append(f"{chain.order_id}: {chain.payable_fen} fen acknowledged, {found} captured")
    unbalanced = rows(
        "entries",
        "SELECT journal_id, SUM(amount_fen) FROM entries GROUP BY journal_id HAVING SUM(amount_fen) <> 0",
    )
    wrong.extend(f"{journal_id}: off by {fen} fen" for journal_id, fen in unbalanced)
    crowded = rows("orders", f"SELECT group_id, COUNT(*) FROM orders GROUP BY group_id HAVING COUNT(*) > {SIZE}")
    wrong.extend(f"{group_id}: {count} orders in {SIZE} seats" for group_id, count in crowded)
    parts = rows("sub_orders", "SELECT order_id, SUM(payable_fen) FROM sub_orders GROUP BY order_id")
    wrong.extend(
        f"{order_id}: {fen} fen planned, {captured.get(order_id)} paid"
        for order_id, fen in parts
        if captured.get(order_id) != fen
    )
    return wrong[:20]


def _rows(folder: Path, table: str, sql: str) -> list[tuple[str, int]]:
    """The statement's rows from every database file below the folder that has the table."""
    found = False
    rows: list[tuple[str, int]] = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or not _is_database(path):
            continue
        with closing(sqlite3.connect(path)) as connection:
            named = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
            if named.fetchone():
                found = True
                rows.extend(connection.execute(sql))
    if not found:
        raise RuntimeError(f"no database in {folder} has a table {table}")
    return rows


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(15) == b"SQLite format 3"
