"""The money room's tables and the SQL its pages read with; the writer itself loads and keeps the values."""

from __future__ import annotations

from tuanzi.machinery.room import Keeps
from tuanzi.machinery.several import SEVERAL
from tuanzi.machinery.tables import table
from tuanzi.money.model import Account, Balance, Entry, JournalHead, LedgerProof, Payment, PayoutHold, Refund

PAYMENTS = table("payments", Payment, key="id")
REFUNDS = table("refunds", Refund, key="id")
JOURNALS = table("journals", JournalHead, key="id", is_history=True)
ENTRIES = table("entries", Entry, key=("journal_id", "line"), is_history=True)
BALANCES = table("balances", Balance, key="account")
PAYOUT_HOLDS = table("payout_holds", PayoutHold, key="merchant_id")
LEDGER_PROOFS = table("ledger_proofs", LedgerProof, key="id")
# Entries after the journals they refer to.
TABLES = (PAYMENTS, REFUNDS, JOURNALS, ENTRIES, BALANCES, PAYOUT_HOLDS, LEDGER_PROOFS)

# Kept in the commits that write entries, so that they are what these add up to.
BALANCES_PAGE = "SELECT account, amount_fen FROM balances WHERE account > :after ORDER BY account LIMIT :limit"
BALANCES_SIDES = """
SELECT COUNT(*), SUM(CASE WHEN amount_fen > 0 THEN amount_fen ELSE 0 END),
    SUM(CASE WHEN amount_fen < 0 THEN -amount_fen ELSE 0 END)
FROM balances ORDER BY 1 LIMIT 1
"""
PROOF = "SELECT " + ", ".join(LEDGER_PROOFS.columns) + " FROM ledger_proofs WHERE id = 'ledger' ORDER BY id LIMIT 1"

# One statement, so that both books are of the same commit. It reads every entry: about 1 s for 3 million.
# Each who ever led a group has an account of his own, so that a campus has as many as it has people: all are summed.
SUMS = """
SELECT account, SUM(summed_fen), SUM(running_fen), SUM(entry_count) FROM (
    SELECT account, SUM(amount_fen) AS summed_fen, 0 AS running_fen, COUNT(*) AS entry_count
    FROM entries GROUP BY account
    UNION ALL
    SELECT account, 0, amount_fen, 0 FROM balances
) AS both_books GROUP BY account ORDER BY account LIMIT :limit
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
FROM payments WHERE order_id = :order_id ORDER BY order_id, id LIMIT :limit
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
SELECT id, order_id, payment_id, amount_fen, state, out_refund_no, reason, due_at_ms, settled_at_ms, refusal,
    sub_order_id
FROM refunds WHERE order_id = :order_id ORDER BY order_id, id LIMIT :limit
"""

ENTRIES_OF_ORDER = """
SELECT e.journal_id, j.at_ms, e.account, e.amount_fen
FROM entries e JOIN journals j ON j.id = e.journal_id
WHERE e.order_id = :order_id ORDER BY j.at_ms, e.journal_id, e.line LIMIT :limit
"""

# The books side by side (C3): several ids at once, whole rows; each list is bounded by its ids or its page.

_PAYMENT = "SELECT " + ", ".join(PAYMENTS.columns) + " FROM payments "
_REFUND = "SELECT " + ", ".join(REFUNDS.columns) + " FROM refunds "
_JOURNAL = "SELECT " + ", ".join(JOURNALS.columns) + " FROM journals "
_ENTRY = "SELECT " + ", ".join(ENTRIES.columns) + " FROM entries "

PAYMENTS_OF_ORDERS = _PAYMENT + "WHERE order_id IN (" + SEVERAL + ") ORDER BY id LIMIT :limit"
PAYMENTS_NAMED = _PAYMENT + "WHERE id IN (" + SEVERAL + ") ORDER BY id LIMIT 100"
REFUNDS_OF_ORDERS = _REFUND + "WHERE order_id IN (" + SEVERAL + ") ORDER BY id LIMIT :limit"
REFUNDS_NAMED = _REFUND + "WHERE id IN (" + SEVERAL + ") ORDER BY id LIMIT 100"
JOURNALS_NAMED = _JOURNAL + "WHERE id IN (" + SEVERAL + ") ORDER BY id LIMIT 100"
ENTRIES_OF_JOURNALS = _ENTRY + "WHERE journal_id IN (" + SEVERAL + ") ORDER BY journal_id, line LIMIT :limit"

