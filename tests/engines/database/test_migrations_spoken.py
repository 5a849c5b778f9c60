"""E1: migrations are said as MySQL takes them too: no column's CHECK names another column, which MySQL refuses."""

from __future__ import annotations

import re
from importlib import resources

from tuanzi.engines.database.statements import changes_schema, spoken, statements_of

COLLATION = "utf8mb4_0900_bin"


def test_every_check_of_every_migration_is_the_tables_own() -> None:
    kept = moved = 0
    for folder in resources.files("tuanzi.migrations").iterdir():
        for file in sorted(folder.iterdir(), key=lambda each: each.name) if folder.is_dir() else ():
            if not file.name.endswith(".sql"):
                continue
            for statement in filter(changes_schema, statements_of(file.read_text(encoding="utf-8"))):
                said = spoken(statement, COLLATION)
                before = [found[1] for found in re.finditer(r"(\S+)\s+CHECK \(", said)]
                assert all(each[-1] in ",(" or each == "ADD" for each in before), said
                assert said.count("CHECK (") == statement.count("CHECK (")
                kept += statement.count("CHECK (")
                moved += len(re.findall(r"[^\s,(]\s+CHECK \(", statement))

    assert kept > 100
    assert moved > 20


def test_a_check_of_an_added_column_is_added_to_the_table() -> None:
    statement = "ALTER TABLE balances ADD COLUMN least_fen BIGINT CHECK (least_fen IS NULL OR amount_fen >= least_fen)"

    said = spoken(statement, COLLATION)

    assert said == (
        "ALTER TABLE balances ADD COLUMN least_fen BIGINT, ADD CHECK (least_fen IS NULL OR amount_fen >= least_fen)"
    )


def test_a_state_is_as_long_whatever_it_says() -> None:
    statement = (
        "CREATE TABLE seats (id VARCHAR(64) NOT NULL PRIMARY KEY, state VARCHAR(16) NOT NULL, before_state TEXT)"
    )

    said = spoken(statement, COLLATION)

    assert said.startswith(
        "CREATE TABLE seats (id VARCHAR(64) NOT NULL PRIMARY KEY, state CHAR(16) NOT NULL, before_state MEDIUMTEXT)"
    )
