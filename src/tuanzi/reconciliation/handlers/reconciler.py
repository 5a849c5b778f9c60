"""All errands of the reconciliation of one campus."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tuanzi.money import PaymentProvider
from tuanzi.reconciliation.handlers.books import Books, Comparison
from tuanzi.reconciliation.handlers.day import EveryDay
from tuanzi.reconciliation.handlers.mending import Mender
from tuanzi.reconciliation.handlers.minute import MOVED_MAX, EveryMinute


class Reconciler:
    """Compares the books of one campus and its payment company, and mends what differs.

    hears: by (target, source): the names of the events that a database hears of another. moved_max: events of each
    database whose orders one run compares.
    """

    def __init__(
        self,
        books: Books,
        provider: PaymentProvider,
        *,
        hears: Mapping[tuple[str, str], Collection[str]],
        moved_max: int = MOVED_MAX,
    ) -> None:
        comparison = Comparison(books, hears=hears)
        self.check_books = EveryMinute(books, comparison, moved_max=moved_max).check_books
        self.check_bills = EveryDay(books, provider, comparison).check_bills
        self.mend = Mender(books, provider, comparison).mend
