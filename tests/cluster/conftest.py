"""A whole installation on this machine: every server once for all tests, Tuanzi's processes anew for each."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pymysql
import pytest

from servers.cluster import LIBS, Cluster, Member, Servers
from servers.maria import Node
from tests.faults.city import CAMPUS, City, seed
from tests.faults.crowd import Crowd

STUDENTS = 320
_numbers = count(1)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """MariaDB with a replica, Redis Cluster, RabbitMQ, Kafka and a payment company."""
    if not any(LIBS.glob("kafka_*.jar")):
        if os.environ.get("CI") == "true" or os.environ.get("TUANZI_REQUIRE_SERVERS") == "1":
            pytest.fail(f"{LIBS} has no Kafka: make servers (it needs a Maven repository)")
        pytest.skip("NOT RUN: an installation of many processes, for build/kafka/libs is empty: make servers")
    folder = Path(tempfile.mkdtemp(prefix="tz-"))  # a socket's path must be short
    servers = Servers(folder)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Ground:
    """Databases and topics that no other test uses, with a city in them, and processes to come."""

    def __init__(self, servers: Servers, folder: Path, **program: Sequence[str]) -> None:
        """program: of its processes, where it is not `tuanzi run` (`Cluster`)."""
        number = next(_numbers)
        self.servers = servers
        self.schema = f"tuanzi_c{number}"
        settings = servers.environment()
        self.settings = {
            **settings,
            "TUANZI_DATABASE": settings["TUANZI_DATABASE"].removesuffix("tuanzi") + self.schema,
            "TUANZI_KAFKA_PREFIX": f"c{number}",
            "TUANZI_CAMPUSES": CAMPUS,
            "TUANZI_PAYMENTS": "inprocess",
        }
        self.cluster = Cluster(folder / "processes", servers, environment=self.settings, **program)
        self._folder = folder

    async def seed(self) -> City:
        """A campus and students with sessions."""
        place = {name: self.settings[name] for name in ("TUANZI_DATABASE", "TUANZI_SECRET")}
        return await seed(self._folder / "seeding", students=STUDENTS, **place)

    def files(self, at: Node | None = None) -> Copies:
        """What the databases keep now; at: of a campus that was moved, where."""
        node = at or self.servers.primary
        assert node is not None, "the servers were not started"
        return Copies(node, self.schema)


class Copies:
    """The campus's databases, copied into SQLite, which is then asked what is asked everywhere."""

    def __init__(self, node: Node, schema: str) -> None:
        self._node = node
        self._schema = schema
        self._copies: dict[str, sqlite3.Connection] = {}

    def rows(self, kind: str, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query over "core", "money" or "delivery"."""
        if kind not in self._copies:
            self._copies[kind] = self._copy(kind)
        return self._copies[kind].execute(sql, slots or {}).fetchall()

    def _copy(self, kind: str) -> sqlite3.Connection:
        copy = sqlite3.connect(":memory:")
        with closing(pymysql.connect(unix_socket=self._node.socket, user="root", charset="utf8mb4")) as server:
            cursor = server.cursor()
            cursor.execute(f"USE {self._schema}_{CAMPUS}_{kind}")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            cursor.execute("SHOW TABLES")
            for (table,) in cursor.fetchall():
                cursor.execute(f"SELECT * FROM {table}")
                columns = [column[0] for column in cursor.description]
                copy.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
                copy.executemany(
                    f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})",
                    [[int(cell) if type(cell).__name__ == "Decimal" else cell for cell in row] for row in cursor],
                )
        return copy


@pytest.fixture
def ground(servers: Servers, tmp_path: Path) -> Iterator[Ground]:
    """A place for an installation, whose processes end with the test."""
    ground = Ground(servers, tmp_path)
    try:
        yield ground
    finally:
        ground.cluster.stop()


@pytest.fixture
def city(ground: Ground) -> City:
    """Who lives there."""
    return asyncio.run(ground.seed())


async def goes_on(crowd: Crowd, *, count: int, within_s: float, clock: Callable[[], float] = time.monotonic) -> float:
    """Wait until so many more orders are placed; how long that took in seconds, by this clock."""
    began, before = clock(), len(crowd.placed)
    async with asyncio.timeout(within_s):
        while len(crowd.placed) < before + count:  # noqa: ASYNC110 - answers come on many connections
            await asyncio.sleep(0.01)
    return clock() - began


@asynccontextmanager
async def supervised(writer: Member) -> AsyncIterator[None]:
    """Start a writer again whenever it ends: one that cannot know what was kept does, a moment after it finds out."""

    async def look() -> None:
        while True:
            if not writer.process.is_running:
                await start(writer)
            await asyncio.sleep(0.1)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def start(*members: Member) -> None:
    """Start processes, all at once."""
    await asyncio.gather(*(asyncio.to_thread(member.start) for member in members))
