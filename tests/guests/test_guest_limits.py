"""B1, B7: a guest's orders count against a campaign's limit at home, for as long as something comes of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.guests.city import AWAY, City, check_invariants, check_one_outcome, say_again
from tests.heart import OPERATOR
from tuanzi.base.ids import OrderId
from tuanzi.groups import UserLimitReached
from tuanzi.guests import ForgetGuest, forgetting_of
from tuanzi.machinery.post import Letter
from tuanzi.orders import RefundOrder


def closed_with_guest(city: City) -> str:
    """The order of `g1` in a group of `once`, which lets nobody order twice; closed and split on both campuses."""
    group_id = city.home.group("m1", "m2", campaign="once")[0].group_id
    seated = city.join(group_id, "g1")
    city.away.pay(seated.order_id)
    city.settle()
    assert city.away.state(seated.order_id) == "split"
    assert city.home.uses("once", "g1") == 1
    return str(seated.order_id)


def refund(city: City, order_id: str, *, amount_fen: int | None = None) -> None:
    """An operator gives a guest his money back; all that is left of it when no amount is named."""
    city.away.do(RefundOrder(order_id=OrderId(order_id), amount_fen=amount_fen, reason="goodwill", by=OPERATOR))


def forgotten(city: City) -> list[Letter]:
    """What home was told of guests whose orders came to nothing."""
    return [letter for letter in city.away.post.sent if isinstance(letter.command, ForgetGuest)]


def test_a_guest_refunded_after_the_split_may_order_again() -> None:
    city = City()
    order_id = closed_with_guest(city)
    other = city.home.open("m3", campaign="once").group_id
    with pytest.raises(UserLimitReached):
        city.join(other, "g1")

    refund(city, order_id)
    city.settle()

    assert city.home.uses("once", "g1") == 0
    assert [city.home.uses("once", member) for member in ("m1", "m2", "m3")] == [1, 1, 1]
    city.join(other, "g1")
    assert city.home.uses("once", "g1") == 1
    check_one_outcome(city)


def test_a_part_of_the_price_given_back_leaves_a_guest_counted() -> None:
    city = City()
    order_id = closed_with_guest(city)

    refund(city, order_id, amount_fen=100)
    city.settle()

    assert city.home.uses("once", "g1") == 1
    assert forgotten(city) == []


def test_home_is_told_until_it_has_heard_and_counts_back_once() -> None:
    city = City()
    order_id = closed_with_guest(city)
    fates = iter(("lost", "unanswered", "twice"))
    city.between(lambda letter: next(fates) if isinstance(letter.command, ForgetGuest) else None)
    refund(city, order_id)
    city.settle()
    assert city.home.uses("once", "g1") == 1

    city.pass_time(minutes=1)
    other = city.home.open("m3", campaign="once").group_id
    city.between(lambda letter: None)
    city.join(other, "g1")
    say_again(city, [(city.away, letter) for letter in forgotten(city)])

    assert len(forgotten(city)) == 3
    assert city.home.uses("once", "g1") == 1
    check_one_outcome(city)


def test_home_hears_of_a_refund_that_was_made_while_it_was_away() -> None:
    city = City()
    order_id = closed_with_guest(city)
    city.home.is_away = True
    refund(city, order_id)
    city.settle()
    city.away.kill()

    city.home.is_away = False
    city.pass_time(minutes=2)

    assert city.home.uses("once", "g1") == 0
    check_one_outcome(city)


def split_fails(side: Any, city: City) -> None:
    """A campus's own split is cancelled after its delivery could not be reached."""
    side.post.spoil = lambda letter: "lost" if letter.address == "delivery" else None
    order_id = city.join(city.home.group("m1", "m2", campaign="once")[0].group_id, "g1").order_id
    city.away.pay(order_id)
    city.settle()
    city.pass_time(minutes=1)
    side.post.spoil = lambda letter: None
    city.pass_time(minutes=1)


def test_a_guest_whose_own_campus_could_not_split_is_counted_back_and_nobody_else() -> None:
    city = City()

    split_fails(city.away, city)

    assert [city.home.uses("once", member) for member in ("g1", "m1", "m2")] == [0, 1, 1]
    check_invariants(city, at_rest=True)


def test_a_guest_keeps_his_meal_and_stays_counted_when_home_alone_could_not_split() -> None:
    city = City()

    split_fails(city.home, city)

    assert [city.home.uses("once", member) for member in ("g1", "m1", "m2")] == [1, 0, 0]
    (seat,) = city.guest_seats()
    refund(city, seat.order_id)
    city.settle()
    assert [city.home.uses("once", member) for member in ("g1", "m1", "m2")] == [0, 0, 0]
    check_invariants(city, at_rest=True)


def test_a_group_that_failed_gives_guests_back_by_itself_and_once() -> None:
    city = City()
    group_id = city.home.group("m1", campaign="once")[0].group_id
    city.away.pay(city.join(group_id, "g1").order_id)
    city.settle()

    city.pass_time(hours=1)

    assert city.home.the_group(group_id).state == "failed"
    assert city.home.uses("once", "g1") == 0
    assert forgotten(city) == []
    check_one_outcome(city)


def test_another_campuss_word_about_a_seat_counts_nobody_back() -> None:
    city = City()
    order_id = closed_with_guest(city)
    seat = city.seat(order_id)
    own = next(one for one in city.home.the_group(seat.group_id).seats if one.campus_id is None)

    for told in (own.order_id, OrderId("o_nobody")):
        word = ForgetGuest(branch=forgetting_of(told, AWAY), group_id=seat.group_id, order_id=told, campus_id=AWAY)
        with city.home.nothing_changes():
            answer = city.away.carry(Letter(address="beijing.core", command=word))
        assert not answer.is_forgotten
