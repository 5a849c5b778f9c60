"""What goes through a keeper: the logs it reads, at which pace, what their events mean, and its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from tuanzi.machinery.follower import Follower, Numbered
from tuanzi.machinery.push.ports import Drafts
from tuanzi.machinery.writer import Request

# An event that was laid aside: of which source, its number and name, and what went wrong.
Parked = tuple[str, int, str, str]


class Source(Protocol):
    """The desk whose events are followed."""

    @property
    def event_number(self) -> int: ...

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]: ...

    def subscribe(self, subscriber: Callable[[Sequence[Numbered]], None]) -> None: ...


@dataclass(slots=True)
class Log:
    """One source and how far it is read."""

    source: Source
    follower: Follower


@dataclass(frozen=True, slots=True)
class Pace:
    """How batches are begun: at once when the last one began `every_s` ago, else together with what comes until then,
    or with `events_max` events, whichever is first (decision 0021).

    patient_s: in place of `every_s`, if it is more, while only events wait that the teller calls patient.
    """

    every_s: float = 0.0
    patient_s: float = 0.0
    events_max: int = 64

    def wait_s(self, *, since_s: float, waiting: int, is_hurried: bool = True) -> float:
        """How long the next batch may wait for more. since_s: how long ago the last one began."""
        every_s = self.every_s if is_hurried else max(self.every_s, self.patient_s)
        return 0.0 if waiting >= self.events_max else max(0.0, every_s - since_s)


# Every batch begins as soon as the one before is kept.
AT_ONCE = Pace()


@dataclass(frozen=True, slots=True)
class ToldEvents:
    """Some events of one log, and the messages that they mean; those have no numbers yet."""

    log: Log
    requests: Sequence[Request]
    events: int
    drafts: Drafts
    parked: list[Parked]
    at: datetime


class KeeperFigures:
    """What a keeper has done since it started, for `/metrics`."""

    def __init__(self) -> None:
        self.batches = 0
        self.events = 0
        self.messages = 0
        self.repeats = 0  # dropped by the exact check
        self.parked = 0
        self.swept = 0
        self.busy_s = 0.0
