"""J3 (PIPL): who is erased is forgotten in every database of every campus, and the books stay exact."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.journeys.conftest import Cast, Town, done
from tuanzi.live import StreamArchive, stream_of_person
from tuanzi.money import ReceiverKind
from tuanzi.people import ForgetPerson
from tuanzi.sharing.model import RegisterPayee

OPENID, NAME = "wx_openid_of_ming", "明小团"


def everything(town: Town, *, but: tuple[str, ...] = ()) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every database, by desk and table."""
    kept = {}
    for desk in town.writers.desks:
        for (name,) in desk.database.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"):
            if name not in but:
                kept[f"{desk.name}.{name}"] = desk.database.rows(f"SELECT * FROM {name}")
    return kept


def holding(town: Town, *words: str) -> set[str]:
    """The tables in which one of the words stands."""
    kept = everything(town)
    return {name for name, rows in kept.items() if any(word in repr(row) for row in rows for word in words)}


def books(town: Town) -> list[tuple[Any, ...]]:
    """What the ledger adds up to, and every order's money."""
    sums = "SELECT account, order_id, SUM(amount_fen) FROM entries GROUP BY 1, 2 ORDER BY 1, 2"
    ledger = town.rows(sums, database="money")
    return [*ledger, *town.rows("SELECT id, member_id, state, paid_fen FROM orders ORDER BY id")]


async def told(cast: Cast) -> None:
    """Wait until campuses have forgotten, and let every keeper of streams sweep."""
    town = cast.town
    done_sql = "SELECT 1 FROM audit_entries WHERE action = 'forgotten'"
    await town.until(lambda: town.house.platform.database.rows(done_sql))
    for desks in town.house.campuses.values():
        await StreamArchive(desks.notices).sweep(before=town.now - timedelta(days=7), limit=500)


async def ming_with_a_past(cast: Cast) -> None:
    """Ming has a name, an account at the payment company, an order that was split, and messages about it."""
    await done(cast.ming.send("PUT", "/v1/me/name", {"name": NAME}))
    register = RegisterPayee(
        kind=ReceiverKind.PERSON, owner_id=cast.ming.id, account=OPENID, full_name=NAME, operator_id=cast.warden.id
    )
    await cast.town.house.campuses["beijing"].money.submit(register)
    await cast.closed_group()
    stream = stream_of_person(cast.ming.id)
    sql = "SELECT 1 FROM stream_messages WHERE stream = :stream"
    notices = cast.town.house.campuses["beijing"].notices.database
    await cast.town.until(lambda: len(notices.rows(sql, {"stream": stream})) >= 3)


async def test_after_erasing_no_database_knows_who_he_was_and_the_books_are_as_before(cast: Cast) -> None:
    await ming_with_a_past(cast)
    stream = stream_of_person(cast.ming.id)
    before = books(cast.town)
    assert holding(cast.town, OPENID, NAME) == {"platform.people", "beijing.money.payees"}

    erased = await done(cast.ming.send("DELETE", "/v1/me"))
    await told(cast)

    assert erased["kept_on"][0]["what"].startswith("Orders, payments")
    assert holding(cast.town, OPENID, NAME) == set()
    assert not cast.town.house.campuses["beijing"].notices.database.rows(
        "SELECT 1 FROM stream_messages WHERE stream = :stream", {"stream": stream}
    )
    assert books(cast.town) == before
    ((facts,),) = cast.town.house.platform.database.rows("SELECT facts FROM audit_entries WHERE action = 'forgotten'")
    for campus in ("beijing", "shanghai"):
        for database in ("delivery", "money", "notices"):
            assert f"{campus}.{database}" in facts


async def test_what_is_still_told_of_his_orders_is_swept_too_and_his_numbers_go_on(cast: Cast) -> None:
    await ming_with_a_past(cast)
    await done(cast.ming.send("DELETE", "/v1/me"))
    await told(cast)
    archive = StreamArchive(cast.town.house.campuses["beijing"].notices)
    stream = stream_of_person(cast.ming.id)
    swept = await archive.load(stream)
    ((order_id,),) = cast.town.rows(f"SELECT id FROM orders WHERE member_id = '{cast.ming.id}'")

    await done(cast.warden.post(f"orders/{order_id}/refunds", {"reason": "kind"}))
    await cast.town.settled()
    notices = cast.town.house.campuses["beijing"].notices.database
    sql = "SELECT number FROM stream_messages WHERE stream = :stream ORDER BY number"
    await cast.town.until(lambda: notices.rows(sql, {"stream": stream}))
    assert notices.rows(sql, {"stream": stream})[0] == (swept.newest + 1,)
    await told(cast)

    assert notices.rows(sql, {"stream": stream}) == []


async def test_forgetting_again_changes_nothing(cast: Cast) -> None:
    await ming_with_a_past(cast)
    await done(cast.ming.send("DELETE", "/v1/me"))
    await told(cast)
    await cast.town.settled()
    before = everything(cast.town, but=("writer_cursor",))

    for desks in cast.town.house.campuses.values():
        for desk in (desks.money, desks.delivery, desks.notices):
            await desk.submit(ForgetPerson(person_id=cast.ming.id))  # type: ignore[arg-type]

    assert everything(cast.town, but=("writer_cursor",)) == before
