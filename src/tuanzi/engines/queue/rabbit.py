"""The work queue on RabbitMQ: quorum queues, publisher confirms, a queue for each delay, and one for the dead (A, D1).

For each queue of works there are: `<name>`, `<name>.later.<ms>` for each delay, whose messages come back by themselves
when they are that old, and `<name>.dead`. All are declared again at every connect: after the kill of a broker a quorum
queue that gives its messages on at least once may stand still until it is (seen with 3.10.8). One that is deleted is
missed within a second, and then so too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from msgspec import structs

from tuanzi.base.time import from_ms, to_ms
from tuanzi.machinery.pool import Pool
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.workqueue import Backlog, Patience, Work, WorkHandler

log = logging.getLogger("tuanzi.queue")

# A broker that stands still takes everything and answers nothing, for ever.
PUT_S_MAX = 5.0
# Measured (reference/stack.md G): 100 to 500 under way are the cheapest.
PUT_AT_ONCE = 500
CONNECT_S_MAX = 5.0
WATCH_EVERY_S = 1.0
RETRY_S = 0.5
# A work that was given out so often and never came back took its worker with it each time.
LOST_MAX = 10

# RuntimeError: that a channel or a connection is closed already, in several classes.
_TROUBLE = (aio_pika.exceptions.AMQPError, OSError, TimeoutError, RuntimeError)
# What the headers of a message raise that nobody here has put.
_UNREADABLE = (KeyError, TypeError, ValueError, OverflowError)


class RabbitFigures:
    """What a client has done since it started, for `/metrics`."""

    def __init__(self) -> None:
        self.put = 0
        self.done = 0
        self.failed = 0
        self.dead = 0
        self.connects = 0


class RabbitQueue:
    """Works of some queues on one broker; `run` keeps it connected."""

    def __init__(
        self,
        url: str,
        *,
        queues: Sequence[str],
        patience: Patience,
        now: Callable[[], datetime],
        prefix: str = "tuanzi.",
        lost_max: int = LOST_MAX,
    ) -> None:
        """url: amqp://user:password@host:port/. prefix: of the names at the broker. lost_max: a work that was given out
        more often and never came back is dead."""
        self.figures = RabbitFigures()
        self.connected = asyncio.Event()
        self._url = url
        self._queues = tuple(queues)
        self._patience = patience
        self._now = now
        self._prefix = prefix
        self._lost_max = lost_max
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._in_hand: dict[str, dict[int, datetime]] = {queue: {} for queue in queues}

    async def run(self) -> None:
        """Be connected, and have every queue, until cancelled."""
        while True:
            try:
                await self._serve()
            except _TROUBLE as error:
                log.warning("queue.disconnected", extra={"reason": type(error).__name__})
            except asyncio.CancelledError:
                _raise_if_cancelled()
            await asyncio.sleep(RETRY_S)

    async def put(self, works: Sequence[Work]) -> None:
        """Keep works; returns when the broker has them on disk. Raises Unavailable."""
        for i in range(0, len(works), PUT_AT_ONCE):
            await self._publish([(self._name(work.queue), work, self._now()) for work in works[i : i + PUT_AT_ONCE]])
        self.figures.put += len(works)

    async def work(self, queue: str, handler: WorkHandler, *, pool: Pool) -> None:
        """Do works of a queue until cancelled; see WorkQueue."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pool.follow())
            while True:
                await self.connected.wait()
                try:
                    await self._consume(queue, handler, pool, tasks)
                except _TROUBLE as error:
                    log.warning("queue.not_consuming", extra={"queue": queue, "reason": type(error).__name__})
                except asyncio.CancelledError:
                    _raise_if_cancelled()
                await asyncio.sleep(RETRY_S)

    async def backlog(self, queue: str) -> Backlog:
        """How much there is; the oldest of those that this process has in hand. Raises Unavailable."""
        counts = await self._in_time(self._count(self._names(queue)))
        waiting = self._in_hand[queue]
        oldest_s = max(0.0, (self._now() - min(waiting.values())).total_seconds()) if waiting else 0.0
        return Backlog(waiting=counts[0] + len(waiting), oldest_s=oldest_s, delayed=sum(counts[1:-1]), dead=counts[-1])

    # the connection

    async def _serve(self) -> None:
        async with asyncio.timeout(CONNECT_S_MAX):
            connection = await aio_pika.connect(self._url, timeout=CONNECT_S_MAX)
        try:
            async with asyncio.timeout(4 * CONNECT_S_MAX):
                channel = await connection.channel(publisher_confirms=True)
                await self._declare(channel)
            names = [name for queue in self._queues for name in self._names(queue)]
            self._connection, self._channel = connection, channel
            self.figures.connects += 1
            self.connected.set()
            while not connection.is_closed and not channel.is_closed:
                await asyncio.sleep(WATCH_EVERY_S)
                # A broker that stands still closes nothing, nor does one at which a queue was deleted: it is asked.
                async with asyncio.timeout(PUT_S_MAX):
                    for name in names:
                        await channel.declare_queue(name, passive=True)
        finally:
            self.connected.clear()
            self._connection = self._channel = None
            with suppress(*_TROUBLE):
                async with asyncio.timeout(1.0):
                    await connection.close()

    async def _declare(self, channel: AbstractChannel) -> None:
        for queue in self._queues:
            name = self._name(queue)
            quorum: dict[str, Any] = {"x-queue-type": "quorum"}
            await channel.declare_queue(name, durable=True, arguments=quorum)
            await channel.declare_queue(self._dead(queue), durable=True, arguments=quorum)
            for delay_s in self._delays():
                arguments = {
                    **quorum,
                    "x-message-ttl": round(delay_s * 1000),
                    "x-dead-letter-exchange": "",
                    "x-dead-letter-routing-key": name,
                    "x-dead-letter-strategy": "at-least-once",
                    "x-overflow": "reject-publish",  # which at-least-once needs
                }
                await channel.declare_queue(self._later(queue, delay_s), durable=True, arguments=arguments)

    async def _publish(self, works: Sequence[tuple[str, Work, datetime]]) -> None:
        """Publish works, each to a queue of the broker and due at a time; all are confirmed. Raises Unavailable."""
        exchange = self._open_channel().default_exchange
        sent = [
            exchange.publish(_message_of(work, due_at=due_at), routing_key=name, timeout=PUT_S_MAX)
            for name, work, due_at in works
        ]
        await self._in_time(_all(sent))

    async def _in_time(self, asked: Any) -> Any:
        try:
            async with asyncio.timeout(PUT_S_MAX):
                return await asked
        except _TROUBLE as error:
            raise Unavailable(retry_after_s=2) from error
        except asyncio.CancelledError as error:
            _raise_if_cancelled()
            raise Unavailable(retry_after_s=2) from error

    # consuming

    async def _consume(self, queue: str, handler: WorkHandler, pool: Pool, tasks: asyncio.TaskGroup) -> None:
        connection = self._connection
        if connection is None:
            return
        async with asyncio.timeout(CONNECT_S_MAX):
            channel = await connection.channel(publisher_confirms=False)
            await channel.set_qos(prefetch_count=2 * pool.limits.most)
            source = await channel.get_queue(self._name(queue), ensure=False)
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                await source.consume(partial(self._take, queue, handler, pool, tasks))
            while self._connection is connection and not channel.is_closed:  # noqa: ASYNC110
                await asyncio.sleep(WATCH_EVERY_S / 4)
        finally:
            with suppress(*_TROUBLE):
                async with asyncio.timeout(1.0):
                    await channel.close()

    async def _take(
        self,
        queue: str,
        handler: WorkHandler,
        pool: Pool,
        tasks: asyncio.TaskGroup,
        message: AbstractIncomingMessage,
    ) -> None:
        tasks.create_task(self._try(queue, handler, pool, message))

    async def _try(self, queue: str, handler: WorkHandler, pool: Pool, message: AbstractIncomingMessage) -> None:
        try:
            work, due_at = _work_of(queue, message)
        except _UNREADABLE as error:
            await self._bury_unread(queue, message, reason=type(error).__name__)
            return
        waiting = self._in_hand[queue]
        waiting[id(message)] = due_at

        async def job() -> None:
            waiting.pop(id(message), None)
            await handler(work)

        try:
            if _times_lost(message) > self._lost_max:
                await self._bury(work, message, reason="its workers died")
                return
            await pool.run(job, waited_s=max(0.0, (self._now() - due_at).total_seconds()))
        except Exception as error:
            await self._postpone(work, message, reason=type(error).__name__)
        else:
            self.figures.done += 1
            await _acknowledge(message)
        finally:
            waiting.pop(id(message), None)

    async def _postpone(self, work: Work, message: AbstractIncomingMessage, *, reason: str) -> None:
        """Put a work where it waits for its next try, or among the dead; only then it is taken from its queue."""
        self.figures.failed += 1
        delay_s = self._patience.delay_after(work.attempt)
        try:
            if delay_s is None:
                await self._bury(work, message, reason=reason)
            else:
                facts = {"queue": work.queue, "work": work.id, "attempt": work.attempt, "reason": reason}
                log.warning("queue.work_failed", extra=facts)
                due_at = self._now() + timedelta(seconds=delay_s)
                again = structs.replace(work, attempt=work.attempt + 1)
                await self._publish([(self._later(work.queue, delay_s), again, due_at)])
                await _acknowledge(message)
        except Unavailable:
            await _leave(message)

    async def _bury_unread(self, queue: str, message: AbstractIncomingMessage, *, reason: str) -> None:
        """Put what is no work, by a foreign hand or of another release, among the dead as it is."""
        log.error("queue.work_unreadable", extra={"queue": queue, "work": message.message_id or "", "reason": reason})
        try:
            await self._pass_on(message, self._dead(queue))
        except Unavailable:
            await _leave(message)
        else:
            self.figures.dead += 1
            await _acknowledge(message)

    async def _pass_on(self, message: AbstractIncomingMessage, name: str) -> None:
        """Publish a message as it is to a queue of the broker; it is confirmed. Raises Unavailable."""
        same = aio_pika.Message(
            message.body,
            message_id=message.message_id,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            headers={key: value for key, value in message.headers.items() if not key.startswith("x-")},
        )
        exchange = self._open_channel().default_exchange
        await self._in_time(exchange.publish(same, routing_key=name, timeout=PUT_S_MAX))

    async def _bury(self, work: Work, message: AbstractIncomingMessage, *, reason: str) -> None:
        """Raises Unavailable."""
        facts = {"queue": work.queue, "work": work.id, "attempt": work.attempt, "reason": reason}
        log.error("queue.work_dead", extra=facts)
        await self._publish([(self._dead(work.queue), work, self._now())])
        self.figures.dead += 1
        await _acknowledge(message)

    # names and numbers

    def _name(self, queue: str) -> str:
        return f"{self._prefix}{queue}"

    def _later(self, queue: str, delay_s: float) -> str:
        return f"{self._prefix}{queue}.later.{round(delay_s * 1000)}"

    def _dead(self, queue: str) -> str:
        return f"{self._prefix}{queue}.dead"

    def _names(self, queue: str) -> list[str]:
        """Of all that the broker has for a queue: itself, those of works that wait for a try, and the dead."""
        return [self._name(queue), *[self._later(queue, delay_s) for delay_s in self._delays()], self._dead(queue)]

    def _delays(self) -> list[float]:
        return list(dict.fromkeys(self._patience.delays_s))

    async def _count(self, names: Sequence[str]) -> list[int]:
        channel = self._open_channel()
        found = [await channel.declare_queue(name, passive=True) for name in names]
        return [queue.declaration_result.message_count or 0 for queue in found]

    def _open_channel(self) -> AbstractChannel:
        if self._channel is None:
            raise Unavailable(retry_after_s=2)
        return self._channel


