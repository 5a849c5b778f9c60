"""Rounds of one counter's parcels, what each costs, and which parcels are better brought as one."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

from tuanzi.delivery.model.parcels import Spot
from tuanzi.delivery.model.streets import Way, streets_of
from tuanzi.delivery.model.terms import Hand, Load, Terms

# A weight found on the three public instances: a tick beyond `late` counts half again.
LATE_WEIGHT: Final = 0.5
# What it costs to do what cannot be done.
NEVER: Final = 1e12
# What sums of the same costs may differ by.
_ROUNDING: Final = 1e-6
PARCELS_PER_BUNDLE: Final = 4


class _Stop(NamedTuple):
    """One parcel of a round. door: which one, as its streets number it. late_at: from then on it counts as late."""

    parcel_id: str
    door: int
    late_at: int
    load: Load


class Round(NamedTuple):
    """Parcels of one counter. stops: in the order of the parcels' ids, not of the way through their doors.

    ready_at: when all are ready; first_at: when the first is; readies: the sum of all these times. lates:
    the sum of when each is late.
    """

    stops: tuple[_Stop, ...]
    way: Way
    ready_at: int
    first_at: int
    readies: int
    portions: int
    lates: int

    @property
    def loads(self) -> tuple[Load, ...]:
        """Its parcels in the order of their doors."""
        return tuple([self.stops[i].load for i in self.way.order])


class Counter:
    """One merchant's counter as one plan sees it: how soon riders can be there, and what a round costs."""

    def __init__(
        self, spot: Spot, travel: Sequence[int], hands: Sequence[Hand], *, price: float, now: int, terms: Terms
    ) -> None:
        self._streets = streets_of(spot, terms)
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

    def single(self, load: Load) -> Round:
        """One parcel as a round."""
        stop = _Stop(load.parcel_id, self._streets.door(load.to_spot), load.ordered_at + self._late, load)
        way = self._streets.way((stop.door,))
        ready_at = load.ready_at
        return Round((stop,), way, ready_at, ready_at, ready_at, load.portions, stop.late_at)

    def joined(self, a: Round, b: Round) -> Round:
        """Two rounds as one, by the quickest way."""
        stops = tuple(sorted(a.stops + b.stops))
        way = self._streets.way(tuple([stop.door for stop in stops]))
        return Round(
            stops,
            way,
            max(a.ready_at, b.ready_at),
            min(a.first_at, b.first_at),
            a.readies + b.readies,
            a.portions + b.portions,
            a.lates + b.lates,
        )

    def is_patient(self, a: Round, b: Round) -> bool:
        """Whether food of two rounds does not wait too long for other food of them."""
        ready_at, first_at = max(a.ready_at, b.ready_at, self._now), max(min(a.first_at, b.first_at), self._now)
        return ready_at - first_at <= self._patience

    def cost(self, one: Round) -> float:
        """What it costs to have the rider who can be there soonest bring a round; NEVER when nobody can."""
        many = len(one.stops)
        soonest = self._soonest(one.ready_at, many, one.portions)
        if soonest is None:
            return NEVER
        picks_up_at, fetching = soonest
        way = one.way
        cost = self._price * (fetching + way.length)
        for i, offset in zip(way.order, way.offsets, strict=True):
            door, stop = picks_up_at + offset, one.stops[i]
            over = door - stop.late_at
            cost += door - stop.load.ready_at + (LATE_WEIGHT * over if over > 0 else 0.0)
        return cost

    def cost_least(self, a: Round, b: Round) -> float:
        """What it costs at least to have two rounds brought as one.

        No way is shorter than one of theirs with the other's service, and no door is reached sooner than without the
        other's doors, each of which is before it or after it.
        """
        many, others = len(a.stops), len(b.stops)
        soonest = self._soonest(max(a.ready_at, b.ready_at), many + others, a.portions + b.portions)
        if soonest is None:
            return NEVER
        picks_up_at, fetching = soonest
        served = self._served
        length = max(a.way.length + others * served, b.way.length + many * served)
        doors = (many + others) * picks_up_at + a.way.total + b.way.total + many * others * served
        late = LATE_WEIGHT * max(0, doors - a.lates - b.lates)
        return self._price * (fetching + length) + doors - a.readies - b.readies + late - _ROUNDING

    def _soonest(self, ready_at: int, many: int, portions: int) -> tuple[int, int] | None:
        """When the rider soonest there who can bring it picks it up, and what it takes him to come; None for nobody."""
        for there_at, fetching, until, portions_max in self._arrivals:
            picks_up_at = ready_at if ready_at > there_at else there_at
            if picks_up_at <= until and (many == 1 or portions <= portions_max):
                return picks_up_at, fetching
        return None


class Lot(NamedTuple):
    """Parcels of one counter that may be bundled, each a round of its own yet, and what each costs."""

    counter: Counter
    singles: list[Round]
    costs: list[float]

    @staticmethod
    def of(loads: Sequence[Load], counter: Counter) -> Lot:
        """These parcels."""
        singles = [counter.single(load) for load in loads]
        return Lot(counter, singles, [counter.cost(one) for one in singles])


# What is lost by having two rounds of a lot brought as one, or saved when it is below zero; whether that is so, or the
# least that it may be, which is then looked at before others that lose as much; and the two's numbers.
_Pair = tuple[float, bool, int, int]


def pairs_of(lots: Sequence[Lot], *, price: float, now: int, terms: Terms) -> list[list[_Pair]]:
    """For each lot, which two parcels are better brought as one: all in one go, as `Counter.cost` counts it."""
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
        both = both + (door - ready[one] + LATE_WEIGHT * np.maximum(0, door - late[one]))
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


def bundled(lot: Lot, pairs: list[_Pair]) -> list[Round]:
    """The rounds of a lot: two become one while that saves most, each with the rider soonest there.

    What a pair can save at most is enough to know, until no other could save more.
    """
    counter, made, costs = lot.counter, list(lot.singles), list(lot.costs)
    alive = list(range(len(made)))
    is_gone = [False] * len(made)
    rounds: dict[tuple[int, int], Round] = {}
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
        room = PARCELS_PER_BUNDLE - len(both.stops)
        for one in alive if room else ():
            other = made[one]
            if len(other.stops) <= room and counter.is_patient(other, both):
                loses = counter.cost_least(other, both) - (costs[one] + costs[-1])
                if loses < 0:
                    heappush(pairs, (loses, False, one, len(made)))
        alive.append(len(made))
        made.append(both)
    return [made[i] for i in alive]
