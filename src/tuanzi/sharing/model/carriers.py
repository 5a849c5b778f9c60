"""Who brought a sub-order without being known to have, and was paid for it outside (decision 0038)."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from tuanzi.base.ids import OrderId, SubOrderId
from tuanzi.base.money import Money


class UnbroughtOrder(Struct, frozen=True, kw_only=True, gc=False):
    """A completed order of which no rider is known to have brought all; nothing may be left in the pool for it."""

    order_id: OrderId
    completed_at: datetime


class CarrierPayment(Struct, frozen=True, kw_only=True, gc=False):
    """An operator's word that a sub-order's carrier was paid from another purse; one for each sub-order, never changed.

    note: whom, how, and by what evidence.
    """

    sub_order_id: SubOrderId
    order_id: OrderId
    amount: Money
    note: str
    paid_by: str
    paid_at: datetime


class PayCarrier(Struct, frozen=True, kw_only=True, gc=False):
    """An operator says that a sub-order's carrier was paid outside. amount_fen: all that he saw owed for it."""

    order_id: str
    sub_order_id: str
    amount_fen: int
    note: str
    operator_id: str


class CarrierPaid(Struct, frozen=True, kw_only=True, gc=False):
    """The pool owes nothing more for this sub-order."""

    sub_order_id: str
    order_id: str
    amount_fen: int
