"""Splits: how many three-branch transactions a second, and how long from formed to confirmed at 100 a second (B2, B3).

A whole house embedded, with one campus: desks, SQLite files with synchronous=FULL, the real rooms of core, money and
delivery. Groups of three are opened, joined and paid first, not timed; they have formed and could still grow. Then each
is closed by its deadline's command, and its split begins: stock, sharing and delivery are tried, decided, confirmed.
Saturated: all at once, over the seconds until the last is confirmed. At a rate: an open loop, each latency from when
its deadline was scheduled to when its SplitConfirmed is committed. Beside it: the same, fewer, with one commit for each
command. With `--json` the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec
import uvloop

from benchmarks.wire import percentile
from simulation import bench
from tuanzi import wiring
from tuanzi.base.ids import BuildingId, CampaignId, DishId, GroupId, OrderId, PersonId
from tuanzi.engines.database.scribe import Scribe
from tuanzi.engines.post.desks import DeskPost
from tuanzi.events import SplitCancelled, SplitConfirmed
from tuanzi.groups import CloseGroup, JoinGroup, OpenGroup, Wanted
from tuanzi.money import RecordCapture, SandboxProvider, payment_of
from tuanzi.people import ConsoleSender, Keys
from tuanzi.roles.cli import TURN_S
from tuanzi.settings import read_settings

AT_ONCE = 2_000


class Measured(msgspec.Struct):
    """The last line. `ratio_vs_one_commit`: splits a second over those with one commit for each command."""

    splits_per_s: float
    p99_ms_at_100: float
    p50_ms_at_100: float
    ratio_vs_one_commit: float
    one_commit_splits_per_s: float
    splits: int
    cancelled: int
    commits_per_split: float
    rounds: list[float]


class Town:
    """A running house with one campus, and what became of its splits."""

    def __init__(self, house: wiring.House) -> None:
        self.desks = house.campuses[bench.CAMPUS]
        self.ended: dict[str, float] = {}
        self.cancelled = 0
        self._house = house
        self._wanted = 0
        self._done = asyncio.Event()
        self._chance = Random(11)
        self._dishes = bench.bench_catalog(house.clock())["dishes"]
        self.desks.core.subscribe(self._hear)

    def _hear(self, numbered: Sequence[tuple[int, Any]]) -> None:
        now = time.perf_counter()
        for _, event in numbered:
            if type(event) in (SplitConfirmed, SplitCancelled):
                self.ended[event.group_id] = now
                self.cancelled += type(event) is SplitCancelled
        if len(self.ended) >= self._wanted:
            self._done.set()

    async def all_ended(self, count: int) -> None:
        """Wait until so many splits have ended in all."""
        self._wanted = count
        if len(self.ended) < count:
            self._done.clear()
            await self._done.wait()

    async def form(self, count: int) -> list[GroupId]:
        """So many groups with three paid members each, which have formed and are not full."""
        group_ids = [GroupId(self._house.ids.make("g", now=self._house.clock())) for _ in range(count)]
        last = 0
        for seat in range(bench.SIZE):
            for some in _chunks(group_ids, AT_ONCE):
                seated = await asyncio.gather(*(self._sit(group_id, seat) for group_id in some))
                captured = await asyncio.gather(*(self._pay(*one) for one in seated))
                last = max(outcome.events[-1][0] for outcome in captured)
        await self.desks.core.followed("money", last)
        return group_ids

    async def _sit(self, group_id: GroupId, seat: int) -> tuple[str, int]:
        ids, now = self._house.ids, self._house.clock()
        lines = tuple(
            Wanted(dish_id=DishId(dish["id"]), quantity=quantity)
            for quantity, dish in enumerate(self._chance.sample(self._dishes, 2), start=1)
        )
        order_id, member_id = OrderId(ids.make("o", now=now)), PersonId(ids.make("u", now=now))
        command: Any = JoinGroup(group_id=group_id, order_id=order_id, member_id=member_id, lines=lines)
        if not seat:
            command = OpenGroup(
                group_id=group_id,
                order_id=order_id,
                member_id=member_id,
                campaign_id=CampaignId(bench.CAMPAIGN),
                building_id=BuildingId(bench.BUILDING),
                lines=lines,
            )
        outcome = await self.desks.core.submit(command, is_accepted=True)
        return order_id, outcome.answer.payable_fen

    async def _pay(self, order_id: str, payable_fen: int) -> Any:
        capture = RecordCapture(
            payment_id=payment_of(order_id),
            order_id=order_id,
            member_id="bench",
            amount_fen=payable_fen,
            transaction_id=f"t_{order_id}",
            provider="sandbox",
        )
        return await self.desks.money.submit(capture, is_accepted=True)

    async def close(self, group_id: GroupId) -> None:
        """The group's deadline comes."""
        await self.desks.core.submit(CloseGroup(group_id=group_id), is_accepted=True)

    @property
    def commits(self) -> int:
        """Of the three databases so far."""
        return sum(desk.figures.batches for desk in (self.desks.core, self.desks.money, self.desks.delivery))


