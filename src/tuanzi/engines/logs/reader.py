"""Reads a share of the campuses as a member of a Kafka group.

The group says only whose a campus is. From where it is read the owner says, whose number is kept with the effects; what
Kafka believes of it is for watching. One thread does all that blocks, and meets the event loop in batches.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tuanzi.engines.logs.sender import RETRY_OPTIONS, Complaints
from tuanzi.engines.logs.share import END_S_MAX, RETRY_S, Share
from tuanzi.machinery.commandlog import After, Entry, Owner

log = logging.getLogger("tuanzi.commandlog")

# How long the thread may be deaf to the loop; an idle reader wakes so often.
_POLL_S = 0.05
_READ_AT_ONCE = 1_000
# Our choice: a campus this far ahead of its owner is not read on (about 5 MB), until half of that is left.
_AHEAD_MAX = 10_000
# How often positions are told to Kafka, which only shows them, and lags are looked at.
_LOOK_EVERY_S = 1.0
_CLOSE_S_MAX = 10.0

_OPTIONS = {
    **RETRY_OPTIONS,
    "partition.assignment.strategy": "cooperative-sticky",  # a campus that stays where it is does not stop
    # A dead reader's share moves on after this, and after twice this when he can still speak but not hear (measured:
    # 6 s at 3 s). Brokers must allow it.
    "session.timeout.ms": 2_000,
    "heartbeat.interval.ms": 300,  # also how soon others hear that somebody left
    "max.poll.interval.ms": 60_000,
    "enable.auto.commit": False,
    "auto.offset.reset": "error",  # what the owner wants and Kafka does not have is not passed over
    "fetch.wait.max.ms": 500,
    "fetch.error.backoff.ms": 100,
    "fetch.queue.backoff.ms": 20,
    "queued.min.messages": 10_000,
    "queued.max.messages.kbytes": 16_384,
}


@dataclass(slots=True)
class _Place:
    """Where a share is read. next: the offset that must come next, which is the number of the entry before it.

    mark: of that entry; "" when it is not known. is_proving: it is read once more, for it must still be there under
    this mark. proven: the mark which the log has now, and beside which `mark` was found.
    """

    share: Share
    stamp: int
    after: After
    next: int
    mark: str
    is_proving: bool
    proven: str = ""
    is_paused: bool = False
    retry_at: float | None = None


class Reader:
    """One membership of the group, from `run` until it is cancelled.

    topics: the topic of each campus. lags: by campus, how many entries its owner has not taken yet.
    """

    def __init__(
        self,
        owner: Owner,
        topics: Mapping[str, str],
        options: Mapping[str, Any],
        *,
        client: str,
        clock: Callable[[], float],
        identify: Callable[[Sequence[str]], Mapping[str, str]],
    ) -> None:
        """identify: gives topics' ids by name, of those that are there, within seconds; called by the thread."""
        self.lags: dict[str, int] = {}
        self._owner = owner
        self._topics = dict(topics)
        self._campuses = {topic: campus for campus, topic in topics.items()}
        self._complain = Complaints(client, clock)
        self._options = {**_OPTIONS, **options, "client.id": client, "error_cb": self._complain}
        self._clock = clock
        # of the loop
        self._shares: dict[str, Share] = {}
        # of the thread
        self._held: set[str] = set()
        self._places: dict[str, _Place] = {}
        self._look_at = 0.0
        self._ids: dict[str, str] = {}
        self._identify = identify
        # of both
        self._wishes: deque[tuple[Share, int, After | None]] = deque()
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop

    async def run(self) -> None:
        """Read until cancelled; then the owner has ended, and the group knows that his share is free."""
        self._loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = self._loop.create_future()
        thread = threading.Thread(target=self._work, args=(ended,), name="kafka-reader", daemon=True)
        thread.start()
        try:
            await asyncio.shield(ended)
        finally:
            self._stopping.set()
            done, _ = await asyncio.wait({ended}, timeout=_CLOSE_S_MAX)
            if not done:
                log.error("commandlog.reader_stuck")

    # in the loop

    def _given(self, campuses: Sequence[str]) -> None:
        for campus in campuses:
            former = self._shares.get(campus)
            self._shares[campus] = Share(campus, self._owner, read_from=self._wish, former=former)

    async def _end(self, campuses: Sequence[str]) -> None:
        shares = [self._shares[campus] for campus in campuses if campus in self._shares]
        if shares:
            await asyncio.gather(*(share.let_go() for share in shares))
        for share in shares:
            if self._shares.get(share.campus) is share:
                del self._shares[share.campus]

    def _wish(self, share: Share, stamp: int, after: After | None) -> None:
        self._wishes.append((share, stamp, after))

    @staticmethod
    def _hand(batches: list[tuple[Share, int, list[Entry]]]) -> None:
        for share, stamp, entries in batches:
            share.hand(stamp, entries)

    # in the thread

    def _work(self, ended: asyncio.Future[None]) -> None:
        error: BaseException | None = None
        try:
            while not self._stopping.is_set():
                try:
                    self._be_member()
                except KafkaException as failed:
                    log.error("commandlog.member_failed", extra={"error": failed.args[0].name()})
                    self._stopping.wait(RETRY_S)
        except BaseException as bug:
            error = bug
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(_settle, ended, error)

    def _be_member(self) -> None:
        """Be in the group until told to stop. Raises KafkaException when this membership is of no use any more."""
        consumer = confluent_kafka.Consumer(self._options)
        try:
            consumer.subscribe(
                list(self._campuses), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
            )
            while not self._stopping.is_set():
                self._heed(consumer)
                self._look(consumer)
                first = consumer.poll(_POLL_S)
                if first is not None:
                    self._sort(consumer, [first, *consumer.consume(_READ_AT_ONCE, 0)])
        finally:
            self._let_go(list(self._topics))
            consumer.close()

    def _on_assign(self, consumer: confluent_kafka.Consumer, given: list[TopicPartition]) -> None:
        """Campuses are this process's; they are read once their owner has said from where."""
        consumer.incremental_assign([])
        campuses = [self._campuses[one.topic] for one in given]
        log.info("commandlog.given", extra={"campuses": campuses})
        self._held.update(campuses)
        self._loop.call_soon_threadsafe(self._given, campuses)

    def _on_revoke(self, consumer: confluent_kafka.Consumer, taken: list[TopicPartition]) -> None:
        """Campuses are another's now, or will be once their owner here has ended."""
        campuses = [self._campuses[one.topic] for one in taken]
        log.info("commandlog.taken_away", extra={"campuses": campuses})
        self._let_go(campuses)
        gone = {one.topic for one in taken}
        consumer.incremental_unassign([one for one in consumer.assignment() if one.topic in gone])

    def _let_go(self, campuses: Sequence[str]) -> None:
        """Read them no more, and wait until their owner has ended."""
        self._held.difference_update(campuses)
        for campus in campuses:
            self._places.pop(campus, None)
            self.lags.pop(campus, None)
        try:
            ending = asyncio.run_coroutine_threadsafe(self._end(campuses), self._loop)
        except RuntimeError:  # the loop is closed
            return
        try:
            ending.result(2 * END_S_MAX + 1.0)
        except TookTooLong:
            log.error("commandlog.loop_stuck", extra={"campuses": list(campuses)})

    def _heed(self, consumer: confluent_kafka.Consumer) -> None:
        """Read shares from where their owners want it."""
        while self._wishes:
            share, stamp, after = self._wishes.popleft()
            if share.campus not in self._held or self._shares.get(share.campus) is not share:
                continue
            if after is None:
                if self._places.pop(share.campus, None) is not None:
                    consumer.incremental_unassign([TopicPartition(self._topics[share.campus], 0)])
            else:
                is_proving = after.number > 0
                mark = after.mark_of(after.number)
                place = self._places[share.campus] = _Place(share, stamp, after, after.number, mark, is_proving)
                self._read_on(consumer, place)
        for place in self._places.values():
            if place.retry_at is not None and place.retry_at <= self._clock():
                place.retry_at = None
                self._read_on(consumer, place)
            ahead = place.next - place.share.taken
            if ahead > _AHEAD_MAX and not place.is_paused:
                place.is_paused = True
                consumer.pause([TopicPartition(self._topics[place.share.campus], 0)])
            elif place.is_paused and ahead < _AHEAD_MAX // 2:
                place.is_paused = False
                consumer.resume([TopicPartition(self._topics[place.share.campus], 0)])

    def _read_on(self, consumer: confluent_kafka.Consumer, place: _Place) -> None:
        here = TopicPartition(self._topics[place.share.campus], 0, place.next - place.is_proving)
        if any(one.topic == here.topic for one in consumer.assignment()):
            consumer.incremental_unassign([here])
        consumer.incremental_assign([here])

    def _sort(self, consumer: confluent_kafka.Consumer, messages: list[confluent_kafka.Message]) -> None:
        """Hand over what was read, all of it in one visit to the loop."""
        batches: dict[str, tuple[Share, int, list[Entry]]] = {}
        turned: set[str] = set()  # campuses that are read from elsewhere now: the rest of these is old
        for message in messages:
            error = message.error()
            if error is not None:
                self._hear(consumer, error, message)
                continue
            topic, offset, body = message.topic(), message.offset(), message.value()
            assert topic is not None
            assert offset is not None
            campus = self._campuses[topic]
            place = self._places.get(campus)
            if place is None or place.retry_at is not None or campus in turned:
                continue
            after, wanted = place.after, place.next - place.is_proving
            if offset < wanted:
                continue
            if offset > wanted:
                self._missing(place, f"{offset} came")
                continue
            mark = self._mark(topic, message)
            if mark is None:  # whose log it is cannot be said now
                place.retry_at = self._clock() + RETRY_S
                continue
            if place.is_proving:
                self._prove(place, mark)
                continue
            if place.mark not in ("", mark) and place.proven != mark:
                # A broker began anew, or it is another log: what was read last must be in it still.
                place.is_proving, place.proven = True, mark
                turned.add(campus)
                self._read_on(consumer, place)
                continue
            if after.mark_of(offset + 1) not in ("", mark):
                self._missing(place, f"{offset + 1} is in {mark}, and was kept from {after.mark_of(offset + 1)}")
                continue
            place.next, place.mark = offset + 1, mark
            batch = batches.get(campus)
            if batch is None:
                batch = batches[campus] = (place.share, place.stamp, [])
            batch[2].append(Entry(place.next, body or b"", mark))
        if batches:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._hand, list(batches.values()))

    def _mark(self, topic: str, message: confluent_kafka.Message) -> str | None:
        """The mark of an entry: the topic's id, and the epoch of the broker that took it; None when that is not known.

        A log only ever loses its end when a broker begins anew, which is a new epoch; one that was made again has a new
        id.
        """
        if topic not in self._ids:
            self._ids = dict(self._identify(list(self._campuses)))
        id, epoch = self._ids.get(topic), message.leader_epoch()
        return None if id is None or epoch is None else f"{id}.{epoch}"

    def _prove(self, place: _Place, mark: str) -> None:
        """The entry before the next one came once more."""
        if place.mark not in ("", mark):
            self._missing(place, f"{place.next} is in {mark}, and was read in {place.mark}")
            return
        place.is_proving, place.mark = False, mark

    def _hear(self, consumer: confluent_kafka.Consumer, error: KafkaError, message: confluent_kafka.Message) -> None:
        """Something else than a command came. Raises KafkaException when this membership is of no use any more."""
        if error.fatal():
            raise KafkaException(error)
        self._complain(error)
        topic = message.topic() or ""
        self._ids.pop(topic, None)
        place = self._places.get(self._campuses.get(topic, ""))
        if place is not None and error.code() == KafkaError._AUTO_OFFSET_RESET:
            if place.is_proving and self._has_expired(consumer, topic, place):
                place.is_proving, place.mark = False, ""
                place.retry_at = self._clock()
            else:
                self._missing(place, error.str())

    def _has_expired(self, consumer: confluent_kafka.Consumer, topic: str, place: _Place) -> bool:
        """Whether the same log begins right behind the entry that was to be proved: it was kept for its time, and
        nothing after it is lost."""
        id = self._identify([topic]).get(topic)
        try:
            oldest, _ = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=RETRY_S, cached=False)
        except KafkaException:
            return False
        return oldest == place.next and id is not None and place.mark.startswith(f"{id}.")

    def _missing(self, place: _Place, what: str) -> None:
        """The log does not have what the owner needs next: it was cleared too early, or lost its end and would give
        numbers a second time. To go on would lose commands in silence, so the campus waits for a person."""
        log.critical("commandlog.missing", extra={"campus": place.share.campus, "next": place.next, "instead": what})
        place.retry_at = self._clock() + RETRY_S

    def _look(self, consumer: confluent_kafka.Consumer) -> None:
        """Tell Kafka how far the owners are, for those who watch, and see how far behind they are."""
        if self._clock() < self._look_at:
            return
        self._look_at = self._clock() + _LOOK_EVERY_S
        self._ids = dict(self._identify(list(self._campuses)))  # one may have been made again
        taken = []
        for campus, place in self._places.items():
            here = TopicPartition(self._topics[campus], 0, place.share.taken)
            _, newest = consumer.get_watermark_offsets(here, cached=True)
            self.lags[campus] = max(0, newest - place.share.taken)
            if place.share.taken:
                taken.append(here)
        if taken:
            with contextlib.suppress(KafkaException):  # it is only shown; the next time will do
                consumer.commit(offsets=taken, asynchronous=True)


def _settle(ended: asyncio.Future[None], error: BaseException | None) -> None:
    if ended.done():
        return
    if error is None:
        ended.set_result(None)
    else:
        ended.set_exception(error)
