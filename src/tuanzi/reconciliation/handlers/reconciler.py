"""All errands of the reconciliation of one campus."""

from __future__ import annotations

from tuanzi.money import PaymentProvider
from tuanzi.reconciliation.handlers.books import Books, Comparison, Hears
from tuanzi.reconciliation.handlers.day import EveryDay
from tuanzi.reconciliation.handlers.mending import Mender
from tuanzi.reconciliation.handlers.minute import MOVED_MAX, EveryMinute


class Reconciler:
    """Compares the books of one campus and its payment company, and mends what differs.

    moved_max: events of each database whose orders one run compares.
    """

    def __init__(
        self,
        books: Books,
        provider: PaymentProvider,
        *,
        hears: Hears,
        moved_max: int = MOVED_MAX,
    ) -> None:
        comparison = Comparison(books, hears=hears)
        self.check_books = EveryMinute(books, comparison, moved_max=moved_max).check_books
        self.check_bills = EveryDay(books, provider, comparison).check_bills
        self.mend = Mender(books, provider, comparison).mend
