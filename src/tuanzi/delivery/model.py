"""What is to be brought where and by whom, as frozen values, and the plan of who brings what (B2, B10); pure.

Planning follows the Meal Delivery Routing Problem of Reyes, Erera, Savelsbergh, Sahasrabudhe and O'Neil (2018): riders
come on and go off, nobody is sent another way while he carries out an assignment, nothing is picked up after a rider's
time is up, service at counter and door is half before and half after the hand-over, travel is whole ticks, rounded up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from heapq import heapify, heappop, heappush
from itertools import count, permutations
from math import ceil, sqrt
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.branch import Branch
from tuanzi.base.ids import BuildingId, GroupId, MealId, MerchantId, OrderId, PersonId, SubOrderId

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Our choices. A rider's box holds so many dishes; so does what is handed over as one.
PORTIONS_PER_PARCEL: Final = 20
# In a meal's 150 minutes a rider makes ten rounds of a quarter of an hour.
ROUNDS_PER_MEAL: Final = 10
COOKING_TAKES: Final = timedelta(minutes=10)
# Food or a rider expected by now and not there yet is expected in so long.
OVERDUE_FOR: Final = timedelta(minutes=2)
# Ready food that was not picked up so long after it was planned to be goes to somebody else.
PICK_UP_WITHIN: Final = timedelta(minutes=15)
# A promise that is kept to so much is not changed.
PROMISE_STEADY: Final = timedelta(minutes=2)
SHIFT_MAX: Final = timedelta(hours=16)
# How much planning looks at in one go: the rest waits its turn. Bounds its time to about 0.5 s.
PLANNED_MAX: Final = 400
RIDERS_MAX: Final = 1_000


class Spot(Struct, frozen=True, kw_only=True, gc=False):
    """A place on the map: a merchant's counter or a building's door, in millionths of a degree."""

    latitude_e6: int
    longitude_e6: int


NOWHERE: Final = Spot(latitude_e6=0, longitude_e6=0)


class DropOff(Struct, frozen=True, kw_only=True, gc=False):
    """One sub-order's way from its merchant to its building. portions: how many dishes there are to carry.

    ready_at: when the merchant means to have it ready; None when he did not say.
    """

    sub_order_id: SubOrderId
    order_id: OrderId
    member_id: PersonId
    merchant_id: MerchantId
    building_id: BuildingId
    meal_id: MealId
    portions: int
    from_spot: Spot
    to_spot: Spot
    ready_at: datetime | None = None


class TryDelivery(Struct, frozen=True, kw_only=True, gc=False):
    """Try: promise to bring all of a split group's sub-orders. split_at: when the group closed."""

    branch: Branch
    group_id: GroupId
    drop_offs: tuple[DropOff, ...]
    split_at: datetime


class ConfirmDelivery(Struct, frozen=True, kw_only=True, gc=False):
    """Confirm: what was promised is to be brought."""

    branch: Branch


class CancelDelivery(Struct, frozen=True, kw_only=True, gc=False):
    """Cancel: what was promised is not wanted any more."""

    branch: Branch


class ParcelState(StrEnum):
    """Where a parcel is."""

    PROMISED = "promised"  # tried, not confirmed
    WAITING = "waiting"  # to be brought, by nobody yet
    ASSIGNED = "assigned"
    PICKED_UP = "picked_up"
    DELIVERED = "delivered"
    DROPPED = "dropped"  # cancelled, or nothing is left in it


class Parcel(Struct, frozen=True, kw_only=True, gc=False):
    """What one merchant hands over for one building out of one split: its drop-offs are made and carried together.

    sub_order_ids: of those still to be brought. unready, unbegun: how many of them are not ready, and not even being
    made. ready_at: when all are ready, or are expected to be. arrives_at: what was promised, or when it came.
    """

    id: str
    gid: str
    group_id: GroupId
    merchant_id: MerchantId
    building_id: BuildingId
    meal_id: MealId
    from_spot: Spot
    to_spot: Spot
    state: ParcelState
    sub_order_ids: tuple[str, ...]
    portions: int
    unready: int
    unbegun: int
    ordered_at: datetime
    arrives_at: datetime
    ready_at: datetime | None = None
    bundle_id: str | None = None

    @property
    def is_ready(self) -> bool:
        """Whether all of it can be picked up."""
        return self.unready == 0

    @property
    def is_planned_with(self) -> bool:
        """Whether a rider is to be found for it now: it is being made, and nobody has it."""
        return self.state is ParcelState.WAITING and self.unbegun == 0


