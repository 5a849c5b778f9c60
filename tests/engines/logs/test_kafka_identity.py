"""A log that was made again, or lost its end and grew again, is not taken for the one that was read (issue 5)."""

from __future__ import annotations

import asyncio
import base64
import uuid
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from servers.kafka import Kafka
from tests.engines.logs.conftest import LIBS
from tests.engines.logs.owner import CAMPUSES, Diary
from tests.engines.logs.test_command_log import reading
from tests.engines.logs.test_kafka_faults import opened
from tests.waiting import until
from tuanzi.engines.logs.kafka import KafkaSettings

BEIJING = CAMPUSES[0]
OLD = [b"old %d" % i for i in range(5)]
NEW = [b"new %d" % i for i in range(9)]


async def make_again(kafka: KafkaSettings) -> None:
    """The topic of a campus is lost, and made by whoever starts next."""
    admin, topic = AdminClient({"bootstrap.servers": kafka.servers, "log_level": 0}), kafka.topic("commands", BEIJING)
    await asyncio.wrap_future(admin.delete_topics([topic])[topic])
    await until(lambda: topic not in admin.list_topics(timeout=30).topics)
    async with opened(kafka):
        pass


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The campuses of which it was said aloud that their log is not as it was."""
    return [str(record.__dict__["campus"]) for record in caplog.records if record.levelname == "CRITICAL"]


async def keep_old(kafka: KafkaSettings, owner: Diary) -> None:
    """Some commands, carried out."""
    async with opened(kafka) as log, reading(log, owner):
        for body in OLD:
            await log.append(BEIJING, [body])
        await owner.until(lambda: owner.bodies(BEIJING) == OLD)


async def test_a_topic_that_was_made_again_and_grew_is_not_read_on(
    kafka: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    owner = Diary()
    await keep_old(kafka, owner)
    await make_again(kafka)

    async with opened(kafka) as log:
        await log.append(BEIJING, NEW)
        async with reading(log, owner):
            await until(lambda: len(told(caplog)) >= 2)

    assert owner.bodies(BEIJING) == OLD
    assert set(told(caplog)) == {BEIJING}


async def test_a_topic_that_is_made_again_under_its_reader_is_not_read_on(
    kafka: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    owner = Diary()

    async with opened(kafka) as log, reading(log, owner):
        for body in OLD:
            await log.append(BEIJING, [body])
        await owner.until(lambda: owner.bodies(BEIJING) == OLD)
        await make_again(kafka)
        async with opened(kafka) as again:
            await again.append(BEIJING, NEW)
            await until(lambda: len(told(caplog)) >= 2)

    assert owner.bodies(BEIJING) == OLD


async def test_a_log_that_lost_its_end_and_grew_again_is_not_read_on(
    kafka: KafkaSettings, broker: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    """By its reader, who was there all the time, and by the next one."""
    owner = Diary()

    async with opened(kafka) as log, reading(log, owner):
        for body in OLD:
            await log.append(BEIJING, [body])
        await owner.until(lambda: owner.bodies(BEIJING) == OLD)
        broker.kill()
        broker.lose_end(kafka.topic("commands", BEIJING), left=2)
        await asyncio.to_thread(broker.start)
        async with opened(kafka) as again:
            await again.append(BEIJING, NEW)
            await until(lambda: len(told(caplog)) >= 2)
    caplog.clear()
    async with opened(kafka) as log, reading(log, owner):
        await until(lambda: len(told(caplog)) >= 2)

    assert owner.bodies(BEIJING) == OLD


async def test_a_log_whose_last_command_was_kept_for_its_time_is_read_on(
    kafka: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    owner = Diary()
    await keep_old(kafka, owner)
    admin, topic = AdminClient({"bootstrap.servers": kafka.servers, "log_level": 0}), kafka.topic("commands", BEIJING)
    (deleted,) = admin.delete_records([TopicPartition(topic, 0, len(OLD))]).values()
    await asyncio.wrap_future(deleted)

    async with opened(kafka) as log, reading(log, owner):
        await log.append(BEIJING, NEW)
        await owner.until(lambda: owner.bodies(BEIJING) == OLD + NEW)

    assert told(caplog) == []


@pytest.mark.usefixtures("broker")  # which says so where there are no jars
def test_a_cluster_may_have_any_name_that_chance_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = uuid.UUID(bytes=b"\xf8" + bytes(15))  # one of 64 begins with a dash, as an option of the command does
    monkeypatch.setattr(uuid, "uuid4", lambda: named)
    kafka = Kafka(tmp_path / "kafka", libs=LIBS)

    kafka.start()
    kafka.stop()

    name = base64.urlsafe_b64encode(named.bytes).decode().rstrip("=")
    assert name.startswith("-")
    assert f"cluster.id={name}" in (tmp_path / "kafka" / "logs" / "meta.properties").read_text("utf-8")
