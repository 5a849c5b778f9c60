"""What the invariants read, from both databases of a campus; whole tables, for a run has an end."""

from __future__ import annotations

# core

ORDERS = """
SELECT id, group_id, member_id, meal_id, state, quote, payable_fen, paid_fen, refundable, refunds, sub_orders
FROM orders ORDER BY id
"""

SUB_ORDERS = """
SELECT id, order_id, group_id, merchant_id, building_id, meal_id, state, order_lines,
    items_fen, discount_fen, delivery_fen, payable_fen
FROM sub_orders ORDER BY id
"""

PORTIONS = "SELECT dish_id, meal_id, total, held, sold FROM portions ORDER BY dish_id, meal_id"

GROUPS = """
SELECT id, campaign_id, state, tiers, seats, per_user_limit, delivery_fee_fen, home FROM campus_groups ORDER BY id
"""

SPLITS = """
SELECT gid, group_id, state, reason, needs_human, decided_at_ms, deadline_at_ms FROM splits ORDER BY gid
"""
SPLIT_BRANCHES = """
SELECT s.gid, json_extract(b.value, '$.branch'), json_extract(b.value, '$.address'), json_extract(b.value, '$.state')
FROM branches_of_splits s, json_each(s.branches) b ORDER BY 1, 2
"""
ORDERS_OF_SPLITS = """
SELECT s.gid, o.state
FROM plans_of_splits s, json_each(s.orders) p JOIN orders o ON o.id = json_extract(p.value, '$.order_id')
ORDER BY s.gid, o.id
"""
SUB_ORDER_STATES = "SELECT group_id, state FROM sub_orders ORDER BY id"

GUEST_SEATS = "SELECT order_id, group_id, home_id, member_id, state FROM guest_seats ORDER BY order_id"
SEAT_FENCES = "SELECT gid, state FROM fences WHERE branch = 'seat' ORDER BY gid"

# every database

FENCES = "SELECT gid, branch, state, epoch FROM fences ORDER BY gid, branch"
EPOCHS = "SELECT COALESCE(MAX(epoch), 0) FROM coordinator_epochs"

EVENT_NUMBERS = "SELECT COUNT(*), COALESCE(MIN(number), 1), COALESCE(MAX(number), 0) FROM events"
LAST_EVENT_NUMBER = "SELECT event_number FROM writer_cursor WHERE id = 1"
EVENTS_AFTER = "SELECT number, name, at_ms, body FROM events WHERE number > :after ORDER BY number LIMIT :limit"
POSITION = "SELECT number FROM follower_positions WHERE source = :source"
LAST_BY_NAME = "SELECT name, MAX(number) FROM events GROUP BY name ORDER BY name"
PARKED = "SELECT source, number, name, reason FROM parked_events ORDER BY source, number"
TIMERS_DUE = "SELECT id, command FROM timers WHERE due_at_ms <= :by_ms ORDER BY due_at_ms, id LIMIT 20"
# But for those that are set for ever, the next comparison of the books, and those that only forget, days later.
LAST_TIMER = """
SELECT MAX(due_at_ms) FROM timers WHERE id NOT LIKE 'reconciliation:%' AND id NOT LIKE 'forget-seat:%'
"""
WATCHED = "SELECT id FROM timers WHERE id LIKE 'accept:%' ORDER BY id LIMIT 10000"
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"

# money

UNBALANCED_JOURNALS = """
SELECT j.id, j.entry_count, COUNT(e.line), COALESCE(SUM(e.amount_fen), 0)
FROM journals j LEFT JOIN entries e ON e.journal_id = j.id
GROUP BY j.id, j.entry_count HAVING COUNT(e.line) <> j.entry_count OR COALESCE(SUM(e.amount_fen), 0) <> 0
ORDER BY j.id
"""

ACCOUNTS = """
SELECT b.account, b.amount_fen, COALESCE((SELECT SUM(e.amount_fen) FROM entries e WHERE e.account = b.account), 0)
FROM balances b ORDER BY b.account
"""

ALL_ENTRIES_FEN = "SELECT COALESCE(SUM(amount_fen), 0) FROM entries"

ORDER_ACCOUNTS = """
SELECT order_id, account, SUM(amount_fen) FROM entries GROUP BY order_id, account ORDER BY order_id, account
"""

SHARINGS_OF_SPLITS = "SELECT gid, state FROM sharings ORDER BY order_id"

CLAIMS = "SELECT order_id, claimed_fen FROM sharings WHERE state = 'posted' ORDER BY order_id"

PAYMENTS = "SELECT id, order_id, member_id, state, amount_fen, captured_fen, refunded_fen FROM payments ORDER BY id"
REFUNDS = "SELECT id, order_id, payment_id, amount_fen, state FROM refunds ORDER BY id"

JOURNALS_BY_KIND = "SELECT kind, reference, turnover_fen FROM journals ORDER BY id"

# delivery

PARCELS = """
SELECT id, merchant_id, building_id, meal_id, state, sub_order_ids, portions, bundle_id FROM parcels ORDER BY id
"""
PARCELS_OF_SPLITS = "SELECT gid, state FROM parcels ORDER BY id"
DROP_OFFS = "SELECT sub_order_id, parcel_id, portions, state FROM drop_offs ORDER BY sub_order_id"
BUNDLES = "SELECT id, rider_id, merchant_id, state, parcel_ids FROM bundles ORDER BY id"
RIDERS_BUNDLES = "SELECT id, bundle_id FROM riders ORDER BY id"

# what a report counts

CANCELLED_SPLITS = "SELECT group_id FROM splits WHERE state IN ('cancelling', 'cancelled') ORDER BY group_id"
GUESTS_SEATED = "SELECT COUNT(*) FROM guest_seats WHERE state = 'paid' ORDER BY 1"
GROUPS_BY_STATE = "SELECT state, COUNT(*) FROM campus_groups WHERE home IS NULL GROUP BY state ORDER BY state"
ORDERS_BY_STATE = "SELECT state, COUNT(*) FROM orders GROUP BY state ORDER BY state"
PAID_FEN = "SELECT COALESCE(SUM(captured_fen), 0), COUNT(*) FROM payments WHERE state IN ('captured', 'misfit')"
REFUNDED_FEN = "SELECT COALESCE(SUM(amount_fen), 0), COUNT(*) FROM refunds WHERE state = 'settled'"
REFUNDS_BY_STATE = "SELECT state, COUNT(*) FROM refunds GROUP BY state ORDER BY state"
SUB_ORDERS_BY_STATE = "SELECT state, COUNT(*) FROM sub_orders GROUP BY state ORDER BY state"


def whole_table(name: str) -> str:
    """Every row of a table, for a digest."""
    return f'SELECT * FROM "{name}" ORDER BY 1, 2'
