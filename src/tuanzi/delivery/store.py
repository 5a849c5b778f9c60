"""Rows of delivery, and how pages ask for them."""

from __future__ import annotations

from tuanzi.delivery.model import Board, Bundle, Consignment, MealLoad, Parcel, PlacedDropOff, Rider
from tuanzi.machinery.room import Keeps
from tuanzi.machinery.several import SEVERAL
from tuanzi.machinery.tables import table

CONSIGNMENTS = table("consignments", Consignment, key="gid")
PARCELS = table("parcels", Parcel, key="id")
DROP_OFFS = table("drop_offs", PlacedDropOff, key="sub_order_id")
MEAL_LOADS = table("meal_loads", MealLoad, key="meal_id")
RIDERS = table("riders", Rider, key="id")
BUNDLES = table("bundles", Bundle, key="id")
BOARDS = table("boards", Board, key="id")
TABLES = (CONSIGNMENTS, PARCELS, DROP_OFFS, MEAL_LOADS, RIDERS, BUNDLES, BOARDS)

_PARCEL_COLUMNS = ", ".join(PARCELS.columns)
_RIDER_COLUMNS = ", ".join(RIDERS.columns)

RIDER = "SELECT " + _RIDER_COLUMNS + " FROM riders WHERE id = :rider_id ORDER BY id LIMIT 1"
RIDERS_AFTER = "SELECT " + _RIDER_COLUMNS + " FROM riders WHERE id > :after ORDER BY id LIMIT :limit"
BUNDLE = "SELECT " + ", ".join(BUNDLES.columns) + " FROM bundles WHERE id = :bundle_id ORDER BY id LIMIT 1"
BOARD = "SELECT " + ", ".join(BOARDS.columns) + " FROM boards ORDER BY id LIMIT 1"
PARCELS_OF_BUNDLE = "SELECT " + _PARCEL_COLUMNS + " FROM parcels WHERE bundle_id = :bundle_id ORDER BY id LIMIT 100"
CONSIGNMENT = "SELECT " + ", ".join(CONSIGNMENTS.columns) + " FROM consignments WHERE gid = :gid ORDER BY gid LIMIT 1"
PARCELS_NAMED = "SELECT " + _PARCEL_COLUMNS + " FROM parcels WHERE id IN (" + SEVERAL + ") ORDER BY id LIMIT 100"
BUNDLES_NAMED = (
    "SELECT " + ", ".join(BUNDLES.columns) + " FROM bundles WHERE id IN (" + SEVERAL + ") ORDER BY id LIMIT 100"
)
PARCELS_OF_MERCHANT = (
    "SELECT " + _PARCEL_COLUMNS + " FROM parcels WHERE merchant_id = :merchant_id AND state = :state"
    " AND id > :after ORDER BY id LIMIT :limit"
)
PARCELS_IN_STATE = (
    "SELECT " + _PARCEL_COLUMNS + " FROM parcels WHERE state = :state AND id > :after ORDER BY id LIMIT :limit"
)
PARCELS_UNFETCHED = (
    "SELECT " + _PARCEL_COLUMNS + " FROM parcels WHERE state IN ('assigned', 'waiting') AND unready = 0"
    " AND ready_at_ms <= :before_ms AND id > :after ORDER BY id LIMIT :limit"
)
DELIVERY_OF_ORDER = """
SELECT d.sub_order_id, d.member_id, d.state, p.id, p.merchant_id, p.building_id, p.arrives_at_ms
FROM drop_offs d JOIN parcels p ON p.id = d.parcel_id
WHERE d.order_id = :order_id ORDER BY d.sub_order_id LIMIT :limit
"""

# Of one person, for his export: what was brought to him; as a rider, where he is free and what he brought.
KEPT_DROP_OFFS = (
    "SELECT "
    + ", ".join(DROP_OFFS.columns)
    + " FROM drop_offs WHERE order_id IN ("
    + SEVERAL
    + ") ORDER BY sub_order_id LIMIT :limit"
)
KEPT_RIDER = "SELECT " + _RIDER_COLUMNS + " FROM riders WHERE id = :person_id AND id > :after ORDER BY id LIMIT :limit"
KEPT_BUNDLES = (
    "SELECT "
    + ", ".join(BUNDLES.columns)
    + " FROM bundles WHERE rider_id = :person_id AND id > :after ORDER BY id LIMIT :limit"
)
KEEPS = (
    Keeps(table="drop_offs", columns=DROP_OFFS.columns, sql=KEPT_DROP_OFFS, of_orders=True),
    Keeps(table="riders", columns=RIDERS.columns, sql=KEPT_RIDER),
    Keeps(table="bundles", columns=BUNDLES.columns, sql=KEPT_BUNDLES),
)
