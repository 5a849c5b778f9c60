"""The relay: a desk's events go to the event log in order, whatever becomes of either (architecture 4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.machinery.test_desk import Hands, Slow, desk_of, prepared, working
from tests.machinery.toy import Build, Take, open_database
from tests.waiting import until
from tuanzi.engines.logs.here import HereEventLog
from tuanzi.machinery import relay as module
from tuanzi.machinery.desk import WriterDesk
from tuanzi.machinery.eventlog import EventLog
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.relay import Relay
from tuanzi.machinery.tables import Row
from tuanzi.machinery.writer import Outcome

SOURCE = "toy"


class Moody(HereEventLog):
    """A log that is away, or stands still, when a test says so."""

    def __init__(self) -> None:
        super().__init__(sources=[SOURCE])
        self.published: list[Row] = []
        self.is_away = False
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.refused = 0

    async def publish(self, source: str, events: Sequence[Row]) -> None:
        await self.goes_on.wait()
        if self.is_away:
            self.refused += 1
            raise Unavailable()
        self.published += events
        await super().publish(source, events)


@asynccontextmanager
async def relaying(desk: WriterDesk, log: EventLog) -> AsyncIterator[Relay]:
    relay = Relay(SOURCE, desk, log)
    task = asyncio.create_task(relay.run())
    yield relay
    task.cancel()
    await asyncio.wait({task})


async def seats_taken(desk: WriterDesk, hall: str, count: int) -> None:
    """So many events."""
    await desk.submit(Build(id=hall, seats=count))
    await asyncio.gather(*(desk.submit(Take(ticket_id=f"{hall}{i}", hall_id=hall)) for i in range(count)))


async def table(desk: WriterDesk) -> list[Row]:
    """All events as they are kept."""
    return await desk.rows("SELECT number, name, version, at_ms, body FROM events ORDER BY number")


async def test_what_is_committed_is_published_as_it_stands_in_the_table() -> None:
    desk, log = desk_of(open_database(), Hands()), Moody()

    async with working(desk), relaying(desk, log) as relay:
        await seats_taken(desk, "a", 30)
        await until(lambda: relay.lag == 0)
        kept = await table(desk)

    assert len(kept) >= 30
    assert log.published == kept


async def test_a_relay_that_starts_late_goes_on_where_the_log_ends() -> None:
    desk, log = desk_of(open_database(), Hands()), Moody()

    async with working(desk):
        async with relaying(desk, log) as relay:
            await seats_taken(desk, "a", 10)
            await until(lambda: relay.lag == 0)
        await seats_taken(desk, "b", 10)
        async with relaying(desk, log) as relay:
            await seats_taken(desk, "c", 10)
            await until(lambda: relay.lag == 0)
        kept = await table(desk)

    assert log.published == kept


async def test_an_empty_log_is_told_only_how_far_the_table_goes() -> None:
    desk, log = desk_of(open_database(), Hands()), Moody()

    async with working(desk):
        await seats_taken(desk, "a", 10)
        async with relaying(desk, log) as relay:
            await until(lambda: relay.lag == 0)
        kept = await table(desk)

    assert log.published == kept[-1:]


async def test_a_log_that_stands_still_slows_no_commit_and_gets_everything_later() -> None:
    desk, log = desk_of(open_database(), Hands()), Moody()
    log.goes_on.clear()

    async with working(desk), relaying(desk, log) as relay:
        async with asyncio.timeout(60):
            await seats_taken(desk, "a", 100)
        assert log.published == []
        log.goes_on.set()
        await until(lambda: relay.lag == 0)
        kept = await table(desk)

    assert log.published == kept


async def test_a_log_that_is_away_is_asked_again_until_it_is_back() -> None:
    desk, log = desk_of(open_database(), Hands()), Moody()
    log.is_away = True

    async with working(desk), relaying(desk, log) as relay:
        await seats_taken(desk, "a", 10)
        await until(lambda: log.refused > 0)
        log.is_away = False
        await until(lambda: relay.lag == 0)
        kept = await table(desk)

    assert log.published == kept
    assert relay.failures >= 1


async def test_a_relay_far_behind_keeps_only_so_much_in_memory_and_reads_the_rest() -> None:
    desk, log = desk_of(open_database(), Hands()), Moody()
    log.goes_on.clear()

    async with working(desk), relaying(desk, log) as relay:
        for hall in range(45):
            await seats_taken(desk, f"h{hall}-", 500)
        waiting = len(relay._waiting)
        log.goes_on.set()
        await until(lambda: relay.lag == 0)
        kept = await table(desk)

    assert len(kept) >= 22_500
    assert module.WAITING_MAX <= waiting <= module.WAITING_MAX + 256 * 2
    assert log.published == kept


async def test_what_of_a_batch_was_kept_after_all_is_published_and_no_more() -> None:
    desk = desk_of(prepared(Slow("full", None, "full")), Hands())
    log = Moody()

    async with working(desk), relaying(desk, log) as relay:
        await desk.submit(Build(id="a", seats=2))
        takes = [desk.submit(Take(ticket_id=id, hall_id="a")) for id in ("one", "two")]
        answers = await asyncio.gather(*takes, return_exceptions=True)
        await until(lambda: relay.lag == 0)
        kept = await table(desk)

    assert [type(answer) for answer in answers] == [Outcome, Unavailable]
    assert log.published == kept
    assert len(kept) == 1


async def until_refused(log: Moody, times: int) -> None:
    """Wait until the log has refused more often than so many times from now on."""
    before = log.refused
    await until(lambda: log.refused > before + times)


async def test_each_time_that_the_log_is_away_is_told_when_it_begins(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    monkeypatch.setattr(module, "TOLD_EVERY", 1_000_000)
    desk, log = desk_of(open_database(), Hands()), Moody()

    async with working(desk), relaying(desk, log) as relay:
        for hall in "abc":
            log.is_away = True
            await seats_taken(desk, hall, 1)
            await until_refused(log, 5)
            log.is_away = False
            await until(lambda: relay.lag == 0)

    told = [record for record in caplog.records if record.message == "relay.waiting"]
    assert len(told) == 3
    assert relay.failures == log.refused
