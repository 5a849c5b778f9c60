"""How many complete chains a second an installation of many processes carries, beside FastAPI + SQLAlchemy on MariaDB.

Tuanzi's processes are of three kinds (api and gateway, writer, worker) over MariaDB (flushed at every commit, binary
log flushed too, each commit on a replica as well), Kafka, Redis Cluster and RabbitMQ; payments in the process. The
rival is the service of `order_path` on the same MariaDB in the same run, with a process for each core; it needs none of
the other servers, so Kafka and RabbitMQ stand still while it is under load. It is measured before and after Tuanzi's
smallest installation; the median of all its rounds counts.

Then larger installations: campuses x writers, one generator for each campus, an api for each writer up to two. All of
it, load generators too, is on this one machine: the table says what that costs each kind of process and not what more
machines would give. At half of its median the smallest is measured again in an open loop. At the end the books are
added up: what was acknowledged is there, once, and balances; stock is exact.

How many order at once was chosen by probes for each, as in `single_order`. Chains/s of Tuanzi with 128, 256, 384 and
512: 790, 890, 990 and 1,000, for a batch costs MariaDB and Kafka much however few go with it; of the rival with 64, 128
and 256: 146, 136 and 128; on a quieter machine with 16, 32 and 64: 140, 151 and 141, each the mean of two.

A chain is two requests. With `--json` the last line is one JSON object; the exit code is 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.load import Acknowledged, Result
from benchmarks.servers import ROOT, TUANZI, Server, baseline_on
from benchmarks.single_order import compare
from benchmarks.sums import wrong_rows
from servers.cluster import Cluster, Member, Servers
from servers.maria import APPLICATION
from tuanzi.engines.database.connections import address_of
from tuanzi.engines.database.mariadb import MariaDb

STUDENTS = 20_000  # of all campuses together; they order again and again
APIS_MAX = 2
RIVAL = "tuanzi_rival"  # its schema; the name begins as the account may
MARIADB = {"innodb-buffer-pool-size": "2G", "innodb-log-file-size": "2G"}
GENERATOR = "generator"
# What a program is called in the table; others go to whoever started them.
PROGRAMS = {"mariadbd": "MariaDB", "java": "Kafka", "redis-server": "Redis", "beam.smp": "RabbitMQ"}


class Half(msgspec.Struct):
    """An open loop at half of the rate that the closed one reached."""

    rate: float
    p50_ms: float
    p99_ms: float


class Measured(msgspec.Struct):
    """What one installation, or the rival, reached; times of processor are of all rounds, warming up included."""

    campuses: int
    writers: int
    apis: int
    chains_per_s: float
    rounds: list[float]
    p50_ms: float
    p99_ms: float
    acknowledged: int
    cpu_s: dict[str, float]
    cpu_us_per_chain: dict[str, float]


class Report(msgspec.Struct):
    """The last line: the figures that others script against, then the parts they come from."""

    chains_per_s: float
    ratio_vs_fastapi: float | None
    scaling: list[Measured]
    fastapi: Measured | None
    fastapi_workers: int
    fastapi_pool: int
    half: Half | None
    cores: int
    connections: int
    rival_connections: int
    seconds: float
    wrong: list[str]


class Campus:
    """The students of one campus, who order at one api, and what they were answered."""

    def __init__(self, name: str, *, known: Path, port: int) -> None:
        """known: what the seeding wrote."""
        self.name = name
        self.acknowledged: list[Acknowledged] = []
        self.wrong: list[str] = []
        self._known = known
        self._port = port
        self._students_used = 0

    def load(self, *, seconds: float, warmup: float, connections: int, rate: float | None = None) -> Result:
        """Order for so long, from a process of its own."""
        paid = self._known.with_suffix(".acknowledged")
        words = [sys.executable, "-m", "benchmarks.load", "--port", str(self._port), "--students", str(self._known)]
        words += ["--first", str(self._students_used), "--seconds", str(seconds), "--warmup", str(warmup)]
        words += ["--connections", str(connections), "--acknowledged", str(paid)]
        words += ["--rate", str(rate)] if rate else []
        done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        result = msgspec.json.decode(done.stdout.splitlines()[-1], type=Result)
        self._students_used += result.students_used
        self.acknowledged += msgspec.json.decode(paid.read_bytes(), type=list[Acknowledged])
        self.wrong += result.wrong + [f"{count} times {why}" for why, count in result.refused.items()]
        return result


class Rounds:
    """One installation, or the rival, under load: its campuses at once, again and again."""

    def __init__(self, campuses: Sequence[Campus], *, writers: int, apis: int, kinds: Mapping[int, str]) -> None:
        """kinds: of the processes that are no known programs, by their ids."""
        self.campuses = campuses
        self._writers = writers
        self._apis = apis
        self._kinds = kinds
        self._rounds: list[list[Result]] = []
        self._cpu_s: dict[str, float] = {}

    def run(self, arguments: argparse.Namespace, *, at_once: int) -> None:
        """One round, so many connections shared out evenly."""
        connections = max(at_once // len(self.campuses), 1)
        before = cpu_by_kind(self._kinds)
        with ThreadPoolExecutor(len(self.campuses)) as threads:
            loads = [
                threads.submit(campus.load, seconds=arguments.seconds, warmup=arguments.warmup, connections=connections)
                for campus in self.campuses
            ]
            results = [load.result() for load in loads]
        spent = {kind: cpu_s - before.get(kind, 0.0) for kind, cpu_s in cpu_by_kind(self._kinds).items()}
        spent[GENERATOR] = sum(each.generator_us_per_request * 2 * each.acknowledged / 1e6 for each in results)
        for kind, cpu_s in spent.items():
            self._cpu_s[kind] = self._cpu_s.get(kind, 0.0) + cpu_s
        self._rounds.append(results)

    def measured(self) -> Measured:
        """The median over its rounds; of several campuses the sum of rates and the worst of latencies."""
        rates = [round(sum(each.chains_per_s for each in results), 1) for results in self._rounds]
        acknowledged = sum(each.acknowledged for results in self._rounds for each in results)
        return Measured(
            campuses=len(self.campuses),
            writers=self._writers,
            apis=self._apis,
            chains_per_s=median(rates),
            rounds=rates,
            p50_ms=median(max(each.p50_ms for each in results) for results in self._rounds),
            p99_ms=median(max(each.p99_ms for each in results) for results in self._rounds),
            acknowledged=acknowledged,
            cpu_s={kind: round(cpu_s, 2) for kind, cpu_s in self._cpu_s.items()},
            cpu_us_per_chain={
                kind: round(cpu_s / max(acknowledged, 1) * 1e6, 1) for kind, cpu_s in self._cpu_s.items()
            },
        )


class Installation:
    """So many campuses and writers over running servers, with databases and topics of their own; used with `with`."""

    def __init__(self, servers: Servers, folder: Path, *, campuses: int, writers: int) -> None:
        """Seeds it and starts it. Raises ServerFailed."""
        name = f"c{campuses}w{writers}"
        names = [f"campus{number}" for number in range(1, campuses + 1)]
        settings = servers.environment()
        self.url = servers.primary_url(f"tuanzi_{name}")
        known = {each: folder / f"{name}-{each}.json" for each in names}
        for each in names:
            words = [str(TUANZI), "bench-seed", "--data", str(folder / "seeding"), "--campus", each]
            words += ["--students", str(STUDENTS // campuses), "--out", str(known[each])]
            subprocess.run(words, check=True, env={**os.environ, **settings, "TUANZI_DATABASE": self.url})
        mine = {
            "TUANZI_DATABASE": self.url,
            "TUANZI_KAFKA_PREFIX": name,
            "TUANZI_CAMPUSES": ",".join(names),
            "TUANZI_PAYMENTS": "inprocess",
        }
        self._cluster = Cluster(folder / name, servers, environment=mine)
        members = [self._cluster.add(f"writer{number}", "writer") for number in range(writers)]
        members.append(self._cluster.add("worker", "worker"))
        apis = [self._cluster.add(f"api{number}", "api", "gateway") for number in range(min(writers, APIS_MAX))]
        try:
            _start_all([*members, *apis])
        except BaseException:
            self._cluster.stop()
            raise
        kinds = {member.process.pid: f"{member.roles[0]}s" for member in self._cluster.members}
        self.rounds = Rounds(
            [Campus(each, known=known[each], port=apis[i % len(apis)].port) for i, each in enumerate(names)],
            writers=writers,
            apis=len(apis),
            kinds=kinds,
        )

    def __enter__(self) -> Installation:
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.stop()

    def wrong(self) -> list[str]:
        """What was answered wrong, and what does not add up in its books; for when it has stopped."""
        found = []
        for campus in self.rounds.campuses:
            lines = campus.wrong + compare(self.url, campus.acknowledged, campus=campus.name)[1]
            schemas = {"payments": "money", "entries": "money"}

            def rows(table: str, sql: str, of: str = campus.name, kinds: Mapping[str, str] = schemas) -> Rows:
                return asked(self.url, f"_{of}_{kinds.get(table, 'core')}", sql)

            found += [f"{campus.name}: {line}" for line in lines + wrong_rows(rows, campus.acknowledged)]
        return found


class Rival:
    """The service of `benchmarks/baseline` on the same MariaDB."""

    def __init__(self, servers: Servers, folder: Path, *, workers: int, pool: int) -> None:
        """Seeds it and starts it."""
        assert servers.primary is not None
        self._servers = servers
        servers.primary.ask(f"CREATE DATABASE {RIVAL} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        account = f"{APPLICATION}:{servers.maria.passwords[APPLICATION]}"
        database = f"mysql+asyncmy://{account}@/{RIVAL}?unix_socket={servers.primary.socket}"
        self._server = Server(baseline_on(database, workers=workers, pool=pool), folder / "rival", students=STUDENTS)
        campus = Campus("beijing", known=self._server.known, port=self._server.port)
        self.rounds = Rounds([campus], writers=0, apis=workers, kinds={self._server.pid: "FastAPI"})

    def stop(self) -> None:
        """End it; harmless twice."""
        self._server.stop()

    def run(self, arguments: argparse.Namespace) -> None:
        """Some rounds, in which the servers that it does not use stand still."""
        self._servers.kafka.pause()
        self._servers.rabbit.pause()
        try:
            for _ in range(arguments.rounds):
                self.rounds.run(arguments, at_once=arguments.rival_connections)
        finally:
            self._servers.kafka.resume()
            self._servers.rabbit.resume()

    def wrong(self) -> list[str]:
        """What was answered wrong, and what does not add up in its books."""
        (campus,) = self.rounds.campuses
        url = self._servers.primary_url(RIVAL)
        found = campus.wrong + wrong_rows(lambda _table, sql: asked(url, "", sql), campus.acknowledged)
        return [f"FastAPI: {line}" for line in found + wrong_stock(lambda sql: asked(url, "", sql))]


Rows = list[tuple[str, int]]


def asked(url: str, schema: str, sql: str) -> Rows:
    """The rows of a query over the schema whose name is the url's and then `schema`."""
    prefix = address_of(url)
    database = MariaDb(replace(prefix, schema=prefix.schema + schema))
    try:
        return [(str(name), int(number)) for name, number in database.rows(sql)]
    finally:
        database.close()


