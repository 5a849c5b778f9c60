"""Rows of stock."""

from __future__ import annotations

from tuanzi.machinery.tables import table
from tuanzi.stock.model import Portions

PORTIONS = table("portions", Portions, key=("dish_id", "meal_id"))

PORTIONS_OF_MEAL = """
SELECT dish_id, meal_id, total, held, sold, is_closed FROM portions
WHERE meal_id = :meal_id AND dish_id > :after ORDER BY dish_id LIMIT :limit
"""

# Meals' ids begin with their day, so that those from a day on sort after it (C3).
PORTIONS_OF_MEAL_ALL = """
SELECT dish_id, meal_id, total, held, sold, is_closed FROM portions
WHERE meal_id = :meal_id ORDER BY dish_id LIMIT :limit
"""

MEALS_FROM = "SELECT DISTINCT meal_id FROM portions WHERE meal_id >= :from_id ORDER BY meal_id LIMIT :limit"
