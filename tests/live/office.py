"""A keeper over a real database without threads, and a process that only tells: its events come from a log on disk."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import uvloop

from simulation import bench
from tests.faults.city import SECRET
from tuanzi import live, wiring
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.events import OrderAdvanced
from tuanzi.live.store import LOG_POSITIONS
from tuanzi.machinery.codec import encode
from tuanzi.machinery.database import Ask, Flush
from tuanzi.machinery.internal import Rows
from tuanzi.machinery.push.keeper import Keeper, Log
from tuanzi.machinery.push.seen import Filter, Seen, bloom
from tuanzi.machinery.writer import Request, Writer, drive
from tuanzi.money import SandboxProvider
from tuanzi.people import ConsoleSender
from tuanzi.roles.api import _bound
from tuanzi.roles.live import live_gateway
from tuanzi.settings import read_settings
from tuanzi.wiring import House, Vendors

V = TypeVar("V")
CAMPUS = bench.CAMPUS
ROOT = Path(__file__).parents[2]


class Direct:
    """A desk of the database `notices` that does everything here and now."""

    def __init__(self, schema: Any, database: Any = None) -> None:
        """database: of any engine; one in memory for None."""
        self.database = database or wiring.open_database(None, "notices", now=wiring.wall_clock())
        self._writer = Writer(schema, position=0, event_number=0)

    async def keep_rows(self, rows: Rows) -> None:
        """Keep rows. Raises their problem."""
        (outcome,) = drive(self._writer.carry_out([Request(rows)], now=wiring.wall_clock()), self.database)
        if outcome.problem is not None:
            raise outcome.problem

    def submit(self, command: Any, *, now: datetime) -> Any:
        """Carry out a command; what it answered."""
        (outcome,) = drive(self._writer.carry_out([Request(command)], now=now), self.database)
        if outcome.problem is not None:
            raise outcome.problem
        return outcome.answer

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self.database.rows(sql, slots)

    async def look(self, reading: Callable[[Ask], V]) -> V:
        """What `reading` makes of the rows."""
        return self.database.look(reading)


class Forced:
    """A filter that says "maybe" about so many of those it does not know, and forgets all when it is `wiped`."""

    def __init__(self, share: float, *, is_wiped: bool = False, seed: int = 1) -> None:
        self._share = share
        self._is_wiped = is_wiped
        self._chance = Random(seed)
        self._known: set[str] = set()

    def add(self, id: str, /) -> None:
        """Know this id, unless everything is forgotten."""
        if not self._is_wiped:
            self._known.add(id)

    def __contains__(self, id: object, /) -> bool:
        return id in self._known or self._chance.random() < self._share


FILTERS: dict[str, Callable[[], Filter]] = {
    "bloom": bloom,
    "five in a hundred wrong": lambda: Forced(0.05),
    "all wrong": lambda: Forced(1.0),
    "wiped": lambda: Forced(0.0, is_wiped=True),
}


class DiskLog:
    """The log of a database that another process writes, looked at every few milliseconds."""

    def __init__(self, path: Path) -> None:
        self._database = Sqlite(path)
        self._subscribers: list[Any] = []

    @property
    def event_number(self) -> int:
        """The newest event."""
        return self._database.cursor()[1]

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self._database.rows(sql, slots)

    def subscribe(self, subscriber: Any) -> None:
        """Nobody is told: the log is looked at."""


class Heart:
    """What writes the log: order changes of these people, in turn, committed in batches."""

    def __init__(self, path: Path, people: Sequence[str]) -> None:
        self.people = people
        self.number = 0
        self.told = {person: array("l") for person in people}  # the numbers of what happened to each, in order
        self._database = wiring.open_database(path, "core", now=wiring.wall_clock())

    def commit(self, count: int, chance: Random) -> None:
        """So many order changes happen, to people by chance."""
        rows = []
        people = chance.choices(self.people, k=count)
        for i, person in enumerate(people, self.number + 1):
            event = OrderAdvanced(order_id=f"o{person[1:]}", member_id=person, before="paid", state=f"n{i}")
            rows.append((i, event.name, event.version, 0, encode(event).decode()))
            self.told[person].append(i)
        before, _ = self._database.cursor()
        flush = Flush(before=before, after=before + count, event_number=self.number + count, events=rows)
        self._database.commit(flush)
        self.number += count


def settings_of(data: Path) -> dict[str, str]:
    """The settings of the process that tells."""
    return {"TUANZI_DATA": str(data), "TUANZI_CAMPUSES": CAMPUS, "TUANZI_SECRET": SECRET, "TUANZI_LIVE_PORT": "0"}


async def tell(data: Path, port: int, *, log: Path, make: Callable[[], Filter], rewind: int) -> None:
    """Tell what stands in a log until the process is killed. rewind: hear so many events again that were told."""
    house = House(read_settings(settings_of(data)), Vendors(codes=ConsoleSender(), payments=SandboxProvider()))
    side = house.live
    notices = house.campuses[CAMPUS].notices.database
    kept = live.find_log_position(notices, "core")
    position = max(0, (kept or 0) - rewind)
    source = DiskLog(log)
    follower = wiring.follower_of_log("core", position=position)
    side.keepers[CAMPUS] = Keeper(
        CAMPUS,
        [Log(source, follower)],
        teller=side.tellers[CAMPUS],
        archive=side.archives[CAMPUS],
        fan_out=side.fan_out,
        seen=Seen(clock=time.monotonic, make=make),
        now=house.clock,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(house.run())
        await house.opened()
        if kept is None:  # it begins with this log, not behind what the house's own has
            await house.campuses[CAMPUS].notices.keep_rows(Rows(upserts=[(LOG_POSITIONS, [("core", 0)])]))
        async with live_gateway(house, _bound("127.0.0.1", port)):
            while True:
                follower.expect(source.event_number)
                side.keepers[CAMPUS]._wake.set()
                await asyncio.sleep(0.005)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("log", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("filter", choices=tuple(FILTERS))
    parser.add_argument("rewind", type=int)
    given = parser.parse_args()
    os.environ.pop("TUANZI_SECRET", None)
    uvloop.run(tell(given.data, given.port, log=given.log, make=FILTERS[given.filter], rewind=given.rewind))
