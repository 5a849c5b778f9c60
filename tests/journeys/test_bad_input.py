"""What does not fit is refused with the right status, and changes no row of any database (J2, J5)."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.journeys.conftest import BEEF_RICE, LADDER, LUNCH_FOR_THREE, Cast, Person, cart, done, refused
from tuanzi.base.phone import has_phone

OPENING = {**LUNCH_FOR_THREE, "lines": BEEF_RICE}
DEEP = b'{"lines":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
SQL = "'; DROP TABLE orders; --"

# What is sent to POST groups: the status and code it is answered with.
BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "http/body-malformed"),
    "half a document": (b'{"campaign_id": "bj-lunch-3"', 400, "http/body-malformed"),
    "two documents": (json.dumps(OPENING).encode() + b" {}", 400, "http/body-malformed"),
    "no UTF-8": (b'{"campaign_id": "\xff"}', 400, "http/body-malformed"),
    "UTF-16": (json.dumps(OPENING).encode("utf-16"), 400, "http/body-malformed"),
    "a byte order mark": (b"\xef\xbb\xbf" + json.dumps(OPENING).encode(), 400, "http/body-malformed"),
    "a lone surrogate": (b'{"campaign_id": "\\ud800"}', 400, "http/body-malformed"),
    "too deep": (DEEP, 422, "base/invalid"),
    "too deep from the start": (b"[" * 30_000, 422, "base/invalid"),
    "not an object": (b"[]", 422, "base/invalid"),
    "null": (b"null", 422, "base/invalid"),
    "NaN": (b'{"campaign_id": NaN}', 400, "http/body-malformed"),
    "too large": (b'{"campaign_id": "' + b"x" * 70_000 + b'"}', 413, "http/body-too-large"),
}


def opening(**changes: Any) -> bytes:
    """An opening with something else in it; None takes it out."""
    body = {name: value for name, value in {**OPENING, **changes}.items() if value is not None}
    return json.dumps(body).encode()


def line(**changes: Any) -> list[dict[str, Any]]:
    """One line of a cart with something else in it."""
    return [{**BEEF_RICE[0], **changes}]


FIELDS: dict[str, tuple[bytes, int, str]] = {
    "an unknown field": (opening(price_fen=1), 422, "base/invalid"),
    "a missing field": (opening(building_id=None), 422, "base/invalid"),
    "a number for a string": (opening(campaign_id=7), 422, "base/invalid"),
    "a string for a number": (opening(lines=line(quantity="1")), 422, "base/invalid"),
    "half a portion": (opening(lines=line(quantity=1.5)), 422, "base/invalid"),
    "true portions": (opening(lines=line(quantity=True)), 422, "base/invalid"),
    "no portion": (opening(lines=line(quantity=0)), 422, "base/invalid"),
    "negative portions": (opening(lines=line(quantity=-1)), 422, "base/invalid"),
    "a hundred and one portions": (opening(lines=line(quantity=101)), 422, "base/invalid"),
    "an add-on of a set meal": (opening(lines=line(set_meal_id="x", addon=True)), 422, "base/invalid"),
    "more than 64 bits": (opening(lines=line(quantity=2**70)), 422, "base/invalid"),
    "a number of 400 digits": (opening(lines=[]).replace(b"[]", b"9" * 400), 422, "base/invalid"),
    "more than the order limit": (opening(lines=line(quantity=7)), 409, "groups/order-limit-exceeded"),
    "no lines": (opening(lines=[]), 422, "base/invalid"),
    "too many lines": (opening(lines=BEEF_RICE * 51), 422, "base/invalid"),
    "an empty id": (opening(campaign_id=""), 422, "base/invalid"),
    "an id too long": (opening(campaign_id="x" * 65), 422, "base/invalid"),
    "an unknown campaign": (opening(campaign_id="bj-none"), 404, "base/unknown"),
    "an unknown building": (opening(building_id="bj-none"), 404, "base/unknown"),
    "an unknown dish": (opening(lines=cart(("bj-none", 1))), 404, "base/unknown"),
    "an unknown coupon": (opening(coupon_id="c_none"), 404, "base/unknown"),
    "a campaign of another campus": (opening(campaign_id="sh-lunch-3"), 404, "base/unknown"),
    "SQL for a campaign": (opening(campaign_id=SQL), 404, "base/unknown"),
    "SQL for a dish": (opening(lines=cart((SQL, 1))), 404, "base/unknown"),
    "NUL in an id": (opening(campaign_id="bj-lunch-3\0"), 404, "base/unknown"),
    "an emoji for a dish": (opening(lines=cart(("🍡", 1))), 404, "base/unknown"),
    "a campaign of another meal": (opening(campaign_id="bj-night-dorm"), 409, "catalog/campaign-not-serving"),
    "a building that is not served": (opening(campaign_id="bj-class-10"), 409, "catalog/building-not-served"),
    "a dish of a shop that does not take part": (
        opening(lines=cart(("bj-m12-d01", 1))),
        409,
        "catalog/dish-not-in-campaign",
    ),
}


def is_problem(answer: httpx.Response, status: int, code: str) -> None:
    """It is a complete problem document with that status and code."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (answer.status_code, document["status"], document["code"]) == (status, status, code), answer.text
    assert document["type"] == f"/problems/{code}"
    assert document["title"]
    assert document["instance"] == answer.headers["x-request-id"]


