"""Who asks for after-sale says what is wrong; operators read it, and it goes when he does (B8, J3; 0022)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.journeys.conftest import Cast, done, refused
from tests.journeys.test_console import pages
from tests.journeys.test_privacy import all_records, holding, told

SPILT = "汤洒了一半，麻烦看看"


async def delivered(cast: Cast) -> str:
    """An order of ming's that was brought."""
    _, orders = await cast.closed_group()
    await cast.deliver(f"{orders[0]}.1")
    return orders[0]


async def test_an_operator_reads_what_is_wrong_and_so_does_who_said_it(cast: Cast) -> None:
    order_id = await delivered(cast)

    await done(cast.ming.post(f"orders/{order_id}/after-sale", {"reason": f"  {SPILT}\n"}))

    said = await done(cast.warden.get(f"orders/{order_id}/after-sale"))
    assert said == {"order_id": order_id, "reason": SPILT, "asked_at": said["asked_at"]}
    assert said["asked_at"].startswith("2026-")
    assert await done(cast.ming.get(f"orders/{order_id}/after-sale")) == said
    await refused(cast.hua.get(f"orders/{order_id}/after-sale"), 404, "base/unknown")


async def test_operators_are_told_which_after_sales_wait_and_since_when(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    for order_id in orders:
        await cast.deliver(f"{order_id}.1")
    assert await waiting(cast) == {}

    await done(cast.ming.post(f"orders/{orders[0]}/after-sale", {"reason": SPILT}))
    cast.town.pass_time(seconds=60)
    await done(cast.hua.post(f"orders/{orders[1]}/after-sale"))
    await done(cast.lan.post(f"orders/{orders[2]}/after-sale", {"reason": "冷了"}))

    now = cast.town.now
    paid = [(await done(cast.warden.get(f"orders/{order_id}")))["paid_fen"] for order_id in orders]
    assert await waiting(cast) == {
        orders[0]: (cast.ming.id, SPILT, now - timedelta(seconds=60), paid[0]),
        orders[1]: (cast.hua.id, "", now, paid[1]),
        orders[2]: (cast.lan.id, "冷了", now, paid[2]),
    }

    await done(cast.warden.post(f"orders/{orders[0]}/after-sale/decision", {"amount_fen": 0}))
    assert set(await waiting(cast)) == {orders[1], orders[2]}
    await done(cast.warden.post(f"orders/{orders[1]}/after-sale/decision", {"amount_fen": paid[1]}))
    assert set(await waiting(cast)) == {orders[2]}
    await done(cast.warden.post(f"orders/{orders[2]}/refunds", {"reason": "cold"}))
    assert await waiting(cast) == {}
    assert cast.town.house.campuses["beijing"].core.database.rows("SELECT * FROM open_after_sales") == []


async def waiting(cast: Cast) -> dict[str, tuple[str, str, datetime, int]]:
    """The after-sales that wait for a decision, by order: whose, why, since when, and what can go back."""
    items = await pages(cast, "operator/after-sales", limit=2)
    assert [each["order_id"] for each in items] == sorted(each["order_id"] for each in items)
    return {
        each["order_id"]: (
            each["member_id"],
            each["reason"],
            datetime.fromisoformat(each["asked_at"]),
            each["left_fen"],
        )
        for each in items
    }


async def test_nothing_need_be_said(cast: Cast) -> None:
    order_id = await delivered(cast)
    nothing = {"order_id": order_id, "reason": "", "asked_at": None}
    assert await done(cast.warden.get(f"orders/{order_id}/after-sale")) == nothing

    await done(cast.ming.post(f"orders/{order_id}/after-sale"))

    assert await done(cast.warden.get(f"orders/{order_id}/after-sale")) == nothing
    assert (await done(cast.ming.get(f"orders/{order_id}")))["state"] == "after_sale"


@pytest.mark.parametrize("phone", ["13812345678", "+86 138-1234-5678", "１３８１２３４５６７８"])
async def test_a_phone_is_refused_and_nothing_is_asked(cast: Cast, phone: str) -> None:
    order_id = await delivered(cast)

    body = {"reason": f"call {phone}"}
    problem = await refused(cast.ming.post(f"orders/{order_id}/after-sale", body), 422, "base/phone-in-text")

    assert phone not in str(problem)
    assert (await done(cast.ming.get(f"orders/{order_id}")))["state"] == "delivered"


async def test_more_than_two_hundred_characters_are_refused(cast: Cast) -> None:
    order_id = await delivered(cast)

    await refused(cast.ming.post(f"orders/{order_id}/after-sale", {"reason": "汤" * 201}), 422, "base/invalid")

    await done(cast.ming.post(f"orders/{order_id}/after-sale", {"reason": "汤" * 200}))


async def test_what_was_said_is_exported_and_erased_with_who_said_it(cast: Cast) -> None:
    order_id = await delivered(cast)
    await done(cast.ming.post(f"orders/{order_id}/after-sale", {"reason": SPILT}))
    await cast.town.settled()
    assert holding(cast.town, SPILT) == {"beijing.core.complaints"}
    kept = [each["row"] for each in await all_records(cast.ming) if each["table"] == "complaints"]
    assert [one["reason"] for row in kept for one in row["said"]] == [SPILT]
    assert [each for each in await all_records(cast.hua) if each["table"] == "complaints"] == []

    await done(cast.ming.send("DELETE", "/v1/me"))
    await told(cast)

    assert holding(cast.town, SPILT) == set()
    said = await done(cast.warden.get(f"orders/{order_id}/after-sale"))
    assert (said["reason"], said["asked_at"]) == ("", None)
    decided = await done(cast.warden.post(f"orders/{order_id}/after-sale/decision", {"amount_fen": 500}))
    assert decided["refund_due_fen"] == 500
