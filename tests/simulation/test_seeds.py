"""Crash anywhere: 1,000 seeded runs with faults keep every invariant of reliability.md 2.3 (issue 2, section 5).

Each seed draws its own faults: kills around commits, failed and torn commits, clock jumps, repeated and reordered
commands, a payment company that is late, unsure or unreachable. A failure names the command that repeats it.
"""

from __future__ import annotations

import gc
import logging
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from random import Random

from simulation.faults import draw
from simulation.lunch import lunch_wave, small_lunch

SEEDS = 1_000
STUDENTS = 40
AT_ONCE = 25


def _run(first: int) -> tuple[list[str], int, set[str]]:
    """What broke in AT_ONCE seeds from `first`, their orders, and the faults that happened."""
    logging.disable(logging.CRITICAL)
    gc.set_threshold(500_000, 20, 1_000)
    broken: list[str] = []
    faults: set[str] = set()
    orders = 0
    for seed in range(first, first + AT_ONCE):
        again = f"tuanzi simulate --small --faults --students {STUDENTS} --seed {seed}"
        try:
            report = small_lunch(seed, students=STUDENTS, swarm=draw(Random(seed)))
        except Exception as error:
            broken.append(f"{type(error).__name__}: {error}; repeat it with: {again}")
            continue
        orders += report.orders
        faults |= set(report.faults)
        broken += [f"{each.name}: {each.what}; repeat it with: {again}" for each in report.broken]
    return broken, orders, faults


def test_a_thousand_seeds_with_faults_break_no_invariant() -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        parts = list(processes.map(_run, range(0, SEEDS, AT_ONCE)))

    broken = [line for lines, _, _ in parts for line in lines]
    assert not broken, "\n".join(broken[:20])
    assert sum(orders for _, orders, _ in parts) > SEEDS * STUDENTS // 2
    assert set().union(*(faults for _, _, faults in parts)) >= {
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


def test_a_lunch_wave_of_five_thousand_students_breaks_no_invariant() -> None:
    report = lunch_wave(1, students=5_000)

    assert report.broken == []
    assert report.orders > 4_000
    assert report.groups_formed > 500
    assert (
        sum(report.orders_by_state.get(state, 0) for state in ("completed", "cancelled", "refunded")) == report.orders
    )
