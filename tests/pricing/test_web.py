"""B4, J2: operators draft, read, check, switch and roll back price rules over HTTP; members read their coupons."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.pricing.shop import NOON, Campus
from tuanzi.base.problem import Unknown
from tuanzi.base.who import Role
from tuanzi.machinery.http.routes import Route
from tuanzi.pricing import CouponExpired, GrantCoupon, RuleInvalid, room
from tuanzi.pricing.web import ROUTES

RULES = "/v1/campuses/{campus}/pricing"
DRAFT: dict[str, Any] = {
    "rules": [
        {
            "id": "full",
            "kind": "full_reduction",
            "condition": "items_fen >= 3000",
            "amount": "500",
            "title_zh": "满30减5",
            "title_en": "5 off 30",
            "starts_at": "2026-01-01T00:00:00+08:00",
        }
    ],
    "samples": [
        {
            "name": "thirty yuan",
            "lines": [{"dish_id": "d1", "merchant_id": "m1", "unit_price_fen": 3000}],
            "priced_at": "2026-03-02T12:00:00+08:00",
            "expected_fen": 2500,
        }
    ],
    "note": "spring",
}


async def drafted(campus: Campus, **changes: Any) -> Any:
    return (await campus.request(f"POST {RULES}/versions", body=DRAFT | changes)).answer


async def test_a_version_is_drafted_read_checked_switched_on_and_rolled_back() -> None:
    campus = Campus()
    one = {"version": "1"}

    assert (await drafted(campus)).version == 1
    seen = await campus.request(f"GET {RULES}/versions/{{version}}", path=one)
    assert (seen.rules[0].condition, seen.samples[0].expected_fen, seen.is_active) == (
        "items_fen >= 3000",
        2500,
        False,
    )
    assert (seen.note, seen.made_by, seen.made_at) == ("spring", "p1", NOON)

    more = {"samples": [DRAFT["samples"][0] | {"name": "more", "expected_fen": 1}]}
    checked = (await campus.request(f"POST {RULES}/versions/{{version}}/check", path=one, body=more)).answer
    assert [(each.name, each.payable_fen, each.matches) for each in checked.samples] == [
        ("thirty yuan", 2500, True),
        ("more", 2500, False),
    ]

    switched = (await campus.request(f"POST {RULES}/versions/{{version}}/switch", path=one)).answer
    assert (switched.version, switched.before) == (1, 0)
    assert (await campus.request(f"GET {RULES}/versions/{{version}}", path=one)).is_active

    back = (await campus.request(f"POST {RULES}/roll-back")).answer
    assert (back.version, back.before) == (0, 1)


async def test_versions_are_listed_newest_first_in_pages() -> None:
    campus = Campus()
    for _ in range(3):
        await drafted(campus)

    first = await campus.request(f"GET {RULES}/versions", query={"limit": "2"})
    rest = await campus.request(f"GET {RULES}/versions", query={"limit": "2", "after": str(first.next)})

    assert ([each.version for each in first.items], first.next) == ([3, 2], 2)
    assert ([each.version for each in rest.items], rest.next) == ([1], None)
    assert (first.active, first.previous) == (0, 0)


async def test_the_empty_version_is_always_there_and_others_are_unknown() -> None:
    campus = Campus()

    assert (await campus.request(f"GET {RULES}/versions")).items == ()
    assert (await campus.request(f"GET {RULES}/versions/{{version}}", path={"version": "0"})).is_active
    await drafted(campus)
    for version in ("2", "-1", "x", "١", "9" * 30):
        with pytest.raises(Unknown):
            await campus.request(f"GET {RULES}/versions/{{version}}", path={"version": version})


@pytest.mark.parametrize(
    "wrong",
    [
        {"rules": [DRAFT["rules"][0] | {"end_at": "2026-01-01T00:00:00+08:00"}]},
        {"rules": [DRAFT["rules"][0] | {"kind": "gift"}]},
        {"rules": [DRAFT["rules"][0]] * 65},
        {"samples": [DRAFT["samples"][0] | {"lines": []}]},
        {"samples": [DRAFT["samples"][0] | {"expected_fen": -1}]},
        {"samples": [DRAFT["samples"][0] | {"expected": 1}]},
        {"note": "x" * 501},
        {"why": "x"},
    ],
)
async def test_a_body_that_does_not_fit_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        await drafted(Campus(), **wrong)


async def test_a_rule_that_cannot_be_used_is_refused_with_its_row() -> None:
    with pytest.raises(RuleInvalid) as refused:
        await drafted(Campus(), rules=[DRAFT["rules"][0] | {"condition": "price > 1"}])

    assert refused.value.facts == {
        "row": 1,
        "rule_id": "full",
        "why": "unknown",
        "what": "price",
    }


async def test_a_member_reads_his_own_coupons() -> None:
    campus = Campus()
    for i, member in enumerate(("p1", "p2", "p1", "p1"), start=1):
        campus.carry_out(
            GrantCoupon(
                coupon_id=f"c{i}",
                member_id=member,
                off_fen=100 * i,
                threshold_fen=1000,
                expires_at=NOON + timedelta(days=i),
                merchant_id="m1" if i == 3 else None,
            )
        )
    campus.database.execute_script("UPDATE coupons SET state = 'held', order_id = 'o1' WHERE id = 'c4';")
    campus.now = NOON + timedelta(days=1)

    first = await campus.request("GET /v1/campuses/{campus}/coupons", query={"limit": "2"})
    rest = await campus.request("GET /v1/campuses/{campus}/coupons", query={"after": first.next})

    assert [(each.id, each.off_fen, each.merchant_id, each.is_usable) for each in first.items] == [
        ("c1", 100, None, False),
        ("c3", 300, "m1", True),
    ]
    assert (first.next, rest.next) == ("c3", None)
    assert [(each.id, each.state, each.order_id, each.is_usable) for each in rest.items] == [
        ("c4", "held", "o1", False)
    ]


def test_only_operators_touch_the_rules() -> None:
    for route in room().routes:
        assert route.signed_in
        is_everybodys = route.path == "/v1/campuses/{campus}/coupons"
        assert route.roles == (frozenset() if is_everybodys else frozenset({Role.OPERATOR}))


def test_refusals_speak_both_languages() -> None:
    assert CouponExpired.title_en() == "The coupon is no longer valid."
    assert CouponExpired.title_zh == "优惠券已过期"


@pytest.mark.parametrize(
    "at", ["9999-12-31T20:00:00Z", "2100-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"]
)
async def test_a_sample_of_another_century_is_refused_where_it_is_sent(at: str) -> None:
    campus = Campus()
    late = DRAFT["samples"][0] | {"priced_at": at}
    by_hour = DRAFT["rules"][0] | {"condition": "hour >= 11"}

    for asking in (
        campus.request(f"POST {RULES}/versions", body=DRAFT | {"rules": [by_hour], "samples": [late]}),
        campus.request(f"POST {RULES}/versions/{{version}}/check", path={"version": "0"}, body={"samples": [late]}),
    ):
        with pytest.raises(RuleInvalid) as refused:
            await asking
        assert refused.value.facts == {"row": 1, "sample": "thirty yuan", "why": "century"}
    assert (await campus.request(f"GET {RULES}/versions")).items == ()


@pytest.mark.parametrize("route", [route for route in ROUTES if route.query], ids=lambda route: route.path)
def test_a_misspelt_word_of_a_query_is_refused_and_not_passed_over(route: Route) -> None:
    assert route.query is not None

    with pytest.raises(msgspec.ValidationError, match="unknown field `limt`"):
        msgspec.convert({"limt": "5"}, route.query, strict=False)
