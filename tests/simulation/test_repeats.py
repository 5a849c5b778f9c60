"""The same seed gives the same bytes (issue 2, section 5): databases and report, with and without faults."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import msgspec
import pytest

from simulation.faults import draw
from simulation.lunch import small_lunch

SEED = 29  # draws kills, failures and a slow database


@pytest.mark.parametrize("has_faults", [False, True], ids=["without faults", "with faults"])
def test_the_same_seed_gives_the_same_bytes(has_faults: bool) -> None:
    first = small_lunch(SEED, swarm=draw(Random(SEED)) if has_faults else None)
    second = small_lunch(SEED, swarm=draw(Random(SEED)) if has_faults else None)

    assert msgspec.json.encode(first) == msgspec.json.encode(second)
    assert bool(first.faults) == has_faults


def test_another_process_gives_the_same_bytes_too() -> None:
    program = "from simulation.lunch import small_lunch; print(small_lunch(5).digest)"
    here = small_lunch(5).digest

    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert there.stdout.strip() == here


def test_another_seed_gives_other_bytes() -> None:
    assert small_lunch(5).digest != small_lunch(6).digest
