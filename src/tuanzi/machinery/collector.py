"""Python's cycle collector, set for a process that holds a campus in memory.

Whatever lives as long as a walk is not walked again: the walk hands it to the generation that none looks at, which
costs nothing, for lists are only joined. So a walk has only what was made since the one before. Nothing that comes and
goes with a request or a connection leaves a ring of objects (`tests/machinery/test_collector.py`); the few that arise
all the same, mostly of errors, are found by the next walk when they are young, and by a whole one when they are not.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

# Nothing else happens during a walk: it takes up to 1 us for each value made since the one before, for those are far
# from the processor by then. Measured over 24 s of full load, where (10_000, 10, 500) took 1,000 ms in walks of up to
# 16 ms, and now and then 75: 10,000 at a time take 715, 50,000 500 in walks of 40 ms, 200,000 340 in walks of 140.
_YOUNG_MAX = 25_000
_NEVER = 1_000_000
_LOOK_EVERY_S = 1.0
# A house with nothing to do uses 0.7 % of a core.
_QUIET = 0.05
# Our choice: a whole walk takes some 50 ms, so a thousandth of the time at most while hardly anybody is there, and
# once an hour though nobody leaves: at one request in a thousand that leaves a ring of 10 kB, 36 MB gather in an hour.
_WHOLE_EVERY_S = 60.0
_WHOLE_AFTER_S = 3600.0


def calm_collector() -> None:
    """Walk less: call once, when everything is loaded and before work begins."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, _NEVER, _NEVER)
    if _let_rest not in gc.callbacks:
        gc.callbacks.append(_let_rest)


def walk_all() -> int:
    """Look at everything once, also at what was let rest; how many unreachable objects there were."""
    gc.unfreeze()
    return gc.collect()


async def walk_when_quiet() -> None:
    """Walk over everything when little happens, at the latest after an hour; goes on until it is cancelled.

    A house in which not even a young walk became due since the last one is left alone.
    """
    walked_at = looked_at = time.monotonic()
    used_s, walks = time.process_time(), _young_walks()
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        now, used = time.monotonic(), time.process_time()
        is_quiet = used - used_s < _QUIET * (now - looked_at)
        if now - walked_at >= (_WHOLE_EVERY_S if is_quiet else _WHOLE_AFTER_S) and _young_walks() > walks:
            walk_all()
            now, used, walks = time.monotonic(), time.process_time(), _young_walks()
            walked_at = now
        looked_at, used_s = now, used


def _young_walks() -> int:
    return int(gc.get_stats()[0]["collections"])


def _let_rest(phase: str, info: dict[str, Any]) -> None:
    """Called around each walk: what it leaves is not walked again."""
    if phase == "stop":
        gc.freeze()
