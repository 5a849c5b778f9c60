"""Delivery's part of a split: promised, made live or given up, once, whatever order the messages come in (B2, B3)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.delivery.depot import LUNCH, Depot, branch, cancel, confirm, drop_off
from tuanzi.base.branch import BranchDiffers, BranchRefused, FenceState, Suspended
from tuanzi.delivery import ExpectRiders, NotPromised, TryDelivery
from tuanzi.delivery.model import DropOffState, ParcelState
from tuanzi.events import PromiseMade
from tuanzi.machinery.fence import CancelRefused, EmptyConfirm, StaleCoordinator


@pytest.fixture
def depot() -> Depot:
    return Depot()


GROUP = (
    drop_off("o1.1"),
    drop_off("o2.1", portions=3),
    drop_off("o2.2", merchant="noodles"),
    drop_off("o3.1", building="dorm-2"),
)


def test_a_split_is_promised_as_parcels_by_merchant_and_building(depot: Depot) -> None:
    depot.tried("t", *GROUP)

    assert [(p.id, p.merchant_id, p.building_id, p.sub_order_ids, p.portions) for p in depot.parcels()] == [
        ("t.d1", "canteen", "dorm-1", ("o1.1", "o2.1"), 4),
        ("t.d2", "noodles", "dorm-1", ("o2.2",), 1),
        ("t.d3", "canteen", "dorm-2", ("o3.1",), 1),
    ]
    assert {parcel.state for parcel in depot.parcels()} == {ParcelState.PROMISED}
    assert depot.portions() == {LUNCH: 6}
    assert depot.told(PromiseMade) == []


def test_a_parcel_holds_what_a_box_holds_and_a_larger_sub_order_goes_alone(depot: Depot) -> None:
    depot.tried("t", drop_off("o1.1", portions=15), drop_off("o2.1", portions=10), drop_off("o3.1", portions=50))

    assert [parcel.portions for parcel in depot.parcels()] == [15, 10, 50]


def test_confirm_makes_it_live_and_says_when_it_comes(depot: Depot) -> None:
    depot.tried("t", *GROUP)

    answer = depot.do(confirm("t"))

    assert answer.state is FenceState.CONFIRMED
    assert {parcel.state for parcel in depot.parcels()} == {ParcelState.WAITING}
    (promise,) = depot.told(PromiseMade)
    assert [parcel.sub_order_ids for parcel in promise.parcels] == [("o1.1", "o2.1"), ("o2.2",), ("o3.1",)]
    assert {(parcel.arrives_at - depot.now).total_seconds() for parcel in promise.parcels} == {40 * 60}


def test_cancel_gives_all_of_it_up(depot: Depot) -> None:
    depot.tried("t", *GROUP)

    depot.do(cancel("t"))

    assert {parcel.state for parcel in depot.parcels()} == {ParcelState.DROPPED}
    assert depot.portions() == {LUNCH: 0}
    assert depot.events == []


def test_a_repeat_changes_nothing(depot: Depot) -> None:
    tried = depot.tried("t", *GROUP)
    with depot.nothing_changes():
        depot.do(tried)
        depot.do(tried, tried)
    depot.do(confirm("t"))

    with depot.nothing_changes():
        depot.do(confirm("t"), confirm("t"))
        depot.do(tried)

    other = depot.tried("u", *[replace(one, sub_order_id=f"x{one.sub_order_id}") for one in GROUP])
    depot.do(cancel("u"))
    with depot.nothing_changes():
        depot.do(cancel("u"), cancel("u"))
    with depot.refused(Suspended):
        depot.do(other)


def test_a_cancel_before_the_try_keeps_it_from_ever_beginning(depot: Depot) -> None:
    depot.do(cancel("t"))

    with depot.refused(Suspended):
        depot.tried("t", *GROUP)


def test_what_was_never_tried_or_is_given_up_is_not_confirmed(depot: Depot) -> None:
    with depot.refused(EmptyConfirm):
        depot.do(confirm("t"))
    depot.tried("t", *GROUP)
    depot.do(cancel("t"))

    with depot.refused(EmptyConfirm):
        depot.do(confirm("t"))


def test_what_is_live_is_not_given_up_by_the_split_any_more(depot: Depot) -> None:
    depot.confirmed("t", *GROUP)

    with depot.refused(CancelRefused):
        depot.do(cancel("t"))


def test_the_same_transaction_with_other_food_is_refused(depot: Depot) -> None:
    depot.tried("t", *GROUP)

    with depot.refused(BranchDiffers):
        depot.tried("t", *GROUP[:2])


def test_a_coordinator_who_was_taken_over_is_not_heard_and_the_next_one_goes_on(depot: Depot) -> None:
    tried = depot.tried("t", *GROUP)
    depot.do(replace(tried, branch=branch("t", epoch=2)))

    with depot.refused(StaleCoordinator):
        depot.do(confirm("t", epoch=1))

    assert depot.do(confirm("t", epoch=2)).state is FenceState.CONFIRMED


def test_no_more_is_promised_than_the_riders_of_a_meal_can_carry(depot: Depot) -> None:
    depot.do(ExpectRiders(riders=1, by="operator"))  # ten rounds of a box of 20
    depot.tried("a", *[drop_off(f"a{i}.1", portions=20) for i in range(9)])

    with depot.refused(NotPromised):
        depot.tried("b", drop_off("b1.1", portions=21))
    depot.tried("c", drop_off("c1.1", portions=20))
    depot.do(cancel("c"))

    depot.tried("d", drop_off("d1.1", portions=20))
    depot.tried("e", drop_off("e1.1", portions=100, meal="2026-11-23.dinner"))
    assert depot.portions() == {LUNCH: 200, "2026-11-23.dinner": 100}


def test_a_refusal_is_one_that_cancels_the_split() -> None:
    assert issubclass(NotPromised, BranchRefused)


def test_riders_on_shift_count_when_more_came_than_were_expected(depot: Depot) -> None:
    depot.do(ExpectRiders(riders=0, by="operator"))
    with depot.refused(NotPromised):
        depot.tried("a", drop_off("a1.1"))

    depot.on_shift("r1")

    depot.tried("a", drop_off("a1.1"))


def test_a_kill_between_any_two_messages_changes_nothing(depot: Depot) -> None:
    unbroken = Depot()
    tried = TryDelivery(branch=branch("t"), group_id="g", drop_offs=GROUP, split_at=depot.now)
    for command in (tried, confirm("t")):
        depot.do(command)
        depot.kill()
        unbroken.do(command)

    assert depot.everything() == unbroken.everything()


def test_what_the_kitchen_says_between_try_and_confirm_is_not_lost(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.tried("t", drop_off("o1.1"), drop_off("o2.1"))
    depot.advanced("o1.1", "accepted", "cooking", "ready")
    depot.advanced("o2.1", "rejected")
    depot.pass_time(minutes=1)
    assert depot.assigned() == []

    depot.do(confirm("t"))
    depot.pass_time(minutes=1)

    assert depot.assigned() == [("r1", ("t.d1",))]
    assert depot.parcel("t.d1").sub_order_ids == ("o1.1",)
    assert [one.state for one in depot.drop_offs()] == [DropOffState.READY, DropOffState.DROPPED]
    assert depot.portions() == {LUNCH: 1}
