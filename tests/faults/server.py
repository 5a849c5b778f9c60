"""The real process, as an operator runs it: started, asked, stopped, killed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from servers.process import free_ports
from tests.faults.city import environment
from tests.undisturbed import Undisturbed, waited_below

ROOT = Path(__file__).parents[2]
RUN = (sys.executable, "-m", "tuanzi.roles.cli", "run")
READY_S_MAX = 60.0


class Server:
    """One process after another on the same folder and port."""

    def __init__(self, data: Path, *, words: Sequence[str] = RUN, **settings: str) -> None:
        self.data = data
        self.port = free_port()
        self.log = data.with_name(f"{data.name}.log")
        self.start_s: list[float] = []
        self._words = words
        self._environment = os.environ | environment(data, TUANZI_PORT=str(self.port), **settings)
        self._environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, *, before: Callable[[], None] | None = None) -> float:
        """Start it; the seconds until it is ready, without what neighbours took from it and from whoever writes for it.

        before: runs in the new process first.
        """
        began = time.monotonic()
        clock = Undisturbed(self.spawn(before=before).pid)
        started = clock()
        while True:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() - began < READY_S_MAX, self.log.read_text()[-3000:]
            try:
                if self.ask("GET", "/readyz")[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.005)
        self.start_s.append(clock() - started - waited_below(self.process.pid))
        return self.start_s[-1]

    def spawn(self, *, before: Callable[[], None] | None = None) -> subprocess.Popen[bytes]:
        """Start it without waiting; what it says on standard error goes to `log`."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._words,
                cwd=self.data.parent,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=before,
            )
        return self.process

    def kill(self) -> None:
        """SIGKILL, by pid; harmless twice."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.process = None
        return code

    def ask(
        self, method: str, path: str, *, token: bytes = b"", key: str = "", body: Any = None, wait_s: float = 30.0
    ) -> tuple[int, bytes]:
        """One request on a connection of its own: (status, body). Raises OSError when nobody listens."""
        headers = {"authorization": f"Bearer {token.decode()}"} if token else {}
        if method != "GET":
            headers |= {"idempotency-key": key, "content-type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=wait_s)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def run_to_end(
    data: Path, *, before: Callable[[], None] | None = None, settings: Mapping[str, str] | None = None
) -> tuple[int, list[str]]:
    """Start it where it cannot serve: its exit code and what it said, line by line, without its log."""
    given = os.environ | environment(data, TUANZI_PORT="0") | dict(settings or {}) | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(RUN, env=given, capture_output=True, timeout=60, preexec_fn=before, check=False)
    assert not done.stdout
    lines = done.stderr.decode().splitlines()
    return done.returncode, [line for line in lines if '"log.level": "info"' not in line]


def free_port() -> int:
    """A port nobody listens on."""
    return free_ports(1)[0]
