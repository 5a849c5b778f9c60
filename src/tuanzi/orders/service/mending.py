"""What the reconciliation mends (C3), and what is held until it has; each is harmless twice."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.ids import OrderId
from tuanzi.base.unit import RowDamaged, Unit
from tuanzi.events import OrderPutOnHold
from tuanzi.orders.model import Order, OrderHold, OrderRecord, SubOrder
from tuanzi.orders.service.commands import HearRefund, OrderRestored, RestoreOrder, RestoreSubOrders
from tuanzi.orders.service.refunds import settle_refund
from tuanzi.orders.service.steps import order_advanced


def hear_refund(unit: Unit, command: HearRefund, *, now: datetime) -> None:
    """A promised refund arrived, as the ledger's event would have said.

    What memory knew of it is written again, with a version that none had before: whoever read the row as it was knows
    that by its version, and would be told for ever that nothing has changed (A2). A repeat changes no more than that.
    """
    before = unit.load(Order, command.order_id)
    settle_refund(unit, order_id=command.order_id, refund_id=command.refund_id)
    order = unit.load(Order, command.order_id)
    if order is before or order.version <= command.seen_version:
        order = replace(order, version=max(order.version, command.seen_version) + 1)
    unit.restore(order)


def restore_order(unit: Unit, command: RestoreOrder, *, now: datetime) -> OrderRestored:
    """Write an order as other books prove it was; nothing happens when it has moved on since it was seen.

    What memory has may be right while the row is not: then that is written again. Either way it has a version that none
    had before, for whoever read the wrong one knows it by its version.
    """
    right, seen = command.order, command.seen
    try:
        known = unit.find(Order, right.id)
    except RowDamaged:
        known = None
    if known is not None and not _is_as(known, seen):
        if known.paid != right.paid or known.refunds != right.refunds or known.state is not right.state:
            return OrderRestored(is_restored=False)
        right = known
    version = max(right.version, seen.version, 0 if known is None else known.version) + 1
    right = replace(right, version=version)
    unit.restore(right)
    if right.state is not seen.state:
        unit.emit(order_advanced(right, before=seen.state))
    return OrderRestored(is_restored=True)


def restore_sub_orders(unit: Unit, command: RestoreSubOrders, *, now: datetime) -> OrderRestored:
    """Write an order's sub-orders as planned; what memory knows of how far one is stays so. Raises Unknown."""
    unit.load(Order, command.order_id)
    for planned in command.subs:
        known = unit.find(SubOrder, planned.id)
        unit.restore(planned if known is None else replace(planned, state=known.state, rider_id=known.rider_id))
    return OrderRestored(is_restored=True)


def hold_order(unit: Unit, order_id: OrderId, *, because: str) -> None:
    """Let nothing more be made for an order (D2). A repeat changes nothing, and is told again.

    Whoever knows the difference hears of it: one that had ended before frees the order again.
    """
    unit.put(OrderHold(order_id=order_id, because=because))
    unit.emit(OrderPutOnHold(order_id=order_id, because=because))


def free_order(unit: Unit, order_id: OrderId, *, because: str) -> None:
    """Let an order go on when it was held for this reason; else nothing changes."""
    hold = unit.find(OrderHold, order_id)
    if hold is not None and hold.because == because:
        unit.remove(OrderHold, order_id)


def _is_as(order: Order, seen: OrderRecord) -> bool:
    return all(getattr(order, name) == getattr(seen, name) for name in Order.__struct_fields__)
