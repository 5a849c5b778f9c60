"""The ports of a gateway: who lets clients in, where messages are kept, and what carries them to all gateways."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from msgspec import Struct

from tuanzi.machinery.tables import Row, Table


class Kept(Struct, frozen=True, gc=False):
    """A committed message of a stream; numbers of a stream have no gap. data: JSON."""

    stream: str
    number: int
    data: bytes


class Ticket(Struct, frozen=True, kw_only=True):
    """Who a client is, until when that is believed, and the stream that is his alone."""

    person_id: str
    session_id: str
    campus_id: str
    stream: str
    expires_at: datetime
    rights: object


class ChannelKind(StrEnum):
    """How a channel is sent."""

    STREAM = "stream"  # durable: numbered, kept, resumed from any number
    PICTURE = "picture"  # ephemeral: what something looks like now, merged, dropped first


class Gate(Protocol):
    """Who may come in and see what. Raises Refused or Closing of `protocol`."""

    async def admit(self, token: str) -> Ticket:
        """Who holds this token; his session is looked up each time."""

    async def kind_of(self, ticket: Ticket, channel: str) -> ChannelKind:
        """How this person hears a channel; refused when he may not see it, or when there is none."""

    async def picture(self, campus_id: str, channel: str, watching: int) -> bytes:
        """What a channel looks like now, as JSON; watching: how many people hear it at this gateway."""


class StreamState(Struct, frozen=True, kw_only=True, gc=False):
    """Where a stream is: newest number, the last number no longer kept, the highest ever sent and acknowledged."""

    newest: int = 0
    floor: int = 0
    sent: int = 0
    acked: int = 0


class Draft(Struct, frozen=True, gc=False):
    """A message that has no number yet. data: JSON.

    event_id: of a message that no log's event means: the same for every repeat, told apart from all others (A3). Of
    the others the place of their event in its log says whether they were told.
    """

    stream: str
    data: bytes
    event_id: str = ""


class Batch(Struct):
    """What is kept together: numbered messages, the room's rows, how far each log is read, what was laid aside.

    messages: in order; those of a stream have one number after the other. posted: the ids of those that no log's event
    means. heard: what is laid aside no more.
    """

    at: datetime
    messages: list[tuple[Draft, int]] = []
    posted: list[str] = []
    inserts: list[tuple[Table[Any], list[Row]]] = []
    upserts: list[tuple[Table[Any], list[Row]]] = []
    positions: dict[str, int] = {}
    parked: list[tuple[str, int, str, str]] = []  # source, number, name, reason
    heard: list[tuple[str, int]] = []  # source, number


class Archive(Protocol):
    """Where the streams of one campus are kept."""

    async def load(self, stream: str) -> StreamState:
        """Where a stream is; one that nobody wrote to is at 0."""

    async def read(self, stream: str, *, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Messages after a number, in order, at most `limit`."""

    async def newest(self, streams: Sequence[str]) -> dict[str, int]:
        """The newest number of each of these streams."""

    async def newest_of_all(self, *, streams_max: int) -> dict[str, int] | None:
        """The newest number of every stream that was ever written to; None when there are more than `streams_max`."""

    async def position(self, source: str) -> int:
        """The last event of a log whose messages are kept, 0 before the first: the exact check of a log's events."""

    async def known(self, event_ids: Sequence[str]) -> set[str]:
        """Which of these posts are kept already: the exact check behind the Bloom filter (A3)."""

    async def keep(self, batch: Batch) -> None:
        """Keep messages, rows and positions in one commit. Raises RowRefused's problem when a post's id or a number is
        there already, Unavailable when nothing can be kept now."""

    async def is_parked(self, source: str, number: int) -> bool:
        """Whether this event is laid aside."""

    async def oldest_parked(self, source: str) -> int | None:
        """The number of the oldest event of a source that is laid aside."""

    async def sweep(self, *, before: datetime, limit: int) -> int:
        """Forget at most `limit` rows from before a time, the oldest first; how many there were."""

    async def keep_cursors(self, cursors: Sequence[tuple[str, int, int]]) -> None:
        """Remember how far streams were sent and acknowledged: (stream, sent, acked). Less than before, or a repeat,
        changes nothing."""


