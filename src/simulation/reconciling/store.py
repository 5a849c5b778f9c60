"""Rows changed behind everybody's back, and what came of it: `{o}` is an order, `{p}` its payment, `{r}` its refund."""

from __future__ import annotations

SOLD = "SELECT dish_id, meal_id FROM portions WHERE sold > 0 ORDER BY dish_id, meal_id LIMIT 1000"
PAYMENT = (
    "INSERT INTO payments VALUES ('{p}', '{o}', '{member}', {fen}, '{state}', 'sandbox', '{p}', 0, NULL, NULL, 0, 0);"
)
REFUND = "SELECT amount_fen FROM refunds WHERE id = :id ORDER BY id LIMIT 1"
REFUND_UNDER_WAY = """
UPDATE refunds SET state = 'sent', settled_at_ms = NULL WHERE id = '{r}';
DELETE FROM entries WHERE journal_id = 'refund_settled:{r}';
DELETE FROM journals WHERE id = 'refund_settled:{r}';
UPDATE balances SET amount_fen = amount_fen + {fen} WHERE account = 'provider_clearing';
UPDATE balances SET amount_fen = amount_fen - {fen} WHERE account = 'user_refund_payable';
"""
ORDER_REFUNDING = """
UPDATE orders SET state = 'refunding', refunds = replace(refunds, 'true', 'false') WHERE id = '{o}';
"""
BALANCE = "UPDATE balances SET amount_fen = amount_fen + 1 WHERE account = 'provider_clearing';"
JOURNAL_GONE = "DELETE FROM entries WHERE journal_id = 'capture:{p}'; DELETE FROM journals WHERE id = 'capture:{p}';"
LINE_GONE = "DELETE FROM entries WHERE journal_id = 'capture:{p}' AND line = 0;"
JOURNAL_DOUBLED = "UPDATE entries SET amount_fen = amount_fen * 2 WHERE journal_id = 'capture:{p}';"
REFUND_JOURNAL_GONE = "DELETE FROM entries WHERE journal_id = 'refund_due:{o}.r1';"
PAYMENT_GONE = "DELETE FROM payments WHERE id = '{p}';"
PAYMENT_CHANGED = "UPDATE payments SET amount_fen = 9999, captured_fen = 9999 WHERE id = '{p}';"
REFUND_GONE = "DELETE FROM refunds WHERE id = '{o}.r1';"
ORDER_PAID_MORE = "UPDATE orders SET paid_fen = paid_fen + 1 WHERE id = '{o}';"
ORDER_WENT_BACK = "UPDATE orders SET state = 'cooking' WHERE id = '{o}';"
SUB_ORDERS_GONE = "DELETE FROM sub_orders WHERE order_id = '{o}';"
ORDER_GONE = "DELETE FROM orders WHERE id = '{o}';"
ORDER_UNREADABLE = "UPDATE orders SET quote = '{{' WHERE id = '{o}';"
PORTIONS_SOLD = "UPDATE portions SET sold = sold + 1 WHERE dish_id = '{dish}' AND meal_id = '{meal}';"
PORTIONS_GONE = "DELETE FROM portions WHERE dish_id = '{dish}' AND meal_id = '{meal}';"
NO_MORE_RUNS = "DELETE FROM timers WHERE id = 'reconciliation:books';"
# No shop works here for two days, and nothing is to be given up for that.
PATIENT = "INSERT INTO acceptance_terms VALUES ('campus', 1439, 1440, 1440);"
NOBODY_WATCHES = "DELETE FROM timers WHERE id LIKE 'accept:%' OR id LIKE 'ready:%';"
DIFFERENCES = "SELECT kind, item, mend, state, is_raised, unexplained_fen, reason FROM differences ORDER BY id"
BALANCES = "SELECT account, amount_fen FROM balances ORDER BY account LIMIT 10000"
