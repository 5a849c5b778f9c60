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
    asked_at = cast.town.now.isoformat().replace("+00:00", "Z")
    assert said == {"order_id": order_id, "reason": SPILT, "asked_at": asked_at, "withdrawn_at": None}
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
    nothing = {"order_id": order_id, "reason": "", "asked_at": None, "withdrawn_at": None}
    assert await done(cast.warden.get(f"orders/{order_id}/after-sale")) == nothing

    await done(cast.ming.post(f"orders/{order_id}/after-sale"))
    asked_at = cast.town.now.isoformat().replace("+00:00", "Z")

    assert await done(cast.warden.get(f"orders/{order_id}/after-sale")) == {**nothing, "asked_at": asked_at}
    await done(cast.warden.post(f"orders/{order_id}/after-sale/decision", {"amount_fen": 0}))
    assert await done(cast.ming.get(f"orders/{order_id}/after-sale")) == {**nothing, "asked_at": asked_at}
    await done(cast.ming.post(f"orders/{order_id}/after-sale"))
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
    (waits,) = (await waiting(cast)).values()
    assert (said["reason"], datetime.fromisoformat(said["asked_at"])) == ("", waits[2])
    decided = await done(cast.warden.post(f"orders/{order_id}/after-sale/decision", {"amount_fen": 500}))
    assert decided["refund_due_fen"] == 500
    assert (await done(cast.warden.get(f"orders/{order_id}/after-sale")))["asked_at"] is None


async def test_who_is_content_after_all_takes_it_back_once_and_may_ask_again(cast: Cast) -> None:
    order_id = await delivered(cast)
    page = f"orders/{order_id}/after-sale"
    await refused(cast.ming.send("DELETE", page), 409, "orders/illegal-step")
    await done(cast.ming.post(page, {"reason": SPILT}))
    asked_at = (await done(cast.ming.get(page)))["asked_at"]
    cast.town.pass_time(seconds=60)
    withdrawn_at = cast.town.now.isoformat().replace("+00:00", "Z")
    await refused(cast.hua.send("DELETE", page), 404, "base/unknown")

    taken_back = await done(cast.ming.send("DELETE", page))

    assert (taken_back["state"], taken_back["refund_due_fen"]) == ("completed", 0)
    assert await waiting(cast) == {}
    assert cast.town.rows("SELECT order_id FROM open_after_sales") == []
    said = {"order_id": order_id, "reason": SPILT, "asked_at": asked_at, "withdrawn_at": withdrawn_at}
    assert await done(cast.warden.get(page)) == said
    told_before = cast.town.rows("SELECT name, body FROM events ORDER BY number")
    cast.town.pass_time(seconds=60)
    assert await done(cast.ming.send("DELETE", page)) == taken_back
    assert await done(cast.warden.get(page)) == said
    assert cast.town.rows("SELECT name, body FROM events ORDER BY number") == told_before
    assert [name for name, _ in told_before if "after_sale" in name] == [
        "orders.after_sale_asked",
        "orders.after_sale_withdrawn",
    ]
    await refused(cast.warden.post(f"{page}/decision", {"amount_fen": 500}), 409, "orders/illegal-step")

    await done(cast.ming.post(page, {"reason": "还有一份没到"}))

    again = await done(cast.warden.get(page))
    assert (again["reason"], again["withdrawn_at"]) == ("还有一份没到", None)
    assert set(await waiting(cast)) == {order_id}


@pytest.mark.parametrize("amount_fen", [0, 500, None])
async def test_what_is_decided_is_not_taken_back(cast: Cast, amount_fen: int | None) -> None:
    order_id = await delivered(cast)
    page = f"orders/{order_id}/after-sale"
    await done(cast.ming.post(page))
    before = await done(cast.ming.get(f"orders/{order_id}"))
    amount = before["paid_fen"] if amount_fen is None else amount_fen
    await done(cast.warden.post(f"{page}/decision", {"amount_fen": amount}))
    await cast.town.settled()
    decided = await done(cast.ming.get(f"orders/{order_id}"))

    await refused(cast.ming.send("DELETE", page), 409, "orders/after-sale-decided")

    assert await done(cast.ming.get(f"orders/{order_id}")) == decided
    assert decided["refunded_fen"] == amount
    assert (await done(cast.ming.get(page)))["withdrawn_at"] is None


async def test_persons_who_waited_for_it_are_given_theirs_as_soon_as_it_is_taken_back(cast: Cast) -> None:
    order_id = await delivered(cast)
    await done(cast.ming.post(f"orders/{order_id}/confirm"))
    await done(cast.ming.post(f"orders/{order_id}/after-sale", {"reason": SPILT}))
    cast.town.pass_time(days=3)
    await cast.town.settled()
    assert await given(cast, order_id) == {"merchant"}

    await done(cast.ming.send("DELETE", f"orders/{order_id}/after-sale"))
    await cast.town.settled()

    assert await given(cast, order_id) == {"merchant", "leader"}


async def given(cast: Cast, order_id: str) -> set[str]:
    """Who was given a share of an order."""
    ledger = await done(cast.warden.get(f"orders/{order_id}/ledger"))
    return {each["party"] for each in ledger["parties"] if each["given_fen"]}
