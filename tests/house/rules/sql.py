"""SQL and migrations: in their places, readable, portable (style 44, 49 to 52)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from tests.house.house import House, Module, Rule

# Where SQL may stand besides the rooms' store.py.
SPEAKS_SQL = frozenset({"engines", "machinery"})
STATEMENT = re.compile(
    r"\s*(SELECT\s.+\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s"
    r"|(CREATE|ALTER|DROP)\s+(TABLE|INDEX|VIEW)|WITH\s+\w+\s.*\sAS\s*\()",
    re.DOTALL | re.IGNORECASE,
)
# What SQLite alone understands, or MySQL does not.
DIALECT = re.compile(
    r"\b(AUTOINCREMENT|AUTO_INCREMENT|WITHOUT\s+ROWID|STRICT|PRAGMA|ON\s+CONFLICT|INSERT\s+OR|GLOB|STRFTIME|ENGINE\s*=)\b"
    r"|\bCREATE\s+(UNIQUE\s+)?INDEX\b[^;]*\bWHERE\b",
    re.IGNORECASE,
)
HEADER = {
    "a spec id such as B1": re.compile(r"\b[A-J]\d{1,2}\b"),
    "why it is safe beside the release before": re.compile(r"\bsafe\b|安全", re.IGNORECASE),
    "how to undo it": re.compile(r"\bundo\b|\bundone\b", re.IGNORECASE),
}


def stray_statements(house: House) -> Iterator[str]:
    """SQL text outside of store.py, machinery and engines; sandboxes are programs of their own, on one engine."""
    for module in house.under("src"):
        if module.path.parts[:2] == ("src", "sandboxes") or module.kind == "store" or module.room in SPEAKS_SQL:
            continue
        for node, text in _texts(module):
            if STATEMENT.match(text):
                yield module.at(node, f"says {' '.join(text.split())[:40]!r}")


def formatted_statements(house: House) -> Iterator[str]:
    """SQL of a room that is put together at run time."""
    for module in house.in_rooms(kinds=("store",)):
        for node in ast.walk(module.tree):
            if _puts_sql_together(node):
                yield module.at(node, f"formats {ast.unparse(node)[:40]}")


def unbounded_lists(house: House) -> Iterator[str]:
    """SELECTs of a room that are ordered without a LIMIT."""
    for module in house.in_rooms(kinds=("store",)):
        for node, text in _texts(module):
            words = text.upper()
            if STATEMENT.match(text) and "ORDER BY" in words and "LIMIT" not in words:
                yield module.at(node, f"has no LIMIT: {' '.join(text.split())[:60]!r}")


def dialects(house: House) -> Iterator[str]:
    """SQL of rooms and migrations that only one database understands."""
    for module in house.in_rooms(kinds=("store",)):
        for node, text in _texts(module):
            found = DIALECT.search(text) if STATEMENT.match(text) else None
            if found:
                yield module.at(node, f"says {found[0]!r}")
    for path in _migrations(house):
        found = DIALECT.search(_without_comments(house.read(path)))
        if found:
            yield f"{path}: says {found[0]!r}"


def headless_migrations(house: House) -> Iterator[str]:
    """Migrations whose header does not say what a careful operator asks."""
    for path in _migrations(house):
        lines = house.read(path).splitlines()
        header = []
        for line in lines:
            if not line.startswith("--"):
                break
            header.append(line.lstrip("- "))
        if not header or not header[0]:
            yield f"{path}: does not say what it does in its first line"
        for what, pattern in HEADER.items():
            if not pattern.search(" ".join(header)):
                yield f"{path}: its header does not say {what}"


def misnumbered_migrations(house: House) -> Iterator[str]:
    """Migrations that are not numbered one by one in the folder of their database.

    A folder begins with 0001, or with 0002 because `every/0001` comes before it.
    """
    folders: dict[Path, list[tuple[int, Path]]] = {}
    for path in _migrations(house):
        number = re.fullmatch(r"(\d{4})_[a-z0-9_]+\.sql", path.name)
        if not number:
            yield f"{path}: is not called NNNN_<what>.sql"
        else:
            folders.setdefault(path.parent, []).append((int(number[1]), path))
    for numbered in folders.values():
        numbered.sort()
        if numbered[0][0] not in (1, 2):
            yield f"{numbered[0][1]}: is the first of its folder"
        for before, after in pairwise(numbered):
            if after[0] != before[0] + 1:
                yield f"{after[1]}: follows {before[0]:04d}"


def _texts(module: Module) -> Iterator[tuple[ast.Constant, str]]:
    """Every string of a module that is no docstring, with its text."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node, node.value


