"""Tests are run, not skipped (style 67 to 75)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.house.house import House, Rule

SKIPS = frozenset({"skip", "skipif", "xfail", "importorskip"})
# The good reasons: public data that is not in the repository, and jars where no Maven repository can be reached.
MISSING = ("shared/data", "build/kafka/libs", "build/live-sdk/libs")


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
)
