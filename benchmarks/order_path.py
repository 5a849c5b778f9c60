"""How many complete chains a second, from opening a group to its exact split plan, beside two rivals in the same run.

Real HTTP on one machine, load generator included, SQLite with synchronous=FULL, answers only after the commit:
(1) Tuanzi; (2) Tuanzi with one commit for each command, which shows what batching gives; (3) the same path as an
idiomatic FastAPI + SQLAlchemy service (`benchmarks/baseline`). All are up at once with only one under load at a time,
in turns, so that a noisy neighbour hits all; the median of the rounds counts. The third is kept on one core, where it
is fastest; the others run where they like. Then Tuanzi again in an open loop at half of its median, latencies counted
from the scheduled time. At the end every server is stopped and its files are added up: what was acknowledged is there,
once, and balances.

A chain is two requests. With `--json` the last line is one JSON object; the exit code is 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.load import Acknowledged, Result
from benchmarks.servers import ROOT, Contender, Server, baseline, tuanzi
from benchmarks.sums import wrong_sums

STUDENTS = 20_000  # of one large campus; they order again and again
CONTENDERS = ("Tuanzi", "one commit each", "FastAPI + SQLAlchemy")


class Measured(msgspec.Struct):
    """What one contender reached."""

    name: str
    chains_per_s: float
    rounds: list[float]
    p50_ms: float
    p99_ms: float
    server_us_per_chain: float
    generator_us_per_request: float
    memory_mib: float


class Report(msgspec.Struct):
    """The last line: the figures that others script against, then the parts they come from."""

    chains_per_s: float
    p99_ms_at_half: float | None
    ratio_vs_one_commit: float | None
    ratio_vs_fastapi: float | None
    p50_ms_at_half: float | None
    rate_at_half: float | None
    connections: int
    seconds: float
    rounds: int
    contenders: list[Measured]
    wrong: list[str]


class Track:
    """One server, what it has answered so far, and which students are used up."""

    def __init__(self, server: Server, *, words: Sequence[str] = ()) -> None:
        """server: running and seeded. words: more options of the generator."""
        self.server = server
        self._words = words
        self.results: list[Result] = []
        self.server_us: list[float] = []
        self.acknowledged: list[Acknowledged] = []
        self.wrong: list[str] = []
        self._students_used = 0

    def load(self, *, seconds: float, warmup: float, connections: int, rate: float | None = None) -> Result:
        """Put it under load once, from a process of its own."""
        paid = self.server.known.with_name("acknowledged.json")
        words = [sys.executable, "-m", "benchmarks.load", "--port", str(self.server.port)]
        words += ["--students", str(self.server.known), "--first", str(self._students_used)]
        words += ["--seconds", str(seconds), "--warmup", str(warmup), "--connections", str(connections)]
        words += ["--acknowledged", str(paid), *self._words] + (["--rate", str(rate)] if rate else [])
        cpu = self.server.cpu_s
        done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        cpu = self.server.cpu_s - cpu
        result = msgspec.json.decode(done.stdout.splitlines()[-1], type=Result)
        self._students_used += result.students_used
        self.acknowledged += msgspec.json.decode(paid.read_bytes(), type=list[Acknowledged])
        self.server_us.append(cpu / max(result.acknowledged, 1) * 1e6)
        self.wrong += result.wrong + [f"{count} times {why}" for why, count in result.refused.items()]
        return result

    def measured(self) -> Measured:
        """The median over its rounds."""
        return Measured(
            name=self.server.name,
            chains_per_s=median(result.chains_per_s for result in self.results),
            rounds=[result.chains_per_s for result in self.results],
            p50_ms=median(result.p50_ms for result in self.results),
            p99_ms=median(result.p99_ms for result in self.results),
            server_us_per_chain=round(median(self.server_us), 1),
            generator_us_per_request=median(result.generator_us_per_request for result in self.results),
            memory_mib=round(self.server.memory_mib, 1),
        )


def contenders(only: str | None) -> list[Contender]:
    """The three that are compared, or the one named."""
    # It would turn most of such a crowd away, which is right of it and measures nothing.
    patient = {"TUANZI_WRITER_BATCH_MAX": "1", "TUANZI_WRITER_WAIT_MS_MAX": "60000"}
    found = [tuanzi("Tuanzi"), tuanzi("one commit each", **patient), baseline()]
    return [contender for contender in found if only in (None, contender.name)]


def compare(arguments: argparse.Namespace, folder: Path) -> Report:
    """Start all, run the rounds, stop all, add up."""
    tracks: list[Track] = []
    half: Result | None = None
    try:
        for i, contender in enumerate(contenders(arguments.only)):
            tracks.append(Track(Server(contender, folder / str(i), students=STUDENTS)))
        for _ in range(arguments.rounds):
            for track in tracks:
                track.results.append(
                    track.load(seconds=arguments.seconds, warmup=arguments.warmup, connections=arguments.connections)
                )
        measured = [track.measured() for track in tracks]
        rate = measured[0].chains_per_s / 2
        if rate > 0:
            half = tracks[0].load(
                seconds=arguments.seconds, warmup=arguments.warmup, connections=arguments.connections, rate=rate
            )
    finally:
        for track in tracks:
            track.server.stop()
    return _report(arguments, tracks, measured, half)


def _report(
    arguments: argparse.Namespace, tracks: list[Track], measured: list[Measured], half: Result | None
) -> Report:
    rates = {each.name: each.chains_per_s for each in measured}
    ours = rates.get("Tuanzi")
    wrong = []
    for track in tracks:
        found = track.wrong + wrong_sums(track.server.data, track.acknowledged)
        wrong += [f"{track.server.name}: {line}" for line in found]
    return Report(
        chains_per_s=measured[0].chains_per_s,
        p99_ms_at_half=half.p99_ms if half else None,
        ratio_vs_one_commit=_ratio(ours, rates.get("one commit each")),
        ratio_vs_fastapi=_ratio(ours, rates.get("FastAPI + SQLAlchemy")),
        p50_ms_at_half=half.p50_ms if half else None,
        rate_at_half=half.rate if half else None,
        connections=arguments.connections,
        seconds=arguments.seconds,
        rounds=arguments.rounds,
        contenders=measured,
        wrong=wrong[:20],
    )


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return round(ours / theirs, 2) if ours and theirs else None


def table(report: Report) -> str:
    """The report as a person reads it."""
    lines = [
        f"{'':22}{'chains/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'server us':>11}{'client us/req':>15}{'MiB':>7}  rounds"
    ]
    for each in report.contenders:
        rounds = " ".join(f"{rate:.0f}" for rate in each.rounds)
        lines.append(
            f"{each.name:22}{each.chains_per_s:>10.0f}{each.p50_ms:>9.1f}{each.p99_ms:>9.1f}"
            f"{each.server_us_per_chain:>11.0f}{each.generator_us_per_request:>15.1f}{each.memory_mib:>7.0f}  {rounds}"
        )
    if report.rate_at_half:
        lines.append(
            f"{report.contenders[0].name} at {report.rate_at_half:.0f} chains/s, open loop: "
            f"p50 {report.p50_ms_at_half} ms, p99 {report.p99_ms_at_half} ms"
        )
    lines.append(f"{report.ratio_vs_one_commit} x one commit each, {report.ratio_vs_fastapi} x FastAPI + SQLAlchemy")
    lines += [f"WRONG {line}" for line in report.wrong] or ["all sums agree: nothing acknowledged is lost"]
    return "\n".join(lines)


def main() -> int:
    """Compare and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0, help="measured, each time")
    parser.add_argument("--warmup", type=float, default=2.0, help="seconds before, each time")
    parser.add_argument("--connections", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=CONTENDERS, help="measure this one alone")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tuanzi-bench-") as folder:
        report = compare(arguments, Path(folder))
    sys.stdout.write(table(report) + "\n")
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
