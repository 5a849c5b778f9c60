"""What core's events mean for differences; a listener never raises a Problem, for the log must go on."""

from __future__ import annotations

from datetime import datetime

from tuanzi.base.unit import Unit
from tuanzi.events import DifferenceRepaired, OrderPutOnHold
from tuanzi.reconciliation.model import KeptDifference


def on_order_put_on_hold(unit: Unit, event: OrderPutOnHold, *, now: datetime) -> None:
    """Core holds an order. When its difference has ended, core heard of that before it heard of the doubt, which was
    laid aside meanwhile: it is told of the end again, or nothing would ever free the order. A repeat is harmless."""
    kept = unit.find(KeptDifference, event.because)
    if kept is not None and kept.is_ended:
        ended = DifferenceRepaired(
            difference_id=kept.id, by=kept.ended_by or "itself", reason=kept.reason or "", about=event.order_id
        )
        unit.emit(ended)
