"""B1, B4, B5: the price at closing; nobody pays more than he paid, and group amounts add up both ways."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from tests.pricing.shop import NOON, amounts, book, cart, coupon, line, make_sure_it_adds_up, payables, rule
from tuanzi.base.money import Money
from tuanzi.pricing import BASE_RULES, RuleKind, Tier, quote, settle

SMALL, LARGE = Tier(size=3, off_percent=10), Tier(size=5, off_percent=20)


def test_a_better_tier_gives_the_difference_back() -> None:
    joined = [cart(line(price), tier=SMALL, fee=500, shares=3) for price in (1000, 1500, 999, 2000, 1800)]
    paid = [quote(BASE_RULES, each) for each in joined]
    assert [each.payable.fen for each in paid] == [1067, 1517, 1067, 1967, 1787]

    final = settle((BASE_RULES,), [replace(each, tier=LARGE) for each in joined], paid)

    assert [each.payable.fen for each in final] == [900, 1300, 900, 1700, 1540]
    assert [each.delivery_fee.fen for each in final] == [100] * 5
    assert [each.tier_size for each in final] == [5] * 5


def test_the_delivery_fee_is_shared_exactly_over_those_who_are_there() -> None:
    joined = [cart(line(1000), tier=SMALL, fee=500, shares=3) for _ in range(4)]
    paid = [quote(BASE_RULES, each) for each in joined]

    final = settle((BASE_RULES,), joined, paid)

    assert [each.delivery_fee.fen for each in final] == [125] * 4
    assert [each.fee_share.fen for each in settle((BASE_RULES,), joined[:3], paid[:3])] == [167, 167, 166]


def test_no_more_of_the_fee_is_shared_than_was_paid_towards_it() -> None:
    joined = [cart(line(1000), fee=500, shares=5) for _ in range(3)]

    final = settle((BASE_RULES,), joined, [quote(BASE_RULES, each) for each in joined])

    assert [each.delivery_fee.fen for each in final] == [100] * 3


def test_nobody_ends_above_what_he_paid() -> None:
    rules = book(rule(RuleKind.FULL_REDUCTION, "500", "tier_size == 3"))
    joined = [cart(line(1000), line(500), tier=SMALL, fee=300, shares=3) for _ in range(3)]
    paid = [quote(rules, each) for each in joined]
    assert {each.payable.fen for each in paid} == {950}

    final = settle((rules,), [replace(each, tier=Tier(size=4, off_percent=11)) for each in joined], paid)

    assert {each.payable.fen for each in final} == {950}
    assert [amounts(each) for each in final] == [{"tier": 165, "promise": 485}] * 3
    assert [payables(each) for each in final] == [[567, 283]] * 3


def test_the_promise_holds_for_the_fee_as_well() -> None:
    rules = book(rule(RuleKind.DELIVERY_FEE, "300", "members == 3"), rule(RuleKind.FULL_REDUCTION, "100", id="f"))
    joined = [cart(line(100), fee=300, shares=3) for _ in range(2)]
    paid = [quote(rules, each) for each in joined]
    assert [each.payable.fen for each in paid] == [0, 0]

    final = settle((rules,), joined, paid)

    assert [each.payable.fen for each in final] == [0, 0]
    assert [amounts(each) for each in final] == [{"f": 100, "promise": 100}] * 2
    for each, of in zip(final, joined, strict=True):
        make_sure_it_adds_up(each, of)


def test_a_coupon_stays_used_when_the_tier_gets_better() -> None:
    joined = cart(line(2000), tier=SMALL, coupon=coupon(300, threshold=2000))
    paid = quote(BASE_RULES, joined)

    (final,) = settle((BASE_RULES,), [replace(joined, tier=LARGE)], [paid])

    assert (final.payable.fen, final.coupon_id) == (1300, "c1")


def test_a_group_reduction_adds_up_by_member_and_by_merchant() -> None:
    rules = book(rule(RuleKind.GROUP_REDUCTION, "1000", "items_fen >= 6000 and members >= 3"))
    joined = [
        cart(line(1000), line(777, shop="m2")),
        cart(line(1333, shop="m2"), line(1, shop="m3")),
        cart(line(2500), line(500, shop="m3")),
    ]
    paid = [quote(rules, each) for each in joined]
    assert sum(each.payable.fen for each in paid) == 6111

    final = settle((rules,), joined, paid)

    assert [amounts(each)["r1"] for each in final] == [290, 219, 491]
    by_merchant: dict[str, int] = {}
    for each in final:
        for part in each.lines:
            off = part.list_price.fen - part.payable.fen
            by_merchant[part.merchant_id] = by_merchant.get(part.merchant_id, 0) + off
    assert by_merchant == {"m1": 572, "m2": 346, "m3": 82}
    assert sum(by_merchant.values()) == 1000


def test_a_group_reduction_counts_the_members_of_all_campuses() -> None:
    rules = book(rule(RuleKind.GROUP_REDUCTION, "members * 10", "members >= 5"))
    here = [cart(line(1000)) for _ in range(3)]
    paid = [quote(rules, each) for each in here]

    final = settle([rules], here, paid, members=5)

    assert sum(amounts(each)["r1"] for each in final) == 50
    assert [amounts(each) for each in settle([rules], here, paid)] == [{}, {}, {}]


def test_a_group_reduction_of_one_merchant_stays_with_him() -> None:
    rules = book(rule(RuleKind.GROUP_REDUCTION, "300", merchant_id="m2"))
    joined = [cart(line(1000)), cart(line(500), line(200, shop="m2")), cart(line(400, shop="m2"))]

    final = settle((rules,), joined, [quote(rules, each) for each in joined])

    assert [payables(each) for each in final] == [[1000], [500, 100], [200]]


def test_of_exclusive_group_reductions_one_counts() -> None:
    rules = book(
        rule(RuleKind.GROUP_REDUCTION, "members >= 3 ? 300 : 0", id="a", exclusive="g"),
        rule(RuleKind.GROUP_REDUCTION, "100", id="b", exclusive="g"),
    )
    joined = [cart(line(1000)) for _ in range(3)]
    paid = [quote(rules, each) for each in joined]

    assert [amounts(each) for each in settle((rules,), joined, paid)] == [{"a": 100}] * 3
    assert [amounts(each) for each in settle((rules,), joined[:2], paid[:2])] == [{"b": 50}] * 2


def test_a_group_reduction_larger_than_all_makes_all_free() -> None:
    rules = book(rule(RuleKind.GROUP_REDUCTION, "99999"))
    joined = [cart(line(1000), fee=10, shares=2), cart(line(0), fee=10, shares=2)]

    final = settle((rules,), joined, [quote(rules, each) for each in joined])

    assert [each.payable.fen for each in final] == [5, 5]


def test_a_broken_group_reduction_is_left_out_and_named() -> None:
    rules = book(rule(RuleKind.GROUP_REDUCTION, "100 / (members - 2)"))
    joined = [cart(line(1000)) for _ in range(2)]

    final = settle((rules,), joined, [quote(rules, each) for each in joined])

    assert [(each.payable.fen, each.skipped_rules) for each in final] == [(1000, ("r1",))] * 2


def test_a_group_reduction_sees_the_group() -> None:
    later = NOON + timedelta(hours=2)
    for condition in (
        "building_id == 'b1'",
        "hour == 14 and weekday == 1",
        "items_count == 3 and merchants_count == 2",
        "tier_size == 3 and members == 2",
        "delivery_fee_fen == 500 and due_fen == 2700 and items_fen == 3000",
    ):
        rules = book(rule(RuleKind.GROUP_REDUCTION, "10", condition))
        joined = [
            cart(line(500, 2), tier=SMALL, fee=500, shares=3, building_id="b1"),
            cart(line(2000, shop="m2"), tier=SMALL, fee=500, shares=3, building_id="b1", priced_at=later),
        ]

        final = settle((rules,), joined, [quote(rules, each) for each in joined])

        assert sum(amounts(each).get("r1", 0) for each in final) == 10, condition


def test_members_of_two_buildings_are_of_no_building() -> None:
    rules = book(rule(RuleKind.GROUP_REDUCTION, "10", "building_id == ''"))
    joined = [cart(line(500), building_id=building) for building in ("b1", "b2")]

    assert [payables(each) for each in settle((rules,), joined, [quote(rules, each) for each in joined])] == [[495]] * 2


def test_a_group_reduction_has_its_time_by_the_latest_order() -> None:
    hour = timedelta(hours=1)
    joined = [cart(line(500)), cart(line(500), priced_at=NOON + hour), cart(line(500))]
    for starts_at, ends_at, off in ((NOON + hour, None, 30), (NOON + 2 * hour, None, 0), (None, NOON + hour, 0)):
        rules = book(rule(RuleKind.GROUP_REDUCTION, "30", starts_at=starts_at, ends_at=ends_at))

        final = settle((rules,), joined, [quote(rules, each) for each in joined])

        assert sum(each.payable.fen for each in final) == 1500 - off


def test_settling_twice_gives_the_same() -> None:
    joined = [cart(line(1001), line(99, shop="m2"), tier=LARGE, fee=500, shares=3) for _ in range(5)]
    rules = book(rule(RuleKind.GROUP_REDUCTION, "333"))
    paid = [quote(rules, replace(each, tier=SMALL)) for each in joined]

    once = settle((rules,), joined, paid)

    assert settle((rules,), joined, paid) == once
    assert settle((rules,), joined, once) == once


def test_each_is_settled_by_the_version_that_priced_him() -> None:
    wrong = book(rule(RuleKind.FULL_REDUCTION, "items_fen * 90 / 100"), version=2)
    joined = [cart(line(2000), tier=SMALL, fee=500, shares=3) for _ in range(3)]
    paid = [quote(by, each) for by, each in zip((wrong, BASE_RULES, BASE_RULES), joined, strict=True)]
    assert [each.payable.fen for each in paid] == [167, 1967, 1967]

    final = settle((BASE_RULES, wrong), joined, paid)

    assert [each.payable.fen for each in final] == [167, 1967, 1966]
    assert [each.rule_version for each in final] == [2, 0, 0]
    assert sum(each.fee_share.fen for each in final) == 500
    better = settle((BASE_RULES, wrong), [replace(each, tier=LARGE) for each in joined], paid)
    assert [each.payable.fen for each in better] == [167, 1767, 1766]


def test_a_group_reduction_of_a_version_is_shared_by_those_it_priced() -> None:
    old = book(rule(RuleKind.GROUP_REDUCTION, "333", "members == 3 and items_fen == 4777 and delivery_fee_fen == 300"))
    new = book(rule(RuleKind.GROUP_REDUCTION, "delivery_fee_fen", "members == 2", id="r2"), version=2)
    joined = [
        cart(line(1000), line(777, shop="m2"), fee=500, shares=5),
        cart(line(3000), fee=500, shares=5),
        cart(line(1500, shop="m2"), fee=500, shares=5),
        cart(line(800), fee=500, shares=5),
        cart(line(1500), fee=500, shares=5),
    ]
    by = (old, new, old, new, old)
    paid = [quote(rules, each) for rules, each in zip(by, joined, strict=True)]

    final = settle((old, new), joined, paid)

    assert [amounts(each) for each in final] == [{"r1": 123}, {"r2": 158}, {"r1": 105}, {"r2": 42}, {"r1": 105}]
    taken = {(part.merchant_id, off.rule_id): 0 for each in final for part in each.lines for off in part.discounts}
    for each, of in zip(final, joined, strict=True):
        make_sure_it_adds_up(each, of)
        for part in each.lines:
            for off in part.discounts:
                taken[part.merchant_id, off.rule_id] += off.amount.fen
    assert taken == {("m1", "r1"): 174, ("m2", "r1"): 159, ("m1", "r2"): 200}


def test_a_version_that_priced_nobody_changes_nothing() -> None:
    rules, other = book(rule(RuleKind.FULL_REDUCTION, "100")), book(rule(RuleKind.GROUP_REDUCTION, "1"), version=2)
    joined = [cart(line(1000), fee=500, shares=2) for _ in range(2)]
    paid = [quote(rules, each) for each in joined]

    assert settle((rules, other), joined, paid) == settle((rules,), joined, paid) == paid


def test_rules_that_priced_nobody_settle_nobody() -> None:
    one = cart(line(1000))

    with pytest.raises(ValueError, match="cannot settle"):
        settle((book(version=2),), [one], [quote(BASE_RULES, one)])


def test_what_is_no_group_is_refused() -> None:
    one, other = cart(line(1000), fee=5), cart(line(1000), fee=6)
    for carts, paid in (([], []), ([one], []), ([one, other], [quote(BASE_RULES, one)] * 2)):
        with pytest.raises(ValueError, match="no group"):
            settle((BASE_RULES,), carts, paid)


def test_money_of_the_group_is_never_made() -> None:
    """What was paid is what the lines and the fee cost plus what goes back."""
    joined = [cart(line(1234), tier=SMALL, fee=700, shares=3) for _ in range(7)]
    paid = [quote(BASE_RULES, each) for each in joined]

    final = settle((BASE_RULES,), [replace(each, tier=LARGE) for each in joined], paid)

    back = sum(was.payable.fen - now.payable.fen for was, now in zip(paid, final, strict=True))
    assert sum(each.delivery_fee.fen for each in final) == 700
    assert sum(each.payable.fen for each in paid) == 7 * (1234 - 246) + 700 + back
    assert Money(back) == Money(7 * (1111 + 234) - 7 * 988 - 700)
