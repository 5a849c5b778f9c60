"""The port to the command log: where commands of other processes wait for their campus's writers (architecture 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class Entry(Struct, frozen=True, gc=False):
    """One command as the log keeps it. number: its place in the order of its campus, growing, not always by one.

    mark: of the log and its history; two logs, or one that lost its end and grew again, never give an entry of the same
    number the same mark. "" where a log lives no longer than its readers.
    """

    number: int
    body: bytes
    mark: str = ""


class After(Struct, frozen=True, gc=False):
    """Where an owner reads on: after the entry of this number, 0 for all.

    until: the last entry of which he keeps anything. marks: up to that one, (the first number, its mark) in order.
    """

    number: int = 0
    until: int = 0
    marks: tuple[tuple[int, str], ...] = ()

    def mark_of(self, number: int) -> str:
        """The mark that an entry must have; "" where it may be any."""
        if number > self.until:
            return ""
        return next((mark for first, mark in reversed(self.marks) if first <= number), "")


class Owner(Protocol):
    """Who carries out commands here; every method is called in the event loop, one at a time for each campus.

    Whatever `begin` or `take` raises, `end` follows; a second later the campus begins anew, as long as it is given to
    this process. So an owner whose database is away, or has fenced him, need not repeat anything himself.
    """

    async def begin(self, campus: str) -> After:
        """The campus is given to this process; gives where it reads on. A log in which entries that he keeps have
        other marks gives nothing, and says so until a person looked."""

    async def take(self, campus: str, entries: Sequence[Entry]) -> None:
        """Commands in order. Returns when more may come, so that whoever reads waits for whoever decides."""

    async def end(self, campus: str) -> None:
        """Nothing more of the campus comes: it is another process's now, or nobody's, or `begin` or `take` failed.

        Whoever hands over waits for this, two seconds at most.
        """


class CommandLog(Protocol):
    """One order of commands for each campus, for any number of writing processes and one reading one.

    What `append` returned for is safe from a crash of any one process or server. Nothing is lost; what a sender did not
    hear of may be there, once or twice. While a campus changes hands its old reader may not know that yet: so
    whoever carries out keeps the number with the effect, and is fenced by his database's cursor, not by this log.
    """

    async def append(self, campus: str, bodies: Sequence[bytes]) -> None:
        """Put commands at the end, in this order. Raises Unavailable: then nobody knows which of them are there."""

    async def read(self, owner: Owner) -> None:
        """Take a share of the campuses and give their commands to `owner`, until cancelled; then let go of them.
        Returns, when cancelled, after the owner has ended. One log may have several readers.

        The campuses are shared out among all processes that read; one that dies loses its share within seconds.
        """

    async def close(self) -> None:
        """Let go of connections; what was appended stays."""
