"""A storm of splits: groups that are opened, joined, paid and so split, one after another, while much goes wrong (B3).

Students do nothing else, so that a run is mostly transactions: a group a second, faults all the while, then everything
heals and each split must be final within a minute.
"""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from itertools import count
from multiprocessing import get_context
from random import Random
from typing import Any

from msgspec import Struct

from simulation import catalogs
from simulation.asking import Ask
from simulation.faults import CALM, Swarm, draw
from simulation.house import VirtualHouse
from simulation.invariants import Broken, digest
from simulation.invariants.splits import Transactions
from simulation.lunch import MakeHouse, begin, rest
from simulation.students import JOIN, OPEN, PAY, person
from simulation.world import Script, Wait, World
from tuanzi.base.who import Who

# A group a second, as at noon on a large campus (our choice).
BETWEEN_S = 1.0
# Long enough for the slowest to pay and for the last deadline to come.
AFTER_S = 600.0
HEALED_S = 60.0
# The payment company reports again and again what was paid; by then even the last report has come.
REPORTED_S = 3600.0
PAY_TRIES = 4
# Between two looks for what is broken first (our choice: shorter than a split's Trys may take).
LOOK_S = 5.0
GROUPS = 60
AT_ONCE = 8  # seeds of one core between two looks whether it is enough


class StormReport(Struct, frozen=True, kw_only=True):
    """What a storm's splits have come to.

    stuck: not final a minute after everything healed. mixed: with a branch done and another undone, at any look.
    helped: that need a person. success_rate: final, consistent everywhere, and without a person; a refused Try and a
    deadline are a cancelled split, which is a success too, for everybody has his money back. Nothing is left out.
    mix: how likely this seed made each fault. faults: how often each happened.
    """

    seed: int
    splits: int
    confirmed: int
    cancelled: int
    stuck: int
    mixed: int
    helped: int
    groups: int
    orders: int
    events: int
    reasons: dict[str, int]
    mix: dict[str, float]
    faults: dict[str, int]
    digest: str
    broken: list[Broken]

    @property
    def invariants_broken(self) -> list[str]:
        """Their names."""
        return sorted({each.name for each in self.broken})

    @property
    def failures(self) -> int:
        """Splits that did not succeed, each once at the most."""
        return min(self.splits, self.stuck + self.mixed + self.helped)


def storms(splits: int, *, first: int, faults: bool) -> Iterator[StormReport]:
    """Storms from the seed `first` on, in order, until so many groups were split; a process for each core."""
    run = partial(_alone, faults=faults)
    cores = os.cpu_count() or 1
    done = 0
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as processes:
        for start in count(first, AT_ONCE * cores):
            for report in processes.map(run, range(start, start + AT_ONCE * cores)):
                if done < splits:
                    done += report.splits
                    yield report
            if done >= splits:
                return


def storms_here(splits: int, *, first: int, faults: bool) -> Iterator[StormReport]:
    """The same storms in this process alone, for whoever has others at work."""
    done = 0
    for seed in count(first):
        report = _storm_of(seed, faults=faults)
        done += report.splits
        yield report
        if done >= splits:
            return


def _alone(seed: int, *, faults: bool) -> StormReport:
    logging.disable(logging.CRITICAL)  # the rooms tell of each planned fault
    gc.set_threshold(500_000, 20, 1_000)
    return _storm_of(seed, faults=faults)


def _storm_of(seed: int, *, faults: bool) -> StormReport:
    return split_storm(seed, swarm=draw(Random(seed)) if faults else None)


def split_storm(
    seed: int, *, groups: int = GROUPS, swarm: Swarm | None = None, house: MakeHouse = VirtualHouse
) -> StormReport:
    """Let so many groups be split on a small campus with plenty of everything."""
    mix = {name: likely for name, likely in asdict(swarm or CALM).items() if likely}
    world = _begun(seed, groups=groups, swarm=swarm, house=house)
    world.run(until=_ends_s(groups))
    stuck = len(_healed(world))
    world.run(until=world.clock.seconds + REPORTED_S)
    rest(world)
    report = _report_of(world, seed, groups=groups, stuck=stuck, mix=mix)
    world.house.close()
    return report


def first_broken(
    seed: int, *, groups: int, swarm: Swarm | None = None, house: MakeHouse = VirtualHouse
) -> list[Broken]:
    """What breaks first in a storm whose books are looked at every few seconds; it goes no further. Empty: nothing."""
    world = _begun(seed, groups=groups, swarm=swarm, house=house)
    while not (broken := world.auditor.look(at_rest=False)) and world.clock.seconds < _ends_s(groups):
        world.run(until=world.clock.seconds + LOOK_S)
    if not broken:
        broken += [
            Broken("I5", f"split {gid} is not final a minute after all healed") for gid in sorted(_healed(world))
        ]
    if not broken:
        world.run(until=world.clock.seconds + REPORTED_S)
        rest(world)
    world.house.close()
    return broken


def _begun(seed: int, *, groups: int, swarm: Swarm | None, house: MakeHouse) -> World:
    world = World(seed, swarm=swarm, house=house)
    begin(world, plenty(world.house.campus, world.chance))
    for i in range(groups):
        world.act(_group(world, i), after=i * BETWEEN_S)
    return world


def _ends_s(groups: int) -> float:
    return 30.0 + groups * BETWEEN_S + AFTER_S


