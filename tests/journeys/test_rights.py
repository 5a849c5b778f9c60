"""Every route, for everybody: allowed or refused exactly as its Route says (J3; issue 2, section 7)."""

from __future__ import annotations

import pytest

from tests.journeys.conftest import BEEF_RICE, LADDER, LUNCH_FOR_THREE, Cast, Person, Town, done, refused

# Who may: n nobody in particular (not signed in), s student, a ambassador, m merchant, r rider, o operator of the
# campus, p operator of the platform, x a student of another campus. A new route needs a row here.
EVERYBODY, SIGNED_IN, HERE = "nsamropx", "samropx", "samrop"
NOT_ELSEWHERE = "nsamrop"  # open to look at, but who belongs to another campus stays there
MEMBERS, OPERATORS, SHOPS = "sa", "op", "mop"
RIGHTS = {
    "GET /v1/campuses": EVERYBODY,
    "GET /v1/clock": EVERYBODY,
    "POST /v1/codes": EVERYBODY,
    "POST /v1/sessions": EVERYBODY,
    "POST /v1/wechat/sessions": EVERYBODY,
    "POST /v1/live/token": SIGNED_IN,
    "DELETE /v1/sessions/current": SIGNED_IN,
    "GET /v1/me": SIGNED_IN,
    "DELETE /v1/me": SIGNED_IN,
    "PUT /v1/me/name": SIGNED_IN,
    "PUT /v1/me/wechat": SIGNED_IN,
    "DELETE /v1/me/wechat": SIGNED_IN,
    "GET /v1/me/export": SIGNED_IN,
    "GET /v1/me/records": SIGNED_IN,
    "PUT /v1/people/{person_id}/roles": OPERATORS,
    "GET /v1/people": OPERATORS,
    "POST /v1/people/owner": OPERATORS,
    "GET /v1/audit": "p",
    "GET /v1/campuses/{campus}": NOT_ELSEWHERE,
    "PUT /v1/campuses/{campus}": OPERATORS,
    "PUT /v1/campuses/{campus}/buildings/{building_id}": OPERATORS,
    "PUT /v1/campuses/{campus}/meal-periods/{period_id}": OPERATORS,
    "GET /v1/campuses/{campus}/merchants": NOT_ELSEWHERE,
    "GET /v1/campuses/{campus}/merchants/{merchant_id}": NOT_ELSEWHERE,
    "PUT /v1/campuses/{campus}/merchants/{merchant_id}": OPERATORS,
    "GET /v1/campuses/{campus}/dishes": NOT_ELSEWHERE,
    "GET /v1/campuses/{campus}/dishes/{dish_id}": NOT_ELSEWHERE,
    "PUT /v1/campuses/{campus}/dishes/{dish_id}": SHOPS,
    "PUT /v1/campuses/{campus}/dishes/{dish_id}/on-sale": SHOPS,
    "GET /v1/campuses/{campus}/campaigns": NOT_ELSEWHERE,
    "GET /v1/campuses/{campus}/campaigns/{campaign_id}": NOT_ELSEWHERE,
    "PUT /v1/campuses/{campus}/campaigns/{campaign_id}": OPERATORS,
    "POST /v1/campuses/{campus}/imports": OPERATORS,
    "GET /v1/campuses/{campus}/pricing/versions": OPERATORS,
    "POST /v1/campuses/{campus}/pricing/versions": OPERATORS,
    "GET /v1/campuses/{campus}/pricing/versions/{version}": OPERATORS,
    "POST /v1/campuses/{campus}/pricing/versions/{version}/check": OPERATORS,
    "POST /v1/campuses/{campus}/pricing/versions/{version}/switch": OPERATORS,
    "POST /v1/campuses/{campus}/pricing/roll-back": OPERATORS,
    "GET /v1/campuses/{campus}/coupons": HERE,
    "POST /v1/campuses/{campus}/coupons": OPERATORS,
    "GET /v1/campuses/{campus}/coupon-grants": OPERATORS,
    "GET /v1/campuses/{campus}/coupon-grants/{grant_id}/coupons": OPERATORS,
    "GET /v1/campuses/{campus}/live/messages": HERE,
    "GET /v1/campuses/{campus}/live/groups/{group_id}": HERE,
    "GET /v1/campuses/{campus}/meals/{meal_id}/portions": NOT_ELSEWHERE,
    "PUT /v1/campuses/{campus}/meals/{meal_id}/portions/{dish_id}": SHOPS,
    "GET /v1/campuses/{campus}/orders": HERE,
    "GET /v1/campuses/{campus}/overview": OPERATORS,
    "GET /v1/campuses/{campus}/operator/campaigns": OPERATORS,
    "GET /v1/campuses/{campus}/operator/orders": OPERATORS,
    "GET /v1/campuses/{campus}/operator/unaccepted": OPERATORS,
    "GET /v1/campuses/{campus}/operator/unready": OPERATORS,
    "GET /v1/campuses/{campus}/acceptance-terms": SHOPS,
    "PUT /v1/campuses/{campus}/acceptance-terms": OPERATORS,
    "GET /v1/campuses/{campus}/operator/groups": OPERATORS,
    "GET /v1/campuses/{campus}/operator/groups/{group_id}": OPERATORS,
    "GET /v1/campuses/{campus}/operator/groups/{group_id}/timeline": OPERATORS,
    "GET /v1/campuses/{campus}/operator/groups/{group_id}/split": OPERATORS,
    "GET /v1/campuses/{campus}/orders/{order_id}": HERE,
    "POST /v1/campuses/{campus}/orders/{order_id}/confirm": MEMBERS,
    "POST /v1/campuses/{campus}/orders/{order_id}/after-sale": MEMBERS,
    "GET /v1/campuses/{campus}/orders/{order_id}/after-sale": HERE,
    "DELETE /v1/campuses/{campus}/orders/{order_id}/after-sale": MEMBERS,
    "POST /v1/campuses/{campus}/orders/{order_id}/after-sale/decision": OPERATORS,
    "POST /v1/campuses/{campus}/orders/{order_id}/refunds": OPERATORS,
    "POST /v1/campuses/{campus}/orders/{order_id}/pay": MEMBERS,
    "POST /v1/campuses/{campus}/orders/{order_id}/cancel": MEMBERS,
    "POST /v1/campuses/{campus}/sub-orders/{sub_order_id}/{step}": SHOPS,
    "GET /v1/campuses/{campus}/merchant/sub-orders": "m",
    "POST /v1/campuses/{campus}/rider/shift": "r",
    "POST /v1/campuses/{campus}/rider/shift/end": "r",
    "GET /v1/campuses/{campus}/rider/board": "r",
    "POST /v1/campuses/{campus}/rider/bundles/{bundle_id}/pick-up": "r",
    "POST /v1/campuses/{campus}/rider/parcels/{parcel_id}/deliver": "r",
    "GET /v1/campuses/{campus}/merchant/parcels": "m",
    "GET /v1/campuses/{campus}/parcels": OPERATORS,
    "GET /v1/campuses/{campus}/operator/after-sales": OPERATORS,
    "GET /v1/campuses/{campus}/operator/unfetched": OPERATORS,
    "POST /v1/campuses/{campus}/parcels/{parcel_id}/send-another": OPERATORS,
    "GET /v1/campuses/{campus}/riders": OPERATORS,
    "GET /v1/campuses/{campus}/riders-expected": OPERATORS,
    "PUT /v1/campuses/{campus}/riders-expected": OPERATORS,
    "GET /v1/campuses/{campus}/orders/{order_id}/delivery": HERE,
    "GET /v1/campuses/{campus}/groups": NOT_ELSEWHERE,
    "POST /v1/campuses/{campus}/groups": MEMBERS,
    "GET /v1/campuses/{campus}/groups/{group_id}": NOT_ELSEWHERE,
    "POST /v1/campuses/{campus}/groups/{group_id}/orders": MEMBERS,
    "GET /v1/campuses/{campus}/groups/{group_id}/split": HERE,
    "DELETE /v1/campuses/{campus}/groups/{group_id}/seat": MEMBERS,
    "GET /v1/campuses/{campus}/neighbours/{home}/groups/{group_id}": MEMBERS,
    "POST /v1/campuses/{campus}/neighbours/{home}/groups/{group_id}/orders": MEMBERS,
    "POST /v1/campuses/{campus}/neighbours/{home}/groups/{group_id}/quotes": MEMBERS,
    "POST /v1/campuses/{campus}/quotes": MEMBERS,
    "GET /v1/campuses/{campus}/ledger/trial-balance": OPERATORS,
    "GET /v1/campuses/{campus}/orders/{order_id}/ledger": HERE,
    "GET /v1/campuses/{campus}/payments": OPERATORS,
    "GET /v1/campuses/{campus}/merchants/{merchant_id}/statement": SHOPS,
    "GET /v1/campuses/{campus}/merchants/{merchant_id}/statement.csv": SHOPS,
    "GET /v1/campuses/{campus}/ledger/accounts": OPERATORS,
    "GET /v1/campuses/{campus}/ledger/cases": OPERATORS,
    "GET /v1/campuses/{campus}/ledger/cases/{case_id}": OPERATORS,
    "POST /v1/campuses/{campus}/ledger/cases/{case_id}/settlement": OPERATORS,
    "GET /v1/campuses/{campus}/sharing/terms": OPERATORS,
    "POST /v1/campuses/{campus}/sharing/terms": OPERATORS,
    "GET /v1/campuses/{campus}/sharing/payees": OPERATORS,
    "PUT /v1/campuses/{campus}/sharing/payees/{kind}/{owner_id}": OPERATORS,
    "GET /v1/campuses/{campus}/reconciliation/runs": OPERATORS,
    "POST /v1/campuses/{campus}/reconciliation/runs": OPERATORS,
    "GET /v1/campuses/{campus}/reconciliation/differences": OPERATORS,
    "GET /v1/campuses/{campus}/reconciliation/differences/{difference_id}": OPERATORS,
    "POST /v1/campuses/{campus}/reconciliation/differences/{difference_id}/settlement": OPERATORS,
    "GET /v1/campuses/{campus}/reconciliation/suspense": OPERATORS,
    "POST /v1/campuses/{campus}/reconciliation/differences/{difference_id}/return": OPERATORS,
    "GET /v1/campuses/{campus}/reconciliation/asides": OPERATORS,
    "POST /v1/campuses/{campus}/reconciliation/differences/{difference_id}/aside": OPERATORS,
    "GET /v1/campuses/{campus}/ledger/unpaid-carriers": OPERATORS,
    "GET /v1/campuses/{campus}/ledger/carrier-payments": OPERATORS,
    "POST /v1/campuses/{campus}/orders/{order_id}/carrier-payments": OPERATORS,
    "GET /v1/campuses/{campus}/reconciliation/reports": OPERATORS,
    "GET /v1/campuses/{campus}/reconciliation/reports/{number}": OPERATORS,
    "GET /v1/campuses/{campus}/reconciliation/reports/{number}/differences.csv": OPERATORS,
    "POST /v1/campuses/{campus}/sandbox/payments/{payment_id}/pay": HERE,
}
# These end the caller's session, so that they are tried last.
ENDING = ("DELETE /v1/sessions/current", "DELETE /v1/me")


