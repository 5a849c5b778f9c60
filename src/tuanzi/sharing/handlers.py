"""What other rooms' events mean for shares; a listener never raises a Problem, for the log must go on."""

from __future__ import annotations

from datetime import datetime

from tuanzi.base.unit import Unit
from tuanzi.events import AfterSaleAsked, OrderCompleted, ParcelDelivered, RefundDue, RefundRefused, RefundSettled
from tuanzi.money import note_refund
from tuanzi.sharing.service import close_refund_case, complete, credit_rider, dispute, open_refund_case, pay_back


def on_order_completed(unit: Unit, event: OrderCompleted, *, now: datetime) -> None:
    """An order that is over is paid out."""
    complete(unit, event.order_id, now=now)


def on_after_sale_asked(unit: Unit, event: AfterSaleAsked, *, now: datetime) -> None:
    """What may go back to the member is not given to persons, from whom nothing comes back."""
    dispute(unit, event.order_id)


def on_parcel_delivered(unit: Unit, event: ParcelDelivered, *, now: datetime) -> None:
    """The rider who brought sub-orders is owed their delivery's share."""
    for sub_order_id in event.sub_order_ids:
        order_id = sub_order_id.rpartition(".")[0]
        credit_rider(unit, order_id, sub_order_id=sub_order_id, rider_id=event.rider_id, now=now)


def on_refund_due(unit: Unit, event: RefundDue, *, now: datetime) -> None:
    """Owe a member his money and send it, once for each refund id (P7: each on his own, P9: owed before it is sent).

    A repeat changes nothing; one with other terms, or an amount that is not positive, is told as RefundRefused.
    """
    refund = note_refund(unit, event, now=now)
    if refund is not None:
        pay_back(unit, refund, now=now)


def on_refund_refused(unit: Unit, event: RefundRefused, *, now: datetime) -> None:
    """A person must look."""
    open_refund_case(
        unit,
        refund_id=event.refund_id,
        order_id=event.order_id,
        amount_fen=event.amount_fen,
        reason=event.reason,
        now=now,
    )


def on_refund_settled(unit: Unit, event: RefundSettled, *, now: datetime) -> None:
    """Nobody need look any more at a refund that was refused and has settled after all."""
    if event.was_refused:
        close_refund_case(unit, refund_id=event.refund_id, now=now)
