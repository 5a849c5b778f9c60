"""What the money database's events mean for orders; a listener never raises a Problem, for the log must go on."""

from __future__ import annotations

from datetime import datetime

from tuanzi.base.ids import OrderId
from tuanzi.base.unit import Unit
from tuanzi.events import RefundSettled
from tuanzi.orders.service import settle_refund


def on_refund_settled(unit: Unit, event: RefundSettled, *, now: datetime) -> None:
    """The member has his money back."""
    settle_refund(unit, order_id=OrderId(event.order_id), refund_id=event.refund_id)
