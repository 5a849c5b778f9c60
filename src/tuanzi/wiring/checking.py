"""The checker: the process that compares the books of campuses, and does nothing else (decision 0034).

`python -m tuanzi.wiring.checking N [hurried]`: the descriptor N is the end of a line over which come the errands, each
with the files to compare, and go what the comparisons found. It only reads. It ends when its line is closed, whatever
it is doing; no signal meant for whoever sends the errands ends it earlier.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import msgspec

from tuanzi import reconciliation
from tuanzi.engines.database.dictation import LENGTH_BYTES, framed
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.database import Ask
from tuanzi.machinery.unhurried import rest_since
from tuanzi.wiring.checker import HURRIED, Errand, Found

V = TypeVar("V")

# In a hurry, where both cores are wanted, it has a tenth of one.
NICE = 10


class FileBook:
    """One file, looked at unhurried. It is opened by the first look."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _file(self) -> Sqlite:
        return Sqlite(self._path)

    async def look(self, reading: Callable[[Ask], V]) -> V:
        """What `reading` makes of the answers to its questions, all of one committed state; returns after a rest."""
        began = asyncio.get_running_loop().time()
        try:
            return self._file.look(reading)
        finally:
            await rest_since(began)


class FileBooks:
    """The books of a campus in two files."""

    def __init__(self, core: Path, money: Path) -> None:
        self.core = FileBook(core)
        self.money = FileBook(money)


class Checker:
    """Compares the books of campuses, each with what it knows of the comparisons before; several at a time."""

    def __init__(self) -> None:
        self._campuses: dict[str, Campus] = {}

    async def answer(self, errand: Errand) -> Found:
        """What comes of it, also that it failed."""
        campus = self._campuses.get(errand.money)
        if campus is None:
            campus = self._campuses[errand.money] = Campus(Path(errand.core), Path(errand.money))
        try:
            return Found(number=errand.number, run=await campus.compare(errand))
        except Exception as error:
            return Found(number=errand.number, reason=type(error).__name__)


class Campus:
    """What compares the books of one campus."""

    def __init__(self, core: Path, money: Path) -> None:
        self._heard: dict[tuple[str, str], Sequence[str]] = {}
        self._check = reconciliation.every_minute(FileBooks(core, money), hears=lambda: self._heard).check_books

    async def compare(self, errand: Errand) -> reconciliation.RecordRun:
        """As `EveryMinute.check_books`."""
        self._heard = {(target, source): names for target, source, names in errand.hears}
        return await self._check(errand.errand, now=errand.now)


async def serve(line: socket.socket) -> None:
    """Do what comes over the line until it is closed."""
    checker = Checker()
    decode = msgspec.msgpack.Decoder(Errand).decode
    reader, writer = await asyncio.open_unix_connection(sock=line)

    async def answer(errand: Errand) -> None:
        writer.writelines(framed(msgspec.msgpack.encode(await checker.answer(errand))))
        await writer.drain()

    async with asyncio.TaskGroup() as answering:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
                answering.create_task(answer(decode(await reader.readexactly(length))))
        os._exit(0)  # nobody waits for what is under way


def main(line: socket.socket, *, is_hurried: bool) -> None:
    """Do what comes over the line, out of everybody's way."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    give_way(is_hurried=is_hurried)
    gc.freeze()
    asyncio.run(serve(line))


def give_way(*, is_hurried: bool) -> None:
    """Use what nobody else wants of the processor; in a hurry, what is a small share.

    sched(7), SCHED_IDLE: whoever is woken has the core at once, also a scribe, who takes it from nobody else.
    """
    if hasattr(os, "SCHED_IDLE"):  # Linux
        with suppress(OSError):  # where that may not be asked for
            os.sched_setscheduler(0, os.SCHED_BATCH if is_hurried else os.SCHED_IDLE, os.sched_param(0))
    os.nice(NICE)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), is_hurried=HURRIED in sys.argv[2:])
