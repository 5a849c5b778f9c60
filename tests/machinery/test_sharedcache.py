"""A2, B4: reads through the shared cache cost one load, and none is older than what its process has heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.undisturbed import Undisturbed
from tuanzi.engines.cache.here import Here
from tuanzi.machinery.cache import ABSENT, Absent
from tuanzi.machinery.sharedcache import NOTHING_SHARED, Shared, SharedReads


@dataclass
class Source:
    """A database: a load reads when it begins, and its answer comes when the gate is open."""

    versions: dict[str, int] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def read(self, key: str) -> Shared | Absent:
        self.reads.append(key)
        version = self.versions.get(key)
        await self.gate.wait()
        return ABSENT if version is None else value(version)


def value(version: int) -> Shared:
    return Shared(version, b"v%d" % version)


def processes(count: int, *, clock: Callable[[], float] | None = None) -> list[SharedReads]:
    """Processes that share a cache; clock: of its claims and of what it keeps, else the loop's."""
    cache = Here(clock=clock or asyncio.get_running_loop().time)
    return [SharedReads(cache, prefix="order:") for _ in range(count)]


def decide(reads: SharedReads, key: str, version: int) -> None:
    """What the process does that decides a change."""
    reads._shared.forget(f"order:{key}", version=version, keep_s=60)
    reads.heard(key)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_one_process_loaded_the_others_find() -> None:
    one, other = processes(2)
    source = Source({"o1": 3})
    await one.load("o1", source.read)

    assert await other.load("o1", source.read) == value(3)
    assert source.reads == ["o1"]


async def test_equal_reads_of_many_processes_at_once_cost_one_load() -> None:
    source = Source({"o1": 3})
    source.gate.clear()
    together = processes(20, clock=lambda: 0.0)  # a claim ends after a tenth of a second, for which a machine may stand
    loads = [asyncio.create_task(each.load("o1", source.read)) for each in together]
    await settle()

    source.gate.set()

    assert await asyncio.gather(*loads) == [value(3)] * 20
    assert source.reads == ["o1"]


async def test_nobody_waits_long_for_a_process_that_died_over_its_load() -> None:
    dying, other = processes(2)
    source = Source({"o1": 3})
    source.gate.clear()
    died = asyncio.create_task(dying.load("o1", source.read))
    await settle()
    died.cancel()
    source.gate.set()
    clock = Undisturbed()
    began = clock()

    assert await other.load("o1", source.read) == value(3)
    assert clock() - began < 0.5


async def test_what_was_loaded_before_an_event_is_not_put_after_it() -> None:
    late, other = processes(2)
    source = Source({"o1": 5})
    source.gate.clear()
    load = asyncio.create_task(late.load("o1", source.read))
    await settle()

    source.versions["o1"] = 6
    late.heard("o1")
    source.gate.set()
    await load

    assert await other.load("o1", source.read) == value(6)


async def test_who_decided_the_change_keeps_late_readers_from_putting_what_is_old() -> None:
    late, writer, other = processes(3)
    source = Source({"o1": 5})
    source.gate.clear()
    load = asyncio.create_task(late.load("o1", source.read))
    await settle()

    source.versions["o1"] = 6
    decide(writer, "o1", 6)
    source.gate.set()
    await load  # of a process that has not heard of it

    assert await other.load("o1", source.read) == value(6)
    assert await late.load("o1", source.read) == value(6)


async def test_who_heard_of_a_change_believes_no_cache_before_he_has_loaded_himself() -> None:
    old, hearer = processes(2)
    source = Source({"o1": 5})
    await old.load("o1", source.read)
    source.versions["o1"] = 6

    hearer.heard("o1")  # the cache has lost what the writer said to it, and still holds 5

    assert await hearer.load("o1", source.read) == value(6)
    assert await old.load("o1", source.read) == value(6)


async def test_after_its_own_load_a_process_believes_the_cache_again() -> None:
    one, other = processes(2)
    source = Source({"o1": 5})
    one.heard("o1")
    await one.load("o1", source.read)
    source.versions["o1"] = 6
    decide(other, "o1", 6)
    await other.load("o1", source.read)
    del source.reads[:]

    assert await one.load("o1", source.read) == value(6)
    assert source.reads == []


async def test_an_unknown_id_is_not_kept_for_all() -> None:
    one, other = processes(2)
    source = Source()

    assert await one.load("o9", source.read) is ABSENT
    source.versions["o9"] = 1

    assert await other.load("o9", source.read) == value(1)


async def test_where_nothing_is_shared_every_read_is_a_load() -> None:
    reads = SharedReads(NOTHING_SHARED, prefix="order:")
    source = Source({"o1": 3})

    assert [await reads.load("o1", source.read) for _ in range(3)] == [value(3)] * 3
    assert len(source.reads) == 3
