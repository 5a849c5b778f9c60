"""Time: aware UTC inside, integer milliseconds in SQL, Asia/Shanghai only when shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


@lru_cache(maxsize=4096)
def to_ms(at: datetime) -> int:
    """Whole milliseconds since 1970, rounded down. Raises TypeError for a naive time."""
    return (at - _EPOCH) // _MS


def from_ms(at_ms: int) -> datetime:
    """The aware UTC time that many milliseconds after 1970."""
    return _EPOCH + timedelta(milliseconds=at_ms)


def show(at: datetime) -> str:
    """The time as a person on campus reads it, in Asia/Shanghai, to the second."""
    return at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