async def test_every_route_has_a_row_here(town: Town) -> None:
    paths = (await town.client.get("/openapi.json")).json()["paths"]
    served = [f"{method.upper()} {path}" for path, operations in paths.items() for method in operations]

    assert sorted(served) == sorted(RIGHTS)


async def test_j5_every_number_asked_for_in_an_address_has_bounds(town: Town) -> None:
    paths = (await town.client.get("/openapi.json")).json()["paths"]
    asked = {
        f"{method.upper()} {path} {parameter['name']}": schema
        for path, operations in paths.items()
        for method, operation in operations.items()
        for parameter in operation.get("parameters", ())
        for schema in parameter.get("schema", {}).get("anyOf", [parameter.get("schema", {})])
        if schema.get("type") == "integer"
    }

    assert len(asked) > 20
    assert [name for name, schema in asked.items() if not {"minimum", "maximum"} <= schema.keys()] == []


async def test_every_route_is_open_to_exactly_those_whom_its_row_names(cast: Cast) -> None:
    everybody = {
        "s": cast.stranger,
        "a": cast.ambassador,
        "m": cast.merchant,
        "r": cast.rider,
        "o": cast.warden,
        "p": cast.operator,
        "x": cast.away,
    }
    group_id, orders = await cast.closed_group()
    places = {
        "{campus}": "beijing",
        "{home}": "shanghai",
        "{person_id}": cast.hua.id,
        "{order_id}": orders[0],
        "{group_id}": group_id,
        "{sub_order_id}": f"{orders[0]}.1",
        "{step}": "accept",
        "{merchant_id}": "bj-m01",
        "{dish_id}": "bj-m01-d01",
        "{campaign_id}": "bj-ladder",
        "{meal_id}": "2026-11-23.lunch",
        "{version}": "0",
        "{grant_id}": "welcome",
        "{building_id}": "bj-dorm-01",
        "{period_id}": "lunch",
        "{payment_id}": "a_payment",
        "{case_id}": "a_case",
        "{difference_id}": "a_difference",
        "{number}": "1",
        "{kind}": "merchant",
        "{owner_id}": "bj-m01",
        "{bundle_id}": "a_bundle",
        "{parcel_id}": "a_parcel",
    }
    before = await cast.town.digest()

    wrong = []
    for row, allowed in sorted(RIGHTS.items(), key=lambda one: ENDING.index(one[0]) if one[0] in ENDING else -1):
        method, _, path = row.partition(" ")
        for name, value in places.items():
            path = path.replace(name, value)
        # A body of the wrong kind: rights are looked at first, and nothing is changed.
        body = None if method == "GET" or row in ENDING else ["not", "a", "body"]
        if row == ENDING[0]:
            assert await cast.town.digest() == before, "somebody changed something with a body of the wrong kind"
        anonymous = await cast.town.client.request(method, path, json=body, headers={"idempotency-key": "anonymous-1"})
        if (anonymous.status_code == 401) == ("n" in allowed):
            wrong.append(f"{row}: nobody got {anonymous.status_code} {anonymous.text[:120]}")
        for letter, person in everybody.items():
            if row == "DELETE /v1/me":
                person = Person(cast.town.client, (await renewed(cast, letter)).token, "new", "beijing")
            answer = await person.send(method, path, body)
            if (answer.status_code in (401, 403)) == (letter in allowed):
                wrong.append(f"{row}: {letter} got {answer.status_code} {answer.text[:120]}")
            if letter not in allowed and answer.json().get("code") != "base/forbidden":
                wrong.append(f"{row}: {letter} was refused with {answer.text[:120]}")
            if answer.status_code >= 500:
                wrong.append(f"{row}: {letter} broke it: {answer.text[:120]}")

    assert wrong == []


