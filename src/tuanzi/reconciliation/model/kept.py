"""What is kept of comparing: runs, the differences they found, and the chain of reports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.reconciliation.model.differences import Difference, Kind, Mend, Side


class State(StrEnum):
    """Where a difference is."""

    OPEN = "open"
    CARRIED = "carried"  # looked at again with the next day's bill
    REPAIRED = "repaired"
    SETTLED = "settled"  # by a person, or it was gone when it was looked at again


class KeptDifference(Struct, frozen=True, kw_only=True, gc=False):
    """A difference and what became of it; found again after its end it is open again, and `occurrences` counts.

    is_raised: a person must act; told once as an ERROR. ended_by: who ended it, "mend" or a person; `reason`: why.
    """

    id: str
    kind: Kind
    item: str
    order_id: str
    merchant_ids: tuple[str, ...]
    sides: tuple[Side, ...]
    unexplained_fen: int
    mend: Mend
    evidence: str
    state: State
    run_id: str
    found_at: datetime
    attempts: int = 0
    occurrences: int = 1
    is_raised: bool = False
    ended_at: datetime | None = None
    ended_by: str | None = None
    reason: str | None = None

    @property
    def is_ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.state in (State.REPAIRED, State.SETTLED)

    def covers(self, found: Difference) -> bool:
        """Whether what is found is no news: this is open, and no bill says another amount; or a bill says again what
        was dealt with."""
        if self.is_ended:
            return found.kind is not Kind.ORDER_BOOK and self.evidence == found.evidence
        return self.sides == found.sides or {self.mend, found.mend} != {Mend.SET_ASIDE}

    def ended(self, state: State, *, by: str, reason: str, at: datetime) -> KeptDifference:
        """With its end; one that ended stays as it is."""
        return self if self.is_ended else replace(self, state=state, ended_by=by, reason=reason, ended_at=at)


class RunKind(StrEnum):
    """Why books were compared."""

    MINUTE = "minute"
    DAILY = "daily"  # with the bills of a day
    ASKED = "asked"  # an operator wanted it


class Run(Struct, frozen=True, kw_only=True, gc=False):
    """One comparison that found something, or that was a day's or was asked for.

    on_day: whose bills were read. under_way: orders that were left to the next run, for events about them were not
    heard yet. unexplained_fen: of what was found, less what is carried.
    """

    id: str
    kind: RunKind
    on_day: str | None
    began_at: datetime
    ended_at: datetime
    orders_read: int
    lines_read: int
    under_way: int
    found: int
    unexplained_fen: int
    fault: str
    report_number: int


class Cursor(Struct, frozen=True, kw_only=True, gc=False):
    """How far the comparing is. `id` is always "books".

    core_number, money_number: events before were looked at. swept: the last order of the round through all of them.
    minute_runs: how many have been. summed_at, entries: the last time all entries were summed, and how many there were.
    billed: the last day whose bills were compared. report_number, report_hash: the end of the chain of reports.
    """

    id: str = "books"
    core_number: int = 0
    money_number: int = 0
    swept: str = ""
    minute_runs: int = 0
    last_run_at: datetime | None = None
    summed_at: datetime | None = None
    entries: int = 0
    billed: str = ""
    report_number: int = 0
    report_hash: str = ""


class Report(Struct, frozen=True, kw_only=True, gc=False):
    """What a run found, as JSON, for ever: `hash` is the SHA-256 of the hash before and the body."""

    number: int
    run_id: str
    made_at: datetime
    body: str
    previous: str
    hash: str


def report_hash(previous: str, body: str) -> str:
    """The hash of a report that follows the one with the hash `previous`; the first follows the empty one."""
    return sha256(f"{previous}\n{body}".encode()).hexdigest()


def broken_links(reports: Sequence[Report], *, after: int = 0, previous: str = "") -> list[int]:
    """The numbers of reports that are not as they were written, or not where; those that are gone count too.

    after, previous: the number and hash of the report before the first.
    """
    broken: list[int] = []
    number = after
    for report in reports:
        broken += range(number + 1, report.number)
        if report.previous != previous or report.hash != report_hash(report.previous, report.body):
            broken.append(report.number)
        number, previous = report.number, report.hash
    return broken


class Finding(Struct, frozen=True, kw_only=True, gc=False):
    """A difference, and the merchants whose payouts it concerns."""

    difference: Difference
    merchant_ids: tuple[str, ...] = ()
