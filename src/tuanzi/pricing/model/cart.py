"""What is priced, a cart with its tier and coupon, and its price, a quote: frozen values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

from tuanzi.base.ids import BuildingId, CouponId, DishId, MerchantId, OrderId, PersonId
from tuanzi.base.money import ZERO, Money

LINES_MAX: Final = 100


class LinePart(Struct, frozen=True, kw_only=True, gc=False):
    """So many portions of another dish, in each one of a dish that is a set."""

    dish_id: DishId
    quantity: int


class CartLine(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """So many portions of one dish.

    set_meal_id: the set meal these portions were chosen as part of.
    addon: chosen as the 1-yuan add-on (加价购); one portion costs the add-on price where a rule grants it.
    parts: what one portion is made of, when the dish is a set; they have no price of their own.
    """

    dish_id: DishId
    merchant_id: MerchantId
    unit_price: Money
    quantity: int
    set_meal_id: str | None = None
    addon: bool = False
    parts: tuple[LinePart, ...] = ()

    def __post_init__(self) -> None:
        if self.quantity < 1 or self.unit_price.fen < 0 or (self.addon and self.set_meal_id is not None):
            raise ValueError(f"no line of a cart: {self}")


class Tier(Struct, frozen=True, kw_only=True, gc=False):
    """What the campaign promises a group of `size`: first whole percent off, then an amount off each member."""

    size: int
    off_percent: int = 0
    off: Money = ZERO

    def __post_init__(self) -> None:
        if self.size < 1 or not 0 <= self.off_percent <= 100 or self.off.fen < 0:
            raise ValueError(f"no tier: {self}")


class CouponState(StrEnum):
    """Where a coupon is in its life; `give_back` makes a held or used one free again."""

    FREE = "free"
    HELD = "held"
    USED = "used"


class Coupon(Struct, frozen=True, kw_only=True, gc=False):
    """An amount off for one member, once, when the goods it is valid for cost at least `threshold`.

    merchant_id: valid for this merchant's dishes only; None: for all. order_id: the order it is held or used for.
    """

    id: CouponId
    member_id: PersonId
    off: Money
    threshold: Money
    merchant_id: MerchantId | None
    expires_at: datetime
    state: CouponState = CouponState.FREE
    order_id: OrderId | None = None

    def __post_init__(self) -> None:
        if self.off.fen < 0 or self.threshold.fen < 0 or (self.state is CouponState.FREE) != (self.order_id is None):
            raise ValueError(f"no coupon: {self}")


class CouponGrant(Struct, frozen=True, kw_only=True, gc=False):
    """Coupons that an operator gave at once, one to each of `granted` members, who had none of this grant before.

    grant_id: what the coupons' ids begin with; more of the same grant may be given later, which is another of these.
    """

    id: str
    grant_id: str
    granted: int
    off: Money
    threshold: Money
    merchant_id: MerchantId | None
    expires_at: datetime
    given_by: PersonId
    given_at: datetime


class Cart(Struct, frozen=True, kw_only=True, gc=False):
    """What one member wants, and the facts that rules may ask about.

    delivery_fee: the whole group's. fee_shares: over how many members it is shared; `settle` counts for itself.
    priced_at: the time the periods of rules and coupons are judged by; an order keeps it, so that its price at
    closing is judged by the same time.
    """

    lines: tuple[CartLine, ...]
    tier: Tier
    delivery_fee: Money
    fee_shares: int
    priced_at: datetime
    is_first_order: bool = False
    is_leader: bool = False
    is_dorm_head: bool = False
    building_id: BuildingId = BuildingId("")
    coupon: Coupon | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.lines) <= LINES_MAX or self.fee_shares < 1 or self.delivery_fee.fen < 0:
            raise ValueError(f"no cart: {len(self.lines)} lines, {self.delivery_fee} over {self.fee_shares}")


class Discount(Struct, frozen=True, kw_only=True, gc=False):
    """What one rule took off; `rule_id` may also be TIER, COUPON or PROMISE."""

    rule_id: str
    amount: Money


class QuoteLine(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One line's price: `payable` is `list_price` (of all portions) less its discounts, and never negative.

    parts: as in the cart; an order keeps them, so that it gives back what it took, whatever the set is by then.
    """

    dish_id: DishId
    merchant_id: MerchantId
    quantity: int
    list_price: Money
    discounts: tuple[Discount, ...]
    payable: Money
    parts: tuple[LinePart, ...] = ()


class Counted(Protocol):
    """A line whose portions are counted."""

    @property
    def dish_id(self) -> DishId:
        """Of what."""

    @property
    def quantity(self) -> int:
        """How many."""

    @property
    def parts(self) -> tuple[LinePart, ...]:
        """What each is made of."""


def portions_of(lines: Iterable[Counted]) -> dict[DishId, int]:
    """Portions by dish, over all lines; a set counts as one of its own and as all that it is made of (B4, B5)."""
    counts: dict[DishId, int] = {}
    for line in lines:
        counts[line.dish_id] = counts.get(line.dish_id, 0) + line.quantity
        for part in line.parts:
            counts[part.dish_id] = counts.get(part.dish_id, 0) + line.quantity * part.quantity
    return counts


class Quote(Struct, frozen=True, kw_only=True, gc=False):
    """A member's price, to the fen; every sum below is exact.

    lines: as in the cart, in its order. fee_share: his part of the delivery fee. delivery_fee: what he pays of it,
    `fee_share` less `fee_discounts`. payable: all lines and the delivery fee; may be 0.
    saved: against ordering alone, at list prices and with the whole delivery fee.
    amounts: what each rule took off, lines and fee together. coupon_id: the coupon, if it was used.
    rule_version: the rules that priced it. skipped_rules: broken ones that were left out (X08); tell an operator.
    """

    lines: tuple[QuoteLine, ...]
    fee_share: Money
    fee_discounts: tuple[Discount, ...]
    delivery_fee: Money
    payable: Money
    saved: Money
    amounts: tuple[Discount, ...]
    coupon_id: CouponId | None
    tier_size: int
    rule_version: int
    skipped_rules: tuple[str, ...] = ()
