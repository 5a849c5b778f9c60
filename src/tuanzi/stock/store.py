"""Rows of stock."""

from __future__ import annotations

from tuanzi.machinery.tables import table
from tuanzi.stock.model import Portions

PORTIONS = table("portions", Portions, key=("dish_id", "meal_id"))

PORTIONS_OF_MEAL = """
SELECT dish_id, meal_id, total, held, sold, is_closed FROM portions
WHERE meal_id = :meal_id AND dish_id > :after ORDER BY dish_id LIMIT :limit
"""
