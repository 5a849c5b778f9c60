"""The money room's tables and the SQL its pages read with; the writer itself loads and keeps the values."""

from __future__ import annotations

from tuanzi.machinery.tables import table
from tuanzi.money.model import Balance, Entry, JournalHead, Payment, Refund

PAYMENTS = table("payments", Payment, key="id")
REFUNDS = table("refunds", Refund, key="id")
JOURNALS = table("journals", JournalHead, key="id")
ENTRIES = table("entries", Entry, key=("journal_id", "line"))
BALANCES = table("balances", Balance, key="account")
TABLES = (PAYMENTS, REFUNDS, JOURNALS, ENTRIES, BALANCES)  # entries after the journals they refer to

# One statement, so that both books are of the same commit. It reads every entry: about 1 s for 3 million.
TRIAL_BALANCE = """
SELECT account, SUM(summed_fen), SUM(running_fen), SUM(entry_count) FROM (
    SELECT account, SUM(amount_fen) AS summed_fen, 0 AS running_fen, COUNT(*) AS entry_count
    FROM entries GROUP BY account
    UNION ALL
    SELECT account, 0, amount_fen, 0 FROM balances
) AS both_books GROUP BY account ORDER BY account LIMIT 10000
"""

# A journal whose entries do not add up to zero, or are not all there: none, ever.
UNBALANCED_JOURNALS = """
SELECT j.id FROM journals j LEFT JOIN entries e ON e.journal_id = j.id
GROUP BY j.id, j.entry_count HAVING COUNT(e.line) <> j.entry_count OR SUM(e.amount_fen) <> 0
ORDER BY j.id LIMIT 100
"""

PAYMENTS_OF_ORDER = """
SELECT id, order_id, member_id, amount_fen, state, provider, out_trade_no, opened_at_ms, transaction_id,
    captured_at_ms, captured_fen, refunded_fen
FROM payments WHERE order_id = :order_id ORDER BY order_id, id LIMIT 100
"""

PAYMENT = """
SELECT id, order_id, member_id, amount_fen, state, provider, out_trade_no, opened_at_ms, transaction_id,
    captured_at_ms, captured_fen, refunded_fen
FROM payments WHERE id = :payment_id ORDER BY id LIMIT 1
"""

PAYMENTS_AFTER = """
SELECT id, order_id, member_id, amount_fen, state, provider, out_trade_no, opened_at_ms, transaction_id,
    captured_at_ms, captured_fen, refunded_fen
FROM payments WHERE id > :after ORDER BY id LIMIT :limit
"""

REFUNDS_OF_ORDER = """
SELECT id, order_id, payment_id, amount_fen, state, out_refund_no, reason, due_at_ms, settled_at_ms, refusal
FROM refunds WHERE order_id = :order_id ORDER BY order_id, id LIMIT 100
"""

ENTRIES_OF_ORDER = """
SELECT e.journal_id, j.at_ms, e.account, e.amount_fen
FROM entries e JOIN journals j ON j.id = e.journal_id
WHERE e.order_id = :order_id ORDER BY j.at_ms, e.journal_id, e.line LIMIT 1000
"""
