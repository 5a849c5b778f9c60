"""What can be done with an order, one function for each sentence of the spec (B8).

`placing` is for the rooms above, which own the seat and the group. From the split on there are sub-orders: `making`,
and `acceptance`, whether shops are in time; then `ending`. `refunds` is what goes back on the way, `mending` what the
reconciliation asks for. `commands`: what is asked. `steps`: what all of these have in common.
"""

from __future__ import annotations

from tuanzi.orders.service.acceptance import (
    open_sub_orders,
    set_acceptance_terms,
    terms_set,
    unready_places,
    watch_acceptance,
    watch_readiness,
    watched_places,
)
from tuanzi.orders.service.commands import (
    AcceptanceSet,
    AdvanceSubOrder,
    AskAfterSale,
    CompleteOrder,
    ConfirmOrder,
    DecideAfterSale,
    HearRefund,
    OrderAnswer,
    OrderRestored,
    RefundOrder,
    RestoreOrder,
    RestoreSubOrders,
    SetAcceptanceTerms,
    SubOrderAnswer,
    WatchAcceptance,
    WatchReadiness,
    WithdrawAfterSale,
)
from tuanzi.orders.service.ending import (
    ask_after_sale,
    complete_order,
    confirm_order,
    decide_after_sale,
    forget_complaints,
    withdraw_after_sale,
)
from tuanzi.orders.service.making import advance_sub_order, follow_rider, mark_split
from tuanzi.orders.service.mending import free_order, hear_refund, hold_order, restore_order, restore_sub_orders
from tuanzi.orders.service.placing import cancel_unpaid, mark_grouped, mark_paid, place, revive
from tuanzi.orders.service.refunds import refund_all, refund_late, refund_order, return_payment, settle_refund

__all__ = [
    "AcceptanceSet",
    "AdvanceSubOrder",
    "AskAfterSale",
    "CompleteOrder",
    "ConfirmOrder",
    "DecideAfterSale",
    "HearRefund",
    "OrderAnswer",
    "OrderRestored",
    "RefundOrder",
    "RestoreOrder",
    "RestoreSubOrders",
    "SetAcceptanceTerms",
    "SubOrderAnswer",
    "WatchAcceptance",
    "WatchReadiness",
    "WithdrawAfterSale",
    "advance_sub_order",
    "ask_after_sale",
    "cancel_unpaid",
    "complete_order",
    "confirm_order",
    "decide_after_sale",
    "follow_rider",
    "forget_complaints",
    "free_order",
    "hear_refund",
    "hold_order",
    "mark_grouped",
    "mark_paid",
    "mark_split",
    "open_sub_orders",
    "place",
    "refund_all",
    "refund_late",
    "refund_order",
    "restore_order",
    "restore_sub_orders",
    "return_payment",
    "revive",
    "set_acceptance_terms",
    "settle_refund",
    "terms_set",
    "unready_places",
    "watch_acceptance",
    "watch_readiness",
    "watched_places",
    "withdraw_after_sale",
]
