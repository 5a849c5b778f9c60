"""Which engine each need has by the settings, where it is, and whether it is well: `tuanzi where` (D3, J4)."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import hiredis
import httpx
from msgspec import Struct

from tuanzi.engines.database.connections import Address
from tuanzi.engines.database.looking import look_at_file, look_at_server
from tuanzi.engines.logs.kafka import look_around
from tuanzi.engines.logs.sizes import limits_of
from tuanzi.engines.redis.connection import LOST, Connection, Refused
from tuanzi.installation import kafka_of, kafka_refusal, sources_of
from tuanzi.machinery.database import DatabaseUnavailable
from tuanzi.machinery.problems import Unavailable
from tuanzi.money import Merchant
from tuanzi.settings import WECHAT, Settings

CHECK_S_MAX = 3.0
# What the clients of engines are told, so that their threads end too.
_CLIENT_S = 2.5
_SLOTS_WELL = b"cluster_slots_ok:16384"


class Need(Struct, frozen=True, kw_only=True):
    """A need of the house, and how it is met. reason: why it is not healthy; ms: how long the answer took."""

    need: str
    engine: str
    address: str
    is_healthy: bool
    ms: float | None = None
    reason: str = ""


class Unwell(Exception):
    """A check found something that does not work; says what."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a need is met by the settings. check: says which engine is there, or raises Unwell; None where nothing can
    be asked, for it is this process itself."""

    need: str
    engine: str
    address: str
    check: Callable[[], Awaitable[str]] | None = None


async def find_needs(settings: Settings) -> list[Need]:
    """Every need, asked at once; each answers within CHECK_S_MAX or is not healthy."""
    needs = list(await asyncio.gather(*map(_ask, places_of(settings))))
    for server in settings.servers:
        if not server.others:
            continue
        theirs = {str(each) for each in server.each}
        writable = sum(need.engine.endswith(" primary") and need.address in theirs for need in needs)
        if writable != 1:
            reason = "none of them takes writes" if not writable else f"{writable} take writes: all but one must not"
            needs.append(_unwell(Place("database", "primary", _servers(server)), reason))
    return needs


def places_of(settings: Settings) -> list[Place]:
    """Where each need is met, in the order in which they are shown. A house in one process meets nobody: what the
    settings name beside Kafka's brokers is not used without these."""
    rabbit, redis = (settings.rabbit, settings.redis) if settings.kafka else ("", "")
    return [
        *_databases(settings),
        *_logs(settings),
        _queue(rabbit),
        *_redis(redis, password=settings.redis_password),
        _payments(settings),
    ]


def without_password(address: str) -> str:
    """An address as it may be shown; one that is written wrongly shows nothing of what stands before its @."""
    if "@" not in address:
        return address
    parts = re.fullmatch(r"(\w+://[^:@/?]+)(:.*)?@([^@]*)", address, re.DOTALL)
    if parts is None:
        return f"***@{address.rpartition('@')[2]}"
    return f"{parts[1]}{':***' if parts[2] else ''}@{parts[3]}"


async def _ask(place: Place) -> Need:
    if place.check is None:
        return Need(need=place.need, engine=place.engine, address=place.address, is_healthy=True)
    began = time.perf_counter()
    try:
        async with asyncio.timeout(CHECK_S_MAX):
            engine = await place.check()
    except TimeoutError:
        return _unwell(place, f"no answer within {CHECK_S_MAX:.0f} s")
    except Unwell as unwell:
        return _unwell(place, str(unwell))
    ms = round((time.perf_counter() - began) * 1000, 1)
    return Need(need=place.need, engine=engine, address=place.address, is_healthy=True, ms=ms)


def _unwell(place: Place, reason: str) -> Need:
    return Need(need=place.need, engine=place.engine, address=place.address, is_healthy=False, reason=reason)


def _databases(settings: Settings) -> list[Place]:
    if settings.database is None:
        names = sources_of(settings.campuses)
        paths = [settings.data / f"{name.replace('.', '/')}.db" for name in names]

        async def ask_files() -> str:
            return await asyncio.to_thread(_ask_files, settings.data, paths)

        return [Place("database", "SQLite", str(settings.data), ask_files)]
    return [
        _server(each, is_alone=not server.others, need=_need_of(settings, server))
        for server in settings.servers
        for each in server.each
    ]


def _need_of(settings: Settings, server: Address) -> str:
    """What a server is there for."""
    campuses = [campus for campus, own in settings.databases.items() if own == server]
    if server == settings.database or not campuses:
        return "database"
    return f"database of {', '.join(campuses)}"


def _ask_files(folder: Path, paths: list[Path]) -> str:
    if not folder.is_dir():
        raise Unwell("there is no such folder")
    try:
        made = [look_at_file(path) for path in paths]
    except DatabaseUnavailable as error:
        raise Unwell(str(error)) from error
    said = f"{len(made) - made.count(None)} of {len(made)} databases made"
    return f"SQLite {sqlite3.sqlite_version}, {said}"


