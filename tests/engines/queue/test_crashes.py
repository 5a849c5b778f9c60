"""D1 with a broker that is killed and paused: no work that was acknowledged is lost, nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import aio_pika
import pytest
import pytest_asyncio

from servers.rabbit import Rabbit
from tests.engines.queue.test_contract import Workshop, at_work, served, some, until_backlog
from tests.undisturbed import Undisturbed
from tests.waiting import until
from tuanzi.engines.queue.rabbit import PUT_S_MAX, RabbitQueue
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.workqueue import Patience

QUEUE, PAUSED = "crash", "pause"
# What a quorum queue confirms within its first three seconds is lost when the broker is killed: see servers/rabbit.py.
DECLARED_S = 6.0
PATIENCE = Patience((1.0, 2.0))


@pytest_asyncio.fixture
async def works(rabbit: Rabbit) -> AsyncIterator[RabbitQueue]:
    """A queue that was declared as long ago as in production."""
    async with served(rabbit, QUEUE, PAUSED, patience=PATIENCE) as works:
        await asyncio.sleep(DECLARED_S)
        yield works


class Client:
    """Somebody who puts works, and remembers which were acknowledged."""

    def __init__(self, works: RabbitQueue, *, first: int) -> None:
        self.acknowledged: set[str] = set()
        self.refused = 0
        self._works = works
        self._next = first

    async def run(self) -> None:
        """Put works until cancelled."""
        while True:
            batch = some(QUEUE, 10, first=self._next)
            self._next += 10
            try:
                await self._works.put(batch)
                self.acknowledged |= {work.id for work in batch}
            except Unavailable:
                self.refused += 1
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.01)


async def test_no_acknowledged_work_is_lost_when_the_broker_is_killed(rabbit: Rabbit, works: RabbitQueue) -> None:
    chance = Random(5)
    # One in ten fails once, and waits for its next try; one in fifty fails always.
    shop = Workshop(bad={f"w{i}": 1_000 if i % 50 == 7 else 1 for i in range(200_000) if i % 10 == 7})
    clients = [Client(works, first=50_000 * i) for i in range(4)]
    async with at_work(works, QUEUE, shop, hands=32):
        putting = [asyncio.create_task(client.run()) for client in clients]
        await asyncio.sleep(chance.uniform(1.0, 2.0))
        await until(lambda: sum(len(client.acknowledged) for client in clients) > 1_000, within_s=60)
        rabbit.kill()
        await until(lambda: not works.connected.is_set())
        await asyncio.to_thread(rabbit.start)
        await asyncio.wait_for(works.connected.wait(), 60)
        await asyncio.sleep(1.0)
        for each in putting:
            each.cancel()
        await asyncio.gather(*putting, return_exceptions=True)
        acknowledged = set().union(*[client.acknowledged for client in clients])
        poison = {id for id in acknowledged if int(id[1:]) % 50 == 7}

        await until(lambda: acknowledged - poison <= shop.done.keys(), within_s=60)
        await until(lambda: shop.under_way == 0)
        end = asyncio.get_running_loop().time() + 60
        while (backlog := await works.backlog(QUEUE)).dead < len(poison) or backlog.waiting or backlog.delayed:
            assert asyncio.get_running_loop().time() < end, backlog
            await asyncio.sleep(0.1)

    assert len(acknowledged) > 1_000
    assert sum(client.refused for client in clients) > 0
    assert backlog.dead >= len(poison)


async def test_a_paused_broker_refuses_within_seconds_and_goes_on_where_it_stood(
    rabbit: Rabbit, works: RabbitQueue
) -> None:
    shop = Workshop()
    await works.put(some(PAUSED, 100, first=1_000_000))
    rabbit.pause()
    clock = Undisturbed()
    try:
        began = clock()
        with pytest.raises(Unavailable):
            await works.put(some(PAUSED, 1, first=2_000_000))
        took_s = clock() - began
        await until(lambda: not works.connected.is_set())
    finally:
        rabbit.resume()

    async with at_work(works, PAUSED, shop, hands=32):
        await asyncio.wait_for(works.connected.wait(), 60)
        await works.put(some(PAUSED, 100, first=3_000_000))
        wanted = {f"w{i}" for i in [*range(1_000_000, 1_000_100), *range(3_000_000, 3_000_100)]}
        await until(lambda: wanted <= shop.done.keys())
        await until_backlog(works, PAUSED)

    assert took_s < PUT_S_MAX + 2


async def test_a_work_that_takes_its_workers_with_it_is_dead_before_it_has_taken_all(rabbit: Rabbit) -> None:
    async with served(rabbit, "poison", lost_max=2) as works:
        await works.put(some("poison", 1))
        deaths = 0
        while deaths < 3:
            shop = Workshop()
            shop.gate.clear()
            async with at_work(works, "poison", shop):
                await until(lambda shop=shop: shop.under_way == 1)  # type: ignore[misc]
            deaths += 1

        spared = Workshop()
        async with at_work(works, "poison", spared):
            await until_backlog(works, "poison", dead=1)

    assert spared.begun == []


async def test_what_is_no_work_is_buried_and_ends_no_worker(rabbit: Rabbit) -> None:
    """By a foreign hand, or of another release: without our headers, or with others in them."""
    headers: list[dict[str, Any]] = [{}, {"attempt": "often", "put_at_ms": 1, "due_at_ms": 1}]
    headers += [{"attempt": 1, "put_at_ms": "noon", "due_at_ms": 1}, {"attempt": 1, "put_at_ms": 1 << 62}]
    async with served(rabbit, "foreign") as works:
        connection = await aio_pika.connect(rabbit.url)
        channel = await connection.channel()
        for each in headers:
            message = aio_pika.Message(b"?", headers=each, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, routing_key="tuanzi.foreign")
        shop = Workshop()
        async with at_work(works, "foreign", shop):
            await works.put(some("foreign", 20))
            await until(lambda: len(shop.done) == 20)
            await until_backlog(works, "foreign", dead=4)

        dead = await (await channel.get_queue("tuanzi.foreign.dead")).get()
        await connection.close()

    assert dead is not None
    assert dead.body == b"?"
    assert {name: value for name, value in dead.headers.items() if not name.startswith("x-")} in headers
    assert shop.done.total() == 20


@pytest.mark.parametrize("which", ["", ".dead", ".later.1000"], ids=["the queue", "the dead", "the later"])
async def test_a_queue_that_an_operator_deletes_is_made_again_and_worked_at(rabbit: Rabbit, which: str) -> None:
    queue = "deleted" + which.replace(".", "-")
    shop = Workshop(bad={"w3": 1})
    async with served(rabbit, queue, patience=PATIENCE) as works, at_work(works, queue, shop, hands=8):
        await works.put(some(queue, 2))
        await until(lambda: len(shop.done) == 2)
        connection = await aio_pika.connect(rabbit.url)
        channel = await connection.channel()

        connects = works.figures.connects

        await channel.queue_delete(f"tuanzi.{queue}{which}")
        await connection.close()
        await until(lambda: works.figures.connects > connects)  # so it was missed, and all were declared anew
        await works.put(some(queue, 2, first=3))

        await until(lambda: set(shop.done) >= {"w3", "w4"})
