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
# What SQLite alone understands, or MySQL does not, or both in two ways: docs/sql.md says how each differs.
DIALECT = re.compile(
    r"\b(?:AUTOINCREMENT|AUTO_INCREMENT|WITHOUT\s+ROWID|STRICT|PRAGMA|ON\s+CONFLICT|ON\s+DUPLICATE|INSERT\s+OR|ROWID|"
    r"REPLACE\s+INTO|RETURNING|ENGINE\s*=|LIKE|ILIKE|GLOB|REGEXP|COLLATE|DIV|OFFSET|CURRENT_(?:TIMESTAMP|DATE|TIME)|"
    r"NULLS\s+(?:FIRST|LAST)|FULL\s+(?:OUTER\s+)?JOIN|INTERSECT|EXCEPT|IS\s+(?:NOT\s+)?DISTINCT|FOR\s+UPDATE)\b"
    r"|\b(?:AVG|TOTAL|LENGTH|ROUND|MOD|CAST|CONVERT|IF|IIF|IFNULL|NVL|CONCAT|GROUP_CONCAT|STRING_AGG|PRINTF|FORMAT|"
    r"STRFTIME|DATETIME|JULIANDAY|UNIXEPOCH|NOW|RANDOM|RAND|JSON_\w+|UPPER|LOWER|TRIM)\s*\("
    r"|\bCREATE\s+(?:UNIQUE\s+)?INDEX\b[^;]*\bWHERE\b|\bIN\s*\(\s*SELECT\b[^)]*\bLIMIT\b"
    r"|\|\||[\"`\\/%]|==|<=>|->|::|\bLIMIT\s+[:\w]+\s*,",
    re.IGNORECASE,
)
# What columns may be, and how wide a key may be in MySQL: 3,072 bytes of 4 for each character.
COLUMN = re.compile(r"^ {4}(?!CHECK\b|PRIMARY\b|UNIQUE\b|FOREIGN\b)(\w+)\s+(\w+(?:\(\d+\))?)", re.MULTILINE)
ADDED_COLUMN = re.compile(r"\bADD\s+COLUMN\s+(\w+)\s+(\w+(?:\(\d+\))?)", re.IGNORECASE)
TYPE = re.compile(r"BIGINT|TEXT|VARCHAR\(\d+\)")
KEY_CHARACTERS_MAX = 3072 // 4
# Words that MySQL 8.4, MariaDB 11 or TiDB 8 take for their own where a name should stand.
_WORDS = """
accessible add all alter analyze and as asc asensitive before between bigint binary blob both by call cascade case
change char character check collate column condition constraint continue convert create cross cube cume_dist
current_date current_role current_time current_timestamp current_user cursor database databases day_hour
day_microsecond day_minute day_second dec decimal declare default delayed delete dense_rank desc describe
deterministic distinct distinctrow div double drop dual each else elseif empty enclosed escaped except exists exit
explain false fetch first_value float float4 float8 for force foreign from fulltext function generated get grant
group grouping groups having high_priority hour_microsecond hour_minute hour_second if ignore ilike in index infile
inner inout insensitive insert int int1 int2 int3 int4 int8 integer intersect interval into is iterate join
json_table key keys kill lag last_value lateral lead leading leave left like limit linear lines load localtime
localtimestamp lock long longblob longtext loop low_priority manual match maxvalue mediumblob mediumint mediumtext
middleint minute_microsecond minute_second mod modifies natural not nth_value ntile null numeric of offset on
optimize option optionally or order out outer outfile over page_checksum parallel parse_vcol_expr partition
percent_rank precision primary procedure purge qualify range rank read reads read_write real recursive
references regexp release rename repeat replace require resignal restrict return returning revoke right rlike row
row_number rows schema schemas second_microsecond select sensitive separator set show signal smallint spatial
specific sql sqlexception sqlstate sqlwarning ssl starting statistics stored straight_join system table tablesample
terminated then tidb tinyblob tinyint tinytext to trailing trigger true undo union unique unlock unsigned until
update usage use using utc_date utc_time utc_timestamp values varbinary varchar varcharacter varying virtual when
where while window with write xor year_month zerofill
"""
RESERVED = frozenset(_WORDS.split())
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
        found = DIALECT.search(_without_glue(_without_comments(house.read(path))))
        if found:
            yield f"{path}: says {found[0]!r}"


def _without_glue(text: str) -> str:
    """A migration that turns rows into JSON glues texts; every engine of ours is told to understand that."""
    return re.sub(r"\|\||\bGROUP_CONCAT\b", " ", re.sub(r"'[^']*'", "''", text))


