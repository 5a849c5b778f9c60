"""A writer that has just started and remembers nothing: what it knows, it read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.writer import Outcome, Request, Schema, Writer, drive


def carried_out(command: Any, *, schema: Schema, database: Sqlite, now: datetime) -> Outcome:
    """What becomes of a command."""
    position, number = database.cursor()
    writer = Writer(schema, position=position, event_number=number)
    [outcome] = drive(writer.carry_out([Request(command)], now=now), database)
    return outcome
