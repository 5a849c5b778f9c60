"""How many pushes a second arrive and are acknowledged, how late, and for how much memory, beside `websockets`.

5,000 connections on this machine, clients included, in a process of their own that checks every number. Ours: the real
house, durable streams on: each order change is numbered and kept (SQLite, synchronous=FULL) before it is sent, and the
acknowledgements are kept. The rival does the same job as one writes it with the `websockets` library: rows in batches,
a send for each message; it has no resume, no dedup and no flow control. Both are up at once, one under load at a time.
First 5,000 a second for the latency. Then each is asked by steps of some seconds for the highest rate that it holds:
all arrives and is acknowledged, and it is not late. Nine tenths of that, its own, are offered to each for a minute.
Latencies count from the time a push was due (of those that the driver makes at once, the first), though the driver came
later, so nothing is left out. With `--json` the last line is one JSON object; the exit code is 1 when a message of ours
was lost, repeated or, in a round, not acknowledged. What becomes of the rival's is said beside it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from benchmarks.push_clients import Seen
from benchmarks.push_servers import Told
from benchmarks.servers import ROOT

T = TypeVar("T")
LATENCY_RATE = 5000
LATENCY_S = 20.0
# The search: up by a quarter until it fails, or down by a third until it holds, then between, to a twentieth.
FIRST_RATE = 10_000
STEP_S = 3.0
STEPS_MAX = 16
UP, DOWN, NEAR = 1.25, 1.5, 1.06
# What a rate is held with. A backlog of a tenth of three seconds is 300 ms.
P99_MS_MAX = 200.0
# What is offered of the highest rate: a minute has moments that three seconds have not.
SHARE = 0.9


class Round(msgspec.Struct):
    """One round of one server. late_s_max: how far the driver itself fell behind its schedule."""

    name: str
    rate: int
    acked_per_s: float
    arrived_ratio: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    server_us_per_push: float
    client_us_per_push: float
    late_s_max: float


class Report(msgspec.Struct):
    """The last line: the figures that others script against, then the parts they come from.

    acked_per_s, ratio_vs_websockets: acknowledged pushes a second, and over the rival's, each at its share of the
    highest rate that it held. wrong: of ours; rival_wrong: of the rival, which is no fault of ours.
    """

    acked_per_s: float
    arrived_ratio: float
    p99_ms_at_5000: float
    kib_per_connection: float
    ratio_vs_websockets: float
    cpu_ratio_vs_websockets: float
    rival_kib_per_connection: float
    rival_arrived_ratio: float
    highest_rate: dict[str, int]
    connections: int
    rounds: list[Round]
    wrong: list[str]
    rival_wrong: list[str]


class Track:
    """A server and its clients."""

    def __init__(self, kind: str, folder: Path, *, connections: int) -> None:
        self.kind = kind
        self.connections = connections
        self.wrong: list[str] = []
        folder.mkdir()
        words = [sys.executable, "-m", "benchmarks.push_servers", "--kind", kind, "--data", str(folder)]
        self._server = _start([*words, "--connections", str(connections)])
        told = _line(self._server.stdout, dict[str, int])
        before = told["memory_kib"]
        words = [sys.executable, "-m", "benchmarks.push_clients", "--port", str(told["port"])]
        self._clients = _start([*words, "--tokens", str(folder / "tokens.json")])
        assert _line(self._clients.stdout, dict[str, int]) == {"connected": connections}
        self.push(rate=1000, seconds=0.2)  # the first push of each costs what only the first does
        after = self.ask(rate=1, seconds=0.0)
        self.kib_per_connection = round((after.memory_kib - before) / connections, 1)

    def holds(self, rate: int) -> bool:
        """Whether it holds this rate for some seconds: of two times once, for the machine has other moments."""
        for _ in range(2):
            one = self.push(rate=rate, seconds=STEP_S, is_step=True)
            if one.arrived_ratio == 1.0 and max(one.p99_ms, one.late_s_max * 1000) <= P99_MS_MAX:
                return True
        return False

    def push(self, *, rate: int, seconds: float, is_step: bool = False) -> Round:
        """Push for so long; what came of it. is_step: of the search, where some may be late."""
        told = self.ask(rate=rate, seconds=seconds)
        assert self._clients.stdin is not None
        self._clients.stdin.write(b"\n")
        self._clients.stdin.flush()
        seen = _line(self._clients.stdout, Seen)
        is_late = (seen.arrived, told.acked) != (told.pushed, told.pushed)
        if seen.gaps or seen.repeats or (is_late and not is_step):
            self.wrong.append(f"{self.kind}: {told} {seen}")
        return Round(
            name=self.kind,
            rate=rate,
            acked_per_s=round(told.acked / told.took_s, 1),
            arrived_ratio=round(told.acked / max(told.pushed, 1), 6),
            p50_ms=seen.p50_ms,
            p99_ms=seen.p99_ms,
            p999_ms=seen.p999_ms,
            server_us_per_push=round(told.cpu_s / max(told.pushed, 1) * 1e6, 1),
            client_us_per_push=round(seen.cpu_s / max(told.pushed, 1) * 1e6, 1),
            late_s_max=round(told.late_s_max, 3),
        )

    def ask(self, *, rate: int, seconds: float) -> Told:
        """Have the server push."""
        assert self._server.stdin is not None
        self._server.stdin.write(msgspec.json.encode({"rate": rate, "seconds": seconds}) + b"\n")
        self._server.stdin.flush()
        return _line(self._server.stdout, Told)

    def stop(self) -> None:
        """End both processes."""
        for process in (self._clients, self._server):
            process.communicate(timeout=30)


def highest_rate(holds: Callable[[int], bool]) -> int:
    """The highest rate that is held, to a twentieth below it."""
    held, failed, rate = 0, 0, FIRST_RATE
    for _ in range(STEPS_MAX):
        if holds(rate):
            held = rate
        else:
            failed = rate
        if held and failed and failed <= held * NEAR:
            break
        rate = int(held * UP) if not failed else int(failed / DOWN) if not held else (held + failed) // 2
    return held or rate


def _start(words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _line(stream: IO[bytes] | None, kind: type[T]) -> T:
    assert stream is not None
    line = stream.readline()
    if not line:
        raise RuntimeError("a process of the benchmark ended; see what it said above")
    return msgspec.json.decode(line, type=kind)


def measure(arguments: argparse.Namespace, folder: Path) -> Report:
    """Run all rounds, ours and the rival's in turn."""
    tracks = [
        Track(kind, folder / kind, connections=arguments.connections)
        for kind in ("tuanzi", "websockets")
        if arguments.only in (None, kind)
    ]
    rounds = []
    for track in tracks:
        rounds.append(track.push(rate=LATENCY_RATE, seconds=min(LATENCY_S, arguments.seconds)))
    highest = {track.kind: arguments.rate or highest_rate(track.holds) for track in tracks}
    for track in tracks:
        rate = arguments.rate or int(highest[track.kind] * SHARE)
        rounds.append(track.push(rate=rate, seconds=arguments.seconds))
    for track in tracks:
        track.stop()
    full = {one.name: one for one in rounds[-len(tracks) :]}
    ours, rival = full["tuanzi"], full.get("websockets", full["tuanzi"])
    return Report(
        acked_per_s=ours.acked_per_s,
        arrived_ratio=min(one.arrived_ratio for one in rounds if one.name == "tuanzi"),
        p99_ms_at_5000=rounds[0].p99_ms,
        kib_per_connection=tracks[0].kib_per_connection,
        ratio_vs_websockets=round(ours.acked_per_s / rival.acked_per_s, 2),
        cpu_ratio_vs_websockets=round(rival.server_us_per_push / ours.server_us_per_push, 2),
        rival_kib_per_connection=tracks[-1].kib_per_connection,
        rival_arrived_ratio=min(one.arrived_ratio for one in rounds if one.name == rival.name),
        highest_rate=highest,
        connections=arguments.connections,
        rounds=rounds,
        wrong=[line for track in tracks if track.kind == "tuanzi" for line in track.wrong],
        rival_wrong=[line for track in tracks if track.kind != "tuanzi" for line in track.wrong],
    )


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--rate", type=int, default=0, help="pushes a second of the full rate, in place of the search")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the round at the full rate")
    parser.add_argument("--only", choices=("tuanzi",), default=None)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tuanzi-push-") as folder:
        report = measure(arguments, Path(folder))
    _say(report)
    if arguments.json:
        print(msgspec.json.encode(report).decode())
    return 1 if report.wrong else 0


def _say(report: Report) -> None:
    for one in report.rounds:
        print(
            f"{one.name:>11} at {one.rate:>6}/s: {one.acked_per_s:>9.1f} acked/s, arrived {one.arrived_ratio:.6f}, "
            f"p50 {one.p50_ms} ms, p99 {one.p99_ms} ms, server {one.server_us_per_push} us, "
            f"clients {one.client_us_per_push} us a push"
        )
    for line in report.wrong:
        print(f"WRONG {line}")
    for line in report.rival_wrong:
        print(f"the rival: {line}")
    held = ", ".join(f"{kind} {rate}/s" for kind, rate in report.highest_rate.items())
    print(f"the highest rate held for {STEP_S:.0f} s: {held}")
    print(f"{report.kib_per_connection} KiB a connection, the rival {report.rival_kib_per_connection}")


if __name__ == "__main__":
    sys.exit(main())
