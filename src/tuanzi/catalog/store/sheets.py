"""Imports: the rows of a CSV file or of a whole catalog in JSON, and what is wrong with them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from tuanzi.base.phone import PhoneInText, find_phones
from tuanzi.base.problem import Problem, Words
from tuanzi.catalog.problems import HoursInvalid, ImportTooLarge, Unfit
from tuanzi.catalog.store.entries import ENTRIES, Value
from tuanzi.machinery.http.misfits import broken_json, words_of

IMPORT_BYTES_MAX = 2 * 1024 * 1024
IMPORT_ROWS_MAX = 5_000
ERRORS_LISTED_MAX = 5_000
_MISSING = Words("缺少这一项", "This is missing.")
_TWICE = Words("这个编号出现了两次", "This id stands here twice.")
_NO_COLUMN = Words("没有这一列", "There is no such column.")
_NO_LIST = Words("没有这个列表", "There is no such list.")
_LIST = Words("应为列表", "A list is expected.")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class ImportKind(StrEnum):
    """What a file holds: one kind as CSV, or a whole catalog as JSON."""

    BUILDINGS = "buildings"
    MERCHANTS = "merchants"
    DISHES = "dishes"
    CATALOG = "catalog"


class RowError(Struct, frozen=True, kw_only=True, gc=False):
    """What is wrong in one cell of an import.

    row: as a spreadsheet counts for CSV, its header being 1; for JSON the place in its list, from 1; 0 for the file.
    code: the refusal's, `catalog/cell-invalid` where the text cannot be read. reason, reason_zh: for people, in English
    and Chinese, for an answer is kept and read by others. value: what was given, shortened.
    """

    kind: str
    row: int
    column: str
    code: str
    reason: str
    reason_zh: str
    value: str


class SheetRow(Struct, frozen=True, kw_only=True, gc=False):
    """A good row and the value it stands for."""

    kind: str
    row: int
    value: Value


class Sheet(Struct, frozen=True, kw_only=True, gc=False):
    """An import as read: the values of its good rows and what is wrong with the others."""

    rows: tuple[SheetRow, ...]
    errors: tuple[RowError, ...]
    rows_total: int


@lru_cache(maxsize=2)
def read_sheet(kind: ImportKind, content: str) -> Sheet:
    """The rows of an import, checked one by one; what they refer to is not looked at yet.

    Remembers the last two, so that the edge can read a file before the writer does. About 40 ms for 5,000 dishes.
    Raises ImportTooLarge.
    """
    if len(content) > IMPORT_BYTES_MAX or len(content.encode(errors="replace")) > IMPORT_BYTES_MAX:
        raise ImportTooLarge(bytes_max=IMPORT_BYTES_MAX, rows_max=IMPORT_ROWS_MAX)
    content = content.removeprefix("\ufeff")  # Excel begins its CSV with it
    errors: list[RowError] = []
    cells = list(_json_rows(content, errors) if kind is ImportKind.CATALOG else _csv_rows(kind, content, errors))
    rows: list[SheetRow] = []
    seen: set[tuple[str, str]] = set()
    for list_name, number, row in cells:
        value, wrong = _read_row(list_name, number, row, is_text=kind is not ImportKind.CATALOG)
        errors.extend(wrong)
        if value is None:
            continue
        if (list_name, value.id) in seen:
            errors.append(_error(list_name, number, "id", "catalog/given-twice", _TWICE, value.id))
        seen.add((list_name, value.id))
        rows.append(SheetRow(kind=list_name, row=number, value=value))
    return Sheet(rows=tuple(rows), errors=tuple(errors), rows_total=len(cells))


def csv_columns(kind: ImportKind) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns that a CSV file of this kind must have, and all that it may have; hours are one column a day."""
    required: list[str] = []
    allowed: list[str] = []
    for field in msgspec.structs.fields(ENTRIES[kind]):
        names = DAYS if field.name == "hours" else (field.name,)
        allowed += names
        required += names if field.required else ()
    return tuple(required), tuple(allowed)


def refusal_error(kind: str, row: int, problem: Unfit) -> RowError:
    """A refusal as a row's error."""
    return _error(kind, row, problem.field, problem.code, _title(type(problem)), problem.value)


def _read_row(kind: str, number: int, cells: object, *, is_text: bool) -> tuple[Value | None, list[RowError]]:
    """The value of a row, or None and every cell that is wrong."""
    entry_kind = ENTRIES[kind]
    phones = list(find_phones(cells))
    if phones:  # what was given is not shown, for answers are kept
        return None, [_error(kind, number, at[1:], PhoneInText.code, _title(PhoneInText), "") for at in phones]
    try:
        if is_text:
            cells = _untangled(cells)
        entry = msgspec.convert(cells, entry_kind, strict=not is_text)
        return entry.value() if hasattr(entry, "value") else entry, []
    except Unfit as problem:
        wrong = refusal_error(kind, number, problem)
        if is_text and wrong.column.startswith("hours["):
            wrong = msgspec.structs.replace(wrong, column=DAYS[int(wrong.column[6])])
        return None, [wrong]
    except msgspec.ValidationError as error:
        if not isinstance(cells, dict):
            return None, [_cell_error(kind, number, "", words_of(error, entry_kind), cells)]
        return None, list(_cell_errors(kind, number, entry_kind, cells, is_text=is_text))


