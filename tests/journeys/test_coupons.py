"""B4: operators give members coupons; each is seen, quoted with, ordered with, and used once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.journeys.conftest import BEEF_RICE, LADDER, LUNCH_FOR_THREE, Cast, Town, done, refused
from tests.journeys.test_console import pages

EXPIRES_AT = "2026-12-31T00:00:00+08:00"


def grant(*members: str, **changes: Any) -> dict[str, Any]:
    """Three yuan off for each of them."""
    given = {"grant_id": "welcome", "off_fen": 300, "threshold_fen": 1000, "expires_at": EXPIRES_AT}
    return {**given, "member_ids": list(members), **changes}


async def test_a_granted_coupon_is_quoted_with_ordered_with_and_used_once(cast: Cast) -> None:
    ming, hua, lan = cast.ming, cast.hua, cast.lan
    granted = await done(cast.warden.post("coupons", grant(ming.id, hua.id)), 201)
    coupon_id = f"welcome.{ming.id}"
    mine = await done(ming.get("coupons"))
    theirs = await done(lan.get("coupons"))
    cart = {**LUNCH_FOR_THREE, "lines": BEEF_RICE, "coupon_id": coupon_id}

    quoted = await done(ming.post("quotes", cart))
    opened = await done(ming.post("groups", cart), 201)
    for member in (hua, lan):
        joined = await done(member.post(f"groups/{opened['group_id']}/orders", {"lines": BEEF_RICE}), 201)
        await done(member.post(f"orders/{joined['order_id']}/pay"))
    await done(ming.post(f"orders/{opened['order_id']}/pay"))
    await cast.town.settled()
    used = await done(ming.get("coupons"))
    again = ming.post("groups", {**LADDER, "lines": BEEF_RICE, "coupon_id": coupon_id})
    await refused(again, 409, "pricing/coupon-taken")
    others = hua.post("groups", {**LADDER, "lines": BEEF_RICE, "coupon_id": coupon_id})
    await refused(others, 404, "base/unknown")

    assert granted == {"coupon_ids": [coupon_id, f"welcome.{hua.id}"], "granted": 2}
    assert [(one["id"], one["off_fen"], one["threshold_fen"], one["is_usable"]) for one in mine["items"]] == [
        (coupon_id, 300, 1000, True)
    ]
    assert theirs["items"] == []
    assert (quoted["tiers"][0]["payable_fen"], opened["payable_fen"]) == (1520, 1520)
    assert [(one["state"], one["order_id"]) for one in used["items"]] == [("used", opened["order_id"])]


async def test_a_grant_is_told_once_in_the_log_with_who_gave_it(cast: Cast) -> None:
    first = await done(cast.warden.post("coupons", grant(cast.ming.id), key="grant-one"), 201)
    repeated = await done(cast.warden.post("coupons", grant(cast.ming.id), key="grant-one"), 201)
    # A list is longer the second time: who has his coupon keeps the one.
    longer = await done(
        cast.operator.post("coupons", grant(cast.ming.id, cast.hua.id, cast.hua.id), key="grant-two"), 201
    )
    nothing = await done(cast.operator.post("coupons", grant(cast.ming.id), key="grant-three"), 201)

    told = cast.town.rows("SELECT body FROM events WHERE name = 'pricing.coupons_granted' ORDER BY number")
    assert repeated == first
    assert (first["granted"], longer["granted"], nothing["granted"]) == (1, 1, 0)
    assert [by in body for (body,), by in zip(told, (cast.warden.id, cast.operator.id), strict=True)] == [True, True]
    assert len((await done(cast.ming.get("coupons")))["items"]) == 1


async def test_who_gave_how_many_and_when_is_listed_the_newest_first(cast: Cast) -> None:
    first = await done(cast.warden.post("coupons", grant(cast.ming.id), key="grant-one"), 201)
    given_at = cast.town.now.isoformat().replace("+00:00", "Z")
    cast.town.pass_time(seconds=60)
    assert await done(cast.warden.post("coupons", grant(cast.ming.id), key="grant-one"), 201) == first
    assert (await done(cast.operator.post("coupons", grant(cast.ming.id), key="grant-two"), 201))["granted"] == 0
    await done(cast.operator.post("coupons", grant(cast.ming.id, cast.hua.id, cast.lan.id)), 201)
    cast.town.pass_time(seconds=60)
    other = grant(cast.lan.id, grant_id="welcome-2", off_fen=50, threshold_fen=0, merchant_id="bj-m01")
    await done(cast.warden.post("coupons", other), 201)

    listed = await pages(cast, "coupon-grants", limit=1)

    told = [(one["grant_id"], one["granted"], one["given_by"], one["off_fen"], one["merchant_id"]) for one in listed]
    assert told == [
        ("welcome-2", 1, cast.warden.id, 50, "bj-m01"),
        ("welcome", 2, cast.operator.id, 300, None),
        ("welcome", 1, cast.warden.id, 300, None),
    ]
    assert (listed[2]["given_at"], listed[2]["threshold_fen"]) == (given_at, 1000)
    assert listed[2]["expires_at"] == "2026-12-30T16:00:00Z"


async def test_who_has_a_coupon_of_a_grant_is_listed_with_what_became_of_it(cast: Cast) -> None:
    await done(cast.warden.post("coupons", grant(cast.ming.id, cast.hua.id)), 201)
    await done(cast.warden.post("coupons", grant(cast.lan.id)), 201)
    await done(cast.warden.post("coupons", grant(cast.lan.id, grant_id="welcome-2")), 201)
    cart = {**LUNCH_FOR_THREE, "lines": BEEF_RICE, "coupon_id": f"welcome.{cast.ming.id}"}
    opened = await done(cast.ming.post("groups", cart), 201)

    listed = await pages(cast, "coupon-grants/welcome/coupons", limit=2)

    became = {one["member_id"]: (one["id"], one["state"], one["order_id"]) for one in listed}
    assert became == {
        cast.ming.id: (f"welcome.{cast.ming.id}", "held", opened["order_id"]),
        cast.hua.id: (f"welcome.{cast.hua.id}", "free", None),
        cast.lan.id: (f"welcome.{cast.lan.id}", "free", None),
    }
    assert len(listed) == 3
    assert await pages(cast, "coupon-grants/wel/coupons", limit=2) == []


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"member_ids": ["ming", "away"]}, 422, "pricing/members-unknown"),
        ({"member_ids": ["ming", "u_nobody"]}, 422, "pricing/members-unknown"),
        ({"merchant_id": "bj-nobody"}, 404, "base/unknown"),
        ({"expires_at": "2026-01-01T00:00:00Z"}, 422, "pricing/coupon-useless"),
        ({"expires_at": "9999-12-31T23:00:00Z"}, 422, "pricing/coupon-useless"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, 422, "pricing/coupon-useless"),
        ({"off_fen": 0}, 422, "base/invalid"),
        ({"member_ids": [f"u_{i}" for i in range(201)]}, 422, "base/invalid"),
    ],
)
async def test_a_grant_that_cannot_be_given_gives_nobody_anything(
    change: dict[str, Any], status: int, code: str, cast: Cast
) -> None:
    named = {"ming": cast.ming.id, "away": cast.away.id}
    body = grant(cast.ming.id, **change)
    body["member_ids"] = [named.get(id, id) for id in body["member_ids"]]

    problem = await refused(cast.warden.post("coupons", body), status, code)

    if code == "pricing/members-unknown":
        assert problem["person_ids"] == body["member_ids"][1:]
    assert cast.town.rows("SELECT id FROM coupons") == []
    assert cast.town.rows("SELECT id FROM coupon_grants") == []


async def test_a_grant_that_said_something_else_is_refused(cast: Cast) -> None:
    await done(cast.warden.post("coupons", grant(cast.ming.id)), 201)

    other = cast.warden.post("coupons", grant(cast.hua.id, cast.ming.id, off_fen=500))
    await refused(other, 409, "pricing/coupon-id-taken")

    assert cast.town.rows("SELECT off_fen FROM coupons") == [(300,)]
    assert cast.town.rows("SELECT granted FROM coupon_grants") == [(1,)]


async def test_who_is_erased_is_given_nothing(cast: Cast, town: Town) -> None:
    await done(cast.ming.send("DELETE", "/v1/me"))

    problem = await refused(cast.warden.post("coupons", grant(cast.ming.id)), 422, "pricing/members-unknown")

    assert problem["person_ids"] == [cast.ming.id]
    assert town.rows("SELECT id FROM coupons") == []
