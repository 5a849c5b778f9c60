"""The price of an order and its split over merchants, exact to the fen; the same rule as Tuanzi's campaign price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Price:
    """What an order costs, in fen; `line_discounts` adds up to `discount`."""

    items: int
    discount: int
    delivery: int
    line_discounts: list[int]

    @property
    def payable(self) -> int:
        """What the member pays."""
        return self.items - self.discount + self.delivery


@dataclass(frozen=True, slots=True)
class MerchantPart:
    """What of an order is one merchant's, in fen."""

    merchant_id: str
    items: int
    discount: int
    delivery: int

    @property
    def payable(self) -> int:
        """What of the member's payment is for this merchant's part."""
        return self.items - self.discount + self.delivery


def share(amount: int, weights: Sequence[int]) -> list[int]:
    """`amount` divided in proportion to `weights` by largest remainders, earliest first; the parts add up to it."""
    whole = sum(weights)
    parts = [amount * weight // whole for weight in weights]
    by_loss = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % whole), i))
    for i in by_loss[: amount - sum(parts)]:
        parts[i] += 1
    return parts


def price(line_items: Sequence[int], *, percent_off: int, delivery_fee: int, size: int, seat_no: int) -> Price:
    """The price of a cart: percent off, rounded down, and the seat's part of the delivery fee shared over `size`.

    line_items: (n,) fen of each line before discount, all > 0.
    """
    items = sum(line_items)
    discount = items * percent_off // 100
    return Price(
        items=items,
        discount=discount,
        delivery=share(delivery_fee, [1] * size)[seat_no],
        line_discounts=share(discount, line_items),
    )


def split(lines: Sequence[tuple[str, int, int]], *, delivery: int) -> list[MerchantPart]:
    """An order's parts by merchant, in the order of first appearance; every column adds up to the order's.

    lines: (merchant_id, items fen, discount fen) of each line. delivery: fen, shared in proportion to items.
    """
    items: dict[str, int] = {}
    discounts: dict[str, int] = {}
    for merchant_id, line_items, line_discount in lines:
        items[merchant_id] = items.get(merchant_id, 0) + line_items
        discounts[merchant_id] = discounts.get(merchant_id, 0) + line_discount
    deliveries = share(delivery, list(items.values()))
    return [
        MerchantPart(merchant_id=merchant_id, items=items[merchant_id], discount=discounts[merchant_id], delivery=part)
        for merchant_id, part in zip(items, deliveries, strict=True)
    ]
