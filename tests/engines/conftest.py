"""Real servers, each started once for all tests of this process that ask for it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from servers.rabbit import Rabbit
from servers.redis import RedisCluster


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A Redis Cluster of three masters and three replicas."""
    cluster = RedisCluster(tmp_path_factory.mktemp("redis"), password=secrets.token_hex(8))
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rabbit]:
    """A RabbitMQ broker."""
    broker = Rabbit(tmp_path_factory.mktemp("rabbit"), password=secrets.token_hex(8))
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
