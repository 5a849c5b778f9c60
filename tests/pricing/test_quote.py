"""B4: every kind of promotion, with exact amounts: set meal, tier, 满减, coupon, add-on, delivery."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from tests.pricing.shop import NOON, amounts, book, cart, coupon, line, make_sure_it_adds_up, payables, rule
from tuanzi.base.money import Money
from tuanzi.pricing import BASE_RULES, RuleKind, Tier, quote
from tuanzi.pricing.model import prices

TEA = {"dish": "tea", "addon": True}


def test_without_rules_a_cart_costs_its_list_prices_and_the_fee() -> None:
    wanted = cart(line(1800), line(1250, 2, dish="d2"), fee=500)

    price = quote(BASE_RULES, wanted)

    assert (payables(price), price.delivery_fee.fen, price.payable.fen) == ([1800, 2500], 500, 4800)
    assert (price.saved.fen, price.amounts, price.rule_version, price.coupon_id) == (0, (), 0, None)


def test_the_group_tier_takes_percent_and_then_an_amount_off() -> None:
    price = quote(BASE_RULES, cart(line(1999), line(1001), tier=Tier(size=3, off_percent=15, off=Money(50))))

    assert amounts(price) == {"tier": 500}  # 450 and 50
    assert payables(price) == [1666, 834]
    assert price.tier_size == 3


def test_a_rule_may_add_to_the_campaigns_tier() -> None:
    rules = book(rule(RuleKind.GROUP_TIER, "due_fen * 0.03", "tier_size >= 5"))
    wanted = cart(line(3000), tier=Tier(size=5, off_percent=10))

    assert amounts(quote(rules, wanted)) == {"tier": 300, "r1": 81}
    assert amounts(quote(rules, replace(wanted, tier=Tier(size=3, off_percent=10)))) == {"tier": 300}


def test_a_full_reduction_starts_at_its_threshold() -> None:
    rules = book(rule(RuleKind.FULL_REDUCTION, "500", "items_fen >= 3000"))

    assert payables(quote(rules, cart(line(1800), line(1200)))) == [1500, 1000]
    assert payables(quote(rules, cart(line(1800), line(1199)))) == [1800, 1199]


def test_a_full_reduction_may_have_steps() -> None:
    rules = book(rule(RuleKind.FULL_REDUCTION, "items_fen >= 5000 ? 1000 : items_fen >= 3000 ? 500 : 0"))

    assert [quote(rules, cart(line(price))).payable.fen for price in (2999, 3000, 5000)] == [2999, 2500, 4000]


def test_a_full_reduction_looks_at_the_goods_before_the_tier() -> None:
    rules = book(rule(RuleKind.FULL_REDUCTION, "500", "items_fen >= 3000"))

    price = quote(rules, cart(line(3000), tier=Tier(size=3, off_percent=10)))

    assert amounts(price) == {"tier": 300, "r1": 500}


def test_a_merchants_rule_takes_from_his_lines_only() -> None:
    rules = book(rule(RuleKind.FULL_REDUCTION, "500", "items_fen >= 1000", merchant_id="m2"))

    assert payables(quote(rules, cart(line(3000), line(1000, shop="m2")))) == [3000, 500]
    assert payables(quote(rules, cart(line(3000), line(999, shop="m2")))) == [3000, 999]
    assert payables(quote(rules, cart(line(3000)))) == [3000]


def test_of_exclusive_rules_only_the_first_takes_anything() -> None:
    rules = book(
        rule(RuleKind.FULL_REDUCTION, "300", "items_fen >= 2000", id="a-small", priority=2, exclusive="full"),
        rule(RuleKind.FULL_REDUCTION, "700", "items_fen >= 4000", id="large", priority=1, exclusive="full"),
        rule(RuleKind.FULL_REDUCTION, "10", id="always", priority=3),
    )

    assert amounts(quote(rules, cart(line(4000)))) == {"large": 700, "always": 10}
    assert amounts(quote(rules, cart(line(3999)))) == {"a-small": 300, "always": 10}


def test_a_rule_counts_from_its_start_until_its_end() -> None:
    rules = book(rule(RuleKind.FULL_REDUCTION, "1", starts_at=NOON, ends_at=NOON + timedelta(hours=1)))

    def off(at: timedelta) -> int:
        return 100 - quote(rules, cart(line(100), priced_at=NOON + at)).payable.fen

    assert [off(timedelta(hours=h)) for h in (0, 1)] == [1, 0]
    assert [off(timedelta(microseconds=us)) for us in (-1, 3_599_999_999)] == [0, 1]


def test_a_coupon_needs_its_threshold_and_its_time() -> None:
    wanted = cart(line(2000), coupon=coupon(500, threshold=2000))

    assert amounts(quote(BASE_RULES, wanted)) == {"coupon": 500}
    assert quote(BASE_RULES, wanted).coupon_id == "c1"
    for no in (coupon(500, threshold=2001), coupon(500, expires_at=NOON)):
        price = quote(BASE_RULES, replace(wanted, coupon=no))
        assert (price.payable.fen, price.coupon_id) == (2000, None)


def test_a_rule_may_make_a_coupon_worth_more() -> None:
    rules = book(rule(RuleKind.COUPON, "coupon_fen", "tier_size >= 3"))
    wanted = cart(line(2000), tier=Tier(size=3), coupon=coupon(300))

    assert amounts(quote(rules, wanted)) == {"coupon": 300, "r1": 300}
    assert amounts(quote(rules, replace(wanted, coupon=None))) == {}
    assert amounts(quote(rules, replace(wanted, coupon=coupon(300, threshold=2001)))) == {}


def test_a_coupon_is_not_used_beside_a_rule_that_excludes_coupons() -> None:
    rules = book(rule(RuleKind.FULL_REDUCTION, "500", "items_fen >= 3000", exclusive="coupon"))

    price = quote(rules, cart(line(3000), coupon=coupon(300)))
    assert (amounts(price), price.coupon_id) == ({"r1": 500}, None)
    assert amounts(quote(rules, cart(line(2999), coupon=coupon(300)))) == {"coupon": 300}


def test_one_portion_is_added_on_for_one_yuan_when_the_rest_reaches_the_threshold() -> None:
    rules = book(rule(RuleKind.ADDON, "100", "items_fen >= 2000", dish_ids=("tea",)))

    assert payables(quote(rules, cart(line(2000), line(900, **TEA)))) == [2000, 100]
    assert payables(quote(rules, cart(line(2000), line(900, 2, **TEA)))) == [2000, 1000]
    assert payables(quote(rules, cart(line(1999), line(900, **TEA)))) == [1999, 900]
    assert payables(quote(rules, cart(line(2000), line(900, dish="tea")))) == [2000, 900]
    assert payables(quote(rules, cart(line(2000), line(900, dish="cake", addon=True)))) == [2000, 900]


def test_an_add_on_takes_no_part_in_other_discounts_unless_it_is_not_granted() -> None:
    rules = book(
        rule(RuleKind.ADDON, "100", "due_fen >= 1500", id="tea", dish_ids=("tea",)),
        rule(RuleKind.FULL_REDUCTION, "400", "items_fen >= 2000", id="full"),
    )

    granted = quote(rules, cart(line(2000), line(900, **TEA), tier=Tier(size=3, off_percent=5)))
    assert (payables(granted), amounts(granted)) == ([1500, 100], {"tier": 100, "full": 400, "tea": 800})

    refused = quote(rules, cart(line(1900), line(900, **TEA), tier=Tier(size=3, off_percent=25)))
    assert (payables(refused), amounts(refused)) == ([1154, 546], {"tier": 700, "full": 400})


def test_an_add_on_is_never_dearer_than_its_list_price() -> None:
    rules = book(rule(RuleKind.ADDON, "100", dish_ids=("tea",)))

    assert payables(quote(rules, cart(line(2000), line(80, **TEA)))) == [2000, 80]


def test_a_set_meal_costs_its_price_as_often_as_it_is_complete() -> None:
    rules = book(rule(RuleKind.SET_MEAL, "1500", set_meal_id="s1", dish_ids=("rice", "egg", "egg")))

    def price(rice: int, eggs: int, set_meal: str = "s1") -> list[int]:
        return payables(
            quote(
                rules,
                cart(
                    line(1200, rice, dish="rice", set_meal_id=set_meal),
                    line(300, eggs, dish="egg", set_meal_id=set_meal),
                ),
            )
        )

    assert price(1, 2) == [1000, 500]  # 18.00 for 15.00
    assert price(2, 5) == [2000, 1300]  # two sets and an egg
    assert price(1, 1) == [1200, 300]
    assert price(1, 2, "s2") == [1200, 600]


def test_dorm_heads_have_their_own_set_meal() -> None:
    rules = book(rule(RuleKind.SET_MEAL, "900", "is_dorm_head", set_meal_id="s1", dish_ids=("d1",)))
    wanted = cart(line(1000, set_meal_id="s1"))

    assert quote(rules, wanted).payable.fen == 1000
    assert quote(rules, replace(wanted, is_dorm_head=True)).payable.fen == 900


def test_a_set_meal_dearer_than_its_dishes_changes_nothing() -> None:
    rules = book(rule(RuleKind.SET_MEAL, "5000", set_meal_id="s1", dish_ids=("d1",)))

    assert quote(rules, cart(line(1000, set_meal_id="s1"))).payable.fen == 1000


def test_the_delivery_fee_is_shared_and_a_rule_may_take_off_it() -> None:
    rules = book(rule(RuleKind.DELIVERY_FEE, "delivery_fee_fen * 0.5", "is_first_order"))
    wanted = cart(line(1000), fee=500, shares=3)

    assert quote(rules, wanted).delivery_fee.fen == 167
    first = quote(rules, replace(wanted, is_first_order=True))
    assert (first.fee_share.fen, first.delivery_fee.fen, amounts(first)) == (167, 84, {"r1": 83})
    assert first.saved.fen == 1000 + 500 - 1084


def test_facts_of_the_member_and_the_hour_decide() -> None:
    facts = {
        "is_leader": {"is_leader": True},
        "is_first_order": {"is_first_order": True},
        "building_id in ['b1', 'b2']": {"building_id": "b2"},
        "hour == 13 and weekday == 1": {"priced_at": NOON + timedelta(hours=1)},
        "members >= 3 and delivery_fee_fen == 2": {"shares": 3, "fee": 5},
    }

    for condition, said in facts.items():
        rules = book(rule(RuleKind.FULL_REDUCTION, "7", condition))
        assert quote(rules, cart(line(100), **said)).amounts, condition
        assert not quote(rules, cart(line(100))).amounts, condition


def test_counts_decide() -> None:
    rules = book(rule(RuleKind.FULL_REDUCTION, "7", "items_count >= 3 and merchants_count == 2"))

    assert amounts(quote(rules, cart(line(100, 2), line(100, shop="m2")))) == {"r1": 7}
    assert amounts(quote(rules, cart(line(100, 3)))) == {}


def test_an_add_on_portion_is_not_counted_with_the_rest() -> None:
    rules = book(rule(RuleKind.ADDON, "100", "items_count >= 3", dish_ids=("tea",)))

    assert payables(quote(rules, cart(line(500, 2), line(900, 2, **TEA)))) == [1000, 1000]
    assert payables(quote(rules, cart(line(500, 2), line(900, 1, **TEA)))) == [1000, 900]


def test_each_add_on_rule_grants_one_portion_of_a_line_of_its_own() -> None:
    first = rule(RuleKind.ADDON, "100", id="first", dish_ids=("tea",))
    second = rule(RuleKind.ADDON, "50", id="second", dish_ids=("tea",))
    wanted = cart(line(500), line(900, 2, **TEA), line(900, **TEA))

    assert payables(quote(book(first, second), wanted)) == [500, 1000, 50]
    assert amounts(quote(book(first, second), replace(wanted, lines=wanted.lines[:2]))) == {"first": 800}
    either = book(replace(first, exclusive="tea"), replace(second, exclusive="tea"))
    assert payables(quote(either, wanted)) == [500, 1000, 900]


def test_an_add_on_of_one_merchant_is_not_granted_for_anothers_dish() -> None:
    rules = book(rule(RuleKind.ADDON, "100", "items_fen >= 500", dish_ids=("tea",), merchant_id="m2"))

    assert payables(quote(rules, cart(line(500, shop="m2"), line(900, **TEA)))) == [500, 900]
    assert payables(quote(rules, cart(line(500, shop="m2"), line(900, shop="m2", **TEA)))) == [500, 100]
    assert payables(quote(rules, cart(line(500), line(900, shop="m2", **TEA)))) == [500, 900]


def test_a_set_meal_has_its_time_and_excludes_like_any_rule() -> None:
    meal = rule(RuleKind.SET_MEAL, "900", id="set", set_meal_id="s1", dish_ids=("d1",), exclusive="x")
    full = rule(RuleKind.FULL_REDUCTION, "50", id="full", exclusive="x")
    wanted = cart(line(1000, set_meal_id="s1"))

    assert amounts(quote(book(meal, full), wanted)) == {"set": 100}
    assert amounts(quote(book(replace(meal, ends_at=NOON), full), wanted)) == {"full": 50}


def test_delivery_rules_exclude_each_other_and_stay_with_their_merchant() -> None:
    first = rule(RuleKind.DELIVERY_FEE, "10", id="first", exclusive="x", merchant_id="m2")
    second = rule(RuleKind.DELIVERY_FEE, "5", id="second", exclusive="x")

    assert amounts(quote(book(first, second), cart(line(1, shop="m2"), fee=100))) == {"first": 10}
    assert amounts(quote(book(first, second), cart(line(1), fee=100))) == {"second": 5}


def test_a_coupon_that_is_used_excludes_what_may_not_go_with_one() -> None:
    rules = book(rule(RuleKind.DELIVERY_FEE, "10", exclusive="coupon"))

    assert amounts(quote(rules, cart(line(1000), fee=100, coupon=coupon(5)))) == {"coupon": 5}
    assert amounts(quote(rules, cart(line(1000), fee=100))) == {"r1": 10}


def test_compiled_rules_are_kept_for_so_many_versions_only() -> None:
    for version in range(1, 200):
        off = rule(RuleKind.FULL_REDUCTION, str(version))
        assert quote(book(off, version=version), cart(line(1000))).payable.fen == 1000 - version

    assert len(prices._ready_books) <= prices.READY_BOOKS_MAX


def test_carts_alike_in_all_that_rules_look_at_share_one_price() -> None:
    rules = book(rule(RuleKind.FULL_REDUCTION, "10", "is_leader"))

    first = quote(rules, cart(line(1000), building_id="b1"))

    assert quote(rules, cart(line(1000), building_id="b2", priced_at=NOON + timedelta(days=3))) is first
    assert quote(rules, cart(line(1000), is_leader=True)).payable.fen == first.payable.fen - 10


@pytest.mark.parametrize(
    "other",
    [
        {"priced_at": NOON + timedelta(hours=1)},  # another hour; "begun" is in force from here on
        {"priced_at": NOON + timedelta(hours=1) - timedelta(microseconds=1)},
        {"priced_at": NOON + timedelta(hours=2)},  # and no longer
        {"priced_at": NOON - timedelta(days=1)},
        {"is_first_order": True},
        {"is_leader": True},
        {"is_dorm_head": True},
        {"building_id": "b2"},
        {"tier": Tier(size=5)},
        {"tier": Tier(size=3, off_percent=1)},
        {"delivery_fee": Money(501)},
        {"fee_shares": 4},
        {"lines": (line(1000), line(500, 2))},
        {"lines": (line(1000), line(500, dish="d2"))},
        {"lines": (line(1000), line(500, shop="m2"))},
        {"lines": (line(1000), line(501))},
        {"lines": (line(500), line(1000))},
        {"lines": (line(1000), line(500, dish="tea"))},
        {"lines": (line(1000), line(500, **TEA))},
        {"lines": (line(1000), line(500, set_meal_id="s1"))},
        {"coupon": coupon(7)},
    ],
    ids=str,
)
def test_a_price_that_was_kept_is_never_anothers(other: dict[str, Any]) -> None:
    """Every fact that rules may ask about counts, so that two carts which differ in one have prices of their own."""
    asked = (
        "(is_first_order ? 1 : 0) + (is_leader ? 2 : 0) + (is_dorm_head ? 4 : 0) + (building_id == 'b1' ? 8 : 0) "
        "+ 16 * hour + 512 * weekday + tier_size + 3 * members + items_count + merchants_count + delivery_fee_fen"
    )
    begun = {"starts_at": NOON + timedelta(hours=1), "ends_at": NOON + timedelta(hours=2)}
    rules = book(
        rule(RuleKind.FULL_REDUCTION, asked, id="all"),
        rule(RuleKind.DELIVERY_FEE, "9", id="begun", **begun),
        rule(RuleKind.ADDON, "100", id="tea", dish_ids=("tea",)),
        rule(RuleKind.SET_MEAL, "300", id="set", set_meal_id="s1", dish_ids=("d1",)),
    )
    usual = cart(line(1000), line(500), tier=Tier(size=3), fee=500, shares=3, building_id="b1")
    unusual = replace(usual, **other)
    alone = {each: quote(replace(rules), each) for each in (usual, unusual)}  # by books that know no other cart

    assert alone[usual] != alone[unusual] or "priced_at" in other
    assert {each: quote(rules, each) for each in (usual, unusual, usual)} == alone


def test_the_last_prices_are_kept_only() -> None:
    rules = book(rule(RuleKind.FULL_REDUCTION, "1"))

    for price in range(prices.QUOTES_MAX + 10):
        assert quote(rules, cart(line(price + 1))).payable.fen == price

    assert len(prices._ready(rules).quotes) == 10


def test_all_stages_follow_one_another() -> None:
    rules = book(
        rule(RuleKind.DELIVERY_FEE, "50", id="fee"),
        rule(RuleKind.ADDON, "100", "items_fen >= 2000", id="tea", dish_ids=("tea",)),
        rule(RuleKind.FULL_REDUCTION, "300", "items_fen >= 2500", id="full"),
        rule(RuleKind.SET_MEAL, "1500", id="set", set_meal_id="s1", dish_ids=("rice", "egg")),
    )
    wanted = cart(
        line(1200, dish="rice", set_meal_id="s1"),
        line(600, dish="egg", set_meal_id="s1"),
        line(1000, shop="m2"),
        line(900, **TEA),
        tier=Tier(size=3, off_percent=10),
        fee=600,
        shares=3,
        coupon=coupon(200, threshold=2500),
    )

    price = quote(rules, wanted)

    assert amounts(price) == {"set": 300, "tier": 250, "full": 300, "coupon": 200, "tea": 800, "fee": 50}
    assert payables(price) == [700, 350, 700, 100]
    assert (price.delivery_fee.fen, price.payable.fen) == (150, 2000)
    make_sure_it_adds_up(price, wanted)


@pytest.mark.parametrize(
    ("amount", "condition"),
    [
        ("items_fen // 2", "true"),  # does not compile
        ("nobody_fen", "true"),  # unknown
        ("100 / (items_fen - 3000)", "true"),  # nothing at 30.00
        ("2000 - items_fen", "true"),  # negative
        ("'500'", "true"),
        ("true", "true"),
        ("500", "items_fen"),
        ("500", "items_fen and true"),  # the engine throws
        ("500", "building_id > 3"),
        ("999999999 * 999999999 * 999999999 * 999999999", "true"),  # overflows
        ("[500]", "true"),
    ],
)
def test_a_broken_rule_is_left_out_and_named(amount: str, condition: str) -> None:
    """X08: the price is that of the book without the rule."""
    good = rule(RuleKind.FULL_REDUCTION, "300", id="good", priority=200)
    wanted = cart(line(3000), coupon=coupon(100))

    price = quote(book(rule(RuleKind.FULL_REDUCTION, amount, condition, id="bad"), good), wanted)

    assert price == replace(quote(book(good), wanted), skipped_rules=("bad",))


def test_a_broken_add_on_leaves_an_ordinary_portion() -> None:
    rules = book(rule(RuleKind.ADDON, "0 - 1", dish_ids=("tea",)))

    price = quote(rules, cart(line(2000), line(1000, **TEA), tier=Tier(size=3, off_percent=10)))

    assert (payables(price), price.skipped_rules) == ([1800, 900], ("r1",))


def test_a_price_is_the_same_every_time() -> None:
    rules = book(rule(RuleKind.FULL_REDUCTION, "500", "items_fen >= 3000"))
    wanted = cart(line(1333, 3), line(777, shop="m2"), coupon=coupon(123), fee=500, shares=3)

    assert len({repr(quote(rules, wanted)) for _ in range(10)}) == 1
    assert quote(replace(rules), wanted) == quote(rules, wanted)
