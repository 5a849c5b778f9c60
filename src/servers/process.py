"""A server as a process of its own: started in a folder on free ports, watched, paused, killed, stopped."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# Below those that the system gives to whoever connects somewhere, which could take one before its server listens;
# so are those that Redis and RabbitMQ derive from theirs, 10,000 above.
_PORTS = range(10_000, 20_000)
# Many more than servers run at a time; each costs a descriptor.
_RESERVED_MAX = 128
_POLL_S = 0.02
_STILL_S_MAX = 10.0


class ServerFailed(Exception):
    """A server did not start, or ended; says which and shows the end of its log."""


_reserved: deque[socket.socket] = deque()


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody listens on now, all different.

    Nobody else who asks here, in whatever process of this machine, is given one of them before this process ends or has
    asked for many others: a server that is still starting, or was killed and comes back, finds its port free.
    """
    return [_reserve() for _ in range(count)]


def _reserve() -> int:
    while True:
        port = secrets.choice(_PORTS)
        mark = _mark(port)
        if mark is None:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):  # somebody listens there
            probe.bind(("127.0.0.1", port))
            _reserved.append(mark)
            if len(_reserved) > _RESERVED_MAX:
                _reserved.popleft().close()
            return port
        mark.close()


def _mark(port: int) -> socket.socket | None:
    """What nobody else on this machine has as long as it is open; None when somebody has it."""
    mark = socket.socket(socket.AF_UNIX)
    if sys.platform == "linux":  # a name in no folder, which ends with its owner
        try:
            mark.bind(f"\0tuanzi-port-{port}")
        except OSError:
            mark.close()
            return None
    return mark


def stands_still(group: int) -> bool:
    """Whether every thread of every process of a group is stopped, or has ended."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int(_state_of(process)[2]) == group:
                for thread in list((process / "task").iterdir()):
                    with contextlib.suppress(OSError):  # so may one thread, and the others have not
                        if _state_of(thread)[0] not in "TtZX":
                            return False
    return True


def _state_of(process: Path) -> list[str]:
    """What /proc says from the state on: state, parent, group ..."""
    return (process / "stat").read_text().rpartition(")")[2].split()


class Process:
    """One server process in a session of its own. log: where its output goes; it is appended to."""

    def __init__(
        self, name: str, words: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._words = list(words)
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, is_ready: Callable[[], bool], *, within_s: float = 60.0) -> float:
        """Start it and wait until `is_ready`; gives how long that took in seconds. Raises ServerFailed."""
        began = time.monotonic()
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=None if self._environment is None else dict(self._environment),
                start_new_session=True,
            )
        atexit.register(self.kill)
        while not is_ready():
            if self._process.poll() is not None:
                raise ServerFailed(f"{self.name} ended with {self._process.returncode}: {self.last_words()}")
            if time.monotonic() - began > within_s:
                self.kill()
                raise ServerFailed(f"{self.name} was not ready within {within_s:.0f} s: {self.last_words()}")
            time.sleep(_POLL_S)
        return time.monotonic() - began

    @property
    def pid(self) -> int:
        """Its process id; also that of its group."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def status(self) -> int | None:
        """The code it ended with, negative by a signal; None while it runs, or was never started."""
        return None if self._process is None else self._process.poll()

    def kill(self) -> None:
        """End it at once, with its children: SIGKILL. A repeat does nothing."""
        self._end(signal.SIGKILL, 10.0)

    def stop(self, *, within_s: float = 20.0) -> None:
        """Ask it to end, and kill it when it takes longer."""
        self._end(signal.SIGTERM, within_s)
        self.kill()

    def pause(self) -> None:
        """Have it stand still (SIGSTOP), and return when it does; its sockets stay open and answer nothing.

        A thread that runs on another processor hears of the signal later than this one has sent it.
        """
        os.killpg(self.pid, signal.SIGSTOP)
        until = time.monotonic() + _STILL_S_MAX
        while not stands_still(self.pid):
            if time.monotonic() > until:
                raise ServerFailed(f"{self.name} does not stand still")
            time.sleep(_POLL_S / 10)

    def resume(self) -> None:
        """Have it go on."""
        os.killpg(self.pid, signal.SIGCONT)

    def last_words(self) -> str:
        """The end of its log."""
        try:
            return self._log.read_text(encoding="utf-8", errors="replace")[-1500:]
        except OSError:
            return ""

    def _end(self, number: int, within_s: float) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(within_s)


def answers(port: int, hello: bytes = b"") -> bool:
    """Whether something on 127.0.0.1 takes a connection, and when `hello` is given says something back to it."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
            if not hello:
                return True
            connection.settimeout(1.0)
            connection.sendall(hello)
            return bool(connection.recv(8))
    except OSError:
        return False
