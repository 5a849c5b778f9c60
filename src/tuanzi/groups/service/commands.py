"""What can be asked of groups, by members and by timers, and what is answered."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from tuanzi.base.ids import BuildingId, CampaignId, CouponId, DishId, GroupId, OrderId, PersonId
from tuanzi.groups.model import GroupState
from tuanzi.orders import OrderState


class Wanted(Struct, frozen=True, kw_only=True, gc=False):
    """So many portions of a dish; `set_meal_id` and `addon` as in `pricing.CartLine`."""

    dish_id: DishId
    quantity: int
    set_meal_id: str | None = None
    addon: bool = False


class OpenGroup(Struct, frozen=True, kw_only=True, gc=False):
    """Open a group and take its first seat (开团). is_dorm_head, is_returning: as the member's session says."""

    group_id: GroupId
    order_id: OrderId
    member_id: PersonId
    campaign_id: CampaignId
    building_id: BuildingId
    lines: tuple[Wanted, ...]
    coupon_id: CouponId | None = None
    is_dorm_head: bool = False
    is_returning: bool = False


class JoinGroup(Struct, frozen=True, kw_only=True, gc=False):
    """Take a seat (参团); brought to the group's building when none is named."""

    group_id: GroupId
    order_id: OrderId
    member_id: PersonId
    lines: tuple[Wanted, ...]
    building_id: BuildingId | None = None
    coupon_id: CouponId | None = None
    is_dorm_head: bool = False
    is_returning: bool = False


class Seated(Struct, frozen=True, kw_only=True, gc=False):
    """A seat is held: what to pay and until when; a free order is paid already."""

    group_id: str
    order_id: str
    order_state: OrderState
    payable_fen: int
    saved_fen: int
    pay_before: datetime
    group_state: GroupState
    seats_taken: int
    paid_count: int
    closes_at: datetime


class QuoteCart(Struct, frozen=True, kw_only=True, gc=False):
    """Price a cart at every tier without taking a seat; nothing changes.

    group_id: as who joins this group would pay, by what its campaign was when it was opened; None: as its opener would.
    """

    campaign_id: CampaignId
    building_id: BuildingId
    member_id: PersonId
    lines: tuple[Wanted, ...]
    group_id: GroupId | None = None
    coupon_id: CouponId | None = None
    is_dorm_head: bool = False
    is_returning: bool = False


class Off(Struct, frozen=True, kw_only=True, gc=False):
    """What one rule takes off a cart; `rule_id` may also be "tier" or "coupon"."""

    rule_id: str
    amount_fen: int


class TierPrice(Struct, frozen=True, kw_only=True, gc=False):
    """What a cart costs when the group reaches a size: `list_fen` and the share of the delivery less all `offs`.

    saved_fen: against ordering alone, with the whole delivery fee.
    """

    size: int
    list_fen: int
    delivery_fen: int
    offs: tuple[Off, ...]
    payable_fen: int
    saved_fen: int


class Quoted(Struct, frozen=True, kw_only=True, gc=False):
    """What a cart costs at each tier, smallest first."""

    tiers: tuple[TierPrice, ...]
    delivery_fen: int
    rule_version: int


class LeaveGroup(Struct, frozen=True, kw_only=True, gc=False):
    """A member gives up his seat."""

    group_id: GroupId
    member_id: PersonId


class CancelOrder(Struct, frozen=True, kw_only=True, gc=False):
    """A member gives up his order while its group has not formed."""

    order_id: OrderId
    member_id: PersonId


class Left(Struct, frozen=True, kw_only=True, gc=False):
    """A seat was given up; what was paid comes back."""

    group_id: str
    order_id: str
    order_state: OrderState
    refund_due_fen: int
    group_state: GroupState


class HearCapture(Struct, frozen=True, kw_only=True, gc=False):
    """The ledger has an order's money, and the order never heard of it (C3)."""

    order_id: OrderId
    payment_id: str
    amount_fen: int


class ExpireSeat(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: a seat was not paid in time."""

    order_id: OrderId


class CloseGroup(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: a group's deadline."""

    group_id: GroupId
