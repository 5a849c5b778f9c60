"""What operators see of a campus, its orders, groups and splits (J1, B3, C3; issue 4, Operator console)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tests.journeys.conftest import BEEF_RICE, LADDER, LUNCH_FOR_THREE, Cast, done, refused
from tests.waiting import until
from tuanzi.groups.queries import pages as group_pages
from tuanzi.groups.queries import timeline as group_timeline
from tuanzi.machinery.internal import EVENTS, Rows
from tuanzi.orders.queries import pages as order_pages


async def pages(cast: Cast, path: str, *, limit: int) -> list[Any]:
    """All items of a list, read page by page, and an end there must be."""
    found, after = [], ""
    for _ in range(50):
        page = await done(cast.warden.get(f"{path}{'&' if '?' in path else '?'}limit={limit}&after={after}"))
        found += page["items"]
        if page["next"] is None:
            return found
        after = page["next"]
    raise AssertionError(f"{path} has no end")


async def story(cast: Cast, group_id: str) -> list[dict[str, Any]]:
    """A group's timeline, read to its end."""
    found, after = [], ""
    for _ in range(200):
        told = await done(cast.warden.get(f"operator/groups/{group_id}/timeline{after}"))
        found += told["items"]
        if told["next"] is None:
            return found
        after = f"?after={told['next']}"
    raise AssertionError("the timeline has no end")


