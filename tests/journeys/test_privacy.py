"""J3 (PIPL): one has all that any database keeps of him; who is erased is forgotten, and the books stay exact."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import BEEF_RICE, LADDER, Cast, Person, Town, done, refused
from tests.waiting import until
from tuanzi.live import StreamArchive, stream_of_person
from tuanzi.money import ReceiverKind
from tuanzi.people import ForgetPerson
from tuanzi.pricing import GrantCoupon
from tuanzi.roles import records as records_page
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
    await until(lambda: town.house.platform.database.rows(done_sql))
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
    sql = "SELECT SUM(last_number - first_number + 1) FROM stream_runs WHERE stream = :stream"
    notices = cast.town.house.campuses["beijing"].notices.database
    await until(lambda: (notices.rows(sql, {"stream": stream})[0][0] or 0) >= 3)


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
        "SELECT 1 FROM stream_runs WHERE stream = :stream", {"stream": stream}
    )
    assert books(cast.town) == before
    ((facts,),) = cast.town.house.platform.database.rows("SELECT facts FROM audit_entries WHERE action = 'forgotten'")
    for campus in ("beijing", "shanghai"):
        for database in ("core", "delivery", "money", "notices"):
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
    sql = "SELECT first_number FROM stream_runs WHERE stream = :stream ORDER BY first_number"
    await until(lambda: notices.rows(sql, {"stream": stream}))
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
        for desk in (desks.core, desks.money, desks.delivery, desks.notices):
            await desk.submit(ForgetPerson(person_id=cast.ming.id))  # type: ignore[arg-type]

    assert everything(cast.town, but=("writer_cursor",)) == before


# What somebody's id or his orders' ids stand in and his export has no row of, and why that is all he is owed.
NOT_EXPORTED = {
    "platform.people": "GET /v1/me/export has it",
    "platform.sessions": "GET /v1/me/export has it",
    "platform.phone_owners": "his phone, which GET /v1/me/export has",
    "platform.audit_entries": "GET /v1/me/export has it",
    "events": "the log says what made the rows",
    "timers": "what is due to happen to the rows",
    "fences": "of a group's transaction",
    "beijing.core.plans_of_splits": "of the whole group; his part is in sub_orders",
    "beijing.core.split_branches": "of the whole group",
    "beijing.core.open_groups": "of all groups",
    "beijing.money.journals": "the head of entries",
    "beijing.money.balances": "sums of entries",
    "beijing.money.order_transfers": "all parties' shares of an order; what he was owed is in entries",
    "beijing.money.sharings": "what merchants and others have of his order is theirs",
    "beijing.money.sharing_branches": "of the whole group",
    "beijing.delivery.consignments": "of the whole group",
    "beijing.delivery.parcels": "of all whose food is in it; his part is in drop_offs",
}


async def all_records(person: Person) -> list[dict[str, Any]]:
    """Every row of a person's export, page by page."""
    found, after = [], ""
    for _ in range(100):
        page = await done(person.get(f"/v1/me/records?after={after}"))
        found += page["items"]
        if page["next"] is None:
            return found
        after = page["next"]
    raise AssertionError("the export has no end")


async def test_the_export_has_every_row_that_any_database_keeps_of_somebody(cast: Cast) -> None:
    await ming_with_a_past(cast)
    grant = GrantCoupon(
        coupon_id="c-1",  # type: ignore[arg-type]
        member_id=cast.ming.id,  # type: ignore[arg-type]
        off_fen=100,
        threshold_fen=0,
        expires_at=cast.town.now + timedelta(days=1),
    )
    await cast.town.house.campuses["beijing"].core.submit(grant)
    waiting = await done(cast.ming.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)
    await cast.town.settled()
    orders = [id for (id,) in cast.town.rows(f"SELECT id FROM orders WHERE member_id = '{cast.ming.id}' ORDER BY id")]

    records = await all_records(cast.ming)

    by_table: dict[str, list[Any]] = {}
    for each in records:
        name = ".".join(part for part in (each["campus"], each["database"], each["table"]) if part)
        by_table.setdefault(name, []).append(each["row"])
    assert [row["id"] for row in by_table["beijing.core.orders"]] == orders
    assert waiting["order_id"] in orders
    assert {row["order_id"] for row in by_table["beijing.core.sub_orders"]} == {orders[0]}
    assert [row["state"] for row in by_table["beijing.core.campus_groups"]] == ["closed", "open"]
    assert [row["id"] for row in by_table["beijing.core.coupons"]] == ["c-1"]
    assert [row["order_id"] for row in by_table["beijing.money.payments"]] == [orders[0]]
    assert sum(row["amount_fen"] for row in by_table["beijing.money.entries"] if row["account"] == "order_escrow") == 0
    assert [row["full_name"] for row in by_table["beijing.money.payees"]] == [NAME]
    assert sum(len(row["messages"]) for row in by_table["beijing.notices.stream_runs"]) >= 3
    assert "idempotency_key" in by_table["beijing.core.kept_answers"][0]
    kept = holding(cast.town, cast.ming.id, *orders)
    missing = {name for name in kept if name not in by_table}
    told = {name for name in missing if name in NOT_EXPORTED or name.rpartition(".")[2] in NOT_EXPORTED}
    assert missing == told


