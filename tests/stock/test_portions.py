"""Portions of a dish for a meal: held, sold, given back, never more than there are (B2, B9)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench_unit import BenchUnit
from tests.heart import LUNCH, Campus
from tuanzi import stock
from tuanzi.base.ids import DishId, MealId
from tuanzi.base.problem import Problem, Unknown
from tuanzi.catalog import MealUnknown
from tuanzi.events import DishSoldOut
from tuanzi.orders import SubStep
from tuanzi.stock import PORTIONS, Portions, PortionsLeft, SetPortions, StockShort, TotalTooSmall

TOTALS: Any = {"beef": 5, "soup": 3}


@pytest.fixture
def campus() -> Campus:
    return Campus()


@pytest.fixture
def unit() -> BenchUnit:
    return BenchUnit({PORTIONS.kind: PORTIONS.key_of})


def portions(unit: BenchUnit, dish_id: str = "beef") -> tuple[int, int, int]:
    """(total, held, sold) of a dish."""
    kept = unit.load(Portions, (dish_id, LUNCH))
    return kept.total, kept.held, kept.sold


def hold(unit: BenchUnit, *, beef: int = 0, soup: int = 0) -> None:
    """Hold portions of which 5 and 3 are made."""
    wanted = {dish_id: count for dish_id, count in (("beef", beef), ("soup", soup)) if count}
    stock.hold(unit, wanted, meal_id=LUNCH, totals=TOTALS)  # type: ignore[arg-type]


def test_the_first_hold_knows_how_many_are_made(unit: BenchUnit) -> None:
    hold(unit, beef=2)

    assert portions(unit) == (5, 2, 0)
    assert unit.events == []


def test_what_is_held_can_be_sold_released_and_given_back(unit: BenchUnit) -> None:
    hold(unit, beef=4)

    stock.release(unit, {"beef": 1}, meal_id=LUNCH)  # type: ignore[arg-type, dict-item]
    assert portions(unit) == (5, 3, 0)
    stock.sell(unit, {"beef": 3}, meal_id=LUNCH)  # type: ignore[arg-type, dict-item]
    assert portions(unit) == (5, 0, 3)
    stock.give_back(unit, {"beef": 2}, meal_id=LUNCH)  # type: ignore[arg-type, dict-item]
    assert portions(unit) == (5, 0, 1)


def test_one_dish_too_few_and_nothing_of_the_cart_is_held(unit: BenchUnit) -> None:
    with pytest.raises(StockShort) as refused:
        hold(unit, beef=2, soup=4)

    assert refused.value.facts == {"dish_id": "soup", "meal_id": LUNCH, "left": 3, "wanted": 4}
    assert unit.values == {}
    assert unit.events == []


def test_the_last_portion_is_told(unit: BenchUnit) -> None:
    hold(unit, beef=5, soup=1)

    assert unit.events == [DishSoldOut(dish_id="beef", meal_id=LUNCH)]
    with pytest.raises(StockShort):
        hold(unit, beef=1)


@pytest.mark.parametrize("what", [stock.release, stock.sell, stock.give_back])
def test_what_is_not_there_cannot_be_moved(unit: BenchUnit, what: object) -> None:
    """A bug above ends as a crashed command, not as a negative number."""
    hold(unit, beef=1)

    with pytest.raises(ValueError, match="no portions"):
        what(unit, {"beef": 2}, meal_id=LUNCH)  # type: ignore[operator]

    assert portions(unit) == (5, 1, 0)


def test_more_than_there_are_cannot_exist() -> None:
    with pytest.raises(ValueError, match="no portions"):
        Portions(dish_id="beef", meal_id=LUNCH, total=5, held=3, sold=3)  # type: ignore[arg-type]


def test_the_same_dish_on_two_lines_is_held_together(campus: Campus) -> None:
    """medusa issue 16502: each line alone would pass."""
    with campus.refused(StockShort):
        campus.open("m1", ("cake", 3), ("cake", 2))

    campus.open("m1", ("cake", 2), ("cake", 2))

    assert campus.held_and_sold("cake") == (4, 0)


def test_fifty_want_the_last_four_and_four_are_held(campus: Campus) -> None:
    answers = campus.batch([campus.opening(f"m{i}", "cake", "milk-tea") for i in range(50)])

    assert sum(isinstance(answer, StockShort) for answer in answers) == 46
    assert campus.held_and_sold("cake") == (4, 0)
    assert campus.held_and_sold("milk-tea") == (4, 0)
    assert [event.dish_id for event in campus.told(DishSoldOut)] == ["cake"]


def test_a_merchant_changes_how_many_there_are(campus: Campus) -> None:
    campus.open("m1", ("cake", 4))

    left = campus.set_portions("cake", 10)

    assert left == PortionsLeft(dish_id="cake", meal_id=LUNCH, total=10, held=4, sold=0, left=6, is_closed=False)
    assert campus.open("m2", ("cake", 6)).seats_taken == 1


def test_there_are_no_fewer_than_are_held_and_sold(campus: Campus) -> None:
    campus.open("m1", ("cake", 4))

    with campus.refused(TotalTooSmall):
        campus.set_portions("cake", 3)


def test_a_closed_dish_is_refused_while_what_is_held_goes_on(campus: Campus) -> None:
    seated = campus.group("m1", "m2", paid=2)
    campus.set_portions("beef", 100, is_closed=True)

    with campus.refused(StockShort):
        campus.join(seated[0].group_id, "m3")

    campus.pay(campus.join(seated[0].group_id, "m3", "soup").order_id)
    assert campus.held_and_sold("beef") == (0, 2)
    assert campus.stock("beef").is_closed


def test_closing_is_told_once_and_a_repeat_changes_nothing(campus: Campus) -> None:
    campus.set_portions("beef", 100, is_closed=True)

    with campus.nothing_changes():
        campus.set_portions("beef", 100, is_closed=True)

    assert campus.told(DishSoldOut) == [DishSoldOut(dish_id="beef", meal_id=LUNCH)]


def test_none_of_a_dish_nobody_asked_for_yet_is_told_too(campus: Campus) -> None:
    campus.set_portions("beef", 0)

    assert campus.told(DishSoldOut) == [DishSoldOut(dish_id="beef", meal_id=LUNCH)]


def test_a_merchant_changes_only_his_own_dishes(campus: Campus) -> None:
    command = SetPortions(
        dish_id="beef",  # type: ignore[arg-type]
        meal_id=LUNCH,  # type: ignore[arg-type]
        total=5,
        is_closed=False,
        by="staff",
        merchant_id="tea",
    )

    with campus.refused(Unknown):
        campus.do(command)


@pytest.mark.parametrize(
    ("meal_id", "refusal"),
    [
        ("lunch", MealUnknown),
        ("2026-11-23.tea", MealUnknown),
        ("2026-11-23.night", Unknown),  # a period, but none of this campus
        ("2026-11-21.lunch", Unknown),
        ("2026-12-25.lunch", Unknown),
    ],
)
def test_portions_are_of_meals_that_there_are(campus: Campus, meal_id: str, refusal: type[Problem]) -> None:
    command = SetPortions(dish_id=DishId("beef"), meal_id=MealId(meal_id), total=5, is_closed=False, by="staff")

    with campus.refused(refusal):
        campus.do(command)


@pytest.mark.parametrize("meal_id", ["2026-11-22.lunch", "2026-12-24.lunch"])
def test_portions_are_said_from_yesterday_to_a_month_ahead(campus: Campus, meal_id: str) -> None:
    command = SetPortions(dish_id=DishId("beef"), meal_id=MealId(meal_id), total=5, is_closed=False, by="staff")

    assert campus.do(command).left == 5


def test_portions_of_a_rejected_sub_order_are_free_again(campus: Campus) -> None:
    seated = campus.group("m1", "m2", "m3")

    campus.advance(f"{seated[0].order_id}.1", SubStep.REJECT)

    assert campus.held_and_sold("beef") == (0, 2)
