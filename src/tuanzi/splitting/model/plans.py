"""The exact plan of a closed group: a member's sub-orders add up to his final price (B2, B5)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from tuanzi.base.ids import MerchantId, OrderId, SubOrderId
from tuanzi.base.money import ZERO, Money
from tuanzi.events import MerchantBoard, PlannedSubOrder
from tuanzi.orders import Order, SubLine, SubOrder, SubOrderState
from tuanzi.pricing import Quote


def plan(order: Order, final: Quote, *, now: datetime) -> list[SubOrder]:
    """One member's sub-orders, a merchant each, in the order of his cart; the same input gives the same plan.

    Their amounts add up to the final price, exactly: lines as priced, the delivery fee shared by what the dishes
    cost (by equal parts when they are free).
    """
    return [
        SubOrder(
            id=SubOrderId(f"{order.id}.{i}"),
            order_id=order.id,
            group_id=order.group_id,
            member_id=order.member_id,
            merchant_id=part.merchant_id,
            building_id=order.building_id,
            meal_id=order.meal_id,
            state=SubOrderState.WAITING,
            order_lines=part.order_lines,
            items=part.items,
            discount=part.discount,
            delivery=part.delivery,
            payable=part.payable,
            planned_at=now,
        )
        for i, part in enumerate(_parts_of(final), start=1)
    ]


class _Part(Struct, frozen=True, kw_only=True, gc=False):
    """What a price holds of one merchant's."""

    merchant_id: MerchantId
    order_lines: tuple[SubLine, ...]
    items: Money
    discount: Money
    delivery: Money
    payable: Money


# Of prices, which pricing keeps for alike carts; about 1 kB each. Measured: made anew they cost 4 us an order.
_DIVIDED_MAX: Final = 4096
_divided: dict[int, tuple[Quote, tuple[_Part, ...]]] = {}  # by id(); holds the price, so that its id stays taken


def _parts_of(final: Quote) -> tuple[_Part, ...]:
    """A price by merchants, in the order of its lines."""
    kept = _divided.get(id(final))
    if kept is None:
        if len(_divided) >= _DIVIDED_MAX:
            _divided.clear()
        kept = _divided[id(final)] = final, _divide(final)
    return kept[1]


def _divide(final: Quote) -> tuple[_Part, ...]:
    lines: dict[MerchantId, list[SubLine]] = {}
    for number, line in enumerate(final.lines):
        sub_line = SubLine(
            number=number,
            dish_id=line.dish_id,
            quantity=line.quantity,
            list_price=line.list_price,
            payable=line.payable,
            parts=line.parts,
        )
        lines.setdefault(line.merchant_id, []).append(sub_line)
    payables = [sum([one.payable.fen for one in made]) for made in lines.values()]
    fees = _fees(final.delivery_fee, payables)
    parts = []
    for (merchant_id, made), payable, fee in zip(lines.items(), payables, fees, strict=True):
        items = sum([one.list_price.fen for one in made])
        part = _Part(
            merchant_id=merchant_id,
            order_lines=tuple(made),
            items=Money(items),
            discount=Money(items - payable),
            delivery=fee,
            payable=Money(payable + fee.fen),
        )
        parts.append(part)
    return tuple(parts)


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


def boards_of(plan: SplitPlan) -> tuple[MerchantBoard, ...]:
    """What each merchant has to make, in the order of the plan."""
    made: dict[str, list[str]] = {}
    for each in plan.orders:
        for sub in each.subs:
            made.setdefault(sub.merchant_id, []).append(sub.id)
    return tuple(
        [MerchantBoard(merchant_id=merchant_id, sub_order_ids=tuple(ids)) for merchant_id, ids in made.items()]
    )


class OrderPlan(Struct, frozen=True, kw_only=True, gc=False):
    """One member's part of a split. final: his final price; None when it is the one he paid."""

    order_id: OrderId
    final: Quote | None
    subs: tuple[SubOrder, ...]


class SplitPlan(Struct, frozen=True, kw_only=True, gc=False):
    """What a split is to bring about. A row of its own, written once: it never changes, as its transaction does.

    Never swept: it shows how an order's price was divided, for as long as the order is kept.
    """

    gid: str
    orders: tuple[OrderPlan, ...]
