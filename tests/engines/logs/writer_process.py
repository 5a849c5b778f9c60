"""A process that carries out commands and keeps them where it is fenced: `python -m ... SERVERS PREFIX PORT`."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tests.engines.logs.owner import CAMPUSES
from tuanzi.engines.logs.kafka import KafkaCommandLog, KafkaSettings
from tuanzi.machinery.commandlog import After, Entry


class Row(NamedTuple):
    """A command that was carried out, by which process and when."""

    number: int
    body: str
    pid: int
    at: float


class Ask(msgspec.Struct):
    """What a process asks: the cursor, and when there are entries, to keep them if it is still `before`."""

    campus: str
    pid: int
    before: int = 0
    entries: list[tuple[int, str]] = []


class Kept:
    """The database that all processes share; whoever stands still in the middle of asking holds up nobody."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {campus: [] for campus in CAMPUSES}
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0, limit=1 << 24)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Listen no more."""
        assert self._server is not None
        self._server.close()

    def cursor(self, campus: str) -> int:
        """The number of the newest command that is kept."""
        return self.rows[campus][-1].number if self.rows[campus] else 0

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            ask = msgspec.json.decode(line, type=Ask)
            if ask.before == self.cursor(ask.campus):
                self.rows[ask.campus] += [Row(number, body, ask.pid, time.time()) for number, body in ask.entries]
            writer.write(b"%d\n" % self.cursor(ask.campus))
        writer.close()


class Keeper:
    """An owner whose cursor moves with the commands, as a writer's does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._asking = asyncio.Lock()
        self._numbers: dict[str, int] = {}

    async def begin(self, campus: str) -> After:
        """Read the cursor."""
        self._numbers[campus] = await self._ask(Ask(campus, os.getpid()))
        return After(self._numbers[campus])

    async def take(self, campus: str, entries: Sequence[Entry]) -> None:
        """Keep commands if nobody else has moved the cursor."""
        rows = [(entry.number, entry.body.decode()) for entry in entries]
        cursor = await self._ask(Ask(campus, os.getpid(), self._numbers[campus], rows))
        assert cursor == entries[-1].number, "fenced"
        self._numbers[campus] = cursor

    async def end(self, campus: str) -> None:
        """Leave the cursor to others."""

    async def _ask(self, ask: Ask) -> int:
        async with self._asking:
            self._writer.write(msgspec.json.encode(ask) + b"\n")
            return int(await self._reader.readline())


async def _work(servers: str, prefix: str, port: int) -> None:
    log = KafkaCommandLog(KafkaSettings(servers=servers, prefix=prefix), campuses=CAMPUSES)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await log.read(Keeper(reader, writer))


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], sys.argv[2], int(sys.argv[3])))
