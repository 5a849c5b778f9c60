"""What is to be brought where, as frozen values."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from tuanzi.base.branch import Branch
from tuanzi.base.ids import BuildingId, GroupId, MealId, MerchantId, OrderId, PersonId, SubOrderId


class Spot(Struct, frozen=True, kw_only=True, gc=False):
    """A place on the map: a merchant's counter or a building's door, in millionths of a degree."""

    latitude_e6: int
    longitude_e6: int


class DropOff(Struct, frozen=True, kw_only=True, gc=False):
    """One sub-order's way from its merchant to its building. portions: how many dishes there are to carry."""

    sub_order_id: SubOrderId
    order_id: OrderId
    member_id: PersonId
    merchant_id: MerchantId
    building_id: BuildingId
    meal_id: MealId
    portions: int
    from_spot: Spot
    to_spot: Spot


class TryDelivery(Struct, frozen=True, kw_only=True, gc=False):
    """Try: promise to bring all of a split group's sub-orders. split_at: when the group closed."""

    branch: Branch
    group_id: GroupId
    drop_offs: tuple[DropOff, ...]
    split_at: datetime


class ConfirmDelivery(Struct, frozen=True, kw_only=True, gc=False):
    """Confirm: what was promised is to be brought."""

    branch: Branch


class CancelDelivery(Struct, frozen=True, kw_only=True, gc=False):
    """Cancel: what was promised is not wanted any more."""

    branch: Branch
