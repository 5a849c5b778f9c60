"""The rows the machinery keeps for itself beside a room's: timers, kept answers, positions, parked events."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from tuanzi.base.unit import Key
from tuanzi.machinery.tables import Row, Table, table


class Timer(Struct, frozen=True, kw_only=True, gc=False):
    """A command or errand to be carried out at `due_at`; `attempts` failed so far."""

    id: str
    due_at: datetime
    command: str
    body: str
    attempts: int = 0


class KeptAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """The answer to a keyed command, to be given again to whoever repeats it (C4)."""

    who: str
    idempotency_key: str
    command: str
    fingerprint: str
    body: str
    kept_at: datetime


class FollowerPosition(Struct, frozen=True, kw_only=True, gc=False):
    """The last event of another database whose effect is kept in this one."""

    source: str
    number: int


class LogMark(Struct, frozen=True, kw_only=True, gc=False):
    """The mark of the command log's entries from this number on, until the next one's."""

    first_number: int
    mark: str


class ParkedEvent(Struct, frozen=True, kw_only=True, gc=False):
    """An event whose listener failed because of a bug; laid aside so that the ones after it are heard."""

    source: str
    number: int
    name: str
    reason: str
    parked_at: datetime


class CommittedEvent(Struct, frozen=True, kw_only=True, gc=False):
    """An event as its log keeps it. Swept 90 days later, once all have heard it (`sweeping`)."""

    number: int
    name: str
    version: int
    at: datetime
    body: str


class HearParked(Struct, frozen=True, kw_only=True, gc=False):
    """Hear an event after all that was laid aside. name, version, body: its row in the `events` of its source."""

    source: str
    number: int
    name: str
    version: int
    body: str


class ForgetAnswers(Struct, frozen=True, kw_only=True, gc=False):
    """Forget kept answers that nobody will ask for any more; each is (who, key)."""

    answers: tuple[tuple[str, str], ...]


class Rows(Struct, kw_only=True):
    """Rows ready to be kept as they are, for those who write too many to decide them one by one (decision 0014).

    The tables must be ones whose values no command loads: the writer's memory does not hear of these rows.
    """

    inserts: list[tuple[Table[Any], list[Row]]] = []
    upserts: list[tuple[Table[Any], list[Row]]] = []
    removes: list[tuple[Table[Any], list[Key]]] = []


TIMERS = table("timers", Timer, key="id")
KEPT_ANSWERS = table("kept_answers", KeptAnswer, key=("who", "idempotency_key"))
FOLLOWER_POSITIONS = table("follower_positions", FollowerPosition, key="source")
LOG_MARKS = table("log_marks", LogMark, key="first_number")
EVENTS = table("events", CommittedEvent, key="number")
PARKED_EVENTS = table("parked_events", ParkedEvent, key=("source", "number"))

# The source under which a database keeps how far it has read the command log.
COMMAND_LOG = "commands"

FIRST_TIMERS = "SELECT id, due_at_ms, command, body, attempts FROM timers ORDER BY due_at_ms, id LIMIT :limit"
EVENTS_AFTER = """
SELECT number, name, version, at_ms, body FROM events WHERE number > :after ORDER BY number LIMIT :limit
"""
EVENT = "SELECT name, version, body FROM events WHERE number = :number ORDER BY number LIMIT 1"
OLDEST_EVENTS = "SELECT number, at_ms FROM events ORDER BY number LIMIT :limit"
OLDEST_PARKED = "SELECT number FROM parked_events WHERE source = :source ORDER BY source, number LIMIT 1"
PARKED_EVENT = """
SELECT name FROM parked_events WHERE source = :source AND number = :number ORDER BY source, number LIMIT 1
"""
NEWEST_EVENT = "SELECT event_number FROM writer_cursor WHERE id = 1 ORDER BY id LIMIT 1"
POSITION_OF_SOURCE = "SELECT number FROM follower_positions WHERE source = :source ORDER BY source LIMIT 1"
NEWEST_MARKS = "SELECT first_number, mark FROM log_marks ORDER BY first_number DESC LIMIT :limit"
ANSWERS_BEFORE = """
SELECT who, idempotency_key FROM kept_answers
WHERE kept_at_ms < :before_ms ORDER BY kept_at_ms, who, idempotency_key LIMIT :limit
"""
ANSWERS_OF = """
SELECT idempotency_key, command, body, kept_at_ms FROM kept_answers
WHERE who = :person_id AND idempotency_key > :after ORDER BY idempotency_key LIMIT :limit
"""
OLDEST_ANSWER = "SELECT kept_at_ms FROM kept_answers ORDER BY kept_at_ms, who, idempotency_key LIMIT 1"
