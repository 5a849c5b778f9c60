"""The exact split of a closed group: member x merchant x drop-off building (B2, B5); pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tuanzi.base.ids import MerchantId, SubOrderId
from tuanzi.base.money import ZERO, Money
from tuanzi.events import PlannedSubOrder
from tuanzi.orders import Order, SubLine, SubOrder, SubOrderState
from tuanzi.pricing import Quote


def plan(order: Order, final: Quote, *, now: datetime) -> list[SubOrder]:
    """One member's sub-orders, a merchant each, in the order of his cart; the same input gives the same plan.

    Their amounts add up to the final price, exactly: lines as priced, the delivery fee shared by what the dishes
    cost (by equal parts when they are free).
    """
    lines: dict[MerchantId, list[SubLine]] = {}
    for number, line in enumerate(final.lines):
        sub_line = SubLine(
            number=number,
            dish_id=line.dish_id,
            quantity=line.quantity,
            list_price=line.list_price,
            payable=line.payable,
        )
        lines.setdefault(line.merchant_id, []).append(sub_line)
    payables = [sum([one.payable.fen for one in made]) for made in lines.values()]
    fees = _fees(final.delivery_fee, payables)
    subs = []
    for i, (merchant_id, made) in enumerate(lines.items()):
        items = sum([one.list_price.fen for one in made])
        sub = SubOrder(
            id=SubOrderId(f"{order.id}.{i + 1}"),
            order_id=order.id,
            group_id=order.group_id,
            member_id=order.member_id,
            merchant_id=merchant_id,
            building_id=order.building_id,
            meal_id=order.meal_id,
            state=SubOrderState.PLANNED,
            order_lines=tuple(made),
            items=Money(items),
            discount=Money(items - payables[i]),
            delivery=fees[i],
            payable=Money(payables[i] + fees[i].fen),
            planned_at=now,
        )
        subs.append(sub)
    return subs


def _fees(fee: Money, payables: Sequence[int]) -> list[Money]:
    if len(payables) == 1:
        return [fee]
    if not fee:
        return [ZERO] * len(payables)
    return fee.share(payables if any(payables) else [1] * len(payables))


def planned(sub: SubOrder) -> PlannedSubOrder:
    """A sub-order as the plan shows it."""
    return PlannedSubOrder(
        sub_order_id=sub.id,
        order_id=sub.order_id,
        member_id=sub.member_id,
        merchant_id=sub.merchant_id,
        building_id=sub.building_id,
        items_fen=sub.items.fen,
        discount_fen=sub.discount.fen,
        delivery_fen=sub.delivery.fen,
        payable_fen=sub.payable.fen,
    )