async def renewed(cast: Cast, letter: str) -> Person:
    """Somebody of that kind who may end himself."""
    roles = {"a": ["student", "ambassador"], "m": ["merchant"], "r": ["rider"], "o": ["operator"]}
    if letter in "sx":
        return await cast.town.sign_in(campus="beijing" if letter == "s" else "shanghai")
    shop = "bj-m01" if letter == "m" else None
    cast.town.pass_time(hours=1)  # a phone gets five codes an hour
    operator = await cast.town.operator()
    if letter == "p":
        return operator
    return await cast.town.staff(operator, roles=roles[letter], merchant_id=shop)


@pytest.mark.parametrize("who", ["stranger", "ambassador", "merchant", "rider"])
async def test_other_peoples_orders_splits_ledgers_and_payments_are_unknown(cast: Cast, who: str) -> None:
    group_id, orders = await cast.closed_group()
    person: Person = getattr(cast, who)
    payment_id = cast.town.rows("SELECT id FROM payments ORDER BY id", database="money")[0][0]
    before = await cast.town.digest()

    for path in (f"orders/{orders[0]}", f"orders/{orders[0]}/ledger", f"groups/{group_id}/split"):
        await refused(person.get(path), 404, "base/unknown")
    await refused(person.post(f"sandbox/payments/{payment_id}/pay"), 404, "base/unknown")
    if who in ("stranger", "ambassador"):
        for step in ("pay", "cancel", "confirm", "after-sale"):
            await refused(person.post(f"orders/{orders[0]}/{step}"), 404, "base/unknown")
        await refused(person.send("DELETE", f"groups/{group_id}/seat"), 409, "groups/group-not-open")
    listed = await done(person.get("orders"))

    assert listed["items"] == []
    assert await cast.town.digest() == before


