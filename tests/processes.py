"""The processes that a process has started, as the machine knows them."""

from __future__ import annotations

import contextlib
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Those that it has started itself and that live, the eldest first."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            told = stat.read_text().rpartition(")")[2].split()
            if int(told[1]) == pid and told[0] != "Z":
                found.append((int(told[19]), int(stat.parent.name)))
    return [child for _, child in sorted(found)]


def descendants_of(pid: int) -> list[int]:
    """Those and theirs, such as a server's scribe and whoever writes its files."""
    return [each for child in children_of(pid) for each in (child, *descendants_of(child))]
