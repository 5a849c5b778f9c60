"""What other rooms' events mean for money; a listener never raises a Problem, for the log must go on."""

from __future__ import annotations

from datetime import datetime

from tuanzi.base.ids import OrderId, PaymentId, RefundId
from tuanzi.base.money import Money
from tuanzi.base.unit import Unit
from tuanzi.events import RefundDue, RefundRefused
from tuanzi.money.model import Misgiving, Refund, RefundState, out_refund_no_of, payment_of
from tuanzi.money.service import promise_refund


def on_refund_due(unit: Unit, event: RefundDue, *, now: datetime) -> None:
    """Owe a member his money and send it, once for each refund id (P7: each on his own, P9: owed before it is sent).

    A repeat changes nothing; one with other terms, or an amount that is not positive, is told as RefundRefused.
    """
    payment_id = event.payment_id or payment_of(event.order_id)
    known = unit.find(Refund, event.refund_id)
    if known is not None:
        if (known.payment_id, known.amount.fen) != (payment_id, event.amount_fen):
            _refuse_event(unit, event, misgiving=Misgiving.REPEAT_DIFFERS)
        return
    if event.amount_fen <= 0:
        _refuse_event(unit, event, misgiving=Misgiving.NOT_POSITIVE)
        return
    refund = Refund(
        id=RefundId(event.refund_id),
        order_id=OrderId(event.order_id),
        payment_id=PaymentId(payment_id),
        amount=Money(event.amount_fen),
        state=RefundState.WAITING,
        out_refund_no=out_refund_no_of(event.refund_id),
        reason=event.reason[:80],
        due_at=now,
    )
    promise_refund(unit, refund, now=now)


def _refuse_event(unit: Unit, event: RefundDue, *, misgiving: Misgiving) -> None:
    refused = RefundRefused(
        refund_id=event.refund_id, order_id=event.order_id, amount_fen=event.amount_fen, reason=misgiving.value
    )
    unit.emit(refused)
