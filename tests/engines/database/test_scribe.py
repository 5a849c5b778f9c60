"""The processes that write SQLite's files: what their death, or its dictator's, leaves behind (decision 0018)."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.engines.database.things import THINGS, flush, ids, keep, prepare, thing
from tests.processes import children_of
from tuanzi.engines.database.dictation import said, send
from tuanzi.engines.database.scribe import Dictated, Scribe
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.database import DatabaseUnavailable, Fenced, Flush, RowRefused
from tuanzi.machinery.writer import keep as keep_surely

# Says a batch to a writer that stands still, tells who that is, and is killed.
DICTATOR = """
import os, signal, sys
from pathlib import Path
from tests.engines.database.test_scribe import line_bytes_max, writer_of
from tests.engines.database.things import THINGS, flush, thing
from tuanzi.engines.database.dictation import said, send
from tuanzi.engines.database.scribe import Dictated, Scribe
scribe = Scribe(holds=[int(sys.argv[2])])
database = Dictated(Path(sys.argv[1]), scribe)
database.commit(flush(database, inserts=[(THINGS, [thing("first")])]))
batch = said(flush(database, inserts=[(THINGS, [thing(f"t{i}") for i in range(int(sys.argv[3]))])]))
os.kill(writer_of(scribe), signal.SIGSTOP)
send(database._line, batch)
print(writer_of(scribe), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def opened(path: Path, scribe: Scribe) -> Dictated:
    """A file of things that the scribe writes."""
    database = Dictated(path, scribe)
    prepare(database)
    return database


def pid_of(scribe: Scribe) -> int:
    """Of the process that starts those that write."""
    assert scribe.pid is not None
    return scribe.pid


def line_bytes_max() -> int:
    """How much the system lets a line hold."""
    return int(Path("/proc/sys/net/core/wmem_max").read_text())


def writer_of(scribe: Scribe) -> int:
    """The process id of whoever writes its only file; one that was killed before is there for a moment still."""
    ends_at = time.monotonic() + 30
    while len(children := children_of(pid_of(scribe))) != 1:
        assert time.monotonic() < ends_at, children
        time.sleep(0.001)
    return children[0]


def test_whoever_writes_takes_no_core_away_from_whoever_dictates(tmp_path: Path) -> None:
    with Scribe() as scribe:
        database = opened(tmp_path / "things.db", scribe)
        keep(database, thing("a"))

        policies = [os.sched_getscheduler(pid) for pid in (pid_of(scribe), writer_of(scribe), os.getpid())]

        assert policies == [os.SCHED_BATCH, os.SCHED_BATCH, os.SCHED_OTHER]
        database.close()


async def test_a_large_batch_is_written_though_the_loop_is_busy_deciding_the_next(tmp_path: Path) -> None:
    with Scribe() as scribe:
        database = opened(tmp_path / "things.db", scribe)
        await database.dictate(flush(database, inserts=[(THINGS, [thing("first")])]))
        bodies = min(1_000, line_bytes_max() // 2_000)
        large = flush(database, inserts=[(THINGS, [thing(f"t{i}", body="x" * 1_000) for i in range(bodies)])])

        kept = asyncio.create_task(database.dictate(large))
        for _ in range(3):
            await asyncio.sleep(0)
        until = time.monotonic() + 60
        while len(ids(database)) == 1 and time.monotonic() < until:
            time.sleep(0.01)  # noqa: ASYNC251 - it is the loop that is busy

        assert len(ids(database)) == bodies + 1
        await kept
        database.close()


@pytest.mark.parametrize("is_alone", [True, False], ids=["whoever writes the file", "with who started it"])
def test_a_scribe_that_died_is_told_of_and_the_next_batch_has_a_new_one(tmp_path: Path, is_alone: bool) -> None:
    with Scribe() as scribe:
        database = opened(tmp_path / "things.db", scribe)
        keep(database, thing("a"))
        first, writer = pid_of(scribe), writer_of(scribe)
        for pid in (writer,) if is_alone else (first, writer):
            os.kill(pid, signal.SIGKILL)
        if not is_alone:
            os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)  # a signal is not there at once

        with pytest.raises(DatabaseUnavailable):
            keep(database, thing("b"))
        assert (database.cursor(), ids(database)) == ((1, 0), ["a"])
        keep(database, thing("c"))

        assert (scribe.pid == first) is is_alone
        assert writer_of(scribe) != writer
        assert (database.cursor(), ids(database)) == ((2, 0), ["a", "c"])
        database.close()


def test_each_file_is_written_by_a_process_of_its_own(tmp_path: Path) -> None:
    with Scribe() as scribe:
        one, other = (opened(tmp_path / f"{name}.db", scribe) for name in ("one", "other"))
        keep(one, thing("a"))
        keep(other, thing("b"))
        first, second = children_of(pid_of(scribe))
        os.kill(first, signal.SIGSTOP)
        keep(other, thing("c"))
        os.kill(first, signal.SIGCONT)
        os.kill(second, signal.SIGKILL)
        keep(one, thing("d"))

        assert (ids(one), ids(other)) == (["a", "d"], ["b", "c"])
        one.close()
        other.close()


def test_who_writes_goes_on_when_who_started_it_has_died_and_is_waited_for_all_the_same(tmp_path: Path) -> None:
    with Scribe() as scribe:
        database = opened(tmp_path / "things.db", scribe)
        keep(database, thing("a"))
        writer = writer_of(scribe)
        os.kill(pid_of(scribe), signal.SIGKILL)
        keep(database, thing("b"))
        other = opened(tmp_path / "other.db", scribe)
        keep(other, thing("c"))
        big = [thing(f"t{i}", body="x" * 300) for i in range(20_000)]
        line = database._line
        assert line is not None
        send(line, said(flush(database, inserts=[(THINGS, big)])))

        assert writer_of(scribe) != writer
    assert len(ids(database)) == 20_002
    database.close()
    other.close()


def test_a_scribe_killed_at_any_moment_leaves_whole_batches_and_the_cursor_says_which(tmp_path: Path) -> None:
    with Scribe() as scribe:
        database = opened(tmp_path / "things.db", scribe)
        for death in range(12):
            with suppress(DatabaseUnavailable):  # of the one that died; the next commit has another
                keep(database, thing(f"{death}-0"))
            keep(database, thing(f"{death}-1"))
            kept = database.rows("SELECT COUNT(*) FROM things")[0][0]
            assert database.rows("SELECT COUNT(*) FROM things WHERE id = :id", {"id": f"{death}-1"}) == [(1,)]
            batch = flush(database, inserts=[(THINGS, [thing(f"{death}-big-{i}") for i in range(2_000)])])
            killer = subprocess.Popen(["sh", "-c", f"sleep 0.0{death}; kill -9 {writer_of(scribe)}"])
            try:
                keep_surely(batch, database)
                kept += 2_000
            except DatabaseUnavailable:
                pass
            killer.wait()
            assert database.rows("SELECT COUNT(*) FROM things") == [(kept,)]
        database.close()


def test_what_ends_its_dictator_by_name_does_not_end_it(tmp_path: Path) -> None:
    with Scribe() as scribe:
        database = opened(tmp_path / "things.db", scribe)
        keep(database, thing("a"))
        pids = pid_of(scribe), writer_of(scribe)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            for pid in pids:
                os.kill(pid, number)
        keep(database, thing("b"))

        assert (scribe.pid, writer_of(scribe)) == pids
        database.close()


def test_it_ends_with_whoever_dictates(tmp_path: Path) -> None:
    with Scribe() as scribe:
        database = opened(tmp_path / "things.db", scribe)
        keep(database, thing("a"))
        pids = pid_of(scribe), writer_of(scribe)
        database.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not (tmp_path / "things.db-wal").exists()


def test_who_comes_after_a_killed_one_waits_for_its_last_batch_and_finds_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "things.db"
    prepare(Sqlite(path))
    lock = (tmp_path / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    count = min(1_000, line_bytes_max() // 2_000)  # what a line holds though nobody takes it out
    words = [sys.executable, "-c", DICTATOR, str(path), str(lock.fileno()), str(count)]
    dictator = subprocess.run(words, pass_fds=[lock.fileno()], stdout=subprocess.PIPE, check=False)
    assert dictator.returncode == -signal.SIGKILL
    lock.close()

    with (tmp_path / "lock").open("w") as anew:
        assert not has_locked(anew.fileno())
        before = Sqlite(path).cursor()
        os.kill(int(dictator.stdout), signal.SIGCONT)
        ends_at = time.monotonic() + 60
        while not has_locked(anew.fileno()):
            assert time.monotonic() < ends_at
            time.sleep(0.001)
        found = Sqlite(path).cursor(), Sqlite(path).rows("SELECT COUNT(*) FROM things")
    time.sleep(0.3)

    assert before == (1, 0)
    assert found == ((2, 0), [(count + 1,)])
    assert Sqlite(path).cursor() == (2, 0)


async def test_a_loop_dictates_without_a_thread_and_is_told_what_became_of_each_batch(tmp_path: Path) -> None:
    with Scribe() as scribe:
        database = opened(tmp_path / "things.db", scribe)
        await database.dictate(flush(database, inserts=[(THINGS, [thing("a"), thing("b")])]))
        late = flush(database, inserts=[(THINGS, [thing("late")])])
        with pytest.raises(RowRefused):
            await database.dictate(flush(database, inserts=[(THINGS, [thing("new"), thing("a", tag="else")])]))
        with pytest.raises(RowRefused):
            await database.dictate(flush(database, inserts=[(THINGS, [thing("half \ud800")])]))
        big = [thing(f"t{i}", body="x" * 500) for i in range(5_000)]  # more than a socket takes at once
        await database.dictate(flush(database, inserts=[(THINGS, big)]))
        with pytest.raises(Fenced):
            await database.dictate(late)

        assert (database.cursor(), len(ids(database))) == ((2, 0), 5_002)
        database.close()


async def test_a_loop_whose_scribe_died_is_told_and_goes_on_with_another(tmp_path: Path) -> None:
    with Scribe() as scribe:
        database = opened(tmp_path / "things.db", scribe)
        await database.dictate(flush(database, inserts=[(THINGS, [thing("a")])]))
        os.kill(writer_of(scribe), signal.SIGKILL)

        with pytest.raises(DatabaseUnavailable):
            await database.dictate(flush(database, inserts=[(THINGS, [thing("b")])]))
        await database.dictate(flush(database, inserts=[(THINGS, [thing("c")])]))

        assert (database.cursor(), ids(database)) == ((2, 0), ["a", "c"])
        database.close()


async def test_batches_said_before_the_first_is_answered_are_kept_in_their_order_over_one_line(tmp_path: Path) -> None:
    with Scribe() as scribe:
        database = opened(tmp_path / "things.db", scribe)
        batches = [Flush(before=i, after=i + 1, event_number=0, inserts=[(THINGS, [thing(f"t{i}")])]) for i in range(9)]

        await asyncio.gather(*(database.dictate(batch) for batch in batches))

        assert (database.cursor(), len(ids(database)), len(scribe._lines)) == ((9, 0), 9, 1)
        database.close()


async def test_what_was_said_on_top_of_a_batch_that_is_refused_is_fenced(tmp_path: Path) -> None:
    with Scribe() as scribe:
        database = opened(tmp_path / "things.db", scribe)
        await database.dictate(flush(database, inserts=[(THINGS, [thing("a")])]))
        refused = Flush(before=1, after=2, event_number=0, inserts=[(THINGS, [thing("a", tag="else")])])
        on_top = [Flush(before=i, after=i + 1, event_number=0, inserts=[(THINGS, [thing(f"t{i}")])]) for i in (2, 3)]

        told = await asyncio.gather(*(database.dictate(each) for each in (refused, *on_top)), return_exceptions=True)

        assert [type(error) for error in told] == [RowRefused, Fenced, Fenced]
        assert (database.cursor(), ids(database)) == ((1, 0), ["a"])
        database.close()


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
async def test_a_scribe_killed_with_three_batches_in_hand_has_kept_the_first_ones_whole(
    tmp_path: Path, after_s: float
) -> None:
    with Scribe() as scribe:
        database = opened(tmp_path / "things.db", scribe)
        await database.dictate(flush(database, inserts=[(THINGS, [thing("first")])]))
        rows = [[thing(f"t{i}-{j}", body="x" * 300) for j in range(4_000)] for i in range(1, 4)]
        batches = [Flush(before=i, after=i + 1, event_number=0, inserts=[(THINGS, rows[i - 1])]) for i in range(1, 4)]
        saying = [asyncio.create_task(database.dictate(batch)) for batch in batches]
        await asyncio.sleep(after_s)
        os.kill(writer_of(scribe), signal.SIGKILL)
        told = await asyncio.gather(*saying, return_exceptions=True)

        position, _ = database.cursor()
        acknowledged = [error is None for error in told]
        assert acknowledged == sorted(acknowledged, reverse=True)
        assert {type(error) for error in told} <= {type(None), DatabaseUnavailable}
        assert position >= 1 + acknowledged.count(True)
        assert len(ids(database)) == 1 + (position - 1) * 4_000
        database.close()


def has_locked(descriptor: int) -> bool:
    """Whether the lock could be had at once."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
