"""What commands need that do a writer's work while the house, or a part of it, does not (J4)."""

from __future__ import annotations

import asyncio
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


def leave_alone(database: Address) -> None:
    """Raises SettingWrong when another process writes to this database: it would be fenced off by what is written here,
    and whoever is served by it with it."""
    for each in database.each:
        with suppress(DatabaseUnavailable):  # a replica that is away; whoever opens the primary says more
            if is_written(each):
                raise SettingWrong(WRITTEN)


def no_vendors() -> Vendors:
    """Nobody is asked or told anything."""
    return Vendors(codes=AbsentSender(), payments=SandboxProvider(remembered_max=1))


async def leave(errand: Any, *, now: datetime) -> Any:
    """An errand that is due stays what it is: due, until the house runs."""
    await asyncio.Event().wait()
