"""Databases of each engine, empty but for the tables of `things`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import Site
from tests.engines.database.things import prepare
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.sqlite import Sqlite


@pytest.fixture(params=["sqlite", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sqlite | MariaDb]:
    """A database of each engine."""
    if request.param == "sqlite":
        made: Sqlite | MariaDb = Sqlite(tmp_path / "things.db")
    else:
        site: Site = request.getfixturevalue("site")
        made = MariaDb(site.address())
    prepare(made)
    yield made
    made.close()


@pytest.fixture
def twin(database: Sqlite | MariaDb) -> Iterator[Sqlite | MariaDb]:
    """The same database, as another process has it open."""
    other = Sqlite(database._path) if isinstance(database, Sqlite) else MariaDb(database.address)
    yield other
    other.close()
