"""A2, the promise of the shared cache on every engine: newest wins, one loads, and it forgets in time."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from random import Random

import pytest
import pytest_asyncio
import uvloop

from servers.redis import RedisCluster
from tests.engines.redis import connected
from tuanzi.engines.cache.here import CLAIM_S, Here
from tuanzi.engines.cache.redis import RedisCache
from tuanzi.machinery.sharedcache import Claim, Shared, SharedCache

_names = itertools.count()


@pytest_asyncio.fixture(params=["here", "redis"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[SharedCache]:
    """A shared cache that is ready."""
    if request.param == "here":
        yield Here(clock=time.monotonic)
        return
    servers: RedisCluster = request.getfixturevalue("redis_cluster")
    async with connected(servers, reply_s=5.0) as client:
        yield RedisCache(client)


@pytest.fixture
def key() -> str:
    """A key that nobody used."""
    return f"order:beijing:o{next(_names)}"


async def until_mine(cache: SharedCache, key: str) -> None:
    """Ask until nothing is known and nobody loads it, a minute at most."""
    end = time.monotonic() + 60
    while await cache.find(key) is not Claim.MINE:
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


async def test_what_was_put_is_found_with_its_version(cache: SharedCache, key: str) -> None:
    body = bytes(range(256)) * 4

    cache.put(key, Shared(7, body), keep_s=60)

    assert await cache.find(key) == Shared(7, body)


async def test_an_older_value_never_takes_the_place_of_a_newer_one(cache: SharedCache, key: str) -> None:
    chance = Random(3)
    newest = 0
    for version in chance.choices(range(1, 1_000), k=200):
        newest = max(newest, version)

        cache.put(key, Shared(version, b"v%d" % version), keep_s=60)

        assert await cache.find(key) == Shared(newest, b"v%d" % newest)


async def test_what_is_forgotten_is_unknown_and_cannot_be_put_again(cache: SharedCache, key: str) -> None:
    cache.put(key, Shared(5, b"five"), keep_s=60)

    cache.forget(key, version=6, keep_s=60)
    cache.put(key, Shared(5, b"five, put late"), keep_s=60)

    assert await cache.find(key) is Claim.MINE
    cache.put(key, Shared(6, b"six"), keep_s=60)
    assert await cache.find(key) == Shared(6, b"six")


async def test_forgetting_what_came_before_leaves_the_version_itself(cache: SharedCache, key: str) -> None:
    cache.put(key, Shared(6, b"six"), keep_s=60)

    cache.forget(key, version=6, keep_s=60)
    cache.forget(key, version=4, keep_s=60)

    assert await cache.find(key) == Shared(6, b"six")


async def test_a_value_is_forgotten_after_its_time(cache: SharedCache, key: str) -> None:
    began = time.monotonic()
    cache.put(key, Shared(5, b"five"), keep_s=0.5)
    assert await cache.find(key) == Shared(5, b"five") or time.monotonic() - began > 0.5

    await until_mine(cache, key)


async def test_of_all_who_ask_for_the_unknown_one_is_to_load_it(cache: SharedCache, key: str) -> None:
    began = time.monotonic()
    asked = await asyncio.gather(*[cache.find(key) for _ in range(100)])

    claims = 1 + int((time.monotonic() - began) / CLAIM_S)  # one ends by itself, where a machine stands still
    assert 1 <= asked.count(Claim.MINE) <= claims
    assert asked.count(Claim.MINE) + asked.count(Claim.OTHERS) == 100


async def test_a_claim_ends_when_the_value_is_put_or_by_itself(cache: SharedCache, key: str) -> None:
    other = f"{key}b"
    await asyncio.gather(cache.find(key), cache.find(other))

    cache.put(key, Shared(1, b"one"), keep_s=60)

    assert await cache.find(key) == Shared(1, b"one")
    await until_mine(cache, other)


async def test_a_thousand_keys_are_kept_apart(cache: SharedCache, key: str) -> None:
    keys = [f"{key}.{i}" for i in range(1_000)]
    for i, each in enumerate(keys):
        cache.put(each, Shared(i + 1, b"%d" % i), keep_s=60)

    found = await asyncio.gather(*[cache.find(each) for each in keys])

    assert found == [Shared(i + 1, b"%d" % i) for i in range(1_000)]


def test_redis_is_reached_from_the_event_loop_of_production_too(redis_cluster: RedisCluster, key: str) -> None:
    async def put_and_find() -> Shared | Claim:
        async with connected(redis_cluster, reply_s=5.0) as client:
            cache = RedisCache(client)
            cache.put(key, Shared(1, b"one"), keep_s=60)
            return await cache.find(key)

    assert uvloop.run(put_and_find()) == Shared(1, b"one")
