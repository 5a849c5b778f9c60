"""What receivers owe and nobody is asked for: kept from what they get next."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.money import Money
from tuanzi.base.unit import Unit
from tuanzi.money import JournalKind
from tuanzi.sharing.model import CaseKind, Debt, ReturnState, ShareReturn, Transfer, advance_of
from tuanzi.sharing.service.cases import close_case, lessen_case
from tuanzi.sharing.service.journals import book
from tuanzi.sharing.service.transfers import keep_transfer


def withhold(unit: Unit, transfer: Transfer, *, now: datetime) -> Transfer:
    """Keep what its receiver owes for refunds of other orders; the transfer with the rest."""
    owed_in = advance_of(transfer.account)
    debt = unit.find(Debt, owed_in)
    fen = 0 if debt is None else _keep_from(unit, debt, transfer.due, now=now).fen
    if not fen:
        return transfer
    kept = replace(transfer, given=transfer.given + Money(fen))
    keep_transfer(unit, kept)
    reference = f"{transfer.order_id}.{transfer.line}.{kept.given.fen}"
    lines = {transfer.account: fen, owed_in: -fen}
    book(unit, JournalKind.WITHHELD, reference=reference, order_id=transfer.order_id, lines=lines, now=now)
    return kept


def _keep_from(unit: Unit, debt: Debt, most: Money, *, now: datetime) -> Money:
    """Keep at most `most` for what is owed, oldest first; how much that is. What is kept whole is no case any more."""
    left = most.fen
    for return_id in debt.returns:
        back = unit.load(ShareReturn, return_id)
        fen = min(left, back.left.fen)
        left -= fen
        back = replace(back, withheld=back.withheld + Money(fen))
        if not back.left:
            back = replace(back, state=ReturnState.WITHHELD, ended_at=now)
            owe_no_more(unit, back)
            close_case(unit, CaseKind.RETURN, reference=back.id, note="kept from later shares", now=now)
        elif fen:
            lessen_case(unit, CaseKind.RETURN, reference=back.id, left=back.left)
        unit.put(back)
        if not left:
            break
    return Money(most.fen - left)


def owe(unit: Unit, back: ShareReturn) -> None:
    """A refused return is kept from what its receiver gets next."""
    debt = unit.find(Debt, back.owed_in) or Debt(account=back.owed_in, returns=())
    unit.put(replace(debt, returns=(*debt.returns, back.id)))


def owe_no_more(unit: Unit, back: ShareReturn) -> None:
    """A return is not kept from what its receiver gets next: it is asked for again, or over."""
    debt = unit.load(Debt, back.owed_in)
    unit.put(replace(debt, returns=tuple([each for each in debt.returns if each != back.id])))