async def test_bodies_that_do_not_fit_are_refused(cast: Cast) -> None:
    before = await cast.town.digest()

    for what, (content, status, code) in {**BODIES, **FIELDS}.items():
        answer = await cast.ming.send("POST", "groups", content=content)
        assert (answer.status_code, answer.json()["code"]) == (status, code), f"{what}: {answer.text}"
        is_problem(answer, status, code)

    assert await cast.town.digest() == before


async def test_a_refusal_says_where_it_does_not_fit(cast: Cast) -> None:
    answer = await cast.ming.post("groups", {**OPENING, "lines": line(quantity=-1)})
    both = await cast.ming.post("groups", {**OPENING, "lines": line(set_meal_id="x", addon=True)})
    query = await cast.ming.get("orders?limit=0")

    assert (answer.json()["at"], answer.json()["detail"]) == ("/lines/0/quantity", "购物车第 1 项的份数：不能小于 1。")
    assert (both.json()["at"], both.json()["detail"]) == ("/lines/0", "购物车第 1 项：套餐里的菜不能同时算加价购。")
    assert (query.json()["at"], query.json()["detail"]) == ("?limit", "每页条数：不能小于 1。")


@pytest.mark.parametrize(
    "media",
    ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "multipart/form-data", ""],
)
async def test_only_json_is_read(cast: Cast, media: str) -> None:
    before = await cast.town.digest()
    headers = {"authorization": f"Bearer {cast.ming.token}", "idempotency-key": "media-0001"}
    if media:
        headers["content-type"] = media

    url = f"{cast.ming.campus}/groups"
    answer = await cast.town.client.post(url, content=json.dumps(OPENING).encode(), headers=headers)

    is_problem(answer, 415, "http/unsupported-media")
    assert await cast.town.digest() == before


async def test_headers_given_twice_are_refused(cast: Cast) -> None:
    before = await cast.town.digest()
    once = [("authorization", f"Bearer {cast.ming.token}"), ("idempotency-key", "twice-0001")]

    for again in (("idempotency-key", "twice-0002"), ("authorization", f"Bearer {cast.hua.token}")):
        answer = await cast.town.client.post(f"{cast.ming.campus}/groups", json=OPENING, headers=[*once, again])
        is_problem(answer, 400, "http/header-malformed")

    assert await cast.town.digest() == before


async def test_queries_that_do_not_fit_are_refused(cast: Cast) -> None:
    before = await cast.town.digest()

    for path, status in (
        ("orders?limit=0", 422),
        ("orders?limit=101", 422),
        ("orders?limit=ten", 422),
        ("orders?limit=1&limit=2", 422),
        ("orders?page=2", 422),
        ("orders?after=" + "x" * 65, 422),
        ("orders?after=%ff", 422),
        ("orders?after=%ED%A0%80", 422),
        ("orders?after=" + "x" * 5000, 422),
        ("dishes?meal_id=lunch", 422),
        ("dishes?meal_id=2026-13-45.lunch", 422),
        ("dishes?meal_id=2026-11-23.tea", 422),
        ("campaigns?building_id=", 422),
        ("groups/none?verbose=1", 422),
    ):
        answer = await cast.ming.get(path)
        assert answer.status_code == status, f"{path}: {answer.text}"
    for path in (
        "pricing/versions?after=-1",
        "pricing/versions?after=99999999999999999999",
        "payments?limit=0",
        "/v1/people?phone=13812345678",
        "merchants/bj-m01/statement?until=9999-12-31",
        "merchants/bj-m01/statement?from=0001-01-01",
        "merchants/bj-m01/statement.csv?from=1999-12-31&until=2000-01-01",
    ):
        answer = await cast.warden.get(path)
        assert answer.status_code == 422, f"{path}: {answer.text}"
    for phone in ("12345", "not-a-phone", "", None, 13812345678):
        assert (await cast.warden.post("/v1/people/owner", {"phone": phone})).status_code == 422, phone
    assert (await cast.merchant.get("merchant/sub-orders")).status_code == 422
    assert (await cast.merchant.get("merchant/sub-orders?state=eaten")).status_code == 422

    assert await cast.town.digest() == before


