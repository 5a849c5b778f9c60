"""Python's cycle collector, set for a process that holds a campus in memory."""

from __future__ import annotations

import gc

# Measured on the order path: with the default (700, 10, 10) every tenth microsecond goes to walking values that hold
# no cycles. What is loaded at the start is never walked again; new cycles (errors, mostly) are still found.
# Nothing else happens during a walk: 10,000 values take a millisecond or two, and ten times as many, every tenth time,
# some 15; with (50_000, 20, 50) they took up to 65 and 228 while people waited.
_THRESHOLDS = (10_000, 10, 500)


def calm_collector() -> None:
    """Walk less: call once, when everything is loaded and before work begins."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
