"""Every rule of the house holds here, and would be seen broken elsewhere (architecture section 5, style.md)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.house.house import ANATOMY, House, Rule, plant
from tests.house.rules import RULES

HOUSE = House(Path(__file__).parents[2])


def _in_folders(planted: Mapping[str, str]) -> dict[str, str]:
    """The same files, with those that are a part of a room as a module in a folder of that name."""
    moved: dict[str, str] = {}
    for name, text in planted.items():
        path = Path(name)
        is_part = path.parts[:2] == ("src", "tuanzi") and len(path.parts) == 4 and path.stem in ANATOMY
        if is_part and not any(other.startswith(f"{path.with_suffix('')}/") for other in planted):
            moved[str(path.with_suffix("") / "inner.py")] = text
        else:
            moved[name] = text
    return moved


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_house_keeps_the_rule(rule: Rule) -> None:
    violations = list(rule.find(HOUSE))

    assert not violations, f"{rule.says}.\nInstead: {rule.instead}.\n" + "\n".join(violations)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_house_that_breaks_the_rule_is_caught(rule: Rule, tmp_path: Path) -> None:
    broken = plant(tmp_path, rule.planted)

    violations = list(rule.find(broken))

    assert [line for line in violations if rule.caught in line], violations


@pytest.mark.parametrize("rule", [rule for rule in RULES if _in_folders(rule.planted) != rule.planted], ids=str)
def test_what_is_caught_in_a_part_is_caught_in_a_folder_of_its_name(rule: Rule, tmp_path: Path) -> None:
    files = _in_folders(rule.planted)
    caught = rule.caught
    doors: dict[str, str] = {}
    for path, inner in zip(rule.planted, files, strict=True):
        caught = caught.replace(path, inner)
        if path != inner:
            doors |= {str(Path(inner).parents[i] / "__init__.py"): "" for i in (0, 1)}

    violations = list(rule.find(plant(tmp_path, doors | files)))

    assert [line for line in violations if caught in line], violations
