"""What pages read of splits: the plan at once, and how far its transaction is (B6)."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from tuanzi.base.branch import FenceState, TransactionState
from tuanzi.base.ids import GroupId
from tuanzi.base.problem import Unknown
from tuanzi.base.time import from_ms
from tuanzi.delivery import BundleLine, ParcelView, delivery_of_split
from tuanzi.groups import PlannedSplit
from tuanzi.machinery.http.routes import Desk, Desks
from tuanzi.money import OrderEntry, entries_of_orders
from tuanzi.orders import SubOrder, SubOrderView, orders_by_id, sub_orders_of_group, sub_view_of
from tuanzi.splitting.model import BranchState, Split, SplitBranch, SplitPlan, gid_of, planned
from tuanzi.splitting.store import (
    BRANCHES_OF_SPLIT,
    FENCES_OF_SPLIT,
    PLAN_OF_SPLIT,
    SPLIT_BRANCHES,
    SPLIT_OF_GROUP,
    SPLIT_PLANS,
    SPLITS,
    SPLITS_COUNTED,
)


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


class FenceView(Struct, frozen=True, kw_only=True, gc=False):
    """What a branch has come to, as its own database keeps it; `epoch`: of the coordinator it heard last."""

    state: FenceState
    epoch: int
    at: datetime


class BranchEvidence(Struct, frozen=True, kw_only=True, gc=False):
    """A branch as its coordinator knows it, and beside it what its own database says: None when it was never reached.

    attempts: messages sent to it. last_error: the last answer that was none, or a refusal.
    """

    branch: str
    database: str
    state: BranchState
    attempts: int
    last_error: str | None
    fence: FenceView | None


class SplitEvidence(Struct, frozen=True, kw_only=True, gc=False):
    """All there is about a split: its transaction, what was planned, the lines of the ledger, what is brought.

    paid_fen: what its members paid when it was planned, = planned_fen (the sum of all sub-orders) + returned_fen.
    entries_fen: the sum of `entries`, which is 0. attempts: messages in a row that moved nothing.
    """

    group_id: str
    gid: str
    state: TransactionState
    reason: str
    needs_human: bool
    started_at: datetime
    deadline_at: datetime
    decided_at: datetime | None
    ended_at: datetime | None
    attempts: int
    epoch: int
    branches: tuple[BranchEvidence, ...]
    planned_fen: int
    paid_fen: int
    returned_fen: int
    sub_orders: tuple[SubOrderView, ...]
    entries: tuple[OrderEntry, ...]
    entries_fen: int
    parcels: tuple[ParcelView, ...]
    bundles: tuple[BundleLine, ...]


class SplitsCounted(Struct, frozen=True, kw_only=True, gc=False):
    """Splits that are under way by their state, since when the oldest of each waits, and how many ended lately.

    waits_since: by state. *_since: of those planned since a time.
    """

    under_way: dict[str, int]
    waits_since: dict[str, datetime]
    confirmed_since: int
    cancelled_since: int


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
    rows = tuple([planned(sub) for sub in await _planned_of(desk, split)])
    return PlannedSplit(state=split.state, sub_orders=rows)


async def _planned_of(desk: Desk, split: Split) -> list[SubOrder]:
    """Its sub-orders as they were planned."""
    plan = desk.peek(SplitPlan, split.gid)
    if plan is None:
        plan = SPLIT_PLANS.from_row((await desk.rows(PLAN_OF_SPLIT, {"gid": split.gid}))[0])
    return [sub for each in plan.orders for sub in each.subs]


async def split_view(desk: Desk, group_id: GroupId, *, for_operator: bool) -> SplitView:
    """A group's split as its members, or operators, see it."""
    split = await find_split(desk, group_id)
    if split is None:
        return SplitView(group_id=group_id, state=None, reason="", needs_human=False, branches=(), sub_orders=())
    branches = []
    for branch in await _branches_of(desk, split.gid):
        view = BranchView(branch=branch.branch, state=branch.state)
        if for_operator:
            view = BranchView(
                branch=branch.branch, state=branch.state, attempts=branch.attempts, last_error=branch.last_error
            )
        branches.append(view)
    if split.state in (TransactionState.CONFIRMING, TransactionState.CONFIRMED):
        subs = await sub_orders_of_group(desk, group_id)
    else:
        subs = [sub_view_of(sub) for sub in await _planned_of(desk, split)]
    return SplitView(
        group_id=group_id,
        state=split.state,
        reason=split.reason,
        needs_human=split.needs_human,
        branches=tuple(branches),
        sub_orders=tuple(subs),
    )


