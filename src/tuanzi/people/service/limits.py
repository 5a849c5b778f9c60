"""How often something may be tried: what was counted, until it is forgotten."""

from __future__ import annotations

from datetime import datetime

from tuanzi.base.unit import Unit
from tuanzi.people.model import ForgetLimit, RateLimit, Swept


def keep_limit(unit: Unit, limit: RateLimit, *, before: RateLimit) -> None:
    """Keep what was counted, until it is forgotten; without windows nothing is counted."""
    if limit.windows:
        unit.put(limit)
    if limit.windows and not before.windows:
        unit.schedule(_limit_timer(limit.id), ForgetLimit(id=limit.id), at=limit.ends_at)


def forget_limit(unit: Unit, command: ForgetLimit, *, now: datetime) -> Swept:
    """Remove a rate limit all of whose windows are over; another look is taken later when one is open."""
    limit = unit.find(RateLimit, command.id)
    if limit is None:
        return Swept(is_removed=False)
    if now < limit.ends_at:
        unit.schedule(_limit_timer(limit.id), command, at=limit.ends_at)
        return Swept(is_removed=False)
    unit.remove(RateLimit, limit.id)
    return Swept(is_removed=True)


def _limit_timer(mark: str) -> str:
    return f"limit:{mark}"
