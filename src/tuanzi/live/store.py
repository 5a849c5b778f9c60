"""The tables of live, in the database `notices`, and the statements streams are read with."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from tuanzi.live.model import PERSONS_STREAM, OrderOwner
from tuanzi.machinery.room import Keeps
from tuanzi.machinery.several import SEVERAL, SEVERAL_ROWS
from tuanzi.machinery.tables import table


class StreamRun(Struct, frozen=True, kw_only=True, gc=False):
    """Messages of a stream that were told together, from one number to another.

    messages: a JSON list of what is sent.
    """

    chapter: int
    stream: str
    last_number: int
    first_number: int
    at: datetime
    messages: str


class PostedEvent(Struct, frozen=True, kw_only=True, gc=False):
    """The id of a message that no log's event means, for as long as messages are kept."""

    event_id: str
    at: datetime


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


STREAM_RUNS = table("stream_runs", StreamRun, key=("chapter", "stream", "last_number"))
POSTED_EVENTS = table("posted_events", PostedEvent, key="event_id")
STREAM_CHAPTERS = table("stream_chapters", StreamChapter, key="chapter")
STREAM_CURSORS = table("stream_cursors", StreamCursor, key="stream")
STREAM_FLOORS = table("stream_floors", StreamFloor, key="stream")
LOG_POSITIONS = table("log_positions", LogPosition, key="source")
ORDER_OWNERS = table("order_owners", OrderOwner, key="order_id")
STREAM_EPOCHS = table("stream_epochs", StreamEpoch, key="id")
FORGOTTEN_STREAMS = table("forgotten_streams", ForgottenStream, key="stream")
STREAM_ESCALATIONS = table("stream_escalations", StreamEscalation, key="id")

TABLES = (
    STREAM_RUNS,
    POSTED_EVENTS,
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
        SELECT r.last_number FROM stream_chapters c CROSS JOIN stream_runs r
        WHERE r.chapter = c.chapter AND r.stream = :stream
        ORDER BY c.chapter DESC, r.last_number DESC LIMIT 1
    ), 0),
    COALESCE((SELECT floor FROM stream_floors WHERE stream = :stream), 0),
    COALESCE((SELECT sent FROM stream_cursors WHERE stream = :stream), 0),
    COALESCE((SELECT acked FROM stream_cursors WHERE stream = :stream), 0)
