"""Follows another database's event log into this one: every event in order, exactly once in effect (architecture 1).

Fed from memory while it keeps up and from the `events` table when it does not; what it handled is a row of the
target's own commit, so a crash between the two databases repeats nothing and loses nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import Any

from tuanzi.machinery.codec import Codec, Unreadable
from tuanzi.machinery.tables import Row
from tuanzi.machinery.writer import Request

Numbered = tuple[int, Any]

# Our choice: 20,000 events wait in memory (about 10 MB); a follower further behind reads the table.
WAITING_MAX = 20_000
# A follower that hears nothing of what happens still moves its position this often, so a restart reads little.
SILENT_MAX = 1_000


class Follower:
    """The reading end of one source's log for one target; pure bookkeeping, the I/O is its caller's.

    heard: the event types the target has listeners for; others only move the position.
    """

    def __init__(self, source: str, *, heard: Collection[type[Any]], codec: Codec, position: int) -> None:
        self.source = source
        self.position = position  # kept in the target
        self._handed = position  # handed out, perhaps not kept yet
        self._seen = position  # the last number offered or read
        self._newest = position  # the last number known to exist
        self._silent = position  # the last number passed over because nobody here hears it
        self._heard = frozenset(heard) | {Unreadable}
        # What another release may hear is laid aside too; only what all know and nobody hears here is passed over.
        self._unheard_names = codec.event_names - {kind.name for kind in heard}
        self._codec = codec
        self._waiting: deque[Numbered] = deque()

    def offer(self, events: Sequence[Numbered]) -> None:
        """Events just committed by the source, in order; kept if they go on where memory ends and room is left."""
        if not events:
            return
        self._newest = max(self._newest, events[-1][0])
        if events[0][0] > self._seen + 1 or len(self._waiting) >= WAITING_MAX:
            return
        for number, event in events:
            if number > self._seen:
                self._waiting.append((number, event))
                self._seen = number

    def read(self, rows: Sequence[Row]) -> None:
        """Rows of the source's `events` table after `read_after`; raises AssertionError when a number is missing.

        One that cannot be read must not keep those after it from being heard: it is to be laid aside.
        """
        for number, name, version, _, body in rows:
            if number <= self._seen:
                continue
            assert number == self._seen + 1, f"{self.source}: event {self._seen + 1} is missing before {number}"
            if name in self._unheard_names:
                self._waiting.append((number, None))
            else:
                self._waiting.append((number, self._codec.event_if_readable(name, version, body)))
            self._seen = number
        self._newest = max(self._newest, self._seen)

    @property
    def read_after(self) -> int:
        """The number after which the table must be read."""
        return self._seen

    @property
    def is_behind(self) -> bool:
        """Whether the source has events that memory does not."""
        return self._newest > self._seen

    @property
    def lag(self) -> int:
        """How many events the target has neither kept nor passed over yet."""
        reached = max(self.position, self._silent) if self.position == self._handed else self.position
        return self._newest - reached

    @property
    def left(self) -> int:
        """How many events were neither handed out nor passed over yet."""
        return self._newest - max(self._handed, self._silent)

    def expect(self, number: int) -> None:
        """Know that the source's log reaches `number`."""
        self._newest = max(self._newest, number)

    def take(self, limit: int) -> list[Request]:
        """At most `limit` requests for the target's writer, to be carried out in this order."""
        requests: list[Request] = []
        waiting = self._waiting
        while waiting and len(requests) < limit:
            number, event = waiting.popleft()
            if type(event) in self._heard:
                parked = event.reason if type(event) is Unreadable else None
                requests.append(Request(event, source=self.source, number=number, after=self._handed, parked=parked))
            elif number - self._handed >= SILENT_MAX:
                requests.append(Request(None, source=self.source, number=number, after=self._handed))
            else:
                self._silent = number
                continue
            self._handed = number
        return requests

    def kept(self, number: int) -> None:
        """The target has committed everything up to `number`."""
        self.position = max(self.position, number)

    def start_over(self, position: int) -> None:
        """Forget what was handed out and go on after `position`, from the table."""
        self.position = self._handed = self._seen = self._silent = position
        self._waiting.clear()