def nameless_tables(house: House) -> Iterator[str]:
    """SELECTs in the place of a table that are not called anything, as MySQL wants it."""
    for module in house.in_rooms(kinds=("store",)):
        for node, text in _texts(module):
            for found in re.finditer(r"\bFROM\s*\(\s*SELECT\b", text, re.IGNORECASE):
                rest = _after_brackets(text[found.start() :])
                if rest is not None and not re.match(r"\s*AS\s+\w+", rest, re.IGNORECASE):
                    yield module.at(node, f"selects from a nameless SELECT: {' '.join(text.split())[:60]!r}")


def foreign_columns(house: House) -> Iterator[str]:
    """Columns of migrations whose name or type another database would not take, and keys too wide for it."""
    for path in _migrations(house):
        sql = _without_comments(house.read(path))
        widths: dict[str, int] = {}
        for table in re.findall(r"\b(?:TABLE|INDEX)\s+(\w+)", sql):
            if table.lower() in RESERVED:
                yield f"{path}: calls something {table!r}, a word of MySQL's own"
        for name, kind in [*COLUMN.findall(sql), *ADDED_COLUMN.findall(sql)]:
            if name.lower() in RESERVED:
                yield f"{path}: calls a column {name!r}, a word of MySQL's own"
            if not TYPE.fullmatch(kind):
                yield f"{path}: {name} is {kind}, not BIGINT, VARCHAR(n) or TEXT"
            digits = re.search(r"\d+", kind)
            widths[name] = max(widths.get(name, 0), 10_000 if kind == "TEXT" else int(digits[0]) if digits else 2)
        for names in re.findall(r"(?:PRIMARY KEY|UNIQUE|\bON \w+) \(([\w, ]+)\)", sql):
            width = sum(widths.get(name.strip(), 0) for name in names.split(","))
            if width > KEY_CHARACTERS_MAX:
                yield f"{path}: a key of ({names}) has {width} characters, of which MySQL takes {KEY_CHARACTERS_MAX}"


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


def _after_brackets(text: str) -> str | None:
    """What stands behind the first brackets of a text; None when they do not end in it."""
    depth = 0
    for i, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and character == ")":
            return text[i + 1 :]
    return None


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
        says="SQL of rooms says what every database takes the same",
        instead="see docs/sql.md; say it with comparisons, IN, COALESCE, CASE, SUM, MIN, MAX, COUNT and INSTR",
        find=dialects,
        planted={"src/tuanzi/stock/store.py": 'HELD = "SELECT held FROM portions WHERE dish_id LIKE :some LIMIT 1"'},
        caught="says 'LIKE'",
    ),
    Rule(
        says="a SELECT in the place of a table has a name",
        instead="call it something: FROM (SELECT ...) AS next_ones",
        find=nameless_tables,
        planted={"src/tuanzi/stock/store.py": 'HELD = "SELECT MIN(n) FROM (SELECT n FROM portions LIMIT 3) LIMIT 1"'},
        caught="selects from a nameless SELECT",
    ),
    Rule(
        says="columns are of three types, and no words of a database",
        instead="use BIGINT (0 and 1 for yes and no), VARCHAR(n) or TEXT, a name of its own, and keys of short columns",
        find=foreign_columns,
        planted={
            "src/tuanzi/migrations/core/0001_orders.sql": _HEADER
            + "CREATE TABLE t (\n    id VARCHAR(64) NOT NULL PRIMARY KEY,\n    is_open BOOLEAN NOT NULL\n);"
        },
        caught="is_open is BOOLEAN",
    ),
    Rule(
        says="no column is called by a word of MySQL",
        instead="find another word, so that nobody has to quote it",
        find=foreign_columns,
        planted={
            "src/tuanzi/migrations/core/0001_orders.sql": _HEADER
            + "CREATE TABLE t (\n    id VARCHAR(64) NOT NULL PRIMARY KEY,\n    lines BIGINT NOT NULL\n);"
        },
        caught="calls a column 'lines'",
    ),
    Rule(
        says="keys are as short as MySQL takes them",
        instead="index a shorter column, or a hash of it",
        find=foreign_columns,
        planted={
            "src/tuanzi/migrations/core/0001_orders.sql": _HEADER
            + "CREATE TABLE t (\n    id VARCHAR(64) NOT NULL PRIMARY KEY,\n    body TEXT NOT NULL\n);\n"
            + "CREATE INDEX t_by_body ON t (body, id);"
        },
        caught="a key of (body, id)",
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
