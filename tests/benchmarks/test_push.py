"""`BENCH=push` finds how much each server holds by itself, on a slow machine and on a fast one (issue 4)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.push import FIRST_RATE, NEAR, STEPS_MAX, highest_rate
from benchmarks.servers import cpu_of

BURNS_S = 0.2
BURN = f"import time\nwhile time.process_time() < {BURNS_S}: pass\nprint('burnt', flush=True)\ninput()"
STARTS = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', sys.argv[1], *sys.argv[2:]])"


@pytest.mark.parametrize("limit", [1_300, 4_000, FIRST_RATE, 12_499, 31_500, 90_000])
def test_the_highest_rate_is_found_to_a_twentieth(limit: int) -> None:
    tried: list[int] = []

    def holds(rate: int) -> bool:
        tried.append(rate)
        return rate <= limit

    found = highest_rate(holds)

    assert limit / NEAR <= found <= limit
    assert len(tried) < STEPS_MAX
    assert max(tried) <= 1.25 * limit or max(tried) == FIRST_RATE


def test_what_a_servers_childs_child_does_is_counted() -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", STARTS, STARTS, BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    server.stdout.readline()

    counted = cpu_of(server.pid)
    server.communicate(b"\n", timeout=10)

    assert counted >= BURNS_S
