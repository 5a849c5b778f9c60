"""The command log within one process: for one that runs everything, and for tests. It lives as long as the process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import islice

from tuanzi.engines.logs.share import Share
from tuanzi.machinery.commandlog import Entry, Owner
from tuanzi.machinery.problems import Unavailable

# Our choice: commands that wait for a campus's owner (about 50 MB); more are turned away.
WAITING_MAX = 100_000
# Our choice: how many stay after an owner took them, for one who begins anew behind him.
KEPT_MAX = 20_000


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

    def read_from(self, share: Share, stamp: int, after: int | None) -> None:
        """Give what is there, and from then on what comes."""
        if share is not self.share:
            return
        self.stamp = stamp
        if after is not None:
            first = self.number - len(self.entries)  # the number before the first that is kept
            share.hand(stamp, list(islice(self.entries, max(0, after - first), None)))


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
