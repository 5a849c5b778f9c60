"""What a desk counts, for `/metrics`."""

from __future__ import annotations

from collections.abc import Sequence

from tuanzi.machinery.problems import Crashed, TooSlow
from tuanzi.machinery.writer import Outcome


class Figures:
    """What a desk has done since it started."""

    def __init__(self) -> None:
        self.batches = 0
        self.commands = 0
        self.events = 0
        self.refused = 0
        self.crashed = 0
        self.turned_away = 0
        self.replayed = 0
        self.parked = 0
        self.busy_s = 0.0
        self.batch_s_max = 0.0

    def count(self, outcomes: Sequence[Outcome], *, worked_s: float, took_s: float) -> None:
        """Add a batch: how long the desk worked at it alone, and how long it took until it was kept."""
        self.batches += 1
        self.commands += len(outcomes)
        self.busy_s += worked_s
        self.batch_s_max = max(self.batch_s_max, took_s)
        for outcome in outcomes:
            self.events += len(outcome.events)
            self.replayed += outcome.replayed
            if outcome.problem is not None:
                self.refused += 1
                self.crashed += isinstance(outcome.problem, (Crashed, TooSlow))
