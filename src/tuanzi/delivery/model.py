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
from itertools import combinations, permutations
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
    Bounded by PLANNED_MAX; about 30 ms for 90 parcels and 90 riders.
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
    rounds: list[_Round] = []
    ways: list[_Ways] = []
    for (_, spot), own in counters.items():
        there = _Ways.to(spot, hands, now=now, terms=terms)
        bundled = _bundled(own, there, price=price, now=now, terms=terms)
        rounds += bundled
        ways += [there] * len(bundled)
    return _matched(rounds, ways, hands, price=price, now=now, terms=terms)


# Weights found on the three public instances: a tick beyond `late` counts half again; a parcel that is left out costs
# so many times `late`, and so many ticks for each that it has waited, so that the oldest never stays behind.
_LATE_WEIGHT: Final = 0.5
_LEFT_OUT: Final = 7.5
_LEFT_OUT_PER_TICK: Final = 5.0
_PRICE_LEAST: Final = 0.1
_NEVER: Final = 1e12
# A bundle grows among so many parcels at most: 120 pairs, and 24 ways through 4 doors.
_BUNDLED_AMONG: Final = 16
_PARCELS_PER_BUNDLE: Final = 4


class _Round(NamedTuple):
    """Parcels of one counter, in the order of their doors. offsets: from the pick-up to each hand-over.

    ready_at: when all are ready; first_at: when the first is. length: from the pick-up until the rider is free again.
    """

    loads: tuple[Load, ...]
    offsets: tuple[int, ...]
    ready_at: int
    first_at: int
    portions: int
    length: int

    @staticmethod
    def of(loads: Sequence[Load], terms: Terms) -> _Round:
        """The quickest round for these parcels."""
        return _round_of(tuple(sorted(loads, key=_parcel_id)), terms)

    def fits(self, hand: Hand) -> bool:
        """Whether a rider can carry it; a parcel alone always can be."""
        return len(self.loads) == 1 or self.portions <= hand.portions_max

    def cost(self, hand: Hand, *, travel: int, now: int, price: float, terms: Terms) -> float | None:
        """What it costs to have this rider bring it; None when his time would be up."""
        free_at = max(hand.free_at, now)
        there_at = free_at + travel
        picks_up_at = max(self.ready_at, there_at + terms.half_pick_up)
        if picks_up_at > hand.until or not self.fits(hand):
            return None
        waits = picks_up_at - terms.half_pick_up - there_at
        cost = price * (picks_up_at + self.length - free_at - waits)
        late = terms.late
        for load, offset in zip(self.loads, self.offsets, strict=True):
            door = picks_up_at + offset
            over = door - load.ordered_at - late
            cost += door - load.ready_at + (_LATE_WEIGHT * over if over > 0 else 0.0)
        return cost


def _parcel_id(load: Load) -> str:
    return load.parcel_id


# Every half minute the same parcels are looked at again, in every pair: about 1 kB each.
@lru_cache(maxsize=32_768)
def _round_of(loads: tuple[Load, ...], terms: Terms) -> _Round:
    """The quickest round for parcels that are in the order of their ids."""
    order, offsets = _route(loads[0].from_spot, tuple([load.to_spot for load in loads]), terms)
    return _Round(
        loads=tuple([loads[i] for i in order]),
        offsets=offsets,
        ready_at=max([load.ready_at for load in loads]),
        first_at=min([load.ready_at for load in loads]),
        portions=sum([load.portions for load in loads]),
        length=offsets[-1] + terms.half_drop_off,
    )


