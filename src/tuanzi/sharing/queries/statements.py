"""What a merchant earned, lost and was paid: a page and a file (C2)."""

from __future__ import annotations

import csv
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from io import StringIO

from msgspec import Struct

from tuanzi.base.time import SHANGHAI, from_ms, show, to_ms
from tuanzi.machinery.http.routes import Desk
from tuanzi.money import Account
from tuanzi.sharing import store
from tuanzi.sharing.model import advance_of
from tuanzi.sharing.problems import StatementTooLong

STATEMENT_LINES_MAX = 20_000  # about 4 MB as JSON
STATEMENT_DAYS_MAX = 92


class StatementLine(Struct, frozen=True, kw_only=True, gc=False):
    """One movement; positive is more for the merchant. balance_fen: what he is owed after it."""

    at: datetime
    kind: str
    reference: str
    order_id: str
    amount_fen: int
    balance_fen: int


class Statement(Struct, frozen=True, kw_only=True, gc=False):
    """What a merchant earned, lost and was paid in some days of Asia/Shanghai, `from_on` to `until_on`, both included.

    opening_fen + the sum of all lines = closing_fen; totals_fen by kind of movement add up to the same sum. What he
    owes for refunds that the platform advanced is counted against him.
    """

    merchant_id: str
    from_on: date
    until_on: date
    opening_fen: int
    closing_fen: int
    totals_fen: dict[str, int]
    lines: list[StatementLine]


async def merchant_statement(desk: Desk, merchant_id: str, *, from_on: date, until_on: date) -> Statement:
    """A merchant's statement over whole days of Asia/Shanghai, `until_on` included.

    Raises StatementTooLong beyond 92 days or 20,000 lines. Reads all entries of the merchant's orders, since ever.
    """
    if not timedelta() <= until_on - from_on < timedelta(days=STATEMENT_DAYS_MAX):
        raise StatementTooLong(days_max=STATEMENT_DAYS_MAX)
    owed = Account.MERCHANT_PAYABLE.of(merchant_id)
    period = {"from_ms": to_ms(_midnight(from_on)), "until_ms": to_ms(_midnight(until_on + timedelta(days=1)))}
    slots = {"owed": owed, "advance": advance_of(owed), **period, "limit": STATEMENT_LINES_MAX + 1}
    rows = await desk.rows(store.STATEMENT_LINES, slots)
    if len(rows) > STATEMENT_LINES_MAX:
        raise StatementTooLong(lines_max=STATEMENT_LINES_MAX)
    before = await desk.rows(store.STATEMENT_OPENING, slots)
    opening = balance = -int(before[0][0])
    lines = []
    totals: dict[str, int] = {}
    for at_ms, kind, journal_id, _, order_id, fen in rows:
        balance -= fen
        totals[kind] = totals.get(kind, 0) - fen
        line = StatementLine(
            at=from_ms(at_ms),
            kind=kind,
            reference=journal_id.partition(":")[2],
            order_id=order_id,
            amount_fen=-fen,
            balance_fen=balance,
        )
        lines.append(line)
    return Statement(
        merchant_id=merchant_id,
        from_on=from_on,
        until_on=until_on,
        opening_fen=opening,
        closing_fen=balance,
        totals_fen=totals,
        lines=lines,
    )


def statement_csv(statement: Statement) -> bytes:
    """The statement as a file for a spreadsheet: UTF-8 with a mark, amounts in fen, opening first and closing last."""
    text = StringIO()
    write = csv.writer(text, lineterminator="\r\n")
    write.writerow(("at", "kind", "reference", "order_id", "amount_fen", "balance_fen"))
    write.writerow((statement.from_on.isoformat(), "opening", "", "", "", statement.opening_fen))
    for line in statement.lines:
        row = (show(line.at), line.kind, line.reference, line.order_id, line.amount_fen, line.balance_fen)
        write.writerow(row)
    moved = statement.closing_fen - statement.opening_fen
    write.writerow((statement.until_on.isoformat(), "closing", "", "", moved, statement.closing_fen))
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _midnight(on: date) -> datetime:
    return datetime.combine(on, time_of_day(), tzinfo=SHANGHAI)
