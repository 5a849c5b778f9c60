"""The writer alone, without HTTP: how many orders a second are taken, paid, formed and split (architecture 1).

The real schemas of core and money over SQLite files with synchronous=FULL, driven as the desks drive them: one thread
decides, and a process of its own writes the batches before meanwhile. Groups of three are opened and joined,
their captures recorded in money and heard in core, where the last one forms, closes and splits the group. Batches of
`--batch` commands make one commit; then the same, fewer, with one commit for each command. An order is complete when
its split is committed. With `--json` the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import uvloop

from simulation import bench
from tuanzi import wiring
from tuanzi.base.ids import BuildingId, CampaignId, DishId, GroupId, Ids, OrderId, PersonId
from tuanzi.engines.database.scribe import Dictated, Scribe
from tuanzi.engines.post.desks import DeskPost
from tuanzi.groups import JoinGroup, OpenGroup, Wanted
from tuanzi.machinery.desk import FLIGHTS_MAX, TURNS_TO_ANSWER
from tuanzi.machinery.follower import Follower
from tuanzi.machinery.writer import Fetch, Outcome, Request, Schema, Steps, Writer, take
from tuanzi.money import RecordCapture, SandboxProvider, payment_of
from tuanzi.people import ConsoleSender, Keys
from tuanzi.roles.cli import TURN_S

# Commands come one after another: ids made in one moment would not sort by time, which no campus sees.
APART = timedelta(microseconds=100)


class Measured(msgspec.Struct):
    """The last line. `ratio_vs_one_commit`: orders a second, batched, over those with a commit for each command.

    deciding_us: processor time of the deciding thread for each order. cpu_us: of its whole process, without the one
    that writes.
    """

    orders_per_s: float
    commands_per_s: float
    events_per_s: float
    ratio_vs_one_commit: float
    one_commit_orders_per_s: float
    deciding_us: float
    cpu_us: float
    orders: int
    batch: int
    rounds: list[float]


class Rate(msgspec.Struct):
    """What one run reached."""

    orders: int
    commands: int
    events: int
    seconds: float
    deciding_s: float
    cpu_s: float


class Watch:
    """Adds up how long something took: seconds, processor time of this thread, and of the whole process."""

    def __init__(self) -> None:
        self.spent = [0.0, 0.0, 0.0]

    def __enter__(self) -> None:
        self._began = _clocks()

    def __exit__(self, *_: object) -> None:
        self.spent = [spent + now - began for spent, now, began in zip(self.spent, _clocks(), self._began, strict=True)]


def _clocks() -> tuple[float, float, float]:
    return time.perf_counter(), time.thread_time(), time.process_time()


class Line:
    """A database and its writer, kept busy as a desk keeps them: the loop dictates batches, and so many are under way
    while the next is decided."""

    def __init__(self, schema: Schema, database: Dictated, *, places_max: int, loop: asyncio.AbstractEventLoop) -> None:
        position, number = database.cursor()
        self.database = database
        self._loop = loop
        self._writer = Writer(schema, position=position, event_number=number, places_max=places_max)
        self._flying: deque[tuple[Steps, asyncio.Future[None]]] = deque()

    def hand_in(self, requests: Sequence[Request], *, now: datetime) -> list[Outcome]:
        """Decide a batch and have it written; gives the outcomes of an earlier batch, when enough are under way."""
        steps = self._writer.carry_out(requests, now=now)
        step = next(steps)
        while isinstance(step, Fetch):
            step = steps.send(take(step, self.database)[0])  # as the desks: it does not wait for the batch before
        self._flying.append((steps, self._loop.create_task(self.database.dictate(step.flush))))
        self._loop.run_until_complete(turn())
        return self._land_first() if len(self._flying) == FLIGHTS_MAX else []

    def land(self) -> list[Outcome]:
        """Wait until all that was handed in is kept; gives the outcomes. Raises the first problem."""
        outcomes: list[Outcome] = []
        while self._flying:
            outcomes += self._land_first()
        return outcomes

    def _land_first(self) -> list[Outcome]:
        steps, commit = self._flying.popleft()
        try:
            self._loop.run_until_complete(commit)
            steps.send(None)
        except StopIteration as done:
            outcomes: list[Outcome] = done.value
        self._writer.timer_changes.clear()
        for outcome in outcomes:
            if outcome.problem is not None:
                raise outcome.problem
        return outcomes

    def close(self) -> None:
        """Let go of the file."""
        self.database.close()


async def turn() -> None:
    """Let what was dictated leave: it is encoded in one turn of the loop, and written at the end of the next."""
    for _ in range(TURNS_TO_ANSWER):
        await asyncio.sleep(0)


class Campus:
    """Both databases of a campus in files, their writers, and what carries money's events to core."""

    def __init__(self, folder: Path, *, batch: int, places_max: int = 100_000) -> None:
        self.now = wiring.wall_clock()
        self._batch = batch
        rooms = wiring.rooms_of(
            keys=Keys(b"a secret of the benchmark, 32 byte"),
            sender=ConsoleSender(),
            provider=SandboxProvider(),
            is_campus=lambda name: True,
            post=DeskPost(lambda address: None),
        )
        schemas = {kind: wiring.schema_of(kind, rooms) for kind in ("core", "money")}
        for kind in schemas:
            wiring.open_database(folder / f"{kind}.db", kind, now=self.now).close()
        self._scribe = Scribe()
        self._loop = uvloop.new_event_loop()
        databases = {kind: Dictated(folder / f"{kind}.db", self._scribe) for kind in schemas}
        bench.keep_catalog(databases["core"], schemas["core"], bench.bench_catalog(self.now), now=self.now)
        self._lines = {
            kind: Line(schema, databases[kind], places_max=places_max, loop=self._loop)
            for kind, schema in schemas.items()
        }
        position = wiring.position_of(databases["core"], "money")
        self._to_core: Follower = wiring.follower_of("core", "money", schema=schemas["core"], position=position)
        self.commands = 0
        self.events = 0

    def carry_out(self, kind: str, requests: Sequence[Request]) -> list[Outcome]:
        """Carry out requests in batches. Raises the first problem."""
        outcomes: list[Outcome] = []
        for start in range(0, len(requests), self._batch):
            outcomes += self._lines[kind].hand_in(requests[start : start + self._batch], now=self.now)
        outcomes += self._lines[kind].land()
        self._count(outcomes)
        return outcomes

    def capture(self, captures: Sequence[Any]) -> None:
        """Record captures in money and let core hear of each batch as soon as money has kept it."""
        money = self._lines["money"]
        for start in range(0, len(captures), self._batch):
            some = [Request(capture) for capture in captures[start : start + self._batch]]
            self._tell_core(money.hand_in(some, now=self.now))
        self._tell_core(money.land())
        self._count(self._lines["core"].land())

    def _tell_core(self, captured: Sequence[Outcome]) -> None:
        for outcome in captured:
            self._to_core.offer(outcome.events)
        self._count(captured)
        if heard := self._to_core.take(len(captured)):
            self._count(self._lines["core"].hand_in(heard, now=self.now))

    def _count(self, outcomes: Sequence[Outcome]) -> None:
        self.commands += len(outcomes)
        for outcome in outcomes:
            self.events += len(outcome.events)

    def rows(self, kind: str, sql: str, slots: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self._lines[kind].database.rows(sql, slots)

    def closed_groups(self) -> int:
        """How many groups have their split."""
        rows = self.rows("core", "SELECT COUNT(*) FROM campus_groups WHERE state = 'closed'")
        return int(rows[0][0])

    def close(self) -> None:
        """Close the files."""
        for line in self._lines.values():
            line.close()
        self._loop.run_until_complete(turn())
        self._loop.close()
        self._scribe.close()


def orders_of(campus: Campus, ids: Ids, chance: Random, *, groups: int) -> Iterator[tuple[list[Any], list[str]]]:
    """Commands that fill so many groups, in waves: first all leaders, then all seconds, then all thirds."""
    group_ids = []
    for _ in range(groups):
        campus.now += APART
        group_ids.append(GroupId(ids.make("g", now=campus.now)))
    dishes = bench.bench_catalog(campus.now)["dishes"]
    for seat in range(bench.SIZE):
        commands: list[Any] = []
        order_ids: list[str] = []
        for group_id in group_ids:
            campus.now += APART
            order_id = OrderId(ids.make("o", now=campus.now))
            lines = tuple(
                Wanted(dish_id=DishId(dish["id"]), quantity=quantity)
                for quantity, dish in enumerate(chance.sample(dishes, 2), start=1)
            )
            member_id = PersonId(ids.make("u", now=campus.now))
            if seat:
                command: Any = JoinGroup(group_id=group_id, order_id=order_id, member_id=member_id, lines=lines)
            else:
                command = OpenGroup(
                    group_id=group_id,
                    order_id=order_id,
                    member_id=member_id,
                    campaign_id=CampaignId(bench.CAMPAIGN),
                    building_id=BuildingId(bench.BUILDING),
                    lines=lines,
                )
            commands.append(command)
            order_ids.append(order_id)
        yield commands, order_ids


def run(*, groups: int, batch: int) -> Rate:
    """Fill so many groups. Only the writers' work is timed; making commands is the client's."""
    with tempfile.TemporaryDirectory() as folder:
        campus = Campus(Path(folder), batch=batch)
        ids = Ids(Random(5).getrandbits)
        commands, events, watch = campus.commands, campus.events, Watch()
        for wave, order_ids in orders_of(campus, ids, Random(7), groups=groups):
            requests = [Request(command, who=command.member_id) for command in wave]
            with watch:
                seated = campus.carry_out("core", requests)
            captures = [
                RecordCapture(
                    payment_id=payment_of(order_id),
                    order_id=order_id,
                    member_id=command.member_id,
                    amount_fen=outcome.answer.payable_fen,
                    transaction_id=f"t_{order_id}",
                    provider="sandbox",
                )
                for command, order_id, outcome in zip(wave, order_ids, seated, strict=True)
            ]
            with watch:
                campus.capture(captures)
        assert campus.closed_groups() == groups, f"{campus.closed_groups()} of {groups} groups were split"
        campus.close()
    return Rate(groups * bench.SIZE, campus.commands - commands, campus.events - events, *watch.spent)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=24_000, help="orders of a round (24,000)")
    parser.add_argument("--batch", type=int, default=256, help="commands of a commit (256)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (3)")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args(argv)
    groups = max(1, options.orders // bench.SIZE)
    sys.setswitchinterval(TURN_S)  # as the server does
    gc.freeze()
    gc.disable()  # as the server does in its hot path: values are acyclic structs outside of the collector's sight
    alone = run(groups=max(1, groups // 10), batch=1)
    print(f"one commit for each command: {alone.orders / alone.seconds:,.0f} orders/s")
    rounds = sorted((run(groups=groups, batch=options.batch) for _ in range(options.rounds)), key=lambda r: r.seconds)
    best = rounds[len(rounds) // 2]
    per_s = [round(each.orders / each.seconds, 1) for each in rounds]
    print(f"{options.batch} commands a commit: {per_s} orders/s")
    ratio = (best.orders / best.seconds) / (alone.orders / alone.seconds)
    measured = Measured(
        orders_per_s=round(best.orders / best.seconds, 1),
        commands_per_s=round(best.commands / best.seconds, 1),
        events_per_s=round(best.events / best.seconds, 1),
        ratio_vs_one_commit=round(ratio, 2),
        one_commit_orders_per_s=round(alone.orders / alone.seconds, 1),
        deciding_us=round(best.deciding_s / best.orders * 1e6, 1),
        cpu_us=round(best.cpu_s / best.orders * 1e6, 1),
        orders=best.orders,
        batch=options.batch,
        rounds=per_s,
    )
    print(f"{measured.commands_per_s:,.0f} commands/s, {measured.events_per_s:,.0f} events/s; {ratio:.1f} x")
    print(f"processor time an order: {measured.deciding_us:.0f} us deciding, {measured.cpu_us:.0f} us in all")
    if options.json:
        print(msgspec.json.encode(measured).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
