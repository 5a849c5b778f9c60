"""The fence of a transaction's branch: one row in the participant's database, kept with the effect (B3).

Try freezes, Confirm commits, Cancel releases. Messages may come twice, late or out of order, and from a coordinator
that was taken over; the fence row says which of them may still have an effect (reliability.md 1.1).
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.branch import Branch, BranchAnswer, BranchDiffers, FenceState, Suspended
from tuanzi.base.problem import Problem
from tuanzi.base.unit import Unit
from tuanzi.machinery.codec import encode, name_of
from tuanzi.machinery.memory import Place
from tuanzi.machinery.tables import table


class Fence(Struct, frozen=True, kw_only=True, gc=False):
    """One branch of one transaction in its participant's database.

    fingerprint: of the Try that froze something; empty when none did. epoch: of the coordinator who spoke last.

    Never swept: a Try, Confirm or Cancel that comes late is known by this row alone, and whoever sends it may have been
    away for a whole holiday (a guest's campus, decision 0015). A split has one in each of three databases, a guest's
    seat one: 500 splits a day make about 80 MB a year.
    """

    gid: str
    branch: str
    state: FenceState
    fingerprint: str
    epoch: int
    at: datetime


class CoordinatorEpoch(Struct, frozen=True, kw_only=True, gc=False):
    """The highest epoch a coordinator has spoken with here; a lower one was taken over."""

    coordinator: str
    epoch: int


class EmptyConfirm(Problem):
    """The branch was never tried, or is cancelled: it cannot be confirmed. This is a fault of the coordinator's."""

    code = "machinery/empty-confirm"
    status = 409
    title_zh = "未预留的操作无法确认"


class CancelRefused(Problem):
    """The branch is confirmed and cannot be cancelled any more. This is a fault of the coordinator's."""

    code = "machinery/cancel-refused"
    status = 409
    title_zh = "已确认的操作无法取消"


class StaleCoordinator(Problem):
    """Another coordinator has taken over; this one is not heard any more."""

    code = "machinery/stale-coordinator"
    status = 409
    title_zh = "协调者已被接管"


FENCES = table("fences", Fence, key=("gid", "branch"))
COORDINATOR_EPOCHS = table("coordinator_epochs", CoordinatorEpoch, key="coordinator")


def fingerprint_of(content: Any) -> str:
    """The fingerprint of what a Try asks for: equal contents, equal fingerprints."""
    return sha256(name_of(type(content)).encode() + encode(content)).hexdigest()


def fence_place(branch: Branch) -> Place:
    """Where a branch's fence is kept: new for most Trys (`Room.assumed_new`)."""
    return (Fence, (branch.gid, branch.branch))


def open_branch(unit: Unit, branch: Branch, *, content: Any, now: datetime) -> None:
    """Try a branch in the coordinator's own database, in the unit that registers it: it cannot be there yet."""
    tried = Fence(
        gid=branch.gid,
        branch=branch.branch,
        state=FenceState.TRIED,
        fingerprint=fingerprint_of(content),
        epoch=branch.epoch,
        at=now,
    )
    unit.add(tried)


def try_branch(unit: Unit, branch: Branch, *, content: Any, now: datetime) -> bool:
    """True when the caller must freeze now; False when this very Try did so before.

    Call it first, and freeze in the same unit: a refusal afterwards takes the fence back too.
    Raises Suspended, BranchDiffers, StaleCoordinator.
    """
    _hear(unit, branch)
    fence = unit.find(Fence, (branch.gid, branch.branch))
    if fence is None:
        open_branch(unit, branch, content=content, now=now)
        return True
    if fence.state in (FenceState.CANCELLED, FenceState.SUSPENDED):
        raise Suspended(gid=branch.gid, branch=branch.branch)
    if fence.fingerprint != fingerprint_of(content):
        raise BranchDiffers(gid=branch.gid, branch=branch.branch)
    return False


def confirm_branch(unit: Unit, branch: Branch, *, now: datetime) -> bool:
    """True when the caller must commit what is frozen now; False when that was done before.

    Raises EmptyConfirm (never tried, or cancelled), StaleCoordinator.
    """
    _hear(unit, branch)
    fence = unit.find(Fence, (branch.gid, branch.branch))
    if fence is None or fence.state in (FenceState.CANCELLED, FenceState.SUSPENDED):
        raise EmptyConfirm(gid=branch.gid, branch=branch.branch)
    if fence.state is FenceState.CONFIRMED:
        return False
    unit.put(replace(fence, state=FenceState.CONFIRMED, epoch=branch.epoch, at=now))
    return True


def cancel_branch(unit: Unit, branch: Branch, *, now: datetime) -> bool:
    """True when the caller must release what is frozen now; False when nothing was, or that was done before.

    Raises CancelRefused (confirmed), StaleCoordinator.
    """
    _hear(unit, branch)
    fence = unit.find(Fence, (branch.gid, branch.branch))
    if fence is None:
        suspended = Fence(
            gid=branch.gid,
            branch=branch.branch,
            state=FenceState.SUSPENDED,
            fingerprint="",
            epoch=branch.epoch,
            at=now,
        )
        unit.add(suspended)
        return False
    match fence.state:
        case FenceState.CONFIRMED:
            raise CancelRefused(gid=branch.gid, branch=branch.branch)
        case FenceState.CANCELLED | FenceState.SUSPENDED:
            return False
        case FenceState.TRIED:
            unit.put(replace(fence, state=FenceState.CANCELLED, epoch=branch.epoch, at=now))
            return True


def answer_of(unit: Unit, branch: Branch) -> BranchAnswer:
    """How the branch stands now; for the answer of each of the three."""
    fence = unit.load(Fence, (branch.gid, branch.branch))
    return BranchAnswer(gid=branch.gid, branch=branch.branch, state=fence.state)


def _hear(unit: Unit, branch: Branch) -> None:
    """Remember the coordinator's highest epoch. Raises StaleCoordinator for a lower one."""
    known = unit.find(CoordinatorEpoch, branch.coordinator)
    if known is not None and branch.epoch < known.epoch:
        raise StaleCoordinator(coordinator=branch.coordinator, epoch=branch.epoch, newest=known.epoch)
    if known is None or branch.epoch > known.epoch:
        unit.put(CoordinatorEpoch(coordinator=branch.coordinator, epoch=branch.epoch))