ORDER BY 1 LIMIT 1
"""

# Where several streams are: one with no message any more ends at its floor.
NEWEST_OF_STREAMS = (
    "SELECT " + "r.stream, MAX(r.last_number) FROM stream_chapters c CROSS JOIN " + SEVERAL_ROWS + " AS s"
    " CROSS JOIN stream_runs r WHERE r.chapter = c.chapter AND r.stream = s.id"
    " GROUP BY r.stream ORDER BY r.stream LIMIT 100"
)
FLOORS_OF_STREAMS = (
    "SELECT " + "stream, floor FROM stream_floors WHERE stream IN (" + SEVERAL + ") ORDER BY stream LIMIT 100"
)

# All of them, chapter by chapter, then where those end that have no message any more.
CHAPTERS_BEFORE = "SELECT chapter FROM stream_chapters WHERE chapter < :before ORDER BY chapter DESC LIMIT 1"
NEWEST_OF_CHAPTER = """
SELECT stream, MAX(last_number) FROM stream_runs WHERE chapter = :chapter AND stream > :after
GROUP BY stream ORDER BY stream LIMIT :limit
"""
FLOORS_AFTER = "SELECT stream, floor FROM stream_floors WHERE stream > :after ORDER BY stream LIMIT :limit"

CURSORS_OF_STREAMS = (
    "SELECT " + "stream, sent, acked FROM stream_cursors WHERE stream IN (" + SEVERAL + ") ORDER BY stream LIMIT 100"
)

# Runs of at least one message each; the first one may begin before.
RUNS_AFTER = """
SELECT r.first_number, r.messages FROM stream_chapters c CROSS JOIN stream_runs r
WHERE r.chapter = c.chapter AND r.stream = :stream AND r.last_number > :after
ORDER BY c.chapter, r.last_number LIMIT :limit
"""

# The chapter that is written now, and how many messages it has.
NEWEST_CHAPTER = """
SELECT chapter, COALESCE((
    SELECT SUM(r.last_number - r.first_number + 1) FROM stream_runs r WHERE r.chapter = c.chapter
), 0)
FROM stream_chapters c ORDER BY chapter DESC LIMIT 1
"""

KNOWN_POSTS = "SELECT " + "event_id FROM posted_events WHERE event_id IN (" + SEVERAL + ") ORDER BY event_id LIMIT 100"
OLDEST_POSTS = """
SELECT event_id FROM posted_events WHERE at_ms < :before_ms ORDER BY at_ms, event_id LIMIT :limit
"""

# Of chapters that were begun so long ago: of these all but the last have nothing else, and go when they are empty.
OLDEST_RUNS = """
SELECT r.chapter, r.stream, r.last_number FROM stream_chapters c CROSS JOIN stream_runs r
WHERE c.begun_at_ms < :before_ms AND r.chapter = c.chapter AND r.at_ms < :before_ms
ORDER BY c.chapter, r.stream, r.last_number LIMIT :limit
"""

# Chapters before one that began so long ago, when none of their messages is left.
EMPTY_CHAPTERS = """
SELECT c.chapter FROM stream_chapters c
WHERE c.chapter < (SELECT MAX(chapter) FROM stream_chapters WHERE begun_at_ms < :before_ms)
AND NOT EXISTS (SELECT 1 FROM stream_runs r WHERE r.chapter = c.chapter)
ORDER BY c.chapter LIMIT :limit
"""

# Of people who were erased lately; later nothing is told to them any more.
FORGOTTEN_RUNS = """
SELECT r.chapter, r.stream, r.last_number
FROM forgotten_streams f CROSS JOIN stream_chapters c CROSS JOIN stream_runs r
WHERE f.since_ms > :since_ms AND r.chapter = c.chapter AND r.stream = f.stream
ORDER BY r.stream, r.last_number LIMIT :limit
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

# When the newest message of all was kept, and the newest number of each stream that was written to after a time, in the
# chapters that were written then; `stream < :end` and `>= :prefix`.
NEWEST_AT = """
SELECT at_ms FROM stream_runs WHERE chapter = (SELECT MAX(chapter) FROM stream_chapters) ORDER BY at_ms DESC LIMIT 1
"""
RECENT_STREAMS = """
SELECT r.stream, MAX(r.last_number) FROM stream_chapters c CROSS JOIN stream_runs r
WHERE c.chapter >= (SELECT COALESCE(MAX(chapter), 0) FROM stream_chapters WHERE begun_at_ms <= :after_ms)
AND r.chapter = c.chapter AND r.at_ms > :after_ms AND r.stream >= :prefix AND r.stream < :end
GROUP BY r.stream ORDER BY r.stream LIMIT :limit
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
_KEPT_RUN = ("last_number", *[column for column in STREAM_RUNS.columns if column != "last_number"])
KEPT_RUNS = (
    "SELECT "
    + ", ".join(f"r.{column}" for column in _KEPT_RUN)
    + " FROM stream_chapters c CROSS JOIN stream_runs r WHERE r.chapter = c.chapter AND r.stream = :person_id"
    + " AND r.last_number > CAST(:after AS DECIMAL) ORDER BY r.last_number LIMIT :limit"
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
    Keeps(table="stream_runs", columns=_KEPT_RUN, sql=KEPT_RUNS, prefix=PERSONS_STREAM),
    Keeps(table="stream_cursors", columns=STREAM_CURSORS.columns, sql=KEPT_CURSORS, prefix=PERSONS_STREAM),
    Keeps(table="stream_escalations", columns=STREAM_ESCALATIONS.columns, sql=KEPT_ESCALATIONS, prefix=PERSONS_STREAM),
    Keeps(table="order_owners", columns=ORDER_OWNERS.columns, sql=KEPT_OWNERS, of_orders=True),
)
