"""Ready food that no rider fetches is late, told once, and another is sent for it when a person says so (B9, B10)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.delivery.depot import Depot, drop_off
from tests.heart import run
from tests.live.test_tells import told
from tuanzi.base.ids import PersonId
from tuanzi.base.problem import Unknown
from tuanzi.delivery.model import ParcelAnswer, ParcelState, SendAnother
from tuanzi.events import BundleReleased, ParcelUnfetched, RiderWentOff

WARDEN = PersonId("warden")


@pytest.fixture
def depot() -> Depot:
    return Depot()


def watches(depot: Depot) -> list[str]:
    return [timer for (timer,) in depot.database.rows("SELECT id FROM timers WHERE id LIKE 'fetch:%' ORDER BY id")]


def late(depot: Depot) -> list[str]:
    return [event.parcel_id for event in depot.told(ParcelUnfetched)]


def test_food_that_nobody_is_there_to_fetch_is_late_a_quarter_of_an_hour_after_it_is_ready(depot: Depot) -> None:
    depot.confirmed("t", drop_off("o1.1"), drop_off("o2.1"))
    depot.advanced("o1.1", "accepted", "cooking", "ready")
    depot.pass_time(minutes=20)
    depot.advanced("o2.1", "accepted", "cooking", "ready")

    depot.pass_time(minutes=15, seconds=-1)
    assert late(depot) == []
    depot.pass_time(hours=3)

    assert depot.told(ParcelUnfetched) == [
        ParcelUnfetched(
            parcel_id="t.d1",
            group_id="g-t",
            merchant_id="canteen",
            building_id="dorm-1",
            sub_order_ids=("o1.1", "o2.1"),
            bundle_id=None,
        )
    ]
    assert watches(depot) == []


def test_food_whose_rider_does_not_come_is_late_once_though_another_is_sent(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"))
    depot.pass_time(minutes=1)
    depot.on_shift("r2")

    depot.pass_time(minutes=90)

    (event,) = depot.told(ParcelUnfetched)
    assert event.bundle_id == "r1.b1"
    assert [rider for rider, _ in depot.assigned()] == ["r1", "r2"]


def test_food_that_is_fetched_in_time_is_not_late_and_leaves_no_timer(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"))
    depot.pass_time(minutes=1)
    assert watches(depot) == ["fetch:t.d1"]

    depot.pick_up("r1")

    assert watches(depot) == []
    depot.pass_time(hours=1)
    assert late(depot) == []


@pytest.mark.parametrize("state", ["withdrawn", "picked_up"])
def test_food_that_nobody_wants_or_that_goes_by_hand_is_not_late(depot: Depot, state: str) -> None:
    depot.made("t", drop_off("o1.1"))

    depot.advanced("o1.1", state)

    assert watches(depot) == []
    depot.pass_time(hours=1)
    assert late(depot) == []


def test_food_is_ready_when_what_was_missing_is_not_wanted_any_more(depot: Depot) -> None:
    depot.confirmed("t", drop_off("o1.1"), drop_off("o2.1"))
    depot.advanced("o1.1", "accepted", "cooking", "ready")
    depot.pass_time(minutes=10)
    depot.cancelled("o2")

    depot.pass_time(minutes=15)

    assert [event.sub_order_ids for event in depot.told(ParcelUnfetched)] == [("o1.1",)]


def test_a_watch_outlives_the_process(depot: Depot) -> None:
    depot.made("t", drop_off("o1.1"))
    depot.kill()

    depot.pass_time(minutes=15)

    assert late(depot) == ["t.d1"]


def test_a_person_need_not_wait_for_a_rider_who_does_not_come(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"))
    depot.pass_time(minutes=1)
    depot.on_shift("r2")

    answer = depot.do(SendAnother(parcel_id="t.d1", by=WARDEN))

    assert answer == ParcelAnswer(parcel_id="t.d1", state=ParcelState.WAITING, riders=1)
    assert [(event.bundle_id, event.reason) for event in depot.told(BundleReleased)] == [("r1.b1", "nobody_came")]
    assert [event.rider_id for event in depot.told(RiderWentOff)] == ["r1"]
    depot.pass_time(minutes=1)
    assert depot.assigned() == [("r1", ("t.d1",)), ("r2", ("t.d1",))]
    assert late(depot) == []


def test_to_send_another_for_what_was_fetched_or_waits_already_changes_nothing(depot: Depot) -> None:
    depot.made("t", drop_off("o1.1"))
    with depot.nothing_changes():
        assert depot.do(SendAnother(parcel_id="t.d1", by=WARDEN)).state is ParcelState.WAITING
    depot.on_shift("r1")
    depot.pass_time(minutes=1)
    depot.pick_up("r1")

    with depot.nothing_changes():
        assert depot.do(SendAnother(parcel_id="t.d1", by=WARDEN)).state is ParcelState.PICKED_UP
    with pytest.raises(Unknown):
        depot.do(SendAnother(parcel_id="t.d9", by=WARDEN))


def test_who_waits_for_food_that_is_not_made_stays_on_shift_when_he_is_sent_away(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.confirmed("t", drop_off("o1.1", ready_at=depot.now + timedelta(minutes=2)))
    depot.advanced("o1.1", "accepted", "cooking")
    depot.pass_time(minutes=2)
    assert depot.assigned() == [("r1", ("t.d1",))]

    depot.do(SendAnother(parcel_id="t.d1", by=WARDEN))

    assert [event.reason for event in depot.told(BundleReleased)] == ["not_ready"]
    assert depot.told(RiderWentOff) == []


def test_the_shops_board_and_the_operators_count_are_told_once(depot: Depot) -> None:
    depot.made("t", drop_off("o1.1"))
    depot.pass_time(hours=1)

    messages = [(to, said) for to, said in run(told(depot.events)) if said["kind"] == "board.unfetched"]

    ((to, said),) = messages
    assert (to, said["parcel_id"], said["group_id"], said["sub_order_ids"]) == (
        "board:canteen",
        "t.d1",
        "g-t",
        ["o1.1"],
    )
