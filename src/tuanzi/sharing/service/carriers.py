"""What nobody is known to have brought, when its carrier was paid from another purse (decision 0038)."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.ids import OrderId, SubOrderId
from tuanzi.base.money import Money
from tuanzi.base.problem import Unknown
from tuanzi.base.unit import Unit
from tuanzi.money import Account, JournalKind
from tuanzi.sharing.model import POOL, CarrierPaid, CarrierPayment, Party, PayCarrier, Sharing, SharingState, account_of
from tuanzi.sharing.problems import CarrierNotOwed, CarrierPaidBefore
from tuanzi.sharing.service.journals import book
from tuanzi.sharing.service.transfers import keep_transfer, note_unbrought, transfers_of


def pay_carrier(unit: Unit, command: PayCarrier, *, now: datetime) -> CarrierPaid:
    """Book that the platform's own funds paid whoever brought a sub-order, all that the pool owes for it, once.

    From then on no rider is credited with it. Raises Unknown; CarrierPaidBefore, which a repeat gets; CarrierNotOwed
    before the order is completed, for a rider may still be heard of, and when another amount is owed.
    """
    before = unit.find(CarrierPayment, command.sub_order_id)
    if before is not None:
        raise CarrierPaidBefore(sub_order_id=before.sub_order_id, amount_fen=before.amount.fen)
    sharing = unit.load(Sharing, command.order_id)
    pool = account_of(Party.RIDER, POOL)
    own = [each for each in transfers_of(unit, sharing) if each.sub_order_id == command.sub_order_id]
    if not own:
        raise Unknown(kind="sub_order", id=command.sub_order_id)
    is_over = sharing.state is SharingState.POSTED and sharing.completed_at is not None
    owed = [each for each in own if each.account == pool and each.held and is_over]
    owed_fen = sum([each.held_fen for each in owed])
    if not owed_fen or owed_fen != command.amount_fen:
        raise CarrierNotOwed(sub_order_id=command.sub_order_id, owed_fen=owed_fen)
    for each in owed:
        keep_transfer(unit, replace(each, given=each.given + each.held))
    note_unbrought(unit, sharing)
    paid = CarrierPayment(
        sub_order_id=SubOrderId(command.sub_order_id),
        order_id=OrderId(command.order_id),
        amount=Money(owed_fen),
        note=command.note,
        paid_by=command.operator_id,
        paid_at=now,
    )
    unit.add(paid)
    book(
        unit,
        JournalKind.PAID_OTHERWISE,
        reference=f"carrier.{paid.sub_order_id}",
        order_id=paid.order_id,
        lines={pool: owed_fen, Account.PLATFORM_FUNDS.value: -owed_fen},
        now=now,
    )
    return CarrierPaid(sub_order_id=paid.sub_order_id, order_id=paid.order_id, amount_fen=owed_fen)
