"""B4, J5: a slow rule hurts the command that meets it alone; and none that operators may write is slow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import zen
from msgspec.structs import replace

from tests.heart import ALL_DAY, BEIJING, OPERATOR, START, TRIO, Campus
from tuanzi.catalog import DishEntry, MerchantEntry, PutCampaign, PutDish, PutMerchant, TierEntry
from tuanzi.groups import GroupState
from tuanzi.machinery.problems import TooSlow
from tuanzi.machinery.stopwatch import Stopwatch
from tuanzi.machinery.writer import Request
from tuanzi.pricing import DraftRules, Rule, RuleKind, Sample, SampleLine, SwitchRules
from tuanzi.pricing.model import ExpressionBad, ReadyRule, compile_text

CONDITION = "items_fen >= 100"
LARGE_FEN = 5_000
LIMIT_S = 0.2
A_SHOP = MerchantEntry(
    id="",
    name_zh="店",
    name_en="Shop",
    latitude_e6=40_002_000,
    longitude_e6=116_002_000,
    hours=ALL_DAY,
    delivery_fee_fen=0,
    min_order_fen=0,
)
A_DISH = DishEntry(id="", merchant_id="", name_zh="菜", name_en="Dish", price_fen=1, portions_per_meal=9999)


@pytest.fixture
def campus() -> Campus:
    """A campus whose rules take one yuan off."""
    made = Campus()
    rule = Rule(
        id="yuan", kind=RuleKind.FULL_REDUCTION, amount="100", condition=CONDITION, title_zh="减一元", title_en="Off"
    )
    beef = (SampleLine(dish_id="beef", merchant_id="noodles", unit_price_fen=2200),)
    sample = Sample(name="beef", lines=beef, priced_at=START, expected_fen=2100)
    drafted = made.do(DraftRules(rules=(rule,), samples=(sample,), note="", operator_id=OPERATOR))
    made.do(SwitchRules(version=drafted.version, operator_id=OPERATOR))
    return made


@pytest.fixture
def watch(campus: Campus) -> Iterator[Stopwatch]:
    """The stop clock of the campus's writer."""
    made = Stopwatch(LIMIT_S)
    campus.core.writer._decider.watch = made
    made.arm()
    yield made
    made.disarm()


def plant_slow_rule(patch: pytest.MonkeyPatch) -> list[int]:
    """Have the engine work on the rule without an end where a cart is large; gives what was asked for."""
    expression = compile_text(CONDITION)
    quick, slow = expression._evaluate, zen.compile_expression("sum(map([1..2000], # * 2)) > items_fen").evaluate
    asked: list[int] = []

    def evaluate(facts: dict[str, Any]) -> Any:
        asked.append(facts["items_fen"])
        while facts["items_fen"] >= LARGE_FEN:
            slow(facts)
        return quick(facts)

    patch.setattr(expression, "_evaluate", evaluate)
    return asked


def test_a_slow_rule_ends_the_cart_that_meets_it_and_no_other(
    campus: Campus, watch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = plant_slow_rule(monkeypatch)
    carts = [campus.opening("small"), campus.opening("large", ("beef", 3)), campus.opening("after")]

    outcomes = campus._carry_out(campus.core, [Request(cart, who=cart.member_id) for cart in carts])

    assert [type(outcome.problem) for outcome in outcomes] == [type(None), TooSlow, type(None)]
    assert 6_600 in asked
    assert campus.rows("SELECT member_id FROM orders ORDER BY member_id") == [("after",), ("small",)]
    assert campus.rows("SELECT SUM(held) FROM portions") == [(2,)]
    assert campus.open("next").payable_fen == outcomes[0].answer.payable_fen


def test_the_largest_group_there_may_be_is_closed() -> None:
    """100 members, each with 50 dishes of his own quantities, and 60 rules: no command may be too slow on its way."""
    campus = Campus()
    shops, dishes = [f"s{i}" for i in range(10)], [f"d{i}" for i in range(50)]
    for shop in shops:
        campus.do(PutMerchant(campus_id=BEIJING, merchant=replace(A_SHOP, id=shop), by=OPERATOR))
    for i, dish in enumerate(dishes):
        entry = replace(A_DISH, id=dish, merchant_id=shops[i % 10], price_fen=1000 + 7 * i)
        campus.do(PutDish(dish=entry, merchant_id=None, by=OPERATOR))
    crowd = replace(
        TRIO,
        id="crowd",
        tiers=(TierEntry(size=100, off_percent=10),),
        merchant_ids=tuple(shops),
        per_order_limit=1000,
    )
    campus.do(PutCampaign(campaign=crowd, by=OPERATOR))
    rules = tuple(
        Rule(
            id=f"r{i}",
            kind=(RuleKind.FULL_REDUCTION, RuleKind.GROUP_REDUCTION)[i % 2],
            amount="3",
            condition=CONDITION,
            title_zh="减",
            title_en="Off",
        )
        for i in range(60)
    )
    penny = Sample(
        name="penny",
        lines=(SampleLine(dish_id="d0", merchant_id="s0", unit_price_fen=1),),
        priced_at=START,
        expected_fen=1,
    )
    drafted = campus.do(DraftRules(rules=rules, samples=(penny,), note="", operator_id=OPERATOR))
    campus.do(SwitchRules(version=drafted.version, operator_id=OPERATOR))
    watch = campus.core.writer._decider.watch = Stopwatch(0.1)  # as 0.25, the usual limit, on a slower machine
    carts = [[(dish, 1 + (7 * m + 3 * i) % 19) for i, dish in enumerate(dishes)] for m in range(100)]
    watch.arm()

    try:
        first = campus.open("m0", *carts[0], campaign="crowd")
        rest = [campus.join(first.group_id, f"m{m}", *carts[m]) for m in range(1, 100)]
        for seated in (first, *rest):
            campus.pay(seated.order_id)
    finally:
        watch.disarm()

    assert campus.the_group(first.group_id).state is GroupState.CLOSED
    assert campus.rows("SELECT state, COUNT(*) FROM orders GROUP BY state") == [("split", 100)]
    assert sum(campus.balances().values()) == 0


@pytest.mark.parametrize("text", ["sum(map([1..2000], # * 2))", "sum([1, 2])", "[1..9999999]", "len(building_id)"])
def test_what_could_be_slow_is_no_expression_of_a_rule(text: str) -> None:
    with pytest.raises(ExpressionBad):
        ReadyRule(Rule(id="r", kind=RuleKind.FULL_REDUCTION, amount=text, title_zh="慢", title_en="Slow"))