@lru_cache(maxsize=65_536)
def _route(counter: Spot, doors: tuple[Spot, ...], terms: Terms) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The order in which all doors are reached soonest, summed, and when each is, in ticks after the pick-up."""
    points = [terms.point(door) for door in doors]
    best: tuple[int, tuple[int, ...], tuple[int, ...]] | None = None
    for order in permutations(range(len(doors))):
        at, ticks = terms.point(counter), terms.half_pick_up
        offsets = []
        for i in order:
            ticks += terms.travel(at, points[i]) + terms.half_drop_off
            offsets.append(ticks)
            ticks += terms.half_drop_off
            at = points[i]
        if best is None or (sum(offsets), order) < best[:2]:
            best = sum(offsets), order, tuple(offsets)
    assert best is not None
    return best[1], best[2]


class _Ways(NamedTuple):
    """How far each rider is from a counter, and the riders by when they can be there."""

    travel: list[int]
    soonest: list[tuple[int, int, Hand]]

    @staticmethod
    def to(spot: Spot, hands: Sequence[Hand], *, now: int, terms: Terms) -> _Ways:
        """To one counter."""
        counter = terms.point(spot)
        travel = [terms.travel(terms.point(hand.spot), counter) for hand in hands]
        arrivals = sorted(
            (max(hand.free_at, now) + way, i) for i, (hand, way) in enumerate(zip(hands, travel, strict=True))
        )
        return _Ways(travel, [(at, travel[i], hands[i]) for at, i in arrivals])


def _bundled(loads: Sequence[Load], ways: _Ways, *, price: float, now: int, terms: Terms) -> list[_Round]:
    """The parcels of one counter as rounds: two become one while that saves most, each with the rider soonest there."""

    def value(one: _Round) -> float:
        for _, travel, hand in ways.soonest:
            cost = one.cost(hand, travel=travel, now=now, price=price, terms=terms)
            if cost is not None:
                return cost
        return _NEVER

    # At most what the shorter one's rider would be busy for is saved; each door waits for each of the other's, and what
    # could be picked up sooner waits for the rest.
    there_at = ways.soonest[0][0] + terms.half_pick_up
    fetching = price * (ways.soonest[0][1] + terms.pick_up)
    near = sorted(loads, key=lambda load: (load.ready_at // terms.patience, terms.point(load.to_spot), load.parcel_id))
    rounds: list[_Round] = []
    for start in range(0, len(near), _BUNDLED_AMONG):
        made = [_Round.of((load,), terms) for load in near[start : start + _BUNDLED_AMONG]]
        values = [value(one) for one in made]
        alive = list(range(len(made)))
        saves: dict[tuple[int, int], tuple[float, _Round]] = {}
        fresh = list(combinations(alive, 2))
        while fresh or saves:
            for i, j in fresh:
                a, b = made[i], made[j]
                most = fetching + price * min(a.length, b.length)
                sooner, later = (a, b) if a.ready_at < b.ready_at else (b, a)
                waits = len(sooner.loads) * max(0, later.ready_at - max(sooner.ready_at, there_at))
                waits += len(a.loads) * len(b.loads) * terms.drop_off
                if most > waits and _may_join(a, b, now=now, terms=terms):
                    both = _Round.of(a.loads + b.loads, terms)
                    saved = values[i] + values[j] - value(both)
                    if saved > 0:
                        saves[i, j] = saved, both
            if not saves:
                break
            i, j = max(saves, key=lambda pair: (saves[pair][0], (-pair[0], -pair[1])))
            made.append(saves[i, j][1])
            values.append(values[i] + values[j] - saves[i, j][0])
            alive = [one for one in alive if one not in (i, j)]
            saves = {pair: saved for pair, saved in saves.items() if not {i, j} & set(pair)}
            fresh = [(one, len(made) - 1) for one in alive]
            alive.append(len(made) - 1)
        rounds += [made[i] for i in alive]
    return rounds


def _may_join(a: _Round, b: _Round, *, now: int, terms: Terms) -> bool:
    if len(a.loads) + len(b.loads) > _PARCELS_PER_BUNDLE:
        return False
    return max(a.ready_at, b.ready_at, now) - max(min(a.first_at, b.first_at), now) <= terms.patience


def _matched(
    rounds: Sequence[_Round], ways: Sequence[_Ways], hands: Sequence[Hand], *, price: float, now: int, terms: Terms
) -> list[Assignment]:
    """Rounds and riders at the least sum of costs."""
    # Only who plans pays for these: 0.8 s and 60 MB.
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    free_at = np.array([max(hand.free_at, now) for hand in hands], dtype=float)
    until = np.array([hand.until for hand in hands], dtype=float)
    room = np.array([hand.portions_max for hand in hands], dtype=float)
    travel = np.array([way.travel for way in ways], dtype=float)
    ready_at = np.array([[one.ready_at] for one in rounds], dtype=float)
    length = np.array([[one.length] for one in rounds], dtype=float)
    picks_up_at = np.maximum(ready_at, free_at + travel + terms.half_pick_up)
    leaves_at = np.maximum(free_at, picks_up_at - terms.half_pick_up - travel)
    costs = price * (picks_up_at + length - leaves_at)
    for nth in range(_PARCELS_PER_BUNDLE):
        # The nth parcel of each round that has so many, against every rider at once.
        having = [i for i, one in enumerate(rounds) if len(one.loads) > nth]
        if not having:
            break
        loads = [rounds[i].loads[nth] for i in having]
        ready = np.array([[load.ready_at] for load in loads], dtype=float)
        ordered = np.array([[load.ordered_at] for load in loads], dtype=float)
        door = picks_up_at[having] + np.array([[rounds[i].offsets[nth]] for i in having], dtype=float)
        cost = costs[having] + (door - ready + _LATE_WEIGHT * np.maximum(0, door - ordered - terms.late))
        costs[having] = cost - (_LEFT_OUT * terms.late + _LEFT_OUT_PER_TICK * (now - ordered))
    portions = np.array([[one.portions if len(one.loads) > 1 else 0] for one in rounds], dtype=float)
    costs[(picks_up_at > until) | (portions > room)] = _NEVER
    made = []
    for i, j in zip(*linear_sum_assignment(costs), strict=True):
        if costs[i, j] < _NEVER:
            made.append(_assignment(rounds[i], hands[j], travel=ways[i].travel[j], now=now, terms=terms))
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
        arrives_at=tuple([picks_up_at + offset for offset in one.offsets]),
        is_due=hand.free_at <= now and leaves_at < now + terms.every,
    )
