"""Hears topics of Kafka from now on, in no group: each process that listens hears everything."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import confluent_kafka
import msgspec
from confluent_kafka import KafkaException, TopicPartition

from tuanzi.engines.logs.sender import RETRY_OPTIONS, Complaints
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.tables import Row

log = logging.getLogger("tuanzi.eventlog")

# How long the thread may be deaf to the loop; an idle listener wakes so often.
_POLL_S = 0.05
_READ_AT_ONCE = 1_000
# Batches that were read and not asked for yet; then Kafka keeps them.
_WAITING_MAX = 16
_RETRY_S = 0.5
_ASK_S_MAX = 5.0

_OPTIONS = {
    **RETRY_OPTIONS,
    "enable.auto.commit": False,
    "auto.offset.reset": "latest",
    "fetch.wait.max.ms": 500,
    "fetch.error.backoff.ms": 100,
    "queued.max.messages.kbytes": 16_384,
}
# Our choice: nobody but a relay writes there, so one that cannot be read is somebody's mistake.
_UNREADABLE_MAX = 20
# Our choice: events of one record, which a broker takes up to 1 MB of; a larger event travels alone.
_RECORD_BYTES = 256_000
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[int, str, int, int, Any]]).decode

Heard = tuple[str, list[Row]]


class Listener:
    """Hears sources from `start` until `stop`. topics: the topic of each source."""

    def __init__(
        self, topics: Mapping[str, str], options: Mapping[str, Any], *, client: str, clock: Callable[[], float]
    ) -> None:
        self._sources = {topic: source for source, topic in topics.items()}
        self._complain = Complaints(client, clock)
        self._options = {**_OPTIONS, **options, "client.id": client, "error_cb": self._complain}
        self._heard: asyncio.Queue[Heard | BaseException] = asyncio.Queue()
        self._room = threading.Semaphore(_WAITING_MAX)
        self._stopping = threading.Event()
        self._newest: dict[str, int] = {}  # of the thread: by topic, the highest number that was heard
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread

    def start(self) -> None:
        """Listen from about now on: from where it is, each source gives an empty list."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="kafka-listener", daemon=True)
        self._thread.start()

    async def next(self) -> Heard:
        """What was heard next. Raises what has ended the listening."""
        heard = await self._heard.get()
        self._room.release()
        if isinstance(heard, BaseException):
            raise heard
        return heard

    async def stop(self) -> None:
        """Listen no more."""
        self._stopping.set()
        await asyncio.to_thread(self._thread.join)

    # in the thread

    def _work(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._listen()
                except KafkaException as failed:
                    log.warning("eventlog.listener_failed", extra={"error": failed.args[0].name()})
                    self._stopping.wait(_RETRY_S)
        except BaseException as bug:
            self._give(bug)

    def _listen(self) -> None:
        """Listen until told to stop. Raises KafkaException when a source cannot be reached, or none any more."""
        consumer = confluent_kafka.Consumer(self._options)
        try:
            ends = []
            for topic in self._sources:
                _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=_ASK_S_MAX)
                ends.append(TopicPartition(topic, 0, end))
            consumer.assign(ends)
            for source in self._sources.values():
                self._give((source, []))
            while not self._stopping.is_set():
                first = consumer.poll(_POLL_S)
                if first is not None:
                    self._sort([first, *consumer.consume(_READ_AT_ONCE, 0)])
        finally:
            consumer.close()

    def _sort(self, messages: list[confluent_kafka.Message]) -> None:
        """Give what was read by source, without what was heard before."""
        batches: dict[str, list[Row]] = {}
        for message in messages:
            error, topic, body = message.error(), message.topic(), message.value()
            if error is not None:
                self._complain(error)
                if error.fatal():
                    raise KafkaException(error)
            if error is not None or topic is None or body is None:
                continue
            newest = self._newest.get(topic, 0)
            told = _rows_of(topic, body)
            if told is None:
                self._give((self._sources[topic], []))  # the table tells what it should have said
                continue
            rows = [row for row in told if row[0] > newest]
            if rows:
                self._newest[topic] = rows[-1][0]
                batches.setdefault(topic, []).extend(rows)
        for topic, rows in batches.items():
            self._give((self._sources[topic], rows))

    def _give(self, heard: Heard | BaseException) -> None:
        """Hand it to the loop when there is room."""
        while not self._room.acquire(timeout=_POLL_S):
            if self._stopping.is_set():
                return
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._heard.put_nowait, heard)


def records(rows: Sequence[Row]) -> list[bytes]:
    """Events as records, as many together as one may hold: whoever sends and hears a record works for each."""
    record = _encode(rows)
    if len(record) <= _RECORD_BYTES or len(rows) == 1:
        return [record]
    half = len(rows) // 2
    return records(rows[:half]) + records(rows[half:])


def _rows_of(topic: str, body: bytes | None) -> list[Row] | None:
    """The events of a record; None of one that another hand wrote, or that is damaged."""
    try:
        return [*_decode(body or b"")]
    except ValueError as error:
        log.error("eventlog.record_unreadable", extra={"topic": topic, "reason": type(error).__name__})
        return None


def newest_number(topic: str, options: Mapping[str, Any]) -> int:
    """The number of the last event of a topic, 0 when there is none; blocks. Raises Unavailable.

    Records behind it that cannot be read are passed over; 0 also when these are all that is looked at.
    """
    consumer = confluent_kafka.Consumer({**_OPTIONS, **options})
    try:
        first, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=_ASK_S_MAX)
        for offset in range(end - 1, max(first, end - _UNREADABLE_MAX) - 1, -1):
            consumer.assign([TopicPartition(topic, 0, offset)])
            messages: Sequence[confluent_kafka.Message] = consumer.consume(1, _ASK_S_MAX)
            if not messages or messages[0].error() is not None:
                raise Unavailable(topic=topic)
            if rows := _rows_of(topic, messages[0].value()):
                number: int = rows[-1][0]
                return number
        return 0
    except KafkaException as failed:
        raise Unavailable(topic=topic, error=failed.args[0].name()) from failed
    finally:
        consumer.close()
