"""A split as a transaction over three databases: what its coordinator knows, says and hears (B3)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from tuanzi.base.branch import Branch, TransactionState
from tuanzi.base.ids import GroupId

# A branch's name, and the database where it is; "core" is the coordinator's own.
STOCK: Final = "stock"
SHARING: Final = "sharing"
DELIVERY: Final = "delivery"
HOME: Final = "core"
ADDRESSES: Final = {STOCK: HOME, SHARING: "money", DELIVERY: "delivery"}

# Our choice: Trys mostly take 20 ms; whoever waits for his meal should hear of a failure before he asks.
TRY_MS_MAX: Final = 15_000
REASON_MAX: Final = 200


def gid_of(group_id: str) -> str:
    """The id of a group's split as a transaction."""
    return f"{group_id}.split"


class BranchState(StrEnum):
    """What the coordinator knows of a branch."""

    REGISTERED = "registered"  # nothing yet: its Try may have been sent, or be on its way
    TRIED = "tried"
    REFUSED = "refused"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class Split(Struct, frozen=True, kw_only=True, gc=False):
    """A closed group's split as a transaction. reason: why it is or will be cancelled, else empty.

    attempts: messages in a row that moved nothing. epoch: of the coordinator who registered or decided it.
    needs_human: a branch went against the decision, which only a fault of ours can bring about; it is tried on.
    """

    gid: str
    group_id: GroupId
    state: TransactionState
    reason: str
    deadline_at: datetime
    started_at: datetime
    decided_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: int = 0
    epoch: int
    needs_human: bool = False

    @property
    def is_final(self) -> bool:
        """Whether nothing is left to be done."""
        return self.state in (TransactionState.CONFIRMED, TransactionState.CANCELLED)


class SplitBranch(Struct, frozen=True, kw_only=True, gc=False):
    """One branch of a split. attempts: messages sent to it. last_error: the last answer that was none, or a refusal."""

    branch: str
    address: str
    state: BranchState
    attempts: int = 0
    last_error: str | None = None


class SplitBranches(Struct, frozen=True, kw_only=True, gc=False):
    """All branches of one split: one row, for they are made and heard of together."""

    gid: str
    branches: tuple[SplitBranch, ...]


class SplitCoordinator(Struct, frozen=True, kw_only=True, gc=False):
    """Who coordinates the splits of this database, in which epoch, and how long he waits for Trys."""

    id: str = "splits"
    coordinator: str = ""
    epoch: int = 0
    try_ms_max: int = TRY_MS_MAX

    def means(self, gid: str, branch: str) -> Branch:
        """A branch, as a message names it."""
        return Branch(gid=gid, branch=branch, coordinator=self.coordinator, epoch=self.epoch)


class Message(StrEnum):
    """What a coordinator says to a branch."""

    TRY = "try"
    CONFIRM = "confirm"
    CANCEL = "cancel"


class Word(StrEnum):
    """What came back."""

    DONE = "done"
    REFUSED = "refused"  # of a Try only: nothing was set aside
    UNKNOWN = "unknown"  # no answer: it may have been done or not
    BREACHED = "breached"  # the branch is what it must not be: unconfirmable after all Trys, or confirmed already


class Heard(Struct, frozen=True, kw_only=True, gc=False):
    """One branch's answer."""

    branch: str
    word: Word
    reason: str = ""


class AnswersCame(Struct, frozen=True, kw_only=True, gc=False):
    """Event: what was heard after `message` was sent to some branches."""

    message: Message
    heard: tuple[Heard, ...]


class DeadlineCame(Struct, frozen=True, kw_only=True, gc=False):
    """Event: there is no more time for Trys."""


Event = AnswersCame | DeadlineCame
