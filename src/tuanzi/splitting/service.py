"""The coordinator of a split: its rows, and what a decision means in core (B3). A pure step of `model` judges.

Each function is one commit of the core writer. What must be sent is an errand in the same commit, so that a crash
anywhere goes on from the timers: the errand is sent again, and every branch takes a repeat for what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from tuanzi import groups, orders
from tuanzi.base.branch import TransactionState
from tuanzi.base.ids import DishId, GroupId
from tuanzi.base.unit import Unit
from tuanzi.delivery import DropOff
from tuanzi.events import SplitCancelled, SplitConfirmed
from tuanzi.groups import Group
from tuanzi.machinery.fence import cancel_branch, confirm_branch, open_branch
from tuanzi.money import SharedOrder
from tuanzi.orders import Order
from tuanzi.splitting.model import (
    STOCK,
    AnswersCame,
    DeadlineCame,
    Event,
    Heard,
    Message,
    OrderPlan,
    Split,
    SplitBranches,
    SplitCoordinator,
    SplitPlan,
    Turn,
    boards_of,
    register,
    take_turn,
)


class TakeOver(Struct, frozen=True, kw_only=True, gc=False):
    """Opening: from now on this process coordinates; who did so before is not heard any more."""

    coordinator: str
    try_ms_max: int


class SendTries(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: have the branches `to` set aside what the plan needs of them; the same content each time."""

    gid: str
    group_id: GroupId
    leader_id: str
    split_at: datetime
    orders: tuple[SharedOrder, ...]
    drop_offs: tuple[DropOff, ...]
    to: tuple[str, ...]


