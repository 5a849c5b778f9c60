"""Which roles a process has in an installation of many, and what it is made of then (D3)."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Collection
from enum import StrEnum
from typing import Any

from tuanzi.installation import Front, WorkerSide, WriterSide, engines_of
from tuanzi.roles.api import Accounts, Inbox, serve, serve_health
from tuanzi.settings import Settings, SettingWrong
from tuanzi.wiring import Vendors, wall_clock


class Part(StrEnum):
    """A role of a process."""

    API = "api"  # answers HTTP
    GATEWAY = "gateway"  # takes WebSockets
    WRITER = "writer"  # decides for the campuses that it is given
    WORKER = "worker"  # asks companies and plans rounds, for whoever decides


def parts_of(words: Collection[str], settings: Settings) -> frozenset[Part]:
    """The roles that are named. Raises SettingWrong when there is no such role, or when processes cannot meet."""
    try:
        parts = frozenset(Part(word) for word in words)
    except ValueError:
        raise SettingWrong(f"roles are {', '.join(Part)}; not {' '.join(words)}") from None
    if parts and not settings.kafka:
        raise SettingWrong("TUANZI_KAFKA is missing: processes with roles meet there")
    if parts and settings.database is None:
        raise SettingWrong("TUANZI_DATABASE is missing: processes with roles share a database server")
    return parts


async def serve_parts(
    settings: Settings,
    parts: Collection[Part],
    vendors: Vendors,
    *,
    beside: Callable[[Front], Callable[[], Awaitable[Any]]] | None = None,
    inbox: Inbox | None = None,
    accounts: Accounts = (),
) -> None:
    """Have these roles until SIGINT or SIGTERM. Raises Fenced when another process took over what this one decided
    for, SettingWrong, DatabaseUnavailable, OSError (port taken).

    beside: makes the work that lives as long as an api does. inbox, accounts: as for `serve`.
    """
    name = f"{socket.gethostname()}:{os.getpid()}"
    engines = await engines_of(settings, name=name, now=wall_clock)
    async with engines.connected():
        others: list[WriterSide | WorkerSide] = []
        if Part.WRITER in parts:
            others.append(WriterSide(settings, vendors, engines, name=name))
        if Part.WORKER in parts:
            others.append(WorkerSide(settings, vendors, engines))
        if not {Part.API, Part.GATEWAY} & set(parts):
            await serve_health(*others)
            return
        front = Front(settings, vendors, engines)
        await serve(
            front,
            others=others,
            has_api=Part.API in parts,
            has_gateway=Part.GATEWAY in parts,
            beside=None if beside is None else beside(front),
            inbox=inbox,
            accounts=accounts,
        )
