"""The port to the work queue: what is to be done later, by any worker, at least once (architecture section 4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from tuanzi.machinery.pool import Pool


class Work(Struct, frozen=True, kw_only=True, gc=False):
    """Something to be done. put_at: when it was put first. attempt: the how manyth time it is tried, from 1."""

    id: str
    queue: str
    body: bytes
    put_at: datetime
    attempt: int = 1


class Backlog(Struct, frozen=True, kw_only=True, gc=False):
    """How much there is of a queue.

    waiting: works that could be done now. oldest_s: for how long the first of those has waited, as far as this process
    knows. delayed: works that wait for their next try. dead: works that failed too often.
    """

    waiting: int
    oldest_s: float
    delayed: int
    dead: int


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a work that failed waits before each next try; after the last of them it is dead.

    Our choice: as long as a vendor's restart, a deployment, an outage of half an hour; 8 tries in all.
    """

    delays_s: tuple[float, ...] = (1.0, 5.0, 30.0, 120.0, 300.0, 600.0, 600.0)

    def __post_init__(self) -> None:
        if not self.delays_s or min(self.delays_s) <= 0:
            raise ValueError(f"no delays between tries: {self.delays_s}")

    @property
    def attempts_max(self) -> int:
        """How often a work is tried."""
        return len(self.delays_s) + 1

    def delay_after(self, attempt: int) -> float | None:
        """How long a work waits that failed at this try; None when it was the last."""
        return self.delays_s[attempt - 1] if attempt < self.attempts_max else None


# Does a work; what it raises is why it is to be tried again. It may run twice for one work, on two workers at once.
WorkHandler = Callable[[Work], Awaitable[None]]


class WorkQueue(Protocol):
    """Queues of works that survive the crash of any process, and of the engine's own server.

    What `put` returned for is done at least once, or ends among the dead. Works of one queue begin about in the order
    in which they were put; nobody may rely on it.
    """

    async def put(self, works: Sequence[Work]) -> None:
        """Keep works; a repeat is done twice. Raises Unavailable within seconds: then nobody knows which are kept."""

    async def work(self, queue: str, handler: WorkHandler, *, pool: Pool) -> None:
        """Do works of a queue until cancelled, so many at once as `pool` says.

        A work is done when `handler` returned. What fails waits longer and longer, and is dead after its last try;
        what is under way when this is cancelled, or its process dies, is done again.
        """

    async def backlog(self, queue: str) -> Backlog:
        """How much there is. Raises Unavailable."""
