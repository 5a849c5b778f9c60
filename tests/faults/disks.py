"""Disks that can be filled up and given room again, under a running process.

`Limited` bounds the size of every file the process writes (RLIMIT_FSIZE: EFBIG), which anybody may do. `Tmpfs` is a
small file system of the process's own (ENOSPC), which needs the right to mount.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import time
from pathlib import Path
from typing import Protocol

from tests.faults.server import RUN, Server
from tests.processes import descendants_of

LIMIT_BYTES = 1 << 20
TMPFS_MIB = 24


class Disk(Protocol):
    """Where a server keeps its files."""

    def serve(self, data: Path) -> Server:
        """A server, not started, on what `data` holds."""

    def seen(self, server: Server) -> Path:
        """The running server's files as they are now; it must be idle."""

    def fill(self, server: Server) -> None:
        """No room any more."""

    def free(self, server: Server) -> None:
        """Room again."""


class Limited:
    """Files that cannot grow beyond 1 MiB."""

    def serve(self, data: Path) -> Server:
        return Server(data)

    def seen(self, server: Server) -> Path:
        return server.data

    def fill(self, server: Server) -> None:
        self._limit(server, LIMIT_BYTES)

    def free(self, server: Server) -> None:
        self._limit(server, resource.RLIM_INFINITY)

    def _limit(self, server: Server, size: int) -> None:
        assert server.process is not None
        for pid in (server.process.pid, *descendants_of(server.process.pid)):
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class Tmpfs:
    """A file system of 24 MiB that only the process sees, gone with it."""

    def serve(self, data: Path) -> Server:
        inside = data.with_name("mounted")
        inside.mkdir()
        script = f'mount -t tmpfs -o size={TMPFS_MIB}m tmpfs "$0" && cp -r "$1/." "$0" && shift 1 && exec "$@"'
        return Server(inside, words=("unshare", "--mount", "sh", "-c", script, str(inside), str(data), *RUN))

    def seen(self, server: Server) -> Path:
        # SQLite follows the link /proc/<pid>/root to its own root, so it is given a copy.
        copy = server.data.with_name(f"seen-{time.monotonic_ns()}")
        shutil.copytree(self._inside(server), copy, ignore=shutil.ignore_patterns("filler", "*-shm"))
        return copy

    def fill(self, server: Server) -> None:
        filler = os.open(self._inside(server) / "filler", os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):  # until nothing fits
            while True:
                os.write(filler, bytes(4096))
        os.close(filler)

    def free(self, server: Server) -> None:
        (self._inside(server) / "filler").unlink()

    def _inside(self, server: Server) -> Path:
        assert server.process is not None
        return Path(f"/proc/{server.process.pid}/root{server.data}")


def disks() -> list[Disk]:
    """Every kind that can be had here; the first always can."""
    found: list[Disk] = [Limited()]
    with contextlib.suppress(OSError):
        tried = subprocess.run(
            ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
        )
        if tried.returncode == 0:
            found.append(Tmpfs())
    return found
