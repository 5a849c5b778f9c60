"""What makes a client's retry harmless: his Idempotency-Key and what he said under it (C4)."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple


class Once(NamedTuple):
    """A key under which a person's request takes effect once.

    fingerprint: tells requests apart, so that another request under the same key is refused and not answered
    with the first one's answer.
    """

    key: str
    fingerprint: str


def once(key: str, *said: bytes) -> Once:
    """The key with the fingerprint of what was said: method, path and body."""
    return Once(key, blake2b(b"\0".join(said), digest_size=16).hexdigest())
