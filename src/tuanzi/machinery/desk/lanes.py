"""What waits to be decided (decision 0012)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.writer import Outcome, Request

Pending = tuple[Request, "asyncio.Future[Outcome]"]

# Our choice: a quarter of each batch for timers and what errands brought, the rest for whoever waits.
WORK_SHARE = 4


class Lanes:
    """What waits to be decided, in two lanes: whoever waits for an answer, and work that is only due (decision 0012).

    Each lane keeps its order. Of a batch of `batch_max` the work gets a quarter, and a half when nobody waits: so a
    backlog of it neither stands still nor makes the batch long in which somebody comes. Batches below 4 give it every
    fourth one.

    wake: set when the desk has something to look at. is_closing: the desk ends when it has done what waits.
    """

    def __init__(self, batch_max: int) -> None:
        self.people: deque[Pending] = deque()
        self.work: deque[Pending] = deque()
        self.batch_max = batch_max
        self.wake = asyncio.Event()
        self.is_closing = False
        self._work_max = batch_max // WORK_SHARE
        self._turn = 0

    def __len__(self) -> int:
        return len(self.people) + len(self.work)

    def put(self, request: Request, *, is_work: bool = False) -> asyncio.Future[Outcome]:
        """Have the writer carry out a request in one of its next batches, also while the desk closes."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        (self.work if is_work else self.people).append((request, future))
        self.wake.set()
        return future

    @property
    def room_for_work(self) -> int:
        """How much more work may be brought here; the rest stays where it is kept."""
        return max(0, 4 * max(self._work_max, 1) - len(self.work))

    def take(self) -> list[Pending]:
        """The next batch: people first in it."""
        work_max = self._work_max
        if not work_max:
            both = bool(self.people and self.work)
            self._turn = (self._turn + both) % WORK_SHARE
            work_max = 0 if self.people and (self._turn or not both) else self.batch_max
        elif not self.people:
            work_max *= 2
        worked = min(len(self.work), work_max)
        people, work = self.people, self.work
        batch = [people.popleft() for _ in range(min(len(people), self.batch_max - worked))]
        batch += [work.popleft() for _ in range(worked)]
        return batch

    def give_back(self, batch: Sequence[Pending]) -> None:
        """A batch that was taken but not decided is the next again."""
        self.people.extendleft(reversed(batch))

    def close(self) -> None:
        """Have the desk end when it has done what waits."""
        self.is_closing = True
        self.wake.set()

    def turn_all_away(self) -> None:
        """Tell all who wait that nothing comes of it."""
        for lane in (self.people, self.work):
            while lane:
                _, future = lane.popleft()
                if not future.done():
                    future.set_exception(Unavailable(retry_after_s=2))
