"""Refusals: each room's own, with a code and a title in both languages (J5, style 59)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.house.house import House, Module, Rule

CHINESE = re.compile(r"[\u4e00-\u9fff]")
CODE = re.compile(r"[a-z]+/[a-z]+(-[a-z]+)*")


def careless_problems(house: House) -> Iterator[str]:
    """Refusals without a code that starts with their room, a status, a Chinese title or an English one."""
    for module, node in _problems(house):
        code = _field(node, "code")
        if not isinstance(code, str) or not CODE.fullmatch(code):
            yield module.at(node, f"{node.name} has the code {code!r}")
        elif module.room in house.rooms and not code.startswith(f"{module.room}/"):
            yield module.at(node, f"{node.name} has the code {code!r} of another room")
        if not isinstance(_field(node, "status"), int):
            yield module.at(node, f"{node.name} has no status")
        if not CHINESE.search(str(_field(node, "title_zh"))):
            yield module.at(node, f"{node.name} has no title_zh")
        if not (ast.get_docstring(node) or "").strip():
            yield module.at(node, f"{node.name} has no docstring, which is its English title")


def shared_codes(house: House) -> Iterator[str]:
    """Refusals with a code that another has."""
    seen: dict[object, str] = {}
    for module, node in _problems(house):
        code = _field(node, "code")
        if code in seen:
            yield module.at(node, f"{node.name} has the code {code!r} of {seen[code]}")
        seen.setdefault(code, node.name)


def homeless_problems(house: House) -> Iterator[str]:
    """Refusals of a room that are not in its problems.py."""
    for module, node in _problems(house):
        if module.room in house.rooms and module.kind != "problems":
            yield module.at(node, f"{node.name} is no part of problems.py")


def _problems(house: House) -> Iterator[tuple[Module, ast.ClassDef]]:
    """Every class that derives from Problem, near or far."""
    classes = [(module, node) for module in house.under("src/tuanzi") for node in module.classes()]
    kinds = {"Problem"}
    while more := {node.name for _, node in classes if kinds & _bases(node)} - kinds:
        kinds |= more
    return ((module, node) for module, node in classes if kinds & _bases(node))


def _bases(node: ast.ClassDef) -> set[str]:
    return {
        base.id if isinstance(base, ast.Name) else base.attr
        for base in node.bases
        if isinstance(base, ast.Name | ast.Attribute)
    }


def _field(node: ast.ClassDef, field: str) -> object:
    for line in node.body:
        match line:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)) if name == field:
                return value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=value)) if name == field:
                return value
    return None


_FULL = """class GroupFull(Problem):
    'No seat is left.'
    code = "groups/full"
    status = 409
    title_zh = "已满"
"""

RULES = (
    Rule(
        says="a refusal has a code, a status and titles in both languages",
        instead='give it `code = "<room>/<what>"`, `status`, `title_zh`, and a docstring that is its English title',
        find=careless_problems,
        planted={"src/tuanzi/groups/problems.py": _FULL.replace("    title_zh", "    title")},
        caught="GroupFull has no title_zh",
    ),
    Rule(
        says="a refusal's code names its room",
        instead="begin the code with the room that refuses",
        find=careless_problems,
        planted={"src/tuanzi/orders/problems.py": _FULL},
        caught="GroupFull has the code 'groups/full' of another room",
    ),
    Rule(
        says="no two refusals share a code",
        instead="give each its own code; clients tell them apart by it",
        find=shared_codes,
        planted={"src/tuanzi/groups/problems.py": _FULL + _FULL.replace("GroupFull", "SeatTaken")},
        caught="SeatTaken has the code 'groups/full' of GroupFull",
    ),
    Rule(
        says="a room's refusals stand in its problems.py",
        instead="move the class to problems.py",
        find=homeless_problems,
        planted={"src/tuanzi/groups/model.py": _FULL},
        caught="GroupFull is no part of problems.py",
    ),
)
