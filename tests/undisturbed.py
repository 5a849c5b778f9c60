"""Time as a process had it: what its neighbours on the machine took from it does not count.

A limit on time says something of Tuanzi only where the machine gives it a core; on a quiet one nothing is taken off.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

NS = 1_000_000_000


class Undisturbed:
    """A clock that stands still while this process or one of `pids` is ready to run and has no core.

    It counts each process's first thread, where Tuanzi decides; that a whole machine is taken away is not seen. Where
    the system does not tell (it is not Linux) this is the usual clock.
    """

    def __init__(self, *pids: int) -> None:
        files = [Path(f"/proc/{pid}/schedstat") for pid in (os.getpid(), *pids)]
        self._files = [file for file in files if file.exists()]

    def __call__(self) -> float:
        """Seconds since some moment, the same for all calls."""
        # Linux, sched-stats: time on a core, time waiting for one, both in ns, and how often it got one.
        waited_ns = sum(int(file.read_text(encoding="ascii").split()[1]) for file in self._files)
        return time.monotonic() - waited_ns / NS
