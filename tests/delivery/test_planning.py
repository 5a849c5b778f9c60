"""Plans: who brings what, by the rules of the Meal Delivery Routing Problem (B10); properties over drawn situations."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta
from itertools import combinations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tuanzi.delivery import CAMPUS_TERMS, Assignment, Hand, Load, Situation, Spot, plan
from tuanzi.delivery.model import planning, rounds, streets

# One metre a millionth of a degree, one metre a tick: distances are read off the numbers.
TERMS = replace(
    CAMPUS_TERMS, tick=timedelta(seconds=1), metres_per_tick=1.0, north_m=1.0, east_m=1.0, pick_up=4, drop_off=6
)


def spot(x: int, y: int = 0) -> Spot:
    return Spot(latitude_e6=y, longitude_e6=x)


def load(id: str, *, counter: int = 0, door: int = 100, ready: int = 0, merchant: str = "m", portions: int = 1) -> Load:
    return Load(
        parcel_id=id,
        merchant_id=merchant,
        from_spot=spot(counter),
        to_spot=spot(door),
        portions=portions,
        ordered_at=0,
        ready_at=ready,
    )


def hand(id: str, *, x: int = 0, free: int = 0, until: int = 10**6, portions: int = 20) -> Hand:
    return Hand(rider_id=id, spot=spot(x), free_at=free, until=until, portions_max=portions)


def planned(loads: list[Load], hands: list[Hand], *, now: int = 0) -> list[Assignment]:
    return plan(Situation(now=now, loads=tuple(loads), hands=tuple(hands)), terms=TERMS)


def drawn(seed: int, *, loads: int, hands: int) -> Situation:
    chance = Random(seed)
    counters = {f"m{i}": spot(chance.randrange(3_000), chance.randrange(3_000)) for i in range(6)}
    made = []
    for i in range(loads):
        merchant = chance.choice(sorted(counters))
        one = Load(
            parcel_id=f"p{i}",
            merchant_id=merchant,
            from_spot=counters[merchant],
            to_spot=spot(chance.randrange(3_000), chance.randrange(3_000)),
            portions=chance.randrange(1, 12),
            ordered_at=chance.randrange(600),
            ready_at=chance.randrange(1_800),
        )
        made.append(one)
    riders = [
        Hand(
            rider_id=f"r{i}",
            spot=spot(chance.randrange(3_000), chance.randrange(3_000)),
            free_at=chance.randrange(2_000),
            until=chance.randrange(500, 6_000),
            portions_max=chance.choice((8, 20)),
        )
        for i in range(hands)
    ]
    return Situation(now=900, loads=tuple(made), hands=tuple(riders))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 25))
def test_a_plan_keeps_every_rule(seed: int, loads: int, hands: int) -> None:
    situation = drawn(seed, loads=loads, hands=hands)

    made = plan(situation, terms=TERMS)

    by_id = {one.parcel_id: one for one in situation.loads}
    riders = {one.rider_id: one for one in situation.hands}
    assert max(Counter(parcel for one in made for parcel in one.parcel_ids).values(), default=1) == 1
    assert max(Counter(one.rider_id for one in made).values(), default=1) == 1
    for one in made:
        rider, parcels = riders[one.rider_id], [by_id[parcel_id] for parcel_id in one.parcel_ids]
        assert len({parcel.merchant_id for parcel in parcels}) == 1
        assert len(parcels) == 1 or sum(parcel.portions for parcel in parcels) <= rider.portions_max
        assert one.picks_up_at <= rider.until
        assert one.leaves_at >= max(rider.free_at, situation.now)
        counter = TERMS.point(parcels[0].from_spot)
        arrives = one.leaves_at + TERMS.travel(TERMS.point(rider.spot), counter)
        assert one.picks_up_at >= max([arrives + 2, *(parcel.ready_at for parcel in parcels)])
        at, minute = counter, one.picks_up_at + 2
        for parcel, door in zip(parcels, one.arrives_at, strict=True):
            minute += TERMS.travel(at, TERMS.point(parcel.to_spot)) + 3
            assert door == minute
            at, minute = TERMS.point(parcel.to_spot), minute + 3
        assert one.is_due == (rider.free_at <= situation.now and one.leaves_at < situation.now + TERMS.every)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_the_same_situation_gives_the_same_plan_in_whatever_order_it_is_told(seed: int) -> None:
    situation = drawn(seed, loads=20, hands=10)
    parcels = list(situation.loads)
    Random(seed).shuffle(parcels)

    first, second = plan(situation, terms=TERMS), plan(replace(situation, loads=tuple(parcels)), terms=TERMS)

    assert {one.parcel_ids: one for one in first} == {one.parcel_ids: one for one in second}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(10, 60), st.integers(2, 12), st.sampled_from([600, 60_000]))
def test_a_plan_is_as_if_every_pair_had_been_looked_at_door_by_door(
    seed: int, loads: int, hands: int, now: int
) -> None:
    situation = drawn(seed, loads=loads, hands=hands)
    late = tuple(replace(one, free_at=now, until=10**6) for one in situation.hands)
    situation = replace(situation, now=now, hands=late)
    made = plan(situation, terms=TERMS)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds.Counter, "cost_least", lambda *_: -1e13)
        patch.setattr(planning, "pairs_of", every_pair)
        patch.setattr(streets, "_streets", streets._Streets)

        assert plan(situation, terms=TERMS) == made


def every_pair(lots: list[rounds.Lot], **_: object) -> list[list[tuple[float, bool, int, int]]]:
    return [
        [
            (-1e13, False, i, j)
            for i, j in combinations(range(len(lot.singles)), 2)
            if lot.counter.is_patient(lot.singles[i], lot.singles[j])
        ]
        for lot in lots
    ]


def test_the_nearest_rider_goes() -> None:
    (one,) = planned([load("p")], [hand("far", x=900), hand("near", x=-50)])

    assert (one.rider_id, one.leaves_at, one.picks_up_at, one.arrives_at) == ("near", 0, 52, (157,))


def test_a_rider_who_comes_free_soon_and_near_is_waited_for() -> None:
    (one,) = planned([load("p")], [hand("far", x=900), hand("soon", x=0, free=60)])

    assert (one.rider_id, one.is_due) == ("soon", False)


def test_nobody_is_sent_before_he_must_leave() -> None:
    (early,) = planned([load("p", ready=600)], [hand("r", x=90)])
    (due,) = planned([load("p", ready=600)], [hand("r", x=90)], now=500)

    assert (early.leaves_at, early.is_due) == (508, False)
    assert (due.leaves_at, due.is_due) == (508, True)


def test_nothing_is_picked_up_after_a_rider_s_time() -> None:
    assert planned([load("p", ready=600)], [hand("r", until=599)]) == []
    assert len(planned([load("p", ready=600)], [hand("r", until=600)])) == 1


def test_neighbours_are_bundled_when_riders_are_short_and_brought_in_the_order_of_their_doors() -> None:
    doors = {"c": 320, "a": 300, "b": 310}

    (one,) = planned([load(id, door=door) for id, door in doors.items()], [hand("r")])

    assert one.parcel_ids == ("a", "b", "c")


def test_a_bundle_is_of_one_merchant() -> None:
    made = planned([load("p", merchant="m1"), load("q", merchant="m2")], [hand("r"), hand("s")])

    assert sorted(one.parcel_ids for one in made) == [("p",), ("q",)]


def test_a_bundle_fits_its_rider_and_a_parcel_alone_always_does() -> None:
    made = planned([load(id, portions=8) for id in "pqr"], [hand("r", portions=16)])
    (large,) = planned([load("p", portions=30)], [hand("r", portions=16)])

    assert [len(one.parcel_ids) for one in made] == [2]
    assert large.parcel_ids == ("p",)


def test_food_does_not_wait_longer_than_its_patience_for_other_food() -> None:
    made = planned([load("p", ready=0), load("q", ready=TERMS.patience + 1)], [hand("r"), hand("s")])

    assert sorted(one.parcel_ids for one in made) == [("p",), ("q",)]


def test_who_has_waited_longest_is_not_left_out_when_riders_are_short() -> None:
    old = replace(load("old", counter=2_000, door=2_100, merchant="far"), ordered_at=-3_000)

    (one,) = planned([load("new"), old], [hand("r")], now=100)

    assert one.parcel_ids == ("old",)


def test_nobody_there_or_nothing_to_do_is_an_empty_plan() -> None:
    assert planned([], [hand("r")]) == []
    assert planned([load("p")], []) == []
    assert planned([load("p")], [hand("r", free=10**5)]) == []


@pytest.mark.parametrize("hands", [40, 200])
def test_the_largest_plan_takes_less_than_a_second(hands: int) -> None:
    situation = drawn(1, loads=400, hands=hands)
    situation = replace(situation, hands=tuple(replace(one, until=10**5) for one in situation.hands))
    began = time.process_time()

    made = plan(situation, terms=TERMS)

    assert time.process_time() - began < 1.0
    assert sum(len(one.parcel_ids) for one in made) >= hands
