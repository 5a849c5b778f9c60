"""Live: what happened, told to the people it concerns while they look (A1, A3 to A6, B9). Database: notices.

Owns stream_runs, posted_events, stream_chapters, stream_cursors, stream_floors, log_positions, order_owners,
stream_epochs, forgotten_streams, stream_escalations.
Hears, through the logs of core, money and delivery, the events of `TELLS`; emits nothing. Messages are numbered without
gaps in each person's stream and kept for 7 days; pictures of groups are sent as they change, and forgotten.
"""

from __future__ import annotations

from tuanzi.live import service
from tuanzi.live.handlers import TELLS, LiveTeller
from tuanzi.live.model import (
    PERSONS_STREAM,
    AnyMessage,
    Arrival,
    GroupPicture,
    OpsPicture,
    claim_for,
    stream_of_person,
    text_of,
)
from tuanzi.live.queries import Escalations, Gatekeeper, StreamArchive, find_log_position, rename_history
from tuanzi.live.store import KEEPS, TABLES
from tuanzi.live.web import PATH, Address, routes
from tuanzi.machinery.room import Room
from tuanzi.people import ForgetPerson, Keys

__all__ = [
    "PATH",
    "PERSONS_STREAM",
    "TELLS",
    "Address",
    "AnyMessage",
    "Arrival",
    "Escalations",
    "Gatekeeper",
    "GroupPicture",
    "LiveTeller",
    "OpsPicture",
    "StreamArchive",
    "claim_for",
    "find_log_position",
    "rename_history",
    "room",
    "stream_of_person",
    "text_of",
]


def room(*, keys: Keys, address: Address) -> Room:
    """Live as wiring puts it into the house. address: where the gateway listens, as clients are told."""
    return Room(
        name="live",
        database="notices",
        tables=TABLES,
        commands={ForgetPerson: service.forget_stream},
        routes=routes(keys=keys, address=address),
        keeps=KEEPS,
    )
