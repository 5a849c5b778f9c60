"""How riders move and serve; the situation a plan is made from, and the assignments it comes to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import ceil, sqrt
from typing import Final, NamedTuple

from msgspec import Struct

from tuanzi.delivery.model.parcels import Spot

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# How much planning looks at in one go: the rest waits its turn. Bounds its time to about 0.5 s.
PLANNED_MAX: Final = 400


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
