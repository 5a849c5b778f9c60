"""How fast an order's status is read: 5,000 GETs a second for 10 s over 64 connections and 20,000 known orders.

The loop is open and latencies count from the scheduled time. One read in a hundred asks for an order that does not
exist and must be answered 404. The orders are made just before, by complete chains through the same server. With
`--json` the last line is one JSON object; the exit code is 1 when an answer was wrong or did not come.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

import msgspec
import uvloop

from benchmarks.load import Acknowledged, Known
from benchmarks.servers import ROOT, Server, baseline, tuanzi
from benchmarks.wire import GET, Address, Connection, Pace, connect, percentile

UNKNOWN = 100  # one in that many reads
STUDENTS = 20_000
ANSWERS_S_MAX = 5.0


class Report(msgspec.Struct):
    """The last line."""

    p99_ms: float
    reads_per_s: float
    p50_ms: float
    p999_ms: float
    reads: int
    unknown: int
    orders: int
    generator_us_per_read: float
    server_us_per_read: float
    wrong: list[str]


class Reads:
    """The state of one run of reads."""

    def __init__(self, requests: list[tuple[bytes, int]], connections: list[Connection]) -> None:
        """requests: each with the status it must be answered with; sent in order, over and over."""
        self.latencies: list[float] = []
        self.wrong: dict[str, int] = {}
        self.asked = 0
        self.unknown = 0
        self.seconds = 0.0
        self.cpu_s = 0.0
        self._quiet = asyncio.Event()
        self._requests = requests
        self._idle = connections
        self._waiting: deque[float] = deque()
        self._clock = time.perf_counter

    def schedule(self, at: float) -> None:
        """Send a read that was due `at`, now or when a connection is free."""
        if self._idle:
            self._send(self._idle.pop(), at)
        else:
            self._waiting.append(at)

    async def settle(self) -> None:
        """Wait until every read was answered; those that were not are `wrong`."""
        try:
            await asyncio.wait_for(self._quiet.wait(), ANSWERS_S_MAX)
        except TimeoutError:
            self.wrong["not answered"] = self.asked + len(self._waiting) - self.answered

    def forget(self) -> None:
        """Begin to count anew; nothing may be under way."""
        self.latencies.clear()
        self.asked = self.unknown = 0

    @property
    def answered(self) -> int:
        """How many answers came."""
        return len(self.latencies)

    def _send(self, connection: Connection, at: float) -> None:
        request, expected = self._requests[self.asked % len(self._requests)]
        self.asked += 1
        self._quiet.clear()

        def on_answer(status: int, body: bytes) -> None:
            self.latencies.append(self._clock() - at)
            self.unknown += status == 404
            if status != expected:
                why = f"{status} instead of {expected}"
                self.wrong[why] = self.wrong.get(why, 0) + 1
            if not status:
                return
            if self._waiting:
                self._send(connection, self._waiting.popleft())
                return
            self._idle.append(connection)
            if self.answered == self.asked:
                self._quiet.set()

        connection.send(request, on_answer)


async def read(port: int, requests: list[tuple[bytes, int]], *, rate: float, seconds: float, connections: int) -> Reads:
    """Read at that rate for so long, after a second of warm-up."""
    gc.collect()
    gc.freeze()
    gc.disable()
    opened = await connect(Address(port), connections)
    reads = Reads(requests, list(opened))
    await Pace(rate, seconds=1.0, act=reads.schedule).run()
    await reads.settle()
    reads.forget()
    began, cpu_s = time.perf_counter(), time.process_time()
    await Pace(rate, seconds=seconds, act=reads.schedule).run()
    await reads.settle()
    reads.seconds, reads.cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
    for connection in opened:
        connection.close()
    return reads


def place_orders(server: Server, count: int, *, folder: Path) -> list[Acknowledged]:
    """At least `count` paid orders, made through the API."""
    paid = folder / "orders.json"
    orders: list[Acknowledged] = []
    used = 0
    while len(orders) < count:
        words = [sys.executable, "-m", "benchmarks.load", "--port", str(server.port), "--students", str(server.known)]
        words += ["--first", str(used), "--seconds", "2", "--warmup", "0", "--acknowledged", str(paid)]
        subprocess.run(words, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        found = msgspec.json.decode(paid.read_bytes(), type=list[Acknowledged])
        if not found:
            raise RuntimeError("no order could be placed")
        orders += found
        used = max(order.student for order in orders) + 1
    return orders[:count]


def requests_for(known: Known, orders: list[Acknowledged]) -> list[tuple[bytes, int]]:
    """Reads of all orders by their members in a random order, one in a hundred of an id that does not exist."""
    chance = random.Random(5)
    found = []
    for i, order in enumerate(chance.sample(orders, len(orders))):
        token = known.students[order.student % len(known.students)].token.encode()
        is_unknown = i % UNKNOWN == 0
        order_id = f"{order.order_id[:-6]}{chance.randrange(10**6):06d}" if is_unknown else order.order_id
        path = f"/v1/campuses/{known.campus}/orders/{order_id}".encode()
        found.append((GET % (path, token), 404 if is_unknown else 200))
    return found


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=5_000.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--baseline", action="store_true", help="read from the FastAPI service instead of Tuanzi")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    contender = baseline() if arguments.baseline else tuanzi("Tuanzi")
    students = STUDENTS
    with (
        tempfile.TemporaryDirectory(prefix="tuanzi-bench-") as folder,
        Server(contender, Path(folder) / "server", students=students) as server,
    ):
        orders = place_orders(server, arguments.orders, folder=Path(folder))
        known = msgspec.json.decode(server.known.read_bytes(), type=Known)
        report = measure(server, requests_for(known, orders), arguments)
    sys.stdout.write(
        f"{server.name}: {report.reads_per_s:.0f} reads/s, p50 {report.p50_ms} ms, p99 {report.p99_ms} ms, "
        f"{report.server_us_per_read} us of server for each; wrong: {report.wrong or 'nothing'}\n"
    )
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    return 1 if report.wrong else 0


def measure(server: Server, requests: list[tuple[bytes, int]], arguments: argparse.Namespace) -> Report:
    """Run the reads and add up."""
    cpu = server.cpu_s
    reads = uvloop.run(
        read(server.port, requests, rate=arguments.rate, seconds=arguments.seconds, connections=arguments.connections)
    )
    cpu = server.cpu_s - cpu
    ordered = sorted(reads.latencies)
    return Report(
        p99_ms=round(percentile(ordered, 0.99) * 1000, 2),
        reads_per_s=round(reads.answered / reads.seconds, 1),
        p50_ms=round(percentile(ordered, 0.5) * 1000, 2),
        p999_ms=round(percentile(ordered, 0.999) * 1000, 2),
        reads=reads.answered,
        unknown=reads.unknown,
        orders=len(requests),
        generator_us_per_read=round(reads.cpu_s / max(reads.answered, 1) * 1e6, 1),
        server_us_per_read=round(cpu / (reads.answered + arguments.rate) * 1e6, 1),
        wrong=[f"{count} times {why}" for why, count in reads.wrong.items()],
    )


if __name__ == "__main__":
    sys.exit(main())
