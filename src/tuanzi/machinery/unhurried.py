"""Looks at a database for work that may wait, so that those who decide are hardly held up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from tuanzi.machinery.database import Ask
from tuanzi.machinery.desk import WriterDesk

V = TypeVar("V")

# Our choice: an eighth of the time is for looks. Python lets one thread work at a time. Measured with a minute's orders
# compared in one go while 2,300 a second came: 1,000 got through. In a process of its own a look takes from those who
# decide only the processor; with 3 there the slowest hundredth of them took 49 to 63 ms on two cores, with nothing
# beside 31 to 44. A reading thread keeps up with some 230 orders a second so, a process with 480 (decision 0034).
RESTS = 7
# Our choice: what takes longer in one look is rare, such as a day's bills, and an errand may take 30 s in all.
REST_S_MAX = 0.5


async def rest_since(began: float) -> None:
    """Do nothing for RESTS times as long as it took since `began` on the loop's clock, at most REST_S_MAX."""
    await asyncio.sleep(min(RESTS * (asyncio.get_running_loop().time() - began), REST_S_MAX))


class Unhurried:
    """A desk whose looks are followed by a rest of RESTS times as long as they took, at most REST_S_MAX."""

    def __init__(self, desk: WriterDesk) -> None:
        self._desk = desk

    async def look(self, reading: Callable[[Ask], V]) -> V:
        """As the desk's; returns after the rest."""
        began = asyncio.get_running_loop().time()
        made = await self._desk.look(reading)
        await rest_since(began)
        return made

    async def submit(self, command: Any, *, who: str = "", key: None = None, is_accepted: bool = False) -> Any:
        """As the desk's."""
        return await self._desk.submit(command, who=who, key=key, is_accepted=is_accepted)
