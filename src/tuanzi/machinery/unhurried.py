"""Looks at a database for work that may wait, so that those who decide in the same process are hardly held up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from tuanzi.machinery.database import Ask
from tuanzi.machinery.desk import WriterDesk

V = TypeVar("V")

# Our choice: an eighth of the time is for looks, which keeps up with some 1,000 orders a second. Python lets one thread
# work at a time. Measured with a minute's orders compared in one go while 2,300 a second came: 1,000 got through.
RESTS = 7
# Our choice: what takes longer in one look is rare, such as a day's bills, and an errand may take 30 s in all.
REST_S_MAX = 0.5


class Unhurried:
    """A desk whose looks are followed by a rest of RESTS times as long as they took, at most REST_S_MAX."""

    def __init__(self, desk: WriterDesk) -> None:
        self._desk = desk

    async def look(self, reading: Callable[[Ask], V]) -> V:
        """As the desk's; returns after the rest."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        made = await self._desk.look(reading)
        await asyncio.sleep(min(RESTS * (loop.time() - began), REST_S_MAX))
        return made

    async def submit(self, command: Any, *, who: str = "", key: None = None, is_accepted: bool = False) -> Any:
        """As the desk's."""
        return await self._desk.submit(command, who=who, key=key, is_accepted=is_accepted)
