"""The two servers of `benchmarks/push`: Tuanzi's gateway, and the same job done with the `websockets` library.

Both are driven by lines of JSON on standard input, `{"rate": 5000, "seconds": 10}`: in an open loop, each order change
is due at its time whether the one before is done or not. Both keep a message before they send it, both are
acknowledged. Answers are lines of JSON on standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sqlite3
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import msgspec
import uvloop
import websockets
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.servers import ROOT, cpu_of
from simulation import bench
from tuanzi import live
from tuanzi.engines.database.scribe import Scribe
from tuanzi.events import OrderAdvanced, OrderPlaced
from tuanzi.machinery.collector import calm_collector
from tuanzi.machinery.push.keeper import Keeper, Log, Pace
from tuanzi.machinery.push.seen import Seen
from tuanzi.money import SandboxProvider
from tuanzi.people import ConsoleSender
from tuanzi.roles.api import _bound
from tuanzi.roles.live import live_gateway
from tuanzi.settings import read_settings
from tuanzi.wiring import House, Vendors, follower_of_log

assert ROOT  # the benchmarks run from the root of the project

TICK_S = 0.001
DRAIN_S_MAX = 20.0
KEPT_MAX = 500_000


class Ask(msgspec.Struct):
    """What to do: push at this rate for so long; a rate of 0 only tells the memory."""

    rate: int
    seconds: float


class Told(msgspec.Struct):
    """What was done. pushed, acked: messages of this round. took_s: until everything was acknowledged."""

    pushed: int
    acked: int
    took_s: float
    cpu_s: float
    memory_kib: int
    late_s_max: float


class Pusher(Protocol):
    """A server, as the driver uses it."""

    def push(self, numbers: range, due_ns: int) -> None:
        """Order changes number so and so happen, the first of which was due at this time."""

    @property
    def acked(self) -> int:
        """How many messages were acknowledged so far."""


def changes(numbers: range, due_ns: int, people: Sequence[str], order_ids: Sequence[str]) -> list[OrderAdvanced]:
    """Order changes of the people whose turn it is; each state says when the first of them was due, in ns."""
    count, state = len(people), f"at_{due_ns:020d}"
    return [
        OrderAdvanced(order_id=order_ids[i], member_id=people[i], before="paid", state=state)
        for i in [number % count for number in numbers]
    ]


def order_of(person_id: str) -> str:
    """The id of a person's one order."""
    return f"o{person_id[1:]}"


async def drive(pusher: Pusher, ask: Ask, *, first: int) -> Told:
    """Push changes numbered from `first` in an open loop, then wait until all is acknowledged."""
    acked = pusher.acked
    cpu, began = cpu_of(os.getpid()), time.monotonic()
    pushed, late = 0, 0.0
    wanted = int(ask.rate * ask.seconds)
    while pushed < wanted:
        at = time.monotonic() - began
        due = min(wanted, int(at * ask.rate))
        late = max(late, at - pushed / ask.rate)
        if due > pushed:
            pusher.push(range(first + pushed, first + due), int((began + pushed / ask.rate) * 1e9))
            pushed = due
        await asyncio.sleep(TICK_S)
    until = time.monotonic() + DRAIN_S_MAX
    while pusher.acked - acked < pushed and time.monotonic() < until:  # noqa: ASYNC110 - it is another process's doing
        await asyncio.sleep(0.01)
    return Told(
        pushed=pushed,
        acked=pusher.acked - acked,
        took_s=time.monotonic() - began,
        cpu_s=cpu_of(os.getpid()) - cpu,
        memory_kib=memory_kib(),
        late_s_max=late,
    )


