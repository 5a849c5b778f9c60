"""What pages read of groups, and what became of a payment."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct, structs

from tuanzi.base.branch import TransactionState
from tuanzi.base.ids import GroupId, OrderId, PersonId
from tuanzi.base.problem import Unknown
from tuanzi.base.time import to_ms
from tuanzi.events import (
    GroupClosed,
    GroupFormed,
    LateMoneySettled,
    OrderAdvanced,
    OrderPaid,
    PlannedSubOrder,
    RefundDue,
    SeatPaid,
    SplitPlanned,
    TierReached,
)
from tuanzi.groups.model import Group, GroupState, SeatState
from tuanzi.groups.store import GROUP, GROUPS, GROUPS_IN_STATE
from tuanzi.machinery.http.routes import Desk
from tuanzi.orders import Order, OrderState


class TierView(Struct, frozen=True, kw_only=True, gc=False):
    """What a group of a size gets."""

    size: int
    off_percent: int
    off_fen: int


class GroupView(Struct, frozen=True, kw_only=True, gc=False):
    """A group as anybody of its campus sees it; members are counted, not named."""

    group_id: str
    campaign_id: str
    building_id: str
    meal_id: str
    state: GroupState
    tiers: tuple[TierView, ...]
    seats_max: int
    seats_taken: int
    paid_count: int
    missing: int
    closes_at: datetime
    version: int


class SeatView(Struct, frozen=True, kw_only=True, gc=False):
    """A seat as anybody sees it: since when it is taken and whether it is paid, but not by whom."""

    state: SeatState
    since: datetime
    is_leader: bool
    is_mine: bool


class GroupDetail(GroupView, frozen=True, kw_only=True, gc=False):
    """A group for its own page: its seats in the order in which they were taken, and the caller's order in it."""

    opened_at: datetime
    pay_within_s: int
    seats: tuple[SeatView, ...]
    my_order_id: str | None


class GroupPage(Struct, frozen=True, kw_only=True, gc=False):
    """Groups that take members, oldest first; `next` is None on the last page."""

    items: tuple[GroupView, ...]
    next: str | None


class PaidOutcome(Struct, frozen=True, kw_only=True, gc=False):
    """What a payment did: to the order, and to its group.

    plan: the group's split, when this payment completed it, or when its order is asked about again after that; it is
    accepted, and done when `split_state` is confirmed.
    is_late: the seat was gone; the money found another (`group_id`) or goes back (`refund_due_fen`). prepay: what the
    provider's client needs while the member still has to pay; the order is paid when its status says so.
    """

    order_id: str
    order_state: OrderState
    group_id: str
    group_state: GroupState
    paid_count: int
    plan: tuple[PlannedSubOrder, ...] | None = None
    split_state: TransactionState | None = None
    is_late: bool = False
    refund_due_fen: int = 0
    payment_id: str | None = None
    prepay: dict[str, str] | None = None


class PlannedSplit(Struct, frozen=True, kw_only=True, gc=False):
    """A closed group's plan, in the order of its seats, and where its transaction is."""

    state: TransactionState
    sub_orders: tuple[PlannedSubOrder, ...]


class FindPlan(Protocol):
    """What finds a group's plan: the room above, which makes it."""

    async def __call__(self, desk: Desk, group_id: GroupId) -> PlannedSplit | None:
        """The plan of a group; None when it has none."""


async def load_group(desk: Desk, group_id: GroupId) -> Group:
    """A group as it is kept. Raises Unknown."""
    group = desk.peek(Group, group_id)
    if group is None:
        rows = await desk.rows(GROUP, {"id": group_id})
        if not rows:
            raise Unknown(kind="group", id=group_id)
        group = GROUPS.from_row(rows[0])
    return group


async def group_page(
    desk: Desk, *, campaign_id: str, building_id: str, after: str, limit: int, now: datetime
) -> GroupPage:
    """Groups that take members, of a campaign and building when they are named."""
    slots = {
        "campaign_id": campaign_id,
        "building_id": building_id,
        "after": after,
        "limit": limit + 1,
        "now_ms": to_ms(now),
    }
    items = [view_of(GROUPS.from_row(row)) for row in await desk.rows(GROUPS_IN_STATE, slots)]
    return GroupPage(items=tuple(items[:limit]), next=items[limit - 1].group_id if len(items) > limit else None)


