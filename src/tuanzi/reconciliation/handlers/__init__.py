"""The errands of the reconciliation: they look at all books, outside of every batch, and bring home a command (C3).

Nothing that is under way is taken for a difference: `books` of two databases are compared only for orders about which
no event waits to be heard, and what one database says is read in one state. `minute` compares them every minute, `day`
the ledger with the provider's bills, `mending` is about one difference; `reconciler` is all of these. What
is heard is in `hearing`.
"""

from __future__ import annotations

from tuanzi.reconciliation.handlers.books import FINDINGS_MAX, Books, Comparison, Hears, ReadableBooks
from tuanzi.reconciliation.handlers.hearing import on_order_put_on_hold
from tuanzi.reconciliation.handlers.minute import EveryMinute
from tuanzi.reconciliation.handlers.reconciler import Reconciler

__all__ = [
    "FINDINGS_MAX",
    "Books",
    "Comparison",
    "EveryMinute",
    "Hears",
    "ReadableBooks",
    "Reconciler",
    "on_order_put_on_hold",
]
