"""Comparing books, purely: rows keyed exactly, compared to the fen; every difference gets its class and its mend (C3).

`differences` has the classes D1 to D7 and what is done about each (reliability.md 3.3). `books` are what databases have
of an order: `orders` compares them, `restoring` makes an order or its sub-orders as the other books prove them.
`totals` compares balances and stock, `bills` the provider's bills. `kept` is what remains of a run, `commands` what is
asked. Nothing here reads a clock or a database.
"""

from __future__ import annotations

from tuanzi.reconciliation.model.bills import (
    DAY,
    Statement,
    bill_fault,
    day_of,
    gap_fault,
    lines_of_here,
    of_statement,
)
from tuanzi.reconciliation.model.books import NOWHERE, CaptureBooks, Journal, OrderBooks, captures_of, refunds_of
from tuanzi.reconciliation.model.commands import (
    AdvanceRefund,
    Asked,
    AskRun,
    Begin,
    CheckBills,
    CheckBooks,
    DifferenceStanding,
    EndDifference,
    MendDifference,
    Mending,
    OweRefund,
    RaiseDifference,
    RecordRun,
    ReplayCapture,
    RestoreBalance,
    RestoreCapture,
    RestoreRefund,
    ReverseCapture,
    SetAside,
    SettleDifference,
    TryAgain,
)
from tuanzi.reconciliation.model.differences import SAFE, Book, Difference, Kind, Mend, Side, difference_id
from tuanzi.reconciliation.model.kept import (
    Cursor,
    Finding,
    KeptDifference,
    Report,
    Run,
    RunKind,
    State,
    broken_links,
    report_hash,
)
from tuanzi.reconciliation.model.orders import may_be, of_order
from tuanzi.reconciliation.model.restoring import escrow_of, promise_of, restored_order, restored_sub_orders
from tuanzi.reconciliation.model.totals import NOTHING_WANTED, PortionsWanted, of_balances, of_stock, wanted_of

__all__ = [
    "DAY",
    "NOTHING_WANTED",
    "NOWHERE",
    "SAFE",
    "AdvanceRefund",
    "AskRun",
    "Asked",
    "Begin",
    "Book",
    "CaptureBooks",
    "CheckBills",
    "CheckBooks",
    "Cursor",
    "Difference",
    "DifferenceStanding",
    "EndDifference",
    "Finding",
    "Journal",
    "KeptDifference",
    "Kind",
    "Mend",
    "MendDifference",
    "Mending",
    "OrderBooks",
    "OweRefund",
    "PortionsWanted",
    "RaiseDifference",
    "RecordRun",
    "ReplayCapture",
    "Report",
    "RestoreBalance",
    "RestoreCapture",
    "RestoreRefund",
    "ReverseCapture",
    "Run",
    "RunKind",
    "SetAside",
    "SettleDifference",
    "Side",
    "State",
    "Statement",
    "TryAgain",
    "bill_fault",
    "broken_links",
    "captures_of",
    "day_of",
    "difference_id",
    "escrow_of",
    "gap_fault",
    "lines_of_here",
    "may_be",
    "of_balances",
    "of_order",
    "of_statement",
    "of_stock",
    "promise_of",
    "refunds_of",
    "report_hash",
    "restored_order",
    "restored_sub_orders",
    "wanted_of",
]
