"""Time as a process had it: what its neighbours on the machine took from it does not count.

A limit on time says something of Tuanzi only where the machine gives it a core; on a quiet one nothing is taken off.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from tests.processes import descendants_of

NS = 1_000_000_000


class Undisturbed:
    """A clock that stands still while this process or one of `pids` is ready to run and has no core.

    It counts each process's first thread, where Tuanzi decides; that a whole machine is taken away is not seen. Where
    the system does not tell (it is not Linux) this is the usual clock.
    """

    def __init__(self, *pids: int) -> None:
        """pids: of processes that live as long as the clock is looked at."""
        self._files = [_file_of(pid) for pid in (os.getpid(), *pids) if _file_of(pid).exists()]

    def __call__(self) -> float:
        """Seconds since some moment, the same for all calls."""
        return time.monotonic() - sum(map(_waited_s, self._files))


def waited_below(pid: int) -> float:
    """For how many seconds those whom a process has started, such as who writes its files, had to wait for a core."""
    waited_s = 0.0
    for child in descendants_of(pid):
        with suppress(OSError):  # it has ended meanwhile, or the system does not tell
            waited_s += _waited_s(_file_of(child))
    return waited_s


def _file_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/schedstat")


def _waited_s(file: Path) -> float:
    # Linux, sched-stats: time on a core, time waiting for one, both in ns, and how often it got one.
    return int(file.read_text(encoding="ascii").split()[1]) / NS
