"""Has books compared by a process of its own, so that who decides does not wait for Python's lock (decision 0034)."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import cast

import msgspec
from msgspec import Struct

from tuanzi import reconciliation
from tuanzi.engines.database.dictation import framed, unframed
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.room import ErrandHandler, Room
from tuanzi.wiring.databases import file_of
from tuanzi.wiring.hearing import names_heard

log = logging.getLogger("tuanzi.checker")

END_S_MAX = 5.0
# Our choice: a run takes a second, and an errand may take 30 in all. Whoever is not done by then found no idle core.
PATIENCE_S = 10.0
# What is said to that one's successor.
HURRIED = "hurried"


class Errand(Struct, frozen=True, kw_only=True, gc=False):
    """A comparison that is asked for.

    number: tells its answer from others. core, money: files. hears: target, source, and the names of events.
    """

    number: int
    core: str
    money: str
    hears: tuple[tuple[str, str, tuple[str, ...]], ...]
    errand: reconciliation.CheckBooks
    now: datetime


class Found(Struct, frozen=True, kw_only=True, gc=False):
    """What a comparison came to; without a run it failed, and `reason` is the type of its error."""

    number: int
    run: reconciliation.RecordRun | None = None
    reason: str = ""


class Line(asyncio.Protocol):
    """The line to the checker: errands are sent, and answered in any order."""

    def __init__(self) -> None:
        self.is_lost = False
        self._transport: asyncio.WriteTransport | None = None
        self._got = bytearray()
        self._asked: dict[int, asyncio.Future[Found]] = {}
        self._decode = msgspec.msgpack.Decoder(Found).decode

    async def ask(self, errand: Errand) -> Found:
        """What comes of it. Raises ConnectionError when nobody is there any more."""
        if self.is_lost or self._transport is None:
            raise ConnectionResetError("the line is lost")
        answered: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._asked[errand.number] = answered
        try:
            self._transport.writelines(framed(msgspec.msgpack.encode(errand)))
            return await answered
        finally:
            del self._asked[errand.number]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The line can be used."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """A part of an answer; one that nobody waits for any more is left."""
        self._got += data
        while (body := unframed(self._got)) is not None:
            found = self._decode(body)
            answered = self._asked.get(found.number)
            if answered is not None and not answered.done():
                answered.set_result(found)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is at the other end any more."""
        self.is_lost = True
        for answered in self._asked.values():
            if not answered.done():
                answered.set_exception(ConnectionResetError("the line is lost"))


class CheckerProcess:
    """The process that compares books for this one. It is started by the first errand, and anew when it has died.

    It works while a core is idle. Where none is for `patience_s`, another takes its place that has a share of one.
    """

    def __init__(self) -> None:
        self.patience_s = PATIENCE_S
        self._is_hurried = False
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Line | None = None
        self._number = 0
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Its process id, when it works."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def errands_of(self, campus: str, folder: Path, rooms: Sequence[Room]) -> Mapping[type, ErrandHandler]:
        """The errands that it does for a campus whose files are in this data folder."""
        core, money = (file_of(folder, f"{campus}.{kind}").absolute() for kind in ("core", "money"))
        hears = tuple((target, source, tuple(names)) for (target, source), names in names_heard(rooms).items())

        async def check_books(errand: reconciliation.CheckBooks, *, now: datetime) -> reconciliation.RecordRun:
            self._number += 1
            return await self._done(
                Errand(number=self._number, core=str(core), money=str(money), hears=hears, errand=errand, now=now)
            )

        return {reconciliation.CheckBooks: check_books}

    async def _done(self, errand: Errand) -> reconciliation.RecordRun:
        """What comes of an errand. Raises Unavailable: it is tried again later."""
        try:
            async with self._starting:
                line = await self._connected()
            async with asyncio.timeout(None if self._is_hurried else self.patience_s):
                found = await line.ask(errand)
        except TimeoutError as error:
            log.warning("checker.starved")
            self._is_hurried = True
            self.close()
            raise Unavailable(retry_after_s=2) from error
        except OSError as error:
            log.warning("checker.gone", extra={"reason": type(error).__name__})
            raise Unavailable(retry_after_s=2) from error
        if found.run is None:
            log.warning("checker.failed", extra={"reason": found.reason})
            raise Unavailable(retry_after_s=2)
        return found.run

    async def _connected(self) -> Line:
        """The line to it; to a new one when it has gone. Raises OSError."""
        if self._line is not None and not self._line.is_lost:
            return self._line
        self.close()
        _, self._line = await asyncio.get_running_loop().create_unix_connection(Line, sock=self._start())
        return self._line

    def _start(self) -> socket.socket:
        """Start it; this end of its line. Raises OSError."""
        ours, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tuanzi.wiring.checking", str(its.fileno()), *([HURRIED] * self._is_hurried)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(its.fileno(),),
            )
        return ours

    def close(self) -> None:
        """End it: it only reads, so nothing is lost. Harmless twice."""
        self._line = None
        if self._process is not None:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_S_MAX)
        self._process = None
