"""What a campus offers: buildings, merchants, dishes, meals, campaigns, and when each is so (B1, B4, B7).

A value that breaks a rule cannot exist: each checks itself and raises an `Unfit` that names the field.
`checks`: what fields must be. `places`: campus, buildings, merchants. `dishes`: what they sell. `meals`: when.
`campaigns`: on which terms.
"""

from __future__ import annotations

from tuanzi.catalog.model.campaigns import Campaign, CampaignState, CampaignTier
from tuanzi.catalog.model.checks import Whole, in_utc
from tuanzi.catalog.model.dishes import Dish, SetMealItem
from tuanzi.catalog.model.meals import (
    Meal,
    MealPeriod,
    PeriodId,
    closes_at,
    local_day_and_minute,
    meal_id,
    meal_of,
    meal_on,
    read_meal_id,
)
from tuanzi.catalog.model.places import Building, BuildingKind, Campus, Merchant, OpenSpan

__all__ = [
    "Building",
    "BuildingKind",
    "Campaign",
    "CampaignState",
    "CampaignTier",
    "Campus",
    "Dish",
    "Meal",
    "MealPeriod",
    "Merchant",
    "OpenSpan",
    "PeriodId",
    "SetMealItem",
    "Whole",
    "closes_at",
    "in_utc",
    "local_day_and_minute",
    "meal_id",
    "meal_of",
    "meal_on",
    "read_meal_id",
]
