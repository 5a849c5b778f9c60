"""A rule book that welcomes newcomers and dorm heads, for the tests of who they are (B4); amounts in fen."""

from __future__ import annotations

from tests.heart import OPERATOR, START, Campus
from tuanzi.pricing import DraftRules, Rule, RuleKind, Sample, SampleLine, SwitchRules

WELCOME, WELCOME_FEN = "welcome", 500
DORM_HEAD, DORM_HEAD_FEN = "dorm-head", 70
RULES = (
    Rule(
        id=WELCOME,
        kind=RuleKind.FULL_REDUCTION,
        amount="500",
        condition="is_first_order",
        title_zh="首单立减",
        title_en="First order",
    ),
    Rule(
        id=DORM_HEAD,
        kind=RuleKind.FULL_REDUCTION,
        amount="70",
        condition="is_dorm_head",
        title_zh="宿舍长专享",
        title_en="Dorm heads",
    ),
)
_BEEF = (SampleLine(dish_id="beef", merchant_id="noodles", unit_price_fen=2200),)
SAMPLES = (
    Sample(name="a regular", lines=_BEEF, priced_at=START, expected_fen=2200),
    Sample(name="a newcomer", lines=_BEEF, priced_at=START, expected_fen=1700, is_first_order=True),
    Sample(name="a dorm head", lines=_BEEF, priced_at=START, expected_fen=2130, is_dorm_head=True),
)


def welcome_newcomers(campus: Campus) -> None:
    """Switch the rules on, as an operator does."""
    drafted = campus.do(DraftRules(rules=RULES, samples=SAMPLES, note="", operator_id=OPERATOR))
    campus.do(SwitchRules(version=drafted.version, operator_id=OPERATOR))
