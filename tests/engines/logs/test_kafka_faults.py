"""The command log on Kafka while readers, the broker and the network fail (E1, issue 5: takeover within 5 s)."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from itertools import chain

import pytest
import pytest_asyncio

from servers.kafka import Kafka
from servers.proxy import Proxy
from tests.engines.logs.conftest import SOURCES
from tests.engines.logs.owner import CAMPUSES, Diary
from tests.engines.logs.test_command_log import reading
from tests.engines.logs.test_event_log import hear, listening, rows
from tests.engines.logs.writer_process import Kept
from tests.undisturbed import Undisturbed
from tests.waiting import until
from tuanzi.engines.logs.kafka import KafkaCommandLog, KafkaEventLog, KafkaSettings
from tuanzi.machinery.commandlog import Entry
from tuanzi.machinery.problems import Unavailable

BEIJING, XIAN = CAMPUSES
TAKEOVER_S_MAX = 5.0
UNAVAILABLE_S_MAX = 6.0


class Writers:
    """Processes that carry out commands, and what they keep."""

    def __init__(self, kafka: KafkaSettings, kept: Kept) -> None:
        program = [sys.executable, "-m", "tests.engines.logs.writer_process"]
        self._words = [*program, kafka.servers, kafka.prefix, str(kept.port)]
        self._kept = kept
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._words)
        self._processes.append(process)
        return process

    def kept(self, campus: str) -> list[str]:
        """The commands of a campus that were carried out, in order."""
        return [row.body for row in self._kept.rows[campus]]

    async def until_each_has_a_campus(self) -> None:
        """Wait until each process has kept the newest command of a campus."""
        pids = {process.pid for process in self._processes}
        await until(lambda: {rows[-1].pid for rows in self._kept.rows.values() if rows} == pids)

    def campus_of(self, process: subprocess.Popen[bytes]) -> str:
        """Where it kept a command last."""
        return next(campus for campus in CAMPUSES if self._kept.rows[campus][-1].pid == process.pid)

    async def first_kept_at(
        self, process: subprocess.Popen[bytes], *, after: float, campuses: Sequence[str] = CAMPUSES
    ) -> float:
        """When a process first kept a command of these campuses after a time. Raises TimeoutError."""

        def look() -> list[float]:
            rows = chain.from_iterable(self._kept.rows[campus] for campus in campuses)
            return [row.at for row in rows if row.pid == process.pid and row.at > after]

        return min(await until(look))

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@pytest_asyncio.fixture
async def writers(kafka: KafkaSettings) -> AsyncIterator[Writers]:
    kept = Kept()
    await kept.start()
    writers = Writers(kafka, kept)
    yield writers
    writers.stop()
    kept.stop()


class Load:
    """Commands appended to both campuses all the time. kept: those that `append` returned for."""

    def __init__(self, log: KafkaCommandLog) -> None:
        self.kept: dict[str, list[str]] = {campus: [] for campus in CAMPUSES}
        self.refused = 0
        self._log = log
        self._number = 0

    async def run(self, campus: str) -> None:
        while True:
            self._number += 1
            body = f"{self._number}"
            try:
                await self._log.append(campus, [body.encode()])
            except Unavailable:
                self.refused += 1
            else:
                self.kept[campus].append(body)
            await asyncio.sleep(0.01)

    async def until_kept(self, more: int) -> None:
        goal = len(self.kept[BEIJING]) + more
        await until(lambda: len(self.kept[BEIJING]) >= goal)


@asynccontextmanager
async def loading(log: KafkaCommandLog) -> AsyncIterator[Load]:
    load = Load(log)
    tasks = [asyncio.create_task(load.run(campus)) for campus in CAMPUSES]
    try:
        yield load
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@asynccontextmanager
async def opened(settings: KafkaSettings) -> AsyncIterator[KafkaCommandLog]:
    log = KafkaCommandLog(settings, campuses=CAMPUSES)
    await log.ensure()
    try:
        yield log
    finally:
        await log.close()


async def assert_all_kept_once(writers: Writers, load: Load) -> None:
    """Everything that was acknowledged is carried out; that nothing is kept twice, the cursor sees to."""

    def is_all_kept(campus: str) -> bool:
        return set(load.kept[campus]) <= set(writers.kept(campus))

    for campus in CAMPUSES:
        await until(partial(is_all_kept, campus))
        assert len(set(writers.kept(campus))) == len(writers.kept(campus))


async def test_a_killed_readers_campus_goes_on_elsewhere_within_5_s(
    kafka: KafkaSettings, broker: Kafka, writers: Writers
) -> None:
    async with opened(kafka) as log, loading(log) as load:
        dies, lives = writers.start(), writers.start()
        await writers.until_each_has_a_campus()
        campus = writers.campus_of(dies)

        clock = Undisturbed(broker.pid, lives.pid, of_all_threads=True)
        dies.kill()
        killed_at, began = time.time(), clock()
        await writers.first_kept_at(lives, after=killed_at, campuses=[campus])
        took_s = clock() - began
        await load.until_kept(20)
    await assert_all_kept_once(writers, load)

    assert took_s <= TAKEOVER_S_MAX


async def test_a_paused_reader_loses_its_campus_and_is_of_use_again_when_it_wakes(
    kafka: KafkaSettings, broker: Kafka, writers: Writers
) -> None:
    async with opened(kafka) as log, loading(log) as load:
        sleeps, lives = writers.start(), writers.start()
        await writers.until_each_has_a_campus()
        campus = writers.campus_of(sleeps)

        clock = Undisturbed(broker.pid, lives.pid, of_all_threads=True)
        sleeps.send_signal(signal.SIGSTOP)
        paused_at, began = time.time(), clock()
        taken_over_at = await writers.first_kept_at(lives, after=paused_at, campuses=[campus])
        took_s = clock() - began
        sleeps.send_signal(signal.SIGCONT)
        await writers.first_kept_at(sleeps, after=taken_over_at)
        await writers.until_each_has_a_campus()
        await load.until_kept(20)
    await assert_all_kept_once(writers, load)

    assert took_s <= TAKEOVER_S_MAX


async def test_a_killed_broker_loses_nothing_that_it_acknowledged(kafka: KafkaSettings, broker: Kafka) -> None:
    owner = Diary()
    events = KafkaEventLog(kafka, sources=SOURCES)
    await events.ensure()

    async with opened(kafka) as log, reading(log, owner), aclosing(await listening(events)) as heard:
        async with loading(log) as load:
            await events.publish(SOURCES[0], rows(1, 3))
            await load.until_kept(100)
            broker.kill()
            refused = await asyncio.gather(
                events.publish(SOURCES[0], rows(4, 4)), events.newest(SOURCES[0]), return_exceptions=True
            )
            await asyncio.to_thread(broker.start)
            await load.until_kept(100)
        assert [type(one) for one in refused] == [Unavailable, Unavailable]
        assert await events.newest(SOURCES[0]) == 3
        await events.publish(SOURCES[0], rows(4, 6))
        assert await hear(heard, SOURCES[0], 6) == rows(1, 6)
        await events.close()
        for campus in CAMPUSES:
            last = load.kept[campus][-1].encode()
            await owner.until(lambda campus=campus, last=last: last in owner.bodies(campus))  # type: ignore[misc]

    for campus in CAMPUSES:
        read = [body.decode() for body in owner.bodies(campus)]
        assert len(set(read)) == len(read)
        assert set(load.kept[campus]) <= set(read)


async def test_a_paused_broker_is_told_of_in_time_and_its_return_is_noticed(
    kafka: KafkaSettings, broker: Kafka
) -> None:
    owner, clock = Diary(), Undisturbed(broker.pid, of_all_threads=True)

    async with opened(kafka) as log, reading(log, owner):
        await log.append(BEIJING, [b"before"])
        broker.pause()
        try:
            began = clock()
            with pytest.raises(Unavailable):
                await log.append(BEIJING, [b"meanwhile"])
            took_s = clock() - began
        finally:
            broker.resume()
        began = clock()
        await append_at_last(log, b"after")
        recovered_s = clock() - began
        await owner.until(lambda: b"after" in owner.bodies(BEIJING))

    assert took_s <= UNAVAILABLE_S_MAX
    assert recovered_s <= 10.0
    assert owner.bodies(BEIJING)[0] == b"before"


@pytest.mark.parametrize("way", ["there", "back", "cut"])
async def test_a_network_that_fails_is_told_of_in_time_and_its_return_is_noticed(
    kafka: KafkaSettings, broker: Kafka, way: str
) -> None:
    owner, clock = Diary(), Undisturbed(broker.pid, of_all_threads=True)
    proxy = Proxy(broker.behind_proxy_port, port=broker.proxy_port)
    await proxy.start()
    far = KafkaSettings(servers=broker.servers_by_proxy, prefix=kafka.prefix, send_s_max=2.0)

    try:
        async with opened(far) as log, opened(kafka) as near, reading(near, owner):
            await log.append(BEIJING, [b"before"])
            if way == "cut":
                proxy.cut()
            else:
                proxy.stall(there=way == "there", back=way == "back")
            began = clock()
            with pytest.raises(Unavailable):
                await log.append(BEIJING, [b"meanwhile"])
            took_s = clock() - began
            proxy.heal()
            began = clock()
            await append_at_last(log, b"after")
            recovered_s = clock() - began
            await owner.until(lambda: b"after" in owner.bodies(BEIJING))
    finally:
        await proxy.stop()

    assert took_s <= 2.5
    assert recovered_s <= 10.0
    assert owner.bodies(BEIJING).count(b"before") == 1


async def test_a_reader_who_hears_nothing_any_more_loses_his_campus(kafka: KafkaSettings, broker: Kafka) -> None:
    kept: dict[str, list[Entry]] = {}
    deaf, hears = Diary(kept), Diary(kept)
    proxy = Proxy(broker.behind_proxy_port, port=broker.proxy_port)
    await proxy.start()
    far = KafkaSettings(servers=broker.servers_by_proxy, prefix=kafka.prefix)

    try:
        async with opened(kafka) as near, reading(near, hears), reading(KafkaCommandLog(far, campuses=CAMPUSES), deaf):
            await until(lambda: len(hears.held) == len(deaf.held) == 1)
            proxy.stall(back=True)
            clock = Undisturbed(broker.pid, of_all_threads=True)
            began = clock()
            await hears.until(lambda: hears.held == set(CAMPUSES))
            took_s = clock() - began
            await deaf.until(lambda: deaf.held == set())
            proxy.heal()
            await deaf.until(lambda: len(deaf.held) == 1)
    finally:
        await proxy.stop()

    assert took_s <= TAKEOVER_S_MAX


async def test_a_reader_too_far_ahead_of_its_owner_stands_still_until_he_has_caught_up(kafka: KafkaSettings) -> None:
    owner = Diary()
    owner.may_take.clear()

    async with opened(kafka) as log, reading(log, owner):
        await owner.until(lambda: owner.held == set(CAMPUSES))
        for first in range(0, 40_000, 10_000):
            await log.append(BEIJING, [b"%d" % i for i in range(first, first + 10_000)])
        place = await until(lambda: log._readers[0]._places.get(BEIJING))
        await until(lambda: place.is_paused)
        ahead = place.next - place.share.taken
        owner.may_take.set()
        await owner.until(lambda: len(owner.bodies(BEIJING)) == 40_000)

    assert 10_000 < ahead <= 10_000 + 1_001
    assert owner.bodies(BEIJING) == [b"%d" % i for i in range(40_000)]


async def test_a_log_that_lost_its_end_is_not_read_in_silence(
    kafka: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    owner = Diary({BEIJING: [Entry(100, b"")]})

    async with opened(kafka) as log, reading(log, owner):
        await log.append(BEIJING, [b"%d" % i for i in range(5)])
        await until(lambda: sum(record.message == "commandlog.missing" for record in caplog.records) >= 2)

    assert owner.bodies(BEIJING) == [b""]
    assert {record.campus for record in caplog.records if record.levelname == "CRITICAL"} == {BEIJING}


async def test_records_that_another_hand_wrote_among_the_events_stop_nobody(kafka: KafkaSettings) -> None:
    source, topic = SOURCES[0], kafka.topic("told", SOURCES[0])
    log = KafkaEventLog(kafka, sources=SOURCES)
    await log.ensure()
    await log.publish(source, rows(1, 3))
    heard = await listening(log)

    async with aclosing(heard):
        await log._sender.send(topic, [b"hello", b"", b"\x91\x91\x01"])
        newest = await log.newest(source)
        told = await anext(heard)
        await log.publish(source, rows(4, 5))
        got = await hear(heard, source, 5)
    await log.close()

    assert newest == 3
    assert told == (source, [])
    assert got == rows(4, 5)


async def test_topics_are_made_by_many_processes_at_once(kafka: KafkaSettings) -> None:
    logs = [KafkaCommandLog(kafka, campuses=CAMPUSES) for _ in range(3)]

    await asyncio.gather(*(log.ensure() for log in logs))
    await logs[0].ensure()

    await asyncio.gather(*(log.append(XIAN, [b"1"]) for log in logs))
    await asyncio.gather(*(log.close() for log in logs))


async def append_at_last(log: KafkaCommandLog, body: bytes) -> None:
    """Repeat it as a sender would."""
    async with asyncio.timeout(60.0):
        while True:
            try:
                await log.append(BEIJING, [body])
            except Unavailable:
                continue
            return
