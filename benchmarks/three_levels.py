"""How fast an order's status is read through three levels: memory, a Redis Cluster, the database (A2).

5,000 GETs a second for 10 s over 64 connections; one in five is the first for its order in this process, and half of
those orders were read before by another process, which left them in Redis. The loop is open and latencies count from
the scheduled time. Then, in a process that has just started, 1,000 equal reads at once of an order that is nowhere but
in the database. The orders are made by complete chains through a server that is stopped then, so nothing of them is in
the memory of a writer. With `--json` the last line is one JSON object; the exit code is 1 when an answer was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import http.client
import os
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import uvloop

from benchmarks.load import Acknowledged, Known
from benchmarks.servers import Server, tuanzi
from benchmarks.status_reads import STUDENTS, Reads, place_orders
from benchmarks.wire import GET, Address, Pace, connect, percentile
from servers.process import Process, free_ports
from servers.redis import RedisCluster
from tuanzi.engines.cache.redis import RedisCache
from tuanzi.engines.redis.cluster import Cluster
from tuanzi.machinery.collector import calm_collector
from tuanzi.money import SandboxProvider
from tuanzi.orders import StatusBoard, board_of
from tuanzi.people import ConsoleSender
from tuanzi.roles.api import serve
from tuanzi.settings import read_settings
from tuanzi.wiring import House, Vendors

MISSES = 5  # one read in so many is an order's first
STAMPEDE = 1_000
Request = tuple[bytes, int]


class Counted(msgspec.Struct):
    """What a process that served reads counted, by level."""

    memory_hits: int
    memory_misses: int
    redis_hits: int
    redis_lost: int
    database_reads: int


class Report(msgspec.Struct):
    """The last line."""

    p99_ms: float
    reads_per_s: float
    p50_ms: float
    p999_ms: float
    reads: int
    levels: Counted
    memory_miss_share: float
    stampede_reads: int
    stampede_database_reads: int
    stampede_ms: float
    server_us_per_read: float
    wrong: list[str]


async def serve_reads(data: Path, port: int, redis: list[tuple[str, int]], counts: Path) -> None:
    """Serve the house with its statuses shared in Redis until SIGTERM; then write down what was counted."""
    environment = {**os.environ, "TUANZI_DATA": str(data), "TUANZI_PORT": str(port), "TUANZI_LIVE_PORT": "0"}
    settings = read_settings(environment)
    house = House(settings, Vendors(codes=ConsoleSender(), payments=SandboxProvider()))
    cluster = Cluster(redis, password=os.environ["REDIS_PASSWORD"])
    cache = RedisCache(cluster)
    boards: list[StatusBoard] = [
        board_of(desks.core, shared=cache, campus=campus) for campus, desks in house.campuses.items()
    ]
    calm_collector()
    running = asyncio.create_task(cluster.run())
    try:
        await cluster.connected.wait()
        await serve(house)
    finally:
        running.cancel()
    counted = Counted(
        memory_hits=sum(board.counts.hits for board in boards),
        memory_misses=sum(board.counts.misses for board in boards),
        redis_hits=cache.hits,
        redis_lost=cache.lost,
        database_reads=sum(board.database_reads for board in boards),
    )
    counts.write_bytes(msgspec.json.encode(counted))  # noqa: ASYNC240 - nothing else runs any more


class Reader:
    """A process that serves reads of the orders in a folder."""

    def __init__(self, data: Path, redis: RedisCluster) -> None:
        (self.port,) = free_ports(1)
        self._counts = data.parent / f"counts-{self.port}.json"
        words = [sys.executable, "-m", "benchmarks.three_levels", "--serve", str(data), "--port", str(self.port)]
        words += [
            "--counts",
            str(self._counts),
            "--redis",
            ",".join(f"{host}:{port}" for host, port in redis.addresses),
        ]
        environment = {**os.environ, "REDIS_PASSWORD": redis.password}
        self.process = Process("reader", words, log=data.parent / "reader.log", environment=environment)
        self.process.start(self._is_ready)

    def _is_ready(self) -> bool:
        """Whether it says so; it takes connections before it has its databases."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    @property
    def cpu_s(self) -> float:
        """Seconds of processor that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> Counted:
        """End it; what it counted."""
        self.process.stop()
        return msgspec.json.decode(self._counts.read_bytes(), type=Counted)


@contextmanager
def redis_cluster(folder: Path) -> Iterator[RedisCluster]:
    """A Redis Cluster until the end."""
    cluster = RedisCluster(folder, password=secrets.token_hex(16))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


async def read(port: int, requests: list[Request], *, rate: float, connections: int) -> Reads:
    """Send the requests, each once, at that rate."""
    gc.collect()
    gc.freeze()
    gc.disable()
    opened = await connect(Address(port), connections)
    reads = Reads(requests, list(opened))
    began, cpu_s = time.perf_counter(), time.process_time()
    await Pace(rate, seconds=len(requests) / rate, act=reads.schedule).run()
    await reads.settle()
    reads.seconds, reads.cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
    for connection in opened:
        connection.close()
    return reads


async def stampede(port: int, request: Request) -> Reads:
    """The same read from everywhere at once."""
    opened = await connect(Address(port), STAMPEDE)
    reads = Reads([request], list(opened))
    began = time.perf_counter()
    for _ in range(STAMPEDE):
        reads.schedule(began)
    await reads.settle()
    reads.seconds = time.perf_counter() - began
    for connection in opened:
        connection.close()
    return reads


def request_of(known: Known, order: Acknowledged) -> Request:
    """An order read by its member."""
    token = known.students[order.student % len(known.students)].token.encode()
    return GET % (f"/v1/campuses/{known.campus}/orders/{order.order_id}".encode(), token), 200


def mixed(firsts: list[Request], chance: random.Random) -> list[Request]:
    """Every order once for the first time, and between two of those four reads of any that was read before."""
    found: list[Request] = []
    for i, first in enumerate(firsts):
        found.append(first)
        found += [firsts[chance.randrange(i + 1)] for _ in range(MISSES - 1)]
    return found


def measure(folder: Path, redis: RedisCluster, arguments: argparse.Namespace) -> Report:
    """Make the orders, read them, and add up."""
    fresh = round(arguments.rate * arguments.seconds) // MISSES
    with Server(tuanzi("Tuanzi"), folder / "server", students=STUDENTS) as server:
        orders = place_orders(server, fresh + 2, folder=folder)
        known = msgspec.json.decode(server.known.read_bytes(), type=Known)
    requests = [request_of(known, order) for order in orders]
    firsts, (warm_up, alone) = requests[:fresh], requests[fresh : fresh + 2]

    def ask(reader: Reader, asked: list[Request]) -> Reads:
        return uvloop.run(read(reader.port, asked, rate=arguments.rate, connections=arguments.connections))

    other = Reader(server.data, redis)
    wrong = ask(other, firsts[::2]).wrong
    other.stop()
    reader = Reader(server.data, redis)
    wrong |= ask(reader, [warm_up] * round(arguments.rate)).wrong
    cpu_s = reader.cpu_s
    reads = ask(reader, mixed(firsts, random.Random(5)))
    cpu_s = reader.cpu_s - cpu_s
    levels = reader.stop()
    lonely = Reader(server.data, redis)
    rush = uvloop.run(stampede(lonely.port, alone))
    counted = lonely.stop()
    ordered = sorted(reads.latencies)
    return Report(
        p99_ms=round(percentile(ordered, 0.99) * 1000, 2),
        reads_per_s=round(reads.answered / reads.seconds, 1),
        p50_ms=round(percentile(ordered, 0.5) * 1000, 2),
        p999_ms=round(percentile(ordered, 0.999) * 1000, 2),
        reads=reads.answered,
        levels=levels,
        memory_miss_share=round(levels.memory_misses / reads.answered, 3),
        stampede_reads=rush.answered,
        stampede_database_reads=counted.database_reads,
        stampede_ms=round(rush.seconds * 1000, 1),
        server_us_per_read=round(cpu_s / reads.answered * 1e6, 1),
        wrong=[f"{count} times {why}" for why, count in (wrong | reads.wrong | rush.wrong).items()],
    )


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=5_000.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    for name in ("--serve", "--counts"):
        parser.add_argument(name, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--redis", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        addresses = [
            (host, int(port)) for host, _, port in (each.partition(":") for each in arguments.redis.split(","))
        ]
        uvloop.run(serve_reads(arguments.serve, arguments.port, addresses, arguments.counts))
        return 0
    with tempfile.TemporaryDirectory(prefix="tuanzi-bench-") as name, redis_cluster(Path(name) / "redis") as redis:
        report = measure(Path(name), redis, arguments)
    sys.stdout.write(
        f"Three levels: {report.reads_per_s:.0f} reads/s, {report.memory_miss_share:.0%} not in memory, "
        f"p50 {report.p50_ms} ms, p99 {report.p99_ms} ms; {report.stampede_reads} equal reads cost "
        f"{report.stampede_database_reads} of the database; wrong: {report.wrong or 'nothing'}\n"
    )
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
