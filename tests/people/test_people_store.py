"""J3: the tables of people take what the room keeps, and refuse what must not be kept."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from tests.people.people_bench import Platform
from tuanzi.base.who import Role
from tuanzi.machinery.several import FEW_AT_ONCE, several
from tuanzi.people import model, store

_FILES = sorted((Path(__file__).parents[2] / "src/tuanzi/migrations/platform").glob("*.sql"))
# Indexes have no table when SQLite drops them.
MIGRATIONS = [re.sub(r"(DROP INDEX \w+) ON \w+", r"\1", file.read_text()) for file in _FILES]


@pytest.fixture
def database() -> sqlite3.Connection:
    """An empty platform."""
    connection = sqlite3.connect(":memory:")
    for migration in MIGRATIONS:
        connection.executescript(migration)
    return connection


def test_every_table_has_exactly_the_columns_of_its_value(database: sqlite3.Connection) -> None:
    for table in store.TABLES:
        columns = {row[1] for row in database.execute(f"PRAGMA table_info({table.name})")}
        assert columns == set(table.columns), table.name


def test_every_value_comes_back_from_its_row_as_it_was(database: sqlite3.Connection) -> None:
    platform = Platform()
    boss = platform.appoint("13700000000")
    student = platform.sign_in().person_id
    platform.set_roles(student, Role.MERCHANT, Role.STUDENT, by=boss, merchant_id="m_1")
    platform.erase(platform.sign_in("13900000000").person_id)
    openid = platform.keys.seal_openid("openid-of-ming", appid="wx_tuanzi")
    platform.do(model.BindWechat(person_id=student, openid=openid, code_hash="c", audit_id=platform.make("a")))
    platform.ask_code("13900000001")

    for table in store.TABLES:
        values = sorted(platform.all_of(table.kind), key=lambda value: str(table.key_of(value)))
        places = ", ".join("?" * len(table.columns))
        columns = ", ".join(table.columns)
        database.executemany(
            f"INSERT INTO {table.name} ({columns}) VALUES ({places})", [table.to_row(value) for value in values]
        )
        rows = database.execute(f"SELECT {columns} FROM {table.name} ORDER BY {table.key[0]}").fetchall()

        assert values != []
        assert [table.from_row(row) for row in rows] == values


def test_a_session_has_its_token_for_itself_and_ends_after_it_began(database: sqlite3.Connection) -> None:
    insert = "INSERT INTO sessions (id, token_hash, person_id, created_at_ms, expires_at_ms) VALUES (?, ?, 'p', 1, ?)"
    database.execute(insert, ("s_1", "t", 2))

    for wrong in (("s_2", "t", 2), ("s_2", "u", 1)):
        with pytest.raises(sqlite3.IntegrityError):
            database.execute(insert, wrong)


def test_the_database_keeps_no_phone_of_an_erased_person(database: sqlite3.Connection) -> None:
    insert = (
        "INSERT INTO people (id, roles, phone_hash, name, session_ids, joined_at_ms, erased_at_ms)"
        " VALUES (?, '[]', ?, ?, '[]', 1, 2)"
    )
    database.execute(insert, ("p_1", None, ""))

    for wrong in (("p_2", "h", ""), ("p_2", None, "name")):
        with pytest.raises(sqlite3.IntegrityError):
            database.execute(insert, wrong)


def test_a_token_is_looked_up_through_an_index_and_nothing_is_scanned(database: sqlite3.Connection) -> None:
    slots = next(several(["t"], at_once=FEW_AT_ONCE))
    plan = database.execute("EXPLAIN QUERY PLAN " + store.WHO_BY_TOKENS, slots).fetchall()

    assert any("sessions_by_token" in row[3] for row in plan)
    assert not any(row[3].startswith("SCAN") for row in plan)
