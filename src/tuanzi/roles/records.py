"""What every database of every campus keeps of a person, for himself (J3, PIPL art. 45)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from tuanzi.installation import Front
from tuanzi.machinery.http.problems import TooManyRequests
from tuanzi.machinery.http.routes import Call, Desk, Route
from tuanzi.machinery.internal import ANSWERS_OF
from tuanzi.machinery.limiter import Limiter
from tuanzi.machinery.room import Keeps
from tuanzi.machinery.several import AT_ONCE, rows_of_there
from tuanzi.orders import order_ids_of
from tuanzi.wiring import CAMPUS_DATABASES, House

# Our choice: about 200 kB; a page ends after the part that reaches it.
ROWS_A_PAGE = 200
# Our choice: a page asks every table of every campus, 9 ms of a processor for two of them, as much as twenty other
# requests. So many at once are the longest export; then one a second.
PAGES_PER_S, PAGES_AT_ONCE = 1, 200

_ANSWERS = Keeps(table="kept_answers", columns=("idempotency_key", "command", "body", "kept_at_ms"), sql=ANSWERS_OF)


class RecordsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`after` is the `next` of the page before."""

    after: Annotated[str, Meta(max_length=200, pattern=r"^([0-9]{1,4}\..*)?$(?!\n)")] = ""


class KeptRow(Struct, frozen=True, kw_only=True, gc=False):
    """One row, by its columns: `_fen` are fen, `_ms` milliseconds since 1970 in UTC. campus: "" for the platform's."""

    campus: str
    database: str
    table: str
    row: dict[str, Any]


class RecordPage(Struct, frozen=True, kw_only=True, gc=False):
    """Rows that are kept of a person; `next` is None on the last page, and a page may be short before it."""

    items: tuple[KeptRow, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """One table of one database. core: where the orders of its campus are."""

    campus: str
    database: str
    keeps: Keeps
    desk: Desk
    core: Desk

    async def read(self, person_id: str, *, after: str, limit: int) -> tuple[list[KeptRow], str]:
        """The next rows and after what to go on; "" when these were the last."""
        keeps = self.keeps
        if not keeps.of_orders:
            slots = {"person_id": f"{keeps.prefix}{person_id}", "after": after, "limit": limit}
            rows = await self.desk.rows(keeps.sql, slots)
            return self._shown(rows), str(rows[-1][0]) if len(rows) == limit else ""
        ids = await order_ids_of(self.core, person_id, after=after, limit=AT_ONCE)
        rows = await rows_of_there(self.desk.rows, keeps.sql, ids)
        return self._shown(rows), ids[-1] if len(ids) == AT_ONCE else ""

    def _shown(self, rows: Sequence[tuple[Any, ...]]) -> list[KeptRow]:
        return [
            KeptRow(
                campus=self.campus,
                database=self.database,
                table=self.keeps.table,
                row={column: _cell(cell) for column, cell in zip(self.keeps.columns, row, strict=True)},
            )
            for row in rows
        ]


async def records_of(house: House | Front, person_id: str, *, after: str) -> RecordPage:
    """All that is kept of a person beside what `people` exports, a page at a time, table by table."""
    parts = _parts(house)
    number, _, key = after.partition(".")
    at = int(number or 0)
    items: list[KeptRow] = []
    while at < len(parts) and len(items) < ROWS_A_PAGE:
        rows, key = await parts[at].read(person_id, after=key, limit=ROWS_A_PAGE)
        items += rows
        if not key:
            at += 1
    return RecordPage(items=tuple(items), next=f"{at}.{key}" if at < len(parts) else None)


def _parts(house: House | Front) -> list[Part]:
    parts = [Part("", "platform", _ANSWERS, house.platform, house.platform)]
    campuses: Mapping[str, Any] = house.campuses
    for campus, desks in sorted(campuses.items()):
        for room in house.rooms:
            parts += [
                Part(campus, room.database, keeps, getattr(desks, room.database), desks.core) for keeps in room.keeps
            ]
        parts += [Part(campus, kind, _ANSWERS, getattr(desks, kind), desks.core) for kind in CAMPUS_DATABASES]
    return parts


def _cell(cell: Any) -> Any:
    """What a cell holds: of text that is JSON, what it says."""
    if isinstance(cell, str) and cell[:1] in ("{", "["):
        try:
            return msgspec.json.decode(cell)
        except msgspec.DecodeError:
            return cell
    return cell


def records_route(house: House | Front) -> Route:
    """The route of it."""
    limiter = Limiter(PAGES_PER_S, PAGES_AT_ONCE)

    async def show_records(call: Call[None, RecordsQuery]) -> RecordPage:
        """GET /v1/me/records: all that campuses keep of the signed-in person."""
        if wait_s := limiter.take(call.caller.person_id, call.now):
            raise TooManyRequests(retry_after_s=ceil(wait_s))
        return await records_of(house, call.caller.person_id, after=call.query.after)

    return Route(
        "GET",
        "/v1/me/records",
        show_records,
        answer=RecordPage,
        query=RecordsQuery,
        summary="All that campuses keep of oneself, row by row",
    )
