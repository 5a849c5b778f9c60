"""From values to rows and back: which rows keep a batch, in which order they are written."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from tuanzi.base.unit import Key
from tuanzi.machinery.database import Flush, Update
from tuanzi.machinery.internal import KeptAnswer, Timer
from tuanzi.machinery.memory import ABSENT, Damaged, Kinds, Memory
from tuanzi.machinery.tables import Differing, Row, Table, differing
from tuanzi.machinery.writer.batch import Work

log = logging.getLogger("tuanzi.writer")

_NOTHING: dict[Key, Any] = {}


class Layout:
    """The tables of a database, in the order in which a commit writes them."""

    def __init__(self, database: str, tables: Sequence[Table[Any]]) -> None:
        """tables: parents before those whose rows refer to them."""
        self._database = database
        self.tables = {table.kind: table for table in tables}
        self.key_of = {table.kind: table.key_of for table in tables}
        # Not kept in memory, so written whole: what of them a change changes is not known.
        self.history: set[type[Any]] = {Timer, KeptAnswer, *[table.kind for table in tables if table.is_history]}
        self._order = {table.kind: i for i, table in enumerate(tables)}
        self._to_row = {table.kind: table.to_row for table in tables}

    def flush_of(self, work: Work, *, before: int, commands: int, memory: Memory, pending: Kinds) -> Flush:
        """What keeps a batch. before: where the cursor stands. pending: what is being kept already, over `memory`."""
        history, kept, young = self.history, memory.find, memory.young
        inserts: dict[type[Any], list[Any]] = {}
        upserts: dict[type[Any], list[Any]] = {}
        removes: dict[type[Any], list[Any]] = {}
        updates: defaultdict[tuple[type[Any], Differing], list[Any]] = defaultdict(list)
        for kind, values in work.changes.items():
            added = work.added[kind]
            under_way, at_hand = pending.get(kind, _NOTHING), young[kind]
            whole, restored = kind in history, work.restored
            new, old, gone = [], [], []
            for key, value in values.items():
                if value is ABSENT:
                    if key not in added:
                        gone.append(key)
                elif key in added:
                    new.append(value)
                elif whole or (restored and (kind, key) in restored):
                    old.append(value)
                else:
                    # What stands there before this batch, as far as memory knows: what the row says.
                    stood = under_way.get(key) or at_hand.get(key) or kept((kind, key))
                    if type(stood) is kind:
                        updates[kind, differing(stood, value)].append(value)
                    else:
                        old.append(value)
            if new:
                inserts[kind] = new
            if old:
                upserts[kind] = old
            if gone:
                removes[kind] = gone
        flush = Flush(
            before=before,
            after=before + commands,
            event_number=work.number,
            inserts=self._rows_in_order(inserts),
            upserts=self._rows_in_order(upserts),
            updates=self._updates_in_order(updates),
            removes=[(self.tables[kind], removes[kind]) for kind in reversed(self._in_order(removes))],
            events=work.events,
        )
        for rows in work.rows:
            flush.inserts += rows.inserts
            flush.upserts += rows.upserts
            flush.removes += rows.removes
        return flush

    def value_of(self, table: Table[Any], row: Row) -> tuple[Any, Any]:
        """The key and value of a row; a damaged one fails the commands that read it, not the desk."""
        try:
            value = table.from_row(row)
        except (ValueError, TypeError, msgspec.MsgspecError) as error:
            key = tuple(row[table.columns.index(column)] for column in table.key)
            log.error(
                "writer.row_damaged",
                extra={"database": self._database, "table": table.name, "reason": type(error).__name__},
            )
            return key if len(key) > 1 else key[0], Damaged(f"{type(error).__name__}: {error}")
        return table.key_of(value), value

    def _rows_in_order(self, values: Mapping[type[Any], list[Any]]) -> list[tuple[Table[Any], list[Row]]]:
        to_row = self._to_row
        return [(self.tables[kind], list(map(to_row[kind], values[kind]))) for kind in self._in_order(values)]

    def _updates_in_order(self, values: Mapping[tuple[type[Any], Differing], list[Any]]) -> list[Update]:
        made = []
        for kind, differs in sorted(values, key=lambda one: self._order[one[0]]):
            table, some = self.tables[kind], values[kind, differs]
            if part := table.part_of(differs):
                rows = list(map(part.to_row, some))
                made.append(Update(table, part.columns, rows, partial(_rows, table, some)))
        return made

    def _in_order(self, kinds: Iterable[type[Any]]) -> list[type[Any]]:
        return sorted(kinds, key=self._order.__getitem__)


def _rows(table: Table[Any], values: list[Any]) -> list[Row]:
    return list(map(table.to_row, values))
