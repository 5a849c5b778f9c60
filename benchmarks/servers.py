"""Starting, seeding and stopping the servers that are compared, each with a data folder of its own."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TUANZI = Path(sys.executable).with_name("tuanzi")
READY_S_MAX = 30.0
STOP_S_MAX = 15.0
# Below those that Linux gives to clients, 32,768 to 60,999.
PORTS = (20_000, 32_000)


@dataclass(frozen=True, slots=True)
class Contender:
    """How a server is seeded and run; `{data}`, `{students}`, `{known}` and `{port}` are filled in."""

    name: str
    seed: tuple[str, ...]
    run: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    is_on_one_core: bool = False


def tuanzi(name: str, **environment: str) -> Contender:
    """Tuanzi with these settings."""
    return Contender(
        name=name,
        seed=(str(TUANZI), "bench-seed", "--data", "{data}", "--students", "{students}", "--out", "{known}"),
        run=(str(TUANZI), "run"),
        environment={"TUANZI_PORT": "{port}", "TUANZI_DATA": "{data}", **environment},
    )


def baseline() -> Contender:
    """The FastAPI service of `benchmarks/baseline`, as it was fastest: one worker, kept on one core.

    Measured on 2 cores, chains/s: 90 so; 72 on both cores, where each statement wakes a thread on the other core; 83
    with two workers, whose p99 is four times as long since SQLite's lock is not a queue; 73 with four writers.
    """
    seed = ("-m", "benchmarks.baseline.seed", "--data", "{data}", "--students", "{students}", "--out", "{known}")
    run = (
        "-m",
        "uvicorn",
        "benchmarks.baseline.app:app",
        "--port",
        "{port}",
        "--loop",
        "uvloop",
        "--http",
        "httptools",
    )
    return Contender(
        name="FastAPI + SQLAlchemy",
        seed=(sys.executable, *seed),
        run=(sys.executable, *run, "--no-access-log", "--log-level", "warning"),
        environment={"BASELINE_DATA": "{data}"},
        is_on_one_core=True,
    )


def baseline_on(database: str, *, workers: int, pool: int) -> Contender:
    """The same service on a MariaDB: so many processes with so many connections each, on all cores.

    Measured on 2 busy cores, processes x connections, chains/s: 52 with 2 x 16; 49 with 2 x 8, 39 with 2 x 4, 45 with
    3 x 6, 28 with 1 x 8.
    """
    alone = baseline()
    return Contender(
        name=alone.name,
        seed=alone.seed,
        run=(*alone.run, "--workers", str(workers)),
        environment={**alone.environment, "BASELINE_DATABASE": database, "BASELINE_POOL": str(pool)},
    )


class Server:
    """A running contender. Use it with `with`: it stops the process at the end."""

    def __init__(self, contender: Contender, folder: Path, *, students: int) -> None:
        """folder: an empty folder that it may fill. Raises RuntimeError when it does not get ready."""
        self.name = contender.name
        self.data = folder / "data"
        self.known = folder / "known.json"
        self.port = _free_port()
        self._log = folder / "log.txt"
        self._words = {
            "{data}": str(self.data),
            "{students}": str(students),
            "{known}": str(self.known),
            "{port}": str(self.port),
        }
        self.data.mkdir(parents=True)
        environment = os.environ | {name: self._filled(value) for name, value in contender.environment.items()}
        subprocess.run([self._filled(word) for word in contender.seed], check=True, cwd=ROOT, env=environment)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [self._filled(word) for word in contender.run], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        if contender.is_on_one_core:
            os.sched_setaffinity(self._process.pid, {min(os.sched_getaffinity(0))})
        try:
            self._wait_until_ready()
        except RuntimeError:
            self.stop()
            raise

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask it to stop, and wait; harmless twice."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def cpu_s(self) -> float:
        """Seconds of processor that the process has used, and those it has started."""
        return cpu_of(self._process.pid)

    @property
    def memory_mib(self) -> float:
        """Resident memory of the process, and of those it has started."""
        pages = [int(stat[21]) for stat in _stats_of(self._process.pid).values()]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def _filled(self, word: str) -> str:
        return self._words.get(word, word)

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + READY_S_MAX
        while time.monotonic() < until and self._process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
            try:
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            finally:
                connection.close()
            time.sleep(0.1)
        raise RuntimeError(f"{self.name} did not get ready:\n{self._log.read_text()[-2000:]}")


def cpu_of(pid: int) -> float:
    """Seconds of processor that a process has used, and all that it and its children have started.

    By the scheduler's nanoseconds, of threads that have not ended; where some have, by hundredths, rounded down.
    """
    return sum(
        max(_cpu_of_threads(each), sum(map(int, stat[11:13])) / os.sysconf("SC_CLK_TCK"))
        for each, stat in _stats_of(pid).items()
    )


def _cpu_of_threads(pid: int) -> float:
    """Seconds of processor that a process's threads have used which have not ended."""
    used = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            used += int(path.read_text().split()[0])
    return used / 1e9


def _stats_of(pid: int) -> dict[int, list[str]]:
    """What /proc says of a process and of all that it and its children have started, from their state on."""
    stats: dict[int, list[str]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stats[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
    family = [pid]
    for parent in family:
        family += [child for child, stat in stats.items() if stat[1] == str(parent)]
    return {each: stats[each] for each in family if each in stats}


def _free_port() -> int:
    """A port that nobody has, with the next one; no client is given it while the server is being seeded."""
    for port in random.sample(range(*PORTS, 2), 100):
        with contextlib.suppress(OSError), socket.socket() as probe, socket.socket() as beside:
            probe.bind(("127.0.0.1", port))
            beside.bind(("127.0.0.1", port + 1))
            return port
    raise RuntimeError("no port is free")