async def split_evidence(desks: Desks, group_id: GroupId) -> SplitEvidence:
    """All there is about a group's split. Raises Unknown when it has none."""
    split = await find_split(desks.core, group_id)
    if split is None:
        raise Unknown(kind="split", id=group_id)
    subs = await _planned_of(desks.core, split)
    order_ids = list(dict.fromkeys([sub.order_id for sub in subs]))
    entries = await entries_of_orders(desks.money, order_ids)
    brought = await delivery_of_split(desks.delivery, split.gid)
    view = await split_view(desks.core, group_id, for_operator=True)
    orders = await orders_by_id(desks.core, order_ids)
    planned_fen = sum([sub.payable.fen for sub in subs])
    paid_fen = sum([order.paid_fen for order in orders])
    return SplitEvidence(
        group_id=group_id,
        gid=split.gid,
        state=split.state,
        reason=split.reason,
        needs_human=split.needs_human,
        started_at=split.started_at,
        deadline_at=split.deadline_at,
        decided_at=split.decided_at,
        ended_at=split.ended_at,
        attempts=split.attempts,
        epoch=split.epoch,
        branches=await _branches(desks, split.gid),
        planned_fen=planned_fen,
        paid_fen=paid_fen,
        returned_fen=paid_fen - planned_fen,
        sub_orders=view.sub_orders,
        entries=tuple(entries),
        entries_fen=sum([entry.amount_fen for entry in entries]),
        parcels=brought.parcels,
        bundles=brought.bundles,
    )


async def _branches_of(desk: Desk, gid: str) -> list[SplitBranch]:
    """What the coordinator knows of each branch, by name."""
    rows = await desk.rows(BRANCHES_OF_SPLIT, {"gid": gid})
    known = [branch for row in rows for branch in SPLIT_BRANCHES.from_row(row).branches]
    return sorted(known, key=lambda branch: branch.branch)


async def _branches(desks: Desks, gid: str) -> tuple[BranchEvidence, ...]:
    """Each branch beside its fence."""
    by_database = {"core": desks.core, "money": desks.money, "delivery": desks.delivery}
    fences = {
        (database, branch): FenceView(state=FenceState(state), epoch=epoch, at=from_ms(at_ms))
        for database, desk in by_database.items()
        for branch, state, epoch, at_ms in await desk.rows(FENCES_OF_SPLIT, {"gid": gid})
    }
    branches = await _branches_of(desks.core, gid)
    return tuple(
        [
            BranchEvidence(
                branch=branch.branch,
                database=branch.address,
                state=branch.state,
                attempts=branch.attempts,
                last_error=branch.last_error,
                fence=fences.get((branch.address, branch.branch)),
            )
            for branch in branches
        ]
    )


async def splits_counted(desk: Desk, *, since: str) -> SplitsCounted:
    """How many splits are under way, and how many ended of those whose ids come after `since`."""
    rows = {TransactionState(row[0]): row for row in await desk.rows(SPLITS_COUNTED, {"since": since})}
    ends = (TransactionState.CONFIRMED, TransactionState.CANCELLED)
    waiting = {state.value: row for state, row in rows.items() if state not in ends}
    confirmed, cancelled = [int(rows[state][3]) if state in rows else 0 for state in ends]
    return SplitsCounted(
        under_way={state: row[1] for state, row in waiting.items()},
        waits_since={state: from_ms(row[2]) for state, row in waiting.items()},
        confirmed_since=confirmed,
        cancelled_since=cancelled,
    )
