"""How many files and connections this process may have open at once."""

from __future__ import annotations

import resource
from contextlib import suppress

# A gateway's 20,000 connections and 10,000 that come, an api's as many, and what databases and brokers take.
FILES_OPEN = 65_536


def allow_files(wanted: int) -> int:
    """Have so many allowed, or as many as whoever runs this allows at most; how many that are.

    What a shell or a service gives a process to begin with is often 1,024, for the sake of programs that use `select`:
    a gateway would be full at a twentieth of its connections.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(OSError, ValueError):  # forbidden after all
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
