"""Riders: shifts, bundles, hand-overs, and what is planned anew when something changes (B9, B10)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.delivery.depot import NOON, SPOTS, Depot, drop_off
from tuanzi.base.ids import PersonId
from tuanzi.base.problem import Unknown
from tuanzi.delivery import (
    BundleState,
    DeliverParcel,
    GoOffShift,
    GoOnShift,
    NotPickedUp,
    NotReady,
    PickUpBundle,
    RidersEnough,
    ShiftTooLong,
    StillCarrying,
)
from tuanzi.delivery.model import NOWHERE, PLANNED_MAX, DropOffState, ParcelState
from tuanzi.events import (
    BundleDelivered,
    BundlePickedUp,
    BundleReleased,
    ParcelDelivered,
    ParcelDropped,
    PromiseMoved,
    RiderCameOn,
    RiderWentOff,
)
from tuanzi.people import ForgetPerson


@pytest.fixture
def depot() -> Depot:
    return Depot()


def test_ready_food_is_given_to_a_rider_who_brings_it(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"), drop_off("o2.1"), drop_off("o3.1", building="dorm-2"))
    depot.pass_time(minutes=1)

    assert depot.assigned() == [("r1", ("t.d1", "t.d2"))]
    depot.pick_up("r1")
    assert [one.state for one in depot.drop_offs()] == [DropOffState.PICKED_UP] * 3
    depot.deliver("r1")

    assert [parcel.state for parcel in depot.parcels()] == [ParcelState.DELIVERED] * 2
    assert [one.state for one in depot.drop_offs()] == [DropOffState.DELIVERED] * 3
    assert [event.sub_order_ids for event in depot.told(BundlePickedUp)] == [("o1.1", "o2.1", "o3.1")]
    assert [(e.building_id, e.sub_order_ids) for e in depot.told(ParcelDelivered)] == [
        ("dorm-1", ("o1.1", "o2.1")),
        ("dorm-2", ("o3.1",)),
    ]
    assert [event.bundle_id for event in depot.told(BundleDelivered)] == ["r1.b1"]
    rider = depot.rider("r1")
    assert (rider.bundle_id, rider.spot, rider.free_at) == (None, SPOTS["dorm-2"], depot.now + timedelta(minutes=1))


def test_a_hand_over_said_again_changes_nothing(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"))
    depot.pass_time(minutes=1)
    picked, brought = (
        PickUpBundle(bundle_id="r1.b1", rider_id="r1"),
        DeliverParcel(parcel_id="t.d1", rider_id="r1"),
    )
    depot.do(picked)
    with depot.nothing_changes():
        assert depot.do(picked).state is BundleState.PICKED_UP
    depot.do(brought)

    with depot.nothing_changes():
        assert depot.do(brought).state is BundleState.DELIVERED
        assert depot.do(picked).state is BundleState.DELIVERED


def test_another_rider_s_bundle_is_nobody_else_s_to_touch(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"))
    depot.pass_time(minutes=1)
    depot.on_shift("r2")

    with depot.refused(Unknown):
        depot.do(PickUpBundle(bundle_id="r1.b1", rider_id="r2"))
    with depot.refused(Unknown):
        depot.do(PickUpBundle(bundle_id="r2.b1", rider_id="r2"))
    with depot.refused(Unknown):
        depot.do(DeliverParcel(parcel_id="t.d9", rider_id="r2"))
    depot.pick_up("r1")
    with depot.refused(Unknown):
        depot.do(DeliverParcel(parcel_id="t.d1", rider_id="r2"))


def test_nothing_is_picked_up_before_it_is_ready_nor_brought_before_it_is_picked_up(depot: Depot) -> None:
    depot.on_shift("r1", at="library")
    depot.confirmed("t", drop_off("o1.1", ready_at=NOON + timedelta(seconds=90)))
    depot.advanced("o1.1", "accepted", "cooking")
    depot.pass_time(minutes=1)
    assert depot.assigned() == [("r1", ("t.d1",))]

    with depot.refused(NotReady):
        depot.pick_up("r1")
    with depot.refused(NotPickedUp):
        depot.deliver("r1")
    depot.advanced("o1.1", "ready")

    assert depot.pick_up("r1").state is BundleState.PICKED_UP


def test_nobody_is_sent_for_food_that_is_not_being_made(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.confirmed("t", drop_off("o1.1"), drop_off("o2.1"))
    depot.advanced("o1.1", "accepted", "cooking", "ready")

    depot.pass_time(hours=1)

    assert depot.assigned() == []
    depot.advanced("o2.1", "accepted", "cooking", "ready")
    depot.pass_time(minutes=1)
    assert depot.assigned() == [("r1", ("t.d1",))]


def test_a_rider_is_sent_so_that_he_is_there_when_food_is_expected_to_be_ready(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.confirmed("t", drop_off("o1.1"))
    depot.advanced("o1.1", "accepted", "cooking")  # takes ten minutes

    depot.pass_time(minutes=8)
    assert depot.assigned() == []
    depot.pass_time(minutes=1)

    assert depot.assigned() == [("r1", ("t.d1",))]


def test_parcels_of_several_groups_for_neighbours_go_together_when_riders_are_short(depot: Depot) -> None:
    for i in range(4):
        depot.made(f"t{i}", drop_off(f"o{i}.1", building=("dorm-1", "dorm-2")[i % 2]))
    depot.on_shift("r1")

    depot.pass_time(minutes=1)

    assert depot.assigned() == [("r1", ("t0.d1", "t2.d1", "t1.d1", "t3.d1"))]


def test_a_rejected_or_refunded_drop_off_leaves_its_parcel_and_an_empty_parcel_its_rider(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"), drop_off("o2.1"))
    depot.pass_time(minutes=1)
    depot.cancelled("o1")
    assert depot.parcel("t.d1").sub_order_ids == ("o2.1",)
    assert depot.parcel("t.d1").state is ParcelState.ASSIGNED

    depot.cancelled("o2")

    assert depot.parcel("t.d1").state is ParcelState.DROPPED
    assert depot.bundle("r1.b1").state is BundleState.RELEASED
    assert depot.rider("r1").bundle_id is None
    assert depot.told(BundleReleased)[0].reason == "nothing_left"
    assert [event.parcel_id for event in depot.told(ParcelDropped)] == ["t.d1"]
    with depot.nothing_changes():
        depot.cancelled("o2")
        depot.cancelled("o3")
        depot.advanced("o1.1", "cooking", "ready", "rejected", "delivered")
        depot.advanced("unknown.1", "cooking", "ready", "rejected", "delivered")


def test_what_was_picked_up_is_brought_even_when_it_was_given_back_meanwhile(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"))
    depot.pass_time(minutes=1)
    depot.pick_up("r1")

    depot.cancelled("o1")

    assert depot.parcel("t.d1").sub_order_ids == ("o1.1",)
    depot.deliver("r1")
    assert depot.parcel("t.d1").state is ParcelState.DELIVERED


def test_what_an_operator_hands_over_himself_is_not_brought_by_a_rider(depot: Depot) -> None:
    depot.made("t", drop_off("o1.1"), drop_off("o2.1"))
    depot.advanced("o1.1", "picked_up", "delivered")

    depot.on_shift("r1")
    depot.pass_time(minutes=1)
    depot.pick_up("r1")

    assert [event.sub_order_ids for event in depot.told(BundlePickedUp)] == [("o2.1",)]


def test_what_an_operator_says_is_brought_frees_its_rider(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"), drop_off("o2.1"))
    depot.pass_time(minutes=1)
    depot.pick_up("r1")
    depot.advanced("o1.1", "delivered")
    assert depot.rider("r1").bundle_id == "r1.b1"

    depot.advanced("o2.1", "delivered")

    assert depot.parcel("t.d1").state is ParcelState.DELIVERED
    assert depot.rider("r1").bundle_id is None


def test_the_log_s_echo_of_a_hand_over_changes_nothing(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"))
    depot.pass_time(minutes=1)
    depot.pick_up("r1")
    with depot.nothing_changes():
        depot.advanced("o1.1", "picked_up")
    depot.deliver("r1")

    with depot.nothing_changes():
        depot.advanced("o1.1", "delivered")


def test_a_rider_who_goes_off_leaves_what_he_was_to_fetch_to_another(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"))
    depot.pass_time(minutes=1)
    depot.on_shift("r2", at="library")

    depot.do(GoOffShift(rider_id="r1"))
    depot.pass_time(minutes=1)

    assert depot.assigned() == [("r1", ("t.d1",)), ("r2", ("t.d1",))]
    assert [(e.rider_id, e.reason) for e in depot.told(BundleReleased)] == [("r1", "rider_went_off")]
    with depot.refused(Unknown):
        depot.do(PickUpBundle(bundle_id="r1.b1", rider_id="r1"))
    with depot.nothing_changes():
        depot.do(GoOffShift(rider_id="r1"))
    assert depot.board().riders == ("r2",)


def test_a_rider_who_carries_food_brings_it_first(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"))
    depot.pass_time(minutes=1)
    depot.pick_up("r1")

    with depot.refused(StillCarrying):
        depot.do(GoOffShift(rider_id="r1"))


def test_an_erased_rider_is_off_once_he_carries_nothing_and_where_he_was_is_forgotten(depot: Depot) -> None:
    """J3: while he carries food the answer is not yet, and the platform asks again."""
    forget = ForgetPerson(person_id=PersonId("r1"))
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"))
    depot.pass_time(minutes=1)
    depot.pick_up("r1")
    with depot.refused(StillCarrying):
        depot.do(forget)
    depot.deliver("r1")
    assert depot.rider("r1").spot == SPOTS["dorm-1"]

    depot.do(forget)
    depot.do(forget)

    assert (depot.rider("r1").is_on, depot.rider("r1").spot) == (False, NOWHERE)
    assert [event.rider_id for event in depot.told(RiderWentOff)] == ["r1"]
    depot.do(ForgetPerson(person_id=PersonId("p_no_rider")))


def test_a_rider_whose_time_is_up_is_off_as_soon_as_all_is_handed_over(depot: Depot) -> None:
    depot.on_shift("idle", "r1", hours=0.5)
    depot.pass_time(minutes=20)
    depot.do(GoOffShift(rider_id="idle"))
    depot.made("t", drop_off("o1.1"))
    depot.pass_time(minutes=1)
    depot.pick_up("r1")

    depot.pass_time(minutes=30)
    assert depot.rider("r1").is_on
    depot.deliver("r1")

    assert not depot.rider("r1").is_on
    assert [event.rider_id for event in depot.told(RiderWentOff)] == ["idle", "r1"]


def test_ready_food_that_nobody_came_for_goes_to_another_and_who_did_not_come_is_off(depot: Depot) -> None:
    depot.on_shift("gone")
    depot.made("t", drop_off("o1.1"))
    depot.pass_time(minutes=1)
    depot.on_shift("r2", at="library")

    depot.pass_time(minutes=20)

    assert depot.assigned() == [("gone", ("t.d1",)), ("r2", ("t.d1",))]
    assert not depot.rider("gone").is_on
    assert depot.told(BundleReleased)[0].reason == "nobody_came"


def cooking(depot: Depot, gid: str, *sub_order_ids: str, building: str = "dorm-1") -> None:
    """A split that the kitchen has begun, ready in ten minutes as far as anybody knows."""
    depot.confirmed(gid, *[drop_off(one, building=building) for one in sub_order_ids])
    for one in sub_order_ids:
        depot.advanced(one, "accepted", "cooking")


def test_food_that_is_late_keeps_its_rider_for_ten_minutes(depot: Depot) -> None:
    depot.on_shift("r1")
    cooking(depot, "t", "o1.1")

    depot.pass_time(minutes=19)
    assert depot.rider("r1").bundle_id == "r1.b1"
    depot.pass_time(minutes=1)

    assert depot.assigned() == [("r1", ("t.d1",))]
    assert [(e.rider_id, e.reason) for e in depot.told(BundleReleased)] == [("r1", "not_ready")]
    rider = depot.rider("r1")
    assert (rider.is_on, rider.bundle_id, rider.spot) == (True, None, SPOTS["canteen"])


def test_a_rider_of_late_food_brings_what_is_ready_and_the_late_food_when_it_is(depot: Depot) -> None:
    depot.on_shift("r1")
    cooking(depot, "ghost", "o1.1")
    depot.pass_time(minutes=19)
    depot.made("fresh", drop_off("o2.1", merchant="noodles"))
    depot.pass_time(minutes=2)
    assert depot.assigned() == [("r1", ("ghost.d1",)), ("r1", ("fresh.d1",))]
    depot.pick_up("r1")
    depot.deliver("r1")

    depot.pass_time(hours=1)
    assert len(depot.assigned()) == 2
    depot.advanced("o1.1", "ready")
    depot.pass_time(minutes=1)

    assert depot.assigned()[2:] == [("r1", ("ghost.d1",))]
    depot.pick_up("r1")


def test_a_bundle_of_late_and_ready_food_is_divided_when_its_rider_has_waited(depot: Depot) -> None:
    depot.on_shift("r1")
    cooking(depot, "t", "o1.1")
    cooking(depot, "u", "o2.1", building="dorm-2")
    depot.pass_time(minutes=9)
    (both,) = depot.assigned()
    assert set(both[1]) == {"t.d1", "u.d1"}
    depot.advanced("o2.1", "ready")

    depot.pass_time(minutes=12)

    assert depot.assigned()[1:] == [("r1", ("u.d1",))]
    assert depot.parcel("t.d1").state is ParcelState.WAITING


def test_food_that_comes_just_in_time_is_not_taken_from_its_rider(depot: Depot) -> None:
    depot.on_shift("r1")
    cooking(depot, "t", "o1.1")
    depot.pass_time(minutes=19, seconds=59)
    depot.advanced("o1.1", "ready")

    depot.pass_time(minutes=14)
    assert depot.rider("r1").bundle_id == "r1.b1"
    depot.pass_time(minutes=1)

    assert [e.reason for e in depot.told(BundleReleased)] == ["nobody_came"]


def test_nobody_is_sent_for_food_that_was_to_be_ready_and_is_not(depot: Depot) -> None:
    cooking(depot, "t", "o1.1", "o2.1")
    depot.pass_time(minutes=11)
    depot.on_shift("r1")

    depot.pass_time(hours=3)

    assert depot.assigned() == []
    assert depot.board().parcels == ()
    depot.advanced("o1.1", "ready")
    depot.pass_time(minutes=1)
    assert depot.assigned() == []
    depot.advanced("o2.1", "rejected")
    depot.pass_time(minutes=1)
    assert depot.assigned() == [("r1", ("t.d1",))]


def test_late_food_is_promised_later_once_and_its_promise_is_not_brought_forward(depot: Depot) -> None:
    cooking(depot, "t", "o1.1")
    depot.pass_time(minutes=40)
    depot.on_shift("r1")

    depot.pass_time(hours=1)

    (moved,) = depot.told(PromiseMoved)
    assert moved.parcel.arrives_at == NOON + timedelta(minutes=55, seconds=10)


def test_what_was_never_made_keeps_no_place_on_the_board(depot: Depot) -> None:
    """Only so many parcels are planned at once: the forgotten ones were before all that is fresh."""
    for i in range(PLANNED_MAX):
        cooking(depot, f"t{i}", f"o{i}.1")
    depot.pass_time(hours=2)
    depot.made("fresh", drop_off("fresh.1"))
    depot.on_shift("r1")

    depot.pass_time(minutes=2)

    assert depot.assigned() == [("r1", ("fresh.d1",))]
    assert depot.board().parcels == ()


def test_a_rider_says_again_where_he_is_and_until_when(depot: Depot) -> None:
    depot.on_shift("r1")
    with depot.nothing_changes():
        depot.on_shift("r1")

    depot.on_shift("r1", at="library", hours=6)

    assert depot.rider("r1").spot == SPOTS["library"]
    assert depot.rider("r1").until == depot.now + timedelta(hours=6)
    assert len(depot.told(RiderCameOn)) == 1
    assert depot.board().riders == ("r1",)


@pytest.mark.parametrize("hours", [-1.0, 0.0, 16.1])
def test_a_shift_ends_later_and_not_too_late(depot: Depot, hours: float) -> None:
    with depot.refused(ShiftTooLong):
        depot.on_shift("r1", hours=hours)


def test_there_are_no_more_riders_than_can_be_planned_with(depot: Depot) -> None:
    until = depot.now + timedelta(hours=1)
    depot.do(*[GoOnShift(rider_id=f"r{i}", spot=SPOTS["canteen"], until=until) for i in range(1_000)])

    with depot.refused(RidersEnough):
        depot.on_shift("one-more")


def test_a_promise_moves_when_a_plan_says_so_and_stays_while_it_is_kept(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"))

    depot.pass_time(minutes=1)

    (moved,) = depot.told(PromiseMoved)
    assert moved.parcel.sub_order_ids == ("o1.1",)
    assert timedelta() < moved.parcel.arrives_at - depot.now < timedelta(minutes=8)
    assert depot.parcel("t.d1").arrives_at == moved.parcel.arrives_at
