"""Sends records to Kafka: many in flight at a time, and told of in batches."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import confluent_kafka

from tuanzi.machinery.problems import Unavailable

log = logging.getLogger("tuanzi.kafka")

# The client gives up so much earlier than the caller, who then mostly hears what became of his records.
_CLIENT_SHARE = 0.9
# Also how long a close may wait for the thread.
_POLL_S = 0.2
# The same complaint is logged again only after so long: a broker that is gone is complained of twice a second.
_COMPLAINTS_EVERY_S = 30.0

# A command may bring a file of 2 MiB, which is longer as JSON. Kafka's own limit is 1 MB.
RECORD_BYTES_MAX = 8 * 1024 * 1024

# How every client of Kafka notices within seconds that a broker is gone, and is back.
RETRY_OPTIONS: Mapping[str, Any] = {
    "socket.timeout.ms": 4_000,
    "socket.connection.setup.timeout.ms": 2_000,
    "retry.backoff.ms": 50,
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 500,
    "log_level": 0,  # errors come through error_cb
}

_OPTIONS = {
    **RETRY_OPTIONS,
    "enable.idempotence": True,  # and so acks=all, and an order that retries keep
    # Measured at 2,000 a second, client and broker on 2 busy cores: 1.0 core without, 0.6 with 1 ms, 0.5 with 2 ms; one
    # alone takes 0.7, 1.8 and 3 ms.
    "linger.ms": 1,
    "request.timeout.ms": 3_000,
    "retry.backoff.max.ms": 500,
    "message.max.bytes": RECORD_BYTES_MAX,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 65_536,
}


class Complaints:
    """Logs what a Kafka client complains of, each kind once in a while."""

    def __init__(self, client: str, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._next_at: dict[str, float] = {}

    def __call__(self, error: confluent_kafka.KafkaError) -> None:
        """May be called by any thread."""
        now = self._clock()
        if self._next_at.get(error.name(), 0.0) <= now:
            self._next_at[error.name()] = now + _COMPLAINTS_EVERY_S
            log.warning("kafka.complains", extra={"client": self._client, "error": error.name()})


class _Batch:
    """Records sent together, until all are told of. `told` is called by the sender's thread."""

    __slots__ = ("_done", "_left", "error", "heard")

    def __init__(self, count: int, done: list[_Batch], heard: asyncio.Future[bool]) -> None:
        self._left = count
        self._done = done
        self.error: confluent_kafka.KafkaError | None = None
        self.heard = heard

    def told(self, error: confluent_kafka.KafkaError | None, _: confluent_kafka.Message) -> None:
        """One of them is kept, or is not."""
        if error is not None:
            self.error = error
        self._left -= 1
        if not self._left:
            self._done.append(self)


class Sender:
    """A producer, and the thread that hears from it; used from one event loop.

    client: its name in logs. options: further ones of librdkafka, such as the servers and how to sign in.
    send_s_max: after so long a sender is told that nobody knows.
    """

    def __init__(
        self, client: str, options: Mapping[str, Any], *, send_s_max: float, clock: Callable[[], float]
    ) -> None:
        self._complain = Complaints(client, clock)
        self._send_s_max = send_s_max
        self._options = {
            **_OPTIONS,
            "message.timeout.ms": int(send_s_max * _CLIENT_SHARE * 1000),
            **options,
            "client.id": client,
            "error_cb": self._hear_error,
        }
        self._producer: confluent_kafka.Producer | None = None
        self._is_broken = False
        self._done: list[_Batch] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    async def send(self, topic: str, values: Sequence[bytes]) -> None:
        """Put records at the end of a topic of one partition; returns when they are kept.

        Raises Unavailable within `send_s_max`: nobody knows then which of them are kept.
        """
        if not values:
            return
        producer = self._ready()
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[bool] = loop.create_future()
        batch = _Batch(len(values), self._done, heard)
        try:
            for value in values:
                producer.produce(topic, value, partition=0, on_delivery=batch.told)
        except (BufferError, confluent_kafka.KafkaException) as error:
            raise Unavailable(topic=topic) from error
        # Measured: with `asyncio.wait` and its time limit an append and its reading cost 40 us instead of 18.
        limit = loop.call_later(self._send_s_max, _give_up, heard)
        try:
            is_told = await heard
        finally:
            limit.cancel()
        if not is_told or batch.error is not None:
            raise Unavailable(topic=topic)

    async def close(self) -> None:
        """Send what waits, for as long as a sender would, and let go."""
        thread, self._thread = self._thread, None
        self._closing.set()
        if thread is not None:
            await asyncio.to_thread(thread.join)

    def _ready(self) -> confluent_kafka.Producer:
        """The producer, made when it is first used and anew when it is broken for good."""
        if self._closing.is_set():
            raise Unavailable(reason="closed")
        if self._producer is None or self._is_broken:
            self._is_broken = False
            self._producer = confluent_kafka.Producer(self._options)
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._hear, name="kafka-sender", daemon=True)
            self._thread.start()
        return self._producer

    def _hear(self) -> None:
        """The thread: hears what became of records, and tells the loop of all that it heard at once."""
        assert self._loop is not None
        heard = None
        while not self._closing.is_set():
            producer = self._producer
            assert producer is not None
            if heard is not None and heard is not producer:
                # Whoever waited for the broken one is told so.
                heard.purge()
                heard.flush(_POLL_S)
            heard = producer
            producer.poll(_POLL_S)
            self._tell()
        assert self._producer is not None
        self._producer.flush(self._send_s_max)
        self._tell()

    def _tell(self) -> None:
        """Hand over the batches that are told of; the list stays the same, for those on the way hold it."""
        done = self._done[:]
        if not done:
            return
        del self._done[: len(done)]
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(_settle, done)
        except RuntimeError:
            log.info("kafka.loop_closed", extra={"batches": len(done)})

    def _hear_error(self, error: confluent_kafka.KafkaError) -> None:
        """Called by the thread. A producer with a fatal error takes nothing any more."""
        self._complain(error)
        if error.fatal():
            self._is_broken = True


def _settle(batches: list[_Batch]) -> None:
    for batch in batches:
        if not batch.heard.done():
            batch.heard.set_result(True)


def _give_up(heard: asyncio.Future[bool]) -> None:
    if not heard.done():
        heard.set_result(False)