async def test_an_operator_lists_orders_newest_first_in_a_state_or_of_a_member(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    cast.town.pass_time(seconds=1)
    waiting = await done(cast.ming.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)
    mine = [waiting["order_id"], orders[0]]

    everything = await pages(cast, "operator/orders", limit=3)
    split = await pages(cast, "operator/orders?state=split", limit=2)
    created = await pages(cast, "operator/orders?state=created", limit=2)
    of_ming = await pages(cast, f"operator/orders?member_id={cast.ming.id}", limit=1)

    assert [order["order_id"] for order in everything] == [waiting["order_id"], *sorted(orders, reverse=True)]
    assert [order["order_id"] for order in split] == sorted(orders, reverse=True)
    assert [order["order_id"] for order in created] == [waiting["order_id"]]
    assert [order["order_id"] for order in of_ming] == mine


async def test_a_rare_state_is_found_though_each_page_looks_at_few(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    group_id, orders = await cast.closed_group()
    cast.town.pass_time(seconds=1)
    for person in (cast.ming, cast.hua, cast.lan):
        await done(person.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)
    monkeypatch.setattr(order_pages, "ORDERS_LOOKED_AT_MAX", 2)
    monkeypatch.setattr(group_pages, "GROUPS_LOOKED_AT_MAX", 2)

    split = await pages(cast, "operator/orders?state=split", limit=10)
    closed = await pages(cast, "operator/groups?state=closed", limit=10)

    assert [order["order_id"] for order in split] == sorted(orders, reverse=True)
    assert [group["group_id"] for group in closed] == [group_id]


async def test_a_group_has_its_timeline_when_older_events_are_kept_no_more(cast: Cast) -> None:
    group_id, _ = await cast.closed_group()
    await cast.town.settled()
    before = await story(cast, group_id)
    first = min(event["number"] for event in before if event["database"] == "core")
    core = cast.town.house.campuses["beijing"].core

    await core.keep_rows(Rows(removes=[(EVENTS, list(range(1, first)))]))

    assert first > 1
    assert await story(cast, group_id) == before


async def test_an_operator_lists_groups_by_what_they_are(cast: Cast) -> None:
    group_id, orders = await cast.closed_group()
    cast.town.pass_time(seconds=1)
    opened = await done(cast.stranger.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)

    everything = await pages(cast, "operator/groups", limit=1)
    closed = await pages(cast, "operator/groups?state=closed", limit=5)
    of_ladder = await pages(cast, "operator/groups?campaign_id=bj-ladder", limit=5)
    of_dorm = await pages(cast, "operator/groups?building_id=bj-dorm-01", limit=5)
    record = await done(cast.warden.get(f"operator/groups/{group_id}"))

    assert [group["group_id"] for group in everything] == [opened["group_id"], group_id]
    assert [group["group_id"] for group in closed] == [group_id]
    assert [group["group_id"] for group in of_ladder] == [opened["group_id"]]
    assert [group["group_id"] for group in of_dorm] == [group_id]
    assert [member["member_id"] for member in record["members"]] == [cast.ming.id, cast.hua.id, cast.lan.id]
    assert [member["is_leader"] for member in record["members"]] == [True, False, False]
    assert [order["order_id"] for order in record["orders"]] == sorted(orders)
    await refused(cast.warden.get("operator/groups/g_nobody"), 404, "base/unknown")


async def test_a_group_tells_its_whole_story_from_the_logs_of_three_databases(cast: Cast) -> None:
    opened = await done(cast.ming.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201)
    group_id = opened["group_id"]
    gone = await done(cast.stranger.post(f"groups/{group_id}/orders", {"lines": BEEF_RICE}), 201)
    await done(cast.stranger.send("DELETE", f"groups/{group_id}/seat"))
    orders = [opened["order_id"]]
    for member in (cast.hua, cast.lan):
        orders.append((await done(member.post(f"groups/{group_id}/orders", {"lines": BEEF_RICE}), 201))["order_id"])
    for member, order_id in zip((cast.ming, cast.hua, cast.lan), orders, strict=True):
        await done(member.post(f"orders/{order_id}/pay"))
    await cast.town.settled()
    for order_id in orders:
        for step in ("accept", "cook", "ready"):
            await done(cast.merchant.post(f"sub-orders/{order_id}.1/{step}"))
    bundle = await cast.bundle()
    await done(cast.rider.post(f"rider/bundles/{bundle['bundle_id']}/pick-up"))
    await done(cast.rider.post(f"rider/parcels/{bundle['parcels'][0]['parcel_id']}/deliver"))
    await cast.town.settled()
    other, _ = await cast.closed_group()

    told = await story(cast, group_id)

    names = [event["name"] for event in told]
    assert sorted(names[:3]) == ["groups.opened", "groups.seat_held", "orders.placed"]
    assert [event["at"] for event in told] == sorted(event["at"] for event in told)
    counts = {name: names.count(name) for name in names}
    assert counts["groups.seat_held"] == 4
    assert counts["groups.seat_released"] == 1
    assert counts["money.payment_captured"] == counts["groups.seat_paid"] == counts["orders.paid"] == 3
    assert counts["groups.formed"] == counts["groups.closed"] == counts["splitting.confirmed"] == 1
    assert counts["orders.sub_order_advanced"] == 3 * 5
    for once in ("promise_made", "bundle_assigned", "bundle_picked_up", "parcel_delivered", "bundle_delivered"):
        assert counts[f"delivery.{once}"] == 1, once
    assert {event["database"] for event in told} == {"core", "money", "delivery"}
    assert any(gone["order_id"] == event["body"].get("order_id") for event in told)
    assert not any(other == event["body"].get("group_id") for event in told)


def place(event: dict[str, Any]) -> tuple[str, int]:
    """Where an event stands in its log."""
    return event["database"], event["number"]


async def test_a_long_story_is_read_in_parts_and_nothing_is_told_twice(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_id, orders = await cast.closed_group()
    for order_id in orders:
        cast.town.pass_time(seconds=30)
        await cast.deliver(f"{order_id}.1")
    await cast.town.settled()
    whole = await story(cast, group_id)
    monkeypatch.setattr(group_timeline, "EVENTS_LOOKED_AT_MAX", 40)

    parts = await story(cast, group_id)

    assert sorted(parts, key=place) == sorted(whole, key=place)
    assert len(whole) > 40


async def test_a_splits_evidence_has_its_branches_beside_their_fences_and_adds_up_to_zero(cast: Cast) -> None:
    group_id, orders = await cast.closed_group()

    evidence = await done(cast.warden.get(f"operator/groups/{group_id}/split"))

    branches = {one["branch"]: (one["database"], one["state"], one["fence"]["state"]) for one in evidence["branches"]}
    assert branches == {
        "stock": ("core", "confirmed", "confirmed"),
        "sharing": ("money", "confirmed", "confirmed"),
        "delivery": ("delivery", "confirmed", "confirmed"),
    }
    assert evidence["state"] == "confirmed"
    assert [one["attempts"] for one in evidence["branches"] if one["branch"] != "stock"] == [2, 2]
    assert evidence["entries_fen"] == sum(entry["amount_fen"] for entry in evidence["entries"]) == 0
    assert {entry["order_id"] for entry in evidence["entries"]} == set(orders)
    per_journal: dict[str, int] = {}
    for entry in evidence["entries"]:
        per_journal[entry["journal_id"]] = per_journal.get(entry["journal_id"], 0) + entry["amount_fen"]
    assert set(per_journal.values()) == {0}
    subs = evidence["sub_orders"]
    assert sum(sub["payable_fen"] for sub in subs) == evidence["planned_fen"]
    assert evidence["planned_fen"] + evidence["returned_fen"] == evidence["paid_fen"]
    carried = [sub for parcel in evidence["parcels"] for sub in parcel["sub_order_ids"]]
    assert sorted(carried) == sorted(sub["sub_order_id"] for sub in subs)
    opened = await done(cast.stranger.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)
    await refused(cast.warden.get(f"operator/groups/{opened['group_id']}/split"), 404, "base/unknown")


async def test_the_overview_counts_what_there_is(cast: Cast) -> None:
    await cast.town.settled()
    before = await done(cast.warden.get("overview"))

    await cast.closed_group()
    opened = await done(cast.stranger.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)
    await done(cast.stranger.post(f"orders/{opened['order_id']}/pay"))
    await cast.town.settled()
    now = await done(cast.warden.get("overview"))
    assert now["owner"] == ""  # the process that answers decides too

    paid_fen = (await done(cast.stranger.get(f"orders/{opened['order_id']}")))["paid_fen"]
    balances = {
        account["account"]: account["balance_fen"]
        for account in (await done(cast.warden.get("ledger/trial-balance")))["accounts"]
    }
    assert (before["opened_today"], before["escrow_fen"]) == (0, 0)
    assert (now["groups_open"], now["groups_formed"]) == (1, 0)
    assert (now["opened_today"], now["formed_today"], now["failed_today"]) == (2, 1, 0)
    assert now["escrow_fen"] == -balances["order_escrow"] >= paid_fen
    assert now["splits"] == []
    assert (now["splits_confirmed_today"], now["splits_cancelled_today"]) == (1, 0)
    assert [writer["database"] for writer in now["writers"]] == ["core", "money", "delivery", "notices"]
    assert all(writer["is_open"] and writer["waiting"] == 0 and writer["wait_ms"] == 0 for writer in now["writers"])
    assert now["orders_placed"] - before["orders_placed"] == 4
    assert datetime.fromisoformat(now["at"]) == cast.town.now


async def test_drafts_of_campaigns_are_for_operators_only(cast: Cast) -> None:
    draft = {**await done(cast.warden.get("campaigns/bj-five")), "id": "bj-secret", "state": "draft"}
    await done(cast.warden.send("PUT", "campaigns/bj-secret", draft))

    theirs = await pages(cast, "operator/campaigns", limit=2)
    everybodys = await done(cast.ming.get("campaigns?limit=100"))

    assert "bj-secret" in [campaign["id"] for campaign in theirs]
    assert "bj-secret" not in [campaign["id"] for campaign in everybodys["items"]]


async def test_a_merchants_board_hears_that_a_rider_comes_and_that_he_does_not_after_all(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    for order_id in orders:
        for step in ("accept", "cook", "ready"):
            await done(cast.merchant.post(f"sub-orders/{order_id}.1/{step}"))
    bundle = (await cast.bundle())["bundle_id"]
    await done(cast.rider.post("rider/shift/end"))
    notices = cast.town.house.campuses["beijing"].notices.database
    sql = """
        SELECT m.value FROM stream_runs, json_each(messages) m
        WHERE stream = 'board:bj-m01' AND m.value ->> 'kind' = 'bundle.changed' ORDER BY first_number + m.key
    """

    await until(lambda: len(notices.rows(sql)) == 2)

    told = [json.loads(body) for (body,) in notices.rows(sql)]
    assert [(each["bundle_id"], each["state"], each["merchant_id"], each["reason"]) for each in told] == [
        (bundle, "assigned", "bj-m01", None),
        (bundle, "released", "bj-m01", "rider_went_off"),
    ]
    mine = notices.rows(f"SELECT messages FROM stream_runs WHERE stream = 'user:{cast.rider.id}'")
    assert [each["kind"] for (messages,) in mine for each in json.loads(messages)].count("bundle.changed") == 2


async def test_price_rules_are_of_one_campus_alone(cast: Cast) -> None:
    rule = {"id": "off-100", "kind": "full_reduction", "amount": "100", "title_zh": "减一元", "title_en": "One off"}
    line = {"dish_id": "bj-m01-d01", "merchant_id": "bj-m01", "unit_price_fen": 1800}
    sample = {"name": "rice", "lines": [line], "priced_at": "2026-11-23T03:40:00Z", "expected_fen": 1700}
    in_beijing = {**LADDER, "lines": BEEF_RICE}
    in_shanghai = {
        "campaign_id": "sh-lunch-3",
        "building_id": "sh-dorm-01",
        "lines": [{"dish_id": "sh-m01-d01", "quantity": 1}],
    }
    before = [await done(one.post("quotes", body)) for one, body in ((cast.ming, in_beijing), (cast.away, in_shanghai))]

    await done(cast.operator.post("pricing/versions", {"rules": [rule], "samples": [sample]}), 201)
    await done(cast.operator.post("pricing/versions/1/switch"))
    after = [await done(one.post("quotes", body)) for one, body in ((cast.ming, in_beijing), (cast.away, in_shanghai))]

    assert after[0] != before[0]
    assert after[1] == before[1]
    versions = await done(cast.operator.get("/v1/campuses/shanghai/pricing/versions"))
    assert (versions["items"], versions["active"]) == ([], 0)
    await refused(cast.operator.post("/v1/campuses/shanghai/pricing/versions/1/switch"), 404, "base/unknown")


USUAL_TERMS = {"late_minutes": 5, "given_up_minutes": 20, "ready_minutes": 30}


async def test_an_operator_sees_what_shops_are_late_to_accept_and_says_how_long_they_may_take(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    assert await done(cast.warden.get("acceptance-terms")) == USUAL_TERMS
    assert await pages(cast, "operator/unaccepted", limit=2) == []
    cast.town.pass_time(seconds=61)

    short = {"late_minutes": 1, "given_up_minutes": 3, "ready_minutes": 30}
    set_now = await done(cast.warden.send("PUT", "acceptance-terms", short))

    assert set_now == short
    late = await pages(cast, "operator/unaccepted", limit=2)
    assert sorted({sub["order_id"] for sub in late}) == sorted(orders)
    assert {sub["state"] for sub in late} == {"planned"}
    assert [sub["sub_order_id"] for sub in late] == sorted(sub["sub_order_id"] for sub in late)


async def test_an_operator_sees_what_shops_are_late_to_have_ready_and_gives_it_up(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    subs = [f"{order_id}.1" for order_id in orders]
    for sub in subs:
        await done(cast.merchant.post(f"sub-orders/{sub}/accept"))
    soon = {**USUAL_TERMS, "ready_minutes": 2}
    assert await done(cast.warden.send("PUT", "acceptance-terms", soon)) == soon
    assert await pages(cast, "operator/unready", limit=2) == []
    cast.town.pass_time(seconds=121)

    late = await pages(cast, "operator/unready", limit=2)

    assert [sub["sub_order_id"] for sub in late] == sorted(subs)
    assert {sub["state"] for sub in late} == {"accepted"}
    board = await done(cast.merchant.get("merchant/sub-orders?state=accepted"))
    assert (board["ready_minutes"], len(board["items"])) == (2, len(subs))
    await done(cast.warden.post(f"sub-orders/{subs[0]}/reject"))
    left = await pages(cast, "operator/unready", limit=2)
    assert sorted(sub["sub_order_id"] for sub in left) == sorted(subs[1:])


async def test_an_operator_sees_what_is_ready_and_late_to_be_fetched_and_sends_another(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    for order_id in orders:
        for step in ("accept", "cook", "ready"):
            await done(cast.merchant.post(f"sub-orders/{order_id}.1/{step}"))
    bundle = await cast.bundle()
    cast.town.pass_time(minutes=14)
    assert await pages(cast, "operator/unfetched", limit=2) == []
    cast.town.pass_time(minutes=1, seconds=1)

    late = await pages(cast, "operator/unfetched", limit=2)

    assert sorted(parcel["parcel_id"] for parcel in late) == sorted(one["parcel_id"] for one in bundle["parcels"])
    assert {(parcel["state"], parcel["bundle_id"], parcel["is_ready"]) for parcel in late} == {
        ("assigned", bundle["bundle_id"], True)
    }
    sent = await done(cast.warden.post(f"parcels/{late[0]['parcel_id']}/send-another"))
    assert sent == {"parcel_id": late[0]["parcel_id"], "state": "waiting", "riders": 0}
    assert (await done(cast.rider.get("rider/board")))["is_on"] is False
    still = await pages(cast, "operator/unfetched", limit=2)
    assert {(parcel["state"], parcel["bundle_id"]) for parcel in still} == {("waiting", None)}
    await refused(cast.warden.post("parcels/nothing.d1/send-another"), 404, "base/unknown")


async def test_terms_that_give_shops_no_time_are_refused(cast: Cast) -> None:
    terms = {"late_minutes": 5, "given_up_minutes": 5, "ready_minutes": 30}

    await refused(cast.warden.send("PUT", "acceptance-terms", terms), 422, "orders/acceptance-terms-invalid")

    assert await done(cast.warden.get("acceptance-terms")) == USUAL_TERMS
