"""Doing what a writer asks of its database, here and now."""

from __future__ import annotations

from typing import Any

from tuanzi.machinery.database import Database, DatabaseUnavailable, Fenced, Flush, RowRefused
from tuanzi.machinery.writer.words import Fetch, Outcome, Step, Steps


def drive(steps: Steps, database: Database) -> list[Outcome]:
    """Carry out a writer's steps on a database, here and now. Raises Fenced."""
    reply: Any = None
    error: Exception | None = None
    while True:
        try:
            step = steps.throw(error) if error is not None else steps.send(reply)
        except StopIteration as done:
            outcomes: list[Outcome] = done.value
            return outcomes
        reply, error = take(step, database)


def take(step: Step, database: Database) -> tuple[Any, Exception | None]:
    """Do what a step asks; its result, or the database's error. Raises Fenced."""
    try:
        if isinstance(step, Fetch):
            return [(table, keys, database.fetch(table, keys)) for table, keys in step.wanted], None
        keep(step.flush, database)
    except (RowRefused, DatabaseUnavailable) as error:
        return None, error
    return None, None


def keep(flush: Flush, database: Database) -> None:
    """Commit a batch; when the outcome is unknown, the cursor tells. Raises RowRefused, DatabaseUnavailable, Fenced."""
    try:
        database.commit(flush)
    except DatabaseUnavailable as error:
        position, _ = database.cursor()
        find_out(flush, position, error)


def find_out(flush: Flush, position: int, error: DatabaseUnavailable, *, until: int | None = None) -> None:
    """Return when a batch was kept all the same, else raise `error`, or Fenced when another writer has gone on.

    position: where the cursor stands now. until: where it stands when those that were said after it are kept too.
    """
    if position == flush.before:
        raise error
    if not flush.after <= position <= (flush.after if until is None else until):
        raise Fenced(f"the cursor stands at {position}, not {flush.before}") from None
