"""A limit on how often each one may do something: a bucket of tokens for each key (J3, J5)."""

from __future__ import annotations

from datetime import datetime


class Limiter:
    """Lets each key through `burst` times at once and `rate` times a second in the long run.

    Kept for each key is only the moment at which its bucket is full again (GCRA, ITU-T I.371): about 150 bytes.
    Keys are held in two generations of `keys_max / 2`; one that did not ask while so many others did is forgotten,
    which fills its bucket.
    """

    def __init__(self, rate: float, burst: int, *, keys_max: int = 100_000) -> None:
        """Raises ValueError for a limit that lets nobody through."""
        if rate <= 0 or burst < 1 or keys_max < 2:
            raise ValueError(f"nobody gets through: rate {rate}, burst {burst}, keys_max {keys_max}")
        self._pause_s = 1 / rate
        self._slack_s = (burst - 1) / rate
        self._generation_max = keys_max // 2
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}

    def __len__(self) -> int:
        """How many keys are held."""
        return len(self._young) + len(self._old)

    def wait_s(self, key: str, now: datetime) -> float:
        """The seconds until the key may go on, 0.0 for now; nothing is taken."""
        at_s = now.timestamp()
        full_at_s = self._young.get(key, self._old.get(key, at_s))
        wait_s = min(full_at_s, at_s + self._slack_s + self._pause_s) - at_s - self._slack_s
        return wait_s if wait_s >= 1e-6 else 0.0

    def take(self, key: str, now: datetime) -> float:
        """0.0 when the key may go on, which takes a token; else the seconds until it may, and nothing is taken.

        A clock that is set back makes nobody wait longer than an empty bucket does.
        """
        at_s = now.timestamp()
        full_at_s = self._young.get(key)
        if full_at_s is None:
            full_at_s = self._old.pop(key, at_s)
        full_at_s = min(max(full_at_s, at_s), at_s + self._slack_s + self._pause_s)
        # The clock counts microseconds; what is left below that is the rounding of floats.
        wait_s = full_at_s - at_s - self._slack_s
        if wait_s < 1e-6:
            wait_s = 0.0
            full_at_s += self._pause_s
        if key not in self._young and len(self._young) >= self._generation_max:
            self._old = self._young
            self._young = {}
        self._young[key] = full_at_s
        return wait_s
