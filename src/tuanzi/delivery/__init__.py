"""Delivery: drop-offs by merchant, building and time, and who brings them (B2, B3, B9, B10). Database: delivery.

Owns no table yet: a split's branch keeps its fence. Emits nothing yet.
"""

from __future__ import annotations

from tuanzi.delivery import model, service
from tuanzi.delivery.model import CancelDelivery, ConfirmDelivery, DropOff, Spot, TryDelivery
from tuanzi.machinery.fence import fence_place
from tuanzi.machinery.room import Room

__all__ = ["CancelDelivery", "ConfirmDelivery", "DropOff", "Spot", "TryDelivery", "room"]


def room() -> Room:
    """Delivery as wiring puts it into the house."""
    return Room(
        name="delivery",
        database="delivery",
        commands={
            model.TryDelivery: service.try_delivery,
            model.ConfirmDelivery: service.confirm_delivery,
            model.CancelDelivery: service.cancel_delivery,
        },
        assumed_new={model.TryDelivery: lambda command: [fence_place(command.branch)]},
    )
