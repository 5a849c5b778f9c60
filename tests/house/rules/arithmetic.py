"""Money is exact, time and chance are given (style 19, 37, 38; B5)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.house.house import House, Module, Rule

# Rooms whose numbers are fen, seats or portions.
EXACT = ("money", "sharing", "pricing", "stock", "orders", "groups", "splitting")
# Edges that may read the clock; everybody else is told the time.
EDGES = frozenset({"roles", "wiring", "engines", "machinery", "ops", "settings"})
CLOCKS = frozenset({"now", "utcnow", "today", "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "gmtime"})
# A comparison that takes the same time for every guess is no chance.
FAIR = frozenset({"secrets.compare_digest"})


def clock_readings(house: House) -> Iterator[str]:
    """Calls that read a clock, below the edges."""
    for module in _inner(house):
        for call in module.calls():
            if isinstance(call.func, ast.Attribute) and call.func.attr in CLOCKS and not _on_a_value(call):
                yield module.at(call, f"{ast.unparse(call.func)}()")
        for node, name in module.imports():
            if name == "time" or name.startswith("time."):
                yield module.at(node, f"imports {name}")


def chances(house: House) -> Iterator[str]:
    """Imports of chance, below the edges."""
    for module in _inner(house):
        for node, name in module.imports():
            if name.split(".")[0] in ("random", "secrets", "uuid") and name not in FAIR:
                yield module.at(node, f"imports {name}")


def inexact_numbers(house: House) -> Iterator[str]:
    """Division, floats and rounding in rooms that count fen."""
    for module in house.in_rooms(*EXACT):
        for node in ast.walk(module.tree):
            what = _inexact(node)
            if what:
                yield module.at(node, what)


def _inner(house: House) -> Iterator[Module]:
    return (module for module in house.under("src/tuanzi") if module.room not in EDGES)


def _on_a_value(call: ast.Call) -> bool:
    """Whether it is `closes_at.time()`: the time of day of a given time."""
    func = call.func
    assert isinstance(func, ast.Attribute)
    return func.attr == "time" and not (isinstance(func.value, ast.Name) and func.value.id == "time")


def _inexact(node: ast.AST) -> str:
    match node:
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            return f"divides: {ast.unparse(node)}"
        case ast.Constant(value=float() as number):
            return f"has the float {number}"
        case ast.Name(id="float"):
            return "says float"
        case ast.Call(func=ast.Name(id="round")):
            return f"rounds: {ast.unparse(node)}"
        case _:
            return ""


RULES = (
    Rule(
        says="no room reads the clock",
        instead="take `now` as an argument; it is read once, at the edge, and is `call.now` in web.py",
        find=clock_readings,
        planted={"src/tuanzi/stock/service.py": "from datetime import datetime, UTC\nat = datetime.now(UTC)"},
        caught="src/tuanzi/stock/service.py:2: datetime.now()",
    ),
    Rule(
        says="no room makes chance",
        instead="take ids from the command; the edge makes them with `call.ids`",
        find=chances,
        planted={"src/tuanzi/stock/service.py": "from uuid import uuid4"},
        caught="imports uuid.uuid4",
    ),
    Rule(
        says="fen are not divided",
        instead="divide money with `Money.share`, count with `//`, and say a ratio as two whole numbers",
        find=inexact_numbers,
        planted={"src/tuanzi/pricing/model.py": "half = 10 / 2"},
        caught="divides: 10 / 2",
    ),
    Rule(
        says="fen are no floats",
        instead="count in whole fen (int or Money); a length of time is a timedelta",
        find=inexact_numbers,
        planted={"src/tuanzi/pricing/model.py": "rate = 0.1"},
        caught="has the float 0.1",
    ),
    Rule(
        says="fen are not turned into floats",
        instead="count in whole fen (int or Money)",
        find=inexact_numbers,
        planted={"src/tuanzi/money/model.py": "yuan = float(100)"},
        caught="says float",
    ),
    Rule(
        says="fen are not rounded",
        instead="divide money with `Money.share`, whose parts add up to the whole",
        find=inexact_numbers,
        planted={"src/tuanzi/money/model.py": "fen = round(12345, -2)"},
        caught="rounds: round(12345, -2)",
    ),
)
