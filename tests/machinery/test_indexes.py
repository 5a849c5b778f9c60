"""An index costs a write for every row, so that each must serve a query; those that none asks go (A2, J3, issue 2)."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import tuanzi
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.database import DatabaseUnavailable
from tuanzi.machinery.migrate import migrate
from tuanzi.people import store

NOON = datetime(2026, 5, 11, 4, 0, tzinfo=UTC)
QUERY = re.compile(r"\s*(SELECT|WITH)\b")


def said(value: Any, depth: int = 0) -> Iterator[str]:
    """The queries in what a module holds, such as a tuple of `Keeps`."""
    if isinstance(value, str):
        if QUERY.match(value):
            yield value
    elif depth < 3 and isinstance(value, (tuple, list, frozenset)):
        for one in value:
            yield from said(one, depth + 1)
    elif depth < 3 and isinstance(value, dict):
        for one in value.values():
            yield from said(one, depth + 1)
    elif depth < 3 and isinstance(getattr(value, "sql", None), str):
        yield from said(value.sql)


def queries() -> set[str]:
    """Every query that stands in the code as text; style 49 has all of them stand so."""
    named = [
        module.name for module in pkgutil.walk_packages(tuanzi.__path__, "tuanzi.") if "__main__" not in module.name
    ]
    modules = [importlib.import_module(name) for name in named]
    return {sql for module in modules for value in vars(module).values() for sql in said(value)}


def opened(kind: str) -> Sqlite:
    """A database of this kind, as a start makes it."""
    database = Sqlite(None)
    migrate(database, ("every", kind), now=NOON)
    return database


def plan_of(database: Sqlite, sql: str) -> list[str]:
    """How a database goes about a query, step by step. Raises DatabaseUnavailable when it is another one's."""
    rows = database.rows("EXPLAIN QUERY PLAN " + sql, dict.fromkeys(re.findall(r":(\w+)", sql), "x"))
    return [str(row[3]) for row in rows]


@pytest.mark.parametrize("kind", ["core", "money", "delivery", "notices", "platform"])
def test_every_index_is_asked_by_a_query(kind: str) -> None:
    database = opened(kind)
    made = database.rows("SELECT name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite_%'")

    asked: set[str] = set()
    for sql in queries():
        try:
            plan = plan_of(database, sql)
        except DatabaseUnavailable:
            continue  # of another database
        asked.update(name for step in plan for name in re.findall(r"INDEX (\w+)", step))

    assert len(made) >= 1
    assert {name for (name,) in made} - asked == set()


def test_what_is_read_of_people_is_found_by_its_key_however_many_there_are() -> None:
    database = opened("platform")
    # The newest sessions and people from the end of their key, and the first people from its beginning.
    by_age = {store.WHO_OF_NEWEST, store.FIRST_SEALED_PHONES, store.NEWEST_SEALED_PHONES}

    plans = {sql: plan_of(database, sql) for sql in set(said(list(vars(store).values()))) - by_age}

    assert len(plans) == 11
    assert [sql for sql, plan in plans.items() if any(step.startswith("SCAN") for step in plan)] == []
