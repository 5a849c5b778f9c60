"""J3, J5: on the real writer and SQLite, limits outlive a restart, and erasing leaves nothing in any table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.afresh import carried_out
from tests.people.people_bench import BEIJING, NOON, PHONE, SECRET, Campuses, Inbox, Wechat
from tuanzi import people, wiring
from tuanzi.base.ids import PersonId, SessionId
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.writer import Outcome
from tuanzi.people import model
from tuanzi.people.problems import CodeLocked, TooManyCodes

KEYS = people.Keys(SECRET)
ROOM = people.room(
    keys=KEYS,
    sender=Inbox(),
    login=Wechat(),
    is_campus=lambda _: True,
    quotas=people.Quotas(),
    post=Campuses(),
)
SCHEMA = wiring.schema_of("platform", [ROOM])
CODE = "246810"


@pytest.fixture
def database() -> Sqlite:
    """A platform's database, as a release makes it."""
    return wiring.open_database(None, "platform", now=NOON)


def do(database: Sqlite, command: Any, *, now: datetime = NOON) -> Outcome:
    """Carry a command out by a writer that has just started and remembers nothing."""
    return carried_out(command, schema=SCHEMA, database=database, now=now)


def ask(challenge_id: str = "v_1") -> model.RequestCode:
    phone = KEYS.seal(PHONE)
    return model.RequestCode(
        challenge_id=challenge_id,
        phone=phone,
        code_hash=KEYS.hash_code(CODE, phone_hash=phone.hash),
        campus_id=BEIJING,
        address_mark=KEYS.mark_address("10.0.0.1"),
    )


def sign_in(code: str = CODE) -> model.SignIn:
    phone = KEYS.seal(PHONE)
    return model.SignIn(
        session_id=SessionId("s_1"),
        person_id=PersonId("p_1"),
        phone=phone,
        code_hash=KEYS.hash_code(code, phone_hash=phone.hash),
        token_hash=model.hash_token("f" * 64),
    )


class Reads:
    """Only what the doorkeeper needs of a desk."""

    def __init__(self, database: Sqlite) -> None:
        self._database = database

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self._database.rows(sql, slots)

    few = rows

    async def submit(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    async def followed(self, source: str, number: int) -> tuple[Any, ...]:
        raise NotImplementedError


async def test_who_signed_in_is_known_by_his_token(database: Sqlite) -> None:
    do(database, ask())
    outcome = do(database, sign_in())

    who = await people.Doorkeeper(Reads(database), keys=KEYS).authenticate("f" * 64, NOON)

    assert outcome.problem is None
    assert who is not None
    assert (who.person_id, who.session_id, who.campus_id) == ("p_1", "s_1", BEIJING)


def test_a_restart_resets_neither_limits_nor_tries(database: Sqlite) -> None:
    do(database, ask())

    again = do(database, ask("v_2"))
    tries = [do(database, sign_in("000000")).answer for _ in range(5)]
    right = do(database, sign_in())

    assert isinstance(again.problem, TooManyCodes)
    assert tries == [model.CodeRefused(tries_left=left) for left in (4, 3, 2, 1, 0)]
    assert isinstance(right.problem, CodeLocked)


def test_erasing_leaves_nothing_personal_in_any_table(database: Sqlite) -> None:
    phone = KEYS.seal(PHONE)
    do(database, ask())
    do(database, sign_in())
    do(database, model.ChangeName(person_id=PersonId("p_1"), name="小团子"))
    do(database, ask("v_2"), now=NOON + timedelta(minutes=1))

    outcome = do(database, model.ErasePerson(person_id=PersonId("p_1"), audit_id="a_1"))

    tables = database.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    stored = repr([database.rows(f"SELECT * FROM {name}") for (name,) in tables])
    assert outcome.problem is None
    assert "p_1" in stored
    for personal in (PHONE, phone.hash, phone.masked, phone.sealed, "小团子", model.hash_token("f" * 64)):
        assert personal not in stored
    timers = [id for (id,) in database.rows("SELECT id FROM timers WHERE id NOT LIKE 'limit:%' ORDER BY id")]
    assert timers == ["erasure:p_1", f"former:{model.former_mark(phone.hash)}"]
