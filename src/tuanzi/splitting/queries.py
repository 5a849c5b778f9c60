"""What pages read of splits: the plan at once, and how far its transaction is (B6)."""

from __future__ import annotations

from msgspec import Struct

from tuanzi.base.branch import TransactionState
from tuanzi.base.ids import GroupId
from tuanzi.groups import PlannedSplit
from tuanzi.machinery.http.routes import Desk
from tuanzi.orders import SubOrderView, sub_orders_of_group, sub_view_of
from tuanzi.splitting.model import BranchState, Split, gid_of, planned
from tuanzi.splitting.store import BRANCHES_OF_SPLIT, SPLIT_BRANCHES, SPLIT_OF_GROUP, SPLITS


class BranchView(Struct, frozen=True, kw_only=True, gc=False):
    """One branch of a split's transaction. attempts, last_error: for operators."""

    branch: str
    state: BranchState
    attempts: int | None = None
    last_error: str | None = None


class SplitView(Struct, frozen=True, kw_only=True, gc=False):
    """A closed group's split: member x merchant x building, to the fen, and where its transaction is.

    state: None while the group is not closed. reason: why it is cancelled, else empty. sub_orders: as planned until
    that is decided, then as they are.
    """

    group_id: str
    state: TransactionState | None
    reason: str
    needs_human: bool
    branches: tuple[BranchView, ...]
    sub_orders: tuple[SubOrderView, ...]


async def find_split(desk: Desk, group_id: GroupId) -> Split | None:
    """A group's split as it is kept; None when the group is not closed."""
    split = desk.peek(Split, gid_of(group_id))
    if split is None:
        rows = await desk.rows(SPLIT_OF_GROUP, {"group_id": group_id})
        split = SPLITS.from_row(rows[0]) if rows else None
    return split


async def find_plan(desk: Desk, group_id: GroupId) -> PlannedSplit | None:
    """A group's plan as it was told when the group closed, and where its transaction is."""
    split = await find_split(desk, group_id)
    if split is None:
        return None
    rows = tuple([planned(sub) for each in split.plan for sub in each.subs])
    return PlannedSplit(state=split.state, sub_orders=rows)


async def split_view(desk: Desk, group_id: GroupId, *, for_operator: bool) -> SplitView:
    """A group's split as its members, or operators, see it."""
    split = await find_split(desk, group_id)
    if split is None:
        return SplitView(group_id=group_id, state=None, reason="", needs_human=False, branches=(), sub_orders=())
    branches = []
    for row in await desk.rows(BRANCHES_OF_SPLIT, {"gid": split.gid}):
        branch = SPLIT_BRANCHES.from_row(row)
        view = BranchView(branch=branch.branch, state=branch.state)
        if for_operator:
            view = BranchView(
                branch=branch.branch, state=branch.state, attempts=branch.attempts, last_error=branch.last_error
            )
        branches.append(view)
    if split.state in (TransactionState.CONFIRMING, TransactionState.CONFIRMED):
        subs = await sub_orders_of_group(desk, group_id)
    else:
        subs = [sub_view_of(sub) for each in split.plan for sub in each.subs]
    return SplitView(
        group_id=group_id,
        state=split.state,
        reason=split.reason,
        needs_human=split.needs_human,
        branches=tuple(branches),
        sub_orders=tuple(subs),
    )