def view_of(group: Group) -> GroupView:
    """A group as anybody of its campus sees it."""
    paid = group.paid_count
    return GroupView(
        group_id=group.id,
        campaign_id=group.campaign_id,
        building_id=group.building_id,
        meal_id=group.meal_id,
        state=group.state,
        tiers=tuple(
            [TierView(size=tier.size, off_percent=tier.off_percent, off_fen=tier.off.fen) for tier in group.tiers]
        ),
        seats_max=group.seats_max,
        seats_taken=len(group.seats),
        paid_count=paid,
        missing=max(0, group.tiers[0].size - paid),
        closes_at=group.closes_at,
        version=group.version,
    )


def detail_of(group: Group, person_id: PersonId | None) -> GroupDetail:
    """A group for its own page, as this person sees it; None is somebody who is not signed in."""
    mine = None if person_id is None else next((seat for seat in group.seats if seat.member_id == person_id), None)
    return GroupDetail(
        **structs.asdict(view_of(group)),
        opened_at=group.opened_at,
        pay_within_s=group.pay_within_s,
        seats=tuple(
            [
                SeatView(
                    state=seat.state,
                    since=seat.since,
                    is_leader=seat.member_id == group.leader_id,
                    is_mine=seat is mine,
                )
                for seat in group.seats
            ]
        ),
        my_order_id=None if mine is None else mine.order_id,
    )


def is_member(group: Group, person_id: PersonId) -> bool:
    """Whether a person has a seat in a group."""
    return any(seat.member_id == person_id for seat in group.seats)


def outcome_of(order_id: OrderId, events: Iterable[Any], *, group_id: str) -> PaidOutcome:
    """What a payment did, told by the events of its commit."""
    state, group_state, paid_count, plan, late, refund_fen = OrderState.CANCELLED, GroupState.OPEN, 0, None, False, 0
    split_state = None
    for event in events:
        match event:
            case OrderPaid() if event.order_id == order_id:
                state, group_id = OrderState.PAID, event.group_id
            case SeatPaid() if event.order_id == order_id:
                paid_count = event.paid_count
            case OrderAdvanced() if event.order_id == order_id:
                state = OrderState(event.state)
                if state is OrderState.GROUPED and group_state is GroupState.OPEN:
                    group_state = GroupState.FORMED  # it had formed before
            case GroupFormed() | TierReached() if group_state is GroupState.OPEN:
                group_state = GroupState.FORMED
            case GroupClosed():
                group_state = GroupState.CLOSED
            case SplitPlanned():
                plan, split_state = event.sub_orders, TransactionState.TRYING
            case LateMoneySettled():
                late = True
            case RefundDue() if event.order_id == order_id:
                refund_fen += event.amount_fen
            case _:
                pass
    if late and refund_fen and state is OrderState.CANCELLED:
        state = OrderState.REFUNDING
    return PaidOutcome(
        order_id=order_id,
        order_state=state,
        group_id=group_id,
        group_state=group_state,
        paid_count=paid_count,
        plan=plan,
        split_state=split_state,
        is_late=late,
        refund_due_fen=refund_fen,
    )


async def standing_of(desk: Desk, order: Order, *, find_plan: FindPlan) -> PaidOutcome:
    """What a payment had done, for one who asks again, perhaps because the first answer was lost: the plan too."""
    group = await load_group(desk, order.group_id)
    plan = None
    if group.state is GroupState.CLOSED and group.seat_of(order.id) is not None:
        plan = await find_plan(desk, group.id)
    return PaidOutcome(
        order_id=order.id,
        order_state=order.state,
        group_id=group.id,
        group_state=group.state,
        paid_count=group.paid_count,
        plan=None if plan is None else plan.sub_orders,
        split_state=None if plan is None else plan.state,
    )