async def test_days_that_no_bills_can_be_of_are_refused(cast: Cast) -> None:
    for on, status in (("9999-12-31", 409), ("1900-01-01", 422), ("0001-01-01", 422)):
        answer = await cast.warden.post("reconciliation/runs", {"on": on})
        assert answer.status_code == status, f"{on}: {answer.text}"


async def test_strange_but_fitting_queries_find_nothing(cast: Cast) -> None:
    for after in ("%00", "%27%20OR%201%3D1%20--", "%F0%9F%8D%A1", "~", "+", "%"):
        assert (await done(cast.ming.get(f"orders?after={after}")))["items"] == []
        assert (await done(cast.ming.get(f"groups?campaign_id={after}")))["items"] == []
        assert (await done(cast.ming.get(f"coupons?after={after}")))["items"] == []


async def test_things_that_are_not_there_are_unknown(cast: Cast) -> None:
    before = await cast.town.digest()
    absent = "o_00000000000000000000000000"

    for path in (
        "groups/g_none",
        "groups/g_none/split",
        f"orders/{absent}",
        f"orders/{absent}/ledger",
        "dishes/none",
        "merchants/none",
        "campaigns/none",
        "/v1/campuses/atlantis",
        "/v1/campuses/atlantis/groups",
        "/v1/campuses/BEIJING",
        "/v1/campuses/beijing.core",
        f"orders/{absent}%00",
        "orders/..%2f..%2fetc%2fpasswd",
        "orders/%27%20OR%201%3D1",
        "orders/" + "x" * 65,
        "groups/%F0%9F%8D%A1",
        "orders/%ff",
        "nothing/here",
        "/v1",
        "/v1/",
        "/v1/me/",
        "/v1//me",
        "/nowhere",
    ):
        answer = await cast.ming.get(path)
        assert answer.status_code == 404, f"{path}: {answer.status_code} {answer.text}"
    for path in ("pricing/versions/99", "pricing/versions/one", "pricing/versions/-1", "pricing/versions/" + "9" * 40):
        assert (await cast.warden.get(path)).status_code == 404, path
    for method, path in (
        ("POST", "groups/g_none/orders"),
        ("DELETE", "groups/g_none/seat"),
        ("POST", f"orders/{absent}/pay"),
        ("POST", f"orders/{absent}/cancel"),
        ("POST", f"orders/{absent}/confirm"),
        ("POST", f"orders/{absent}/after-sale"),
    ):
        body = {"lines": BEEF_RICE} if path.endswith("orders") else None if method == "DELETE" else {}
        answer = await cast.ming.send(method, path, body)
        assert answer.status_code == 404, f"{path}: {answer.text}"

    assert await cast.town.digest() == before


async def test_methods_that_a_path_does_not_know_are_named(cast: Cast) -> None:
    for method, path, allowed in (
        ("PUT", "groups", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/v1/campuses", "GET, HEAD, OPTIONS"),
        ("TRACE", "/v1/me", "DELETE, GET, HEAD, OPTIONS"),
    ):
        answer = await cast.ming.send(method, path)
        is_problem(answer, 405, "http/method-not-allowed")
        assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("🍡 团子", 200),
        ("👩‍👩‍👧", 422),  # joined by invisible characters
        ("Robert'); DROP TABLE people;--", 422),  # longer than 20
        ("x'; DROP TABLE--", 200),
        ("<script>1</script>", 200),
        ("a\0b", 422),
        ("a\u202eb", 422),
        ("a\nb", 422),
        ("", 200),
        ("   ", 200),
        ("团" * 20, 200),
        ("团" * 21, 422),
        ("x" * 81, 422),
    ],
)
async def test_a_name_is_what_can_be_printed(cast: Cast, name: str, status: int) -> None:
    before = await done(cast.ming.get("/v1/me"))

    answer = await cast.ming.send("PUT", "/v1/me/name", {"name": name})
    after = await done(cast.ming.get("/v1/me"))

    assert answer.status_code == status, answer.text
    assert after["name"] == (name.strip() if status == 200 else before["name"])


