"""The catalog's tables, and the SQL of its pages."""

from __future__ import annotations

from tuanzi.catalog.model import Building, Campaign, Campus, Dish, MealPeriod, Merchant
from tuanzi.machinery.several import SEVERAL
from tuanzi.machinery.tables import table

CAMPUSES = table("campuses", Campus, key="id")
BUILDINGS = table("buildings", Building, key="id")
MERCHANTS = table("merchants", Merchant, key="id")
DISHES = table("dishes", Dish, key="id")
PERIODS = table("meal_periods", MealPeriod, key="id")
CAMPAIGNS = table("campaigns", Campaign, key="id")
TABLES = (CAMPUSES, BUILDINGS, MERCHANTS, DISHES, PERIODS, CAMPAIGNS)

CAMPUS = """
SELECT id, name_zh, name_en, south_e6, west_e6, north_e6, east_e6
FROM campuses WHERE id = :id ORDER BY id LIMIT 1
"""

ALL_BUILDINGS = """
SELECT id, kind, name_zh, name_en, latitude_e6, longitude_e6, residents
FROM buildings ORDER BY id LIMIT :limit
"""

ALL_PERIODS = """
SELECT id, name_zh, name_en, starts_minute, cut_off_minute, ends_minute
FROM meal_periods ORDER BY starts_minute, id LIMIT 4
"""

PERIOD = """
SELECT id, name_zh, name_en, starts_minute, cut_off_minute, ends_minute
FROM meal_periods WHERE id = :id ORDER BY id LIMIT 1
"""

MERCHANT = """
SELECT id, name_zh, name_en, latitude_e6, longitude_e6, hours, is_open, delivery_fee_fen, min_order_fen
FROM merchants WHERE id = :id ORDER BY id LIMIT 1
"""

MERCHANT_IDS = "SELECT id FROM merchants ORDER BY id LIMIT :limit"

MERCHANTS_AFTER = """
SELECT id, name_zh, name_en, latitude_e6, longitude_e6, hours, is_open, delivery_fee_fen, min_order_fen
FROM merchants WHERE id > :after ORDER BY id LIMIT :limit
"""

# Each dish is followed by the columns of its merchant.
DISH = """
SELECT d.id, d.merchant_id, d.name_zh, d.name_en, d.price_fen, d.portions_per_meal, d.is_on_sale, d.is_addon, d.items,
    d.tags, m.id, m.name_zh, m.name_en, m.latitude_e6, m.longitude_e6, m.hours, m.is_open, m.delivery_fee_fen,
    m.min_order_fen
FROM dishes d JOIN merchants m ON m.id = d.merchant_id WHERE d.id = :id ORDER BY d.id LIMIT 1
"""

DISHES_AFTER = """
SELECT d.id, d.merchant_id, d.name_zh, d.name_en, d.price_fen, d.portions_per_meal, d.is_on_sale, d.is_addon, d.items,
    d.tags, m.id, m.name_zh, m.name_en, m.latitude_e6, m.longitude_e6, m.hours, m.is_open, m.delivery_fee_fen,
    m.min_order_fen
FROM dishes d JOIN merchants m ON m.id = d.merchant_id WHERE d.id > :after ORDER BY d.id LIMIT :limit
"""

DISHES_OF_MERCHANT_AFTER = """
SELECT d.id, d.merchant_id, d.name_zh, d.name_en, d.price_fen, d.portions_per_meal, d.is_on_sale, d.is_addon, d.items,
    d.tags, m.id, m.name_zh, m.name_en, m.latitude_e6, m.longitude_e6, m.hours, m.is_open, m.delivery_fee_fen,
    m.min_order_fen
FROM dishes d JOIN merchants m ON m.id = d.merchant_id
WHERE d.merchant_id = :merchant_id AND d.id > :after ORDER BY d.id LIMIT :limit
"""

DISHES_OFF_SALE = "SELECT " + "id FROM dishes WHERE id IN (" + SEVERAL + ") AND is_on_sale = 0 ORDER BY id LIMIT :limit"

CAMPAIGN = """
SELECT id, name_zh, name_en, tiers, merchant_ids, building_ids, period_ids, starts_at_ms, ends_at_ms,
    group_lasts_minutes, pay_within_s, per_order_limit, per_user_limit, delivery_fee_fen, state, guest_campuses
FROM campaigns WHERE id = :id ORDER BY id LIMIT 1
"""

CAMPAIGNS_AFTER = """
SELECT id, name_zh, name_en, tiers, merchant_ids, building_ids, period_ids, starts_at_ms, ends_at_ms,
    group_lasts_minutes, pay_within_s, per_order_limit, per_user_limit, delivery_fee_fen, state, guest_campuses
FROM campaigns WHERE id > :after ORDER BY id LIMIT :limit
"""

# Buildings are a list in one column, so that the page filters them.
LIVE_CAMPAIGNS_AFTER = """
SELECT id, name_zh, name_en, tiers, merchant_ids, building_ids, period_ids, starts_at_ms, ends_at_ms,
    group_lasts_minutes, pay_within_s, per_order_limit, per_user_limit, delivery_fee_fen, state, guest_campuses
FROM campaigns WHERE state = 'live' AND starts_at_ms <= :now_ms AND ends_at_ms > :now_ms AND id > :after
ORDER BY id LIMIT :limit
"""
