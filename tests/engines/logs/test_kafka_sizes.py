"""Topics of an early release, which took records of 1 MB, take an import too once the house has begun (E1, J5)."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from tests.engines.logs.owner import CAMPUSES, Diary
from tests.engines.logs.test_command_log import reading
from tests.engines.logs.test_kafka_faults import opened
from tuanzi.engines.logs.kafka import KafkaSettings
from tuanzi.engines.logs.sender import RECORD_BYTES_MAX
from tuanzi.engines.logs.sizes import limits_of

BEIJING = CAMPUSES[0]
EARLY, LARGER = 1_048_588, 2 * RECORD_BYTES_MAX
LONG = b"x" * (2 * 1024**2)


async def make(kafka: KafkaSettings, campus: str, bytes_max: int) -> str:
    """A campus's topic, made before."""
    topic = kafka.topic("commands", campus)
    made = NewTopic(topic, 1, 1, config={"max.message.bytes": str(bytes_max)})
    admin = AdminClient({**kafka.client_options, "log_level": 0})
    await asyncio.wrap_future(admin.create_topics([made])[topic])
    return topic


async def test_a_topic_that_took_only_short_records_takes_an_import_after_a_start(
    kafka: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tuanzi.logs")
    small, larger = await make(kafka, BEIJING, EARLY), await make(kafka, CAMPUSES[1], LARGER)
    owner = Diary()

    async with opened(kafka) as log, reading(log, owner):
        await log.append(BEIJING, [LONG])
        await owner.until(lambda: owner.bodies(BEIJING) == [LONG])
    async with opened(kafka):
        limits = limits_of(kafka.client_options, [small, larger, "nowhere"], within_s=10.0)

    assert limits == {small: RECORD_BYTES_MAX, larger: LARGER, "nowhere": None}
    assert [(record.message, record.__dict__["topic"]) for record in caplog.records] == [
        ("logs.topic_limit_raised", small)
    ]