def memory_kib() -> int:
    """The resident memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * (resource.getpagesize() // 1024)


class BenchSource:
    """A log that only memory has: the order changes that the driver makes, until they are told."""

    def __init__(self) -> None:
        self.event_number = 0
        self._subscribers: list[Any] = []
        self._events: deque[tuple[int, Any]] = deque()

    def subscribe(self, subscriber: Any) -> None:
        """Tell of what happens from now on."""
        self._subscribers.append(subscriber)

    async def rows(self, sql: str, slots: Any = None) -> list[tuple[Any, ...]]:
        """Events after a number, as a database would give them to a keeper that fell behind."""
        while self._events and self._events[0][0] <= slots["after"]:
            self._events.popleft()
        return [
            (number, event.name, event.version, 0, msgspec.json.encode(event))
            for number, event in islice(self._events, slots["limit"])
        ]

    def tell(self, events: Sequence[Any]) -> None:
        """These have happened."""
        numbered = [(self.event_number + i, event) for i, event in enumerate(events, 1)]
        self.event_number += len(events)
        self._events.extend(numbered)
        while len(self._events) > KEPT_MAX:
            self._events.popleft()
        for subscriber in self._subscribers:
            subscriber(numbered)


class Tuanzi:
    """The real house, with order changes told as if its core had committed them."""

    def __init__(self, house: House, people: Sequence[str], source: BenchSource) -> None:
        self.house = house
        self._hub = house.live.hubs[bench.CAMPUS]
        self._people = people
        self._order_ids = [order_of(person_id) for person_id in people]
        self._source = source

    def push(self, numbers: range, due_ns: int) -> None:
        """Order changes happen."""
        self._source.tell(changes(numbers, due_ns, self._people, self._order_ids))

    @property
    def acked(self) -> int:
        """How many messages were acknowledged so far."""
        return self._hub.figures.acked


@asynccontextmanager
async def tuanzi(data: Path, connections: int) -> AsyncIterator[tuple[Pusher, int, list[str]]]:
    """A house with so many people signed in; gives the port and their tokens."""
    bench.seed(data, students=connections, out=data / "known.json")
    environment = {"TUANZI_DATA": str(data), "TUANZI_CAMPUSES": bench.CAMPUS, "TUANZI_LIVE_PORT": "0"}
    vendors, scribe = Vendors(codes=ConsoleSender(), payments=SandboxProvider()), Scribe()
    house = House(read_settings(environment), vendors, scribe=scribe)
    calm_collector()
    tokens = tokens_of(house, connections)
    source = BenchSource()
    keeper = live_keeper(house, source)
    sessions = house.platform.database.rows(f"SELECT id, person_id FROM sessions ORDER BY id LIMIT {connections}")
    people = [person_id for _, person_id in sessions]
    source.tell([order_placed(order_of(person_id), person_id, now=house.clock()) for person_id in people])
    with scribe:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(house.run())
            await house.opened()
            while keeper.figures.messages < connections:  # noqa: ASYNC110 - another task's doing
                await asyncio.sleep(0.01)
            async with live_gateway(house, _bound("127.0.0.1", 0)):
                assert house.address.port is not None
                yield Tuanzi(house, people, source), house.address.port, tokens
            house.close()


def tokens_of(house: House, people: int) -> list[str]:
    """The live tokens of so many people, by the ids of their sessions."""
    tokens = []
    for (session_id,) in house.platform.database.rows(f"SELECT id FROM sessions ORDER BY id LIMIT {people}"):
        text = live.text_of(live.claim_for(session_id, campus_id=bench.CAMPUS, now=house.clock()))
        tokens.append(f"{text}.{house.keys.sign(text)}")
    return tokens


def live_keeper(house: House, source: BenchSource) -> Keeper:
    """The keeper of the campus, hearing of what the benchmark makes happen instead of its core."""
    side = house.live
    keeper = side.keepers[bench.CAMPUS] = Keeper(
        bench.CAMPUS,
        [Log(source, follower_of_log("bench", position=0))],
        teller=side.tellers[bench.CAMPUS],
        archive=side.archives[bench.CAMPUS],
        fan_out=side.fan_out,
        seen=Seen(clock=time.monotonic),
        now=house.clock,
        pace=Pace(every_s=house.settings.live_gather_ms / 1000, patient_s=house.settings.live_patient_ms / 1000),
        escalator=side.tellings[bench.CAMPUS].escalator,
    )
    return keeper


def order_placed(order_id: str, person_id: str, *, now: datetime) -> OrderPlaced:
    """The one order of a person, whose changes are pushed."""
    return OrderPlaced(order_id=order_id, group_id="g_bench", member_id=person_id, payable_fen=2000, pay_before=now)


class Plain:
    """What one writes with the `websockets` library: a queue, a thread that keeps rows, and a send for each message."""

    def __init__(self, data: Path, connections: int) -> None:
        self.people = [f"p_{i}" for i in range(connections)]
        self._order_ids = [order_of(person_id) for person_id in self.people]
        self.acked = 0
        self._connections: dict[str, ServerConnection] = {}
        self._numbers: dict[str, int] = {}
        self._queue: list[OrderAdvanced] = []
        self._wake = asyncio.Event()
        self._writing = ThreadPoolExecutor(1)
        self._database = sqlite3.connect(data / "plain.db", check_same_thread=False, isolation_level=None)
        self._database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        self._database.execute("CREATE TABLE messages (person, number, body, PRIMARY KEY (person, number))")
        self._database.execute("CREATE TABLE acks (person PRIMARY KEY, number)")

    def push(self, numbers: range, due_ns: int) -> None:
        """Order changes happen."""
        self._queue += changes(numbers, due_ns, self.people, self._order_ids)
        self._wake.set()

    async def work(self) -> None:
        """Keep what waits, then send it."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch, self._queue = self._queue[:512], self._queue[512:]
                rows = []
                for event in batch:
                    number = self._numbers[event.member_id] = self._numbers.get(event.member_id, 0) + 1
                    rows.append((event.member_id, number, msgspec.json.encode(event).decode()))
                await loop.run_in_executor(self._writing, self._keep, rows)
                for person, number, body in rows:
                    if person in self._connections:
                        push = f'{{"push":{{"channel":"user:{person}","pub":{{"data":{body},"offset":{number}}}}}}}'
                        await self._connections[person].send(push)

    def _keep(self, rows: Sequence[tuple[str, int, str]]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany("INSERT INTO messages VALUES (?, ?, ?)", rows)
        self._database.execute("COMMIT")

    async def listen(self, connection: ServerConnection) -> None:
        """A client: says who he is, then acknowledges."""
        person, acked = "", 0
        try:
            async for text in connection:
                command = msgspec.json.decode(text)
                if "connect" in command:
                    person = command["connect"]["token"]
                    self._connections[person] = connection
                    reply = {"id": command["id"], "connect": {"subs": {f"user:{person}": {"offset": 0}}}}
                    await connection.send(msgspec.json.encode(reply).decode())
                elif "send" in command:
                    number = command["send"]["data"]["ack"]
                    self.acked += number - acked
                    acked = number
        except websockets.ConnectionClosed:
            pass
        finally:
            self._connections.pop(person, None)


@asynccontextmanager
async def plain(data: Path, connections: int) -> AsyncIterator[tuple[Pusher, int, list[str]]]:
    """The same job with the `websockets` library."""
    server = Plain(data, connections)
    async with serve(server.listen, "127.0.0.1", 0, compression=None, ping_interval=None, backlog=4096) as listening:
        working = asyncio.create_task(server.work())
        yield server, next(iter(listening.sockets)).getsockname()[1], server.people
        working.cancel()


async def main(arguments: argparse.Namespace) -> None:
    """Serve until standard input ends."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = {"tuanzi": tuanzi, "websockets": plain}[arguments.kind]
    async with server(arguments.data, arguments.connections) as (pusher, port, tokens):
        (arguments.data / "tokens.json").write_bytes(msgspec.json.encode(tokens))
        print(msgspec.json.encode({"port": port, "memory_kib": memory_kib()}).decode(), flush=True)
        loop, pushed = asyncio.get_running_loop(), 0
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            told = await drive(pusher, msgspec.json.decode(line, type=Ask), first=pushed)
            pushed += told.pushed
            print(msgspec.json.encode(told).decode(), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=("tuanzi", "websockets"), required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--connections", type=int, required=True)
    uvloop.run(main(parser.parse_args()))
