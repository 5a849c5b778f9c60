"""What processes of an installation meet by, and the words that pass between them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from tuanzi import live
from tuanzi.engines.cache.redis import RedisCache
from tuanzi.engines.fanout.here import Here
from tuanzi.engines.fanout.redis import RedisFanOut
from tuanzi.engines.redis.cluster import Cluster as RedisServers
from tuanzi.machinery.commandlog import CommandLog
from tuanzi.machinery.eventlog import EventLog
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.push.hub import Hub
from tuanzi.machinery.push.keeper import Keeper
from tuanzi.machinery.push.ports import FanOut
from tuanzi.machinery.sharedcache import NOTHING_SHARED, SharedCache
from tuanzi.machinery.workqueue import Patience, WorkQueue
from tuanzi.settings import Settings, SettingWrong
from tuanzi.wiring import CAMPUS_DATABASES, WriterLine

if TYPE_CHECKING:
    from tuanzi.engines.logs.kafka import KafkaSettings

log = logging.getLogger("tuanzi.installation")

# As if it were a campus: the one database that all of them share.
PLATFORM = "platform"

# To be told how a campus does; carried by the command log like everything that its owner is asked.
FIGURES = "installation.Figures"

FIGURES_EVERY_S = 2.0

# The queue of work that goes to companies outside or keeps a processor busy, and whose rooms have such.
ERRANDS = "errands"

BUSY_ROOMS = frozenset({"money", "sharing", "delivery"})


@dataclass(slots=True)
class Engines:
    """What processes meet by. events: None where whoever hears reads the tables; a second late.

    works: where work for vendors and solvers waits for workers; None where writers do it themselves.
    cache: what readers share. keep: what keeps all of these connected, until cancelled.
    """

    commands: CommandLog
    events: EventLog | None = None
    fan_out: FanOut = field(default_factory=Here)
    works: WorkQueue | None = None
    cache: SharedCache = NOTHING_SHARED
    keep: Sequence[Callable[[], Awaitable[None]]] = ()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Be connected for as long as this lasts."""
        try:
            async with asyncio.TaskGroup() as tasks:
                keeping = [tasks.create_task(_keep(each)) for each in self.keep]
                try:
                    yield
                finally:
                    for task in keeping:
                        task.cancel()
        finally:
            await self.commands.close()
            if self.events is not None:
                await self.events.close()


async def _keep(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def engines_of(settings: Settings, *, name: str, now: Callable[[], datetime]) -> Engines:
    """What the settings say processes meet by. name: of this process, told apart from every other.

    Raises SettingWrong when the logs cannot be made ready, and for an address that is none.
    """
    # Loaded where processes meet: a house in one process has neither, and would wait for both at each start.
    from tuanzi.engines.logs.kafka import KafkaCommandLog, KafkaEventLog
    from tuanzi.engines.queue.rabbit import RabbitQueue

    kafka = kafka_of(settings)
    commands = KafkaCommandLog(kafka, campuses=log_names(settings.campuses))
    told = KafkaEventLog(kafka, sources=sources_of(settings.campuses))
    try:
        await asyncio.gather(commands.ensure(), told.ensure())
    except Unavailable as error:
        raise SettingWrong(kafka_refusal(settings, str(error.facts["reason"]))) from error
    engines = Engines(commands, told)
    keep: list[Callable[[], Awaitable[None]]] = []
    if settings.redis:
        cluster = RedisServers(_places(settings.redis), password=settings.redis_password)
        fan_out = RedisFanOut(cluster, name=name)
        engines.fan_out, engines.cache = fan_out, RedisCache(cluster)
        keep += [cluster.run, fan_out.run]
    if settings.rabbit:
        queue = RabbitQueue(
            settings.rabbit, queues=(ERRANDS,), patience=Patience(), now=now, prefix=f"{settings.kafka_prefix}."
        )
        engines.works = queue
        keep.append(queue.run)
    engines.keep = keep
    return engines


def kafka_refusal(settings: Settings, reason: str) -> str:
    """Which setting is wrong when Kafka says this, and how. reason: the name of its error."""
    account = settings.kafka_account
    who = f"TUANZI_KAFKA_USER={account.user if account else ''}"
    match reason:
        case "INVALID_REPLICATION_FACTOR":
            return f"TUANZI_KAFKA_COPIES={settings.kafka_copies}: there are not so many brokers"
        case "_AUTHENTICATION":
            how = account.mechanism if account else ""
            return f"{who}: Kafka does not let this account in by its password and TUANZI_KAFKA_SASL={how}"
        case "_SSL":
            return f"TUANZI_KAFKA_CA_FILE={settings.kafka_ca}: nobody in there signed the certificate of these brokers"
        case "TOPIC_AUTHORIZATION_FAILED" | "CLUSTER_AUTHORIZATION_FAILED":
            return f"{who}: Kafka does not let this account make or see topics that begin with {settings.kafka_prefix}."
        case _:
            return f"TUANZI_KAFKA={settings.kafka}: Kafka cannot be reached there ({reason})"


def kafka_of(settings: Settings) -> KafkaSettings:
    """How Kafka is reached by the settings, and what is kept there."""
    from tuanzi.engines.logs.kafka import KafkaSettings, sign_in_options

    account = settings.kafka_account
    signed = {} if account is None else {"user": account.user, "password": account.password}
    return KafkaSettings(
        servers=settings.kafka,
        prefix=settings.kafka_prefix,
        copies=settings.kafka_copies,
        options=sign_in_options(
            **signed, mechanism="" if account is None else account.mechanism, ca_file=settings.kafka_ca
        ),
    )


def _places(addresses: str) -> list[tuple[str, int]]:
    """host:port, comma separated. Raises SettingWrong."""
    places = []
    for text in addresses.split(","):
        host, _, port = text.strip().rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise SettingWrong(f"TUANZI_REDIS={addresses}: host:port is expected, or several with a comma between")
        places.append((host, int(port)))
    return places


class ErrandCall(Struct, frozen=True, array_like=True, gc=False):
    """An errand on its way to a worker: of which campus, its stored name and JSON, and where its command goes."""

    number: int
    reply_to: str
    campus: str
    name: str
    body: bytes


class CampusFigures(Struct, frozen=True, kw_only=True):
    """How a campus does, as its owner says."""

    owner: str = ""
    writers: list[WriterLine] = []
    tally: dict[str, int] = {}
    arrival: live.Arrival = live.Arrival()


def databases_of(campus: str) -> tuple[str, ...]:
    """The kinds of databases of a campus, or of the platform."""
    return (PLATFORM,) if campus == PLATFORM else CAMPUS_DATABASES


def log_names(campuses: Sequence[str]) -> list[str]:
    """By whose name commands are kept in the command log."""
    return [PLATFORM, *campuses]


def sources_of(campuses: Sequence[str]) -> list[str]:
    """The databases whose events are told."""
    return [PLATFORM, *(f"{campus}.{kind}" for campus in campuses for kind in CAMPUS_DATABASES)]


@dataclass(frozen=True, slots=True)
class Tellers:
    """What tells people, in a process without a gateway: who keeps streams, by campus."""

    keepers: dict[str, Keeper]
    hubs: dict[str, Hub] = field(default_factory=dict)
    gateway: None = None


async def waited_for(event: asyncio.Event) -> None:
    """An event, as something that can be a task."""
    await event.wait()
