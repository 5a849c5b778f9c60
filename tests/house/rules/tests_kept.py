"""Tests are run, not skipped (style 67 to 75)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.house.house import House, Rule

SKIPS = frozenset({"skip", "skipif", "xfail", "importorskip"})
# The good reasons: public data that is not in the repository, and jars where no Maven repository can be reached.
MISSING = ("shared/data", "build/kafka/libs", "build/live-sdk/libs")
# Where others who sell by groups went wrong (peers, section 5).
PITFALLS = 22


def skipped_tests(house: House) -> Iterator[str]:
    """Skips and expected failures that are not about public data or jars that are missing."""
    for module in house.under("tests"):
        excused = {
            id(call.func)
            for call in module.calls()
            if any(isinstance(node, ast.Constant) and _is_excuse(str(node.value)) for node in ast.walk(call))
        }
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and node.attr in SKIPS and id(node) not in excused and _is_pytest(node):
                yield module.at(node, ast.unparse(node))


def unnamed_pitfalls(house: House) -> Iterator[str]:
    """Pitfalls that no test names, as `test_p7_...` or by P7 in what it says of itself."""
    named: set[str] = set()
    for module in house.under("tests"):
        for test in module.functions():
            if test.name.startswith("test_"):
                named |= set(re.findall(r"(?:^|_)p(\d+)(?=_)", test.name))
                named |= set(re.findall(r"\bP(\d+)\b", ast.get_docstring(test) or ""))
    for i in range(1, PITFALLS + 1):
        if str(i) not in named:
            yield f"tests: P{i} is named by no test"


def _is_excuse(text: str) -> bool:
    return any(missing in text for missing in MISSING)


def _is_pytest(node: ast.Attribute) -> bool:
    return ast.unparse(node.value) in ("pytest", "pytest.mark")


RULES = (
    Rule(
        says="no test is skipped but for missing public data or jars",
        instead=f"make it pass or delete it; where something public is missing, name it in the reason ({MISSING})",
        find=skipped_tests,
        planted={"tests/stock/test_holds.py": 'import pytest\n@pytest.mark.skip(reason="later")\ndef test_hold(): ...'},
        caught="tests/stock/test_holds.py:2: pytest.mark.skip",
    ),
    Rule(
        says="every pitfall of the others has a test that names it",
        instead="call a test test_p7_..., or name P7 in its docstring",
        find=unnamed_pitfalls,
        planted={"tests/stock/test_holds.py": 'def test_p1_hold():\n    """P2, and P22."""'},
        caught="tests: P21 is named by no test",
    ),
)
