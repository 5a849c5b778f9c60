"""Plans are made outside of every batch: what they assumed is checked again, whatever happened meanwhile (B10)."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from random import Random

import pytest
from msgspec.structs import replace

from tests.delivery.depot import Depot, cancel, confirm, drop_off
from tuanzi.base.problem import Problem
from tuanzi.delivery import DeliverParcel, GoOffShift, PickUpBundle, TakePlan
from tuanzi.delivery.model import BundleState, DropOffState, ParcelState, Replan


@pytest.fixture
def depot() -> Depot:
    return Depot()


def planned(depot: Depot) -> TakePlan:
    """A plan that is made and not home yet."""
    depot.now = depot.timers.next_at or depot.now
    depot.fire()  # the snapshot
    (plan,) = depot.fire(home=False)
    assert isinstance(plan, TakePlan)
    assert plan.assignments
    return plan


def test_news_are_planned_with_at_once_and_a_stream_of_news_puts_no_plan_off(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t0", drop_off("o0.1"))
    due = depot.timers.next_at
    assert due is not None

    for i in range(1, 5):
        depot.now += (due - depot.now) / 2
        depot.made(f"t{i}", drop_off(f"o{i}.1"))

    assert depot.timers.next_at == due


def test_a_plan_for_a_rider_who_went_off_meanwhile_is_not_taken_over(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"))
    plan = planned(depot)
    depot.do(GoOffShift(rider_id="r1"))

    depot.do(plan)

    assert depot.assigned() == []
    assert depot.parcel("t.d1").state is ParcelState.WAITING
    assert depot.board().parcels == ("t.d1",)


def test_a_plan_for_food_that_was_given_back_meanwhile_is_not_taken_over(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"))
    plan = planned(depot)
    depot.cancelled("o1")

    depot.do(plan)

    assert depot.assigned() == []
    assert depot.rider("r1").bundle_id is None


def test_a_plan_for_a_rider_who_was_given_something_meanwhile_is_not_taken_over(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"))
    plan = planned(depot)
    depot.made("u", drop_off("o2.1", merchant="noodles"))
    depot.do(plan)

    depot.do(TakePlan(assignments=(replace(plan.assignments[0], parcel_ids=("u.d1",)),)))

    assert depot.assigned() == [("r1", ("t.d1",))]
    assert depot.parcel("u.d1").state is ParcelState.WAITING


def test_a_plan_taken_over_twice_gives_one_bundle(depot: Depot) -> None:
    depot.on_shift("r1", "r2")
    depot.made("t", drop_off("o1.1"))
    plan = planned(depot)
    depot.do(plan)

    depot.do(plan, plan)

    assert len(depot.assigned()) == 1


def test_what_a_plan_left_out_is_planned_again(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"), drop_off("o2.1", merchant="noodles"))
    depot.pass_time(minutes=1)
    assert len(depot.assigned()) == 1
    depot.pick_up("r1")
    depot.deliver("r1")

    depot.pass_time(minutes=5)

    assert len(depot.assigned()) == 2


def test_while_everybodys_time_is_up_nothing_is_planned_and_whoever_comes_is_planned_with(depot: Depot) -> None:
    depot.on_shift("r1", hours=1)
    depot.made("t", drop_off("o1.1"))
    depot.pass_time(minutes=1)
    depot.pick_up("r1")
    depot.made("u", drop_off("o2.1", merchant="noodles"))
    depot.pass_time(hours=2)  # r1 still has what he took

    with depot.nothing_changes():
        depot.pass_time(hours=8)
    depot.on_shift("r2")
    depot.pass_time(minutes=1)

    assert depot.assigned() == [("r1", ("t.d1",)), ("r2", ("u.d1",))]


def test_a_kill_while_a_plan_is_made_only_makes_it_again(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"))
    planned(depot)

    depot.kill()
    depot.pass_time(minutes=1)

    assert depot.assigned() == [("r1", ("t.d1",))]


def test_only_one_plan_is_made_at_a_time_and_one_that_never_came_home_is_made_anew(depot: Depot) -> None:
    depot.on_shift("r1")
    depot.made("t", drop_off("o1.1"))
    planned(depot)
    depot.do(Replan())
    assert depot.fire(home=False) == []

    depot.pass_time(minutes=2)

    assert depot.assigned() == [("r1", ("t.d1",))]


@pytest.mark.parametrize("seed", range(24))
def test_whatever_happens_each_drop_off_is_in_one_live_parcel_and_each_parcel_in_one_bundle(seed: int) -> None:
    depot, chance = Depot(), Random(seed)
    pending: list[TakePlan] = []
    for step in range(120):
        act(depot, chance, step, pending)
        check(depot)
    for plan in pending:
        depot.do(plan)
    end(depot, chance)
    check(depot)

    parcels = depot.parcels()
    assert {parcel.state for parcel in parcels} <= {ParcelState.DELIVERED, ParcelState.DROPPED}
    assert depot.board().parcels == ()
    assert {bundle.state for bundle in depot.bundles()} <= {BundleState.DELIVERED, BundleState.RELEASED}
    assert all(rider.bundle_id is None for rider in depot.riders())


def act(depot: Depot, chance: Random, step: int, pending: list[TakePlan]) -> None:
    """Anything that may happen, at any time; refusals are part of it."""
    rider = f"r{chance.randrange(4)}"
    drop_offs = depot.drop_offs()
    one = chance.choice(drop_offs).sub_order_id if drop_offs else "o.1"
    match chance.randrange(13):
        case 0 | 1:
            own = [
                drop_off(
                    f"o{step}-{i}.1",
                    merchant=chance.choice(("canteen", "noodles")),
                    building=chance.choice(("dorm-1", "dorm-2", "library")),
                    portions=chance.randrange(1, 12),
                )
                for i in range(chance.randrange(1, 5))
            ]
            depot.tried(f"t{step}", *own)
            if chance.random() < 0.8:
                depot.do(confirm(f"t{step}"))
            elif chance.random() < 0.5:
                depot.do(cancel(f"t{step}"))
        case 2 | 3 | 4:
            depot.advanced(one, *["accepted", "cooking", "ready"][: chance.randrange(1, 4)])
        case 5:
            depot.advanced(one, "rejected")
        case 6:
            depot.cancelled(one.rpartition(".")[0])
        case 7:
            depot.on_shift(rider, at=chance.choice(("canteen", "library")), portions=chance.choice((10, 20)))
        case 8:
            refusable(depot, GoOffShift(rider_id=rider))
        case 9:
            pick_up_and_bring(depot, rider)
        case 10:
            depot.kill()
        case 11 if pending:
            depot.do(pending.pop(chance.randrange(len(pending))))
        case _:
            if chance.random() < 0.3:
                depot.now = max(depot.now, depot.timers.next_at or depot.now)
                pending += depot.fire(home=False)
            else:
                depot.pass_time(seconds=chance.choice((1, 20, 300)))


def pick_up_and_bring(depot: Depot, rider_id: str) -> None:
    for rider in depot.riders():
        if rider.id == rider_id and rider.bundle_id is not None:
            refusable(depot, PickUpBundle(bundle_id=rider.bundle_id, rider_id=rider_id))
            for parcel_id in depot.bundle(rider.bundle_id).parcel_ids:
                refusable(depot, DeliverParcel(parcel_id=parcel_id, rider_id=rider_id))


def refusable(depot: Depot, command: object) -> None:
    with suppress(Problem):
        depot.do(command)


def end(depot: Depot, chance: Random) -> None:
    """Splits are decided, kitchens finish, and riders bring all there is."""
    for gid in sorted({parcel.gid for parcel in depot.parcels() if parcel.state is ParcelState.PROMISED}):
        depot.do(confirm(gid))
    for one in depot.drop_offs():
        depot.advanced(one.sub_order_id, "cooking", "ready")
    for _ in range(60):
        depot.on_shift("r0", "r1", hours=8)
        depot.pass_time(minutes=3)
        for rider in depot.riders():
            pick_up_and_bring(depot, rider.id)


def check(depot: Depot) -> None:
    """I11, and what else must hold after every commit."""
    parcels = {parcel.id: parcel for parcel in depot.parcels()}
    drop_offs = {str(one.sub_order_id): one for one in depot.drop_offs()}
    live = Counter(
        sub_order_id
        for parcel in parcels.values()
        if parcel.state is not ParcelState.DROPPED
        for sub_order_id in parcel.sub_order_ids
    )
    for one in drop_offs.values():
        is_in = one.state is not DropOffState.DROPPED and parcels[one.parcel_id].state is not ParcelState.DROPPED
        assert live[one.sub_order_id] == is_in, one
        assert not is_in or one.sub_order_id in parcels[one.parcel_id].sub_order_ids
    bundles = {bundle.id: bundle for bundle in depot.bundles() if bundle.state is not BundleState.RELEASED}
    carried = Counter(parcel_id for bundle in bundles.values() for parcel_id in bundle.parcel_ids)
    promised: Counter[str] = Counter()
    for parcel in parcels.values():
        own = [drop_offs[sub_order_id] for sub_order_id in parcel.sub_order_ids]
        assert carried[parcel.id] == (parcel.bundle_id is not None), parcel
        assert parcel.bundle_id is None or parcel.id in bundles[parcel.bundle_id].parcel_ids
        if parcel.state is not ParcelState.DROPPED:
            promised[parcel.meal_id] += parcel.portions
            assert parcel.portions == sum(one.portions for one in own)
            assert parcel.unready == sum(one.state in (DropOffState.PLANNED, DropOffState.COOKING) for one in own)
            assert parcel.unbegun == sum(one.state is DropOffState.PLANNED for one in own)
    assert {meal: count for meal, count in depot.portions().items() if count} == {
        meal: count for meal, count in promised.items() if count
    }
    riders = {rider.id: rider for rider in depot.riders()}
    if riders or parcels:
        rows = depot.database.rows("SELECT id FROM boards")
        board = depot.board() if rows else None
        assert sorted(board.riders if board else ()) == sorted(one.id for one in riders.values() if one.is_on)
        on_board = set(board.parcels if board else ())
        assert board is None or len(on_board) == len(board.parcels)
        planned_with = {parcel.id: parcel for parcel in parcels.values() if parcel.is_planned_with}
        assert on_board <= planned_with.keys()
        assert all(planned_with[one].is_overdue(now=depot.now) for one in planned_with.keys() - on_board)
    for rider in riders.values():
        mine = [one for one in bundles.values() if one.rider_id == rider.id and one.state is not BundleState.DELIVERED]
        assert [one.id for one in mine] == ([] if rider.bundle_id is None else [rider.bundle_id])
        for bundle in mine:
            assert len({parcels[parcel_id].merchant_id for parcel_id in bundle.parcel_ids}) == 1
