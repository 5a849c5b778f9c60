"""The load generator: drives complete chains against one server and checks every group's plan.

A chain is the next of 20,000 students: open or join a group, then pay; it is done when the pay was answered 200. Three
chains share a group and come over different connections: a free connection takes a seat that another's group still
offers, or opens a group when there is none. Without `--rate` the loop is closed (each connection starts its next chain
at once); with it the loop is open, and a chain's latency counts from the time it was scheduled, not from when a
connection was free. Of every group it is checked that exactly one answer held the plan, and of one in 50 that the
plan's fen add up to what each member was asked to pay. With `--alone` nobody joins: each buys in a group of his own.
The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import random
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop

from benchmarks.wire import POST, Address, Connection, Pace, connect, percentile

SIZE = 3  # members of a group; the seeded campaign's only tier
DEEP = 50  # one in that many groups is checked to the fen
CARTS = 64
DRAIN_S = 10.0


class Dish(msgspec.Struct):
    """A dish on sale."""

    dish_id: str
    price_fen: int


class Student(msgspec.Struct):
    """A signed-in student."""

    token: str
    person_id: str


class Known(msgspec.Struct):
    """What the seeding left for the generator."""

    campus: str
    campaign_id: str
    building_id: str
    dishes: list[Dish]
    students: list[Student]


class Placed(msgspec.Struct):
    """Of the answer to opening or joining."""

    group_id: str
    order_id: str
    payable_fen: int


class SubOrder(msgspec.Struct):
    """Of a plan's row, what is checked."""

    order_id: str
    items_fen: int
    discount_fen: int
    delivery_fen: int
    payable_fen: int


class Paid(msgspec.Struct):
    """Of the answer to paying; `plan` is decoded only for the groups that are looked at deeply."""

    order_id: str
    order_state: str
    group_id: str
    group_state: str
    paid_count: int
    plan: msgspec.Raw = msgspec.Raw(b"null")


class Acknowledged(msgspec.Struct):
    """A chain that the server said is done."""

    order_id: str
    payable_fen: int
    student: int


class Group(msgspec.Struct):
    """A group as the generator knows it: who has paid, and whether a plan came."""

    paid: list[Acknowledged]
    plans: int = 0
    plan: bytes = b""


class Result(msgspec.Struct):
    """What a run found. Rates are of the measured window; `acknowledged` counts the warm-up and the drain too."""

    chains: int
    seconds: float
    chains_per_s: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    ms_max: float
    requests_per_s: float
    generator_us_per_request: float
    acknowledged: int
    acknowledged_fen: int
    groups_full: int
    plans_checked_deeply: int
    students_used: int
    unanswered: int
    refused: dict[str, int]
    wrong: list[str]
    rate: float | None


