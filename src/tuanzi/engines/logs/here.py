"""Both logs within one process: for one that runs everything, and for tests. They live as long as the process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from itertools import islice

from tuanzi.engines.logs.share import Share
from tuanzi.machinery.commandlog import After, Entry, Owner
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.tables import Row

# Our choice: commands that wait for a campus's owner (about 50 MB); more are turned away.
WAITING_MAX = 100_000
# Our choice: how many stay after an owner took them, for one who begins anew behind him.
KEPT_MAX = 20_000
# Our choice: batches that a listener has not asked for; one who is slower hears no more until he has caught up.
UNHEARD_MAX = 1_000


class _Lane:
    """The commands of one campus, and who takes them. number: of the newest one."""

    def __init__(self) -> None:
        self.number = 0
        self.entries: deque[Entry] = deque()
        self.share: Share | None = None
        self.owner: Owner | None = None
        self.stamp = 0

    @property
    def taken(self) -> int:
        """Up to where an owner took, as far as is known."""
        return 0 if self.share is None else self.share.taken

    def read_from(self, share: Share, stamp: int, after: After | None) -> None:
        """Give what is there, and from then on what comes."""
        if share is not self.share:
            return
        self.stamp = stamp
        if after is not None:
            first = self.number - len(self.entries)  # the number before the first that is kept
            share.hand(stamp, list(islice(self.entries, max(0, after.number - first), None)))


class HereCommandLog:
    """Commands by campus, shared out evenly among all that read."""

    def __init__(self, *, campuses: Sequence[str]) -> None:
        self._lanes = {campus: _Lane() for campus in campuses}
        self._owners: list[Owner] = []
        self._sharing_out = asyncio.Lock()

    async def ensure(self) -> None:
        """Nothing needs to be made."""

    async def append(self, campus: str, bodies: Sequence[bytes]) -> None:
        """As the port says; raises Unavailable when too many wait."""
        lane = self._lanes[campus]
        if lane.number - lane.taken + len(bodies) > WAITING_MAX:
            raise Unavailable(campus=campus)
        entries = [Entry(lane.number + i, body) for i, body in enumerate(bodies, 1)]
        lane.number += len(entries)
        lane.entries.extend(entries)
        while len(lane.entries) > KEPT_MAX and lane.entries[0].number <= lane.taken:
            lane.entries.popleft()
        if lane.share is not None:
            lane.share.hand(lane.stamp, entries)

    async def read(self, owner: Owner) -> None:
        """As the port says."""
        self._owners.append(owner)
        try:
            await self._share_out()
            await asyncio.get_running_loop().create_future()
        finally:
            self._owners.remove(owner)
            await self._share_out()

    @property
    def lags(self) -> dict[str, int]:
        """By campus that is read: how many commands wait there."""
        return {campus: lane.number - lane.taken for campus, lane in self._lanes.items() if lane.share is not None}

    async def close(self) -> None:
        """As the port says."""

    async def _share_out(self) -> None:
        """Give each campus to one owner; those that stay are not disturbed."""
        async with self._sharing_out:
            for i, lane in enumerate(self._lanes.values()):
                owner = self._owners[i % len(self._owners)] if self._owners else None
                if owner is lane.owner:
                    continue
                former, lane.owner = lane.share, owner
                if former is not None:
                    await former.let_go()
                lane.share = None
                if owner is not None:
                    campus = list(self._lanes)[i]
                    lane.share = Share(campus, owner, read_from=lane.read_from, former=former)


class HereEventLog:
    """Events by database, to whoever listens in this process; nothing is kept but the newest numbers."""

    def __init__(self, *, sources: Sequence[str]) -> None:
        self._newest = dict.fromkeys(sources, 0)
        self._listeners: list[_Ear] = []

    async def ensure(self) -> None:
        """Nothing needs to be made."""

    async def publish(self, source: str, events: Sequence[Row]) -> None:
        """As the port says."""
        newest = self._newest[source]
        rows = [row for row in events if row[0] > newest]
        if rows:
            self._newest[source] = rows[-1][0]
            for listener in self._listeners:
                listener.hear(source, rows)

    async def newest(self, source: str) -> int:
        """As the port says."""
        return self._newest[source]

    async def listen(self, sources: Sequence[str]) -> AsyncGenerator[tuple[str, list[Row]], None]:
        """As the port says; whoever falls UNHEARD_MAX batches behind misses what comes meanwhile, and is told so."""
        ear = _Ear(sources)
        self._listeners.append(ear)
        try:
            while True:
                yield await ear.next()
        finally:
            self._listeners.remove(ear)

    async def close(self) -> None:
        """As the port says."""


class _Ear:
    """What one listener has not asked for yet."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._waiting: deque[tuple[str, list[Row]]] = deque((source, []) for source in sources)
        self._sources = frozenset(sources)
        self._missed: set[str] = set()
        self._wake = asyncio.Event()

    def hear(self, source: str, rows: list[Row]) -> None:
        """Something was published."""
        if source not in self._sources:
            return
        if len(self._waiting) >= UNHEARD_MAX:
            self._missed.add(source)
        else:
            self._waiting.append((source, rows))
            self._wake.set()

    async def next(self) -> tuple[str, list[Row]]:
        """The next batch; an empty one where some were missed."""
        while not self._waiting:
            if self._missed:
                return self._missed.pop(), []
            self._wake.clear()
            await self._wake.wait()
        return self._waiting.popleft()
