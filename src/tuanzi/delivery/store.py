"""Rows of delivery, and how pages ask for them."""

from __future__ import annotations

from tuanzi.delivery.model import Board, Bundle, Consignment, MealLoad, Parcel, PlacedDropOff, Rider
from tuanzi.machinery.tables import table

CONSIGNMENTS = table("consignments", Consignment, key="gid")
PARCELS = table("parcels", Parcel, key="id")
DROP_OFFS = table("drop_offs", PlacedDropOff, key="sub_order_id")
MEAL_LOADS = table("meal_loads", MealLoad, key="meal_id")
RIDERS = table("riders", Rider, key="id")
BUNDLES = table("bundles", Bundle, key="id")
BOARDS = table("boards", Board, key="id")
TABLES = (CONSIGNMENTS, PARCELS, DROP_OFFS, MEAL_LOADS, RIDERS, BUNDLES, BOARDS)
