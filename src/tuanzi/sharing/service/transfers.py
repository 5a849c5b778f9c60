"""An order's transfers, and what a rider and the passing of time make of them."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.unit import Unit
from tuanzi.money import JournalKind
from tuanzi.sharing.model import (
    PERSONS,
    POOL,
    OrderTransfers,
    Party,
    Sharing,
    SharingState,
    Transfer,
    UnbroughtOrder,
    account_of,
)
from tuanzi.sharing.service.journals import book


def credit_rider(unit: Unit, order_id: str, *, sub_order_id: str, rider_id: str, now: datetime) -> None:
    """A rider has brought a sub-order: what the pool holds for it is his. A repeat changes nothing, nor does it when an
    operator has said that whoever brought it was paid outside."""
    sharing = unit.find(Sharing, order_id)
    if sharing is None or sharing.state is SharingState.VOIDED:
        return
    pool = account_of(Party.RIDER, POOL)
    for each in transfers_of(unit, sharing):
        if each.sub_order_id == sub_order_id and each.account == pool and not each.given:
            his = replace(each, account=account_of(Party.RIDER, rider_id))
            keep_transfer(unit, his)
            if sharing.state is SharingState.POSTED and each.held:
                lines = {pool: each.held.fen, his.account: -each.held.fen}
                book(
                    unit,
                    JournalKind.RIDER_CREDIT,
                    reference=sub_order_id,
                    order_id=sharing.order_id,
                    lines=lines,
                    now=now,
                )
                if sharing.completed_at is not None:
                    note_unbrought(unit, sharing)


def note_unbrought(unit: Unit, sharing: Sharing) -> None:
    """Note that the pool owes something for an order that is completed now, or no more; a repeat changes nothing.

    Looked for only where it may be: of an order whose rider is known nothing is in the pool.
    """
    pool = account_of(Party.RIDER, POOL)
    is_owed = any([each.account == pool and each.held_fen for each in transfers_of(unit, sharing)])
    is_noted = unit.find(UnbroughtOrder, sharing.order_id) is not None
    if is_owed and not is_noted and sharing.completed_at is not None:
        unit.add(UnbroughtOrder(order_id=sharing.order_id, completed_at=sharing.completed_at))
    elif is_noted and not is_owed:
        unit.remove(UnbroughtOrder, sharing.order_id)


def transfers_of(unit: Unit, sharing: Sharing) -> list[Transfer]:
    """All transfers of an order, by line."""
    return unit.load(OrderTransfers, (sharing.gid, sharing.order_id)).by_line


def is_for_person(transfer: Transfer) -> bool:
    """Whether something is to be given to a person."""
    return transfer.party in PERSONS and bool(transfer.due)


def keep_transfer(unit: Unit, transfer: Transfer) -> None:
    """Keep a transfer in place of the one of its line."""
    unit.put(unit.load(OrderTransfers, (transfer.gid, transfer.order_id)).after(transfer))
