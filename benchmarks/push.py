"""How many pushes a second arrive and are acknowledged, how late, and for how much memory, beside `websockets`.

5,000 connections on this machine, clients included, in a process of their own that checks every number. Ours: the real
house, durable streams on: each order change is numbered and kept (SQLite, synchronous=FULL) before it is sent, and the
acknowledgements are kept. The rival does the same job as one writes it with the `websockets` library: rows in batches,
a send for each message; it has no resume, no dedup and no flow control. Both are up at once, one under load at a time.
Rounds: 5,000 a second for the latency, then the full rate; latencies count from the time a push was due (of those that
the driver makes at once, the first), though the driver came later, so nothing is left out. With `--json` the last line
is one JSON object; the exit code is 1 when a message of ours was lost, repeated or not acknowledged. What becomes of
the rival's is said beside it: at a rate that it cannot keep up with it has not been acknowledged when the time is over.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from benchmarks.push_clients import Seen
from benchmarks.push_servers import Told
from benchmarks.servers import ROOT

T = TypeVar("T")


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

    ratio_vs_websockets: acknowledged pushes a second over the rival's, each at the full rate. wrong: of ours;
    rival_wrong: of the rival, which is no fault of ours.
    """

    acked_per_s: float
    arrived_ratio: float
    p99_ms_at_5000: float
    kib_per_connection: float
    ratio_vs_websockets: float
    cpu_ratio_vs_websockets: float
    rival_kib_per_connection: float
    rival_arrived_ratio: float
    connections: int
    rounds: list[Round]
    wrong: list[str]
    rival_wrong: list[str]


class Track:
    """A server and its clients."""

    def __init__(self, kind: str, folder: Path, *, connections: int) -> None:
        self.kind = kind
        self.connections = connections
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
        self.wrong: list[str] = []

    def push(self, *, rate: int, seconds: float) -> Round:
        """Push for so long; what came of it."""
        told = self.ask(rate=rate, seconds=seconds)
        assert self._clients.stdin is not None
        self._clients.stdin.write(b"\n")
        self._clients.stdin.flush()
        seen = _line(self._clients.stdout, Seen)
        if (seen.arrived, seen.gaps, seen.repeats, told.acked) != (told.pushed, 0, 0, told.pushed):
            self.wrong = [*getattr(self, "wrong", []), f"{self.kind}: {told} {seen}"]
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
    for rate in (5000, arguments.rate):
        for track in tracks:
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
        connections=arguments.connections,
        rounds=rounds,
        wrong=[line for track in tracks if track.kind == "tuanzi" for line in track.wrong],
        rival_wrong=[line for track in tracks if track.kind != "tuanzi" for line in track.wrong],
    )


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=5000)
    # A round lasts until the last acknowledgement, two seconds after the last push: 20,000 a second need more.
    parser.add_argument("--rate", type=int, default=22_000, help="pushes a second of the full rate")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each round")
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
    print(f"{report.kib_per_connection} KiB a connection, the rival {report.rival_kib_per_connection}")


if __name__ == "__main__":
    sys.exit(main())