class SendConfirms(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: have the branches `to` carry out what they set aside."""

    gid: str
    to: tuple[str, ...]


class SendCancels(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: have the branches `to` release what they set aside, and never set it aside any more."""

    gid: str
    to: tuple[str, ...]


class RecordAnswers(Struct, frozen=True, kw_only=True, gc=False):
    """What was heard of the branches after `message`. tries: what was sent, to be sent again where nobody answered."""

    gid: str
    message: Message
    heard: tuple[Heard, ...]
    tries: SendTries | None = None


class ReachDeadline(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: there is no more time for a split's Trys."""

    gid: str


class SplitStanding(Struct, frozen=True, kw_only=True, gc=False):
    """The answer of the coordinator's commands: where the transaction is now."""

    gid: str
    state: TransactionState


class StockOfSplit(Struct, frozen=True, kw_only=True, gc=False):
    """What the branch in core keeps aside: portions by dish, held by the members' orders."""

    portions: dict[DishId, int]


def take_over(unit: Unit, command: TakeOver, *, now: datetime) -> SplitCoordinator:
    """Begin the next epoch; every start of a core writer's process does so before it sends anything."""
    before = unit.find(SplitCoordinator, "splits") or SplitCoordinator()
    after = SplitCoordinator(coordinator=command.coordinator, epoch=before.epoch + 1, try_ms_max=command.try_ms_max)
    unit.put(after)
    return after


def begin(
    unit: Unit, tries: SendTries, *, plans: Sequence[OrderPlan], members: Sequence[Order], now: datetime
) -> Split:
    """Register a closed group's split and its branches, try the one at home, and send the others their Trys.

    All in the commit that closed the group: a branch is known before its Try is sent, so that whoever takes over knows
    whom to cancel.
    """
    coordinator = unit.find(SplitCoordinator, "splits") or SplitCoordinator()
    split = Split(
        gid=tries.gid,
        group_id=tries.group_id,
        state=TransactionState.TRYING,
        reason="",
        deadline_at=now + timedelta(milliseconds=coordinator.try_ms_max),
        started_at=now,
        epoch=coordinator.epoch,
    )
    unit.add(split)
    unit.add(SplitPlan(gid=split.gid, orders=tuple(plans)))
    unit.add(SplitBranches(gid=split.gid, branches=register()))
    portions: dict[DishId, int] = {}
    for order in members:
        for dish_id, count in order.portions.items():
            portions[dish_id] = portions.get(dish_id, 0) + count
    open_branch(unit, coordinator.means(split.gid, STOCK), content=StockOfSplit(portions=portions), now=now)
    unit.schedule(_errand_timer(split.gid), tries, at=now)
    unit.schedule(_deadline_timer(split.gid), ReachDeadline(gid=split.gid), at=split.deadline_at)
    return split


def record_answers(unit: Unit, command: RecordAnswers, *, now: datetime) -> SplitStanding:
    """Go on after answers; those that say nothing new change nothing. Raises Unknown."""
    event = AnswersCame(message=command.message, heard=command.heard)
    return _go_on(unit, command.gid, event, tries=command.tries, now=now)


def reach_deadline(unit: Unit, command: ReachDeadline, *, now: datetime) -> SplitStanding:
    """Cancel a split that is still trying; any other stays as it is. Raises Unknown."""
    return _go_on(unit, command.gid, DeadlineCame(), tries=None, now=now)


def _go_on(unit: Unit, gid: str, event: Event, *, tries: SendTries | None, now: datetime) -> SplitStanding:
    before = unit.load(Split, gid)
    known = unit.load(SplitBranches, gid)
    turn = take_turn(before, known.branches, event, now=now)
    after = turn.split
    if after is before:
        return SplitStanding(gid=gid, state=before.state)
    if turn.branches != known.branches:
        unit.put(replace(known, branches=turn.branches))
    unit.put(after)
    if after.state is not before.state:
        _carry_out(unit, after, now=now)
    _send(unit, turn, tries=tries)
    return SplitStanding(gid=gid, state=after.state)


def _send(unit: Unit, turn: Turn, *, tries: SendTries | None) -> None:
    if turn.at is None:
        unit.unschedule(_errand_timer(turn.split.gid))
        return
    gid, to = turn.split.gid, turn.to
    errand: SendTries | SendConfirms | SendCancels
    match turn.message:
        case Message.TRY:
            assert tries is not None, f"{gid}: only answers to Trys leave a split trying"
            errand = replace(tries, to=to)
        case Message.CONFIRM:
            errand = SendConfirms(gid=gid, to=to)
        case Message.CANCEL:
            errand = SendCancels(gid=gid, to=to)
        case _:
            assert_never(turn.message)
    unit.schedule(_errand_timer(gid), errand, at=turn.at)


def _carry_out(unit: Unit, split: Split, *, now: datetime) -> None:
    """What a step means in core, in the commit of the step."""
    coordinator = unit.find(SplitCoordinator, "splits") or SplitCoordinator()
    match split.state:
        case TransactionState.CONFIRMING:
            unit.unschedule(_deadline_timer(split.gid))
            confirm_branch(unit, coordinator.means(split.gid, STOCK), now=now)
            for plan in unit.load(SplitPlan, split.gid).orders:
                order = unit.load(Order, plan.order_id)
                orders.mark_split(unit, order, final=plan.final or order.quote, subs=plan.subs)
        case TransactionState.CONFIRMED:
            made = unit.load(SplitPlan, split.gid)
            ids = [sub.id for plan in made.orders for sub in plan.subs]
            orders.open_sub_orders(unit, ids, group_id=split.group_id, now=now)
            unit.emit(SplitConfirmed(group_id=split.group_id, gid=split.gid, boards=boards_of(made)))
        case TransactionState.CANCELLING:
            unit.unschedule(_deadline_timer(split.gid))
        case TransactionState.CANCELLED:
            cancel_branch(unit, coordinator.means(split.gid, STOCK), now=now)
            groups.give_up(unit, unit.load(Group, split.group_id), reason="split_cancelled")
            unit.emit(SplitCancelled(group_id=split.group_id, gid=split.gid, reason=split.reason))
        case TransactionState.TRYING:
            raise AssertionError(f"{split.gid} went back")
        case _:
            assert_never(split.state)


def _errand_timer(gid: str) -> str:
    return f"split:{gid}"


def _deadline_timer(gid: str) -> str:
    return f"split-deadline:{gid}"