def wrong_stock(ask: Callable[[str], Iterable[tuple[str, int]]]) -> list[str]:
    """Where the rival's portions are not what its orders hold and have bought."""
    moved = dict(ask("SELECT dish_id, held + sold FROM portions WHERE held + sold <> 0"))
    wanted = dict(ask("SELECT dish_id, SUM(quantity) FROM order_lines GROUP BY dish_id"))
    sold = dict(ask("SELECT dish_id, sold FROM portions WHERE sold <> 0"))
    paid = dict(
        ask(
            "SELECT dish_id, SUM(quantity) FROM order_lines JOIN orders ON orders.id = order_id"
            " WHERE state <> 'created' GROUP BY dish_id"
        )
    )
    wrong = [] if moved == wanted else [f"stock {sorted(moved.items())} where orders want {sorted(wanted.items())}"]
    return wrong if sold == paid else [*wrong, f"sold {sorted(sold.items())} where {sorted(paid.items())} are paid"]


def cpu_by_kind(kinds: Mapping[int, str]) -> dict[str, float]:
    """Seconds of processor that this process's descendants have used until now, by kind of process.

    A known program counts by its name; others as the process in `kinds` that they are or come from, else not at all.
    """
    parents: dict[int, tuple[int, str, float]] = {}
    tick = os.sysconf("SC_CLK_TCK")
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = path.read_text().rpartition(")")
        except OSError:
            continue  # it has just ended
        fields = tail.split()
        parents[int(path.parent.name)] = (
            int(fields[1]),
            head.partition("(")[2],
            (int(fields[11]) + int(fields[12])) / tick,
        )
    spent: dict[str, float] = {}
    for pid, (_, program, cpu_s) in parents.items():
        kind = PROGRAMS.get(program)
        above = pid
        while above in parents and above != os.getpid():
            kind = kind or kinds.get(above)
            above = parents[above][0]
        if above == os.getpid() and kind is not None:
            spent[kind] = spent.get(kind, 0.0) + cpu_s
    return spent


