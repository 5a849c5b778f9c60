"""What money's and delivery's events mean for orders; a listener never raises a Problem, for the log must go on."""

from __future__ import annotations

from datetime import datetime

from tuanzi.base.ids import OrderId
from tuanzi.base.unit import Unit
from tuanzi.events import BundlePickedUp, DifferenceRepaired, OrderDoubted, ParcelDelivered, RefundSettled
from tuanzi.orders.model import SubStep
from tuanzi.orders.service import follow_rider, free_order, hold_order, settle_refund


def on_refund_settled(unit: Unit, event: RefundSettled, *, now: datetime) -> None:
    """The member has his money back."""
    settle_refund(unit, order_id=OrderId(event.order_id), refund_id=event.refund_id)


def on_order_doubted(unit: Unit, event: OrderDoubted, *, now: datetime) -> None:
    """Nothing is made for an order whose money the provider never had."""
    hold_order(unit, OrderId(event.order_id), because=event.difference_id)


def on_difference_repaired(unit: Unit, event: DifferenceRepaired, *, now: datetime) -> None:
    """An order that was held for this goes on, however it ended."""
    if event.about:
        free_order(unit, OrderId(event.about), because=event.difference_id)


def on_bundle_picked_up(unit: Unit, event: BundlePickedUp, *, now: datetime) -> None:
    """A rider has these sub-orders."""
    for sub_order_id in event.sub_order_ids:
        follow_rider(unit, sub_order_id, step=SubStep.PICK_UP, rider_id=event.rider_id, now=now)


def on_parcel_delivered(unit: Unit, event: ParcelDelivered, *, now: datetime) -> None:
    """These sub-orders are at their building."""
    for sub_order_id in event.sub_order_ids:
        follow_rider(unit, sub_order_id, step=SubStep.DELIVER, rider_id=event.rider_id, now=now)
