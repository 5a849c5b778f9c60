"""C3: books are compared by a process of their own beside those who decide, in no hurry (decision 0034)."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from simulation.virtual import Clock, VirtualLoop
from tests.faults.city import CAMPUS, Unsent, environment
from tests.processes import children_of
from tests.reconciliation.auditor import Audited, Hands
from tests.reconciliation.test_within_the_campus import campus_at_work
from tests.waiting import until
from tuanzi import reconciliation, wiring
from tuanzi.base.ids import PersonId
from tuanzi.engines.database.scribe import Scribe
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.database import Database
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.room import ErrandHandler
from tuanzi.machinery.tables import Row
from tuanzi.money import SandboxProvider, payment_of
from tuanzi.reconciliation.model import AskRun, CheckBooks
from tuanzi.settings import read_settings
from tuanzi.wiring import House, Vendors
from tuanzi.wiring.checker import CheckerProcess
from tuanzi.wiring.checking import FileBook

Begun = Callable[[], set[int]]
# Of `campus_at_work`.
ORDERS = 7
# Has an empty campus compared, tells who did it, and is killed.
ASKER = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.reconciliation.auditor import Audited
from tests.reconciliation.test_checker import asked, checks
from tuanzi.wiring.checker import CheckerProcess
campus, checker = Audited(), CheckerProcess()
checker._is_hurried = True
asyncio.run(asked(checks(campus, checker, Path(sys.argv[1])), campus))
print(checker.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def begun() -> Begun:
    """The processes that this one has started since; servers of other tests may be there already."""
    before = set(children_of(os.getpid()))
    return lambda: set(children_of(os.getpid())) - before


@pytest.fixture
def checker() -> Iterator[CheckerProcess]:
    """Nobody was asked to compare anything yet. It has a share of a core, for where others compute none is idle."""
    made = CheckerProcess()
    made._is_hurried = True
    yield made
    made.close()


class Starving(CheckerProcess):
    """Never finds an idle core."""

    starved = 0

    def _start(self) -> socket.socket:
        line = super()._start()
        if not self._is_hurried and self.pid is not None:
            self.starved = self.pid
            os.kill(self.starved, signal.SIGSTOP)
        return line


@pytest.fixture
def campus() -> Audited:
    """Orders of all kinds."""
    return campus_at_work()


def checks(campus: Audited, checker: CheckerProcess, folder: Path, *, name: str = "beijing") -> ErrandHandler:
    """Has the books of a campus compared as they stand now, written into a folder."""
    (folder / name).mkdir()
    for kind, books in (("core", campus.core), ("money", campus.money)):
        books.database.rows("VACUUM INTO :path", {"path": str(wiring.file_of(folder, f"{name}.{kind}"))})
    return checker.errands_of(name, folder, campus.rooms)[CheckBooks]


async def asked(check: ErrandHandler, campus: Audited) -> reconciliation.RecordRun:
    """What comes of an errand."""
    run: reconciliation.RecordRun = await check(CheckBooks(), now=campus.now)
    return run


def is_there(pid: int) -> bool:
    """Whether a process is at work; one that has ended and was not asked for is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_it_finds_what_would_be_found_here(
    begun: Begun, checker: CheckerProcess, campus: Audited, tmp_path: Path
) -> None:
    payment_id = payment_of(campus.ids[0])
    campus.plant("money", f"DELETE FROM entries WHERE journal_id = 'capture:{payment_id}';")
    hears = wiring.names_heard(campus.rooms)
    minute = reconciliation.every_minute(Hands(campus), hears=lambda: hears)
    here = await minute.check_books(CheckBooks(), now=campus.now)

    found = await asked(checks(campus, checker, tmp_path), campus)

    assert found == here
    assert [finding.difference.key for finding in found.findings] == [payment_id]
    assert begun() == {checker.pid}


async def test_it_works_while_a_core_is_idle(tmp_path: Path) -> None:
    campus, checker = Audited(), CheckerProcess()
    asking = asyncio.ensure_future(asked(checks(campus, checker, tmp_path), campus))

    await until(lambda: checker.pid is not None and os.sched_getscheduler(checker.pid) == os.SCHED_IDLE)

    asking.cancel()
    await asyncio.wait({asking})
    checker.close()


async def test_one_that_finds_no_idle_core_is_followed_by_one_that_has_a_share_of_one(
    campus: Audited, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checker = Starving()
    checker.patience_s = 0.05
    check = checks(campus, checker, tmp_path)

    with caplog.at_level(logging.WARNING), pytest.raises(Unavailable):
        await asked(check, campus)
    found = await asked(check, campus)

    assert [record.message for record in caplog.records] == ["checker.starved"]
    assert found.orders_read == ORDERS
    assert checker.pid not in (None, checker.starved)
    assert os.sched_getscheduler(checker.pid or 0) == os.SCHED_BATCH
    assert os.getpriority(os.PRIO_PROCESS, checker.pid or 0) == min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)
    checker.close()