def _cell_errors(
    kind: str, number: int, entry_kind: Any, cells: Mapping[str, Any], *, is_text: bool
) -> Iterator[RowError]:
    """Every cell of a row that does not convert."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(entry_kind)}
    for name, field in fields.items():
        if name not in cells:
            if field.required:
                yield _cell_error(kind, number, name, _MISSING, "")
            continue
        try:
            msgspec.convert(cells[name], field.type, strict=not is_text)
        except msgspec.ValidationError as error:
            _, _, path = str(error).partition(" - at `$")
            yield _cell_error(kind, number, name + path.rstrip("`"), words_of(error, field.type), cells[name])
        except Unfit as problem:
            yield refusal_error(kind, number, problem)
    for name in cells:
        if name not in fields:
            yield _cell_error(kind, number, name, _NO_COLUMN, cells[name])


def _json_rows(content: str, errors: list[RowError]) -> Iterator[tuple[str, int, object]]:
    """The rows of a whole catalog: (list, place in it from 1, what stands there)."""
    try:
        lists = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        errors.append(_cell_error("catalog", 0, "", broken_json(error), ""))
        return
    for name, rows in lists.items():
        if name not in ENTRIES:
            errors.append(_cell_error("catalog", 0, name, _NO_LIST, ""))
        elif name == "campus":
            continue
        elif not isinstance(rows, list):
            errors.append(_cell_error("catalog", 0, name, _LIST, rows))
    _check_size(sum(len(rows) for rows in lists.values() if isinstance(rows, list)))
    for name in ENTRIES:
        if name == "campus" and name in lists:
            yield name, 1, lists[name]
        elif isinstance(rows := lists.get(name), list):
            yield from ((name, i, row) for i, row in enumerate(rows, start=1))


def _csv_rows(kind: ImportKind, content: str, errors: list[RowError]) -> Iterator[tuple[str, int, object]]:
    """The rows of a CSV file (RFC 4180) by the names in its first: (kind, number, cells)."""
    try:
        lines = [
            line for line in enumerate(csv.reader(io.StringIO(content, newline=""), strict=True), start=1) if line[1]
        ]
    except csv.Error as error:
        errors.append(_cell_error(kind, 0, "", Words(f"不是能读的 CSV：{error}", f"This is no CSV: {error}"), ""))
        return
    _check_size(len(lines) - 1)
    header = [cell.strip() for cell in lines[0][1]] if lines else []
    wrong = list(_header_errors(kind, header))
    errors.extend(wrong)
    if wrong:
        return
    for number, line in lines[1:]:
        if len(line) == len(header):
            yield kind, number, dict(zip(header, (cell.strip() for cell in line), strict=True))
        else:
            reason = Words(
                f"应有 {len(header)} 格，实有 {len(line)} 格", f"{len(header)} cells are expected, not {len(line)}."
            )
            errors.append(_cell_error(kind, number, "", reason, ",".join(line)))


def _header_errors(kind: ImportKind, header: Sequence[str]) -> Iterator[RowError]:
    required, allowed = csv_columns(kind)
    for name in required:
        if name not in header:
            yield _cell_error(kind, 1, name, Words("缺少这一列", "This column is missing."), "")
    for i, name in enumerate(header):
        if name not in allowed:
            yield _cell_error(kind, 1, name, _NO_COLUMN, name)
        elif name in header[:i]:
            yield _cell_error(kind, 1, name, Words("这一列出现了两次", "This column stands here twice."), name)


def _untangled(cells: Any) -> dict[str, Any]:
    """CSV cells as the entry has them: days become hours, `a*1|b*2` items, `x|y` tags. Raises HoursInvalid."""
    row: dict[str, Any] = {name: cell for name, cell in cells.items() if name not in DAYS}
    if DAYS[0] in cells:
        row["hours"] = [[_read_span(day, span) for span in cells[day].split()] for day in DAYS]
    if "items" in cells:
        pairs = [item.strip().partition("*") for item in cells["items"].split("|") if item.strip()]
        row["items"] = [{"dish_id": id, "quantity": quantity or "1"} for id, _, quantity in pairs]
    if "tags" in cells:
        row["tags"] = [tag.strip() for tag in cells["tags"].split("|") if tag.strip()]
    return row


def _read_span(day: str, text: str) -> dict[str, int]:
    """The minutes of `10:00-14:30`; `26:00` is 2 o'clock on the next day."""
    minutes = []
    for clock in text.split("-"):
        hour, _, minute = clock.partition(":")
        if not (hour.isascii() and hour.isdigit() and len(hour) <= 2 and minute.isascii() and minute.isdigit()):
            raise HoursInvalid(field=day, value=text)
        if len(minute) != 2 or int(minute) > 59:
            raise HoursInvalid(field=day, value=text)
        minutes.append(int(hour) * 60 + int(minute))
    if len(minutes) != 2:
        raise HoursInvalid(field=day, value=text)
    return {"opens_minute": minutes[0], "closes_minute": minutes[1]}


def _check_size(rows: int) -> None:
    if rows > IMPORT_ROWS_MAX:
        raise ImportTooLarge(bytes_max=IMPORT_BYTES_MAX, rows_max=IMPORT_ROWS_MAX)


def _cell_error(kind: str, row: int, column: str, reason: Words, value: object) -> RowError:
    return _error(kind, row, column, "catalog/cell-invalid", reason, value)


def _error(kind: str, row: int, column: str, code: str, reason: Words, value: object) -> RowError:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return RowError(
        kind=str(kind),
        row=row,
        column=column[:80],
        code=code,
        reason=reason.en,
        reason_zh=reason.zh,
        value=text[:80],
    )


def _title(kind: type[Problem]) -> Words:
    return Words(kind.title_zh, kind.title_en())