class DropOffState(StrEnum):
    """Where one drop-off is."""

    PLANNED = "planned"
    COOKING = "cooking"
    READY = "ready"
    PICKED_UP = "picked_up"
    DELIVERED = "delivered"
    DROPPED = "dropped"


class PlacedDropOff(Struct, frozen=True, kw_only=True, gc=False):
    """A drop-off in its parcel."""

    sub_order_id: SubOrderId
    order_id: OrderId
    member_id: PersonId
    parcel_id: str
    portions: int
    state: DropOffState
    ready_at: datetime | None = None


class Consignment(Struct, frozen=True, kw_only=True, gc=False):
    """All that one split has to have brought."""

    gid: str
    group_id: GroupId
    parcel_ids: tuple[str, ...]


class MealLoad(Struct, frozen=True, kw_only=True, gc=False):
    """How many portions are promised for a meal."""

    meal_id: MealId
    portions: int


class Board(Struct, frozen=True, kw_only=True, gc=False):
    """What dispatch has before it: parcels that need a rider, and riders on shift. One of a campus.

    riders_expected: how many the operator counts on for a meal; None when he does not limit what is promised.
    plan_at: when planning is due. planning_since: when the plan under way was begun.
    """

    id: str = "campus"
    parcels: tuple[str, ...] = ()
    riders: tuple[str, ...] = ()
    riders_expected: int | None = None
    plan_at: datetime | None = None
    planning_since: datetime | None = None


class Rider(Struct, frozen=True, kw_only=True, gc=False):
    """A rider. spot, free_at: where and when he is free, of what is known. until: after it he picks nothing up.

    bundles: how many he was given so far; their ids count on.
    """

    id: PersonId
    is_on: bool
    spot: Spot
    free_at: datetime
    until: datetime
    portions_max: int
    bundle_id: str | None = None
    bundles: int = 0


class BundleState(StrEnum):
    """Where a bundle is."""

    ASSIGNED = "assigned"
    PICKED_UP = "picked_up"
    DELIVERED = "delivered"
    RELEASED = "released"  # not picked up: its parcels wait again, or nothing was left in it


class Bundle(Struct, frozen=True, kw_only=True, gc=False):
    """Parcels of one merchant on their way with one rider, in the order of their doors."""

    id: str
    rider_id: PersonId
    merchant_id: MerchantId
    from_spot: Spot
    state: BundleState
    parcel_ids: tuple[str, ...]
    assigned_at: datetime
    picks_up_at: datetime
    ended_at: datetime | None = None


class ExpectRiders(Struct, frozen=True, kw_only=True, gc=False):
    """Say how many riders a meal has; None promises without limit."""

    riders: int | None
    by: PersonId


class GoOnShift(Struct, frozen=True, kw_only=True, gc=False):
    """A rider begins, or says where he is now and until when he works."""

    rider_id: PersonId
    spot: Spot
    until: datetime
    portions_max: int = PORTIONS_PER_PARCEL


class GoOffShift(Struct, frozen=True, kw_only=True, gc=False):
    """A rider ends; what he was to pick up goes to somebody else."""

    rider_id: PersonId


