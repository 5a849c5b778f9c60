"""Asking for many rows a page at a time: by their ids, `... WHERE id IN (` + SEVERAL + `) ...`, or by a period."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tuanzi.base.time import to_ms
from tuanzi.machinery.database import Ask

# What asks a desk in SQL, with `:name` slots.
Rows = Callable[[str, Mapping[str, Any] | None], Awaitable[list[tuple[Any, ...]]]]

# Our choice: one statement serves all pages, so that it stays prepared; a short page repeats its last id.
AT_ONCE = 100

SEVERAL = ", ".join(f":id{i}" for i in range(AT_ONCE))

# The same ids as a table, `FROM a CROSS JOIN ` + SEVERAL_ROWS + ` AS s`, whose column is `id`: for a key of which they
# are a later part. MariaDB looks into it for each row of a table, but for a list reads all that the first part has.
SEVERAL_ROWS = "(" + " UNION ".join(f"SELECT :id{i} AS id" for i in range(AT_ONCE)) + ")"

# Our choice: for ids that come together by chance; a hundred would mostly be the last of them again and again.
FEW_AT_ONCE = 16
FEW = ", ".join(f":id{i}" for i in range(FEW_AT_ONCE))

# Our choice: rows of a period are read so many at once.
OF_PERIOD_AT_ONCE = 1_000


# Our choice: what must be whole is asked for so; as many rows as that may not be all, and more are asked for.
WHOLE_AT_FIRST = 1_000
WHOLE_TIMES = 8


def whole_rows(
    ask: Ask, sql: str, slots: Mapping[str, Any] | None = None, *, at_first: int = WHOLE_AT_FIRST
) -> list[tuple[Any, ...]]:
    """All rows of `... LIMIT :limit`, however many there are: for what is added up, or shown as all there is.

    at_first: how many are asked for at first, more than there mostly are: asking again costs the whole again.
    """
    for bounded in _bounds(slots, at_first=at_first):
        rows = ask(sql, bounded)
        if len(rows) < bounded["limit"]:
            break
    return rows


async def whole_rows_there(
    rows_of_desk: Rows, sql: str, slots: Mapping[str, Any] | None = None, *, at_first: int = WHOLE_AT_FIRST
) -> list[tuple[Any, ...]]:
    """As `whole_rows`, asked of a desk: `whole_rows_there(desk.rows, sql)`."""
    for bounded in _bounds(slots, at_first=at_first):
        rows = await rows_of_desk(sql, bounded)
        if len(rows) < bounded["limit"]:
            break
    return rows


def _bounds(slots: Mapping[str, Any] | None, *, at_first: int) -> Iterator[dict[str, Any]]:
    limit = at_first
    while True:
        yield {**(slots or {}), "limit": limit}
        limit *= WHOLE_TIMES


def several(ids: Sequence[str], *, at_once: int = AT_ONCE) -> Iterator[dict[str, str]]:
    """The slots of SEVERAL, or of FEW, page by page; none for no ids."""
    for i in range(0, len(ids), at_once):
        page = ids[i : i + at_once]
        padded = (*page, *[page[-1]] * (at_once - len(page)))
        yield {f"id{n}": id for n, id in enumerate(padded)}


def rows_of(ask: Ask, sql: str, ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """The rows of a statement with SEVERAL, for all of these ids; all, where it is bounded by `:limit`."""
    return [row for slots in several(ids) for row in whole_rows(ask, sql, slots)]


async def rows_of_there(rows_of_desk: Rows, sql: str, ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """As `rows_of`, asked of a desk."""
    return [row for slots in several(ids) for row in await whole_rows_there(rows_of_desk, sql, slots)]


def rows_of_period(ask: Ask, sql: str, begins: datetime, ends: datetime) -> Iterator[tuple[Any, ...]]:
    """The rows of `... WHERE id > :after AND at_ms >= :from_ms AND at_ms < :until_ms ORDER BY id LIMIT :limit`.

    Their first column is what they are ordered by.
    """
    after = ""
    while True:
        slots = {"after": after, "from_ms": to_ms(begins), "until_ms": to_ms(ends), "limit": OF_PERIOD_AT_ONCE}
        rows = ask(sql, slots)
        yield from rows
        if len(rows) < OF_PERIOD_AT_ONCE:
            return
        after = rows[-1][0]
