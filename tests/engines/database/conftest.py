"""Databases of each engine, empty but for the tables of `things`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import Site
from tests.engines.database.things import prepare
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.scribe import Dictated, Scribe
from tuanzi.engines.database.sqlite import Sqlite


@pytest.fixture(scope="session")
def scribe() -> Iterator[Scribe]:
    """A process that writes SQLite's files, for everybody; who hurts one starts another."""
    with Scribe() as made:
        yield made


@pytest.fixture(params=["sqlite", "dictated", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sqlite | MariaDb]:
    """A database of each engine."""
    if request.param == "sqlite":
        made: Sqlite | MariaDb = Sqlite(tmp_path / "things.db")
    elif request.param == "dictated":
        made = Dictated(tmp_path / "things.db", request.getfixturevalue("scribe"))
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
