"""Rows of orders and sub-orders, and how pages ask for them."""

from __future__ import annotations

from tuanzi.machinery.several import SEVERAL
from tuanzi.machinery.tables import table
from tuanzi.orders.model import Order, OrderHold, OrderRecord, SubOrder

ORDERS = table("orders", Order, key="id")
SUB_ORDERS = table("sub_orders", SubOrder, key="id")
ORDER_HOLDS = table("order_holds", OrderHold, key="order_id")
ORDER_RECORDS = table("orders", OrderRecord, key="id")

_ORDER_COLUMNS = ", ".join(ORDERS.columns)
_SUB_ORDER_COLUMNS = ", ".join(SUB_ORDERS.columns)

ORDER = "SELECT " + _ORDER_COLUMNS + " FROM orders WHERE id = :id ORDER BY id LIMIT 1"
ORDERS_OF_MEMBER = (
    "SELECT "
    + _ORDER_COLUMNS
    + " FROM orders WHERE member_id = :member_id AND id < :before ORDER BY id DESC LIMIT :limit"
)
# Of the campus: whichever of the next `looked` orders are in the state, so that a rare one does not read them all.
ORDERS_BEFORE = (
    "SELECT " + _ORDER_COLUMNS + " FROM orders WHERE id < :before AND (:state = '' OR state = :state)"
    " AND id >= COALESCE((SELECT MIN(id) FROM"
    " (SELECT id FROM orders WHERE id < :before ORDER BY id DESC LIMIT :looked) AS next_ones), '')"
    " ORDER BY id DESC LIMIT :limit"
)
LAST_LOOKED_AT = (
    "SELECT MIN(id), COUNT(*) FROM"
    " (SELECT id FROM orders WHERE id < :before ORDER BY id DESC LIMIT :looked) AS next_ones ORDER BY 1 LIMIT 1"
)
SUB_ORDERS_OF_ORDER = (
    "SELECT " + _SUB_ORDER_COLUMNS + " FROM sub_orders WHERE id > :from_id AND id < :to_id ORDER BY id LIMIT 200"
)
SUB_ORDERS_OF_GROUP = (
    "SELECT " + _SUB_ORDER_COLUMNS + " FROM sub_orders WHERE group_id = :group_id ORDER BY id LIMIT 2000"
)
SUB_ORDERS_OF_MERCHANT = (
    "SELECT " + _SUB_ORDER_COLUMNS + " FROM sub_orders WHERE merchant_id = :merchant_id AND state = :state"
    " AND state <> 'waiting' AND id > :after ORDER BY id LIMIT :limit"
)

# The order book beside others (C3).
ORDERS_NAMED = "SELECT " + _ORDER_COLUMNS + " FROM orders WHERE id IN (" + SEVERAL + ") ORDER BY id LIMIT 100"
SUB_ORDERS_NAMED = (
    "SELECT " + _SUB_ORDER_COLUMNS + " FROM sub_orders WHERE id IN (" + SEVERAL + ") ORDER BY id LIMIT 100"
)
ORDER_IDS_AFTER = "SELECT id FROM orders WHERE id > :after ORDER BY id LIMIT :limit"
# Read from the first id on: all orders of a meal were placed within days of each other, and ids sort by time.
ORDERS_OF_MEAL = (
    "SELECT "
    + _ORDER_COLUMNS
    + " FROM orders WHERE id > :after AND meal_id = :meal_id AND state <> 'cancelled' ORDER BY id LIMIT :limit"
)
