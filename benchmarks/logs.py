"""The command log: how many appends a second, and how long one takes, on Kafka and within one process (E1, D1).

One private broker on this machine, one topic, commands of 300 bytes, an append call for each; the reader is in the same
process and event loop. Alone: one after another. At a rate: an open loop, each latency from when it was scheduled.
Saturated: 2,000 appends in flight. `append` is until it is acknowledged, `through` until the owner is given the
command. With `--json` the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from benchmarks.wire import percentile
from servers.kafka import Kafka
from tuanzi.engines.logs.here import HereCommandLog
from tuanzi.engines.logs.kafka import KafkaCommandLog, KafkaSettings
from tuanzi.machinery.commandlog import After, CommandLog, Entry

CAMPUS = "beijing"
BODY_MIN = 300
LIBS = Path("build/kafka/libs")


class Latencies(msgspec.Struct):
    """In milliseconds."""

    append_p50_ms: float
    append_p99_ms: float
    through_p50_ms: float
    through_p99_ms: float


class Measured(msgspec.Struct):
    """One engine. cpu_us: processor time of this process for one append and its reading, when saturated."""

    appends_per_s: float
    cpu_us: float
    alone: Latencies
    at_rate: Latencies


class Report(msgspec.Struct):
    """The last line."""

    rate_per_s: int
    kafka: Measured
    here: Measured


class Timed:
    """The owner, and when each command was sent, acknowledged and taken; a command's body begins with its number."""

    def __init__(self, log: CommandLog) -> None:
        self._log = log
        self._sent: list[float] = []
        self._acknowledged: list[float] = []
        self._taken: list[float] = []
        self._begun = asyncio.Event()
        self._wanted = 0
        self._all_taken = asyncio.Event()

    async def begin(self, campus: str) -> After:
        """From the start of the log."""
        self._begun.set()
        return After()

    async def take(self, campus: str, entries: Sequence[Entry]) -> None:
        """Note when."""
        now = time.perf_counter()
        for entry in entries:
            self._taken[int(entry.body[:10])] = now
        self._wanted -= len(entries)
        if self._wanted <= 0:
            self._all_taken.set()

    async def end(self, campus: str) -> None:
        """Nothing is kept."""

    async def started(self) -> None:
        """Wait until commands are read, with one that does not count."""
        await self._begun.wait()
        self._expect(1)
        await self._append(time.perf_counter())
        await self._all_taken.wait()

    async def alone(self, count: int) -> Latencies:
        """One after another, each when the one before is taken."""
        self._expect(0)
        for _ in range(count):
            self._wanted = 1
            self._all_taken.clear()
            await self._append(time.perf_counter())
            await self._all_taken.wait()
        return self._latencies()

    async def at_rate(self, rate_per_s: int, seconds: float) -> Latencies:
        """In an open loop."""
        count = int(rate_per_s * seconds)
        self._expect(count)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for i in range(count):
                due = began + i / rate_per_s
                if (early_s := due - time.perf_counter()) > 0:
                    await asyncio.sleep(early_s)
                tasks.create_task(self._append(min(due, time.perf_counter())))
        await self._all_taken.wait()
        return self._latencies()

    async def saturated(self, count: int, in_flight: int) -> tuple[float, float]:
        """Appends a second until all are taken, and processor time of each in microseconds."""
        self._expect(count)
        left = iter(range(count))

        async def sender() -> None:
            for _ in left:
                await self._append(time.perf_counter())

        began, spent = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(in_flight):
                tasks.create_task(sender())
        await self._all_taken.wait()
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - spent
        return count / seconds, cpu_s / count * 1e6

    def _expect(self, count: int) -> None:
        self._sent, self._acknowledged, self._taken = [], [], []
        self._wanted = count
        self._all_taken.clear()

    async def _append(self, since: float) -> None:
        number = len(self._sent)
        self._sent.append(since)
        self._acknowledged.append(0.0)
        self._taken.append(0.0)
        await self._log.append(CAMPUS, [b"%010d" % number + b"x" * (BODY_MIN - 10)])
        self._acknowledged[number] = time.perf_counter()

    def _latencies(self) -> Latencies:
        append = sorted((end - sent) * 1000 for sent, end in zip(self._sent, self._acknowledged, strict=True))
        through = sorted((end - sent) * 1000 for sent, end in zip(self._sent, self._taken, strict=True))
        return Latencies(
            append_p50_ms=round(percentile(append, 0.50), 2),
            append_p99_ms=round(percentile(append, 0.99), 2),
            through_p50_ms=round(percentile(through, 0.50), 2),
            through_p99_ms=round(percentile(through, 0.99), 2),
        )


async def measure(log: KafkaCommandLog | HereCommandLog, options: argparse.Namespace) -> Measured:
    """One engine."""
    await log.ensure()
    timed = Timed(log)
    reading = asyncio.create_task(log.read(timed))
    await timed.started()
    alone = await timed.alone(options.alone)
    at_rate = await timed.at_rate(options.rate, options.seconds)
    rounds = sorted([await timed.saturated(options.commands, 2_000) for _ in range(3)])
    reading.cancel()
    await asyncio.wait({reading})
    await log.close()
    per_s, cpu_us = rounds[1]
    return Measured(appends_per_s=round(per_s, 1), cpu_us=round(cpu_us, 1), alone=alone, at_rate=at_rate)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alone", type=int, default=1_000, help="appends one after another (1,000)")
    parser.add_argument("--rate", type=int, default=2_000, help="appends a second in the open loop (2,000)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long it lasts (5)")
    parser.add_argument("--commands", type=int, default=30_000, help="appends of a saturated round, the median of 3")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args(argv)
    gc.freeze()
    gc.disable()
    with tempfile.TemporaryDirectory() as folder:
        broker = Kafka(Path(folder), libs=LIBS.resolve())
        broker.start()
        try:
            settings = KafkaSettings(servers=broker.servers)
            kafka = uvloop.run(measure(KafkaCommandLog(settings, campuses=[CAMPUS]), options))
        finally:
            broker.kill()
    here = uvloop.run(measure(HereCommandLog(campuses=[CAMPUS]), options))
    for name, each in (("kafka", kafka), ("here", here)):
        print(f"{name}: {each.appends_per_s:,.0f} appends/s, {each.cpu_us:.0f} us of processor each")
        print(f"  alone {each.alone}")
        print(f"  at {options.rate}/s {each.at_rate}")
    if options.json:
        print(msgspec.json.encode(Report(rate_per_s=options.rate, kafka=kafka, here=here)).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
