"""An order's life and amounts: pure values and rules (B5, B8).

`life`: its states and steps. `order`: its amounts. `sub_orders`: what merchants make of it. `acceptance`: how long they
may take. `complaints`: what members say of it, and who waits for a decision.
"""

from __future__ import annotations

from tuanzi.orders.model.acceptance import NOT_ACCEPTED, AcceptanceTerms
from tuanzi.orders.model.complaints import COMPLAINTS_MAX, REASON_MAX, Complaint, Complaints, OpenAfterSale
from tuanzi.orders.model.life import HOLDING, OrderState, Step, steps_from
from tuanzi.orders.model.order import AFTER_SALE_WITHIN, COMPLETES_AFTER, Order, OrderHold, OrderRecord, Refund
from tuanzi.orders.model.sub_orders import (
    DEAD,
    IN_THE_KITCHEN,
    MERCHANT_STEPS,
    ON_THE_COUNTER,
    SubLine,
    SubOrder,
    SubOrderState,
    SubStep,
    state_by_sub_orders,
    steps_to_follow,
    sub_state_after,
)

__all__ = [
    "AFTER_SALE_WITHIN",
    "COMPLAINTS_MAX",
    "COMPLETES_AFTER",
    "DEAD",
    "HOLDING",
    "IN_THE_KITCHEN",
    "MERCHANT_STEPS",
    "NOT_ACCEPTED",
    "ON_THE_COUNTER",
    "REASON_MAX",
    "AcceptanceTerms",
    "Complaint",
    "Complaints",
    "OpenAfterSale",
    "Order",
    "OrderHold",
    "OrderRecord",
    "OrderState",
    "Refund",
    "Step",
    "SubLine",
    "SubOrder",
    "SubOrderState",
    "SubStep",
    "state_by_sub_orders",
    "steps_from",
    "steps_to_follow",
    "sub_state_after",
]
