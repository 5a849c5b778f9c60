"""Stock: portions of dishes for a meal, held and sold; never more than there are (B2). Database: core.

Owns portions. Hears nothing. Emits DishSoldOut.
"""

from __future__ import annotations

from tuanzi.machinery.room import Room
from tuanzi.stock.model import Portions, PortionsLeft, PortionsRestored, RestorePortions, SetPortions
from tuanzi.stock.problems import StockShort, TotalTooSmall
from tuanzi.stock.queries import meals_from, portions_of_meal
from tuanzi.stock.service import give_back, hold, release, restore_portions, sell, set_portions
from tuanzi.stock.store import PORTIONS
from tuanzi.stock.web import ROUTES

__all__ = [
    "PORTIONS",
    "Portions",
    "PortionsLeft",
    "PortionsRestored",
    "RestorePortions",
    "SetPortions",
    "StockShort",
    "TotalTooSmall",
    "give_back",
    "hold",
    "meals_from",
    "portions_of_meal",
    "release",
    "room",
    "sell",
]


def room() -> Room:
    """Stock as wiring puts it into the house."""
    return Room(
        name="stock",
        database="core",
        tables=(PORTIONS,),
        commands={SetPortions: set_portions, RestorePortions: restore_portions},
        routes=ROUTES,
    )
