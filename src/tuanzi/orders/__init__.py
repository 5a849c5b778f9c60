"""Orders: one member's order from creation to completion, and its sub-orders (B2, B8). Database: core.

Owns orders, sub_orders, order_holds. Hears RefundSettled (of money), BundlePickedUp and ParcelDelivered (of delivery),
through their logs.
Emits OrderPlaced, OrderPaid, OrderAdvanced, OrderCompleted, OrderCancelled, RefundDue, OrderRefunded, SubOrderAdvanced.
The seat belongs to groups, which calls down; what a step must mean above is told by events.
"""

from __future__ import annotations

from tuanzi.machinery.room import Room
from tuanzi.orders import service
from tuanzi.orders.handlers import on_bundle_picked_up, on_parcel_delivered, on_refund_settled
from tuanzi.orders.model import (
    DEAD,
    HOLDING,
    Order,
    OrderRecord,
    OrderState,
    Refund,
    Step,
    SubLine,
    SubOrder,
    SubOrderState,
    SubStep,
    state_by_sub_orders,
    steps_from,
)
from tuanzi.orders.problems import AfterSaleTooLate, IllegalStep, NotPayable, OrderHeld, RefundTooLarge
from tuanzi.orders.queries import (
    OrderBook,
    OrderStatus,
    OrderView,
    StatusBoard,
    SubOrderView,
    board_of,
    find_order,
    order_book,
    order_ids_after,
    orders_of_meal,
    sub_orders_of_group,
    sub_view_of,
    view_of,
)
from tuanzi.orders.service import (
    AdvanceSubOrder,
    AskAfterSale,
    CompleteOrder,
    ConfirmOrder,
    DecideAfterSale,
    FreeOrder,
    HearRefund,
    HoldOrder,
    OrderAnswer,
    OrderRestored,
    RefundOrder,
    RestoreOrder,
    RestoreSubOrders,
    SubOrderAnswer,
    cancel_unpaid,
    mark_grouped,
    mark_paid,
    mark_split,
    open_sub_orders,
    place,
    refund_all,
    refund_late,
    return_payment,
    revive,
)
from tuanzi.orders.store import ORDER_HOLDS, ORDERS, SUB_ORDERS
from tuanzi.orders.web import ROUTES

__all__ = [
    "DEAD",
    "HOLDING",
    "ORDERS",
    "SUB_ORDERS",
    "AdvanceSubOrder",
    "AfterSaleTooLate",
    "AskAfterSale",
    "CompleteOrder",
    "ConfirmOrder",
    "DecideAfterSale",
    "FreeOrder",
    "HearRefund",
    "HoldOrder",
    "IllegalStep",
    "NotPayable",
    "Order",
    "OrderAnswer",
    "OrderBook",
    "OrderHeld",
    "OrderRecord",
    "OrderRestored",
    "OrderState",
    "OrderStatus",
    "OrderView",
    "Refund",
    "RefundOrder",
    "RefundTooLarge",
    "RestoreOrder",
    "RestoreSubOrders",
    "StatusBoard",
    "Step",
    "SubLine",
    "SubOrder",
    "SubOrderAnswer",
    "SubOrderState",
    "SubOrderView",
    "SubStep",
    "board_of",
    "cancel_unpaid",
    "find_order",
    "mark_grouped",
    "mark_paid",
    "mark_split",
    "on_bundle_picked_up",
    "on_parcel_delivered",
    "on_refund_settled",
    "open_sub_orders",
    "order_book",
    "order_ids_after",
    "orders_of_meal",
    "place",
    "refund_all",
    "refund_late",
    "return_payment",
    "revive",
    "room",
    "state_by_sub_orders",
    "steps_from",
    "sub_orders_of_group",
    "sub_view_of",
    "view_of",
]


def room() -> Room:
    """Orders as wiring puts them into the house."""
    return Room(
        name="orders",
        database="core",
        tables=(ORDERS, SUB_ORDERS, ORDER_HOLDS),
        commands={
            AdvanceSubOrder: service.advance_sub_order,
            ConfirmOrder: service.confirm_order,
            CompleteOrder: service.complete_order,
            RefundOrder: service.refund_order,
            AskAfterSale: service.ask_after_sale,
            DecideAfterSale: service.decide_after_sale,
            HearRefund: service.hear_refund,
            RestoreOrder: service.restore_order,
            RestoreSubOrders: service.restore_sub_orders,
            HoldOrder: service.hold_order,
            FreeOrder: service.free_order,
        },
        routes=ROUTES,
    )