def _message_of(work: Work, *, due_at: datetime) -> aio_pika.Message:
    return aio_pika.Message(
        work.body,
        message_id=work.id,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        headers={"attempt": work.attempt, "put_at_ms": to_ms(work.put_at), "due_at_ms": to_ms(due_at)},
    )


def _work_of(queue: str, message: AbstractIncomingMessage) -> tuple[Work, datetime]:
    """A work, and when it could be done first. Raises one of _UNREADABLE."""
    headers: Mapping[str, Any] = message.headers
    attempt = headers["attempt"]
    if not isinstance(attempt, int) or attempt < 1:
        raise ValueError("no number of a try")
    work = Work(
        id=message.message_id or "",
        queue=queue,
        body=message.body,
        put_at=from_ms(headers["put_at_ms"]),
        attempt=attempt,
    )
    return work, from_ms(headers["due_at_ms"])


def _times_lost(message: AbstractIncomingMessage) -> int:
    """How often a work was given out before and neither done nor given back, as the broker counts."""
    counted: Any = message.headers.get("x-delivery-count", 0)
    return int(counted)


async def _leave(message: AbstractIncomingMessage) -> None:
    """Leave a message in its queue, to be given out again: not at once, for the broker has trouble enough."""
    await asyncio.sleep(RETRY_S)
    with suppress(*_TROUBLE):
        await message.nack(requeue=True)


async def _acknowledge(message: AbstractIncomingMessage) -> None:
    """Have the broker forget a message; where it cannot be told, the work is done again."""
    try:
        async with asyncio.timeout(PUT_S_MAX):
            await message.ack()
    except _TROUBLE:
        pass
    except asyncio.CancelledError:
        _raise_if_cancelled()


def _raise_if_cancelled() -> None:
    """The client cancels what waits for an answer when its connection ends; that is not for whoever asked."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _all(sent: Sequence[Awaitable[object]]) -> None:
    await asyncio.gather(*sent)
