"""Waiting for what nobody tells of, such as what another process writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

V = TypeVar("V")


async def until(look: Callable[[], V], *, within_s: float = 60.0, every_s: float = 0.005) -> V:
    """What is seen, as soon as it is something. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not (seen := look()):  # noqa: ASYNC110 - there is no event for what is only seen from outside
            await asyncio.sleep(every_s)
    return seen
