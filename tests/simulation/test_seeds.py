"""Crash anywhere: 1,000 seeded runs with faults keep every invariant of reliability.md 2.3 (issue 2, section 5).

Each seed draws its own faults: kills around commits, failed and torn commits, clock jumps, repeated and reordered
commands, a payment company that is late, unsure or unreachable. A failure names the command that repeats it.

Every fifth seed has a large crowd and the others a small one that comes as densely. Measured with the planted bugs that
need luck (a member too many; what is rejected still brought) over 18 seeds each: 8 of 36 found in 54 s by crowds of 40,
5 of 36 in 20 s by crowds of 16; bugs that every crowd of 40 finds, every crowd of 16 finds too, for 0.4 of the time.
"""

from __future__ import annotations

from random import Random

import pytest

from simulation.faults import draw
from simulation.lunch import lunch_wave, small_lunch

SEEDS = 1_000
STUDENTS = (40, 16, 16, 16, 16)
# Enough that every kind of fault happens in each part.
SEEDS_OF_A_PART = 50
FAULTS = {
    "kill_before",
    "kill_torn",
    "kill_after",
    "kill_between",
    "fail_before",
    "fail_torn",
    "fail_after",
    "fail_read",
    "clock_jump",
    "answer_lost",
    "twice",
    "new_key",
    "late",
    "refuse",
    "unreachable",
    "unknown",
    "duplicate",
    "tardy",
}


@pytest.mark.spread
@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_OF_A_PART))
def test_a_thousand_seeds_with_faults_break_no_invariant(first: int) -> None:
    broken: list[str] = []
    faults: set[str] = set()
    orders = came = 0
    for seed in range(first, first + SEEDS_OF_A_PART):
        students = STUDENTS[seed % len(STUDENTS)]
        came += students
        again = f"tuanzi simulate --small --faults --students {students} --seed {seed}"
        try:
            report = small_lunch(seed, students=students, swarm=draw(Random(seed)))
        except Exception as error:
            broken.append(f"{type(error).__name__}: {error}; repeat it with: {again}")
            continue
        orders += report.orders
        faults |= set(report.faults)
        broken += [f"{each.name}: {each.what}; repeat it with: {again}" for each in report.broken]

    assert not broken, "\n".join(broken[:20])
    assert orders > came // 2
    assert faults >= FAULTS


@pytest.mark.spread
@pytest.mark.parametrize("first", [0, 20])
def test_forty_seeds_with_faults_and_guests_of_another_campus_break_no_invariant_of_either(first: int) -> None:
    broken: list[str] = []
    guests = 0
    for seed in range(first, first + 20):
        again = f"tuanzi simulate --small --faults --students {STUDENTS[0]} --campuses 2 --seed {seed}"
        report = small_lunch(seed, students=STUDENTS[0], swarm=draw(Random(seed)), neighbours=("shanghai",))
        guests += report.guests
        broken += [f"{each.name}: {each.what}; repeat it with: {again}" for each in report.broken]

    assert not broken, "\n".join(broken[:20])
    assert guests > 20


@pytest.mark.spread
def test_a_lunch_wave_of_five_thousand_students_breaks_no_invariant() -> None:
    report = lunch_wave(1, students=5_000)

    assert report.broken == []
    assert report.orders > 4_000
    assert report.groups_formed > 500
    assert (
        sum(report.orders_by_state.get(state, 0) for state in ("completed", "cancelled", "refunded")) == report.orders
    )
