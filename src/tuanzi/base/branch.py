"""The words of a transaction that spans databases: its branches, what they answer and refuse (B3)."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from tuanzi.base.problem import Problem


class TransactionState(StrEnum):
    """Where a transaction is; the one step out of `trying` is its decision, and nothing ever goes back."""

    TRYING = "trying"
    CONFIRMING = "confirming"
    CONFIRMED = "confirmed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


class FenceState(StrEnum):
    """What a branch has come to."""

    TRIED = "tried"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    SUSPENDED = "suspended"  # cancelled before it was ever tried (空回滚); a late Try must not begin (悬挂)


class Branch(Struct, frozen=True, kw_only=True, gc=False):
    """Which branch a message means, and who sends it: `coordinator` in its `epoch`, e.g. "beijing" in its 7th."""

    gid: str
    branch: str
    coordinator: str
    epoch: int


class BranchAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """How a branch stands after a message; repeats get the same."""

    gid: str
    branch: str
    state: FenceState


class BranchRefused(Problem):
    """The branch cannot be tried; the whole transaction is cancelled.

    Only this, from Try, is a no. Every other problem means that the outcome is unknown.
    """

    code = "base/branch-refused"
    status = 409
    title_zh = "该操作无法预留"


class Suspended(BranchRefused):
    """The branch was cancelled before it was tried; it cannot begin any more."""

    code = "base/branch-suspended"
    status = 409
    title_zh = "该操作已被取消，无法再预留"


class BranchDiffers(BranchRefused):
    """The branch was tried before with another content."""

    code = "base/branch-differs"
    status = 409
    title_zh = "该操作此前已以不同内容预留"