class Escalated(Struct, frozen=True, kw_only=True, gc=False):
    """Messages of one stream, from one number to another, that nobody acknowledged in time. id: for ever this one's."""

    id: str
    stream: str
    first_number: int
    last_number: int

    @property
    def count(self) -> int:
        """How many messages these are."""
        return self.last_number - self.first_number + 1


class EscalationBook(Protocol):
    """Where it is kept what was escalated. At most one in all processes changes it."""

    async def recent(self, prefix: str, *, back: timedelta) -> dict[str, int]:
        """The newest number of each stream that was written to shortly before the newest message of all."""

    async def escalate(self, noted: Mapping[str, int], *, at: datetime) -> list[Escalated]:
        """Keep that the messages up to these numbers were escalated that are neither acknowledged nor escalated
        already, in one commit; those. A repeat finds none."""

    async def due(self, *, limit: int) -> list[Escalated]:
        """What other means have not taken yet, the oldest first."""

    async def handed(self, escalated: Sequence[Escalated]) -> None:
        """Keep that other means have taken these."""

    async def find_late(self, *, limit: int) -> list[Escalated]:
        """Keep which were acknowledged after all, at most `limit`; those."""


class Elsewhere(Protocol):
    """Other means to reach a person whose phone does not listen: a phone maker's push, a text message."""

    async def hand_over(self, campus_id: str, escalated: Sequence[Escalated]) -> None:
        """Take these; one whose id was taken before has no second effect. What it raises: none was, ask again later."""


class Node(Protocol):
    """A gateway, as the fan-out sees it."""

    def deliver(self, batch: Sequence[Kept]) -> None:
        """Committed messages, in order of each stream; what is missing is found in the archive."""

    def change(self, channel: str) -> None:
        """A channel's picture has changed."""

    def catch_up(self) -> None:
        """Something may not have been heard: look in the archive, and at every picture. Must be quick; works beside."""


class FanOut(Protocol):
    """Carries what was committed to every gateway. A bell, not a letterbox: what it loses is found by the numbers."""

    def publish(self, campus_id: str, batch: Sequence[Kept]) -> None:
        """Tell every gateway of a campus what was committed."""

    def change(self, campus_id: str, channels: Sequence[str]) -> None:
        """Tell every gateway of a campus that pictures have changed."""

    def join(self, campus_id: str, node: Node) -> None:
        """Be told from now on."""


class Drafts(Struct):
    """What some events mean for those who listen: messages, rows of the room's own, and pictures that change."""

    messages: list[Draft] = []
    inserts: list[tuple[Table[Any], list[Row]]] = []
    upserts: list[tuple[Table[Any], list[Row]]] = []
    pictures: dict[str, None] = {}

    def upsert(self, table: Table[Any], row: Row) -> None:
        """Keep a row too, in one statement with those of the same table that came just before."""
        if self.upserts and self.upserts[-1][0] is table:
            self.upserts[-1][1].append(row)
        else:
            self.upserts.append((table, [row]))


class Teller(Protocol):
    """Says what events mean: which becomes which message for whom."""

    @property
    def heard(self) -> Sequence[type]:
        """The events it says anything about."""

    @property
    def patient(self) -> Collection[type]:
        """Those of them that may be told a little later, with more of their kind: nobody waits for them."""

    async def prepare(self, events: Sequence[Any]) -> None:
        """Learn what `tell` will need to know of these events; may ask the database."""

    def tell(self, event: Any, drafts: Drafts, *, now: datetime) -> None:
        """Add what one event means. What it raises lays this event aside and touches no other."""
