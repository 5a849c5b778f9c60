"""The command log and the event log on Apache Kafka: a topic of one partition for each campus and each database.

Kafka's transactions are not used, and its offsets are only shown: what was carried out is known by the databases.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ClusterMetadata, NewTopic, TopicMetadata

from tuanzi.engines.logs.listener import Listener, newest_number, records
from tuanzi.engines.logs.reader import Reader
from tuanzi.engines.logs.sender import RECORD_BYTES_MAX, Sender
from tuanzi.engines.logs.share import RETRY_S
from tuanzi.engines.logs.sizes import raise_limits
from tuanzi.machinery.commandlog import Owner
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.tables import Row

_ADMIN_S_MAX = 10.0
# Of events: nobody waits for them, and those of a campus's databases go together. A request costs the broker as much as
# hundreds of records, and its listeners' as much again.
_EVENTS_GATHER_MS = 10
_HOUR_MS = 3_600_000
# Whether somebody is not let in is looked at so often.
_LOOK_S = 1.0
# The account is refused, or no certificate of theirs is trusted.
_NOT_LET_IN = frozenset({"_AUTHENTICATION", "_SSL"})


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a cluster is reached and what is kept there.

    servers: where to start, "host:port,host:port". prefix: begins every topic and group, so that installations can
    share a cluster. copies: brokers that keep each record; with 3 or more a write needs two of them. kept_h: how long
    records stay. send_s_max: after so long an append gives up (our choice: whoever waits for an answer has given up by
    then). options: further ones of librdkafka for every client, such as how to sign in.
    """

    servers: str
    prefix: str = "tuanzi"
    copies: int = 1
    kept_h: int = 7 * 24
    send_s_max: float = 5.0
    options: Mapping[str, Any] = {}

    @property
    def client_options(self) -> dict[str, Any]:
        """What every client is made with."""
        return {"bootstrap.servers": self.servers, **self.options}

    def topic(self, kind: str, name: str) -> str:
        """The topic of a campus's commands or a database's events."""
        return f"{self.prefix}.{kind}.{name}"


def sign_in_options(*, user: str = "", password: str = "", mechanism: str = "", ca_file: str = "") -> dict[str, Any]:
    """The options of librdkafka by which a client signs in with SASL, goes by TLS, both, or neither."""
    options: dict[str, Any] = {}
    if user:
        options |= {"sasl.mechanism": mechanism, "sasl.username": user, "sasl.password": password}
    if ca_file:
        options["ssl.ca.location"] = ca_file
    if options:
        options["security.protocol"] = f"{'SASL_' if user else ''}{'SSL' if ca_file else 'PLAINTEXT'}"
    return options


class KafkaCommandLog:
    """Commands by campus, shared out among the members of one consumer group. An entry's number is its offset + 1."""

    def __init__(self, settings: KafkaSettings, *, campuses: Sequence[str]) -> None:
        self._settings = settings
        self._topics = {campus: settings.topic("commands", campus) for campus in campuses}
        self._client = f"{settings.prefix}-{socket.gethostname()}"
        self._sender = Sender(
            f"{self._client}-commands", settings.client_options, send_s_max=settings.send_s_max, clock=time.monotonic
        )
        self._readers: list[Reader] = []

    async def ensure(self) -> None:
        """Make the campuses' topics where they are missing; harmless twice and at once. Raises Unavailable."""
        await _ensure(self._settings, list(self._topics.values()))

    async def append(self, campus: str, bodies: Sequence[bytes]) -> None:
        """As the port says; raises Unavailable within `send_s_max`."""
        await self._sender.send(self._topics[campus], bodies)

    async def read(self, owner: Owner) -> None:
        """As the port says; a clean end leaves the group at once: a successor has the campus within a second."""
        options = {**self._settings.client_options, "group.id": f"{self._settings.prefix}.writers"}
        reader = Reader(
            owner,
            self._topics,
            options,
            client=f"{self._client}-writer",
            clock=time.monotonic,
            identify=_identifier(self._settings),
        )
        self._readers.append(reader)
        try:
            await reader.run()
        finally:
            self._readers.remove(reader)

    @property
    def lags(self) -> dict[str, int]:
        """By campus that is read here: how many commands wait there."""
        return {campus: lag for reader in self._readers for campus, lag in reader.lags.items()}

    async def close(self) -> None:
        """As the port says."""
        await self._sender.close()


