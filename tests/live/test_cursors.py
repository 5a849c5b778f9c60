"""How far streams were sent and acknowledged is kept within five seconds, a part at a time (A4)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.live.lines import Line
from tests.live.office import Direct
from tests.live.test_repeats import SCHEMA
from tuanzi import live, wiring
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.push.gateway import Gateway
from tuanzi.machinery.push.hub import CURSORS_AT_ONCE, CURSORS_EVERY_S, Hub
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.push.ports import Kept


class Archive(live.StreamArchive):
    """An archive that notes whose cursors were kept together."""

    def __init__(self) -> None:
        super().__init__(Direct(SCHEMA))
        self.kept: list[list[str]] = []
        self.is_away = False

    async def keep_cursors(self, cursors: Sequence[tuple[str, int, int]]) -> None:
        """Note these, when the database is there."""
        if self.is_away:
            raise Unavailable(retry_after_s=2)
        await asyncio.sleep(0)  # as long as a commit takes, others work
        await super().keep_cursors(cursors)
        self.kept.append([stream for stream, _, _ in cursors])


class Readers:
    """So many people at a gateway, each reading his own stream."""

    def __init__(self, count: int) -> None:
        self.archive = Archive()
        gate: Any = None  # nobody has to be let in
        limits = PushLimits()
        self.hub = Hub("beijing", archive=self.archive, gate=gate, limits=limits, clock=lambda: 0.0)
        hubs = {"beijing": self.hub}
        self.gateway = Gateway(hubs, gate, name="g", limits=limits, clock=lambda: 0.0, now=wiring.wall_clock)
        self.names = [f"user:p{i}" for i in range(count)]
        self._numbers = dict.fromkeys(self.names, 0)

    async def come(self) -> None:
        """Everybody connects."""
        for name in self.names:
            client: Any = self.gateway.accept(Line())
            self.hub.attach(client, await self.hub.open(name), at=0)

    def tell(self, names: Sequence[str]) -> None:
        """Send these a message each."""
        for name in names:
            self._numbers[name] += 1
        self.hub.deliver([Kept(name, self._numbers[name], b"{}") for name in names])

    async def seconds(self, count: int) -> list[list[list[str]]]:
        """So many seconds pass; what was kept together in each."""
        kept = []
        for _ in range(count):
            self.archive.kept = []
            await self.hub.keep_cursors()
            kept.append(self.archive.kept)
        return kept


async def test_what_few_were_sent_is_kept_together_within_five_seconds() -> None:
    readers = Readers(3)
    await readers.come()

    readers.tell(readers.names[:1])
    first = await readers.seconds(2)
    readers.tell(readers.names[1:])
    then = await readers.seconds(CURSORS_EVERY_S)

    assert first == [[], []]
    assert then == [[], [], [readers.names], [], []]


async def test_of_many_a_part_is_kept_each_second_and_everybodys_within_five() -> None:
    readers = Readers(CURSORS_EVERY_S * CURSORS_AT_ONCE)
    await readers.come()
    kept = []
    for _ in range(3 * CURSORS_EVERY_S):
        readers.tell(readers.names)
        kept += await readers.seconds(1)

    steady = kept[2 * CURSORS_EVERY_S :]
    assert [len(parts) for parts in steady] == [1] * CURSORS_EVERY_S
    assert sorted(name for parts in steady for part in parts for name in part) == sorted(readers.names)


async def test_what_cannot_be_kept_now_is_kept_later() -> None:
    readers = Readers(2)
    await readers.come()
    readers.tell(readers.names)
    readers.archive.is_away = True
    with pytest.raises(Unavailable):
        await readers.seconds(CURSORS_EVERY_S)

    readers.archive.is_away = False
    kept = await readers.seconds(CURSORS_EVERY_S)

    assert [part for parts in kept for part in parts] == [readers.names]
    assert (await readers.archive.load(readers.names[0])).sent == 1


async def test_at_the_end_all_is_kept_though_a_part_is_just_being_kept() -> None:
    readers = Readers(2 * CURSORS_AT_ONCE)
    await readers.come()
    readers.tell(readers.names)

    await asyncio.gather(readers.hub.keep_cursors(of_all=True), readers.gateway.keep_cursors(of_all=True))

    assert sorted(name for part in readers.archive.kept for name in part) == sorted(readers.names)


async def test_at_the_end_all_is_kept_at_once() -> None:
    readers = Readers(2)
    await readers.come()
    readers.tell(readers.names)

    await readers.gateway.keep_cursors(of_all=True)

    assert readers.archive.kept == [readers.names]
