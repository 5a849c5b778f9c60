"""The tables of live, in the database `notices`, and the statements streams are read with."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from tuanzi.live.model import PERSONS_STREAM, OrderOwner
from tuanzi.machinery.room import Keeps
from tuanzi.machinery.several import SEVERAL, SEVERAL_ROWS
from tuanzi.machinery.tables import table


class StreamMessage(Struct, frozen=True, kw_only=True, gc=False):
    """A message as it is kept; body: the JSON that is sent."""

    event_id: str
    chapter: int
    stream: str
    number: int
    kind: str
    at: datetime
    body: str


class StreamChapter(Struct, frozen=True, kw_only=True, gc=False):
    """Some messages that were kept one after the other; those of a stream have larger numbers in a later chapter."""

    chapter: int
    begun_at: datetime


class StreamCursor(Struct, frozen=True, kw_only=True, gc=False):
    """How far a stream was ever sent and acknowledged."""

    stream: str
    sent: int
    acked: int


class StreamFloor(Struct, frozen=True, kw_only=True, gc=False):
    """The last number of a stream that is not kept any more."""

    stream: str
    floor: int


class LogPosition(Struct, frozen=True, kw_only=True, gc=False):
    """The last event of a log that was told."""

    source: str
    number: int


class StreamEpoch(Struct, frozen=True, kw_only=True, gc=False):
    """The name of this history of streams; a new one is made after a restore from a backup. One row, id 'streams'."""

    id: str
    epoch: str


class ForgottenStream(Struct, frozen=True, kw_only=True, gc=False):
    """A stream whose person was erased: nothing of it is kept, nor of what is still told to it."""

    stream: str
    since: datetime


class EscalationState(StrEnum):
    """What became of messages that nobody acknowledged in time."""

    DUE = "due"  # other means have not taken them yet
    HANDED = "handed"
    LATE = "late"  # they were acknowledged after all


class StreamEscalation(Struct, frozen=True, kw_only=True, gc=False):
    """Messages of a stream that nobody acknowledged in time, from one number to another."""

    id: str
    stream: str
    first_number: int
    last_number: int
    state: EscalationState
    at: datetime


STREAM_MESSAGES = table("stream_messages", StreamMessage, key="event_id")
STREAM_CHAPTERS = table("stream_chapters", StreamChapter, key="chapter")
STREAM_CURSORS = table("stream_cursors", StreamCursor, key="stream")
STREAM_FLOORS = table("stream_floors", StreamFloor, key="stream")
LOG_POSITIONS = table("log_positions", LogPosition, key="source")
ORDER_OWNERS = table("order_owners", OrderOwner, key="order_id")
STREAM_EPOCHS = table("stream_epochs", StreamEpoch, key="id")
FORGOTTEN_STREAMS = table("forgotten_streams", ForgottenStream, key="stream")
STREAM_ESCALATIONS = table("stream_escalations", StreamEscalation, key="id")

TABLES = (
    STREAM_MESSAGES,
    STREAM_CHAPTERS,
    STREAM_CURSORS,
    STREAM_FLOORS,
    LOG_POSITIONS,
    ORDER_OWNERS,
    STREAM_EPOCHS,
    FORGOTTEN_STREAMS,
    STREAM_ESCALATIONS,
)

BEGIN_ANEW = "UPDATE stream_epochs SET epoch = '{fresh}';"
EPOCH = "SELECT epoch FROM stream_epochs ORDER BY id LIMIT 1"

POSITION = "SELECT number FROM log_positions WHERE source = :source ORDER BY source LIMIT 1"

# A stream is read chapter by chapter: some 3 us for each, and a campus of a million messages a week has 125.
STREAM_STATE = """
SELECT
    COALESCE((
        SELECT m.number FROM stream_chapters c CROSS JOIN stream_messages m
        WHERE m.chapter = c.chapter AND m.stream = :stream
        ORDER BY c.chapter DESC, m.number DESC LIMIT 1
    ), 0),
    COALESCE((SELECT floor FROM stream_floors WHERE stream = :stream), 0),
    COALESCE((SELECT sent FROM stream_cursors WHERE stream = :stream), 0),
    COALESCE((SELECT acked FROM stream_cursors WHERE stream = :stream), 0)
