"""Where an order is in its life, and which step leads where (B8)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, assert_never


class OrderState(StrEnum):
    """Where an order is in its life (B8)."""

    CREATED = "created"
    PAID = "paid"
    GROUPED = "grouped"
    SPLIT = "split"
    ACCEPTED = "accepted"
    COOKING = "cooking"
    PICKED_UP = "picked_up"
    DELIVERED = "delivered"
    COMPLETED = "completed"
    AFTER_SALE = "after_sale"
    CANCELLED = "cancelled"
    REFUNDING = "refunding"
    REFUNDED = "refunded"


class Step(StrEnum):
    """What can be done to an order."""

    PAY = "pay"
    CANCEL = "cancel"
    REVIVE = "revive"
    FORM = "form"
    SPLIT = "split"
    ACCEPT = "accept"
    COOK = "cook"
    PICK_UP = "pick_up"
    DELIVER = "deliver"
    COMPLETE = "complete"
    ASK_AFTER_SALE = "ask_after_sale"
    CLOSE_AFTER_SALE = "close_after_sale"
    REFUND = "refund"
    REFUND_DONE = "refund_done"


def steps_from(state: OrderState) -> Mapping[Step, OrderState]:
    """What can be done in a state, and the state it leads to; the one place that knows (B8)."""
    match state:
        case OrderState.CREATED:
            return _CREATED
        case OrderState.CANCELLED:
            return _CANCELLED
        case OrderState.PAID:
            return _PAID
        case OrderState.GROUPED:
            return _GROUPED
        case OrderState.SPLIT:
            return _SPLIT
        case OrderState.ACCEPTED:
            return _ACCEPTED
        case OrderState.COOKING:
            return _COOKING
        case OrderState.PICKED_UP:
            return _PICKED_UP
        case OrderState.DELIVERED:
            return _DELIVERED
        case OrderState.COMPLETED:
            return _COMPLETED
        case OrderState.AFTER_SALE:
            return _AFTER_SALE
        case OrderState.REFUNDING:
            return _REFUNDING
        case OrderState.REFUNDED:
            return _NOTHING
        case _:
            assert_never(state)


_CREATED = {Step.PAY: OrderState.PAID, Step.CANCEL: OrderState.CANCELLED}
# Money that comes late finds a seat again, or goes back (peers' P1 to P3).
_CANCELLED = {Step.REVIVE: OrderState.PAID, Step.REFUND: OrderState.REFUNDING}
_PAID = {Step.FORM: OrderState.GROUPED, Step.REFUND: OrderState.REFUNDING}
_GROUPED = {Step.SPLIT: OrderState.SPLIT, Step.REFUND: OrderState.REFUNDING}
_SPLIT = {Step.ACCEPT: OrderState.ACCEPTED, Step.REFUND: OrderState.REFUNDING}
_ACCEPTED = {Step.COOK: OrderState.COOKING, Step.REFUND: OrderState.REFUNDING}
_COOKING = {Step.PICK_UP: OrderState.PICKED_UP, Step.REFUND: OrderState.REFUNDING}
_PICKED_UP = {Step.DELIVER: OrderState.DELIVERED, Step.REFUND: OrderState.REFUNDING}
_DELIVERED = {
    Step.COMPLETE: OrderState.COMPLETED,
    Step.ASK_AFTER_SALE: OrderState.AFTER_SALE,
    Step.REFUND: OrderState.REFUNDING,
}
_COMPLETED = {Step.ASK_AFTER_SALE: OrderState.AFTER_SALE, Step.REFUND: OrderState.REFUNDING}
_AFTER_SALE = {Step.CLOSE_AFTER_SALE: OrderState.COMPLETED, Step.REFUND: OrderState.REFUNDING}
_REFUNDING = {Step.REFUND_DONE: OrderState.REFUNDED}
_NOTHING: dict[Step, OrderState] = {}

# Whose portions are held; later they are sold, or free again.
HOLDING: Final = frozenset({OrderState.CREATED, OrderState.PAID, OrderState.GROUPED})
