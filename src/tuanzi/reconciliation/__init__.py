"""Reconciliation: ledger, order book, stock and the provider's bills say the same, or it is told (C3). Database: money.

Owns reconciliation_cursors, reconciliation_runs, differences, reconciliation_reports. Hears OrderPutOnHold of
core, through its log; all else it looks for.
Emits DifferenceFound, DifferenceRaised and BillsUnusable (a person must act), DifferenceRepaired.
Every minute the books of the campus are compared, every day the bills of the day before. What differs is one of seven
classes (reliability.md 3.3); what is safe is mended by the commands that a callback or event would have given, or by
writing a row again as the others prove it was; all else waits for a person, with its evidence.
"""

from __future__ import annotations

from tuanzi.machinery.room import Room
from tuanzi.money import PaymentProvider
from tuanzi.reconciliation import model, service, store
from tuanzi.reconciliation.handlers import (
    Books,
    Comparison,
    EveryMinute,
    Hears,
    ReadableBooks,
    Reconciler,
    on_order_put_on_hold,
)
from tuanzi.reconciliation.model import Begin, CheckBooks, RecordRun
from tuanzi.reconciliation.queries import Watch
from tuanzi.reconciliation.web import ROUTES

__all__ = ["Begin", "Books", "CheckBooks", "RecordRun", "Watch", "every_minute", "on_order_put_on_hold", "room"]


def every_minute(books: ReadableBooks, *, hears: Hears) -> EveryMinute:
    """What compares the books of one campus each minute, for who does nothing else of the reconciliation."""
    return EveryMinute(books, Comparison(books, hears=hears))


def room(books: Books, provider: PaymentProvider, *, hears: Hears) -> Room:
    """Reconciliation of one campus as wiring puts it into the house.

    hears: gives by (target, source) the names of the events that a database hears of another, of this room's too.
    """
    reconciler = Reconciler(books, provider, hears=hears)
    return Room(
        name="reconciliation",
        database="money",
        tables=store.TABLES,
        commands={
            model.Begin: service.begin,
            model.AskRun: service.ask_run,
            model.RecordRun: service.record_run,
            model.EndDifference: service.end_difference,
            model.SettleDifference: service.settle_difference,
            model.ReturnSuspense: service.return_from_suspense,
            model.EndAside: service.end_set_aside,
            model.RaiseDifference: service.raise_difference,
            model.TryAgain: service.try_again,
            model.RestoreCapture: service.restore_capture,
            model.RestoreRefund: service.restore_refund,
            model.RestoreBalance: service.restore_running_balance,
            model.ReplayCapture: service.replay_capture,
            model.AdvanceRefund: service.advance_refund,
            model.OweRefund: service.owe_refund,
            model.ReverseCapture: service.book_reversal,
            model.SetAside: service.book_aside,
        },
        errands={
            model.CheckBooks: reconciler.check_books,
            model.CheckBills: reconciler.check_bills,
            model.MendDifference: reconciler.mend,
        },
        assumed_new={model.RecordRun: service.new_to_run},
        routes=ROUTES,
        keeps=store.KEEPS,
    )
