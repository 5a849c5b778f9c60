"""B4, J5: a slow rule hurts the command that meets it alone; and none that operators may write is slow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import zen

from tests.heart import OPERATOR, START, Campus
from tuanzi.machinery.problems import TooSlow
from tuanzi.machinery.stopwatch import Stopwatch
from tuanzi.machinery.writer import Request
from tuanzi.pricing import DraftRules, Rule, RuleKind, Sample, SampleLine, SwitchRules
from tuanzi.pricing.model import ExpressionBad, ReadyRule, compile_text

CONDITION = "items_fen >= 100"
LARGE_FEN = 5_000
LIMIT_S = 0.2


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
    campus.core.writer._watch = made
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


@pytest.mark.parametrize("text", ["sum(map([1..2000], # * 2))", "sum([1, 2])", "[1..9999999]", "len(building_id)"])
def test_what_could_be_slow_is_no_expression_of_a_rule(text: str) -> None:
    with pytest.raises(ExpressionBad):
        ReadyRule(Rule(id="r", kind=RuleKind.FULL_REDUCTION, amount=text, title_zh="慢", title_en="Slow"))
