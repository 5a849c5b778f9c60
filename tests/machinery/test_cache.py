"""B4: status reads come from a cache with single flight and negative entries that is never older than it may be."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from tuanzi.machinery.cache import ABSENT, Absent, ReadCache


@dataclass
class Clock:
    """A clock that is set by hand."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Source:
    """Orders behind a gate: a load waits until the gate opens, and reads when it begins, like a database."""

    values: dict[str, int] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.gate.set()

    async def read(self, key: str) -> int | Absent:
        self.reads.append(key)
        value = self.values.get(key, ABSENT)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return value


def cache_of(size_max: int = 100, clock: Clock | None = None) -> ReadCache[str, int]:
    return ReadCache(size_max=size_max, keep_s=60, absent_s=2, clock=clock or Clock())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_thousand_equal_reads_at_once_cost_one_load() -> None:
    cache, source = cache_of(), Source({"o_1": 7})
    source.gate.clear()

    reads = [asyncio.create_task(cache.load("o_1", source.read)) for _ in range(1000)]
    await settle()
    source.gate.set()

    assert await asyncio.gather(*reads) == [7] * 1000
    assert source.reads == ["o_1"]
    assert (cache.counts.loads, cache.counts.misses, cache.counts.hits) == (1, 1000, 0)


async def test_what_was_read_is_kept_for_its_time() -> None:
    clock = Clock()
    cache, source = cache_of(clock=clock), Source({"o_1": 7})
    await cache.load("o_1", source.read)
    source.values["o_1"] = 8

    clock.now_s += 59.9
    before = await cache.load("o_1", source.read)
    clock.now_s += 0.1
    after = await cache.load("o_1", source.read)

    assert (before, after, source.reads) == (7, 8, ["o_1", "o_1"])
    assert (cache.counts.hits, cache.counts.misses, cache.counts.loads) == (1, 2, 2)


async def test_that_an_id_is_unknown_is_kept_briefly() -> None:
    clock = Clock()
    cache, source = cache_of(clock=clock), Source()

    first = await cache.load("o_9", source.read)
    clock.now_s += 1.9
    second = await cache.load("o_9", source.read)
    source.values["o_9"] = 7
    clock.now_s += 0.1
    third = await cache.load("o_9", source.read)

    assert (first, second, third) == (ABSENT, ABSENT, 7)
    assert (cache.counts.negative, cache.counts.loads) == (1, 2)


async def test_peek_never_waits() -> None:
    cache, source = cache_of(), Source({"o_1": 7})

    before = cache.peek("o_1")
    await cache.load("o_1", source.read)
    await cache.load("o_9", source.read)

    assert (before, cache.peek("o_1"), cache.peek("o_9")) == (None, 7, ABSENT)


async def test_an_invalidated_value_is_read_again() -> None:
    cache, source = cache_of(), Source({"o_1": 7})
    await cache.load("o_1", source.read)
    source.values["o_1"] = 8

    cache.invalidate("o_1")

    assert cache.peek("o_1") is None
    assert await cache.load("o_1", source.read) == 8


async def test_a_load_that_was_overtaken_by_an_invalidation_is_not_kept() -> None:
    cache, source = cache_of(), Source({"o_1": 7})
    source.gate.clear()
    early = asyncio.create_task(cache.load("o_1", source.read))
    await settle()

    source.values["o_1"] = 8
    cache.invalidate("o_1")
    source.gate.set()

    assert await early == 7
    assert cache.peek("o_1") is None
    assert await cache.load("o_1", source.read) == 8


async def test_a_reader_after_an_invalidation_does_not_join_the_load_before_it() -> None:
    cache, source = cache_of(), Source({"o_1": 7})
    source.gate.clear()
    early = asyncio.create_task(cache.load("o_1", source.read))
    await settle()
    source.values["o_1"] = 8
    cache.invalidate("o_1")
    late = asyncio.create_task(cache.load("o_1", source.read))
    await settle()

    source.gate.set()

    assert (await early, await late) == (7, 8)
    assert cache.peek("o_1") == 8
    assert source.reads == ["o_1", "o_1"]


async def test_an_overtaken_load_that_ends_last_does_not_replace_the_newer_value() -> None:
    cache = cache_of()
    gates = {7: asyncio.Event(), 8: asyncio.Event()}

    def reader(value: int) -> asyncio.Task[int | Absent]:
        async def read(key: str) -> int:
            await gates[value].wait()
            return value

        return asyncio.create_task(cache.load("o_1", read))

    early = reader(7)
    await settle()
    cache.invalidate("o_1")
    late = reader(8)
    await settle()
    gates[8].set()
    await late
    gates[7].set()
    await early

    assert cache.peek("o_1") == 8


async def test_a_failed_load_fails_for_all_who_waited_and_is_not_kept() -> None:
    cache, source = cache_of(), Source({"o_1": 7}, error=OSError("gone"))
    source.gate.clear()
    reads = [asyncio.create_task(cache.load("o_1", source.read)) for _ in range(3)]
    await settle()

    source.gate.set()
    results = await asyncio.gather(*reads, return_exceptions=True)

    assert results == [source.error] * 3
    assert cache.peek("o_1") is None
    source.error = None
    assert await cache.load("o_1", source.read) == 7
    assert source.reads == ["o_1", "o_1"]


async def test_when_the_reader_who_loads_is_stopped_another_loads_for_all() -> None:
    cache, source = cache_of(), Source({"o_1": 7})
    source.gate.clear()
    first, *others = [asyncio.create_task(cache.load("o_1", source.read)) for _ in range(4)]
    await settle()

    first.cancel()
    await settle()
    source.gate.set()

    assert await asyncio.gather(*others) == [7, 7, 7]
    assert first.cancelled()
    assert source.reads == ["o_1", "o_1"]


async def test_a_waiting_reader_who_is_stopped_stops_nobody_else() -> None:
    cache, source = cache_of(), Source({"o_1": 7})
    source.gate.clear()
    first, second, third = [asyncio.create_task(cache.load("o_1", source.read)) for _ in range(3)]
    await settle()

    second.cancel()
    await settle()
    source.gate.set()

    assert (await first, await third) == (7, 7)
    assert second.cancelled()


async def test_it_never_keeps_more_than_it_may_and_keeps_what_is_read_most() -> None:
    cache, source = cache_of(size_max=10), Source({f"o_{i}": i for i in range(1000)})

    for i in range(1000):
        await cache.load(f"o_{i}", source.read)
        assert len(cache) <= 10
        assert await cache.load("o_0", source.read) == 0

    assert source.reads.count("o_0") == 1
    assert cache.peek("o_999") == 999
    assert cache.peek("o_900") is None


async def test_an_invalidation_reaches_values_of_the_old_generation() -> None:
    cache, source = cache_of(size_max=4), Source({f"o_{i}": i for i in range(3)})
    for i in range(3):
        await cache.load(f"o_{i}", source.read)

    cache.invalidate("o_0")

    assert (cache.peek("o_0"), cache.peek("o_2")) == (None, 2)


async def test_a_load_leaves_nothing_behind() -> None:
    cache, source = cache_of(), Source()

    for i in range(50):
        await cache.load(f"o_{i}", source.read)
        cache.invalidate(f"o_{i}")

    assert len(cache) == 0
    assert cache._flights == {}


def test_a_cache_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="keeps nothing"):
        cache_of(size_max=1)