def _puts_sql_together(node: ast.AST) -> bool:
    match node:
        case ast.JoinedStr():
            return _starts_as_sql(node)
        case ast.BinOp(op=ast.Mod() | ast.Add(), left=left):
            return _is_sql(left)
        case ast.Call(func=ast.Attribute(value=value)):
            return _is_sql(value)
        case _:
            return False


def _starts_as_sql(node: ast.JoinedStr) -> bool:
    plain = "".join(str(part.value) if isinstance(part, ast.Constant) else " x " for part in node.values)
    return any(isinstance(part, ast.FormattedValue) for part in node.values) and bool(STATEMENT.match(plain))


def _is_sql(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(STATEMENT.match(node.value))


def _migrations(house: House) -> list[Path]:
    return sorted(path.relative_to(house.root) for path in (house.root / "src/tuanzi/migrations").rglob("*.sql"))


def _without_comments(sql: str) -> str:
    return re.sub(r"--.*", "", sql)


_HEADER = "-- Orders and their sub-orders.\n-- Spec: B8.\n-- Safe: a new table.\n-- Undo: drop it.\n"

RULES = (
    Rule(
        says="SQL stands in store.py",
        instead="put the statement into the room's store.py as a named text and import it from there",
        find=stray_statements,
        planted={"src/tuanzi/stock/queries.py": 'HELD = "SELECT held FROM portions WHERE dish_id = :dish_id"'},
        caught="says 'SELECT held FROM",
    ),
    Rule(
        says="SQL is written out, never formatted",
        instead="write the columns out and use `:named` slots, so that it can be copied to a console and not injected",
        find=formatted_statements,
        planted={"src/tuanzi/stock/store.py": 'def held(n): return f"SELECT held FROM portions WHERE dish_id = {n}"'},
        caught="formats f'SELECT held",
    ),
    Rule(
        says="SQL is not glued",
        instead="write one statement for each question",
        find=formatted_statements,
        planted={"src/tuanzi/stock/store.py": 'HELD = "SELECT held FROM portions WHERE " + WHERE'},
        caught="formats 'SELECT held",
    ),
    Rule(
        says="lists are bounded",
        instead="end the statement with LIMIT and page by key",
        find=unbounded_lists,
        planted={"src/tuanzi/stock/store.py": 'HELD = "SELECT held FROM portions ORDER BY dish_id"'},
        caught="has no LIMIT",
    ),
    Rule(
        says="SQL of rooms and migrations is portable",
        instead="say it so that SQLite and MySQL both understand; what only one knows lives in engines",
        find=dialects,
        planted={
            "src/tuanzi/migrations/core/0001_orders.sql": _HEADER
            + "CREATE TABLE t (n INTEGER PRIMARY KEY AUTOINCREMENT);"
        },
        caught="says 'AUTOINCREMENT'",
    ),
    Rule(
        says="a migration has its header",
        instead="begin it with comment lines: what, spec id, why it is safe beside the release before, how to undo",
        find=headless_migrations,
        planted={"src/tuanzi/migrations/core/0001_orders.sql": _HEADER.partition("-- Undo")[0]},
        caught="its header does not say how to undo it",
    ),
    Rule(
        says="migrations are numbered without gaps",
        instead="call it NNNN_<what>.sql with the number after the last one in its folder",
        find=misnumbered_migrations,
        planted={
            "src/tuanzi/migrations/core/0001_orders.sql": _HEADER,
            "src/tuanzi/migrations/core/0003_groups.sql": _HEADER,
        },
        caught="0003_groups.sql: follows 0001",
    ),
    Rule(
        says="migrations are numbered once",
        instead="call it NNNN_<what>.sql with the number after the last one in its folder",
        find=misnumbered_migrations,
        planted={
            "src/tuanzi/migrations/core/0001_groups.sql": _HEADER,
            "src/tuanzi/migrations/core/0001_orders.sql": _HEADER,
        },
        caught="0001_orders.sql: follows 0001",
    ),
)
