"""Events: each is said by somebody, heard by somebody, and keeps its name (architecture section 3)."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator

from tests.house.house import House, Module, Rule

EVENTS = "src/tuanzi/events.py"
WIRING = "src/tuanzi/wiring/hearing.py"


def unsaid_events(house: House) -> Iterator[str]:
    """Events that no module below the wiring emits."""
    said: set[str] = set()
    for module in house.under("src/tuanzi"):
        if str(module.path) != EVENTS and any(_called(call) == "emit" for call in module.calls()):
            said |= {_called(call) for call in module.calls()}
    for module, node in _events(house):
        if node.name not in said:
            yield module.at(node, f"{node.name} is emitted by nobody")


def unheard_events(house: House) -> Iterator[str]:
    """Events that wiring neither gives to a listener nor lists as for outside readers."""
    if not (house.root / WIRING).exists():
        yield f"{WIRING}: is missing"
        return
    names = runpy.run_path(str(house.root / WIRING))
    heard = {kind.__name__ for kind, listeners in names.get("HEARD", {}).items() if listeners}
    outside = {kind.__name__ for kind in names.get("FOR_OUTSIDE_READERS", ())}
    for module, node in _events(house):
        if node.name not in heard | outside:
            yield module.at(node, f"{node.name} is heard by nobody")


def unstable_names(house: House) -> Iterator[str]:
    """Events without a name of their own that reads room.what_happened."""
    seen: dict[str, str] = {}
    for module, node in _events(house):
        name = _text(node, "name")
        if name is None or not re.fullmatch(r"[a-z]+\.[a-z]+(_[a-z]+)*", name):
            yield module.at(node, f"{node.name} is named {name!r}")
        elif name in seen:
            yield module.at(node, f"{node.name} has the name {name!r} of {seen[name]}")
        else:
            seen[name] = node.name


def names_of_strangers(house: House) -> Iterator[str]:
    """Events whose name does not begin with the room that emits it: by that it is known in whose log it is."""
    for module, node in _events(house):
        room = (_text(node, "name") or "").partition(".")[0]
        if room not in house.rooms:
            yield module.at(node, f"{node.name} is of {room!r}, which is no room")


def _events(house: House) -> Iterator[tuple[Module, ast.ClassDef]]:
    for module in house.modules:
        if str(module.path) == EVENTS:
            for node in module.classes():
                if any(isinstance(base, ast.Name) and base.id == "Event" for base in node.bases):
                    yield module, node


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _text(node: ast.ClassDef, field: str) -> str | None:
    for line in node.body:
        match line:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))) if name == field:
                return text
    return None


_GROUP_OPENED = 'class Event: ...\nclass GroupOpened(Event):\n    name = "groups.opened"\n'
_SILENT = "HEARD = {}\nFOR_OUTSIDE_READERS = frozenset()\n"

RULES = (
    Rule(
        says="every event is emitted",
        instead="emit it with `unit.emit(...)` where it happens, or delete it from events.py",
        find=unsaid_events,
        planted={EVENTS: _GROUP_OPENED},
        caught="GroupOpened is emitted by nobody",
    ),
    Rule(
        says="every event is heard",
        instead="give it a listener in wiring.HEARD, or list it in wiring.FOR_OUTSIDE_READERS",
        find=unheard_events,
        planted={EVENTS: _GROUP_OPENED, WIRING: _SILENT},
        caught="GroupOpened is heard by nobody",
    ),
    Rule(
        says="every event has a name of its own",
        instead='name it "room.what_happened"; a stored name is never changed and never used again',
        find=unstable_names,
        planted={EVENTS: _GROUP_OPENED + 'class GroupStarted(Event):\n    name = "groups.opened"\n'},
        caught="GroupStarted has the name 'groups.opened' of GroupOpened",
    ),
    Rule(
        says="every event is of a room",
        instead="begin its name with the room that emits it; an event of no room is heard by nobody",
        find=names_of_strangers,
        planted={EVENTS: _GROUP_OPENED, "src/tuanzi/orders/__init__.py": ""},
        caught="GroupOpened is of 'groups', which is no room",
    ),
)
