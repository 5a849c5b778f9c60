"""Catalog: what a campus offers, where, when, and on which terms groups may buy it (B1, B4, B7, B9).

Owns, in the database `core`: campuses, buildings, merchants, dishes, meal_periods, campaigns.
Hears nothing. Emits CatalogChanged, CampaignChanged.

Values are immutable; a group keeps what it needs of the `Campaign` it was opened with (P22).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tuanzi.catalog.model import (
    Building,
    BuildingKind,
    Campaign,
    CampaignState,
    CampaignTier,
    Campus,
    Dish,
    Meal,
    MealPeriod,
    Merchant,
    OpenSpan,
    PeriodId,
    SetMealItem,
    closes_at,
    meal_id,
    meal_of,
    meal_on,
    read_meal_id,
)
from tuanzi.catalog.problems import (
    BuildingNotServed,
    CampaignNotLive,
    CampaignNotServing,
    DishNotInCampaign,
    DishNotOnSale,
    ImportRefused,
    MealUnknown,
    MerchantClosed,
)
from tuanzi.catalog.queries import campaign_view, campus_page, has_merchant, merchant_ids, merchant_view
from tuanzi.catalog.service import (
    ImportCatalog,
    Imported,
    PutBuilding,
    PutCampaign,
    PutCampus,
    PutDish,
    PutMealPeriod,
    PutMerchant,
    SetDishOnSale,
    asked_by_import,
    dishes_for_cart,
    import_catalog,
    list_periods,
    load_building_served,
    load_campaign_for_opening,
    load_meal,
    load_meal_for_opening,
    put_building,
    put_campaign,
    put_campus,
    put_dish,
    put_meal_period,
    put_merchant,
    set_dish_on_sale,
)
from tuanzi.catalog.store import TABLES, CampaignEntry, DishEntry, ImportKind, MerchantEntry, RowError, TierEntry
from tuanzi.catalog.web import ROUTES
from tuanzi.machinery.room import Room

__all__ = [
    "Building",
    "BuildingKind",
    "BuildingNotServed",
    "Campaign",
    "CampaignEntry",
    "CampaignNotLive",
    "CampaignNotServing",
    "CampaignState",
    "CampaignTier",
    "Campus",
    "Dish",
    "DishEntry",
    "DishNotInCampaign",
    "DishNotOnSale",
    "ImportCatalog",
    "ImportKind",
    "ImportRefused",
    "Imported",
    "Meal",
    "MealPeriod",
    "MealUnknown",
    "Merchant",
    "MerchantClosed",
    "MerchantEntry",
    "OpenSpan",
    "PeriodId",
    "PutBuilding",
    "PutCampaign",
    "PutCampus",
    "PutDish",
    "PutMealPeriod",
    "PutMerchant",
    "RowError",
    "SetDishOnSale",
    "SetMealItem",
    "TierEntry",
    "campaign_view",
    "campus_page",
    "closes_at",
    "dishes_for_cart",
    "has_merchant",
    "list_periods",
    "load_building_served",
    "load_campaign_for_opening",
    "load_meal",
    "load_meal_for_opening",
    "meal_id",
    "meal_of",
    "meal_on",
    "merchant_ids",
    "merchant_view",
    "read_meal_id",
    "room",
]


def room(*, is_campus: Callable[[str], bool] = lambda _: True) -> Room:
    """The room, as wiring puts it into the house.

    is_campus: whether there is a campus of this name; where nobody can know, any may be named as a guest's.
    """
    return Room(
        name="catalog",
        database="core",
        tables=TABLES,
        commands={
            PutCampus: put_campus,
            PutBuilding: put_building,
            PutMerchant: put_merchant,
            PutMealPeriod: put_meal_period,
            PutDish: put_dish,
            SetDishOnSale: set_dish_on_sale,
            PutCampaign: partial(put_campaign, is_campus=is_campus),
            ImportCatalog: partial(import_catalog, is_campus=is_campus),
        },
        asks={ImportCatalog: asked_by_import},
        routes=ROUTES,
    )