class EndShift(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: a rider's time is up."""

    rider_id: PersonId


class PickUpBundle(Struct, frozen=True, kw_only=True, gc=False):
    """A rider has a bundle in hand."""

    bundle_id: str
    rider_id: PersonId


class DeliverParcel(Struct, frozen=True, kw_only=True, gc=False):
    """A rider handed a parcel over at its building."""

    parcel_id: str
    rider_id: PersonId


class ReleaseBundle(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: a bundle that nobody came for goes to somebody else, and its rider is off."""

    bundle_id: str


class Replan(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: see what there is to plan."""


class RiderAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """How a rider stands now."""

    rider_id: str
    is_on: bool
    until: datetime
    bundle_id: str | None


class BundleAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """How a bundle stands now, and its parcels in the order of their doors."""

    bundle_id: str
    state: BundleState
    parcel_ids: tuple[str, ...]


class RidersExpected(Struct, frozen=True, kw_only=True, gc=False):
    """How many riders a meal has, and how many portions are promised for it at most; None is no limit."""

    riders: int | None
    portions_max: int | None


def parcels_of(command: TryDelivery, *, arrives_at: datetime) -> tuple[list[Parcel], list[PlacedDropOff]]:
    """A split's drop-offs as parcels, by merchant, building and meal; the same command gives the same parcels.

    None holds more than PORTIONS_PER_PARCEL, but for a single drop-off that is larger.
    """
    parcels: list[Parcel] = []
    placed: list[PlacedDropOff] = []
    open_parcel: dict[tuple[str, str, str, Spot, Spot], int] = {}
    for drop_off in command.drop_offs:
        place = (
            drop_off.merchant_id,
            drop_off.building_id,
            drop_off.meal_id,
            drop_off.from_spot,
            drop_off.to_spot,
        )
        i = open_parcel.get(place)
        if i is None or parcels[i].portions + drop_off.portions > PORTIONS_PER_PARCEL:
            i = open_parcel[place] = len(parcels)
            parcels.append(_empty_parcel(command, drop_off, number=i + 1, arrives_at=arrives_at))
        parcel = parcels[i]
        parcels[i] = replace(
            parcel,
            sub_order_ids=(*parcel.sub_order_ids, drop_off.sub_order_id),
            portions=parcel.portions + drop_off.portions,
            unready=parcel.unready + 1,
            unbegun=parcel.unbegun + 1,
        )
        one = PlacedDropOff(
            sub_order_id=drop_off.sub_order_id,
            order_id=drop_off.order_id,
            member_id=drop_off.member_id,
            parcel_id=parcel.id,
            portions=drop_off.portions,
            state=DropOffState.PLANNED,
            ready_at=drop_off.ready_at,
        )
        placed.append(one)
    return parcels, placed


def _empty_parcel(command: TryDelivery, drop_off: DropOff, *, number: int, arrives_at: datetime) -> Parcel:
    return Parcel(
        id=f"{command.branch.gid}.d{number}",
        gid=command.branch.gid,
        group_id=command.group_id,
        merchant_id=drop_off.merchant_id,
        building_id=drop_off.building_id,
        meal_id=drop_off.meal_id,
        from_spot=drop_off.from_spot,
        to_spot=drop_off.to_spot,
        state=ParcelState.PROMISED,
        sub_order_ids=(),
        portions=0,
        unready=0,
        unbegun=0,
        ordered_at=command.split_at,
        arrives_at=arrives_at,
    )


def portions_promised_max(board: Board) -> int | None:
    """How many portions the riders of a meal can carry; None when nobody said how many riders there will be."""
    if board.riders_expected is None:
        return None
    return max(board.riders_expected, len(board.riders)) * ROUNDS_PER_MEAL * PORTIONS_PER_PARCEL


# Planning


class Point(NamedTuple):
    """A place on a flat campus, in metres east and north."""

    x: float
    y: float


class Terms(Struct, frozen=True, kw_only=True):
    """How riders move and serve. The times of a plan are whole ticks since 1970, or since any midnight.

    north_m, east_m: metres in a millionth of a degree. pick_up, drop_off: ticks of service, half before the
    hand-over and half after it. late: a door later than so long after its order counts more. horizon: riders who come
    free within it are planned with. patience: how long food may wait for other food of its bundle. every: from one
    plan to the next; who must leave before the next one is sent now. pause: from news to the plan that heeds them.
    """

    tick: timedelta
    metres_per_tick: float
    pick_up: int
    drop_off: int
    late: int
    horizon: int
    patience: int
    every: int
    pause: int
    north_m: float
    east_m: float

    def point(self, spot: Spot) -> Point:
        """Where a spot is."""
        return Point(spot.longitude_e6 * self.east_m, spot.latitude_e6 * self.north_m)

    def travel(self, start: Point, end: Point) -> int:
        """Ticks from one point to another, rounded up."""
        return ceil(sqrt((end.x - start.x) ** 2 + (end.y - start.y) ** 2) / self.metres_per_tick)

    def ticks(self, at: datetime) -> int:
        """A time in ticks, rounded up."""
        return -((EPOCH - at) // self.tick)

    def time(self, ticks: int) -> datetime:
        """When a tick is."""
        return EPOCH + ticks * self.tick

    @property
    def half_pick_up(self) -> int:
        """From arriving at a counter to the hand-over, and from there to leaving."""
        return (self.pick_up + 1) // 2

    @property
    def half_drop_off(self) -> int:
        """From arriving at a door to the hand-over, and from there to being free."""
        return (self.drop_off + 1) // 2


# A campus at 40 degrees north: riders make 4 m/s door to door, two minutes at each counter and door (our choice).
CAMPUS_TERMS: Final = Terms(
    tick=timedelta(seconds=1),
    metres_per_tick=4.0,
    pick_up=120,
    drop_off=120,
    late=2_400,
    horizon=1_800,
    patience=720,
    every=30,
    pause=10,
    north_m=0.111_19,
    east_m=0.085_18,
)


class Load(Struct, frozen=True, kw_only=True, gc=False):
    """A parcel as planning sees it; times in ticks. ready_at: when it is ready or expected to be."""

    parcel_id: str
    merchant_id: str
    from_spot: Spot
    to_spot: Spot
    portions: int
    ordered_at: int
    ready_at: int


class Hand(Struct, frozen=True, kw_only=True, gc=False):
    """A rider as planning sees him: where and when he is free, and when his time is up, in ticks."""

    rider_id: str
    spot: Spot
    free_at: int
    until: int
    portions_max: int


class Situation(Struct, frozen=True, kw_only=True, gc=False):
    """What a plan is made from."""

    now: int
    loads: tuple[Load, ...]
    hands: tuple[Hand, ...]


class Assignment(Struct, frozen=True, kw_only=True, gc=False):
    """Who brings which parcels of one merchant, in the order of their doors; times in ticks.

    is_due: he is free and must leave before the next plan; the others are only expected, and planned anew.
    """

    rider_id: str
    parcel_ids: tuple[str, ...]
    leaves_at: int
    picks_up_at: int
    arrives_at: tuple[int, ...]
    is_due: bool


class PlanBundles(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: make a plan outside of every batch, for it may take half a second."""

    situation: Situation


class TakePlan(Struct, frozen=True, kw_only=True, gc=False):
    """Take over a plan, as far as what it assumed still holds."""

    assignments: tuple[Assignment, ...]


def plan(situation: Situation, *, terms: Terms) -> list[Assignment]:
    """Who brings what, by all that is known now; the same situation gives the same plan.

    Orders of one counter are bundled while that saves time, then bundles and riders are matched at the least sum of
    waiting: from ready to the door, more for what is late, and a rider's own time at what others would wait for it.
    Bounded by PLANNED_MAX; about 5 ms for 90 parcels and 90 riders, 40 ms for 400 and 125.
    """
    now = situation.now
    hands = [hand for hand in situation.hands if hand.until >= now and hand.free_at <= now + terms.horizon]
    loads = sorted(situation.loads, key=lambda load: (load.ready_at, load.parcel_id))[:PLANNED_MAX]
    if not hands or not loads:
        return []
    pressure = len(loads) / len(hands)
    price = max(_PRICE_LEAST, min(pressure, pressure**2))
    counters: dict[tuple[str, Spot], list[Load]] = {}
    for load in loads:
        counters.setdefault((load.merchant_id, load.from_spot), []).append(load)
    travel = _travel_to([spot for _, spot in counters], hands, terms)
    lots: list[_Lot] = []
    ways: list[list[int]] = []
    for ((_, spot), own), way in zip(counters.items(), travel, strict=True):
        own.sort(key=lambda one: (one.ready_at // terms.patience, terms.point(one.to_spot), one.parcel_id))
        counter = _Counter(spot, way, hands, price=price, now=now, terms=terms)
        for start in range(0, len(own), _BUNDLED_AMONG):
            lots.append(_Lot.of(own[start : start + _BUNDLED_AMONG], counter))
            ways.append(way)
    rounds = [
        _bundled(lot, pairs) for lot, pairs in zip(lots, _pairs(lots, price=price, now=now, terms=terms), strict=True)
    ]
    return _matched(
        [one for of_lot in rounds for one in of_lot],
        [way for of_lot, way in zip(rounds, ways, strict=True) for _ in of_lot],
        hands,
        price=price,
        now=now,
        terms=terms,
    )


# Weights found on the three public instances: a tick beyond `late` counts half again; a parcel that is left out costs
# so many times `late`, and so many ticks for each that it has waited, so that the oldest never stays behind.
_LATE_WEIGHT: Final = 0.5
_LEFT_OUT: Final = 7.5
_LEFT_OUT_PER_TICK: Final = 5.0
_PRICE_LEAST: Final = 0.1
_NEVER: Final = 1e12
# What sums of the same costs may differ by.
_ROUNDING: Final = 1e-6
# A bundle grows among so many parcels at most: 120 pairs, and 24 ways through 4 doors.
_BUNDLED_AMONG: Final = 16
_PARCELS_PER_BUNDLE: Final = 4


class _Stop(NamedTuple):
    """One parcel of a round. door: which one, as its streets number it. late_at: from then on it counts as late."""

    parcel_id: str
    door: int
    late_at: int
    load: Load


class _Way(NamedTuple):
    """A way from a counter through doors. order: of the doors. offsets: from the pick-up to each hand-over, `total` in
    sum. length: from the pick-up until the rider is free again."""

    order: tuple[int, ...]
    offsets: tuple[int, ...]
    total: int
    length: int


class _Round(NamedTuple):
    """Parcels of one counter. stops: in the order of the parcels' ids, not of the way through their doors.

    ready_at: when all are ready; first_at: when the first is; readies: the sum of all these times. lates:
    the sum of when each is late.
    """

    stops: tuple[_Stop, ...]
    way: _Way
    ready_at: int
    first_at: int
    readies: int
    portions: int
    lates: int

    @property
    def loads(self) -> tuple[Load, ...]:
        """Its parcels in the order of their doors."""
        return tuple([self.stops[i].load for i in self.way.order])


class _Streets:
    """How far doors are from one counter and from each other, and the quickest ways through them; filled when asked.

    The same doors are asked for in every plan again, in many rounds. Threads may ask at once.
    """

    def __init__(self, counter: Spot, terms: Terms) -> None:
        self._terms = terms
        self._counter = terms.point(counter)
        self._numbers: dict[Spot, int] = {}
        self._count = count()
        self._points: dict[int, Point] = {}
        self._from_counter: dict[int, int] = {}
        self._between: dict[tuple[int, int], int] = {}
        self._ways: dict[tuple[int, ...], _Way] = {}

    @property
    def is_full(self) -> bool:
        """Whether it is to begin anew: at about 8 MB."""
        return len(self._points) > _DOORS_MAX or len(self._ways) > _WAYS_MAX

    def door(self, spot: Spot) -> int:
        """The number of a door."""
        number = self._numbers.get(spot)
        if number is None:
            number = next(self._count)
            self._points[number] = self._terms.point(spot)
            self._from_counter[number] = self._terms.travel(self._counter, self._points[number])
            number = self._numbers.setdefault(spot, number)  # last: who finds it finds all of it
        return number

    def way(self, doors: tuple[int, ...]) -> _Way:
        """The order in which all doors are reached soonest, summed, and when each is."""
        way = self._ways.get(doors)
        if way is None:
            way = self._ways[doors] = self._quickest(doors)
        return way

    def _quickest(self, doors: tuple[int, ...]) -> _Way:
        half = self._terms.half_drop_off
        firsts = [self._terms.half_pick_up + half + self._from_counter[door] for door in doors]
        after = [[self._travel(start, end) + 2 * half for end in doors] for start in doors]
        best: _Way | None = None
        for order in permutations(range(len(doors))):
            at = order[0]
            ticks = firsts[at]
            offsets = [ticks]
            for i in order[1:]:
                ticks += after[at][i]
                offsets.append(ticks)
                at = i
            if best is None or sum(offsets) < best.total:
                best = _Way(order, tuple(offsets), sum(offsets), ticks + half)
        assert best is not None
        return best

    def _travel(self, start: int, end: int) -> int:
        pair = (start, end) if start < end else (end, start)
        travel = self._between.get(pair)
        if travel is None:
            travel = self._between[pair] = self._terms.travel(self._points[start], self._points[end])
        return travel


_DOORS_MAX: Final = 2_048
_WAYS_MAX: Final = 16_384


def _streets_of(counter: Spot, terms: Terms) -> _Streets:
    streets = _streets(counter, terms)
    if not streets.is_full:
        return streets
    _streets.cache_clear()
    return _streets(counter, terms)


_streets = lru_cache(maxsize=1_024)(_Streets)


class _Counter:
    """One merchant's counter as one plan sees it: how soon riders can be there, and what a round costs."""

    def __init__(
        self, spot: Spot, travel: Sequence[int], hands: Sequence[Hand], *, price: float, now: int, terms: Terms
    ) -> None:
        self._streets = _streets_of(spot, terms)
        self._price = price
        self._late = terms.late
        self._patience = terms.patience
        self._served = 2 * terms.half_drop_off
        self._now = now
        # When each rider can pick up, how long it takes him to come, whatever he brings, and what he can.
        half = terms.half_pick_up
        arrivals = [
            (max(hand.free_at, now) + way + half, i) for i, (hand, way) in enumerate(zip(hands, travel, strict=True))
        ]
        self._arrivals = [(at, travel[i] + half, hands[i].until, hands[i].portions_max) for at, i in sorted(arrivals)]
        self.first = self._arrivals[0]

    def single(self, load: Load) -> _Round:
        """One parcel as a round."""
        stop = _Stop(load.parcel_id, self._streets.door(load.to_spot), load.ordered_at + self._late, load)
        way = self._streets.way((stop.door,))
        ready_at = load.ready_at
        return _Round((stop,), way, ready_at, ready_at, ready_at, load.portions, stop.late_at)

    def joined(self, a: _Round, b: _Round) -> _Round:
        """Two rounds as one, by the quickest way."""
        stops = tuple(sorted(a.stops + b.stops))
        way = self._streets.way(tuple([stop.door for stop in stops]))
        return _Round(
            stops,
            way,
            max(a.ready_at, b.ready_at),
            min(a.first_at, b.first_at),
            a.readies + b.readies,
            a.portions + b.portions,
            a.lates + b.lates,
        )

    def is_patient(self, a: _Round, b: _Round) -> bool:
        """Whether food of two rounds does not wait too long for other food of them."""
        ready_at, first_at = max(a.ready_at, b.ready_at, self._now), max(min(a.first_at, b.first_at), self._now)
        return ready_at - first_at <= self._patience

    def cost(self, one: _Round) -> float:
        """What it costs to have the rider who can be there soonest bring a round; NEVER when nobody can."""
        many = len(one.stops)
        soonest = self._soonest(one.ready_at, many, one.portions)
        if soonest is None:
            return _NEVER
        picks_up_at, fetching = soonest
        way = one.way
        cost = self._price * (fetching + way.length)
        for i, offset in zip(way.order, way.offsets, strict=True):
            door, stop = picks_up_at + offset, one.stops[i]
            over = door - stop.late_at
            cost += door - stop.load.ready_at + (_LATE_WEIGHT * over if over > 0 else 0.0)
        return cost

    def cost_least(self, a: _Round, b: _Round) -> float:
        """What it costs at least to have two rounds brought as one.

        No way is shorter than one of theirs with the other's service, and no door is reached sooner than without the
        other's doors, each of which is before it or after it.
        """
        many, others = len(a.stops), len(b.stops)
        soonest = self._soonest(max(a.ready_at, b.ready_at), many + others, a.portions + b.portions)
        if soonest is None:
            return _NEVER
        picks_up_at, fetching = soonest
        served = self._served
        length = max(a.way.length + others * served, b.way.length + many * served)
        doors = (many + others) * picks_up_at + a.way.total + b.way.total + many * others * served
        late = _LATE_WEIGHT * max(0, doors - a.lates - b.lates)
        return self._price * (fetching + length) + doors - a.readies - b.readies + late - _ROUNDING

    def _soonest(self, ready_at: int, many: int, portions: int) -> tuple[int, int] | None:
        """When the rider soonest there who can bring it picks it up, and what it takes him to come; None for nobody."""
        for there_at, fetching, until, portions_max in self._arrivals:
            picks_up_at = ready_at if ready_at > there_at else there_at
            if picks_up_at <= until and (many == 1 or portions <= portions_max):
                return picks_up_at, fetching
        return None


class _Lot(NamedTuple):
    """Parcels of one counter that may be bundled, each a round of its own yet, and what each costs."""

    counter: _Counter
    singles: list[_Round]
    costs: list[float]

    @staticmethod
    def of(loads: Sequence[Load], counter: _Counter) -> _Lot:
        """These parcels."""
        singles = [counter.single(load) for load in loads]
        return _Lot(counter, singles, [counter.cost(one) for one in singles])


# What is lost by having two rounds of a lot brought as one, or saved when it is below zero; whether that is so, or the
# least that it may be, which is then looked at before others that lose as much; and the two's numbers.
_Pair = tuple[float, bool, int, int]


def _pairs(lots: Sequence[_Lot], *, price: float, now: int, terms: Terms) -> list[list[_Pair]]:
    """For each lot, which two parcels are better brought as one: all in one go, as `_Counter.cost` counts it."""
    made: list[list[_Pair]] = [[] for _ in lots]
    if all(len(lot.singles) == 1 for lot in lots):
        return made
    import numpy as np

    singles = [one for lot in lots for one in lot.singles]
    stops = [one.stops[0] for one in singles]
    firsts = np.array([lot.counter.first for lot in lots])
    starts = np.cumsum([0, *[len(lot.singles) for lot in lots]])
    numbers = [np.triu_indices(len(lot.singles), 1) for lot in lots]
    lot_of = np.repeat(np.arange(len(lots)), [len(i) for i, _ in numbers])
    i = np.concatenate([i for i, _ in numbers]) + starts[lot_of]
    j = np.concatenate([j for _, j in numbers]) + starts[lot_of]
    ready = np.array([one.ready_at for one in singles])
    portions = np.array([one.portions for one in singles])
    offset = np.array([one.way.offsets[0] for one in singles])
    late = np.array([stop.late_at for stop in stops])
    cost = np.array([cost for lot in lots for cost in lot.costs])
    points = np.array([terms.point(stop.load.to_spot) for stop in stops])
    rank = np.empty(len(stops), dtype=int)
    rank[sorted(range(len(stops)), key=lambda n: stops[n].parcel_id)] = np.arange(len(stops))

    ready_at, first_at = np.maximum(ready[i], ready[j]), np.minimum(ready[i], ready[j])
    may_join = np.maximum(ready_at, now) - np.maximum(first_at, now) <= terms.patience
    i, j, lot_of, ready_at = i[may_join], j[may_join], lot_of[may_join], ready_at[may_join]
    # The nearer door is the first, and of two as near the one of the parcel with the lesser id.
    is_turned = (offset[j] < offset[i]) | ((offset[j] == offset[i]) & (rank[j] < rank[i]))
    near, far = np.where(is_turned, j, i), np.where(is_turned, i, j)
    between = np.ceil(np.sqrt(((points[i] - points[j]) ** 2).sum(axis=1)) / terms.metres_per_tick).astype(int)
    there_at, fetching, until, portions_max = firsts[lot_of].T
    picks_up_at = np.maximum(ready_at, there_at)
    first = offset[near]
    second = first + between + 2 * terms.half_drop_off
    both = price * (fetching + second + terms.half_drop_off)
    for offset_there, one in ((first, near), (second, far)):
        door = picks_up_at + offset_there
        both = both + (door - ready[one] + _LATE_WEIGHT * np.maximum(0, door - late[one]))
    loses = both - (cost[i] + cost[j])
    # Where the rider who is there soonest cannot bring both, it has to be looked at.
    is_so = (picks_up_at <= until) & (portions[i] + portions[j] <= portions_max)
    loses[~is_so] = -np.inf
    saves = np.flatnonzero(loses < 0)
    lot_of, i, j = lot_of[saves], i[saves] - starts[lot_of[saves]], j[saves] - starts[lot_of[saves]]
    columns = [column.tolist() for column in (loses[saves], is_so[saves], i, j)]
    for lot, pair in zip(lot_of.tolist(), zip(*columns, strict=True), strict=True):
        made[lot].append(pair)
    return made


def _bundled(lot: _Lot, pairs: list[_Pair]) -> list[_Round]:
    """The rounds of a lot: two become one while that saves most, each with the rider soonest there.

    What a pair can save at most is enough to know, until no other could save more.
    """
    counter, made, costs = lot.counter, list(lot.singles), list(lot.costs)
    alive = list(range(len(made)))
    is_gone = [False] * len(made)
    rounds: dict[tuple[int, int], _Round] = {}
    heapify(pairs)
    while pairs:
        loses, is_so, i, j = heappop(pairs)
        if is_gone[i] or is_gone[j]:
            continue
        both = rounds.get((i, j)) or counter.joined(made[i], made[j])
        if not is_so:
            loses = counter.cost(both) - (costs[i] + costs[j])
            if loses < 0:
                rounds[i, j] = both
                heappush(pairs, (loses, True, i, j))
            continue
        costs.append(costs[i] + costs[j] + loses)
        is_gone[i] = is_gone[j] = True
        is_gone.append(False)
        alive.remove(i)
        alive.remove(j)
        room = _PARCELS_PER_BUNDLE - len(both.stops)
        for one in alive if room else ():
            other = made[one]
            if len(other.stops) <= room and counter.is_patient(other, both):
                loses = counter.cost_least(other, both) - (costs[one] + costs[-1])
                if loses < 0:
                    heappush(pairs, (loses, False, one, len(made)))
        alive.append(len(made))
        made.append(both)
    return [made[i] for i in alive]


def _travel_to(spots: Sequence[Spot], hands: Sequence[Hand], terms: Terms) -> list[list[int]]:
    """How far each rider is from each counter."""
    import numpy as np

    counters = np.array([terms.point(spot) for spot in spots])
    riders = np.array([terms.point(hand.spot) for hand in hands])
    aside = riders[None, :, :] - counters[:, None, :]
    metres = np.sqrt(aside[:, :, 0] ** 2 + aside[:, :, 1] ** 2)
    ticks: list[list[int]] = np.ceil(metres / terms.metres_per_tick).astype(int).tolist()
    return ticks


def _matched(
    rounds: Sequence[_Round],
    ways: Sequence[Sequence[int]],
    hands: Sequence[Hand],
    *,
    price: float,
    now: int,
    terms: Terms,
) -> list[Assignment]:
    """Rounds and riders at the least sum of costs."""
    # Only who plans pays for these: 0.8 s and 60 MB.
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    free_at = np.array([max(hand.free_at, now) for hand in hands], dtype=float)
    until = np.array([hand.until for hand in hands], dtype=float)
    room = np.array([hand.portions_max for hand in hands], dtype=float)
    travel = np.array(ways, dtype=float)
    ready_at = np.array([[one.ready_at] for one in rounds], dtype=float)
    length = np.array([[one.way.length] for one in rounds], dtype=float)
    picks_up_at = np.maximum(ready_at, free_at + travel + terms.half_pick_up)
    leaves_at = np.maximum(free_at, picks_up_at - terms.half_pick_up - travel)
    costs = price * (picks_up_at + length - leaves_at)
    for nth in range(_PARCELS_PER_BUNDLE):
        # The nth parcel of each round that has so many, against every rider at once.
        having = [i for i, one in enumerate(rounds) if len(one.stops) > nth]
        if not having:
            break
        loads = [rounds[i].stops[rounds[i].way.order[nth]].load for i in having]
        ready = np.array([[load.ready_at] for load in loads], dtype=float)
        ordered = np.array([[load.ordered_at] for load in loads], dtype=float)
        door = picks_up_at[having] + np.array([[rounds[i].way.offsets[nth]] for i in having], dtype=float)
        cost = costs[having] + (door - ready + _LATE_WEIGHT * np.maximum(0, door - ordered - terms.late))
        costs[having] = cost - (_LEFT_OUT * terms.late + _LEFT_OUT_PER_TICK * (now - ordered))
    portions = np.array([[one.portions if len(one.stops) > 1 else 0] for one in rounds], dtype=float)
    costs[(picks_up_at > until) | (portions > room)] = _NEVER
    made = []
    for i, j in zip(*linear_sum_assignment(costs), strict=True):
        if costs[i, j] < _NEVER:
            made.append(_assignment(rounds[i], hands[j], travel=ways[i][j], now=now, terms=terms))
    return made


def _assignment(one: _Round, hand: Hand, *, travel: int, now: int, terms: Terms) -> Assignment:
    free_at = max(hand.free_at, now)
    picks_up_at = max(one.ready_at, free_at + travel + terms.half_pick_up)
    leaves_at = max(free_at, picks_up_at - terms.half_pick_up - travel)
    return Assignment(
        rider_id=hand.rider_id,
        parcel_ids=tuple([load.parcel_id for load in one.loads]),
        leaves_at=leaves_at,
        picks_up_at=picks_up_at,
        arrives_at=tuple([picks_up_at + offset for offset in one.way.offsets]),
        is_due=hand.free_at <= now and leaves_at < now + terms.every,
    )
