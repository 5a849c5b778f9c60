"""The cache that all processes share, between what each has in memory and the database (A2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Final, Protocol

from msgspec import Struct

from tuanzi.machinery.cache import Absent

# Our choice. Who finds that another process is loading looks again after each of these, then loads himself: a load of
# the database takes a millisecond or two, and nobody waits for a process that died over it.
LOOKS_AGAIN_AFTER_S = (0.002, 0.004, 0.008, 0.016)
# As long as a value is kept in a process (L1).
KEEP_S = 60.0
# What was heard about keys, in each of two generations; about 150 bytes each.
HEARD_MAX = 50_000


class Shared(Struct, frozen=True, gc=False):
    """A value and its version, which grows with every change of what it is made of."""

    version: int
    body: bytes


class Claim(Enum):
    """What is said of a key of which nothing is known."""

    MINE = "mine"  # whoever asked is to load it
    OTHERS = "others"  # somebody is loading it right now


class SharedCache(Protocol):
    """Keeps small values for a while. Losing it costs time, never truth.

    An older version never takes the place of a newer one, whoever comes late. Nothing here raises: where the cache is
    slow, gone or just changing hands it knows nothing, and says so within a few hundredths of a second.
    """

    async def find(self, key: str) -> Shared | Claim:
        """The value; or else MINE for the first who asks within a moment and OTHERS for whoever comes after him."""

    def put(self, key: str, value: Shared, *, keep_s: float) -> None:
        """Keep a value, unless a newer one is known. Whoever finds afterwards, in this process, finds it or a newer."""

    def forget(self, key: str, *, version: int, keep_s: float) -> None:
        """Values below this version are of no use any more; for `keep_s` none of them is kept."""


class NothingShared:
    """The shared cache of one process alone: there is none, and every reader loads."""

    async def find(self, key: str) -> Shared | Claim:
        """MINE, always."""
        return Claim.MINE

    def put(self, key: str, value: Shared, *, keep_s: float) -> None:
        """Nothing is kept."""

    def forget(self, key: str, *, version: int, keep_s: float) -> None:
        """Nothing was kept."""


Loader = Callable[[str], Awaitable[Shared | Absent]]


class SharedReads:
    """Reads through the shared cache: what it knows, or else what one process of all loads and gives to the others.

    The race that it must not lose: a reader loads version 5, an event says that there is a 6, and only then is the 5
    put where all find it. Whoever heard the event believes no value of the cache until he has loaded one himself since,
    and puts nothing that he loaded before it. So what the cache loses, in a crash or a failover, costs him loads only.
    For those who start after the event, and do not hear it, whoever decided the change has the cache `forget` all below
    its version, so that it refuses a 5 from then on.
    """

    def __init__(self, shared: SharedCache, *, prefix: str, keep_s: float = KEEP_S) -> None:
        """prefix: what kind of value this is, and whose; no two kinds share one."""
        self._shared = shared
        self._prefix = prefix
        self._keep_s = keep_s
        # By key: the version below which nothing is believed; below zero, an event after which nothing is known yet.
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}
        self._events = 0

    async def load(self, key: str, loader: Loader) -> Shared | Absent:
        """The value of a key; `loader` reads it where the cache knows none that can be believed."""
        found = await self._look(key)
        if found is not None:
            return found
        heard = self._find_heard(key)
        value = await loader(key)
        if isinstance(value, Shared) and self._find_heard(key) == heard:
            if heard is not None:
                self._keep_heard(key, value.version)
            self._shared.put(self._prefix + key, value, keep_s=self._keep_s)
        return value

    def heard(self, key: str) -> None:
        """Something of this key has changed; nobody says to which version."""
        self._events += 1
        self._keep_heard(key, -self._events)

    async def _look(self, key: str) -> Shared | None:
        for pause_s in (0.0, *LOOKS_AGAIN_AFTER_S):
            if pause_s:
                await asyncio.sleep(pause_s)
            heard = self._find_heard(key)
            if heard is not None and heard < 0:
                return None
            found = await self._shared.find(self._prefix + key)
            if isinstance(found, Shared):
                # Asked again: an event may have come in between.
                heard = self._find_heard(key)
                return found if heard is None or 0 <= heard <= found.version else None
            if found is Claim.MINE:
                return None
        return None

    def _find_heard(self, key: str) -> int | None:
        heard = self._young.get(key)
        return self._old.get(key) if heard is None else heard

    def _keep_heard(self, key: str, heard: int) -> None:
        if len(self._young) >= HEARD_MAX and key not in self._young:
            self._young, self._old = {}, self._young
        self._young[key] = heard


NOTHING_SHARED: Final = NothingShared()
