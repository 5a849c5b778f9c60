"""Clients of a Redis Cluster, as processes of Tuanzi have them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from servers.redis import RedisCluster
from tuanzi.engines.redis.cluster import REPLY_S, Cluster


@asynccontextmanager
async def connected(servers: RedisCluster, *, reply_s: float = REPLY_S) -> AsyncIterator[Cluster]:
    """A client that is connected to every master, until the end. reply_s: longer where a busy machine is no fault."""
    client = Cluster(servers.addresses, password=servers.password, reply_s=reply_s)
    running = asyncio.create_task(client.run())
    try:
        await asyncio.wait_for(client.connected.wait(), 60)
        yield client
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
