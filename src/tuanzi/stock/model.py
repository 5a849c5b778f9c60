"""Portions of a dish for one meal: how many there are, how many are held, how many sold (B2)."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.ids import DishId, MealId
from tuanzi.stock.problems import TotalTooSmall

TOTAL_MAX = 10_000_000


class Portions(Struct, frozen=True, kw_only=True, gc=False):
    """The portions of one dish for one meal; `held + sold <= total`, always. `is_closed`: sold out by the merchant."""

    dish_id: DishId
    meal_id: MealId
    total: int
    held: int = 0
    sold: int = 0
    is_closed: bool = False

    def __post_init__(self) -> None:
        if self.held < 0 or self.sold < 0 or self.held + self.sold > self.total:
            raise ValueError(f"no portions: {self}")

    @property
    def left(self) -> int:
        """How many may still be held."""
        return 0 if self.is_closed else self.total - self.held - self.sold

    def hold(self, count: int) -> Portions:
        """`count` more held."""
        return replace(self, held=self.held + count)

    def release(self, count: int) -> Portions:
        """`count` held ones free again."""
        return replace(self, held=self.held - count)

    def sell(self, count: int) -> Portions:
        """`count` held ones sold."""
        return replace(self, held=self.held - count, sold=self.sold + count)

    def give_back(self, count: int) -> Portions:
        """`count` sold ones free again."""
        return replace(self, sold=self.sold - count)

    def with_total(self, total: int, *, is_closed: bool) -> Portions:
        """Another total. Raises TotalTooSmall."""
        if total < self.held + self.sold:
            raise TotalTooSmall(dish_id=self.dish_id, meal_id=self.meal_id, held=self.held, sold=self.sold)
        return replace(self, total=total, is_closed=is_closed)


class SetPortions(Struct, frozen=True, kw_only=True, gc=False):
    """Say how many portions of a dish there are for a meal, and whether it is sold out.

    merchant_id: the shop of the merchant who says so; None for an operator, who may change every dish.
    """

    dish_id: DishId
    meal_id: MealId
    total: int
    is_closed: bool
    by: str
    merchant_id: str | None = None


class RestorePortions(Struct, frozen=True, kw_only=True, gc=False):
    """Portions are not what orders say: make them so, if they are still as they were seen (C3)."""

    dish_id: DishId
    meal_id: MealId
    held: int
    sold: int
    seen_held: int
    seen_sold: int


class PortionsRestored(Struct, frozen=True, kw_only=True, gc=False):
    """Whether they are so now; else they have moved since, and must be looked at again."""

    is_restored: bool


class PortionsLeft(Struct, frozen=True, kw_only=True, gc=False):
    """The portions of a dish for a meal, as pages show them."""

    dish_id: str
    meal_id: str
    total: int
    held: int
    sold: int
    left: int
    is_closed: bool


def shown(portions: Portions) -> PortionsLeft:
    """Portions as pages show them."""
    return PortionsLeft(
        dish_id=portions.dish_id,
        meal_id=portions.meal_id,
        total=portions.total,
        held=portions.held,
        sold=portions.sold,
        left=portions.left,
        is_closed=portions.is_closed,
    )
