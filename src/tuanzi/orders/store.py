"""Rows of orders and sub-orders, and how pages ask for them."""

from __future__ import annotations

from tuanzi.machinery.room import Keeps
from tuanzi.machinery.several import FEW, SEVERAL
from tuanzi.machinery.tables import table
from tuanzi.orders.model import AcceptanceTerms, Complaints, OpenAfterSale, Order, OrderHold, OrderRecord, SubOrder

# What can go back is said once it is paid: of three dishes in as many characters as that there is nothing.
ORDERS = table("orders", Order, key="id", alike=("quote",), padded={"refundable": 32})
SUB_ORDERS = table("sub_orders", SubOrder, key="id", alike=("order_lines",))
ORDER_HOLDS = table("order_holds", OrderHold, key="order_id")
ACCEPTANCE_TERMS = table("acceptance_terms", AcceptanceTerms, key="id")
COMPLAINTS = table("complaints", Complaints, key="member_id")
OPEN_AFTER_SALES = table("open_after_sales", OpenAfterSale, key="order_id")
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
SUB_ORDERS_OF_GROUP = (
    "SELECT " + _SUB_ORDER_COLUMNS + " FROM sub_orders WHERE group_id = :group_id ORDER BY id LIMIT :limit"
)
SUB_ORDERS_OF_MERCHANT = (
    "SELECT " + _SUB_ORDER_COLUMNS + " FROM sub_orders WHERE merchant_id = :merchant_id AND state = :state"
    " AND state <> 'waiting' AND id > :after ORDER BY id LIMIT :limit"
)
# By merchants, for an index on the state alone would be written at every step of every sub-order.
SUB_ORDERS_UNACCEPTED = (
    "SELECT " + _SUB_ORDER_COLUMNS + " FROM sub_orders WHERE merchant_id IN (" + SEVERAL + ") AND state = 'planned'"
    " AND planned_at_ms <= :before_ms AND id > :after ORDER BY id LIMIT :limit"
)
SUB_ORDERS_UNREADY = (
    "SELECT " + _SUB_ORDER_COLUMNS + " FROM sub_orders WHERE merchant_id IN (" + SEVERAL + ")"
    " AND state IN ('accepted', 'cooking')"
    " AND planned_at_ms <= :before_ms AND id > :after ORDER BY id LIMIT :limit"
)
TERMS_OF_ACCEPTANCE = "SELECT " + ", ".join(ACCEPTANCE_TERMS.columns) + " FROM acceptance_terms ORDER BY id LIMIT 1"

# The order book beside others (C3).
ORDERS_FEW = "SELECT " + _ORDER_COLUMNS + " FROM orders WHERE id IN (" + FEW + ") ORDER BY id LIMIT 16"
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

# A refund of all that is left ends an after-sale too, and orders are mended: the order itself says whether it is open.
AFTER_SALES_OPEN = (
    "SELECT a.asked_at_ms, "
    + ", ".join([f"o.{column}" for column in ORDERS.columns])
    + " FROM open_after_sales a JOIN orders o ON o.id = a.order_id"
    " WHERE a.order_id > :after AND o.state = 'after_sale' ORDER BY a.order_id LIMIT :limit"
)
COMPLAINTS_OF_MEMBERS = (
    "SELECT " + "member_id, said FROM complaints WHERE member_id IN (" + SEVERAL + ") ORDER BY member_id LIMIT 100"
)
COMPLAINTS_OF_MEMBER = "SELECT member_id, said FROM complaints WHERE member_id = :member_id ORDER BY member_id LIMIT 1"

# Of one person, for his export.
KEPT_COMPLAINTS = (
    "SELECT member_id, said FROM complaints WHERE member_id = :person_id AND member_id > :after"
    " ORDER BY member_id LIMIT :limit"
)
ORDER_IDS_OF_MEMBER = "SELECT id FROM orders WHERE member_id = :person_id AND id > :after ORDER BY id LIMIT :limit"
KEPT_ORDERS = (
    "SELECT " + _ORDER_COLUMNS + " FROM orders WHERE member_id = :person_id AND id > :after ORDER BY id LIMIT :limit"
)
KEPT_SUB_ORDERS = (
    "SELECT "
    + ", ".join([f"s.{column}" for column in SUB_ORDERS.columns])
    + " FROM orders o JOIN sub_orders s ON s.group_id = o.group_id AND s.order_id = o.id"
    " WHERE o.id IN (" + SEVERAL + ") ORDER BY s.id LIMIT :limit"
)
KEPT_HOLDS = (
    "SELECT " + "order_id, because FROM order_holds WHERE order_id IN (" + SEVERAL + ") ORDER BY order_id LIMIT 100"
)
KEPT_AFTER_SALES = (
    "SELECT "
    + "order_id, asked_at_ms FROM open_after_sales WHERE order_id IN ("
    + SEVERAL
    + ") ORDER BY order_id LIMIT 100"
)
KEEPS = (
    Keeps(table="orders", columns=ORDERS.columns, sql=KEPT_ORDERS),
    Keeps(table="sub_orders", columns=SUB_ORDERS.columns, sql=KEPT_SUB_ORDERS, of_orders=True),
    Keeps(table="complaints", columns=COMPLAINTS.columns, sql=KEPT_COMPLAINTS),
    Keeps(table="open_after_sales", columns=OPEN_AFTER_SALES.columns, sql=KEPT_AFTER_SALES, of_orders=True),
    Keeps(table="order_holds", columns=ORDER_HOLDS.columns, sql=KEPT_HOLDS, of_orders=True),
)
