"""A dish that is a set holds a portion of each of its parts, and gives back exactly what it took (B2, B4, B5)."""

from __future__ import annotations

import pytest

from tests.heart import OPERATOR, Campus
from tuanzi import catalog
from tuanzi.base.ids import DishId
from tuanzi.catalog import DishEntry, SetMealItem
from tuanzi.events import DishSoldOut
from tuanzi.orders import SubStep
from tuanzi.stock import StockShort


def put_set(campus: Campus, *items: tuple[str, int], portions: int = 100) -> None:
    """The shop `tea` sells a set of these."""
    dish = DishEntry(
        id="afternoon",
        merchant_id="tea",
        name_zh="下午茶",
        name_en="Afternoon",
        price_fen=2300,
        portions_per_meal=portions,
        items=tuple([SetMealItem(dish_id=DishId(id), quantity=n) for id, n in items]),
    )
    campus.do(catalog.PutDish(dish=dish, merchant_id=None, by=OPERATOR))


@pytest.fixture
def campus() -> Campus:
    """There are four cakes, and 100 of everything else; the set is a milk tea and two cakes."""
    campus = Campus()
    put_set(campus, ("milk-tea", 1), ("cake", 2))
    campus.events.clear()
    return campus


def counts(campus: Campus) -> list[tuple[int, int]]:
    return [campus.held_and_sold(dish) for dish in ("afternoon", "milk-tea", "cake")]


def test_a_set_holds_itself_and_all_that_it_is_made_of(campus: Campus) -> None:
    campus.open("m1", "afternoon", "milk-tea")

    assert counts(campus) == [(1, 0), (2, 0), (2, 0)]


def test_a_set_is_sold_out_when_one_of_its_parts_is(campus: Campus) -> None:
    campus.open("m1", "afternoon", "cake")

    with campus.refused(StockShort):
        campus.open("m2", "afternoon")

    campus.open("m3", "milk-tea", "cake")
    assert counts(campus) == [(1, 0), (2, 0), (4, 0)]
    assert [event.dish_id for event in campus.told(DishSoldOut)] == ["cake"]


def test_fifty_want_the_last_two_sets_and_two_are_held(campus: Campus) -> None:
    answers = campus.batch([campus.opening(f"m{i}", "afternoon") for i in range(50)])

    assert sum(isinstance(answer, StockShort) for answer in answers) == 48
    assert counts(campus) == [(2, 0), (2, 0), (4, 0)]


def test_who_does_not_pay_gives_the_parts_back_though_the_set_is_another_by_then(campus: Campus) -> None:
    campus.open("m1", "afternoon")
    put_set(campus, ("milk-tea", 3))

    campus.pass_time(minutes=6)

    assert counts(campus) == [(0, 0), (0, 0), (0, 0)]


def test_late_money_holds_the_parts_again(campus: Campus) -> None:
    late = campus.open("m1", "afternoon")
    other = campus.open("m2", "milk-tea")
    campus.pass_time(minutes=4)
    campus.join(other.group_id, "m3", "milk-tea")
    campus.pass_time(minutes=2)
    assert counts(campus)[2] == (0, 0)

    campus.pay(late.order_id)

    assert campus.state(late.order_id) == "paid"
    assert counts(campus)[2] == (2, 0)


def test_a_split_sells_the_parts_and_a_reject_frees_them(campus: Campus) -> None:
    first = campus.open("m1", "afternoon", "beef")
    campus.pay(first.order_id)
    for member in ("m2", "m3"):
        campus.pay(campus.join(first.group_id, member).order_id)
    assert counts(campus) == [(0, 1), (0, 1), (0, 2)]

    campus.advance(f"{first.order_id}.1", SubStep.REJECT)

    assert counts(campus) == [(0, 0), (0, 0), (0, 0)]
    assert campus.held_and_sold("beef") == (0, 3)


def test_what_a_set_is_made_of_is_known_after_a_crash(campus: Campus) -> None:
    first = campus.open("m1", "afternoon")
    campus.kill()
    campus.evict()

    campus.leave(first.group_id, "m1")

    assert counts(campus) == [(0, 0), (0, 0), (0, 0)]


def test_a_dish_that_is_no_set_is_kept_as_before(campus: Campus) -> None:
    first = campus.open("m1")

    ((quote, cart),) = campus.rows("SELECT quote, cart FROM orders WHERE id = :id", {"id": first.order_id})
    assert "parts" not in quote
    assert "parts" not in cart
