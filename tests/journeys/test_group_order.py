"""A group order from signing in to the meal, over HTTP, to the fen (B1, B5, B6, B8; J2, J3, A2)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.journeys.conftest import BEEF_RICE, LADDER, LUNCH, LUNCH_FOR_THREE, Cast, Person, Town, cart, done, refused
from tests.waiting import until
from tuanzi.pricing import GrantCoupon


class Watch:
    """A page somebody keeps looking at."""

    def __init__(self, person: Person, path: str) -> None:
        self.person = person
        self.url = path if path.startswith("/") else f"{person.campus}/{path}"
        self.etag = ""

    async def look(self) -> Any:
        """What the page says, which must have changed since the last look."""
        headers = {"authorization": f"Bearer {self.person.token}", "if-none-match": self.etag}
        answer = await self.person.client.get(self.url, headers=headers)
        assert answer.status_code == 200, f"{self.url}: unchanged, or {answer.text}"
        assert answer.headers["etag"] != self.etag
        self.etag = answer.headers["etag"]
        await self.still()
        return answer.json()

    async def still(self) -> None:
        """The page has not changed since the last look: 304 without a body."""
        headers = {"authorization": f"Bearer {self.person.token}", "if-none-match": self.etag}
        answer = await self.person.client.get(self.url, headers=headers)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", self.etag)


async def three_seats(town: Town, opening: dict[str, Any], *, members: int = 3) -> tuple[str, list[Person], list[str]]:
    """A group in which each member holds a seat with one beef rice, nothing paid."""
    people = [await town.sign_in() for _ in range(members)]
    opened = await done(people[0].post("groups", {**opening, "lines": BEEF_RICE}), 201)
    orders = [opened["order_id"]]
    for person in people[1:]:
        joined = await done(person.post(f"groups/{opened['group_id']}/orders", {"lines": BEEF_RICE}), 201)
        orders.append(joined["order_id"])
    return opened["group_id"], people, orders


def balances(town: Town) -> dict[str, int]:
    """The accounts of Beijing that are not empty."""
    sql = "SELECT account, SUM(amount_fen) FROM entries GROUP BY account HAVING SUM(amount_fen) <> 0 ORDER BY account"
    return dict(town.rows(sql, database="money"))


async def test_a_student_signs_in_with_a_code_and_looks_around(town: Town) -> None:
    ming = await town.sign_in()

    me = await done(ming.get("/v1/me"))
    campuses = await done(ming.get("/v1/campuses"))
    page = await done(ming.get(ming.campus))
    campaigns = await done(ming.get("campaigns?building_id=bj-hall-01"))
    dishes = await done(ming.get("dishes?merchant_id=bj-m01&limit=2"))
    rest = await done(ming.get(f"dishes?merchant_id=bj-m01&after={dishes['next']}"))

    assert (me["person_id"], me["roles"], me["campus_id"]) == (ming.id, ["student"], "beijing")
    assert [campus["id"] for campus in campuses["items"]] == ["beijing", "shanghai"]
    assert (page["campus"]["name_en"], len(page["buildings"])) == ("Qingtuan University, Beijing Campus", 18)
    assert [one["id"] for one in campaigns["items"]] == ["bj-class-10", "bj-ladder", "bj-lunch-3"]
    assert [one["dish"]["id"] for one in dishes["items"]] == ["bj-m01-d01", "bj-m01-d02"]
    assert [one["dish"]["id"] for one in rest["items"]] == [f"bj-m01-d0{i}" for i in range(3, 9)]
    assert rest["next"] is None


async def test_a_wrong_code_is_counted_and_a_used_one_is_gone(town: Town) -> None:
    phone = "13700000001"
    await done(town.client.post("/v1/codes", json={"phone": phone, "campus_id": "beijing"}), 202)
    await until(lambda: phone in town.codes.sent)
    code = town.codes.sent[phone]
    wrong = {"phone": phone, "code": "000000" if code != "000000" else "000001"}

    first = await refused(town.client.post("/v1/sessions", json=wrong), 422, "people/code-wrong")
    signed = await done(town.client.post("/v1/sessions", json={"phone": phone, "code": code}), 201)
    await refused(town.client.post("/v1/sessions", json={"phone": phone, "code": code}), 422, "people/code-expired")

    assert first["tries_left"] == 4
    assert signed["roles"] == ["student"]


async def test_a_quote_says_what_each_tier_costs(town: Town) -> None:
    ming = await town.sign_in()

    quoted = await done(ming.post("quotes", {**LADDER, "lines": BEEF_RICE}))

    # 1800 less 8 % and 300 of 900 delivery; less 12 % and 100 and 180; less 18 % and 300 and 90.
    assert [(tier["size"], tier["payable_fen"]) for tier in quoted["tiers"]] == [(3, 1956), (5, 1664), (10, 1266)]
    assert quoted["delivery_fen"] == 300
    assert quoted["tiers"][0] == {
        "size": 3,
        "list_fen": 1800,
        "delivery_fen": 300,
        "offs": [{"rule_id": "tier", "amount_fen": 144}],
        "payable_fen": 1956,
        "saved_fen": 744,
    }


async def test_a_quote_with_a_coupon_says_what_it_takes_off_and_keeps_it_free(town: Town) -> None:
    ming = await town.sign_in()
    grant = GrantCoupon(
        coupon_id="c-1", member_id=ming.id, off_fen=500, threshold_fen=1000, expires_at=LUNCH + timedelta(days=1)
    )
    await town.house.campuses["beijing"].core.submit(grant)

    quoted = await done(ming.post("quotes", {**LADDER, "lines": BEEF_RICE, "coupon_id": "c-1"}))
    coupons = await done(ming.get("coupons"))
    stranger = await town.sign_in()
    await refused(stranger.post("quotes", {**LADDER, "lines": BEEF_RICE, "coupon_id": "c-1"}), 404, "base/unknown")

    assert quoted["tiers"][0]["offs"] == [
        {"rule_id": "tier", "amount_fen": 144},
        {"rule_id": "coupon", "amount_fen": 500},
    ]
    assert quoted["tiers"][0]["payable_fen"] == 1456
    assert [(one["id"], one["state"]) for one in coupons["items"]] == [("c-1", "free")]


async def test_a_group_shows_its_seats_and_which_is_mine_but_not_whose_the_others_are(town: Town) -> None:
    ming, hua = await town.sign_in(), await town.sign_in()
    opened = await done(ming.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)
    town.pass_time(minutes=1)
    joined = await done(hua.post(f"groups/{opened['group_id']}/orders", {"lines": BEEF_RICE}), 201)
    await done(hua.post(f"orders/{joined['order_id']}/pay"))

    path = f"groups/{opened['group_id']}"
    for_ming, for_hua = await done(ming.get(path)), await done(hua.get(path))
    for_anybody = await done(town.client.get(f"/v1/campuses/beijing/{path}"))

    first = {"state": "held", "since": "2026-11-23T03:40:00Z", "is_leader": True}
    second = {"state": "paid", "since": "2026-11-23T03:41:00Z", "is_leader": False}
    assert for_anybody["seats"] == [{**first, "is_mine": False}, {**second, "is_mine": False}]
    assert for_ming["seats"] == [{**first, "is_mine": True}, {**second, "is_mine": False}]
    assert for_hua["seats"] == [{**first, "is_mine": False}, {**second, "is_mine": True}]
    assert (for_anybody["my_order_id"], for_ming["my_order_id"]) == (None, opened["order_id"])
    assert for_hua["my_order_id"] == joined["order_id"]
    assert for_anybody["opened_at"] == "2026-11-23T03:40:00Z"
    assert ming.id not in str(for_hua)


async def test_everybody_may_ask_what_time_it_is_here(town: Town) -> None:
    assert await done(town.client.get("/v1/clock")) == {"now": "2026-11-23T03:40:00Z"}


async def test_the_last_payment_answers_with_the_exact_split_plan(cast: Cast) -> None:
    ming, hua, lan = cast.ming, cast.hua, cast.lan
    two_shops = cart(("bj-m01-d01", 1), ("bj-m02-d03", 1))

    opened = await done(ming.post("groups", {**LUNCH_FOR_THREE, "lines": two_shops}), 201)
    group_id = opened["group_id"]
    group = Watch(hua, f"groups/{group_id}")
    first_look = await group.look()
    orders = f"groups/{group_id}/orders"
    second = await done(hua.post(orders, {"lines": cart(("bj-m01-d04", 1))}), 201)
    second_look = await group.look()
    third = await done(lan.post(orders, {"lines": cart(("bj-m01-d02", 2))}), 201)
    ids = [opened["order_id"], second["order_id"], third["order_id"]]
    order = Watch(ming, f"orders/{ids[0]}")
    created = await order.look()
    paid = await done(ming.post(f"orders/{ids[0]}/pay"))
    after_paying = await order.look()
    third_look = await group.look()
    await done(hua.post(f"orders/{ids[1]}/pay"))
    await order.still()
    last = await done(lan.post(f"orders/{ids[2]}/pay"))

    assert (opened["payable_fen"], opened["order_state"], opened["seats_taken"]) == (3800, "created", 1)
    assert (second["payable_fen"], third["payable_fen"], third["seats_taken"]) == (1280, 2900, 3)
    assert (first_look["missing"], second_look["seats_taken"], third_look["paid_count"]) == (3, 2, 1)
    assert (created["state"], created["pay_before"]) == ("created", "2026-11-23T03:45:00Z")
    assert (paid["order_state"], paid["group_state"], paid["plan"]) == ("paid", "open", None)
    assert (after_paying["state"], after_paying["paid_fen"]) == ("paid", 3800)
    assert (last["order_state"], last["group_state"], last["paid_count"]) == ("grouped", "closed", 3)
    assert (last["split_state"], paid["split_state"]) == ("trying", None)
    columns = ("sub_order_id", "merchant_id", "items_fen", "discount_fen", "delivery_fen", "payable_fen")
    assert [tuple(row[name] for name in columns) for row in last["plan"]] == [
        (f"{ids[0]}.1", "bj-m01", 1800, 180, 90, 1710),
        (f"{ids[0]}.2", "bj-m02", 2200, 220, 110, 2090),
        (f"{ids[1]}.1", "bj-m01", 1200, 120, 200, 1280),
        (f"{ids[2]}.1", "bj-m01", 3000, 300, 200, 2900),
    ]
    assert [row["member_id"] for row in last["plan"]] == [ming.id, ming.id, hua.id, lan.id]
    await cast.town.settled()
    again = await done(ming.post(f"orders/{ids[0]}/pay"))
    assert (again["order_state"], again["split_state"], again["plan"]) == ("split", "confirmed", last["plan"])
    assert (await order.look())["state"] == "split"
    assert (await group.look())["state"] == "closed"


async def test_members_see_the_split_and_it_adds_up(cast: Cast) -> None:
    group_id, orders = await cast.closed_group()

    seen = [await done(person.get(f"groups/{group_id}/split")) for person in (cast.ming, cast.lan, cast.warden)]

    assert seen[0] == seen[1]
    assert (seen[0]["state"], seen[0]["reason"], seen[0]["needs_human"]) == ("confirmed", "", False)
    assert [(row["branch"], row["state"], row["attempts"]) for row in seen[0]["branches"]] == [
        ("delivery", "confirmed", None),
        ("sharing", "confirmed", None),
        ("stock", "confirmed", None),
    ]
    assert [row["attempts"] for row in seen[2]["branches"]] == [2, 2, 0]
    assert seen[2]["sub_orders"] == seen[0]["sub_orders"]
    assert sorted(row["sub_order_id"] for row in seen[0]["sub_orders"]) == sorted(f"{order}.1" for order in orders)
    assert {(row["payable_fen"], row["state"]) for row in seen[0]["sub_orders"]} == {(1820, "planned")}
    await refused(cast.stranger.get(f"groups/{group_id}/split"), 404, "base/unknown")


async def test_an_order_is_made_brought_and_confirmed(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    order_id = orders[0]
    sub_order = f"{order_id}.1"
    order = Watch(cast.ming, f"orders/{order_id}")
    to_make = Watch(cast.merchant, "merchant/sub-orders?state=planned")
    states = [(await order.look())["state"]]
    assert len((await to_make.look())["items"]) == 3

    for step in ("accept", "cook", "ready"):
        answer = await done(cast.merchant.post(f"sub-orders/{sub_order}/{step}"))
        states.append(answer["order_state"])
        if step == "ready":
            await order.still()
        else:
            assert (await order.look())["state"] == answer["order_state"]
        if step == "accept":
            assert len((await to_make.look())["items"]) == 2
    for other in orders[1:]:
        for step in ("accept", "cook", "ready"):
            await done(cast.merchant.post(f"sub-orders/{other}.1/{step}"))
    await cast.town.settled()
    (on_the_counter,) = (await done(cast.merchant.get("merchant/parcels?state=waiting")))["items"]
    promise = await done(cast.ming.get(f"orders/{order_id}/delivery"))
    bundle = await cast.bundle()
    (parcel,) = bundle["parcels"]
    await done(cast.rider.post(f"rider/bundles/{bundle['bundle_id']}/pick-up"))
    await cast.town.settled()
    states.append((await order.look())["state"])
    await done(cast.rider.post(f"rider/parcels/{parcel['parcel_id']}/deliver"))
    await cast.town.settled()
    states.append((await order.look())["state"])
    brought = await done(cast.ming.get(f"orders/{order_id}/delivery"))
    confirmed = await done(cast.ming.post(f"orders/{order_id}/confirm"))

    assert states == ["split", "accepted", "cooking", "cooking", "picked_up", "delivered"]
    assert on_the_counter["parcel_id"] == parcel["parcel_id"]
    assert sorted(parcel["sub_order_ids"]) == sorted(f"{order}.1" for order in orders)
    assert [row["state"] for row in promise["drop_offs"]] == ["ready"]
    assert promise["drop_offs"][0]["arrives_at"] == "2026-11-23T04:20:00Z"  # 40 minutes after the group closed
    assert [row["state"] for row in brought["drop_offs"]] == ["delivered"]
    assert (await done(cast.rider.get("rider/board")))["bundle"] is None
    await refused(cast.stranger.get(f"orders/{order_id}/delivery"), 404, "base/unknown")
    assert confirmed == {"order_id": order_id, "state": "completed", "paid_fen": 1820, "refund_due_fen": 0}
    assert (await order.look())["state"] == "completed"
    await refused(cast.merchant.post(f"sub-orders/{sub_order}/accept"), 409, "orders/illegal-step")


async def test_an_order_of_two_shops_is_as_far_as_the_slower_one(cast: Cast) -> None:
    opened = await done(
        cast.ming.post("groups", {**LUNCH_FOR_THREE, "lines": cart(("bj-m01-d01", 1), ("bj-m02-d03", 1))}), 201
    )
    ids = [opened["order_id"]]
    for member in (cast.hua, cast.lan):
        joined = await done(member.post(f"groups/{opened['group_id']}/orders", {"lines": BEEF_RICE}), 201)
        ids.append(joined["order_id"])
    for member, order_id in zip((cast.ming, cast.hua, cast.lan), ids, strict=True):
        await done(member.post(f"orders/{order_id}/pay"))
    await cast.town.settled()

    await cast.deliver(f"{ids[0]}.1")
    waiting = await done(cast.ming.get(f"orders/{ids[0]}"))
    rejected = await done(cast.rival.post(f"sub-orders/{ids[0]}.2/reject"))
    await cast.town.settled()
    order = await done(cast.ming.get(f"orders/{ids[0]}"))

    assert waiting["state"] == "split"
    assert (rejected["state"], rejected["order_state"]) == ("rejected", "delivered")
    assert (order["refund_due_fen"], order["refunded_fen"]) == (2090, 2090)


async def test_the_ledger_of_an_order_tells_where_its_money_is(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    await done(cast.warden.post("reconciliation/runs", {}), 202)
    await cast.town.settled()

    ledger = await done(cast.ming.get(f"orders/{orders[0]}/ledger"))
    trial = await done(cast.warden.get("ledger/trial-balance"))
    payments = await done(cast.warden.get("payments?limit=2"))

    assert [(entry["account"], entry["amount_fen"]) for entry in ledger["entries"]][:2] == [
        ("provider_clearing", 1820),
        ("order_escrow", -1820),
    ]
    assert sum(entry["amount_fen"] for entry in ledger["entries"]) == 0
    assert (ledger["captured_fen"], ledger["escrow_fen"], ledger["refunded_fen"]) == (1820, 0, 0)
    assert [(payment["member_id"], payment["state"]) for payment in ledger["payments"]] == [(cast.ming.id, "captured")]
    left = {row["account"]: row["balance_fen"] for row in trial["accounts"]}
    assert (left["order_escrow"], left["provider_clearing"]) == (0, 5460)
    assert (trial["difference_fen"], trial["agrees"], trial["unbalanced_journals"]) == (0, True, [])
    assert trial["proof"]["proven_at"] == trial["proof"]["summed_at"]
    entries = cast.town.rows("SELECT COUNT(*) FROM entries", database="money")
    assert ([(trial["proof"]["entries"],)], trial["proof"]["off"]) == (entries, [])
    assert len(payments["items"]) == 2
    assert payments["next"] == payments["items"][-1]["id"]


async def test_a_group_that_fails_at_its_deadline_gives_everybody_his_money_back(town: Town) -> None:
    group_id, people, orders = await three_seats(town, LUNCH_FOR_THREE)
    for person, order_id in zip(people[:2], orders[:2], strict=True):
        await done(person.post(f"orders/{order_id}/pay"))
    order = Watch(people[0], f"orders/{orders[0]}")
    await order.look()
    assert balances(town) == {"order_escrow": -3640, "provider_clearing": 3640}

    town.pass_time(minutes=31)
    await town.settled()
    await town.settled()

    group = await done(people[0].get(f"groups/{group_id}"))
    seen = [await done(person.get(f"orders/{order_id}")) for person, order_id in zip(people, orders, strict=True)]
    assert group["state"] == "failed"
    assert [(one["state"], one["paid_fen"], one["refunded_fen"]) for one in seen] == [
        ("refunded", 1820, 1820),
        ("refunded", 1820, 1820),
        ("cancelled", 0, 0),
    ]
    assert (await order.look())["refunds"][0]["reason"] == "group_failed"
    assert balances(town) == {}
    assert town.rows("SELECT SUM(held), SUM(sold) FROM portions") == [(0, 0)]
    await refused(people[2].post(f"orders/{orders[2]}/pay"), 409, "orders/not-payable")


async def test_a_better_tier_gives_the_difference_back(town: Town) -> None:
    group_id, people, orders = await three_seats(town, LADDER, members=5)
    outcomes = []
    for person, order_id in zip(people, orders, strict=True):
        outcomes.append(await done(person.post(f"orders/{order_id}/pay")))
    assert [outcome["group_state"] for outcome in outcomes] == ["open", "open", "formed", "formed", "formed"]
    assert [outcome["order_state"] for outcome in outcomes[2:]] == ["grouped"] * 3

    town.pass_time(minutes=46)
    await town.settled()
    await town.settled()

    seen = [await done(person.get(f"orders/{order_id}")) for person, order_id in zip(people, orders, strict=True)]
    assert (await done(people[0].get(f"groups/{group_id}")))["state"] == "closed"
    # Paid 1956 each at three; 1664 at five.
    assert [(one["state"], one["payable_fen"], one["paid_fen"], one["refunded_fen"]) for one in seen] == [
        ("split", 1664, 1956, 292)
    ] * 5
    left = balances(town)
    assert left["provider_clearing"] == 8320
    assert {"order_escrow", "user_refund_payable"}.isdisjoint(left)
    split = await done(people[0].get(f"groups/{group_id}/split"))
    assert [row["payable_fen"] for row in split["sub_orders"]] == [1664] * 5


async def test_money_that_comes_late_finds_the_seat_again_or_comes_back(tmp_path: Path) -> None:
    async with Town(tmp_path, pays_at_once=False) as town:
        group_id, (ming, hua, _), orders = await three_seats(town, LUNCH_FOR_THREE)
        waiting = [
            await done(person.post(f"orders/{order_id}/pay"))
            for person, order_id in zip((ming, hua), orders, strict=False)
        ]
        town.pass_time(minutes=6)
        await town.settled()
        assert (await done(ming.get(f"groups/{group_id}")))["seats_taken"] == 0
        # All seats expired, which ended the group; a new one of the same building is open.
        lan = await town.sign_in()
        other = await done(lan.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201)

        await done(ming.post(f"/v1/campuses/beijing/sandbox/payments/{waiting[0]['payment_id']}/pay"))
        await town.settled()
        seated = await done(ming.get(f"orders/{orders[0]}"))
        town.pass_time(minutes=31)
        await town.settled()
        await done(hua.post(f"/v1/campuses/beijing/sandbox/payments/{waiting[1]['payment_id']}/pay"))
        for _ in range(3):
            town.pass_time(minutes=1)
            await town.settled()

        assert (waiting[0]["order_state"], waiting[0]["plan"]) == ("created", None)
        assert (seated["state"], seated["group_id"]) == ("paid", other["group_id"])
        for person, order_id in ((ming, orders[0]), (hua, orders[1])):
            order = await done(person.get(f"orders/{order_id}"))
            assert (order["state"], order["paid_fen"], order["refunded_fen"]) == ("refunded", 1820, 1820)
        assert balances(town) == {}


async def test_a_leader_who_leaves_hands_over_and_gets_his_money(town: Town) -> None:
    group_id, (ming, hua, lan), orders = await three_seats(town, LUNCH_FOR_THREE)
    await done(ming.post(f"orders/{orders[0]}/pay"))
    group = Watch(hua, f"groups/{group_id}")
    await group.look()

    left = await done(ming.send("DELETE", f"groups/{group_id}/seat"))
    seen = await group.look()
    cancelled = await done(lan.post(f"orders/{orders[2]}/cancel"))
    await town.settled()

    assert (left["order_state"], left["refund_due_fen"], left["group_state"]) == ("refunding", 1820, "open")
    assert (seen["seats_taken"], seen["paid_count"]) == (2, 0)
    assert (cancelled["order_state"], cancelled["refund_due_fen"]) == ("cancelled", 0)
    assert (await done(ming.get(f"orders/{orders[0]}")))["state"] == "refunded"
    assert town.rows("SELECT leader_id FROM campus_groups") == [(hua.id,)]
    assert balances(town) == {}
    await refused(ming.send("DELETE", f"groups/{group_id}/seat"), 409, "groups/no-seat")


async def test_a_coupon_is_taken_once_and_comes_back_with_the_seat(town: Town) -> None:
    ming = await town.sign_in()
    grant = GrantCoupon(
        coupon_id="c_welcome",  # type: ignore[arg-type]
        member_id=ming.id,  # type: ignore[arg-type]
        off_fen=300,
        threshold_fen=1000,
        expires_at=town.now.replace(year=2027),
    )
    await town.house.campuses["beijing"].core.submit(grant)

    opened = await done(ming.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE, "coupon_id": "c_welcome"}), 201)
    held = await done(ming.get("coupons"))
    again = ming.post("groups", {**LADDER, "lines": BEEF_RICE, "coupon_id": "c_welcome"})
    await refused(again, 409, "pricing/coupon-taken")
    await done(ming.post(f"orders/{opened['order_id']}/cancel"))
    free = await done(ming.get("coupons"))

    assert opened["payable_fen"] == 1520
    assert [(one["state"], one["is_usable"], one["order_id"]) for one in held["items"]] == [
        ("held", False, opened["order_id"])
    ]
    assert [(one["state"], one["is_usable"]) for one in free["items"]] == [("free", True)]


async def test_an_operator_decides_an_after_sale(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    await cast.deliver(f"{orders[0]}.1")

    asked = await done(cast.ming.post(f"orders/{orders[0]}/after-sale"))
    too_much = cast.warden.post(f"orders/{orders[0]}/after-sale/decision", {"amount_fen": 1821})
    await refused(too_much, 409, "orders/refund-too-large")
    decided = await done(cast.warden.post(f"orders/{orders[0]}/after-sale/decision", {"amount_fen": 500}))
    await cast.town.settled()
    order = await done(cast.ming.get(f"orders/{orders[0]}"))
    ledger = await done(cast.ming.get(f"orders/{orders[0]}/ledger"))

    assert asked["state"] == "after_sale"
    assert decided == {"order_id": orders[0], "state": "completed", "paid_fen": 1820, "refund_due_fen": 500}
    assert (order["refunded_fen"], order["refunds"][0]["reason"]) == (500, "after_sale")
    assert (ledger["escrow_fen"], ledger["refund_owed_fen"], ledger["refunded_fen"]) == (0, 0, 500)


async def test_an_operator_gives_all_of_it_back(cast: Cast) -> None:
    _, orders = await cast.closed_group()

    await done(cast.warden.post(f"orders/{orders[1]}/refunds", {"reason": "spilt", "amount_fen": 20}))
    given = await done(cast.warden.post(f"orders/{orders[1]}/refunds", {"reason": "cold"}))
    await cast.town.settled()
    order = await done(cast.hua.get(f"orders/{orders[1]}"))

    assert (given["state"], given["refund_due_fen"]) == ("refunding", 1820)
    assert (order["state"], order["refunded_fen"]) == ("refunded", 1820)
    assert [(one["amount_fen"], one["reason"]) for one in order["refunds"]] == [(20, "spilt"), (1800, "cold")]


async def test_two_campuses_do_not_see_each_other(cast: Cast) -> None:
    group_id, orders = await cast.closed_group()
    opened = await done(cast.ming.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)

    listed = await done(cast.away.get("groups"))
    here = await done(cast.ming.get("groups"))

    assert listed == {"items": [], "next": None}
    assert [group["group_id"] for group in here["items"]] == [opened["group_id"]]
    for path in (f"groups/{group_id}", f"orders/{orders[0]}", f"orders/{orders[0]}/ledger"):
        await refused(cast.away.get(path), 404, "base/unknown")
    await refused(cast.away.get(f"{cast.ming.campus}/groups/{group_id}"), 403, "base/forbidden")
    join = cast.away.post(f"{cast.ming.campus}/groups/{opened['group_id']}/orders", {"lines": BEEF_RICE})
    await refused(join, 403, "base/forbidden")
    other_dish = cast.away.post(
        "groups", {"campaign_id": "sh-lunch-3", "building_id": "sh-dorm-01", "lines": BEEF_RICE}
    )
    await refused(other_dish, 404, "base/unknown")


async def test_a_group_whose_seats_are_all_held_is_not_listed(cast: Cast) -> None:
    opened = await done(cast.ming.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201)
    await done(cast.hua.post(f"groups/{opened['group_id']}/orders", {"lines": BEEF_RICE}), 201)
    before = await done(cast.ming.get("groups"))
    await done(cast.lan.post(f"groups/{opened['group_id']}/orders", {"lines": BEEF_RICE}), 201)

    full = await done(cast.ming.get("groups"))
    await done(cast.lan.send("DELETE", f"groups/{opened['group_id']}/seat"))
    again = await done(cast.ming.get("groups"))

    assert [group["group_id"] for group in before["items"]] == [opened["group_id"]]
    assert full == {"items": [], "next": None}
    assert [group["group_id"] for group in again["items"]] == [opened["group_id"]]


async def test_who_wrote_reads_his_own_write_on_lists_too(cast: Cast) -> None:
    orders = Watch(cast.ming, "orders")
    groups = Watch(cast.ming, "groups?campaign_id=bj-ladder")
    left = Watch(cast.ming, "meals/2026-11-23.lunch/portions")
    dish = Watch(cast.merchant, "dishes/bj-m01-d01")
    me = Watch(cast.ming, "/v1/me")
    for page in (orders, groups, left, dish, me):
        await page.look()

    opened = await done(cast.ming.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)
    await done(cast.merchant.send("PUT", "dishes/bj-m01-d01/on-sale", {"is_on_sale": False}))
    await done(cast.ming.send("PUT", "/v1/me/name", {"name": "小明"}))

    assert [order["order_id"] for order in (await orders.look())["items"]] == [opened["order_id"]]
    assert [group["group_id"] for group in (await groups.look())["items"]] == [opened["group_id"]]
    portions = (await left.look())["items"]
    assert [(one["dish_id"], one["total"], one["left"]) for one in portions] == [("bj-m01-d01", 600, 599)]
    assert (await dish.look())["is_offered"] is False
    assert (await me.look())["name"] == "小明"
    sold_out = cast.hua.post(f"groups/{opened['group_id']}/orders", {"lines": BEEF_RICE})
    await refused(sold_out, 409, "catalog/dish-not-on-sale")


async def test_the_next_step_of_an_unknown_kind_is_unknown(cast: Cast) -> None:
    _, orders = await cast.closed_group()

    await refused(cast.merchant.post(f"sub-orders/{orders[0]}.1/eat"), 404, "base/unknown")
    await refused(cast.merchant.post(f"sub-orders/{orders[0]}.1/cook"), 409, "orders/illegal-step")


async def test_full_groups_leave_no_gap_in_the_list_of_those_with_seats(cast: Cast) -> None:
    for _ in range(3):
        group_id = (await done(cast.ming.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201))["group_id"]
        for member in (cast.hua, cast.lan):
            await done(member.post(f"groups/{group_id}/orders", {"lines": BEEF_RICE}), 201)
        cast.town.pass_time(seconds=1)  # ids of one moment have no order
    free = []
    for building_id in ("bj-dorm-01", "bj-dorm-02"):
        wanted = {**LUNCH_FOR_THREE, "building_id": building_id, "lines": BEEF_RICE}
        free.append((await done(cast.stranger.post("groups", wanted), 201))["group_id"])
        cast.town.pass_time(seconds=1)

    first = await done(cast.ming.get("groups?limit=1"))
    second = await done(cast.ming.get(f"groups?limit=1&after={first['next']}"))
    both = await done(cast.ming.get("groups?limit=2"))

    assert [group["group_id"] for group in first["items"]] == free[:1]
    assert [group["group_id"] for group in second["items"]] == free[1:]
    assert [group["group_id"] for group in both["items"]] == free
    assert (second["next"], both["next"]) == (None, None)
