"""A2: the statuses of real orders, read in processes that decide nothing, through Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from servers.redis import RedisCluster
from tests.engines.redis import connected
from tests.journeys.conftest import BEEF_RICE, LUNCH_FOR_THREE, Cast, Town, done
from tuanzi.engines.cache import redis
from tuanzi.engines.cache.redis import RedisCache
from tuanzi.machinery import sharedcache
from tuanzi.machinery.desk import WriterDesk
from tuanzi.machinery.sharedcache import NothingShared
from tuanzi.orders import StatusBoard, share_versions

CAMPUS = "beijing"


class FarDesk:
    """The core desk of a process that decides nothing: it reads the same database and hears later."""

    def __init__(self, desk: WriterDesk) -> None:
        self.reads = 0
        self.unheard: list[Sequence[tuple[int, Any]]] = []
        self._desk = desk
        self._subscribers: list[Callable[[Sequence[tuple[int, Any]]], None]] = []
        desk.subscribe(self.unheard.append)

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Rows of the database."""
        self.reads += 1
        return await self._desk.rows(sql, slots)

    few = rows

    def peek(self, kind: type, key: Any) -> None:
        """Nothing is at hand."""

    def subscribe(self, subscriber: Callable[[Sequence[tuple[int, Any]]], None]) -> None:
        """Hear what `hear` brings."""
        self._subscribers.append(subscriber)

    def hear(self) -> None:
        """The event log brings what was committed."""
        for events in self.unheard:
            for subscriber in self._subscribers:
                subscriber(events)
        self.unheard.clear()


@dataclass
class Campus:
    """A town whose orders three other processes read."""

    cast: Cast
    own: StatusBoard
    deciding: RedisCache
    caches: list[RedisCache]
    desks: list[FarDesk]

    def __post_init__(self) -> None:
        self.boards = self.start_again()

    def start_again(self) -> list[StatusBoard]:
        """The other processes start, and know nothing."""
        return [
            StatusBoard(desk, shared=cache, campus=CAMPUS) for desk, cache in zip(self.desks, self.caches, strict=True)
        ]

    async def order(self) -> str:
        """A new order of ming, of which everybody has heard."""
        opened = await done(self.cast.ming.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201)
        self.hear()
        return str(opened["order_id"])

    def hear(self) -> None:
        """The other processes hear what they have not heard yet."""
        for desk in self.desks:
            desk.hear()

    async def told(self, order_id: str) -> None:
        """Redis has heard what the process that decides told it of an order: it answers on the same connection."""
        await self.deciding.find(f"order:{CAMPUS}:{order_id}}}")  # another key, kept where the order's is

    @property
    def reads(self) -> int:
        """How often the other processes asked the database."""
        return sum(desk.reads for desk in self.desks)


@pytest_asyncio.fixture
async def campus(redis_cluster: RedisCluster, tmp_path: Path) -> AsyncIterator[Campus]:
    """The campus of Beijing."""
    async with AsyncExitStack() as stack:
        town = await stack.enter_async_context(Town(tmp_path))
        caches = [RedisCache(await stack.enter_async_context(connected(redis_cluster, reply_s=5.0))) for _ in range(4)]
        core = town.house.campuses[CAMPUS].core
        await asyncio.to_thread(redis_cluster.wipe)  # orders of another town have the same ids
        share_versions(core, caches[0], campus=CAMPUS)
        own = StatusBoard(core)
        yield Campus(await Cast(town).gather(), own, caches[0], caches[1:], [FarDesk(core) for _ in range(3)])


def state_of(status: Any) -> str:
    return str(msgspec.json.decode(status.body)["state"])


async def test_a_thousand_equal_reads_in_three_processes_cost_one_read_of_the_database(
    campus: Campus, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever waits for another's load waits as long as a busy machine may take for it.
    monkeypatch.setattr(sharedcache, "LOOKS_AGAIN_AFTER_S", (0.01,) * 3_000)
    monkeypatch.setattr(redis, "CLAIM_MS", 60_000)
    order_id = await campus.order()
    # Processes that start now: none has heard of the order, none has it.
    starting = campus.start_again()

    statuses = await asyncio.gather(*[starting[i % 3].load(order_id) for i in range(1_000)])

    assert {state_of(status) for status in statuses} == {"created"}
    assert campus.reads == 1


async def test_a_change_is_read_by_every_process_that_has_heard_of_it(campus: Campus) -> None:
    order_id = await campus.order()
    first = [state_of(await board.load(order_id)) for board in campus.boards]

    await done(campus.cast.ming.post(f"orders/{order_id}/pay"))
    own = state_of(await campus.own.load(order_id))
    campus.hear()
    second = [state_of(await board.load(order_id)) for board in campus.boards]

    assert (first, own, second) == (["created"] * 3, "paid", ["paid"] * 3)


async def test_after_a_wipe_of_redis_the_newest_is_read_all_the_same(
    campus: Campus, redis_cluster: RedisCluster
) -> None:
    order_id = await campus.order()
    for board in campus.boards:
        await board.load(order_id)
    await done(campus.cast.ming.post(f"orders/{order_id}/pay"))

    await asyncio.to_thread(redis_cluster.wipe)
    campus.hear()

    assert [state_of(await board.load(order_id)) for board in campus.boards] == ["paid"] * 3


class Recorder(NothingShared):
    """A cache that remembers what it was told to forget."""

    def __init__(self) -> None:
        self.forgotten: list[tuple[str, int]] = []

    def forget(self, key: str, *, version: int, keep_s: float) -> None:
        """Values below this version are of no use any more."""
        self.forgotten.append((key, version))


async def test_the_cache_is_told_of_changes_and_not_of_a_new_order(campus: Campus) -> None:
    recorder = Recorder()
    share_versions(campus.cast.town.house.campuses[CAMPUS].core, recorder, campus=CAMPUS)

    order_id = await campus.order()
    new = recorder.forgotten.copy()
    await done(campus.cast.ming.post(f"orders/{order_id}/pay"))

    assert (new, recorder.forgotten) == ([], [(f"order:{CAMPUS}:{order_id}", 2)])


async def test_a_process_that_starts_after_a_change_finds_nothing_older_there(campus: Campus) -> None:
    order_id = await campus.order()
    for board in campus.boards:
        await board.load(order_id)
    await done(campus.cast.ming.post(f"orders/{order_id}/pay"))

    await campus.told(order_id)
    starting = campus.start_again()  # the others have not heard of the payment yet, and it never will

    assert [state_of(await board.load(order_id)) for board in starting] == ["paid"] * 3
