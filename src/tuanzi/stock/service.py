"""Holding, selling and giving back portions (B2). An order's own state sees to it that each is done once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.ids import DishId, MealId
from tuanzi.base.problem import Unknown
from tuanzi.base.unit import Unit
from tuanzi.catalog import Dish, load_meal
from tuanzi.events import DishSoldOut
from tuanzi.stock.model import Portions, PortionsLeft, PortionsRestored, RestorePortions, SetPortions, shown
from tuanzi.stock.problems import StockShort


def hold(unit: Unit, wanted: Mapping[DishId, int], *, meal_id: MealId, totals: Mapping[DishId, int]) -> None:
    """Hold so many portions of each dish; all of them or, raising StockShort, none.

    wanted: portions by dish, summed over a cart (medusa issue 16502: the same dish on two lines).
    totals: how many are made of each dish for a meal, for dishes nobody asked for yet.
    """
    held = []
    for dish_id, count in wanted.items():
        portions = unit.find(Portions, (dish_id, meal_id))
        if portions is None:
            portions = Portions(dish_id=dish_id, meal_id=meal_id, total=totals[dish_id])
        if portions.left < count:
            raise StockShort(dish_id=dish_id, meal_id=meal_id, left=portions.left, wanted=count)
        held.append(portions.hold(count))
    for portions in held:
        unit.put(portions)
        if portions.left == 0:
            unit.emit(DishSoldOut(dish_id=portions.dish_id, meal_id=meal_id))


def release(unit: Unit, held: Mapping[DishId, int], *, meal_id: MealId) -> None:
    """Held portions are free again."""
    for dish_id, count in held.items():
        unit.put(unit.load(Portions, (dish_id, meal_id)).release(count))


def sell(unit: Unit, held: Mapping[DishId, int], *, meal_id: MealId) -> None:
    """Held portions are sold."""
    for dish_id, count in held.items():
        unit.put(unit.load(Portions, (dish_id, meal_id)).sell(count))


def give_back(unit: Unit, sold: Mapping[DishId, int], *, meal_id: MealId) -> None:
    """Sold portions are free again: a merchant cannot make them for this order."""
    for dish_id, count in sold.items():
        unit.put(unit.load(Portions, (dish_id, meal_id)).give_back(count))


def set_portions(unit: Unit, command: SetPortions, *, now: datetime) -> PortionsLeft:
    """Change a dish's portions for a meal; a repeat changes nothing.

    Raises Unknown (the dish, not his, or no meal of now), MealUnknown, TotalTooSmall.
    """
    dish = unit.load(Dish, command.dish_id)
    if command.merchant_id is not None and dish.merchant_id != command.merchant_id:
        raise Unknown(kind="dish", id=command.dish_id)
    load_meal(unit, command.meal_id, now=now)
    portions = unit.find(Portions, (command.dish_id, command.meal_id))
    if portions is None:
        portions = Portions(dish_id=dish.id, meal_id=command.meal_id, total=dish.portions_per_meal)
    changed = portions.with_total(command.total, is_closed=command.is_closed)
    unit.put(changed)
    if changed.left == 0 and (portions.left > 0 or changed.is_closed > portions.is_closed):
        unit.emit(DishSoldOut(dish_id=command.dish_id, meal_id=command.meal_id))
    return shown(changed)


def restore_portions(unit: Unit, command: RestorePortions, *, now: datetime) -> PortionsRestored:
    """Make held and sold what the orders say (C3); nothing happens when they have moved since. Raises Unknown."""
    portions = unit.find(Portions, (command.dish_id, command.meal_id))
    if portions is None:
        total = max(unit.load(Dish, command.dish_id).portions_per_meal, command.held + command.sold)
        unit.restore(
            Portions(
                dish_id=command.dish_id, meal_id=command.meal_id, total=total, held=command.held, sold=command.sold
            )
        )
        return PortionsRestored(is_restored=True)
    # What memory has may be right while the row is not: then it is only written again.
    said = portions.held, portions.sold
    if said not in ((command.held, command.sold), (command.seen_held, command.seen_sold)):
        return PortionsRestored(is_restored=False)
    unit.restore(replace(portions, held=command.held, sold=command.sold))
    return PortionsRestored(is_restored=True)
