"""Journals of sharing, booked through the door of money."""

from __future__ import annotations

from datetime import datetime

from tuanzi.base.money import Money
from tuanzi.base.unit import Unit
from tuanzi.money import Entry, Journal, JournalKind, book_new


def journal_of(kind: JournalKind, reference: str, *, order_id: str, lines: dict[str, int], at: datetime) -> Journal:
    """A journal for one order from fen by account, empty ones left out; debits are positive."""
    own = f"{kind.value}:{reference}"
    entries = [
        Entry(journal_id=own, line=line, account=account, order_id=order_id, amount=Money(fen))
        for line, (account, fen) in enumerate([each for each in lines.items() if each[1]])
    ]
    return Journal(kind=kind, reference=reference, at=at, entries=tuple(entries))


def book(unit: Unit, kind: JournalKind, *, reference: str, order_id: str, lines: dict[str, int], now: datetime) -> None:
    """Book a journal that is known to be new; nothing when all its lines are empty."""
    if any(lines.values()):
        book_new(unit, journal_of(kind, reference, order_id=order_id, lines=lines, at=now))
