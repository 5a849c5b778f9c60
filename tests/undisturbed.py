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
FILE = "schedstat"


class Undisturbed:
    """A clock that stands still while this process or one of `pids` is ready to run and has no core.

    It counts each process's first thread, where Tuanzi decides; that a whole machine is taken away is not seen. Where
    the system does not tell (it is not Linux) this is the usual clock.
    """

    def __init__(self, *pids: int, of_all_threads: bool = False) -> None:
        """of_all_threads: for who has no first among them, such as a Java server; it stands still for each of them."""
        self._folders = [_folder_of(pid) for pid in (os.getpid(), *pids) if (_folder_of(pid) / FILE).exists()]
        self._of_all_threads = of_all_threads
        # By process or thread; of those that have ended as it was last known, for else the clock would jump ahead.
        self._waited_s: dict[Path, float] = {}

    def __call__(self) -> float:
        """Seconds since some moment, the same for all calls."""
        each = self._folders
        if self._of_all_threads:
            each = [thread for folder in self._folders for thread in folder.glob("task/*")]
        for one in each:
            self._waited_s[one] = max(self._waited_s.get(one, 0.0), _waited_s(one))
        return time.monotonic() - sum(self._waited_s.values())


def waited_below(pid: int) -> float:
    """For how many seconds those whom a process has started, such as who writes its files, had to wait for a core."""
    return sum(_waited_s(_folder_of(child)) for child in descendants_of(pid))


def _folder_of(pid: int) -> Path:
    return Path(f"/proc/{pid}")


def _waited_s(folder: Path) -> float:
    with suppress(OSError):  # it has ended meanwhile, or the system does not tell
        # Linux, sched-stats: time on a core, time waiting for one, both in ns, and how often it got one.
        return int((folder / FILE).read_text(encoding="ascii").split()[1]) / NS
    return 0.0