def _chunks(things: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (things[start : start + size] for start in range(0, len(things), size))


@asynccontextmanager
async def town(*, batch: int) -> AsyncIterator[Town]:
    """A house in a temporary folder, at work; with batches of so many commands."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "TUANZI_DATA": folder,
            "TUANZI_CAMPUSES": bench.CAMPUS,
            "TUANZI_WRITER_BATCH_MAX": str(batch),
            "TUANZI_WRITER_QUEUE_MAX": "1000000",
            "TUANZI_WRITER_PLACES_MAX": "500000",
        }
        settings, now = read_settings(environment), wiring.wall_clock()
        rooms = wiring.rooms_of(
            keys=Keys(settings.secret),
            sender=ConsoleSender(),
            provider=SandboxProvider(),
            is_campus=lambda name: True,
            post=DeskPost(lambda address: None),
        )
        catalog = bench.bench_catalog(now)
        for campaign in catalog["campaigns"]:
            campaign["tiers"] = [{"size": bench.SIZE, "off_percent": 10}, {"size": 10, "off_percent": 20}]
        bench.make_databases(settings, bench.CAMPUS, now=now)
        core = wiring.open_database(settings.data / bench.CAMPUS / "core.db", "core", now=now)
        bench.keep_catalog(core, wiring.schema_of("core", rooms), catalog, now=now)
        core.close()
        vendors = wiring.Vendors(codes=ConsoleSender(), payments=SandboxProvider())
        with Scribe() as scribe:  # as the server has one
            house = wiring.House(settings, vendors, scribe=scribe)
            working = asyncio.create_task(house.run())
            await house.opened()
            yield Town(house)
            house.close()
            await working


async def saturated(*, splits: int, batch: int) -> tuple[float, float, int]:
    """Splits a second when all groups close at once; commits for a split; how many were cancelled."""
    async with town(batch=batch) as at:
        group_ids = await at.form(splits)
        commits, began = at.commits, time.perf_counter()
        closing = [asyncio.create_task(at.close(group_id)) for group_id in group_ids]
        await at.all_ended(splits)
        seconds = max(at.ended.values()) - began
        await asyncio.gather(*closing)
        return splits / seconds, (at.commits - commits) / splits, at.cancelled


async def at_rate(*, splits: int, rate: float, batch: int) -> tuple[list[float], int]:
    """Milliseconds from each deadline to its confirmation, at so many a second in an open loop; how many cancelled."""
    async with town(batch=batch) as at:
        group_ids = await at.form(splits)
        began = time.perf_counter() + 0.1
        closing = []
        for i, group_id in enumerate(group_ids):
            wait_s = began + i / rate - time.perf_counter()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            closing.append(asyncio.create_task(at.close(group_id)))
        await at.all_ended(splits)
        await asyncio.gather(*closing)
        taken = [(at.ended[group_id] - began - i / rate) * 1000 for i, group_id in enumerate(group_ids)]
        return sorted(taken), at.cancelled


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=4_000, help="splits of a saturated round (4,000)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (3)")
    parser.add_argument("--rate", type=float, default=100.0, help="splits a second of the open loop (100)")
    parser.add_argument("--seconds", type=float, default=15.0, help="of the open loop (15)")
    parser.add_argument("--batch", type=int, default=256, help="commands of a commit (256)")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args(argv)
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(TURN_S)  # both as the server does
    alone, _, lost = uvloop.run(saturated(splits=max(1, options.splits // 10), batch=1))
    print(f"one commit for each command: {alone:,.0f} splits/s")
    rounds = sorted(uvloop.run(saturated(splits=options.splits, batch=options.batch)) for _ in range(options.rounds))
    per_s, commits, _ = rounds[len(rounds) // 2]
    print(f"{options.batch} commands a commit: {[round(each[0], 1) for each in rounds]} splits/s")
    taken, late = uvloop.run(
        at_rate(splits=int(options.rate * options.seconds), rate=options.rate, batch=options.batch)
    )
    measured = Measured(
        splits_per_s=round(per_s, 1),
        p99_ms_at_100=round(percentile(taken, 0.99), 1),
        p50_ms_at_100=round(percentile(taken, 0.5), 1),
        ratio_vs_one_commit=round(per_s / alone, 2),
        one_commit_splits_per_s=round(alone, 1),
        splits=options.splits,
        cancelled=lost + late + sum(each[2] for each in rounds),
        commits_per_split=round(commits, 3),
        rounds=[round(each[0], 1) for each in rounds],
    )
    p50, p99 = measured.p50_ms_at_100, measured.p99_ms_at_100
    print(f"at {options.rate:g}/s: p50 {p50} ms, p99 {p99} ms from formed to confirmed")
    if options.json:
        print(msgspec.json.encode(measured).decode())
    return 1 if measured.cancelled else 0


if __name__ == "__main__":
    sys.exit(main())
