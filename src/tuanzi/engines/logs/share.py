"""One campus in the hands of one owner: begin, take and end, in this order, whatever fails."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from tuanzi.machinery.commandlog import After, Entry, Owner

log = logging.getLogger("tuanzi.commandlog")

# Our choice: as much as a few commits of a writer; it bounds what is handed in one call.
TAKEN_AT_ONCE = 1_000
# Our choice: an owner who fails, because his database does, is asked again as soon as a person would look.
RETRY_S = 1.0
# A clean hand-over waits so long for the owner to finish what he has; then he is cancelled, and his successor fences
# him.
END_S_MAX = 2.0

# Told which share wants to be read from where: (share, stamp, after which entry); None instead of that: not now.
ReadFrom = Callable[["Share", int, After | None], None]


class Share:
    """Calls the owner of a campus, one call at a time, and begins anew when he fails.

    What is read for it is handed in with the stamp that `read_from` gave, so that what an earlier reading still brings
    is known to be old. former: the same campus's share before this one, whose end is waited for.
    """

    def __init__(self, campus: str, owner: Owner, *, read_from: ReadFrom, former: Share | None = None) -> None:
        self.campus = campus
        self.taken = 0  # the number up to which the owner took
        self.stamp = 0
        self._owner = owner
        self._read_from = read_from
        self._former = former
        self._waiting: deque[Entry] = deque()
        self._wake = asyncio.Event()
        self._is_ending = False
        self._is_in_end = False
        self._task = asyncio.create_task(self._serve())

    def hand(self, stamp: int, entries: Sequence[Entry]) -> None:
        """Commands that were read, in order."""
        if stamp == self.stamp and not self._is_ending:
            self._waiting.extend(entries)
            self._wake.set()

    async def let_go(self) -> None:
        """Have the owner end: after the call that he is in, which is cancelled after END_S_MAX. His end itself is never
        cancelled; when it takes longer still, it goes on, and a later share of the campus waits for it."""
        self._is_ending = True
        self._wake.set()
        done, _ = await asyncio.wait({self._task}, timeout=END_S_MAX)
        if done:
            return
        log.warning("commandlog.owner_slow", extra={"campus": self.campus})
        if not self._is_in_end:
            self._task.cancel()
        await asyncio.wait({self._task}, timeout=END_S_MAX)

    async def _serve(self) -> None:
        if self._former is not None:
            await asyncio.wait({self._former._task})
            self._former = None
        while not self._is_ending:
            try:
                await self._carry()
            except Exception:
                log.exception("commandlog.owner_failed", extra={"campus": self.campus})
                await self._rest()

    async def _carry(self) -> None:
        """From the owner's begin to his end; he may come back from either with an error."""
        try:
            self._waiting.clear()
            after = await self._owner.begin(self.campus)
            self.taken = after.number
            self.stamp += 1
            self._read_from(self, self.stamp, after)
            while not self._is_ending:
                if not self._waiting:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                entries = [self._waiting.popleft() for _ in range(min(len(self._waiting), TAKEN_AT_ONCE))]
                await self._owner.take(self.campus, entries)
                self.taken = entries[-1].number
        finally:
            self.stamp += 1
            self._read_from(self, self.stamp, None)
            self._is_in_end = True
            try:
                await self._owner.end(self.campus)
            finally:
                self._is_in_end = False

    async def _rest(self) -> None:
        """Wait before the next attempt, unless it is to end."""
        deadline = asyncio.get_running_loop().time() + RETRY_S
        while not self._is_ending and (left_s := deadline - asyncio.get_running_loop().time()) > 0:
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), left_s)
            except TimeoutError:
                return
