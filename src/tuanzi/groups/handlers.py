"""What other rooms' events mean for groups; a listener never raises a Problem, for the log must go on."""

from __future__ import annotations

from datetime import datetime

from tuanzi import orders
from tuanzi.base.ids import GroupId, OrderId
from tuanzi.base.money import Money
from tuanzi.base.unit import Unit
from tuanzi.events import OrderCancelled, PaymentCaptured, RefundDue
from tuanzi.groups.service import HearCapture, forget_use, settle_capture
from tuanzi.money import payment_of
from tuanzi.orders import Order, OrderState


def on_payment_captured(unit: Unit, event: PaymentCaptured, *, now: datetime) -> None:
    """Money came in: it pays its order, or goes back; it is never lost and never counts twice (C4, P1 to P3)."""
    order = unit.find(Order, event.order_id)
    amount = Money(event.amount_fen)
    if order is None:
        due = RefundDue(
            refund_id=f"{event.payment_id}.back",
            order_id=event.order_id,
            member_id="",
            amount_fen=event.amount_fen,
            reason="unknown_order",
            payment_id=event.payment_id,
        )
        unit.emit(due)
    elif event.payment_id != payment_of(order.id):
        # Refunds of an order are taken from its own payment (RefundDue.payment_id), so no other may pay it.
        orders.return_payment(unit, order, payment_id=event.payment_id, amount=amount, reason="not_its_payment")
    elif order.paid:
        return  # a payment is captured once, so this is what paid it, heard again
    elif order.state not in (OrderState.CREATED, OrderState.CANCELLED):
        orders.return_payment(unit, order, payment_id=event.payment_id, amount=amount, reason="paid_twice")
    elif amount != order.payable:
        orders.return_payment(unit, order, payment_id=event.payment_id, amount=amount, reason="amount_differs")
    else:
        settle_capture(unit, order, now=now)


def hear_capture(unit: Unit, command: HearCapture, *, now: datetime) -> None:
    """Money came in whose event was never heard: as that would have; nothing happens when it has its money.

    Only for an order without money: to any other it would be money that came twice. Raises Unknown.
    """
    order = unit.load(Order, command.order_id)
    if order.paid or order.state not in (OrderState.CREATED, OrderState.CANCELLED):
        return
    captured = PaymentCaptured(
        order_id=command.order_id, payment_id=command.payment_id, amount_fen=command.amount_fen, captured_at=now
    )
    on_payment_captured(unit, captured, now=now)


def on_order_cancelled(unit: Unit, event: OrderCancelled, *, now: datetime) -> None:
    """An order came to nothing. What groups end themselves they count themselves; this is for refunds after a split."""
    forget_use(unit, GroupId(event.group_id), order_id=OrderId(event.order_id))
