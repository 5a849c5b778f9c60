"""B4: rules are data that an operator drafts, checks on sample carts, switches on and rolls back without a deploy."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import tuanzi.pricing.model
from tests.bench_unit import BenchUnit
from tests.pricing.shop import NOON, Campus, book, rule
from tuanzi.base.problem import Unknown, Words
from tuanzi.events import RuleBookSwitched
from tuanzi.pricing import (
    BASE_RULES,
    CheckRules,
    DraftRules,
    NothingToRollBack,
    RollBackRules,
    Rule,
    RuleBook,
    RuleInvalid,
    RuleKind,
    RulesUnchecked,
    RuleVersion,
    Sample,
    SampleLine,
    SwitchRules,
    active_rules,
    load_rules,
)
from tuanzi.pricing.model import ExpressionBad, compile_text
from tuanzi.pricing.problems import WRONG

FULL = rule(RuleKind.FULL_REDUCTION, "500", "items_fen >= 3000", id="full")
ADDON = rule(RuleKind.ADDON, "100", dish_ids=("tea",), id="tea")


def sample(expected: int, price: int = 3000, **more: Any) -> Sample:
    lines = (SampleLine(dish_id="d1", merchant_id="m1", unit_price_fen=price),)
    return Sample(name="one dish", lines=lines, priced_at=NOON, expected_fen=expected, **more)


def draft(*rules: Rule, samples: tuple[Sample, ...] = ()) -> DraftRules:
    return DraftRules(rules=rules, samples=samples, note="spring", operator_id="op")


class Shop(Campus):
    """A campus with short words for the commands."""

    def draft(self, *rules: Rule, samples: tuple[Sample, ...] = ()) -> int:
        version: int = self.carry_out(draft(*rules, samples=samples)).answer.version
        return version

    def switch(self, version: int) -> Any:
        return self.carry_out(SwitchRules(version=version, operator_id="op"))

    def roll_back(self) -> Any:
        return self.carry_out(RollBackRules(operator_id="op"))

    def book(self) -> list[tuple[Any, ...]]:
        return self.database.rows("SELECT id, active, previous, next_version FROM rule_books ORDER BY id")


def test_a_campus_starts_without_rules() -> None:
    unit = BenchUnit({})

    assert active_rules(unit) is BASE_RULES
    assert load_rules(unit, version=0) is BASE_RULES
    with pytest.raises(Unknown):
        load_rules(unit, version=1)


def test_a_draft_is_kept_as_written_and_is_not_in_force() -> None:
    shop = Shop()
    written = replace(FULL, starts_at=NOON, ends_at=NOON + timedelta(days=1), merchant_id="m1", exclusive="x")

    assert shop.draft(written, ADDON, samples=(sample(2500, coupon_off_fen=5),)) == 1
    assert shop.draft() == 2

    assert shop.book() == [("book", 0, 0, 3)]
    shop.forget()
    checked = shop.carry_out(CheckRules(version=1)).answer
    assert (checked.active, checked.unused_rules) == (0, ("tea",))
    (row,) = shop.database.rows("SELECT note, made_by, made_at_ms FROM rule_versions WHERE version = 1")
    assert row == ("spring", "op", 1772424000000)


@pytest.mark.parametrize(
    ("bad", "wrong"),
    [
        (replace(FULL, condition="items_fen >="), "incomplete"),
        (replace(FULL, condition="price > 3"), "price is unknown"),
        (replace(FULL, condition="items_fen"), "true or false"),
        (replace(FULL, condition="items_fen > 'x'"), "incomplete"),
        (replace(FULL, condition="coupon_fen > 1"), "coupon_fen is unknown"),
        (replace(FULL, amount="0 - 5"), "fen, not"),
        (replace(FULL, amount="'5'"), "fen, not"),
        (replace(FULL, amount="items_fen / 0"), "fen, not"),
        (replace(FULL, amount="100000001"), "fen, not"),
        (replace(FULL, amount="building_id", condition="hour == 99"), "fen, not"),
        (replace(FULL, amount=""), "incomplete"),
        (replace(FULL, amount="rand(500)"), "rand is unknown"),
        (replace(FULL, amount="date('now')"), "date is unknown"),
        (replace(FULL, amount="sum(map([1..1000000], # * 2))"), "is not allowed"),
        (replace(FULL, amount="items_fen ^ 2"), "not allowed"),
        (replace(FULL, amount="items_fen.a"), "not allowed"),
        (replace(FULL, amount="max"), "max is a function"),
        (replace(FULL, amount="1" * 301), "longer than 300"),
        (replace(FULL, amount="1234567890123"), "not allowed"),
        (replace(FULL, id="Full"), "the id"),
        (replace(FULL, id="coupon"), "the id"),
        (replace(FULL, starts_at=NOON, ends_at=NOON), "its times"),
        (replace(FULL, starts_at=datetime(2026, 1, 1)), "its times"),  # noqa: DTZ001 - it is the mistake
        (replace(FULL, dish_ids=("d1",)), "names dishes"),
        (replace(FULL, set_meal_id="s1"), "names its set meal"),
        (replace(ADDON, dish_ids=()), "names dishes"),
        (rule(RuleKind.SET_MEAL, "100", dish_ids=("d1",)), "names its set meal"),
        (rule(RuleKind.SET_MEAL, "100", set_meal_id="s1"), "names dishes"),
        (rule(RuleKind.GROUP_REDUCTION, "100", "is_first_order"), "is_first_order is unknown"),
        (replace(FULL, id="good"), "used twice"),
    ],
)
def test_a_bad_rule_is_refused_before_it_is_saved(bad: Rule, wrong: str) -> None:
    shop = Shop()

    with pytest.raises(RuleInvalid) as refused:
        shop.draft(replace(FULL, id="good"), bad)

    assert refused.value.facts["row"] == 2
    said = refused.value.sentence()
    assert said is not None
    assert wrong in said.en
    assert shop.book() == []
    assert shop.database.rows("SELECT COUNT(*) FROM rule_versions") == [(0,)]


def test_an_amount_need_only_make_sense_where_its_condition_holds() -> None:
    shop = Shop()

    assert shop.draft(rule(RuleKind.GROUP_TIER, "100 * (tier_size - 4)", "tier_size >= 5")) == 1
    with pytest.raises(RuleInvalid):
        shop.draft(rule(RuleKind.GROUP_TIER, "100 * (tier_size - 4)", "tier_size >= 3"))


def test_too_many_rules_are_refused() -> None:
    with pytest.raises(RuleInvalid):
        Shop().draft(*(replace(FULL, id=f"r{i}") for i in range(65)))


def test_a_sample_that_is_no_cart_is_refused() -> None:
    lines = (SampleLine(dish_id="d1", merchant_id="m1", unit_price_fen=1, set_meal_id="s", addon=True),)
    for bad in (replace(sample(1), lines=lines), replace(sample(1), priced_at=datetime(2026, 1, 1))):  # noqa: DTZ001
        with pytest.raises(RuleInvalid):
            Shop().draft(FULL, samples=(sample(2500), bad))
        shop = Shop()
        with pytest.raises(RuleInvalid):
            shop.carry_out(CheckRules(version=0, samples=(bad,)))


def test_a_check_shows_both_versions_side_by_side_and_changes_nothing() -> None:
    shop = Shop()
    shop.switch(shop.draft(FULL, samples=(sample(2500),)))
    second = shop.draft(replace(FULL, amount="800"), ADDON, samples=(sample(2300),))
    before = shop.book()

    outcome = shop.carry_out(CheckRules(version=second, samples=(sample(2999, price=2999),)))

    checked = outcome.answer
    assert [(each.expected_fen, each.payable_fen, each.active_payable_fen) for each in checked.samples] == [
        (2300, 2200, 2500),
        (2999, 2999, 2999),
    ]
    assert [each.matches for each in checked.samples] == [False, True]
    assert (checked.samples[0].amounts_fen, checked.samples[0].active_amounts_fen) == ({"full": 800}, {"full": 500})
    assert (checked.version, checked.active, checked.matches, checked.unused_rules) == (2, 1, False, ("tea",))
    assert (shop.book(), outcome.events) == (before, ())


def test_a_version_is_switched_on_only_when_its_samples_cost_what_the_operator_expects() -> None:
    shop = Shop()
    unsampled, wrong = shop.draft(FULL), shop.draft(FULL, samples=(sample(2500), sample(2400)))

    with pytest.raises(RulesUnchecked):
        shop.switch(unsampled)
    with pytest.raises(RulesUnchecked) as refused:
        shop.switch(wrong)
    with pytest.raises(Unknown):
        shop.switch(99)

    assert (refused.value.facts["expected_fen"], refused.value.facts["payable_fen"]) == (2400, 2500)
    assert shop.book() == [("book", 0, 0, 3)]


def test_a_version_whose_rule_breaks_on_a_sample_is_not_switched_on() -> None:
    shop = Shop()
    breaks = replace(FULL, condition="items_fen == 3333", amount="100 / (items_fen - 3333)")

    with pytest.raises(RulesUnchecked) as refused:
        shop.switch(shop.draft(breaks, samples=(sample(3333, price=3333),)))

    assert refused.value.facts["skipped_rules"] == ("full",)


def test_switching_says_so_once() -> None:
    shop = Shop()
    version = shop.draft(FULL, samples=(sample(2500),))

    first, again = shop.switch(version), shop.switch(version)

    assert [event for _, event in first.events] == [RuleBookSwitched(book_version=1, before=0, by="op")]
    assert (again.events, again.answer.before, again.answer.version) == ((), 1, 1)
    assert shop.book() == [("book", 1, 0, 2)]


def test_a_version_is_rolled_back_one_step_and_no_further() -> None:
    shop = Shop()
    for amount in ("500", "600", "700"):
        shop.switch(shop.draft(replace(FULL, amount=amount), samples=(sample(3000 - int(amount)),)))
    assert shop.book() == [("book", 3, 2, 4)]

    outcome = shop.roll_back()

    assert [event for _, event in outcome.events] == [RuleBookSwitched(book_version=2, before=3, by="op")]
    with pytest.raises(NothingToRollBack):
        shop.roll_back()
    assert shop.book() == [("book", 2, 2, 4)]
    assert shop.switch(3).answer.before == 2


def test_the_first_version_is_rolled_back_to_no_rules() -> None:
    shop = Shop()
    shop.switch(shop.draft(FULL, samples=(sample(2500),)))

    assert shop.roll_back().answer.version == 0


def test_a_version_without_rules_may_be_switched_on_without_samples() -> None:
    shop = Shop()
    shop.switch(shop.draft(FULL, samples=(sample(2500),)))

    assert shop.switch(shop.draft()).answer.version == 2


def test_the_rules_in_force_are_those_switched_on_last() -> None:
    unit = BenchUnit({RuleBook: lambda each: each.id, RuleVersion: lambda each: each.id})
    unit.put(book(FULL, version=7))
    unit.put(RuleBook(id="book", active=7, previous=0, next_version=8))

    assert active_rules(unit).rules == (FULL,)
    assert load_rules(unit, version=7) is active_rules(unit)


def test_a_sample_has_everything_that_a_cart_has() -> None:
    asked = sample(
        1,
        tier_size=5,
        off_percent=20,
        off_fen=30,
        delivery_fee_fen=500,
        fee_shares=4,
        is_first_order=True,
        is_leader=True,
        is_dorm_head=True,
        building_id="b1",
        coupon_off_fen=100,
        coupon_threshold_fen=200,
        coupon_merchant_id="m1",
    ).cart()

    assert (asked.tier.size, asked.tier.off_percent, asked.tier.off.fen) == (5, 20, 30)
    assert (asked.delivery_fee.fen, asked.fee_shares, asked.building_id) == (500, 4, "b1")
    assert (asked.is_first_order, asked.is_leader, asked.is_dorm_head) == (True, True, True)
    assert asked.coupon is not None
    assert (asked.coupon.off.fen, asked.coupon.threshold.fen, asked.coupon.merchant_id) == (100, 200, "m1")


def test_an_expression_is_compiled_once_and_the_store_of_them_is_bounded() -> None:
    assert compile_text("items_fen + 12345") is compile_text("items_fen + 12345")
    assert compile_text.cache_info().maxsize == 1024


def test_every_word_that_is_promised_works() -> None:
    facts = {"items_fen": 3050, "building_id": "b1"}

    said = compile_text(
        "min([items_fen, 500]) + max([1, 2]) + floor(items_fen * 0.1) + ceil(0.5) + items_fen % 100 - (2 - 1)"
    )
    assert said.fen(facts) == 500 + 2 + 305 + 1 + 50 - 1
    assert compile_text("not (building_id in ['b2']) and !false or items_fen != 1").is_true(facts)
    with pytest.raises(ExpressionBad, match="not allowed"):
        compile_text("\U0001d7d9")  # a digit, but not of ours


@pytest.mark.parametrize(
    ("bad", "why", "what"),
    [
        (replace(FULL, amount="moon"), "unknown", "moon"),
        (replace(FULL, amount="items_fen ^ 2"), "sign", "^ 2"),
        (replace(FULL, amount="(items_fen"), "expression", ""),
        (replace(FULL, amount="max"), "function", "max"),
        (replace(FULL, amount="1" * 301), "long", "300"),
        (replace(FULL, condition="items_fen"), "condition", "0.0"),
        (replace(FULL, amount="100000001"), "amount", "100000001.0"),
        (replace(FULL, id="Full"), "id", ""),
        (replace(FULL, starts_at=NOON, ends_at=NOON), "period", ""),
        (replace(FULL, dish_ids=("d1",)), "dishes", ""),
        (replace(FULL, set_meal_id="s1"), "set-meal", ""),
        (replace(FULL, id="good"), "twice", ""),
    ],
)
def test_what_is_wrong_with_a_rule_is_told_by_a_code_too(bad: Rule, why: str, what: str) -> None:
    with pytest.raises(RuleInvalid) as refused:
        Shop().draft(replace(FULL, id="good"), bad)

    assert refused.value.facts.keys() == {"row", "rule_id", "why", "what"}, "words of one language are no facts"
    assert (refused.value.facts["why"], refused.value.facts["what"]) == (why, what)


def test_every_code_is_told_in_both_languages() -> None:
    model = Path(tuanzi.pricing.model.__file__).parent
    source = "".join((model / name).read_text(encoding="utf-8") for name in ("rules.py", "expressions.py"))
    whys = set(re.findall(r'(?:Fault\(|why(?:: str)? ?= ?)"([a-z-]+)"', source))

    assert whys == WRONG.keys()
    facts = {"row": 2, "rule_id": "full", "what": "{moon}", "sample": "two"}
    for why in whys:
        said = RuleInvalid(why=why, **facts).sentence()
        assert said is not None
        assert re.search("[\u4e00-\u9fff]", said.zh)
        assert not re.search("[\u4e00-\u9fff]", said.en)
        assert said.zh.endswith("。")


def test_which_rule_and_what_is_wrong_with_it_is_a_sentence() -> None:
    with pytest.raises(RuleInvalid) as refused:
        Shop().draft(replace(FULL, amount="moon"))

    assert refused.value.sentence() == Words("规则 full：不认识 moon。", "Rule full: moon is unknown.")
