"""What one merchant makes of an order, and how far the order is by it (B2, B8)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.ids import BuildingId, DishId, GroupId, MealId, MerchantId, OrderId, PersonId, SubOrderId
from tuanzi.base.money import Money
from tuanzi.orders.model.life import OrderState, Step
from tuanzi.orders.problems import IllegalStep
from tuanzi.pricing import LinePart


class SubOrderState(StrEnum):
    """Where a sub-order is, in the hands of its merchant and rider.

    waiting: its split is decided, but not confirmed everywhere yet; its merchant does not see it. withdrawn: its order
    was refunded as a whole before a rider had it.
    """

    WAITING = "waiting"
    PLANNED = "planned"
    ACCEPTED = "accepted"
    COOKING = "cooking"
    READY = "ready"
    PICKED_UP = "picked_up"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class SubStep(StrEnum):
    """What merchants (accept, cook, ready, reject) and riders (pick up, deliver) do."""

    ACCEPT = "accept"
    COOK = "cook"
    READY = "ready"
    REJECT = "reject"
    PICK_UP = "pick-up"
    DELIVER = "deliver"


MERCHANT_STEPS: Final = frozenset({SubStep.ACCEPT, SubStep.COOK, SubStep.READY, SubStep.REJECT})


def sub_state_after(state: SubOrderState, step: SubStep) -> SubOrderState | None:
    """The state a step leads to; None when it cannot be done now."""
    match step:
        case SubStep.ACCEPT:
            return SubOrderState.ACCEPTED if state is SubOrderState.PLANNED else None
        case SubStep.REJECT:
            may = state in (SubOrderState.PLANNED, SubOrderState.ACCEPTED, SubOrderState.COOKING)
            return SubOrderState.REJECTED if may else None
        case SubStep.COOK:
            return SubOrderState.COOKING if state is SubOrderState.ACCEPTED else None
        case SubStep.READY:
            return SubOrderState.READY if state is SubOrderState.COOKING else None
        case SubStep.PICK_UP:
            return SubOrderState.PICKED_UP if state is SubOrderState.READY else None
        case SubStep.DELIVER:
            return SubOrderState.DELIVERED if state is SubOrderState.PICKED_UP else None
        case _:
            assert_never(step)


class SubLine(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One line of the order that this merchant makes; `number` is its place in the order, from 0.

    parts: what each portion is made of, when the dish is a set.
    """

    number: int
    dish_id: DishId
    quantity: int
    list_price: Money
    payable: Money
    parts: tuple[LinePart, ...] = ()


class SubOrder(Struct, frozen=True, kw_only=True, gc=False):
    """What one merchant makes for one member, brought to one building (B2); amounts as in the split plan."""

    id: SubOrderId
    order_id: OrderId
    group_id: GroupId
    member_id: PersonId
    merchant_id: MerchantId
    building_id: BuildingId
    meal_id: MealId
    state: SubOrderState
    order_lines: tuple[SubLine, ...]
    items: Money
    discount: Money
    delivery: Money
    payable: Money
    planned_at: datetime
    rider_id: PersonId | None = None

    def __post_init__(self) -> None:
        if self.items.fen - self.discount.fen + self.delivery.fen != self.payable.fen:
            raise ValueError(f"sub-order {self.id} does not add up")

    def after(self, step: SubStep, *, rider_id: PersonId | None) -> SubOrder:
        """This sub-order one step on. Raises IllegalStep."""
        state = sub_state_after(self.state, step)
        if state is None:
            raise IllegalStep(sub_order_id=self.id, state=self.state.value, step=step.value)
        return replace(self, state=state, rider_id=rider_id if step is SubStep.PICK_UP else self.rider_id)


# Its shop said that it makes these, and has not made them yet.
IN_THE_KITCHEN: Final = frozenset({SubOrderState.ACCEPTED, SubOrderState.COOKING})
# Nobody makes these any more; their portions are free again.
DEAD: Final = frozenset({SubOrderState.REJECTED, SubOrderState.WITHDRAWN})
# A whole refund withdraws these; what a rider has by then is still brought.
ON_THE_COUNTER: Final = frozenset(
    {
        SubOrderState.WAITING,
        SubOrderState.PLANNED,
        SubOrderState.ACCEPTED,
        SubOrderState.COOKING,
        SubOrderState.READY,
    }
)
# How far an order is when its least advanced live sub-order is so far; ready food is still the kitchen's.
_REACHED: Final = {
    SubOrderState.WAITING: OrderState.SPLIT,
    SubOrderState.PLANNED: OrderState.SPLIT,
    SubOrderState.ACCEPTED: OrderState.ACCEPTED,
    SubOrderState.COOKING: OrderState.COOKING,
    SubOrderState.READY: OrderState.COOKING,
    SubOrderState.PICKED_UP: OrderState.PICKED_UP,
    SubOrderState.DELIVERED: OrderState.DELIVERED,
}
_PATH: Final = (
    (OrderState.SPLIT, Step.ACCEPT),
    (OrderState.ACCEPTED, Step.COOK),
    (OrderState.COOKING, Step.PICK_UP),
    (OrderState.PICKED_UP, Step.DELIVER),
)
_STAGES: Final = (*[state for state, _ in _PATH], OrderState.DELIVERED)


def steps_to_follow(state: OrderState, subs: Sequence[SubOrderState]) -> list[Step]:
    """The steps that bring an order to where its least advanced live sub-order is."""
    reached = state_by_sub_orders(subs)
    if reached is None or state not in _STAGES:
        return []
    return [step for _, step in _PATH[_STAGES.index(state) : _STAGES.index(reached)]]


def state_by_sub_orders(subs: Sequence[SubOrderState]) -> OrderState | None:
    """Where an order is when its sub-orders are so far; None when none of them lives."""
    live = [_REACHED[sub] for sub in subs if sub not in DEAD]
    return min(live, key=_STAGES.index) if live else None