def _server(address: Address, *, is_alone: bool, need: str) -> Place:
    async def ask_server() -> str:
        try:
            seen = await asyncio.to_thread(look_at_server, address)
        except DatabaseUnavailable as error:
            raise Unwell(str(error)) from error
        if is_alone and seen.is_read_only:
            raise Unwell("it takes no writes (read_only)")
        name = "MariaDB" if "mariadb" in seen.version.lower() else "MySQL"
        return f"{name} {seen.version.partition('-')[0]} {'replica' if seen.is_read_only else 'primary'}"

    return Place(need, "MariaDB", str(address), ask_server)


def _servers(address: Address) -> str:
    return ",".join(f"{each.host}:{each.port}" for each in address.each)


def _logs(settings: Settings) -> list[Place]:
    servers = settings.kafka
    if not servers:
        return [Place("command log", "this process", "memory"), Place("event log", "the databases", "their tables")]

    async def ask_brokers() -> str:
        brokers, _ = await asyncio.to_thread(look_at_brokers, settings)
        return f"Apache Kafka, {brokers} broker{'s' if brokers != 1 else ''}"

    return [Place(need, "Apache Kafka", servers, ask_brokers) for need in ("command log", "event log")]


def look_at_brokers(settings: Settings) -> tuple[int, dict[str, int]]:
    """How many brokers there are, and for each topic of ours how many keep it. Raises Unwell."""
    try:
        there = look_around(kafka_of(settings), within_s=_CLIENT_S)
    except Unavailable as error:
        raise Unwell(kafka_refusal(settings, str(error.facts["reason"]))) from error
    return len(there.brokers), {
        name: min((len(part.replicas) for part in topic.partitions.values()), default=0)
        for name, topic in there.topics.items()
        if name.startswith(f"{settings.kafka_prefix}.")
    }


def look_at_limits(settings: Settings, topics: Sequence[str]) -> dict[str, int | None]:
    """The largest record that each topic takes, in bytes; None where it cannot be asked."""
    return limits_of(kafka_of(settings).client_options, topics, within_s=_CLIENT_S)


def _queue(url: str) -> Place:
    if not url:
        return Place("work queue", "this process", "timers in the databases")

    async def ask_broker() -> str:
        try:
            connection = await aio_pika.connect(url, timeout=_CLIENT_S)
            await connection.close()
        except TimeoutError:
            raise
        except (aio_pika.exceptions.AMQPError, OSError, RuntimeError, ValueError) as error:
            raise Unwell(without_password(str(error)) or type(error).__name__) from error
        return "RabbitMQ"

    return Place("work queue", "RabbitMQ", without_password(url), ask_broker)


def _redis(servers: str, *, password: str) -> list[Place]:
    if not servers:
        return [Place("shared cache", "each process", "memory"), Place("fan-out", "this process", "memory")]

    async def ask_nodes() -> str:
        words = [word.strip() for word in servers.split(",")]
        answers = await asyncio.gather(*(_ask_node(word, password) for word in words))
        well = answers.count("")
        if not well:
            raise Unwell(answers[0])
        return f"Redis Cluster, {well} of {len(answers)} nodes answer"

    return [Place(need, "Redis Cluster", servers, ask_nodes) for need in ("shared cache", "fan-out")]


async def _ask_node(server: str, password: str) -> str:
    """Why a node and its cluster are not well; "" when they are."""
    host, _, port = server.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        return f"{server}: host:port is expected"
    address = (host, int(port))
    try:
        connection = await Connection.open(
            address, user="", password=password, reply_s=_CLIENT_S / 2, on_wrong=lambda: None
        )
    except TimeoutError:
        return f"{server} does not answer"
    except (OSError, Refused) as error:
        return f"{server}: {error}"
    try:
        told = await connection.ask("CLUSTER", "INFO")
    finally:
        connection.close()
    if told is LOST:
        return f"{server} does not answer"
    if isinstance(told, hiredis.ReplyError):
        return f"{server}: {told}"
    is_whole = b"cluster_state:ok" in told and _SLOTS_WELL in told
    return "" if is_whole else f"{server}: the cluster does not serve every slot"


def _payments(settings: Settings) -> Place:
    if settings.payments != WECHAT:
        return Place("payments", "this process", "a sandbox in memory")
    if settings.merchant is None:
        return Place("payments", "WeChat Pay sandbox", "started by the demo")
    return _company(settings.merchant)


def _company(merchant: Merchant) -> Place:
    async def ask_company() -> str:
        try:
            async with httpx.AsyncClient(timeout=_CLIENT_S) as client:
                await client.get(merchant.gateway)  # whatever it answers: that it does
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unwell(str(error) or type(error).__name__) from error
        return "WeChat Pay v3"

    return Place("payments", "WeChat Pay v3", without_password(merchant.gateway), ask_company)