async def test_an_operator_sees_what_members_see(cast: Cast) -> None:
    group_id, orders = await cast.closed_group()

    for path in (f"orders/{orders[0]}", f"orders/{orders[0]}/ledger"):
        for person in (cast.warden, cast.operator):
            assert await done(person.get(f"{cast.ming.campus}/{path}")) == await done(cast.ming.get(path))
    split = f"groups/{group_id}/split"
    for person in (cast.warden, cast.operator):
        theirs = await done(person.get(f"{cast.ming.campus}/{split}"))
        assert theirs["sub_orders"] == (await done(cast.ming.get(split)))["sub_orders"]


async def test_an_unknown_order_is_answered_like_somebody_elses(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    forged = orders[0][:-4] + "zzzz"

    theirs = await refused(cast.stranger.get(f"orders/{orders[0]}"), 404, "base/unknown")
    nobodys = await refused(cast.stranger.get(f"orders/{forged}"), 404, "base/unknown")

    assert {**theirs, "instance": "", "id": ""} == {**nobodys, "instance": "", "id": ""}


async def test_forged_tokens_open_nothing(cast: Cast) -> None:
    token = cast.ming.token

    for forged in ("", "0" * 64, token[:-1], token + "0", token.upper() + "x", "null", f"{token} {token}"):
        answer = await cast.town.client.get("/v1/me", headers={"authorization": f"Bearer {forged}"})
        assert (answer.status_code, answer.json()["code"]) == (401, "http/not-signed-in"), forged
        assert answer.headers["www-authenticate"] == 'Bearer realm="tuanzi"'
    for header in (token, f"Basic {token}", f"Bearer  {token}", f"Token {token}"):
        answer = await cast.town.client.get("/v1/me", headers={"authorization": header})
        assert answer.status_code == 401, header


async def test_who_acts_is_never_taken_from_the_body(cast: Cast) -> None:
    before = await cast.town.digest()
    for extra in ({"member_id": cast.ming.id}, {"roles": ["operator"]}, {"payable_fen": 0}, {"order_id": "o_mine"}):
        opening = {**LUNCH_FOR_THREE, "lines": BEEF_RICE, **extra}
        await refused(cast.stranger.post("groups", opening), 422, "base/invalid")
    for path, body in (
        ("/v1/codes", {"phone": "13700000009", "campus_id": "beijing", "roles": ["operator"]}),
        ("/v1/sessions", {"phone": "13700000009", "code": "123456", "person_id": cast.ming.id}),
    ):
        answer = await cast.town.client.post(path, json=body)
        assert answer.status_code == 422
    await refused(cast.ming.send("PUT", "/v1/me/name", {"name": "ming", "roles": ["operator"]}), 422, "base/invalid")
    mine = {"roles": ["operator"], "merchant_id": None}
    await refused(cast.ming.send("PUT", f"/v1/people/{cast.ming.id}/roles", mine), 403, "base/forbidden")

    assert await cast.town.digest() == before


async def test_a_merchant_keeps_to_his_own_shop(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    dish = (await done(cast.rival.get("dishes/bj-m01-d01")))["dish"]
    meal = "meals/2026-11-23.lunch/portions/bj-m01-d01"
    before = await cast.town.digest()

    for step in ("accept", "cook", "ready", "reject", "pick-up", "deliver"):
        await refused(cast.rival.post(f"sub-orders/{orders[0]}.1/{step}"), 404, "base/unknown")
    changed = {**dish, "price_fen": 1}
    stolen = {**dish, "merchant_id": "bj-m02"}
    await refused(cast.rival.send("PUT", "dishes/bj-m01-d01", changed), 403, "catalog/not-your-dish")
    await refused(cast.rival.send("PUT", "dishes/bj-m01-d01", stolen), 403, "catalog/not-your-dish")
    off = cast.rival.send("PUT", "dishes/bj-m01-d01/on-sale", {"is_on_sale": False})
    await refused(off, 403, "catalog/not-your-dish")
    await refused(cast.rival.send("PUT", meal, {"total": 0, "is_closed": True}), 404, "base/unknown")

    assert await cast.town.digest() == before
    assert (await done(cast.rival.get("merchant/sub-orders?state=planned")))["items"] == []


async def test_merchants_and_riders_take_only_their_own_steps(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    other_rider = await cast.town.staff(cast.operator, roles=["rider"])

    for order in orders:
        for step in ("accept", "cook", "ready", "reject", "pick-up", "deliver"):
            await refused(cast.rider.post(f"sub-orders/{order}.1/{step}"), 403, "base/forbidden")
        for step in ("accept", "cook", "ready"):
            await done(cast.merchant.post(f"sub-orders/{order}.1/{step}"))
        for step in ("pick-up", "deliver"):
            await refused(cast.merchant.post(f"sub-orders/{order}.1/{step}"), 404, "base/unknown")
    await cast.town.settled()
    bundle = await cast.bundle()
    pick_up = f"rider/bundles/{bundle['bundle_id']}/pick-up"
    deliver = f"rider/parcels/{bundle['parcels'][0]['parcel_id']}/deliver"
    await refused(other_rider.post(pick_up), 404, "base/unknown")
    await refused(cast.rider.post(deliver), 409, "delivery/not-picked-up")
    await done(cast.rider.post(pick_up))
    await refused(other_rider.post(deliver), 404, "base/unknown")

    assert (await done(other_rider.get("rider/board")))["bundle"] is None
    assert (await done(cast.rider.get("rider/board")))["bundle"]["state"] == "picked_up"
    assert (await done(cast.rival.get("merchant/parcels?state=picked_up")))["items"] == []


async def test_a_campus_operator_keeps_to_his_campus(cast: Cast) -> None:
    before = await cast.town.digest()
    people = await done(cast.warden.get("/v1/people?limit=100"))

    await refused(cast.warden.get("/v1/campuses/shanghai/payments"), 403, "base/forbidden")
    roles = {"roles": ["operator"], "merchant_id": None}
    await refused(cast.warden.send("PUT", f"/v1/people/{cast.away.id}/roles", roles), 404, "base/unknown")
    elsewhere = {"roles": ["student"], "campus_id": "shanghai"}
    await refused(cast.warden.send("PUT", f"/v1/people/{cast.hua.id}/roles", elsewhere), 403, "base/forbidden")

    assert cast.away.id not in {person["person_id"] for person in people["items"]}
    assert await cast.town.digest() == before


async def test_an_operator_asks_whose_a_phone_is_and_no_address_has_it(cast: Cast) -> None:
    ming = await cast.town.sign_in(phone="13811112222")
    away = await cast.town.sign_in(phone="13833334444", campus="shanghai")

    found = await done(cast.warden.post("/v1/people/owner", {"phone": "+86 138 1111 2222"}))
    elsewhere = await done(cast.warden.post("/v1/people/owner", {"phone": "13833334444"}))
    everywhere = await done(cast.operator.post("/v1/people/owner", {"phone": "13833334444"}))

    assert ([one["person_id"] for one in found["items"]], found["next"]) == ([ming.id], None)
    assert elsewhere == {"items": [], "next": None}
    assert [one["person_id"] for one in everywhere["items"]] == [away.id]
    await refused(cast.warden.get("/v1/people?phone=13811112222"), 422, "base/invalid")


async def test_roles_taken_away_are_gone_at_once(cast: Cast) -> None:
    await done(cast.merchant.get("merchant/sub-orders?state=planned"))

    student = {"roles": ["student"], "merchant_id": None}
    await done(cast.operator.send("PUT", f"/v1/people/{cast.merchant.id}/roles", student))

    await refused(cast.merchant.get("merchant/sub-orders?state=planned"), 403, "base/forbidden")


async def test_a_dorm_head_has_his_price_from_when_an_operator_makes_him_one_until_he_is_none(cast: Cast) -> None:
    line = {"dish_id": "bj-m01-d01", "merchant_id": "bj-m01", "unit_price_fen": 1800}
    noon = "2026-11-23T12:00:00+08:00"
    samples = [
        {"name": "any", "lines": [line], "priced_at": noon, "expected_fen": 1800},
        {"name": "head", "lines": [line], "priced_at": noon, "expected_fen": 1700, "is_dorm_head": True},
    ]
    texts = {"title_zh": "宿舍长专享", "title_en": "Dorm heads"}
    rule = {"id": "head", "kind": "full_reduction", "amount": "100", "condition": "is_dorm_head", **texts}
    drafted = await done(cast.warden.post("pricing/versions", {"rules": [rule], "samples": samples}), 201)
    await done(cast.warden.post(f"pricing/versions/{drafted['version']}/switch"))

    async def payable(roles: list[str]) -> tuple[int, int]:
        await done(cast.warden.send("PUT", f"/v1/people/{cast.ming.id}/roles", {"roles": roles, "merchant_id": None}))
        quoted = await done(cast.ming.post("quotes", {**LADDER, "lines": BEEF_RICE}))
        opened = await done(cast.ming.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)
        group = await done(cast.lan.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)
        joined = await done(cast.ming.post(f"groups/{group['group_id']}/orders", {"lines": BEEF_RICE}), 201)
        assert opened["payable_fen"] == joined["payable_fen"]
        for each in (opened, joined):
            await done(cast.ming.send("DELETE", f"groups/{each['group_id']}/seat"))
        return quoted["tiers"][0]["payable_fen"], opened["payable_fen"]

    plain = await payable(["student"])
    head = await payable(["student", "dorm_head"])
    again = await payable(["student"])

    assert plain == again == (head[0] + 100, head[1] + 100)


async def test_a_signed_out_token_is_dead(cast: Cast) -> None:
    await done(cast.ming.get("/v1/me"))

    await done(cast.ming.send("DELETE", "/v1/sessions/current"))

    await refused(cast.ming.get("/v1/me"), 401, "http/not-signed-in")
    await refused(cast.ming.post("groups", {**LADDER, "lines": BEEF_RICE}), 401, "http/not-signed-in")


async def test_an_erased_person_is_nobody(cast: Cast) -> None:
    await cast.closed_group()
    masked = cast.town.house.platform.database.rows(
        "SELECT phone_masked FROM people WHERE id = :id", {"id": cast.ming.id}
    )

    await done(cast.ming.send("DELETE", "/v1/me"))
    kept = cast.town.house.platform.database.rows(
        "SELECT phone_masked, phone_sealed, phone_hash, name FROM people WHERE id = :id", {"id": cast.ming.id}
    )

    assert masked[0][0]
    assert kept == [(None, None, None, "")]
    await refused(cast.ming.get("/v1/me"), 401, "http/not-signed-in")
    await refused(cast.ming.get("orders"), 401, "http/not-signed-in")
    roles = {"roles": ["operator"], "merchant_id": None}
    await refused(cast.operator.send("PUT", f"/v1/people/{cast.ming.id}/roles", roles), 404, "base/unknown")


async def test_a_session_ends_with_its_time(cast: Cast) -> None:
    await done(cast.ming.get("/v1/me"))

    cast.town.pass_time(days=400)

    await refused(cast.ming.get("/v1/me"), 401, "http/not-signed-in")
