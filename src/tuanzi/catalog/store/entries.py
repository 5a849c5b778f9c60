"""The catalog's values as JSON shows them: the same for bodies, answers and imported rows.

Amounts are in fen. Kinds without amounts are their own entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from tuanzi.base.ids import BuildingId, CampaignId, CampusId, DishId, MerchantId
from tuanzi.base.money import Money
from tuanzi.catalog.model import (
    Building,
    Campaign,
    CampaignState,
    CampaignTier,
    Campus,
    Dish,
    MealPeriod,
    Merchant,
    OpenSpan,
    PeriodId,
    SetMealItem,
    Whole,
    in_utc,
)

Id = Annotated[str, Meta(min_length=1, max_length=64)]
Name = Annotated[str, Meta(max_length=80)]
Value = Campus | Building | Merchant | Dish | MealPeriod | Campaign


class MerchantEntry(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A merchant as JSON shows it; hours as seven lists of spans, from Monday."""

    id: Id
    name_zh: Name
    name_en: Name
    latitude_e6: Whole
    longitude_e6: Whole
    hours: Annotated[tuple[tuple[OpenSpan, ...], ...], Meta(max_length=7)]
    is_open: bool = True
    delivery_fee_fen: Whole
    min_order_fen: Whole

    def value(self) -> Merchant:
        """The merchant. Raises an Unfit."""
        fields = msgspec.structs.asdict(self)
        delivery_fee, min_order = Money(fields.pop("delivery_fee_fen")), Money(fields.pop("min_order_fen"))
        return Merchant(delivery_fee=delivery_fee, min_order=min_order, **fields)


class DishEntry(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A dish as JSON shows it."""

    id: Id
    merchant_id: Id
    name_zh: Name
    name_en: Name
    price_fen: Whole
    portions_per_meal: Whole
    is_on_sale: bool = True
    is_addon: bool = False
    items: Annotated[tuple[SetMealItem, ...], Meta(max_length=10)] = ()
    tags: Annotated[tuple[Name, ...], Meta(max_length=10)] = ()

    def value(self) -> Dish:
        """The dish. Raises an Unfit."""
        return Dish(
            id=DishId(self.id),
            merchant_id=MerchantId(self.merchant_id),
            name_zh=self.name_zh,
            name_en=self.name_en,
            price=Money(self.price_fen),
            portions_per_meal=self.portions_per_meal,
            is_on_sale=self.is_on_sale,
            is_addon=self.is_addon,
            items=self.items,
            tags=self.tags,
        )


class TierEntry(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A campaign's tier as JSON shows it."""

    size: Whole
    off_percent: Whole = 0
    off_fen: Whole = 0


class CampaignEntry(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A campaign as JSON shows it; times with an offset, in UTC when given."""

    id: Id
    name_zh: Name
    name_en: Name
    tiers: Annotated[tuple[TierEntry, ...], Meta(max_length=10)]
    merchant_ids: Annotated[tuple[Id, ...], Meta(max_length=1000)]
    building_ids: Annotated[tuple[Id, ...], Meta(max_length=1000)] = ()
    period_ids: Annotated[tuple[PeriodId, ...], Meta(max_length=10)]
    starts_at: Annotated[datetime, Meta(tz=True)]
    ends_at: Annotated[datetime, Meta(tz=True)]
    group_lasts_minutes: Whole
    pay_within_s: Whole
    per_order_limit: Whole
    per_user_limit: Whole
    delivery_fee_fen: Whole
    state: CampaignState = CampaignState.DRAFT
    guest_campuses: Annotated[tuple[Id, ...], Meta(max_length=10)] = ()

    def value(self) -> Campaign:
        """The campaign. Raises an Unfit."""
        return Campaign(
            id=CampaignId(self.id),
            name_zh=self.name_zh,
            name_en=self.name_en,
            tiers=tuple(
                CampaignTier(size=tier.size, off_percent=tier.off_percent, off=Money(tier.off_fen))
                for tier in self.tiers
            ),
            merchant_ids=tuple(MerchantId(id) for id in self.merchant_ids),
            building_ids=tuple(BuildingId(id) for id in self.building_ids),
            period_ids=self.period_ids,
            starts_at=in_utc(self.starts_at, field="starts_at"),
            ends_at=in_utc(self.ends_at, field="ends_at"),
            group_lasts_minutes=self.group_lasts_minutes,
            pay_within_s=self.pay_within_s,
            per_order_limit=self.per_order_limit,
            per_user_limit=self.per_user_limit,
            delivery_fee=Money(self.delivery_fee_fen),
            state=self.state,
            guest_campuses=tuple(CampusId(id) for id in self.guest_campuses),
        )


Entry = Campus | Building | MealPeriod | MerchantEntry | DishEntry | CampaignEntry


# The lists of a JSON catalog in the order in which they are kept, and what stands in them.
ENTRIES: Mapping[str, Any] = {
    "campus": Campus,
    "buildings": Building,
    "periods": MealPeriod,
    "merchants": MerchantEntry,
    "dishes": DishEntry,
    "campaigns": CampaignEntry,
}


def merchant_entry(merchant: Merchant) -> MerchantEntry:
    """The merchant as JSON shows it."""
    fields = msgspec.structs.asdict(merchant)
    delivery_fee, min_order = fields.pop("delivery_fee"), fields.pop("min_order")
    return MerchantEntry(delivery_fee_fen=delivery_fee.fen, min_order_fen=min_order.fen, **fields)


def dish_entry(dish: Dish) -> DishEntry:
    """The dish as JSON shows it."""
    fields = msgspec.structs.asdict(dish)
    return DishEntry(price_fen=fields.pop("price").fen, **fields)


def campaign_entry(campaign: Campaign) -> CampaignEntry:
    """The campaign as JSON shows it."""
    fields = msgspec.structs.asdict(campaign)
    tiers = tuple(
        TierEntry(size=tier.size, off_percent=tier.off_percent, off_fen=tier.off.fen) for tier in fields.pop("tiers")
    )
    return CampaignEntry(delivery_fee_fen=fields.pop("delivery_fee").fen, tiers=tiers, **fields)