class Load:
    """The state of one run."""

    def __init__(
        self, known: Known, *, first: int, connections: list[Connection], run: str, is_alone: bool = False
    ) -> None:
        """first: index of the first student not used before. run: makes the idempotency keys of this run its own.

        is_alone: no group's seats are offered to others.
        """
        self._seats_offered = 0 if is_alone else SIZE - 1
        self.acknowledged: list[Acknowledged] = []
        self.groups: dict[str, Group] = {}
        self.refused: dict[str, int] = {}
        self.latencies: list[float] = []
        self.requests = 0
        self.running = 0
        self.student = first
        self._first = first
        self._run = run.encode()
        self._students = [student.token.encode() for student in known.students]
        base = f"/v1/campuses/{known.campus}"
        self._open_path = f"{base}/groups".encode()
        self._join_path = f"{base}/groups/%s/orders"
        self._pay_path = f"{base}/orders/%s/pay"
        self._carts = _carts(known)
        self._seats: deque[str] = deque()
        self.idle = connections
        self.waiting: deque[float] = deque()
        self.is_closed_loop = False
        self.quiet = asyncio.Event()  # nothing is under way and nothing waits
        self.clock = time.perf_counter
        self._decode_placed = msgspec.json.Decoder(Placed).decode
        self._decode_paid = msgspec.json.Decoder(Paid).decode

    def schedule(self, at: float) -> None:
        """Start a chain that was due `at`, now or when a connection is free."""
        if self.idle:
            self._start(self.idle.pop(), at)
        else:
            self.waiting.append(at)

    def fill(self) -> None:
        """Start a chain on every idle connection, and let each go on with the next."""
        self.is_closed_loop = True
        for _ in range(len(self.idle)):
            self.schedule(self.clock())

    def stop(self) -> None:
        """Start no further chain; those under way are finished."""
        self.is_closed_loop = False
        self.waiting.clear()
        self._settle()

    def _start(self, connection: Connection, at: float) -> None:
        student = self.student
        self.student += 1
        self.running += 1
        self.requests += 1
        token = self._students[student % len(self._students)]
        key = b"%b-%d-" % (self._run, student)
        open_body, join_body = self._carts[student % CARTS]
        if self._seats:
            path = (self._join_path % self._seats.popleft()).encode()
            body = join_body
            is_leader = False
        else:
            path = self._open_path
            body = open_body
            is_leader = True

        def on_placed(status: int, answer: bytes) -> None:
            if status != 201:
                self._give_up(connection, "open" if is_leader else "join", status, answer)
                return
            placed = self._decode_placed(answer)
            if is_leader:
                self.groups[placed.group_id] = Group(paid=[])
                self._seats.extend([placed.group_id] * self._seats_offered)
            chain = Acknowledged(placed.order_id, placed.payable_fen, student)
            self.requests += 1
            pay = (self._pay_path % placed.order_id).encode()
            connection.send(POST % (pay, token, key + b"p", 2, b"{}"), self._on_paid(connection, chain, at))

        connection.send(POST % (path, token, key + b"o", len(body), body), on_placed)

    def _on_paid(self, connection: Connection, chain: Acknowledged, at: float) -> Callable[[int, bytes], None]:
        def on_paid(status: int, answer: bytes) -> None:
            if status != 200:
                self._give_up(connection, "pay", status, answer)
                return
            self.latencies.append(self.clock() - at)
            paid = self._decode_paid(answer)
            self.acknowledged.append(chain)
            group = self.groups[paid.group_id]
            group.paid.append(chain)
            if bytes(paid.plan) != b"null":
                group.plans += 1
                group.plan = bytes(paid.plan)
            self._release(connection)

        return on_paid

    def _give_up(self, connection: Connection, step: str, status: int, answer: bytes) -> None:
        why = f"{step} {status} {answer[:160].decode(errors='replace') if len(self.refused) < 8 else ''}"
        self.refused[why] = self.refused.get(why, 0) + 1
        if status:
            self._release(connection)
        else:
            self.running -= 1
            self._settle()

    def _release(self, connection: Connection) -> None:
        self.running -= 1
        if self.waiting:
            self._start(connection, self.waiting.popleft())
        elif self.is_closed_loop:
            self._start(connection, self.clock())
        else:
            self.idle.append(connection)
            self._settle()

    def _settle(self) -> None:
        if not self.running and not self.waiting:
            self.quiet.set()
        else:
            self.quiet.clear()


def check(groups: dict[str, Group]) -> tuple[int, int, list[str]]:
    """How many groups are full, how many plans were added up, and what was wrong (at most 20 lines)."""
    full = deep = 0
    wrong: list[str] = []
    for number, (group_id, group) in enumerate(groups.items()):
        is_full = len(group.paid) == SIZE
        full += is_full
        if group.plans != is_full:
            wrong.append(f"{group_id}: {len(group.paid)} paid but {group.plans} plans")
        elif is_full and number % DEEP == 0:
            deep += 1
            wrong.extend(f"{group_id}: {problem}" for problem in _add_up(group))
    return full, deep, wrong[:20]


def _add_up(group: Group) -> list[str]:
    rows = msgspec.json.decode(group.plan, type=list[SubOrder])
    planned: dict[str, int] = {}
    for row in rows:
        planned[row.order_id] = planned.get(row.order_id, 0) + row.payable_fen
    wrong = [
        f"{row.order_id}: a row that does not add up"
        for row in rows
        if row.items_fen - row.discount_fen + row.delivery_fen != row.payable_fen
    ]
    asked = {chain.order_id: chain.payable_fen for chain in group.paid}
    if planned != asked:
        wrong.append(f"planned {planned}, paid {asked}")
    return wrong


