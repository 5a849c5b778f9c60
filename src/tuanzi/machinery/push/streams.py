"""Streams as a gateway holds them: a window of the newest messages, who reads, and how far each is (A4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tuanzi.machinery.push.ports import Kept, StreamState
from tuanzi.machinery.push.protocol import head_of

if TYPE_CHECKING:
    from tuanzi.machinery.push.client import Client


class Reader:
    """One client's place in one stream: nothing waits for him but this number."""

    __slots__ = ("at", "client", "is_reading", "stream")

    def __init__(self, client: Client, stream: Stream, at: int) -> None:
        self.client = client
        self.stream = stream
        self.at = at
        self.is_reading = False  # the database is being asked for him


class Stream:
    """One stream in memory; about 600 bytes and its window."""

    __slots__ = ("acked", "first", "floor", "head", "is_open", "name", "newest", "readers", "sent", "window")

    def __init__(self, name: str) -> None:
        self.name = name
        self.head = head_of(name)
        self.newest = 0
        self.floor = 0
        self.sent = 0
        self.acked = 0
        self.is_open = False
        self.first = 1  # the number of the first message of the window
        self.window: deque[bytes] = deque()
        self.readers: list[Reader] = []

    def open(self, state: StreamState) -> None:
        """Know what is kept; what was delivered meanwhile stays, as long as nothing that is kept follows it."""
        if not self.reach(state.newest) and not self.window:
            self.first = self.newest + 1
        self.floor, self.sent, self.acked = state.floor, state.sent, state.acked
        self.is_open = True

    def append(self, message: Kept) -> bool:
        """Hold a message; False for one that is held or was passed already."""
        if message.number <= self.newest:
            return False
        if self.window and message.number != self.newest + 1:
            self.window.clear()  # what is missing between is read from the archive
        if not self.window:
            self.first = message.number
        self.window.append(message.data)
        self.newest = message.number
        return True

    def reach(self, number: int) -> bool:
        """Know that everything up to `number` is kept; False when that was known. It is read from the archive."""
        if number <= self.newest:
            return False
        self.newest = number
        self.window.clear()
        self.first = number + 1
        return True

    def forget_first(self, number: int) -> None:
        """Let the oldest message go, if it is still this one."""
        if self.window and self.first == number:
            self.window.popleft()
            self.first += 1

    def holds(self, number: int) -> bool:
        """Whether the window has this message."""
        return self.first <= number < self.first + len(self.window)

    def after(self, number: int, limit: int) -> Iterator[tuple[int, bytes]]:
        """Messages of the window after `number`, at most `limit`; `holds(number + 1)` must be so."""
        start = number + 1 - self.first
        for i in range(start, min(len(self.window), start + limit)):
            yield self.first + i, self.window[i]

    def state_of_sending(self) -> tuple[str, int, int]:
        """What is kept of how far it was sent and acknowledged."""
        return self.name, self.sent, self.acked
