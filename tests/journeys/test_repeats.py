"""A client that sends a write again has done it once (C4, J2; issue 2, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.journeys.conftest import BEEF_RICE, LADDER, LUNCH_FOR_THREE, Cast, Person, Town, cart, done, refused
from tuanzi.machinery.http.endpoint import WRITES

# Writes that need no Idempotency-Key, and why their repeat is harmless.
HARMLESS_BY_NATURE = {
    "POST /v1/codes": "one code a minute and phone: the repeat is refused and changes nothing",
    "POST /v1/sessions": "a code is used up: the repeat is refused, and a new session needs a new code",
    "POST /v1/wechat/sessions": "WeChat's code is used up: the repeat is refused, and a new session needs a new code",
    "PUT /v1/me/wechat": "says what the account is; the code that it was bound with is known again",
    "DELETE /v1/me/wechat": "who has none has none",
    "DELETE /v1/sessions/current": "what is ended stays ended; the repeat is answered 401",
    "DELETE /v1/me": "who is forgotten stays so; the repeat is answered 401",
    "PUT /v1/me/name": "says what the name is, not how it changes",
    "POST /v1/campuses/{campus}/pricing/versions/{version}/check": "changes nothing",
    "POST /v1/campuses/{campus}/quotes": "changes nothing",
    "POST /v1/people/owner": "changes nothing",
    "POST /v1/campuses/{campus}/neighbours/{home}/groups/{group_id}/quotes": "changes nothing",
    "POST /v1/campuses/{campus}/sandbox/payments/{payment_id}/pay": "a payment is paid once, by its number",
    "POST /v1/live/token": "changes nothing; each token opens one connection for five minutes",
}
# Its answer is not kept: the order is paid once by the number of its payment, and whoever asks again hears where it
# stands. That test is below.
ANSWERED_ANEW = "POST /v1/campuses/{campus}/orders/{order_id}/pay"
# Where only an empty object is taken: requests are told apart by their bytes.
SAME_IN_OTHER_BYTES = b"{ }"


@dataclass(frozen=True, slots=True)
class Write:
    """A write that succeeds, and a body that says something else."""

    route: str
    person: Person
    path: str
    body: Any
    other: Any

    async def send(self, body: Any, *, key: str) -> httpx.Response:
        """Send it under a key."""
        method = self.route.partition(" ")[0]
        if isinstance(body, bytes):
            return await self.person.send(method, self.path, content=body, key=key)
        return await self.person.send(method, self.path, body, key=key)


def served_writes(town: Town) -> dict[str, bool]:
    """Every write of the house: whether it needs a key."""
    return {
        f"{route.method} {route.path}": route.keyed
        for room in town.house.rooms
        for route in room.routes
        if route.method in WRITES
    }


def catalog_writes(cast: Cast, entries: dict[str, Any]) -> list[Write]:
    """Everything an operator or merchant changes of the catalog and stock."""
    campus, building, period, merchant, dish, campaign = (
        entries[name] for name in ("campus", "building", "period", "merchant", "dish", "campaign")
    )
    at = "PUT /v1/campuses/{campus}"

    def renamed(entry: dict[str, Any], name: str) -> dict[str, Any]:
        return {**entry, "name_en": name}

    return [
        Write(at, cast.warden, cast.warden.campus, renamed(campus, "One"), renamed(campus, "Two")),
        Write(
            f"{at}/buildings/{{building_id}}",
            cast.warden,
            f"buildings/{building['id']}",
            renamed(building, "One"),
            renamed(building, "Two"),
        ),
        Write(
            f"{at}/meal-periods/{{period_id}}",
            cast.warden,
            f"meal-periods/{period['id']}",
            renamed(period, "One"),
            renamed(period, "Two"),
        ),
        Write(
            f"{at}/merchants/{{merchant_id}}",
            cast.warden,
            f"merchants/{merchant['id']}",
            renamed(merchant, "One"),
            renamed(merchant, "Two"),
        ),
        Write(f"{at}/dishes/{{dish_id}}", cast.merchant, f"dishes/{dish['id']}", {**dish, "price_fen": 1100}, dish),
        Write(
            f"{at}/dishes/{{dish_id}}/on-sale",
            cast.merchant,
            "dishes/bj-m01-d02/on-sale",
            {"is_on_sale": False},
            {"is_on_sale": True},
        ),
        Write(
            f"{at}/campaigns/{{campaign_id}}",
            cast.warden,
            f"campaigns/{campaign['id']}",
            renamed(campaign, "One"),
            renamed(campaign, "Two"),
        ),
        Write(
            "POST /v1/campuses/{campus}/imports",
            cast.warden,
            "imports",
            {"kind": "catalog", "content": '{"dishes": []}'},
            {"kind": "catalog", "content": '{"dishes": [] }'},
        ),
        Write(
            f"{at}/meals/{{meal_id}}/portions/{{dish_id}}",
            cast.merchant,
            "meals/2026-11-23.lunch/portions/bj-m01-d03",
            {"total": 50},
            {"total": 51},
        ),
    ]


async def rule_writes(cast: Cast) -> list[Write]:
    """Everything an operator changes of prices and people."""
    at = "POST /v1/campuses/{campus}/pricing"
    rule = {"id": "off-100", "kind": "full_reduction", "amount": "100", "title_zh": "减一元", "title_en": "One off"}
    line = {"dish_id": "bj-m01-d01", "merchant_id": "bj-m01", "unit_price_fen": 1800}
    sample = {"name": "rice", "lines": [line], "priced_at": "2026-11-23T03:40:00Z", "expected_fen": 1700}
    drafted = await done(cast.warden.post("pricing/versions", {"rules": [rule], "samples": [sample]}), 201)
    checked = await done(cast.warden.post(f"pricing/versions/{drafted['version']}/check", {}))
    assert checked["matches"], checked
    return [
        Write(f"{at}/versions", cast.warden, "pricing/versions", {"rules": []}, {"rules": [], "note": "other"}),
        Write(
            f"{at}/versions/{{version}}/switch",
            cast.warden,
            f"pricing/versions/{drafted['version']}/switch",
            None,
            {},
        ),
        Write(f"{at}/roll-back", cast.warden, "pricing/roll-back", None, {}),
        Write(
            "POST /v1/campuses/{campus}/coupons",
            cast.warden,
            "coupons",
            {"grant_id": "one", "member_ids": [cast.ming.id], "off_fen": 100, "expires_at": "2026-12-31T00:00:00Z"},
            {"grant_id": "two", "member_ids": [cast.ming.id], "off_fen": 100, "expires_at": "2026-12-31T00:00:00Z"},
        ),
        Write(
            "PUT /v1/people/{person_id}/roles",
            cast.operator,
            f"/v1/people/{cast.stranger.id}/roles",
            {"roles": ["student", "ambassador"]},
            {"roles": ["student"]},
        ),
    ]


async def order_writes(cast: Cast) -> list[Write]:
    """Everything that is done to groups and orders; each can be carried out once, in this order."""
    _, orders = await cast.closed_group()
    await cast.deliver(f"{orders[1]}.1")
    await cast.deliver(f"{orders[2]}.1")
    await done(cast.lan.post(f"orders/{orders[2]}/after-sale"))
    to_leave = await done(cast.hua.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)
    to_cancel = await done(cast.lan.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)
    to_join = await done(cast.ming.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)
    campaign = await done(cast.warden.get("campaigns/bj-lunch-3"))
    await done(cast.warden.send("PUT", "campaigns/bj-lunch-3", {**campaign, "guest_campuses": ["shanghai"]}))
    with_guests = await done(cast.hua.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201)
    visiting = {"building_id": "sh-dorm-01", "lines": cart(("sh-m01-d01", 1))}
    order, campus = "POST /v1/campuses/{campus}/orders/{order_id}", "/v1/campuses/{campus}"
    opening = {**LUNCH_FOR_THREE, "lines": BEEF_RICE}
    joining = {"lines": BEEF_RICE}
    twice = [{**BEEF_RICE[0], "quantity": 2}]
    return [
        Write(f"POST {campus}/groups", cast.stranger, "groups", opening, {**opening, "lines": twice}),
        Write(
            f"POST {campus}/groups/{{group_id}}/orders",
            cast.stranger,
            f"groups/{to_join['group_id']}/orders",
            joining,
            {"lines": twice},
        ),
        Write(
            f"POST {campus}/neighbours/{{home}}/groups/{{group_id}}/orders",
            cast.away,
            f"neighbours/beijing/groups/{with_guests['group_id']}/orders",
            visiting,
            {**visiting, "building_id": "sh-dorm-02"},
        ),
        Write(f"DELETE {campus}/groups/{{group_id}}/seat", cast.hua, f"groups/{to_leave['group_id']}/seat", None, {}),
        Write(f"{order}/cancel", cast.lan, f"orders/{to_cancel['order_id']}/cancel", {}, SAME_IN_OTHER_BYTES),
        Write(
            f"POST {campus}/sub-orders/{{sub_order_id}}/{{step}}",
            cast.merchant,
            f"sub-orders/{orders[0]}.1/accept",
            {},
            SAME_IN_OTHER_BYTES,
        ),
        Write(f"{order}/confirm", cast.hua, f"orders/{orders[1]}/confirm", {}, SAME_IN_OTHER_BYTES),
        Write(f"{order}/after-sale", cast.hua, f"orders/{orders[1]}/after-sale", {}, SAME_IN_OTHER_BYTES),
        Write(f"DELETE {campus}/orders/{{order_id}}/after-sale", cast.hua, f"orders/{orders[1]}/after-sale", None, {}),
        Write(
            f"{order}/after-sale/decision",
            cast.warden,
            f"orders/{orders[2]}/after-sale/decision",
            {"amount_fen": 100},
            {"amount_fen": 101},
        ),
        Write(
            f"{order}/refunds",
            cast.warden,
            f"orders/{orders[2]}/refunds",
            {"reason": "cold", "amount_fen": 10},
            {"reason": "cold", "amount_fen": 11},
        ),
    ]


def reconciliation_writes(cast: Cast) -> list[Write]:
    """Comparing now, and settling what was found."""
    at = "POST /v1/campuses/{campus}/reconciliation"
    row = (
        "INSERT INTO differences VALUES ('d_one', 'D3', 'p_one', '', '[]', '[]', 1, 'none', '{}', 'open', 'a_run', 0,"
        " 0, 1, 1, NULL, NULL, NULL);"
    )
    misfit = row.replace("d_one", "d_two").replace("p_one", "p_two")
    misfit += (
        "INSERT INTO payments VALUES ('p_two', 'o_two', 'm_two', 100, 'misfit', 'sandbox', 'p_two', 0, 't_two', 0, 99,"
        " 0);"
    )
    aside = row.replace("d_one", "d_three").replace("p_one", "p_three")
    aside += "INSERT INTO journals VALUES ('difference:d_three', 'difference', 'd_three', 2, 1, 0);"
    for line, account, fen in ((0, "provider_clearing", 1), (1, "suspense", -1)):
        aside += f"INSERT INTO entries VALUES ('difference:d_three', {line}, '{account}', '', {fen});"
    cast.town.house.campuses["beijing"].money.database.execute_script(row + misfit + aside)
    return [
        Write(f"{at}/runs", cast.warden, "reconciliation/runs", {}, {"on": "2026-11-21"}),
        Write(
            f"{at}/differences/{{difference_id}}/settlement",
            cast.warden,
            "reconciliation/differences/d_one/settlement",
            {"reason": "found it"},
            {"reason": "found it twice"},
        ),
        Write(
            f"{at}/differences/{{difference_id}}/return",
            cast.warden,
            "reconciliation/differences/d_two/return",
            {},
            SAME_IN_OTHER_BYTES,
        ),
        Write(
            f"{at}/differences/{{difference_id}}/aside",
            cast.warden,
            "reconciliation/differences/d_three/aside",
            {"how": "write_off", "reason": "a fen of nobody's"},
            {"how": "booked_back", "reason": "a fen of nobody's"},
        ),
    ]


async def rider_writes(cast: Cast) -> list[Write]:
    """Everything a rider does, on what all three orders of a group have ready."""
    _, orders = await cast.closed_group()
    for order_id in orders:
        for step in ("accept", "cook", "ready"):
            await done(cast.merchant.post(f"sub-orders/{order_id}.1/{step}"))
    bundle = await cast.bundle()
    shift = {"latitude_e6": 39_990_000, "longitude_e6": 116_300_000, "until": "2026-11-23T15:00:00+08:00"}
    at = "POST /v1/campuses/{campus}/rider"
    pick_up, deliver = (
        f"rider/bundles/{bundle['bundle_id']}/pick-up",
        f"rider/parcels/{bundle['parcels'][0]['parcel_id']}/deliver",
    )
    return [
        Write(f"{at}/shift", cast.rider, "rider/shift", shift, {**shift, "portions_max": 9}),
        Write(f"{at}/bundles/{{bundle_id}}/pick-up", cast.rider, pick_up, {}, SAME_IN_OTHER_BYTES),
        Write(f"{at}/parcels/{{parcel_id}}/deliver", cast.rider, deliver, {}, SAME_IN_OTHER_BYTES),
        Write(
            "POST /v1/campuses/{campus}/parcels/{parcel_id}/send-another",
            cast.warden,
            f"parcels/{bundle['parcels'][0]['parcel_id']}/send-another",
            {},
            SAME_IN_OTHER_BYTES,
        ),
        Write(f"{at}/shift/end", cast.rider, "rider/shift/end", {}, SAME_IN_OTHER_BYTES),
        Write(
            "PUT /v1/campuses/{campus}/riders-expected",
            cast.warden,
            "riders-expected",
            {"riders": 8},
            {"riders": 9},
        ),
    ]


async def sharing_writes(cast: Cast) -> list[Write]:
    """Everything an operator says of who gets what."""
    case = """
    INSERT INTO cases (id, kind, reference, order_id, amount_fen, reason, state, opened_at_ms, times) VALUES
        ('refund.o_lost.r1', 'refund', 'o_lost.r1', 'o_lost', 100, 'not_captured', 'open', 0, 1);
    """
    cast.town.house.campuses["beijing"].money.database.execute_script(case)
    rates = {"platform_rate": 800, "leader_rate": 200, "ambassador_rate": 100, "provider_rate": 60, "rider_rate": 9000}
    settled = {"how": "write_off", "note": "he was here"}
    at = "/v1/campuses/{campus}"
    order_id, paid = await cast.brought_by_hand()
    return [
        Write(
            f"POST {at}/orders/{{order_id}}/carrier-payments",
            cast.warden,
            f"orders/{order_id}/carrier-payments",
            paid,
            {**paid, "note": "in cash, receipt 13"},
        ),
        Write(
            f"POST {at}/sharing/terms",
            cast.warden,
            "sharing/terms",
            {"after_version": 0, **rates},
            {"after_version": 1, **rates},
        ),
        Write(
            f"PUT {at}/acceptance-terms",
            cast.warden,
            "acceptance-terms",
            {"late_minutes": 6, "given_up_minutes": 21, "ready_minutes": 31},
            {"late_minutes": 7, "given_up_minutes": 22, "ready_minutes": 32},
        ),
        Write(
            f"PUT {at}/sharing/payees/{{kind}}/{{owner_id}}",
            cast.warden,
            "sharing/payees/merchant/bj-m01",
            {"account": "1900000109", "full_name": "一号窗口"},
            {"account": "1900000110", "full_name": "一号窗口"},
        ),
        Write(
            f"POST {at}/ledger/cases/{{case_id}}/settlement",
            cast.warden,
            "ledger/cases/refund.o_lost.r1/settlement",
            settled,
            {**settled, "note": "and again"},
        ),
    ]


async def all_writes(cast: Cast) -> list[Write]:
    """Every write that needs a key and keeps its answer."""
    page = await done(cast.warden.get(cast.warden.campus))
    entries = {
        "campus": page["campus"],
        "building": page["buildings"][0],
        "period": page["periods"][0],
        "merchant": await done(cast.warden.get("merchants/bj-m01")),
        "dish": (await done(cast.warden.get("dishes/bj-m01-d04")))["dish"],
        "campaign": await done(cast.warden.get("campaigns/bj-five")),
    }
    of_riders = await rider_writes(cast)  # time passes until a bundle is made, and groups must not end meanwhile
    of_orders = [*await order_writes(cast), *of_riders]
    of_money = [*await sharing_writes(cast), *reconciliation_writes(cast)]
    return [*catalog_writes(cast, entries), *await rule_writes(cast), *of_orders, *of_money]


async def test_every_write_needs_a_key_or_says_why_not(town: Town) -> None:
    writes = served_writes(town)

    assert {route for route, keyed in writes.items() if not keyed} == set(HARMLESS_BY_NATURE)


async def test_the_same_key_gives_the_first_answer_again_and_another_request_under_it_is_refused(cast: Cast) -> None:
    writes = await all_writes(cast)
    keyed = {route for route, needs_key in served_writes(cast.town).items() if needs_key}
    assert {write.route for write in writes} == keyed - {ANSWERED_ANEW}

    for i, write in enumerate(writes):
        key = f"repeat-{i:04}"
        first = await write.send(write.body, key=key)
        before = await cast.town.digest()
        again = await write.send(write.body, key=key)
        other = await write.send(write.other, key=key)
        assert first.is_success, f"{write.route}: {first.text}"
        assert "idempotent-replayed" not in first.headers
        assert (again.status_code, again.content) == (first.status_code, first.content), write.route
        assert again.headers["idempotent-replayed"] == "true", write.route
        assert (other.status_code, other.json()["code"]) == (422, "machinery/key-reused"), write.route
        assert await cast.town.digest() == before, write.route


async def test_a_write_without_a_key_is_refused(cast: Cast) -> None:
    writes = await all_writes(cast)
    writes.append(Write(ANSWERED_ANEW, cast.ming, "orders/o_mine/pay", {}, {}))
    before = await cast.town.digest()

    for write in writes:
        method, url = write.route.partition(" ")[0], write.path
        url = url if url.startswith("/") else f"{write.person.campus}/{url}"
        for keys in (
            {},
            {"idempotency-key": "short"},
            {"idempotency-key": "x" * 65},
            {"idempotency-key": "with space"},
        ):
            headers = {"authorization": f"Bearer {write.person.token}", **keys}
            answer = await cast.town.client.request(method, url, json=write.body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (400, "http/key-missing"), write.route

    assert await cast.town.digest() == before


async def test_two_people_may_use_the_same_key(town: Town) -> None:
    ming, hua = await town.sign_in(), await town.sign_in()
    opening = {**LADDER, "lines": BEEF_RICE}

    of_ming = await done(ming.post("groups", opening, key="lunch-group"), 201)
    of_hua = await done(hua.post("groups", opening, key="lunch-group"), 201)

    assert of_ming["order_id"] != of_hua["order_id"]


async def test_a_refused_write_can_be_tried_again_under_its_key(cast: Cast) -> None:
    opening = {**LUNCH_FOR_THREE, "lines": BEEF_RICE}
    await done(cast.merchant.send("PUT", "dishes/bj-m01-d01/on-sale", {"is_on_sale": False}))
    await refused(cast.ming.post("groups", opening, key="try-again"), 409, "catalog/dish-not-on-sale")
    await done(cast.merchant.send("PUT", "dishes/bj-m01-d01/on-sale", {"is_on_sale": True}))

    await done(cast.ming.post("groups", opening, key="try-again"), 201)

    assert cast.town.rows("SELECT COUNT(*) FROM orders") == [(1,)]


MOVING = ("order_state", "split_state")


async def test_who_lost_the_answer_to_a_payment_asks_again_and_hears_the_same(cast: Cast) -> None:
    opened = await done(cast.ming.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201)
    orders = [opened["order_id"]]
    for member in (cast.hua, cast.lan):
        joined = await done(member.post(f"groups/{opened['group_id']}/orders", {"lines": BEEF_RICE}), 201)
        orders.append(joined["order_id"])
    firsts = []
    for member, order_id in zip((cast.ming, cast.hua, cast.lan), orders, strict=True):
        first = await member.post(f"orders/{order_id}/pay", key="pay-my-lunch")
        repeated = await member.post(f"orders/{order_id}/pay", key="pay-my-lunch")
        # The split goes on meanwhile: only how far it is may differ.
        told, told_again = ({**answer.json(), **dict.fromkeys(MOVING)} for answer in (first, repeated))
        assert told_again == told
        firsts.append(told)
    before = await cast.town.digest()

    under_another_key = (await cast.lan.post(f"orders/{orders[2]}/pay")).json()

    assert len(firsts[2]["plan"]) == 3
    assert [under_another_key[name] for name in MOVING] == ["split", "confirmed"]
    assert {**under_another_key, **dict.fromkeys(MOVING)} == firsts[2]
    assert cast.town.rows("SELECT COUNT(*), SUM(captured_fen) FROM payments", database="money") == [(3, 5460)]
    assert await cast.town.digest() == before


async def test_repeats_are_known_after_a_restart(tmp_path: Path) -> None:
    opening = {**LUNCH_FOR_THREE, "lines": BEEF_RICE}
    async with Town(tmp_path) as town:
        ming = await town.sign_in()
        first = await ming.post("groups", opening, key="across-restart")
        order_id = first.json()["order_id"]
        paid = await ming.post(f"orders/{order_id}/pay", key="pay-across")
        named = await done(ming.send("PUT", "/v1/me/name", {"name": "小明"}))
        before = await town.digest()

    async with Town(tmp_path, seed=8) as town:
        same = Person(town.client, ming.token, ming.id, "beijing")
        kept = await town.digest()
        again = await same.post("groups", opening, key="across-restart")
        other = await same.post("groups", {**opening, "campaign_id": "bj-ladder"}, key="across-restart")
        paid_again = await same.post(f"orders/{order_id}/pay", key="pay-across")

        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        assert (other.status_code, other.json()["code"]) == (422, "machinery/key-reused")
        assert paid_again.json() == paid.json()
        assert (await done(same.get("/v1/me")))["person_id"] == named["person_id"]
        assert (await done(same.get(f"orders/{order_id}")))["paid_fen"] == 1820
        assert await town.digest() == kept == before