def _carts(known: Known) -> list[tuple[bytes, bytes]]:
    chance = random.Random(11)
    carts = []
    for _ in range(CARTS):
        dishes = chance.sample(known.dishes, 2)
        lines = [{"dish_id": dish.dish_id, "quantity": quantity} for quantity, dish in enumerate(dishes, start=1)]
        place = {"campaign_id": known.campaign_id, "building_id": known.building_id, "lines": lines}
        carts.append((msgspec.json.encode(place), msgspec.json.encode({"lines": lines})))
    return carts


async def run(arguments: argparse.Namespace) -> tuple[Result, Load]:
    """Warm up, measure, finish what is under way, check."""
    known = msgspec.json.decode(arguments.students.read_bytes(), type=Known)
    connections = await connect(Address(arguments.port), arguments.connections)
    name = f"{time.time_ns():x}"
    load = Load(known, first=arguments.first, connections=list(connections), run=name, is_alone=arguments.alone)
    gc.collect()
    gc.freeze()
    gc.disable()  # a run is short and keeps what it makes; a collection would look like the server's latency
    rate: float | None = arguments.rate
    await _drive(load, seconds=arguments.warmup, rate=rate)
    load.latencies.clear()
    began, cpu, requests = load.clock(), time.process_time(), load.requests
    await _drive(load, seconds=arguments.seconds, rate=rate)
    seconds, cpu, requests = load.clock() - began, time.process_time() - cpu, load.requests - requests
    closed = list(load.latencies)
    if rate is None:
        load.stop()
    load.quiet.clear()
    if load.running or load.waiting:
        await _within(DRAIN_S, load.quiet)
    unanswered = load.running + len(load.waiting)
    for connection in connections:
        connection.close()
    full, deep, wrong = check(load.groups) if not unanswered else (0, 0, ["some chains were not answered"])
    # An open loop's late answers belong to it; a closed loop counts what came inside the window.
    ordered = sorted(load.latencies if rate is not None else closed)
    return Result(
        chains=len(closed),
        seconds=round(seconds, 3),
        chains_per_s=round(len(closed) / seconds, 1),
        p50_ms=round(percentile(ordered, 0.5) * 1000, 2),
        p99_ms=round(percentile(ordered, 0.99) * 1000, 2),
        p999_ms=round(percentile(ordered, 0.999) * 1000, 2),
        ms_max=round(percentile(ordered, 1.0) * 1000, 2),
        requests_per_s=round(requests / seconds, 1),
        generator_us_per_request=round(cpu / max(requests, 1) * 1e6, 1),
        acknowledged=len(load.acknowledged),
        acknowledged_fen=sum(chain.payable_fen for chain in load.acknowledged),
        groups_full=full,
        plans_checked_deeply=deep,
        students_used=load.student - arguments.first,
        unanswered=unanswered,
        refused=load.refused,
        wrong=wrong,
        rate=rate,
    ), load


async def _drive(load: Load, *, seconds: float, rate: float | None) -> None:
    if seconds <= 0:
        return
    if rate is not None:
        await Pace(rate, seconds=seconds, act=load.schedule).run()
        return
    load.fill()
    await asyncio.sleep(seconds)


async def _within(seconds: float, happened: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(happened.wait(), seconds)


def main() -> None:
    """Run one load and print its result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--students", type=Path, required=True, help="the JSON file that the seeding wrote")
    parser.add_argument("--first", type=int, default=0, help="index of the first student not used yet")
    parser.add_argument("--connections", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds before the measured window")
    parser.add_argument("--rate", type=float, help="chains a second, open loop; without it the loop is closed")
    parser.add_argument("--alone", action="store_true", help="everybody buys in a group of his own")
    parser.add_argument("--acknowledged", type=Path, help="write what was acknowledged here, as a JSON list")
    arguments = parser.parse_args()
    uvloop.install()
    result, load = asyncio.run(run(arguments))
    if arguments.acknowledged:
        arguments.acknowledged.write_bytes(msgspec.json.encode(load.acknowledged))
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


if __name__ == "__main__":
    main()
