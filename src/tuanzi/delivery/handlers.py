"""What core's events mean for delivery; a listener never raises a Problem, for the log must go on."""

from __future__ import annotations

from datetime import datetime

from tuanzi.base.unit import Unit
from tuanzi.delivery.model import CAMPUS_TERMS, Terms
from tuanzi.delivery.service import drop, note_brought, note_cooking, note_ready
from tuanzi.events import SubOrderAdvanced


def on_sub_order_advanced(unit: Unit, event: SubOrderAdvanced, *, now: datetime, terms: Terms = CAMPUS_TERMS) -> None:
    """Food that is made is planned with, food that is ready can be picked up, what nobody wants is not brought.

    Neither is what an operator marked by hand while it stood on the counter; what he marks as delivered, is.
    """
    match event.state:
        case "cooking":
            note_cooking(unit, event.sub_order_id, now=now, terms=terms)
        case "ready":
            note_ready(unit, event.sub_order_id, now=now, terms=terms)
        case "delivered":
            note_brought(unit, event.sub_order_id, now=now, terms=terms)
        case "rejected" | "withdrawn" | "picked_up":
            drop(unit, event.sub_order_id, now=now, terms=terms)
