"""A private broker for all tests of the logs, and the logs on it and in this process."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec.structs import replace

from servers.kafka import Kafka
from tests.engines.logs.owner import CAMPUSES
from tuanzi.engines.logs.here import HereCommandLog, HereEventLog
from tuanzi.engines.logs.kafka import KafkaCommandLog, KafkaEventLog, KafkaSettings

SOURCES = ("beijing.core", "xian.core")
LIBS = Path("build/kafka/libs").resolve()
_numbers = count(1)


def jars() -> Path:
    """The jars of Kafka; where they are missing the tests fail, or are left out where that is allowed."""
    if not any(LIBS.glob("kafka_*.jar")):
        if os.environ.get("CI") == "true" or os.environ.get("TUANZI_REQUIRE_SERVERS") == "1":
            pytest.fail("build/kafka/libs has no Kafka: make servers (it needs a Maven repository)")
        pytest.skip("NOT RUN: the logs on Kafka, for build/kafka/libs is empty: make servers")
    return LIBS


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker that tests may kill and pause, when they start and resume it again."""
    kafka = Kafka(tmp_path_factory.mktemp("kafka"), libs=jars())
    kafka.start()
    yield kafka
    kafka.stop()


@pytest.fixture
def kafka(broker: Kafka) -> KafkaSettings:
    """Topics of this test's own."""
    return KafkaSettings(servers=broker.servers, prefix=f"test{next(_numbers)}")


@pytest.fixture
def patient(kafka: KafkaSettings) -> KafkaSettings:
    """The same for who tests no time limits: a busy machine may let a broker wait for longer than a house would."""
    return replace(kafka, send_s_max=60.0)


@pytest_asyncio.fixture(params=["here", "kafka"])
async def commands(request: pytest.FixtureRequest) -> AsyncIterator[HereCommandLog | KafkaCommandLog]:
    """An empty command log."""
    log: HereCommandLog | KafkaCommandLog
    if request.param == "here":
        log = HereCommandLog(campuses=CAMPUSES)
    else:
        log = KafkaCommandLog(request.getfixturevalue("patient"), campuses=CAMPUSES)
    await log.ensure()
    yield log
    await log.close()


@pytest_asyncio.fixture(params=["here", "kafka"])
async def events(request: pytest.FixtureRequest) -> AsyncIterator[HereEventLog | KafkaEventLog]:
    """An empty event log."""
    log: HereEventLog | KafkaEventLog
    if request.param == "here":
        log = HereEventLog(sources=SOURCES)
    else:
        log = KafkaEventLog(request.getfixturevalue("patient"), sources=SOURCES)
    await log.ensure()
    yield log
    await log.close()