async def test_campuses_are_compared_beside_each_other_each_with_its_own_books(
    begun: Begun, checker: CheckerProcess, campus: Audited, tmp_path: Path
) -> None:
    busy, empty = campus, Audited()
    first, second = checks(busy, checker, tmp_path), checks(empty, checker, tmp_path, name="shanghai")

    found = await asyncio.gather(asked(first, busy), asked(second, empty), asked(first, busy))

    assert [run.orders_read for run in found] == [ORDERS, 0, ORDERS]
    assert begun() == {checker.pid}


async def test_one_that_was_killed_is_started_anew(checker: CheckerProcess, campus: Audited, tmp_path: Path) -> None:
    check = checks(campus, checker, tmp_path)
    before = await asked(check, campus)
    killed = checker.pid
    assert killed is not None

    os.kill(killed, signal.SIGKILL)
    await until(lambda: checker.pid is None)
    after = await asked(check, campus)

    assert after == before
    assert checker.pid not in (None, killed)


async def test_whoever_waits_for_one_that_is_killed_tries_again_later(
    checker: CheckerProcess, campus: Audited, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    check = checks(campus, checker, tmp_path)
    await asked(check, campus)
    assert checker.pid is not None
    os.kill(checker.pid, signal.SIGSTOP)
    waiting = asyncio.ensure_future(asked(check, campus))
    await asyncio.sleep(0)

    os.kill(checker.pid, signal.SIGKILL)

    with caplog.at_level(logging.WARNING), pytest.raises(Unavailable):
        await waiting
    assert [record.message for record in caplog.records] == ["checker.gone"]
    assert (await asked(check, campus)).orders_read == ORDERS


async def test_a_comparison_that_fails_hurts_no_other(
    checker: CheckerProcess, campus: Audited, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    well, broken = checks(campus, checker, tmp_path), checks(campus, checker, tmp_path, name="shanghai")
    (tmp_path / "shanghai/money.db").write_bytes(b"no database" * 1000)

    with caplog.at_level(logging.WARNING):
        failing, finding = asyncio.ensure_future(asked(broken, campus)), asyncio.ensure_future(asked(well, campus))
        with pytest.raises(Unavailable):
            await failing
        found = await finding

    assert [(record.message, record.__dict__["reason"]) for record in caplog.records] == [
        ("checker.failed", "DatabaseUnavailable")
    ]
    assert found.orders_read == ORDERS


async def test_an_errand_that_was_given_up_is_answered_to_nobody(
    checker: CheckerProcess, campus: Audited, tmp_path: Path
) -> None:
    check = checks(campus, checker, tmp_path)
    await asked(check, campus)
    given_up = asyncio.ensure_future(asked(check, campus))
    await asyncio.sleep(0)

    given_up.cancel()
    with suppress(asyncio.CancelledError):
        await given_up

    assert (await asked(check, campus)).orders_read == ORDERS


async def test_it_ends_with_whoever_asked_it_however_that_ended(tmp_path: Path) -> None:
    asker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ASKER, str(tmp_path), stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    told, _ = await asker.communicate()

    await until(lambda: not is_there(int(told)))

    assert asker.returncode == -signal.SIGKILL


def test_seven_times_as_long_as_a_look_took_it_does_nothing(tmp_path: Path) -> None:
    clock = Clock()
    loop = VirtualLoop(clock, latency=lambda: 0.0)
    Sqlite(tmp_path / "core.db").close()

    def reading(_: object) -> str:
        clock.seconds += 0.02
        return "rows"

    looking = loop.create_task(FileBook(tmp_path / "core.db").look(reading))
    loop.step()
    began_to_rest_at, ends_at = clock.seconds, loop.next_at

    assert not looking.done()
    assert began_to_rest_at == pytest.approx(0.02)
    assert ends_at == pytest.approx(0.16)


@pytest.mark.parametrize("is_written_apart", [True, False])
async def test_a_house_has_one_where_others_write_its_files(
    begun: Begun, tmp_path: Path, is_written_apart: bool
) -> None:
    settings = read_settings(environment(tmp_path))
    vendors = Vendors(codes=Unsent(), payments=SandboxProvider(remembered_max=10))
    with Scribe() as scribe:
        house = House(settings, vendors, scribe=scribe if is_written_apart else None)
        working = asyncio.create_task(house.run())
        await house.opened()
        money = house.campuses[CAMPUS].money

        await money.submit(AskRun(by=PersonId("p_operator")))
        await until(lambda: reports_in(money.database))
        beside = [] if house.checker is None else [house.checker.pid]
        running = begun() - {scribe.pid}
        house.close()
        await working

        assert running == set(beside)
        assert len(beside) == is_written_apart
        assert begun() == {scribe.pid}


def reports_in(database: Database) -> list[Row]:
    """The reports that are kept."""
    return database.rows("SELECT number FROM reconciliation_reports ORDER BY number LIMIT 1")
