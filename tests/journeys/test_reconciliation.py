"""An operator sees what differs, why, and what became of it; reports are kept (C3, C2; reliability.md 3.3, P22)."""

from __future__ import annotations

import csv
import io
from typing import Any

from tests.journeys.conftest import Cast, Town, done, refused
from tests.waiting import until
from tuanzi.reconciliation.model import report_hash


def plant(town: Town, database: str, script: str) -> None:
    """Change rows of Beijing's files behind the house's back."""
    disk = getattr(town.house.campuses["beijing"], database).database
    disk._writer.execute("PRAGMA foreign_keys = OFF")
    disk.execute_script(script)
    disk._writer.execute("PRAGMA foreign_keys = ON")


async def compare(cast: Cast) -> None:
    """The operator has books compared; it is over, and what is safe is mended."""
    before = cast.town.rows("SELECT COUNT(*) FROM reconciliation_runs", database="money")
    await done(cast.warden.post("reconciliation/runs", {}), 202)
    await until(lambda: cast.town.rows("SELECT COUNT(*) FROM reconciliation_runs", database="money") != before)
    await cast.town.settled()


async def differences(cast: Cast, **query: str) -> list[Any]:
    """What an operator is shown."""
    wanted = "&".join(f"{name}={value}" for name, value in query.items())
    page = await done(cast.warden.get(f"reconciliation/differences?{wanted}"))
    assert page["next"] is None
    return page["items"]  # type: ignore[no-any-return]


async def test_a_lost_row_is_found_mended_and_reported(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    payment_id = "p" + orders[0][1:]
    lost = f"SELECT amount_fen FROM entries WHERE journal_id = 'capture:{payment_id}' ORDER BY line"
    entries = cast.town.rows(lost, database="money")
    plant(cast.town, "money", f"DELETE FROM entries WHERE journal_id = 'capture:{payment_id}';")

    await compare(cast)

    (found,) = await differences(cast)
    assert (found["difference_class"], found["key"], found["state"]) == ("D7", payment_id, "repaired")
    assert (found["unexplained_fen"], found["mend"], found["ended_by"]) == (1820, "restore_capture", "mend")
    assert found["evidence"]["payment"]["id"] == payment_id
    assert found == await done(cast.warden.get(f"reconciliation/differences/{found['id']}"))
    assert cast.town.rows(lost, database="money") == entries
    (run,) = (await done(cast.warden.get("reconciliation/runs")))["items"]
    assert (run["kind"], run["found"], run["unexplained_fen"], run["fault"]) == ("asked", 1, 1820, "")
    assert (await differences(cast, run_id=run["id"])) == [found]
    report = await done(cast.warden.get(f"reconciliation/reports/{run['report_number']}"))
    assert report["is_whole"]
    assert report["body"]["differences"][0]["item"] == payment_id
    table = await cast.warden.get("reconciliation/reports/1/differences.csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    (row,) = csv.DictReader(io.StringIO(table.text))
    assert (row["class"], row["key"], row["unexplained_fen"]) == ("D7", payment_id, "1820")
    assert row["merchants"] == "bj-m01"


async def test_what_only_a_person_can_decide_waits_for_one_and_holds_the_merchants_payouts(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    plant(cast.town, "core", f"DELETE FROM orders WHERE id = '{orders[0]}';")

    await compare(cast)

    found = await differences(cast, state="open")
    assert [(one["key"], one["is_raised"], one["mend"]) for one in found] == [(orders[0], True, "none")]
    assert cast.town.rows("SELECT merchant_id FROM payout_holds", database="money") == [("bj-m01",)]
    settlement = f"reconciliation/differences/{found[0]['id']}/settlement"
    await refused(cast.warden.post(settlement, {"reason": ""}), 422, "base/invalid")
    settled = await done(cast.warden.post(settlement, {"reason": "restored from last night's copy"}))
    assert settled["state"] == "settled"
    await refused(cast.warden.post(settlement, {"reason": "again"}), 409, "reconciliation/difference-ended")
    (kept,) = await differences(cast)
    assert (kept["ended_by"], kept["reason"]) == (cast.warden.id, "restored from last night's copy")
    assert cast.town.rows("SELECT COUNT(*) FROM payout_holds", database="money") == [(0,)]


async def test_an_edited_report_is_seen(cast: Cast) -> None:
    for _ in range(3):
        await compare(cast)
    reports = await done(cast.warden.get("reconciliation/reports"))
    assert [(one["number"], one["is_whole"]) for one in reports["items"]] == [(1, True), (2, True), (3, True)]
    body = cast.town.rows("SELECT body FROM reconciliation_reports WHERE number = 1", database="money")[0][0]
    assert reports["items"][0]["hash"] == report_hash("", body)

    plant(cast.town, "money", "UPDATE reconciliation_reports SET body = '{}' WHERE number = 2;")

    assert (await done(cast.warden.get("reconciliation/reports")))["broken"] == [2]
    assert (await done(cast.warden.get("reconciliation/reports?after=1&limit=1")))["broken"] == [2]
    assert not (await done(cast.warden.get("reconciliation/reports/2")))["is_whole"]


async def test_what_was_found_is_counted(cast: Cast) -> None:
    await cast.closed_group()
    plant(cast.town, "money", "UPDATE balances SET amount_fen = amount_fen + 1 WHERE account = 'provider_clearing';")

    await compare(cast)

    figures = (await cast.town.client.get("/metrics")).text
    assert 'tuanzi_differences_found_total{campus="beijing",difference_class="D7"} 1.0' in figures
    assert 'tuanzi_differences_ended_total{campus="beijing",difference_class="D7"} 1.0' in figures
    assert 'tuanzi_differences_raised_total{campus="beijing"' not in figures


async def test_c3_a_campus_leaves_alone_what_another_shares_days_after_its_payment(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    for order_id in orders:
        await cast.deliver(f"{order_id}.1")
    await done(cast.ming.post(f"orders/{orders[0]}/after-sale", {"reason": "cold"}))

    for _ in range(3):
        cast.town.pass_time(hours=24)
        await cast.town.settled()
    before = cast.town.provider.shared_fen
    await done(cast.warden.post(f"orders/{orders[0]}/after-sale/decision", {"amount_fen": 0}))
    for _ in range(48):
        cast.town.pass_time(hours=1)
        await cast.town.settled()

    assert cast.town.provider.shared_fen > before > 0
    for campus in cast.town.house.campuses.values():
        assert campus.money.database.rows("SELECT kind, item, mend FROM differences") == []


async def test_c3_a_campus_leaves_alone_what_another_has_in_the_same_bills(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    for order_id in orders:
        await cast.deliver(f"{order_id}.1")
    await cast.town.settled()

    for _ in range(48):  # both compare the bills of the day of the payments, and those of the day of the shares
        cast.town.pass_time(hours=1)
        await cast.town.settled()

    for campus in cast.town.house.campuses.values():
        rows = campus.money.database.rows
        assert rows("SELECT kind, item, mend FROM differences") == []
        assert len(rows("SELECT kind FROM reconciliation_runs WHERE kind = 'daily'")) == 2
    other = cast.town.house.campuses["shanghai"].money.database
    assert other.rows("SELECT id FROM payments") == []
    assert other.rows("SELECT id FROM refunds") == []
    assert cast.town.provider.shared_fen > 0
    assert cast.town.provider.refunded_fen == 0
