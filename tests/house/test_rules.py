"""Every rule of the house holds here, and would be seen broken elsewhere (architecture section 5, style.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.house import House, Rule, plant
from tests.house.rules import RULES

HOUSE = House(Path(__file__).parents[2])


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_house_keeps_the_rule(rule: Rule) -> None:
    violations = list(rule.find(HOUSE))

    assert not violations, f"{rule.says}.\nInstead: {rule.instead}.\n" + "\n".join(violations)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_house_that_breaks_the_rule_is_caught(rule: Rule, tmp_path: Path) -> None:
    broken = plant(tmp_path, rule.planted)

    violations = list(rule.find(broken))

    assert [line for line in violations if rule.caught in line], violations