ORDER BY 1 LIMIT 1
"""

# Where several streams are: one with no message any more ends at its floor.
NEWEST_OF_STREAMS = (
    "SELECT " + "m.stream, MAX(m.number) FROM stream_chapters c CROSS JOIN " + SEVERAL_ROWS + " AS s"
    " CROSS JOIN stream_messages m WHERE m.chapter = c.chapter AND m.stream = s.id"
    " GROUP BY m.stream ORDER BY m.stream LIMIT 100"
)
FLOORS_OF_STREAMS = (
    "SELECT " + "stream, floor FROM stream_floors WHERE stream IN (" + SEVERAL + ") ORDER BY stream LIMIT 100"
)

# All of them, chapter by chapter, then where those end that have no message any more.
CHAPTERS_BEFORE = "SELECT chapter FROM stream_chapters WHERE chapter < :before ORDER BY chapter DESC LIMIT 1"
NEWEST_OF_CHAPTER = """
SELECT stream, MAX(number) FROM stream_messages WHERE chapter = :chapter AND stream > :after
GROUP BY stream ORDER BY stream LIMIT :limit
"""
FLOORS_AFTER = "SELECT stream, floor FROM stream_floors WHERE stream > :after ORDER BY stream LIMIT :limit"

CURSORS_OF_STREAMS = (
    "SELECT " + "stream, sent, acked FROM stream_cursors WHERE stream IN (" + SEVERAL + ") ORDER BY stream LIMIT 100"
)

MESSAGES_AFTER = """
SELECT m.number, m.body FROM stream_chapters c CROSS JOIN stream_messages m
WHERE m.chapter = c.chapter AND m.stream = :stream AND m.number > :after
ORDER BY c.chapter, m.number LIMIT :limit
"""

# The chapter that is written now, and how many messages it has.
NEWEST_CHAPTER = """
SELECT chapter, (SELECT COUNT(*) FROM stream_messages m WHERE m.chapter = c.chapter)
FROM stream_chapters c ORDER BY chapter DESC LIMIT 1
"""

KNOWN_EVENTS = (
    "SELECT " + "event_id FROM stream_messages WHERE event_id IN (" + SEVERAL + ") ORDER BY event_id LIMIT 100"
)

OLDEST_MESSAGES = """
SELECT event_id, stream, number FROM stream_messages
WHERE at_ms < :before_ms ORDER BY at_ms, event_id LIMIT :limit
"""

# Chapters before one that began so long ago, when none of their messages is left.
EMPTY_CHAPTERS = """
SELECT c.chapter FROM stream_chapters c
WHERE c.chapter < (SELECT MAX(chapter) FROM stream_chapters WHERE begun_at_ms < :before_ms)
AND NOT EXISTS (SELECT 1 FROM stream_messages m WHERE m.chapter = c.chapter)
ORDER BY c.chapter LIMIT :limit
"""

# Of people who were erased lately; later nothing is told to them any more.
FORGOTTEN_MESSAGES = """
SELECT m.event_id, m.stream, m.number FROM forgotten_streams f CROSS JOIN stream_chapters c CROSS JOIN stream_messages m
WHERE f.since_ms > :since_ms AND m.chapter = c.chapter AND m.stream = f.stream
ORDER BY m.stream, m.number LIMIT :limit
"""

OLDEST_OWNERS = """
SELECT order_id FROM order_owners WHERE at_ms < :before_ms ORDER BY at_ms, order_id LIMIT :limit
"""

OWNER_OF = """
SELECT order_id, group_id, member_id, is_member, at_ms FROM order_owners
WHERE order_id = :order_id ORDER BY order_id LIMIT 1
"""

OWNERS_OF_GROUP = """
SELECT order_id, group_id, member_id, is_member, at_ms FROM order_owners
WHERE group_id = :group_id AND is_member = 1 ORDER BY order_id LIMIT 200
"""

# The newest number of each stream that was written to in the last moments of all; `stream < :end` and `>= :prefix`.
RECENT_STREAMS = """
SELECT stream, MAX(number) FROM stream_messages
WHERE at_ms > (SELECT COALESCE(MAX(at_ms), 0) FROM stream_messages) - :back_ms AND stream >= :prefix AND stream < :end
GROUP BY stream ORDER BY stream LIMIT :limit
"""
ESCALATED_OF_STREAMS = (
    "SELECT "
    + "stream, MAX(last_number) FROM stream_escalations WHERE stream IN ("
    + SEVERAL
    + ") GROUP BY stream ORDER BY stream LIMIT 100"
)
FORGOTTEN_OF_STREAMS = (
    "SELECT " + "stream FROM forgotten_streams WHERE stream IN (" + SEVERAL + ") ORDER BY stream LIMIT 100"
)
_ESCALATION = ", ".join(f"e.{column}" for column in STREAM_ESCALATIONS.columns)
DUE_ESCALATIONS = (
    "SELECT " + _ESCALATION + " FROM stream_escalations e WHERE e.state = 'due' ORDER BY e.at_ms, e.id LIMIT :limit"
)
LATE_ESCALATIONS = (
    "SELECT "
    + _ESCALATION
    + " FROM stream_escalations e CROSS JOIN stream_cursors c"
    + " WHERE e.state IN ('due', 'handed') AND c.stream = e.stream AND c.acked >= e.last_number"
    + " ORDER BY e.id LIMIT :limit"
)
OLDEST_ESCALATIONS = """
SELECT id FROM stream_escalations WHERE at_ms < :before_ms ORDER BY at_ms, id LIMIT :limit
"""
FORGOTTEN_ESCALATIONS = """
SELECT e.id FROM forgotten_streams f CROSS JOIN stream_escalations e
WHERE f.since_ms > :since_ms AND e.stream = f.stream ORDER BY e.id LIMIT :limit
"""

# Of one person, for his export.
KEPT_MESSAGES = (
    "SELECT "
    + ", ".join(STREAM_MESSAGES.columns)
    + " FROM stream_messages WHERE stream = :person_id AND event_id > :after ORDER BY event_id LIMIT :limit"
)
KEPT_CURSORS = """
SELECT stream, sent, acked FROM stream_cursors
WHERE stream = :person_id AND stream > :after ORDER BY stream LIMIT :limit
"""
KEPT_ESCALATIONS = (
    "SELECT "
    + ", ".join(STREAM_ESCALATIONS.columns)
    + " FROM stream_escalations WHERE stream = :person_id AND id > :after ORDER BY id LIMIT :limit"
)
KEPT_OWNERS = (
    "SELECT "
    + ", ".join(ORDER_OWNERS.columns)
    + " FROM order_owners WHERE order_id IN ("
    + SEVERAL
    + ") ORDER BY order_id LIMIT 100"
)
KEEPS = (
    Keeps(table="stream_messages", columns=STREAM_MESSAGES.columns, sql=KEPT_MESSAGES, prefix=PERSONS_STREAM),
    Keeps(table="stream_cursors", columns=STREAM_CURSORS.columns, sql=KEPT_CURSORS, prefix=PERSONS_STREAM),
    Keeps(table="stream_escalations", columns=STREAM_ESCALATIONS.columns, sql=KEPT_ESCALATIONS, prefix=PERSONS_STREAM),
    Keeps(table="order_owners", columns=ORDER_OWNERS.columns, sql=KEPT_OWNERS, of_orders=True),
)
