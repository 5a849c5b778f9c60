"""Migrations are applied once, never edited, and only to a database of their kind (E1)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.machinery.toy import NOON
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.migrate import MigrationChanged, migrate


@pytest.fixture(params=["sqlite", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A new database of each engine."""
    is_file = request.param == "sqlite"
    made = Sqlite(tmp_path / "new.db") if is_file else MariaDb(request.getfixturevalue("site").address())
    yield made
    made.close()


def test_a_repeat_applies_nothing(database: Any) -> None:

    first = migrate(database, ("every", "core"), now=NOON)
    again = migrate(database, ("every", "core"), now=NOON)

    assert first[0] == "every/0001_machinery"
    assert {name.partition("/")[0] for name in first} == {"every", "core"}
    assert again == []


def test_an_edited_migration_is_refused_before_anything_changes(database: Any) -> None:
    migrate(database, ("every",), now=NOON)
    before = database.rows("SELECT name FROM schema_migrations ORDER BY name")
    database.execute_script("UPDATE schema_migrations SET digest = 'another';")

    with pytest.raises(MigrationChanged):
        migrate(database, ("every", "core"), now=NOON)

    assert before[0] == ("every/0001_machinery",)
    assert database.rows("SELECT name FROM schema_migrations ORDER BY name") == before


def test_a_database_of_another_kind_is_refused_before_anything_changes(database: Any) -> None:
    migrate(database, ("every", "money"), now=NOON)
    before = database.rows("SELECT name FROM schema_migrations ORDER BY name")

    with pytest.raises(MigrationChanged):
        migrate(database, ("every", "core"), now=NOON)

    assert database.rows("SELECT name FROM schema_migrations ORDER BY name") == before
