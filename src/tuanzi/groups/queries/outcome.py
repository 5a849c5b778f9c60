"""What became of a payment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from msgspec import Struct

from tuanzi.base.branch import TransactionState
from tuanzi.base.ids import GroupId, OrderId
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
from tuanzi.groups.model import GroupState
from tuanzi.groups.queries.pages import load_group
from tuanzi.machinery.http.routes import Desk
from tuanzi.orders import Order, OrderState


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
