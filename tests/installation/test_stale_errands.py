"""D1: after an outage a worker leaves undone what was put long ago, for its timer has put it again since."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from tuanzi.engines.logs.here import HereCommandLog
from tuanzi.installation import ERRANDS, Engines, WorkerSide
from tuanzi.installation.meeting import ErrandCall
from tuanzi.machinery.answers import AnswerHall
from tuanzi.machinery.codec import encode, name_of
from tuanzi.machinery.pool import Pool
from tuanzi.machinery.workqueue import Backlog, Work, WorkHandler
from tuanzi.money import SandboxProvider
from tuanzi.money.model import AskPayment
from tuanzi.money.vendors import PaymentSeen
from tuanzi.people import AbsentSender
from tuanzi.roles.metrics import EnginesCollector
from tuanzi.settings import read_settings
from tuanzi.wiring import Vendors

NOON = datetime(2026, 9, 1, 4, tzinfo=UTC)
SECRET = b"s" * 32


class Left:
    """A queue in which some works were left, each given out once."""

    def __init__(self, works: Sequence[Work]) -> None:
        self._works = works
        self.is_done = asyncio.Event()

    async def put(self, works: Sequence[Work]) -> None:
        """Nobody puts anything."""

    async def work(self, queue: str, handler: WorkHandler, *, pool: Pool) -> None:
        """Give out what there is."""
        for work in self._works:
            await pool.run(partial(handler, work))
        self.is_done.set()
        await asyncio.Event().wait()

    async def backlog(self, queue: str) -> Backlog:
        """Nobody asks."""
        return Backlog(waiting=0, oldest_s=0, delayed=0, dead=0)


class Asked(SandboxProvider):
    """A company that notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def query(self, out_trade_no: str, *, now: datetime) -> PaymentSeen:
        """What became of a payment."""
        self.asked.append(out_trade_no)
        return await super().query(out_trade_no, now=now)


async def test_a_company_is_asked_only_what_was_put_lately(tmp_path: Path) -> None:
    settings = read_settings({"TUANZI_DATA": str(tmp_path), "TUANZI_SECRET": SECRET.decode()})
    hall = AnswerHall(SECRET)
    await hall.open()
    number, answered = hall.expect()

    def put(name: str, minutes: float) -> Work:
        errand = AskPayment(payment_id=name, out_trade_no=name, give_up_at=NOON + timedelta(hours=1))
        call = ErrandCall(number, hall.address, "beijing", name_of(AskPayment), encode(errand))
        body = msgspec.msgpack.encode(call)
        return Work(id=name, queue=ERRANDS, body=body, put_at=NOON - timedelta(minutes=minutes))

    company, left = Asked(), Left([put("old", 61), put("older", 5.01), put("new", 4.99)])
    engines = Engines(HereCommandLog(campuses=["beijing"]), works=left)
    worker = WorkerSide(settings, Vendors(codes=AbsentSender(), payments=company), engines, clock=lambda: NOON)
    registry = CollectorRegistry()
    registry.register(EnginesCollector(engines, worker))
    working = asyncio.create_task(worker.run())
    try:
        reply = await asyncio.wait_for(answered, 60)
        worker.pool.look()
    finally:
        worker.close()
        await working
        await hall.close()

    assert company.asked == ["new"]
    assert reply.problem == ""
    assert "tuanzi_errands_stale_total 2.0" in generate_latest(registry).decode().splitlines()
    assert worker.pool.figures.ended == 3