class KafkaEventLog:
    """Events by database. A record is the rows of some events in MessagePack; their numbers are in them.

    Measured with 100 at a time: 2.6 us of processor an event, sent and heard; 4.4 with a record for each.
    """

    def __init__(self, settings: KafkaSettings, *, sources: Sequence[str]) -> None:
        self._settings = settings
        self._topics = {source: settings.topic("told", source) for source in sources}
        self._client = f"{settings.prefix}-{socket.gethostname()}"
        # A consumer must have a group; these never join it.
        self._hearing = {**settings.client_options, "group.id": f"{settings.prefix}.listeners"}
        self._sender = Sender(
            f"{self._client}-events",
            {**settings.client_options, "linger.ms": _EVENTS_GATHER_MS},
            send_s_max=settings.send_s_max,
            clock=time.monotonic,
        )

    async def ensure(self) -> None:
        """Make the sources' topics where they are missing; harmless twice and at once. Raises Unavailable."""
        await _ensure(self._settings, list(self._topics.values()))

    async def publish(self, source: str, events: Sequence[Row]) -> None:
        """As the port says; raises Unavailable within `send_s_max`."""
        await self._sender.send(self._topics[source], records(events) if events else [])

    async def newest(self, source: str) -> int:
        """As the port says; answers within about 10 s."""
        return await asyncio.to_thread(newest_number, self._topics[source], self._hearing)

    async def listen(self, sources: Sequence[str]) -> AsyncGenerator[tuple[str, list[Row]], None]:
        """As the port says."""
        topics = {source: self._topics[source] for source in sources}
        listener = Listener(topics, self._hearing, client=f"{self._client}-listener", clock=time.monotonic)
        listener.start()
        try:
            while True:
                yield await listener.next()
        finally:
            await listener.stop()

    async def close(self) -> None:
        """As the port says."""
        await self._sender.close()


def _identifier(settings: KafkaSettings) -> Callable[[Sequence[str]], Mapping[str, str]]:
    """Gives the ids of topics by name; none of those that are not there, or cannot be asked for now."""
    admin = AdminClient({**settings.client_options, "log_level": 0})

    def identify(topics: Sequence[str]) -> dict[str, str]:
        ids = {}
        for topic, described in admin.describe_topics(TopicCollection(list(topics)), request_timeout=RETRY_S).items():
            with suppress(KafkaException):
                ids[topic] = str(described.result().topic_id)
        return ids

    return identify


def look_around(settings: KafkaSettings, *, within_s: float) -> ClusterMetadata:
    """The brokers, and the topics that are there. Blocks. Raises Unavailable; `reason` is the name of Kafka's error.

    Of who is not let in the client says only that nobody answers: here it is `_AUTHENTICATION` or `_SSL`, told soon.
    """
    said: list[str] = []
    options = {
        **settings.client_options,
        "log_level": 0,  # what is wrong is told once, and by the caller
        "socket.timeout.ms": int(within_s * 1000),
        "error_cb": lambda error: said.append(error.name()),
    }
    admin = AdminClient(options)
    ends_at = time.monotonic() + within_s
    while True:
        try:
            return admin.list_topics(timeout=min(within_s, _LOOK_S))
        except KafkaException as error:
            admin.poll(0)
            refusals = [one for one in said if one in _NOT_LET_IN]
            if refusals or time.monotonic() >= ends_at:
                raise Unavailable(reason=(*refusals, error.args[0].name())[0]) from error


async def _ensure(settings: KafkaSettings, topics: Sequence[str]) -> None:
    """Make the topics that are missing, of one partition; whoever may make none can have them made before. Those that
    are there take records as long as the others', if this account may say so.

    Raises Unavailable as `look_around` does; and ValueError when one is there with more partitions, for then nothing in
    it has an order.
    """
    there = await _topics(settings)
    if missing := [topic for topic in topics if topic not in there]:
        await _make(settings, missing)
        ends_at = time.monotonic() + _ADMIN_S_MAX
        while not all(topic in there and _is_led(there[topic]) for topic in missing):
            if time.monotonic() > ends_at:
                raise Unavailable(reason="UNKNOWN_TOPIC_OR_PART")
            there = await _topics(settings)  # brokers hear of new ones a little later than who makes them
    for topic in topics:
        if (partitions := len(there[topic].partitions)) > 1:
            raise ValueError(f"{topic} has {partitions} partitions, and an order needs that it has one")
    if old := [topic for topic in topics if topic not in missing]:
        await asyncio.to_thread(raise_limits, settings.client_options, old, within_s=_ADMIN_S_MAX)


async def _topics(settings: KafkaSettings) -> dict[str, TopicMetadata]:
    return (await asyncio.to_thread(look_around, settings, within_s=_ADMIN_S_MAX)).topics


def _is_led(topic: TopicMetadata) -> bool:
    """Whether somebody takes records of it."""
    return bool(topic.partitions) and all(one.leader >= 0 for one in topic.partitions.values())


async def _make(settings: KafkaSettings, topics: Sequence[str]) -> None:
    """Make topics; one that somebody else made meanwhile, as he does at the same start, is as good."""
    config = {
        "cleanup.policy": "delete",
        "retention.ms": str(settings.kept_h * _HOUR_MS),
        "max.message.bytes": str(RECORD_BYTES_MAX),
        "min.insync.replicas": "2" if settings.copies > 2 else "1",
    }
    wanted = [NewTopic(topic, 1, settings.copies, config=config) for topic in topics]
    admin = AdminClient({**settings.client_options, "log_level": 0})
    try:
        making = admin.create_topics(wanted, operation_timeout=_ADMIN_S_MAX, request_timeout=_ADMIN_S_MAX)
        for made in making.values():
            await _made(made)
    except KafkaException as error:
        raise Unavailable(reason=error.args[0].name()) from error


async def _made(making: Future[None]) -> None:
    try:
        await asyncio.wrap_future(making)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
