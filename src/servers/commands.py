"""`tuanzi cluster`: an installation of many processes on this machine, for development (issue 5, D3)."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from servers.cluster import Cluster, Servers
from servers.process import ServerFailed

AGAIN_S = 0.5
SECRET_CHARACTERS = 64
CODE = "[demo] code for "


def cluster(arguments: Sequence[str]) -> int:
    """Start everything and keep it going until Ctrl-C; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="tuanzi cluster",
        description="MariaDB with a replica, Redis Cluster, RabbitMQ, Kafka and a payment sandbox on free ports of this"
        " machine, and Tuanzi's processes over them. What it keeps is gone when it ends.",
    )
    parser.add_argument("--apis", type=int, default=1, help="processes that serve people (1)")
    parser.add_argument("--writers", type=int, default=2, help="processes that decide (2)")
    parser.add_argument("--workers", type=int, default=1, help="processes that ask companies and plan rounds (1)")
    parser.add_argument("--no-demo", action="store_true", help="without simulated students")
    options = parser.parse_args(arguments)
    if min(options.apis, options.writers, options.workers) < 1:
        parser.error("at least one of each is needed")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="tuanzi-"))
    try:
        return _serve(folder, options)
    except ServerFailed as failed:
        return _say(f"tuanzi: {failed}", 1)
    except KeyboardInterrupt:
        return _say("tuanzi: ended", 0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _serve(folder: Path, options: argparse.Namespace) -> int:
    servers = Servers(folder / "servers")
    installation: Cluster | None = None
    try:
        _say(f"servers are ready after {servers.start():.0f} s")
        installation = Cluster(folder / "processes", servers)
        demo = {} if options.no_demo else {"TUANZI_DEMO": "1"}  # codes are printed by whoever sends them
        for role, count in (("writer", options.writers), ("worker", options.workers)):
            for number in range(1, count + 1):
                installation.add(f"{role}{number}", role, settings=demo)
        for number in range(1, options.apis + 1):
            is_demo = not options.no_demo and number == 1
            installation.add(f"api{number}", "api", "gateway", is_demo=is_demo)
        for member in installation.members:
            member.start()
            _say(f"{member.name:10} {' '.join(member.roles):12} {member.address}  pid {member.process.pid}")
        for name, value in sorted(servers.environment().items()):
            _say(f"  {name}={_masked(value)}")
        _say(f"logs: {folder / 'processes'}; the codes of who signs in are shown here")
        _say("Ctrl-C ends all of it; a process that ends by itself is started again")
        codes = Codes([member.log for member in installation.members])
        while True:
            time.sleep(AGAIN_S)
            for line in codes.next():
                _say(line)
            for said in installation.mend():
                _say(f"tuanzi: {said}")
    finally:
        if installation is not None:
            installation.stop()
        servers.stop()


class Codes:
    """The codes of who signs in, as whichever writer sends them puts them into its log; each is shown once."""

    def __init__(self, logs: Sequence[Path]) -> None:
        self._read = dict.fromkeys(logs, 0)

    def next(self) -> list[str]:
        """The lines of codes since the last time. A line that is not whole yet comes the next time."""
        lines: list[str] = []
        for log, read in self._read.items():
            if not log.exists():
                continue
            with log.open("rb") as file:
                file.seek(read)
                whole, end, _ = file.read().rpartition(b"\n")
            self._read[log] = read + len(whole) + len(end)
            lines += [line for line in whole.decode("utf-8", "replace").splitlines() if line.startswith(CODE)]
        return lines


def _masked(value: str) -> str:
    """An address without its password; a secret not at all."""
    before, at, after = value.rpartition("@")
    if at:
        return f"{before.rpartition(':')[0]}:...@{after}"
    return "..." if len(value) == SECRET_CHARACTERS and value.isalnum() else value


def _say(text: str, status: int = 0) -> int:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
    return status