JOURNALS_OF_ORDERS = (
    "SELECT " + "DISTINCT journal_id FROM entries WHERE order_id IN (" + SEVERAL + ") ORDER BY journal_id LIMIT :limit"
)

BALANCES_NAMED = (
    "SELECT " + "account, amount_fen FROM balances WHERE account IN (" + SEVERAL + ") ORDER BY account LIMIT 100"
)
ENTRIES_OF_ORDERS = (
    "SELECT "
    + "e.order_id, e.journal_id, j.at_ms, e.account, e.amount_fen FROM entries e JOIN journals j ON j.id = e.journal_id"
    " WHERE e.order_id IN (" + SEVERAL + ") ORDER BY j.at_ms, e.journal_id, e.line LIMIT :limit"
)

# Whose orders they are about, in the order of their ids; "~" sorts after all.
ORDER_IDS_PAID = """
SELECT DISTINCT order_id FROM payments
WHERE order_id > :after AND order_id <= :until ORDER BY order_id LIMIT :limit
"""
ORDER_IDS_BOOKED = """
SELECT DISTINCT order_id FROM entries
WHERE order_id > :after AND order_id <= :until ORDER BY order_id LIMIT :limit
"""

# Of one day; they read the whole table once, beside the writer: about 1 s for 3 million.
PAYMENTS_CAPTURED = (
    _PAYMENT
    + "WHERE id > :after AND captured_at_ms >= :from_ms AND captured_at_ms < :until_ms ORDER BY id LIMIT :limit"
)
REFUNDS_SETTLED = (
    _REFUND + "WHERE id > :after AND settled_at_ms >= :from_ms AND settled_at_ms < :until_ms ORDER BY id LIMIT :limit"
)

# Of one person, for his export: his payments, what went back, and his money in the ledger.
KEPT_PAYMENTS = (
    "SELECT "
    + ", ".join(PAYMENTS.columns)
    + " FROM payments WHERE order_id IN ("
    + SEVERAL
    + ") ORDER BY id LIMIT :limit"
)
KEPT_REFUNDS = (
    "SELECT "
    + ", ".join(REFUNDS.columns)
    + " FROM refunds WHERE order_id IN ("
    + SEVERAL
    + ") ORDER BY id LIMIT :limit"
)
KEPT_ENTRIES = (
    "SELECT " + "journal_id, line, account, order_id, amount_fen FROM entries"
    " WHERE account IN ('order_escrow', 'user_refund_payable') AND order_id IN (" + SEVERAL + ")"
    " ORDER BY journal_id, line LIMIT :limit"
)
# That such an account has an owner is said for SQLite, whose index has no others (migration 0010).
KEPT_OWED = """
SELECT journal_id, account, SUM(amount_fen) FROM entries
WHERE account = :person_id AND INSTR(account, ':') > 0 AND journal_id > :after
GROUP BY journal_id, account ORDER BY journal_id LIMIT :limit
"""
KEEPS = (
    *[
        Keeps(
            table="entries",
            columns=("journal_id", "account", "amount_fen"),
            sql=KEPT_OWED,
            prefix=account.of(""),
        )
        for account in (Account.RIDER_PAYABLE, Account.CAMPUS_AGENT_PAYABLE, Account.RECEIVER_ADVANCE)
    ],
    Keeps(table="payments", columns=PAYMENTS.columns, sql=KEPT_PAYMENTS, of_orders=True),
    Keeps(table="refunds", columns=REFUNDS.columns, sql=KEPT_REFUNDS, of_orders=True),
    Keeps(
        table="entries",
        columns=("journal_id", "line", "account", "order_id", "amount_fen"),
        sql=KEPT_ENTRIES,
        of_orders=True,
    ),
)