def measure(arguments: argparse.Namespace, folder: Path) -> Report:
    """Start the servers, load the rival and each installation, add up."""
    servers = Servers(folder / "s", settings=MARIADB)
    scaling: list[Measured] = []
    wrong: list[str] = []
    half: Half | None = None
    rival: Rival | None = None
    try:
        servers.start()
        if not arguments.alone:
            rival = Rival(servers, folder, workers=arguments.rival_workers, pool=arguments.rival_pool)
            rival.run(arguments)
        for number, (campuses, writers) in enumerate(arguments.layouts):
            with Installation(servers, folder, campuses=campuses, writers=writers) as installation:
                for _ in range(arguments.rounds):
                    installation.rounds.run(arguments, at_once=arguments.connections)
                scaling.append(installation.rounds.measured())
                if number == 0 and scaling[0].chains_per_s > 0:
                    half = _half(installation, arguments, rate=scaling[0].chains_per_s / 2)
            wrong += [f"{campuses} x {writers}: {line}" for line in installation.wrong()]
            if number == 0 and rival is not None:
                rival.run(arguments)
                rival.stop()
                wrong += rival.wrong()
    finally:
        if rival is not None:
            rival.stop()
        servers.stop()
    theirs = rival.rounds.measured() if rival is not None else None
    return Report(
        chains_per_s=scaling[0].chains_per_s,
        ratio_vs_fastapi=round(scaling[0].chains_per_s / theirs.chains_per_s, 2)
        if theirs is not None and theirs.chains_per_s
        else None,
        scaling=scaling,
        fastapi=theirs,
        fastapi_workers=arguments.rival_workers,
        fastapi_pool=arguments.rival_pool,
        half=half,
        cores=len(os.sched_getaffinity(0)),
        connections=arguments.connections,
        rival_connections=arguments.rival_connections,
        seconds=arguments.seconds,
        wrong=wrong[:20],
    )


