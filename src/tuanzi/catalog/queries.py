"""What pages show of the catalog, read from committed rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from tuanzi.base.ids import BuildingId, CampaignId, CampusId, DishId, MerchantId
from tuanzi.base.problem import Unknown
from tuanzi.base.time import to_ms
from tuanzi.catalog import store
from tuanzi.catalog.model import Building, CampaignState, Campus, Meal, MealPeriod, meal_on, read_meal_id
from tuanzi.catalog.store import CampaignEntry, DishEntry, MerchantEntry
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.several import rows_of_there, whole_rows_there


class CampusPage(Struct, frozen=True, kw_only=True, gc=False):
    """A campus with its buildings and meals."""

    campus: Campus
    buildings: list[Building]
    periods: list[MealPeriod]


class MerchantPage(Struct, frozen=True, kw_only=True, gc=False):
    """Merchants by id; `next` goes into `after` for more."""

    items: list[MerchantEntry]
    next: str | None


class DishOffer(Struct, frozen=True, kw_only=True, gc=False):
    """A dish; `is_offered`: on sale, a set with its parts, and its merchant serves for the meal asked for, or now when
    none was."""

    dish: DishEntry
    is_offered: bool


class DishPage(Struct, frozen=True, kw_only=True, gc=False):
    """Dishes by id; `next` goes into `after` for more."""

    items: list[DishOffer]
    next: str | None


class CampaignPage(Struct, frozen=True, kw_only=True, gc=False):
    """Campaigns by id; `next` goes into `after` for more."""

    items: list[CampaignEntry]
    next: str | None


async def campus_page(desk: Desk, *, campus_id: CampusId) -> CampusPage:
    """The campus, all its buildings by id and its meals by time of day. Raises Unknown."""
    rows = await desk.rows(store.CAMPUS, {"id": campus_id})
    if not rows:
        raise Unknown(kind="campus", id=campus_id)
    buildings = await whole_rows_there(desk.rows, store.ALL_BUILDINGS)
    periods = await desk.rows(store.ALL_PERIODS)
    return CampusPage(
        campus=store.CAMPUSES.from_row(rows[0]),
        buildings=[store.BUILDINGS.from_row(row) for row in buildings],
        periods=[store.PERIODS.from_row(row) for row in periods],
    )


async def merchant_page(desk: Desk, *, after: str, limit: int) -> MerchantPage:
    """Up to `limit` merchants after that id."""
    rows = await desk.rows(store.MERCHANTS_AFTER, {"after": after, "limit": limit + 1})
    items = [store.merchant_entry(store.MERCHANTS.from_row(row)) for row in rows[:limit]]
    return MerchantPage(items=items, next=items[-1].id if len(rows) > limit else None)


async def merchant_view(desk: Desk, *, merchant_id: MerchantId) -> MerchantEntry:
    """A merchant. Raises Unknown."""
    rows = await desk.rows(store.MERCHANT, {"id": merchant_id})
    if not rows:
        raise Unknown(kind="merchant", id=merchant_id)
    return store.merchant_entry(store.MERCHANTS.from_row(rows[0]))


async def has_merchant(desk: Desk, merchant_id: str) -> bool:
    """Whether the campus of this desk has such a merchant."""
    return bool(await desk.rows(store.MERCHANT, {"id": merchant_id}))


async def merchant_ids(desk: Desk) -> list[str]:
    """The ids of all merchants."""
    return [id for (id,) in await whole_rows_there(desk.rows, store.MERCHANT_IDS)]


async def dish_page(
    desk: Desk, *, merchant_id: MerchantId | None, meal_id: str | None, after: str, limit: int, now: datetime
) -> DishPage:
    """Up to `limit` dishes after that id, of one merchant or all. Raises MealUnknown, Unknown for the meal."""
    meal = None if meal_id is None else await _load_meal(desk, meal_id)
    slots = {"after": after, "limit": limit + 1}
    if merchant_id is None:
        rows = await desk.rows(store.DISHES_AFTER, slots)
    else:
        rows = await desk.rows(store.DISHES_OF_MERCHANT_AFTER, {**slots, "merchant_id": merchant_id})
    items = await _offers(desk, rows[:limit], meal=meal, now=now)
    return DishPage(items=items, next=items[-1].dish.id if len(rows) > limit else None)


async def dish_view(desk: Desk, *, dish_id: DishId, now: datetime) -> DishOffer:
    """A dish. Raises Unknown."""
    rows = await desk.rows(store.DISH, {"id": dish_id})
    if not rows:
        raise Unknown(kind="dish", id=dish_id)
    (offer,) = await _offers(desk, rows, meal=None, now=now)
    return offer


async def campaign_page(
    desk: Desk, *, building_id: BuildingId | None, after: str, limit: int, now: datetime
) -> CampaignPage:
    """Up to `limit` campaigns after that id in which groups can be opened now, for one building or any."""
    slots = {"now_ms": to_ms(now), "after": after}
    rows = await whole_rows_there(desk.rows, store.LIVE_CAMPAIGNS_AFTER, slots)
    campaigns = [store.CAMPAIGNS.from_row(row) for row in rows]
    serving = [campaign for campaign in campaigns if building_id is None or campaign.serves(building_id)]
    items = [store.campaign_entry(campaign) for campaign in serving[:limit]]
    return CampaignPage(items=items, next=items[-1].id if len(serving) > limit else None)


async def all_campaigns_page(desk: Desk, *, after: str, limit: int) -> CampaignPage:
    """Up to `limit` campaigns after that id, drafts and ended ones too, for operators."""
    rows = await desk.rows(store.CAMPAIGNS_AFTER, {"after": after, "limit": limit + 1})
    items = [store.campaign_entry(store.CAMPAIGNS.from_row(row)) for row in rows[:limit]]
    return CampaignPage(items=items, next=items[-1].id if len(rows) > limit else None)


async def campaign_view(desk: Desk, *, campaign_id: CampaignId) -> CampaignEntry:
    """A campaign that was published: live or ended; a draft is not shown. Raises Unknown."""
    rows = await desk.rows(store.CAMPAIGN, {"id": campaign_id})
    entry = store.campaign_entry(store.CAMPAIGNS.from_row(rows[0])) if rows else None
    if entry is None or entry.state is CampaignState.DRAFT:
        raise Unknown(kind="campaign", id=campaign_id)
    return entry


async def _load_meal(desk: Desk, meal_id: str) -> Meal:
    period_id, on = read_meal_id(meal_id)
    rows = await desk.rows(store.PERIOD, {"id": period_id.value})
    if not rows:
        raise Unknown(kind="meal", id=meal_id)
    return meal_on(store.PERIODS.from_row(rows[0]), on)


async def _offers(desk: Desk, rows: Sequence[Sequence[Any]], *, meal: Meal | None, now: datetime) -> list[DishOffer]:
    """Dishes as they are offered; rows: each a dish followed by its merchant."""
    width = len(store.DISHES.columns)
    dishes = [store.DISHES.from_row(tuple(row[:width])) for row in rows]
    parts = sorted({item.dish_id for dish in dishes for item in dish.items})
    off_sale = {id for (id,) in await rows_of_there(desk.rows, store.DISHES_OFF_SALE, parts)}
    offers = []
    for row, dish in zip(rows, dishes, strict=True):
        merchant = store.MERCHANTS.from_row(tuple(row[width:]))
        serves = merchant.is_serving(now=now) if meal is None else merchant.is_serving_during(meal)
        is_whole = off_sale.isdisjoint(item.dish_id for item in dish.items)
        offers.append(DishOffer(dish=store.dish_entry(dish), is_offered=dish.is_on_sale and is_whole and serves))
    return offers
