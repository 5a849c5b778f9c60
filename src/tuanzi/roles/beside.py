"""What commands need that do a writer's work while the house, or a part of it, does not (J4)."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import datetime
from typing import Any

from tuanzi.engines.database.connections import Address
from tuanzi.engines.database.looking import is_written
from tuanzi.machinery.database import DatabaseUnavailable
from tuanzi.money import SandboxProvider
from tuanzi.people import AbsentSender
from tuanzi.settings import SettingWrong
from tuanzi.wiring import Vendors

# Our choice: longer than another writer needs to take over what one left (5 s), shorter than anybody's patience.
ANSWER_S_MAX = 15.0
NO_ANSWER = f"no writer answered within {ANSWER_S_MAX:.0f} s; is the installation running?"


WRITTEN = (
    "another process writes to this database; stop it first if it is a house in one process, wherever that runs, or set"
    " TUANZI_KAFKA as its processes have it if it is an installation of many"
)


# Our choice: a server hears within some milliseconds that a process has ended, a busy one within seconds.
GONE_S_MAX = 5.0
_AGAIN_S = 0.1


def leave_alone(database: Address) -> None:
    """Raises SettingWrong when another process writes to this database: it would be fenced off by what is written here,
    and whoever is served by it with it. A house that has just ended is waited for, as it may still seem to write."""
    until = time.monotonic() + GONE_S_MAX
    while any(_is_written(each) for each in database.each):
        if time.monotonic() > until:
            raise SettingWrong(WRITTEN)
        time.sleep(_AGAIN_S)


def _is_written(server: Address) -> bool:
    with suppress(DatabaseUnavailable):  # a replica that is away; whoever opens the primary says more
        return is_written(server)
    return False


def no_vendors() -> Vendors:
    """Nobody is asked or told anything."""
    return Vendors(codes=AbsentSender(), payments=SandboxProvider(remembered_max=1))


async def leave(errand: Any, *, now: datetime) -> Any:
    """An errand that is due stays what it is: due, until the house runs."""
    await asyncio.Event().wait()
