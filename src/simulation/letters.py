"""The post in a simulated world: letters to other writers are lost, left unanswered, carried twice or far too late."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from simulation.faults import Trouble
from simulation.virtual import Clock
from tuanzi.base.branch import BranchRefused
from tuanzi.delivery import TryDelivery
from tuanzi.machinery.post import Letter, Post
from tuanzi.money import TrySharing

# Our choice: from within the coordinator's patience until long after the deadline of a Try (15 s).
LATE_S = (0.5, 90.0)


class FaultyPost:
    """Carries letters by `post` and lets trouble hit them; what is late outlives the process that wrote it."""

    def __init__(self, post: Post, trouble: Trouble, clock: Clock) -> None:
        self._post = post
        self._trouble = trouble
        self._clock = clock
        self._under_way: list[tuple[float, int, Letter]] = []
        self._count = 0

    async def send(self, letters: Sequence[Letter]) -> list[Any]:
        """As the port says."""
        answers: dict[int, Any] = {}
        carried: dict[int, Letter] = {}
        for i, letter in enumerate(letters):
            if self._trouble.strikes("letter_lost"):
                answers[i] = TimeoutError()
            elif self._trouble.strikes("letter_late"):
                self._delay(letter)
                answers[i] = TimeoutError()
            elif isinstance(letter.command, TrySharing | TryDelivery) and self._trouble.strikes("letter_refused"):
                answers[i] = BranchRefused()
            else:
                carried[i] = letter
                if self._trouble.strikes("letter_twice"):
                    self._delay(letter)
        for i, answer in zip(carried, await self._post.send(list(carried.values())), strict=True):
            answers[i] = TimeoutError() if self._trouble.strikes("letter_unanswered") else answer
        return [answers[i] for i in range(len(letters))]

    def _delay(self, letter: Letter) -> None:
        self._count += 1
        due_s = self._clock.seconds + self._trouble.between(*LATE_S)
        heapq.heappush(self._under_way, (due_s, self._count, letter))

    def deliver(self, hand_in: Callable[[Letter], None]) -> None:
        """Hand in what is due by now."""
        while self._under_way and self._under_way[0][0] <= self._clock.seconds:
            hand_in(heapq.heappop(self._under_way)[2])

    @property
    def next_at(self) -> float | None:
        """When the next late letter arrives."""
        return self._under_way[0][0] if self._under_way else None
