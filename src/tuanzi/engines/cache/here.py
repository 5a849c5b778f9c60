"""The shared cache of one process: a bounded dict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tuanzi.machinery.sharedcache import Claim, Shared

# About 1 kB each, in each of two generations.
VALUES_MAX = 20_000
CLAIM_S = 0.1


@dataclass(slots=True)
class _Entry:
    """What is known of a key: a value or, without a body, only the version below which there is none."""

    version: int
    body: bytes | None
    until: float
    claimed_until: float = 0.0


class Here:
    """Keeps values in memory, in two generations; used from one event loop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """clock: seconds that never go back."""
        self._clock = clock
        self._young: dict[str, _Entry] = {}
        self._old: dict[str, _Entry] = {}

    async def find(self, key: str) -> Shared | Claim:
        """The value, or who is to load it; see SharedCache."""
        now = self._clock()
        entry = self._find(key)
        if entry is None:
            entry = _Entry(0, None, now + CLAIM_S)
            self._keep(key, entry)
        if entry.body is not None:
            return Shared(entry.version, entry.body)
        if now < entry.claimed_until:
            return Claim.OTHERS
        entry.claimed_until = now + CLAIM_S
        return Claim.MINE

    def put(self, key: str, value: Shared, *, keep_s: float) -> None:
        """Keep a value, unless a newer one is known."""
        entry = self._find(key)
        if entry is None or entry.version <= value.version:
            self._keep(key, _Entry(value.version, value.body, self._clock() + keep_s))

    def forget(self, key: str, *, version: int, keep_s: float) -> None:
        """Values below this version are of no use any more."""
        entry = self._find(key)
        if entry is None or entry.version < version:
            self._keep(key, _Entry(version, None, self._clock() + keep_s))

    def _find(self, key: str) -> _Entry | None:
        entry = self._young.get(key) or self._old.get(key)
        return None if entry is None or self._clock() >= max(entry.until, entry.claimed_until) else entry

    def _keep(self, key: str, entry: _Entry) -> None:
        if len(self._young) >= VALUES_MAX and key not in self._young:
            self._young, self._old = {}, self._young
        self._young[key] = entry