# What an operator did is kept with his id: by database and table, a row as he left it.
DONE = {
    "core.rule_versions": "'v-9', 9, '[]', '[]', 'spring', '{by}', 1",
    "core.coupon_grants": "'g-9', 'spring', 3, 100, 0, NULL, 1, '{by}', 1",
    "money.sharing_terms": "'t-9', 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'spring', '{by}', 1",
    "money.cases": "'refund.o_x', 'refund', 'o_x.r1', 'o_x', 5, 'closed', 'settled', 1, 2, 2, '{by}', 'retry',"
    " 'called'",
    "money.case_settlements": "'refund.o_x', 1, 'closed', 'retry', '{by}', 1, 'called'",
    "money.differences": "'d_9', 'D3', 'p_x', 'o_x', '[]', '[]', 1, 'none', '{{}}', 'settled', 'a_run', 0, 0, 1, 1, 2,"
    " '{by}', 'found it'",
}


async def test_the_export_has_what_somebody_did_as_an_operator_and_names_nobody_else(cast: Cast) -> None:
    desks = cast.town.house.campuses["beijing"]
    for person in (cast.warden, cast.hua):
        for name, row in DONE.items():
            database, _, table = name.partition(".")
            said = row.format(by=person.id).replace("9", "9" if person is cast.warden else "8")
            said = said.replace("o_x", "o_x" if person is cast.warden else "o_y")
            getattr(desks, database).database.execute_script(f"INSERT INTO {table} VALUES ({said});")

    records = await all_records(cast.warden)

    found = {f"{each['database']}.{each['table']}": each["row"] for each in records}
    assert found.keys() >= DONE.keys()
    assert found["core.rule_versions"] == {
        "id": "v-9",
        "version": 9,
        "note": "spring",
        "made_by": cast.warden.id,
        "made_at_ms": 1,
    }
    assert (found["core.coupon_grants"]["given_by"], found["core.coupon_grants"]["granted"]) == (cast.warden.id, 3)
    assert (found["money.sharing_terms"]["id"], found["money.sharing_terms"]["made_by"]) == ("t-9", cast.warden.id)
    assert (found["money.cases"]["settled_how"], found["money.cases"]["note"]) == ("retry", "called")
    assert found["money.case_settlements"]["settlements"] == 1
    assert (found["money.differences"]["ended_by"], found["money.differences"]["reason"]) == (
        cast.warden.id,
        "found it",
    )
    assert not [each for each in records if cast.hua.id in repr(each) or "p_x" in repr(each["row"])]
    assert not [each for each in await all_records(cast.ming) if f"{each['database']}.{each['table']}" in DONE]


async def test_the_export_has_nothing_of_others(cast: Cast) -> None:
    await ming_with_a_past(cast)
    await cast.town.settled()

    records = await all_records(cast.ming)

    hers = [id for (id,) in cast.town.rows(f"SELECT id FROM orders WHERE member_id <> '{cast.ming.id}'")]
    theirs = {each["table"] for each in records for order_id in hers if order_id in repr(each)}
    assert len(hers) == 2
    assert theirs <= {"entries"}  # what he earned as their leader; a journal is named for an order
    assert not [each for each in records for person in (cast.hua, cast.lan, cast.merchant) if person.id in repr(each)]
    assert await all_records(cast.stranger) == []


async def test_the_export_comes_in_pages_that_leave_nothing_out(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    await ming_with_a_past(cast)
    await done(cast.ming.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)
    await cast.town.settled()
    whole = await all_records(cast.ming)

    monkeypatch.setattr(records_page, "ROWS_A_PAGE", 1)
    monkeypatch.setattr(records_page, "AT_ONCE", 1)

    assert await all_records(cast.ming) == whole


async def test_a_page_of_the_export_that_cannot_be_is_refused(cast: Cast) -> None:
    await refused(cast.ming.get("/v1/me/records?after=x"), 422, "base/invalid")
    await refused(cast.ming.get("/v1/me/records?after=%0A"), 422, "base/invalid")
    assert (await done(cast.ming.get("/v1/me/records?after=9999.")))["items"] == []


async def test_who_reads_his_export_again_and_again_waits_and_nobody_else_does(tmp_path: Path) -> None:
    async with Town(tmp_path, TUANZI_REQUESTS_PER_S="0") as town:
        ming, hua = await town.sign_in(), await town.sign_in()

        statuses = [(await ming.get("/v1/me/records")).status_code for _ in range(201)]
        last = await refused(ming.get("/v1/me/records"), 429, "http/too-many-requests")
        others = [(await hua.get("/v1/me/records")).status_code, (await ming.get("/v1/me")).status_code]
        town.pass_time(seconds=1)
        later = [(await ming.get("/v1/me/records")).status_code for _ in range(2)]

    assert statuses == [200] * 200 + [429]
    assert last["retry_after_s"] == 1
    assert others == [200, 200]
    assert later == [200, 429]
