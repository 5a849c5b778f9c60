"""An owner who writes down all that he is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tuanzi.machinery.commandlog import After, Entry

CAMPUSES = ("beijing", "xian")


class Diary:
    """An owner whose effects are kept in `kept`, which several owners may share as writers share a database."""

    def __init__(self, kept: dict[str, list[Entry]] | None = None) -> None:
        self.kept: dict[str, list[Entry]] = {} if kept is None else kept
        self.calls: list[tuple[str, str]] = []
        self.held: set[str] = set()
        self.may_take = asyncio.Event()
        self.may_take.set()
        self.offered = 0
        self.fails = 0
        self._changed = asyncio.Event()

    async def begin(self, campus: str) -> After:
        """Go on after what is kept."""
        self._note("begin", campus)
        self.held.add(campus)
        kept = self.kept.get(campus)
        if not kept:
            return After()
        last = kept[-1]
        return After(last.number, last.number, ((last.number, last.mark),))

    async def take(self, campus: str, entries: Sequence[Entry]) -> None:
        """Keep commands, when that is allowed; fail as often as asked before."""
        self.offered += len(entries)
        await self.may_take.wait()
        if self.fails:
            self.fails -= 1
            raise RuntimeError("the database is away")
        self.kept.setdefault(campus, []).extend(entries)
        self._note("take", campus)

    async def end(self, campus: str) -> None:
        """It is another's."""
        self.held.discard(campus)
        self._note("end", campus)

    def bodies(self, campus: str) -> list[bytes]:
        """What is kept of a campus."""
        return [entry.body for entry in self.kept.get(campus, [])]

    async def until(self, is_so: Callable[[], bool], *, within_s: float = 60.0) -> None:
        """Wait until something is so because of a call. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()

    def _note(self, call: str, campus: str) -> None:
        self.calls.append((call, campus))
        self._changed.set()
