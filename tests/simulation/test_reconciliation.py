"""No false alarm: a campus under load and under faults whose books are compared every minute has no difference (C3).

Every seed draws its own faults (see test_seeds.py); the next day's bills are compared as well.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from simulation import catalogs
from simulation.faults import CALM, Swarm, draw
from simulation.house import VirtualHouse
from simulation.lunch import BREAK, begin, rest
from simulation.staff import Staff
from simulation.students import WILD, Student, person
from simulation.virtual import MORNING
from simulation.world import World

STUDENTS = 40
NEXT_MORNING_S = 24 * 3600.0 + 15 * 60.0


def compared_lunch(seed: int, *, swarm: Swarm) -> World:
    """A short lunch on a small campus, until its bills were compared at 10:05 of the next day."""
    world = World(
        seed, swarm=swarm, house=lambda clock, chance, trouble: VirtualHouse(clock, chance, trouble, reconciles=True)
    )
    catalog = catalogs.small(world.house.campus, world.chance)
    begin(world, catalog)
    staff = Staff(world, campus=world.house.campus, habits=WILD, spots=catalogs.spots(catalog))
    offers = catalogs.offers(catalog)
    dorms = [building["id"] for building in catalog["buildings"] if building["kind"] == "dorm"]
    for i in range(STUDENTS):
        who = person(i, campus=world.house.campus)
        staff.knows(who)
        student = Student(world, who, building_id=world.chance.choice(dorms), offers=offers, habits=WILD)
        world.act(student.lunch(), after=BREAK.moment(world.chance.random()))
    world.run(until=BREAK.ends_s + 1800.0)
    # The hours until all is at rest, and the night, go by without their 1,500 comparisons; then there is one more.
    restart(world, reconciles=False)
    rest(world)
    world.run(until=max(world.clock.seconds + 60.0, NEXT_MORNING_S))
    restart(world, reconciles=True)
    world.run(until=world.clock.seconds + 90.0)
    return world


def restart(world: World, *, reconciles: bool) -> None:
    """The process dies; the next one compares books every minute, or does not."""
    world.house.kill()
    world.house.disks["money"].execute_script("DELETE FROM timers WHERE id = 'reconciliation:books';")
    world.house.reconciles = reconciles
    world.house.start()


def told(world: World) -> list[tuple[Any, ...]]:
    """Every difference that was ever found."""
    return world.house.rows("money", "SELECT kind, item, state, sides, mend, found_at_ms FROM differences ORDER BY id")


@pytest.mark.spread
@pytest.mark.parametrize("seed", range(3))
def test_a_campus_under_load_has_no_difference(seed: int) -> None:
    world = compared_lunch(seed, swarm=CALM)

    assert told(world) == []
    assert world.auditor.broken == []
    (runs, billed) = world.house.rows("money", "SELECT minute_runs, billed FROM reconciliation_cursors")[0]
    assert runs > 45
    assert billed >= MORNING.date().isoformat()
    world.house.close()


@pytest.mark.spread
@pytest.mark.parametrize("seed", range(100, 105))
def test_a_campus_under_faults_has_no_difference(seed: int) -> None:
    world = compared_lunch(seed, swarm=draw(Random(seed)))

    assert told(world) == []
    assert world.auditor.broken == []
    world.house.close()
