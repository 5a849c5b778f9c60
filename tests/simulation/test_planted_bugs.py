"""The simulation finds what is planted: a house that is wrong in one way breaks the invariant of that name (L5)."""

from __future__ import annotations

import pytest

from simulation.faults import Swarm
from simulation.lunch import small_lunch
from tests.simulation.mutants import MUTANTS

# Strong enough that each bug shows within a few seeds.
STORM = Swarm(
    kill_after=0.004,
    kill_torn=0.004,
    fail_before=0.01,
    kill_between=0.1,
    answer_lost=0.1,
    twice=0.05,
    tardy=0.3,
    duplicate=0.1,
    slow_s=1.0,
)
SEEDS = range(901, 931)
# With more a process that hears everything again goes round and round for minutes before it is seen.
STUDENTS = {"a follower forgets its position": 8}


@pytest.mark.spread
@pytest.mark.parametrize("bug", MUTANTS)
def test_a_planted_bug_breaks_its_invariant(bug: str) -> None:
    name, house = MUTANTS[bug]

    students = STUDENTS.get(bug, 40)

    found = any(
        name in small_lunch(seed, students=students, swarm=STORM, house=house).invariants_broken for seed in SEEDS
    )

    assert found, f"{bug}: {name} held for every seed of {SEEDS}"


@pytest.mark.spread
def test_the_house_without_a_planted_bug_withstands_the_same_storm() -> None:
    broken = {seed: small_lunch(seed, swarm=STORM).broken for seed in SEEDS}

    assert not any(broken.values()), broken
