"""A Kafka whose topic was lost and grew again: the campus stands still, and says so, rather than skip commands (E1)."""

from __future__ import annotations

import asyncio

from confluent_kafka.admin import AdminClient

from tests.cluster.conftest import Ground, goes_on, start
from tests.faults.city import CAMPUS, City
from tests.faults.crowd import Crowd
from tuanzi.engines.logs.kafka import KafkaCommandLog, KafkaSettings

POSITION = "SELECT number FROM follower_positions WHERE source = 'commands'"
MARKS = "SELECT first_number, mark FROM log_marks ORDER BY first_number"


async def test_a_campus_whose_command_log_was_lost_and_grew_again_carries_nothing_out(
    ground: Ground, city: City
) -> None:
    writer, api = ground.cluster.add("writer", "writer"), ground.cluster.add("api", "api", "gateway")
    await start(writer)
    await start(api)
    crowd = Crowd(city, port=api.port, seed=1, connections=4)
    crowd.up.set()
    ordering = asyncio.create_task(crowd.order())
    await goes_on(crowd, count=8, within_s=60)
    crowd.end()
    await ordering
    await asyncio.to_thread(writer.process.stop)
    ((before,),) = ground.files().rows("core", POSITION)
    ((first, mark),) = ground.files().rows("core", MARKS)

    kafka = KafkaSettings(servers=ground.servers.kafka.servers, prefix=ground.settings["TUANZI_KAFKA_PREFIX"])
    admin, topic = AdminClient({"bootstrap.servers": kafka.servers, "log_level": 0}), kafka.topic("commands", CAMPUS)
    await asyncio.wrap_future(admin.delete_topics([topic])[topic])
    while topic in admin.list_topics(timeout=30).topics:  # noqa: ASYNC110 - it goes by itself
        await asyncio.sleep(0.05)
    log = KafkaCommandLog(kafka, campuses=[CAMPUS])
    await log.ensure()
    await log.append(CAMPUS, [b"of another log"] * (before + 10))
    await log.close()
    await start(writer)
    async with asyncio.timeout(60):
        while "commandlog.missing" not in writer.log.read_text():  # noqa: ASYNC110 - another process writes there
            await asyncio.sleep(0.1)

    assert first == 1
    assert mark.count(".") == 1
    assert ground.files().rows("core", POSITION) == [(before,)]
    assert ground.files().rows("core", MARKS) == [(first, mark)]
    assert writer.process.is_running
