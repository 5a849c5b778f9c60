"""A campus whose books are made to differ, and what its reconciliation makes of it: `tuanzi reconcile` (C3).

Orders are made as students make them; then rows are changed, gone or never written, callbacks lost and bills altered,
each in books that agreed before. The comparison of every minute and the bills of two days must find each of them, give
it its class, and mend it or ask for a person.

`cases`: the ways in which books differ. `bench`: the campus, and hands that change its books. `ordering`: orders to
plant in. `outcome`: what came of it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from simulation.house import VirtualHouse
from simulation.lunch import begin
from simulation.reconciling import store as planted
from simulation.reconciling.bench import Bench, Bills, Place, Planted
from simulation.reconciling.cases import Case, mix_of
from simulation.reconciling.ordering import orders_for, plenty
from simulation.reconciling.outcome import Reconciled, told_of
from simulation.world import World

REPAIRED_MIN = 0.95  # issue 3; reliability.md 7
DIFFERENCES_MAX = 10_000  # their orders are made one after another between ten and five
# In seconds since 10:00: ten seconds before midnight, and after the bills of a day were read at 10:05 of the next.
MIDNIGHT_S = 14 * 3600.0 - 10.0
BILLED_S = 24 * 3600.0 + 20 * 60.0
DAY_S = 24 * 3600.0
# Balances and stock are looked at again when what the orders' rows make wrong in them is mended.
ROUND_S = 200.0


def reconcile_planted(differences: int, *, seed: int = 1) -> Reconciled:
    """Make so many differences on a campus of its own, let two days be compared, and say what came of it.

    differences: at least as many as there are cases, else each case once. The same seed gives the same books.
    """
    made: list[Bills] = []

    def company(trouble: Any, clock: Any) -> Bills:
        made.append(Bills(trouble, clock))
        return made[-1]

    world = World(seed, house=partial(VirtualHouse, company=company))
    counts = mix_of(differences)
    world.house.disks["core"].execute_script(planted.PATIENT)
    begin(world, plenty(world.house.campus, world.chance))
    places = orders_for(world, counts)
    bench = Bench(world, made[0], places)
    made_to_differ: dict[Case, list[Planted]] = {case: [] for case in counts}

    def plant(stage: str, *, most: int | None = None) -> bool:
        """Plant what is left of a stage; False when nothing was."""
        is_any = False
        for case, count in counts.items():
            left = count - len(made_to_differ[case]) if case.when == stage else 0
            for _ in range(left if most is None else min(left, most)):
                place = bench.next_place(case.who) if case.who else Place("", "", 0)
                made_to_differ[case].append(case.plant(bench, place))
                is_any = True
        return is_any

    world.house.kill()
    world.house.disks["core"].execute_script(planted.NOBODY_WATCHES)
    plant("minute")
    _compare(world, for_s=ROUND_S + 60.0 * (world.auditor.orders_told // 1000))
    # One balance and a few dishes at a time: the next is planted when they are mended.
    while plant("rounds", most=1):
        _compare(world, for_s=ROUND_S)
    plant("raised")
    _compare(world, for_s=ROUND_S)
    plant("billed")
    world.house.start()
    world.run(until=MIDNIGHT_S)
    plant("midnight")
    world.run(until=BILLED_S)
    world.run(until=BILLED_S + DAY_S)
    told = told_of(bench, counts, made_to_differ)
    world.house.close()
    return told


def _compare(world: World, *, for_s: float) -> None:
    """Let the books be compared every minute for so long; then the process is gone."""
    world.house.reconciles = True
    world.house.start()
    world.run(until=world.clock.seconds + for_s)
    world.house.kill()
    world.house.disks["money"].execute_script(planted.NO_MORE_RUNS)
    world.house.reconciles = False
