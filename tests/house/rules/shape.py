"""The shape of rooms and functions, and names (style 1 to 19 and 64)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.house.house import ANATOMY, FOLDERS, House, Rule

VAGUE = frozenset(
    {"util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "processor", "processors"}
)
PERSONAL = frozenset({"phone", "token", "code", "password", "secret", "body"})


def strange_files(house: House) -> Iterator[str]:
    """Files and folders of a room that its anatomy does not have, parts that are both, and rooms without a door."""
    for room in house.rooms:
        folder = house.root / "src/tuanzi" / room
        if not (folder / "__init__.py").exists():
            yield f"src/tuanzi/{room}: has no door (__init__.py)"
        for path in sorted(folder.iterdir()):
            where = path.relative_to(house.root)
            if path.name in ("__init__.py", "__pycache__"):
                continue
            if path.stem not in ANATOMY or (path.suffix != ".py" and not path.is_dir()):
                yield f"{where}: is no part of a room"
            elif path.is_file() and path.stem in FOLDERS:
                yield f"{where}: is a file, not a folder"
            elif path.is_file() and any(path.with_suffix("").glob("*.py")):
                yield f"{where}: is a folder too"


def unmapped_folders(house: House) -> Iterator[str]:
    """Parts of rooms that are folders and do not say what stands in each of their modules, or have folders again."""
    inner = [module.path for module in house.in_rooms() if module.kind in ANATOMY - FOLDERS]
    for folder in sorted({path.parent for path in inner if len(path.parts) > 4}):
        if len(folder.parts) > 4:
            yield f"{folder}: is a folder of a folder"
            continue
        door = house.read(folder / "__init__.py")
        says = ast.get_docstring(ast.parse(door)) or ""
        for path in inner:
            if path.parent == folder and path.stem != "__init__" and f"`{path.stem}`" not in says:
                yield f"{folder}: does not say what {path.stem} is"


def vague_names(house: House) -> Iterator[str]:
    """Modules and classes named for nothing in particular."""
    for module in house.modules:
        for part in module.path.with_suffix("").parts:
            if VAGUE & set(part.split("_")):
                yield f"{module.path}: {part!r} describes nothing"
        for node in module.classes():
            last = re.findall(r"[A-Z][a-z]*", node.name)[-1:]
            if VAGUE & {word.lower() for word in last}:
                yield module.at(node, f"{node.name} describes nothing")


def getters(house: House) -> Iterator[str]:
    """Functions of a room called get_something."""
    for module in house.in_rooms():
        for node in module.functions():
            if re.match(r"_*get(_|$)", node.name):
                yield module.at(node, f"{node.name}()")


def positional_arguments(house: House) -> Iterator[str]:
    """Functions of services and handlers that take more than two arguments by position; inside a file, three."""
    for module in house.in_rooms(kinds=("service", "handlers")):
        for node in module.tree.body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
            if len(names) > (3 if node.name.startswith("_") else 2):
                yield module.at(node, f"{node.name}({', '.join(names)})")


def open_arguments(house: House) -> Iterator[str]:
    """Functions of a room that take `**kwargs`."""
    for module in house.in_rooms():
        for node in module.functions():
            if node.args.kwarg is not None:
                yield module.at(node, f"{node.name}(**{node.args.kwarg.arg})")


def handlers_without_address(house: House) -> Iterator[str]:
    """HTTP handlers whose docstring does not begin with method and path."""
    for module in house.in_rooms(kinds=("web",)):
        for node in module.tree.body:
            if isinstance(node, ast.AsyncFunctionDef) and not node.name.startswith("_"):
                first = (ast.get_docstring(node) or "").partition("\n")[0]
                if not re.match(r"(GET|POST|PUT|PATCH|DELETE) /", first):
                    yield module.at(node, f"{node.name}: {first!r}")


def personal_logs(house: House) -> Iterator[str]:
    """Log calls that mention personal data, secrets or bodies."""
    for module in house.under("src"):
        for call in module.calls():
            if not (isinstance(call.func, ast.Attribute) and _is_log(call.func.value)):
                continue
            for node in ast.walk(call):
                word = _word(node)
                if word in PERSONAL:
                    yield module.at(call, f"logs {word}")


def _is_log(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.strip("_").lower() in ("log", "logger", "logging")


def _word(node: ast.AST) -> str:
    match node:
        case ast.keyword(arg=str(name)) | ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


RULES = (
    Rule(
        says="a room has the files of its anatomy and no other",
        instead=f"put it into one of {', '.join(sorted(ANATOMY))}, or give it a room of its own",
        find=strange_files,
        planted={"src/tuanzi/stock/__init__.py": "", "src/tuanzi/stock/rules.py": ""},
        caught="src/tuanzi/stock/rules.py: is no part",
    ),
    Rule(
        says="a part of a room stands in one place",
        instead="move what is in the file into a module of the folder",
        find=strange_files,
        planted={
            "src/tuanzi/stock/__init__.py": "",
            "src/tuanzi/stock/model.py": "",
            "src/tuanzi/stock/model/__init__.py": "",
        },
        caught="src/tuanzi/stock/model.py: is a folder too",
    ),
    Rule(
        says="a part that is a folder has a map",
        instead="say in the docstring of its __init__.py what stands in each module: `holds` is ...",
        find=unmapped_folders,
        planted={
            "src/tuanzi/stock/__init__.py": "",
            "src/tuanzi/stock/model/__init__.py": '"""`meals` says when."""',
            "src/tuanzi/stock/model/holds.py": "",
            "src/tuanzi/stock/model/meals.py": "",
        },
        caught="src/tuanzi/stock/model: does not say what holds is",
    ),
    Rule(
        says="a part's folder has no folders",
        instead="put the module beside the others; where it does not fit, a room of its own is missing",
        find=unmapped_folders,
        planted={"src/tuanzi/stock/__init__.py": "", "src/tuanzi/stock/model/holds/__init__.py": ""},
        caught="src/tuanzi/stock/model/holds: is a folder of a folder",
    ),
    Rule(
        says="no name fits everything",
        instead="name it for what it gives its caller, in the words of the glossary",
        find=vague_names,
        planted={"src/tuanzi/machinery/http_utils.py": ""},
        caught="'http_utils' describes nothing",
    ),
    Rule(
        says="no class is a Manager",
        instead="name it for what it gives its caller, in the words of the glossary",
        find=vague_names,
        planted={"src/tuanzi/stock/service.py": "class HoldManager: ..."},
        caught="HoldManager describes nothing",
    ),
    Rule(
        says="get does not exist in a room",
        instead="say `find_` when it may be missing, `load_` when that is refused, `list_` when it is bounded",
        find=getters,
        planted={"src/tuanzi/stock/service.py": "def get_hold(): ..."},
        caught="get_hold()",
    ),
    Rule(
        says="arguments after the unit and the command are keyword-only",
        instead="write `def join(unit: Unit, command: JoinGroup, *, now: datetime)`",
        find=positional_arguments,
        planted={"src/tuanzi/stock/service.py": "def hold(unit, command, now): ..."},
        caught="hold(unit, command, now)",
    ),
    Rule(
        says="no function takes anything",
        instead="name the arguments, or take a struct",
        find=open_arguments,
        planted={"src/tuanzi/stock/service.py": "def hold(unit, **rest): ..."},
        caught="hold(**rest)",
    ),
    Rule(
        says="an HTTP handler says its method and path",
        instead='begin its docstring with them: """POST /v1/campuses/{campus}/groups"""; others are named _so',
        find=handlers_without_address,
        planted={"src/tuanzi/stock/web.py": 'async def open_group(call):\n    """Opens a group."""'},
        caught="open_group: 'Opens a group.'",
    ),
    Rule(
        says="no personal data is logged",
        instead="log ids; a refusal's code is logged as `refusal=problem.title_en()` or counted",
        find=personal_logs,
        planted={"src/tuanzi/people/service.py": 'log.info("people.code_sent", to=person.phone)'},
        caught="logs phone",
    ),
)
