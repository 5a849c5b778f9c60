"""SQLite's log is folded into the file beside the commits, so that none of them has to wait for all of it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from tuanzi import wiring
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.database import Flush

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
COMMITS = 300
COMMITS_A_FOLD = 20
EVENTS = 400
BODY = "x" * 1000
CHANGE_MUCH = """
import sys
from pathlib import Path
from tests.engines.database.things import THINGS, flush, keep, prepare, thing
from tuanzi.engines.database.sqlite import Sqlite

database = Sqlite(Path(sys.argv[1]))
prepare(database)
keep(database, *[thing(f"t{i}", body="x" * 2000) for i in range(300)])
database.commit(flush(database, upserts=[(THINGS, [thing(f"t{i}", body="y" * 2000) for i in range(300)])]))
database.close()
"""


def write(database: Sqlite) -> list[int]:
    """Many commits of many rows; the size of the log after each."""
    assert database._path is not None
    log = database._path.with_name(f"{database._path.name}-wal")
    sizes = []
    for i in range(COMMITS):
        events = [(i * EVENTS + j + 1, "tests.told", 1, 0, BODY) for j in range(EVENTS)]
        number = events[-1][0]
        database.commit(
            Flush(before=i, after=i + 1, event_number=number, inserts=[], upserts=[], removes=[], events=events)
        )
        sizes.append(log.stat().st_size)
        if i % COMMITS_A_FOLD == COMMITS_A_FOLD // 2 and database._folding is not None:
            database._folding.result(60)  # a disk that others keep busy folds as fast as is written here
    return sizes


def test_the_log_begins_anew_while_commits_go_on(tmp_path: Path) -> None:
    database = wiring.open_database(tmp_path / "core.db", "core", now=NOON)

    sizes = write(database)

    assert max(sizes) < COMMITS * EVENTS * len(BODY) / 2
    assert database.rows("SELECT COUNT(*), MAX(number) FROM events") == [(COMMITS * EVENTS, COMMITS * EVENTS)]
    database.close()


def test_all_that_was_kept_is_there_whatever_was_folded(tmp_path: Path) -> None:
    database = wiring.open_database(tmp_path / "core.db", "core", now=NOON)
    write(database)

    # What a crash leaves: both files as they are.
    for name in ("core.db", "core.db-wal"):
        (tmp_path / f"after-{name}").write_bytes((tmp_path / name).read_bytes())
    database.close()

    with closing(sqlite3.connect(tmp_path / "after-core.db")) as found:
        assert found.execute("SELECT COUNT(*), SUM(LENGTH(body)) FROM events").fetchone() == (
            COMMITS * EVENTS,
            COMMITS * EVENTS * len(BODY),
        )
        assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_batch_writes_to_no_other_file_than_the_log(tmp_path: Path) -> None:
    """What a statement would put back if it failed half-way went to a file of its own: a third of all pages written."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    untouched = elsewhere.stat().st_mtime_ns

    command = [sys.executable, "-c", CHANGE_MUCH, str(tmp_path / "things.db")]
    subprocess.run(command, check=True, env=os.environ | {"SQLITE_TMPDIR": str(elsewhere)})

    assert elsewhere.stat().st_mtime_ns == untouched
