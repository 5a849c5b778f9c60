"""What pages read of stock."""

from __future__ import annotations

from msgspec import Struct

from tuanzi.base.ids import MealId
from tuanzi.machinery.database import Ask
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.several import whole_rows
from tuanzi.stock.model import Portions, PortionsLeft, shown
from tuanzi.stock.store import MEALS_FROM, PORTIONS, PORTIONS_OF_MEAL, PORTIONS_OF_MEAL_ALL


class PortionsPage(Struct, frozen=True, kw_only=True, gc=False):
    """Dishes of a meal somebody asked for, by dish; `next` is None on the last page."""

    items: tuple[PortionsLeft, ...]
    next: str | None


async def portions_page(desk: Desk, *, meal_id: MealId, after: str, limit: int) -> PortionsPage:
    """The portions of a meal, after a dish; a dish nobody asked for yet is not in it."""
    rows = await desk.rows(PORTIONS_OF_MEAL, {"meal_id": meal_id, "after": after, "limit": limit + 1})
    items = [shown(PORTIONS.from_row(row)) for row in rows]
    return PortionsPage(items=tuple(items[:limit]), next=items[limit - 1].dish_id if len(items) > limit else None)


def portions_of_meal(ask: Ask, meal_id: str) -> list[Portions]:
    """The portions of a meal, within a look (C3)."""
    return [PORTIONS.from_row(row) for row in whole_rows(ask, PORTIONS_OF_MEAL_ALL, {"meal_id": meal_id})]


def meals_from(ask: Ask, day: str) -> list[str]:
    """The meals of `day` (as in their ids) and later that have portions."""
    return [row[0] for row in whole_rows(ask, MEALS_FROM, {"from_id": day})]