async def test_staff_cannot_be_given_what_does_not_fit(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    dish = (await done(cast.merchant.get("dishes/bj-m01-d01")))["dish"]
    campaign = await done(cast.warden.get("campaigns/bj-ladder"))
    before = await cast.town.digest()
    huge = 2**63

    async def gives(person: Person, method: str, path: str, body: Any, statuses: set[int]) -> None:
        answer = await person.send(method, path, body)
        assert answer.status_code in statuses, f"{path} {body}: {answer.status_code} {answer.text}"

    for amount in (-1, huge, 2**64, 1.5, "1", None, 100_000_001):
        await gives(cast.warden, "POST", f"orders/{orders[0]}/after-sale/decision", {"amount_fen": amount}, {422})
    for refund in (
        {"reason": ""},
        {"reason": "x" * 81},
        {"reason": "cold", "amount_fen": 0},
        {"reason": "cold", "amount_fen": huge},
    ):
        await gives(cast.warden, "POST", f"orders/{orders[0]}/refunds", refund, {422})
    await gives(cast.warden, "POST", f"orders/{orders[0]}/refunds", {"reason": "cold", "amount_fen": 1821}, {409, 422})
    for price in (-1, huge, 2**64, 10**30, 1.5, "1", None):
        await gives(cast.merchant, "PUT", "dishes/bj-m01-d01", {**dish, "price_fen": price}, {422})
    for total in (-1, huge, 2**64, "1", 1.5):
        path = "meals/2026-11-23.lunch/portions/bj-m01-d01"
        await gives(cast.merchant, "PUT", path, {"total": total}, {422})
    changes: tuple[dict[str, Any], ...] = (
        {"tiers": []},
        {"tiers": [{"size": 0, "off_percent": 1, "off_fen": 0}]},
        {"tiers": [{"size": 3, "off_percent": 101, "off_fen": 0}]},
        {"tiers": [{"size": huge, "off_percent": 1, "off_fen": 0}]},
        {"delivery_fee_fen": -1},
        {"delivery_fee_fen": huge},
        {"starts_at": "yesterday"},
        {"starts_at": "2026-11-23T00:00:00"},
        {"merchant_ids": ["bj-none"]},
        {"id": "bj-other"},
        {"name_zh": "a\0b"},
    )
    for change in changes:
        await gives(cast.warden, "PUT", "campaigns/bj-ladder", {**campaign, **change}, {422})
    for content in ("", "not json", "[1]", '{"dishes": 1}', '{"dishes": [{}]}', '{"x": ' + "[" * 3000):
        await gives(cast.warden, "POST", "imports", {"kind": "catalog", "content": content}, {422})
    for rules in (
        [{"id": "a", "kind": "none", "amount": "1", "title_zh": "一", "title_en": "one"}],
        [{"id": "a", "kind": "full_reduction", "amount": "", "title_zh": "一", "title_en": "one"}],
        [{"id": "a", "kind": "full_reduction", "amount": "1 +", "title_zh": "一", "title_en": "one"}],
        [{"id": "a", "kind": "full_reduction", "amount": "1", "title_zh": "一", "title_en": "one", "typo": 1}],
        [{"id": "a", "kind": "full_reduction", "amount": "1", "title_zh": "一", "title_en": "one", "priority": 2**80}],
    ):
        await gives(cast.warden, "POST", "pricing/versions", {"rules": rules}, {422})
    for roles in ([], ["king"], ["student"] * 7, ["merchant"], ["student", "merchant"]):
        await gives(cast.operator, "PUT", f"/v1/people/{cast.hua.id}/roles", {"roles": roles}, {422})
    for shop in ("nope", "sh-m01"):
        body = {"roles": ["merchant"], "merchant_id": shop}
        await gives(cast.operator, "PUT", f"/v1/people/{cast.hua.id}/roles", body, {422})
        await gives(cast.warden, "PUT", f"/v1/people/{cast.hua.id}/roles", body, {422})
    await gives(cast.operator, "PUT", "/v1/people/p_none/roles", {"roles": ["student"]}, {404})

    assert await cast.town.digest() == before


async def test_no_text_of_an_operator_keeps_a_phone(cast: Cast) -> None:
    campaign = await done(cast.warden.get("campaigns/bj-ladder"))
    rule = {"id": "a", "kind": "full_reduction", "amount": "100", "title_zh": "找13812345678", "title_en": "off"}
    terms = {
        "after_version": 0,
        "platform_rate": 500,
        "leader_rate": 100,
        "ambassador_rate": 0,
        "provider_rate": 60,
        "rider_rate": 5000,
        "note": "ask +86 138-1234-5678",
    }
    sheet = "id,merchant_id,name_zh,name_en,price_fen,portions_per_meal\n"
    dishes = {"kind": "dishes", "content": sheet + "egg,bj-m01,蛋,Egg,600,9\ntea,bj-m01,找13812345678,Tea,600,9\n"}
    settled = {"how": "write_off", "note": "his number is 138 1234 5678"}
    before = await cast.town.digest()

    asked = [
        ("PUT", "campaigns/bj-ladder", {**campaign, "name_en": "call 13812345678"}, "/name_en"),
        ("POST", "pricing/versions", {"rules": [rule]}, "/rules/0/title_zh"),
        ("POST", "sharing/terms", terms, "/note"),
        ("POST", "ledger/cases/refund.o_x.r1/settlement", settled, "/note"),
        ("POST", "reconciliation/differences/d_1/settlement", {"reason": "问１３８１２３４５６７８"}, "/reason"),
        ("POST", "orders/o_1/refunds", {"amount_fen": 100, "reason": "008613812345678"}, "/reason"),
    ]
    for method, path, body, at in asked:
        answer = await refused(cast.warden.send(method, path, body), 422, "base/phone-in-text")
        assert answer["at"] == at
    imported = await refused(cast.warden.send("POST", "imports", dishes), 422, "catalog/import-refused")

    assert [(row["row"], row["column"], row["code"], row["value"]) for row in imported["errors"]] == [
        (3, "name_zh", "base/phone-in-text", "")
    ]
    assert await cast.town.digest() == before


@pytest.mark.parametrize(
    ("text", "is_phone"),
    [
        ("13812345678", True),
        ("给 +86 138 1234 5678 打电话", True),
        ("008613812345678", True),
        ("８６１３８１２３４５６７８", True),
        ("138-1234-5678。", True),
        ("12812345678", False),
        ("4200002345138123456782026", False),
        ("ICBC 8841 on 2026-11-23, 12.80 yuan", False),
        ("满100减10", False),
        ("1381234567", False),
    ],
)
def test_a_phone_is_told_from_other_numbers(text: str, is_phone: bool) -> None:
    assert has_phone(text) is is_phone


async def test_phones_and_codes_that_cannot_be_are_refused(cast: Cast) -> None:
    before = await cast.town.digest()
    client = cast.town.client

    for phone in (
        "1380000000a",
        "12345678901",
        "+1 202 555 0100",
        "0" * 32,
        "１３８００００００００a",
        "13800000000\0",
    ):
        answer = await client.post("/v1/codes", json={"phone": phone, "campus_id": "beijing"})
        assert answer.status_code == 422, f"{phone}: {answer.text}"
        assert phone not in answer.text
    is_problem(
        await client.post("/v1/codes", json={"phone": "13700000001", "campus_id": "atlantis"}),
        422,
        "people/campus-unknown",
    )
    for code in ("12345", "1234567", "12345a", "１２３４５６", "12345\n"):
        answer = await client.post("/v1/sessions", json={"phone": "13700000001", "code": code})
        is_problem(answer, 422, "base/invalid")

    assert await cast.town.digest() == before


async def test_a_ladder_is_no_seat_for_two(cast: Cast) -> None:
    opened = await done(cast.ming.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)
    before = await cast.town.digest()

    again = await cast.ming.post(f"groups/{opened['group_id']}/orders", {"lines": BEEF_RICE})

    is_problem(again, 409, "groups/already-member")
    assert await cast.town.digest() == before