def _half(installation: Installation, arguments: argparse.Namespace, *, rate: float) -> Half:
    """The first campus in an open loop."""
    result = installation.rounds.campuses[0].load(
        seconds=arguments.seconds, warmup=arguments.warmup, connections=arguments.connections, rate=rate
    )
    return Half(rate=round(rate, 1), p50_ms=result.p50_ms, p99_ms=result.p99_ms)


def _start_all(members: Sequence[Member]) -> None:
    with ThreadPoolExecutor(len(members)) as threads:
        for started in [threads.submit(member.start) for member in members]:
            started.result()


def table(report: Report) -> str:
    """The report as a person reads it."""
    named = [(f"{each.campuses} campuses x {each.writers} writers", each) for each in report.scaling]
    named += [(f"FastAPI, {report.fastapi_workers} processes", report.fastapi)] if report.fastapi else []
    lines = [f"{'':24}{'chains/s':>10}{'p50 ms':>9}{'p99 ms':>9}  processor us a chain"]
    for name, each in named:
        spent = " ".join(f"{kind} {us:.0f}" for kind, us in sorted(each.cpu_us_per_chain.items()))
        lines.append(f"{name:24}{each.chains_per_s:>10.0f}{each.p50_ms:>9.1f}{each.p99_ms:>9.1f}  {spent}")
    if report.half:
        lines.append(
            f"the first at {report.half.rate:.0f} chains/s, open loop: p50 {report.half.p50_ms} ms, "
            f"p99 {report.half.p99_ms} ms"
        )
    lines.append(f"{report.ratio_vs_fastapi} x FastAPI + SQLAlchemy on the same MariaDB; {report.cores} cores for all")
    lines += [f"WRONG {line}" for line in report.wrong] or ["all sums agree: nothing acknowledged is lost"]
    return "\n".join(lines)


def _layouts(text: str) -> list[tuple[int, int]]:
    """1x1,2x2: campuses x writers."""
    layouts = []
    for each in text.split(","):
        campuses, _, writers = each.partition("x")
        layouts.append((int(campuses), int(writers)))
        if min(layouts[-1]) < 1:
            raise ValueError(text)
    return layouts


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="measured, each time")
    parser.add_argument("--warmup", type=float, default=3.0, help="seconds before, each time")
    parser.add_argument("--connections", type=int, default=384, help="of all campuses together (384)")
    parser.add_argument("--rival-connections", type=int, default=32, help="to the FastAPI service (32)")
    parser.add_argument("--rounds", type=int, default=2, help="of each installation; the rival has twice as many")
    parser.add_argument("--layouts", type=_layouts, default="1x1,2x2,4x1,4x4", help="campuses x writers (%(default)s)")
    parser.add_argument("--rival-workers", type=int, default=2, help="processes of the FastAPI service (2)")
    parser.add_argument("--rival-pool", type=int, default=16, help="connections of each to the database (16)")
    parser.add_argument("--alone", action="store_true", help="without the rival; ratio_vs_fastapi is null")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tz-") as folder:  # a socket's path must be short
        report = measure(arguments, Path(folder))
    sys.stdout.write(table(report) + "\n")
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