def _healed(world: World) -> set[str]:
    """End the faults; the splits that are not final a minute later, of those that were there when the house was up."""
    world.heal()
    while not world.house.is_up:  # whoever starts it waits longer after each crash of its own
        world.run(until=world.clock.seconds + 1.0)
    begun = _unfinished(world.house)
    world.run(until=world.clock.seconds + HEALED_S)
    return begun & _unfinished(world.house)


def plenty(campus: str, chance: Random) -> catalogs.Catalog:
    """The small campus with portions for all, and groups that are split as soon as they are full."""
    catalog = catalogs.small(campus, chance)
    two = {**catalog["campaigns"][0], "id": "duo", "tiers": [{"size": 2, "off_percent": 5, "off_fen": 30}]}
    return {
        **catalog,
        "dishes": [{**dish, "portions_per_meal": 100_000} for dish in catalog["dishes"]],
        "campaigns": [catalog["campaigns"][0], two],
    }


def _group(world: World, number: int) -> Script:
    """One group's members, one after another; who gets no answer gives up, and his group fails at its deadline."""
    chance = world.chance
    size, campaign = (3, "trio") if chance.random() < 0.7 else (2, "duo")
    people = [person(number * 4 + i, campus=world.house.campus) for i in range(size)]
    opening = {"campaign_id": campaign, "building_id": chance.choice(("b0", "b1")), "lines": _cart(chance)}
    opened = yield Ask("POST", OPEN, people[0], body=opening)
    if not opened.is_good:
        return
    placed = [(people[0], opened.json)]
    for who in people[1:]:
        yield Wait(chance.uniform(0.5, 10.0))
        values = {"group_id": opened.json["group_id"]}
        joined = yield Ask("POST", JOIN, who, values=values, body={"lines": _cart(chance)})
        if joined.is_good:
            placed.append((who, joined.json))
    for who, order in placed:
        yield Wait(chance.uniform(0.1, 4.0))
        yield from _pay(world, who, order["order_id"])


def _pay(world: World, who: Who, order_id: str) -> Any:
    for _ in range(PAY_TRIES):
        paid = yield Ask("POST", PAY, who, values={"order_id": order_id}, body={})
        if paid.code != "money/payment-refused":
            break
        yield Wait(world.chance.uniform(1, 5))
    prepay = paid.json.get("prepay") if paid.is_good and isinstance(paid.json, dict) else None
    if prepay is not None:
        world.pay_in_app(prepay, after=world.chance.uniform(0.5, 10))


def _cart(chance: Random) -> list[dict[str, Any]]:
    merchants = chance.sample(range(3), chance.choice((1, 1, 2)))
    return [{"dish_id": f"m{m}-d{chance.randrange(3)}", "quantity": chance.choice((1, 1, 2))} for m in merchants]


def _unfinished(house: VirtualHouse) -> set[str]:
    known = Transactions(house)
    return {split.gid for split in known.splits if not known.is_final(split)}


def _report_of(world: World, seed: int, *, groups: int, stuck: int, mix: dict[str, float]) -> StormReport:
    known = Transactions(world.house)
    states = [split.state for split in known.splits]
    reasons: dict[str, int] = {}
    for split in known.splits:
        if split.reason:
            reasons[split.reason] = reasons.get(split.reason, 0) + 1
    return StormReport(
        seed=seed,
        splits=len(states),
        confirmed=states.count("confirmed"),
        cancelled=states.count("cancelled"),
        stuck=stuck,
        mixed=sum(known.is_mixed(split) for split in known.splits),
        helped=sum(bool(split.needs_human) for split in known.splits),
        groups=groups,
        orders=world.auditor.orders_told,
        events=sum(world.auditor.read.values()),
        reasons=dict(sorted(reasons.items())),
        mix=mix,
        faults=dict(sorted(world.trouble.hits.items())),
        digest=digest(world.house),
        broken=world.auditor.broken,
    )


class StormSum(Struct, frozen=True, kw_only=True):
    """Many storms together, as `tuanzi simulate --faults --splits N --json` tells it in its last line."""

    splits: int
    confirmed: int
    cancelled: int
    stuck: int
    mixed: int
    helped: int
    success_rate: float
    seeds: int
    orders: int
    reasons: dict[str, int]
    faults: dict[str, int]
    invariants_broken: list[str]


def sum_of(reports: Sequence[StormReport]) -> StormSum:
    """All storms' figures added up; `success_rate` is of all splits that began, 1.0 when there was none."""
    splits = sum(report.splits for report in reports)
    failures = sum(report.failures for report in reports)
    return StormSum(
        splits=splits,
        confirmed=sum(report.confirmed for report in reports),
        cancelled=sum(report.cancelled for report in reports),
        stuck=sum(report.stuck for report in reports),
        mixed=sum(report.mixed for report in reports),
        helped=sum(report.helped for report in reports),
        success_rate=1.0 if not splits else (splits - failures) / splits,
        seeds=len(reports),
        orders=sum(report.orders for report in reports),
        reasons=_added(report.reasons for report in reports),
        faults=_added(report.faults for report in reports),
        invariants_broken=sorted({name for report in reports for name in report.invariants_broken}),
    )


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    added: dict[str, int] = {}
    for each in counts:
        for name, times in each.items():
            added[name] = added.get(name, 0) + times
    return dict(sorted(added.items()))
