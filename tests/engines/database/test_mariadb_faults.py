"""E1: a database server that is killed, stands still, is full of somebody else's locks or was never there.

Each test leaves the server running; its files are flushed at every commit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from pymysql.err import MySQLError

from tests.databases import Site, servers, tables_of
from tests.engines.database.things import MARKS, PARTS, TABLES, THINGS, flush, ids, keep, prepare, thing
from tests.machinery.toy import NOON
from tuanzi.engines.database import connections
from tuanzi.engines.database.connections import Patience, ask, connect, drop
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.machinery.database import DatabaseUnavailable, Fenced, RowRefused
from tuanzi.machinery.migrate import migrate
from tuanzi.machinery.writer import keep as keep_flush

SHORT = Patience(connect_s=1.0, answer_s=4.0, outcome_s=60.0)
TIME_OUT_S_MAX = 12.0  # twice what was asked for, and a busy machine
WAITING = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"


@pytest.fixture(scope="module")
def own() -> Iterator[Site]:
    """A server that may be hurt."""
    with servers() as made:
        yield Site(made, made.start_primary())


@pytest.fixture
def made(own: Site) -> Iterator[MariaDb]:
    """A database on it, with little patience."""
    database = MariaDb(own.address(), patience=SHORT)
    prepare(database)
    yield database
    database.close()


@pytest.fixture
def shut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doors that stay shut for so long that no busy machine comes too late to find one so."""
    monkeypatch.setattr(connections, "PAUSE_S", 3.0)


def back_again(database: MariaDb) -> None:
    """Wait until a server that was away is reached again: its door stays shut for a while."""
    until = time.monotonic() + 60
    while True:
        try:
            database.cursor()
        except DatabaseUnavailable:
            assert time.monotonic() < until
            time.sleep(0.05)
        else:
            return


def timed(work: Callable[[], Any]) -> float:
    """How long it takes until the database says that it is unavailable."""
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable):
        work()
    return time.monotonic() - began


def test_what_was_answered_is_there_after_a_kill_in_the_middle_of_commits(own: Site, made: MariaDb) -> None:
    """Every commit is answered, refused or found by the cursor; the writer goes on over the kill."""
    answered: list[str] = []
    refused: list[str] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            id = f"{len(answered) + len(refused):08}"  # a shut door refuses 100,000 times a second
            try:
                keep_flush(flush(made, inserts=[(THINGS, [thing(id, body="x" * 2000)])]), made)
            except DatabaseUnavailable:
                refused.append(id)
            else:
                answered.append(id)

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write)
        for _ in range(3):
            enough = len(answered) + 20
            while len(answered) < enough:
                time.sleep(0.001)
            own.primary.kill()
            own.primary.start()
        enough = len(answered) + 20
        while len(answered) < enough:
            time.sleep(0.001)
        stop.set()
        writing.result(30)

    assert ids(made) == answered
    assert made.cursor() == (len(answered), 0)


@pytest.mark.usefixtures("shut")
def test_a_server_that_stands_still_in_the_middle_of_a_batch_is_unavailable_within_the_time_out(
    own: Site, made: MariaDb
) -> None:
    keep(made, thing("a"))
    batch = flush(made, upserts=[(THINGS, [thing("a", amount=2), thing("b")]), (MARKS, [("a", "first")])])
    other = connect(made.address, SHORT)
    ask(other, "START TRANSACTION")
    ask(other, "SELECT * FROM things WHERE id = 'a' FOR UPDATE")

    with ThreadPoolExecutor(1) as threads:
        committing = threads.submit(timed, lambda: made.commit(batch))
        while own.primary.ask(WAITING) != [(1,)]:
            time.sleep(0.01)
        own.primary.pause()
        try:
            took = committing.result(30)
            at_once = timed(lambda: made.commit(batch))
        finally:
            own.primary.resume()
    drop(other)
    back_again(made)

    assert SHORT.answer_s - 0.2 < took < TIME_OUT_S_MAX
    assert at_once < SHORT.connect_s
    made.commit(batch)
    assert (ids(made), made.rows("SELECT * FROM marks")) == (["a", "b"], [("a", "first")])


@pytest.mark.usefixtures("shut")
def test_a_paused_server_is_unavailable_within_the_time_out_and_used_again_after(own: Site, made: MariaDb) -> None:
    keep(made, thing("a"))
    batch = flush(made, inserts=[(THINGS, [thing("b")])])
    assert ids(made) == ["a"]

    own.primary.pause()
    try:
        took = [timed(lambda: made.commit(batch))]
        at_once = timed(lambda: made.commit(batch))
        took += [
            timed(lambda: made.rows("SELECT 1")),
            timed(lambda: made.look(lambda ask: ask("SELECT 1"))),
            timed(lambda: MariaDb(made.address, patience=SHORT)),
        ]
    finally:
        own.primary.resume()
    back_again(made)

    assert max(took) < TIME_OUT_S_MAX
    assert at_once < SHORT.connect_s
    assert ids(made) == ["a"]
    keep(made, thing("c"))
    assert (ids(made), made.cursor()) == (["a", "c"], (2, 0))


def test_a_commit_whose_answer_never_came_is_found_by_the_cursor(own: Site, made: MariaDb) -> None:
    """The COMMIT itself is on its way when the server stops: only the server knows, and it is asked until it says."""
    keep(made, thing("a"))
    batch = flush(made, inserts=[(THINGS, [thing("b")])])
    connection = made._writer
    send = connection._execute_command

    def pause_before_commit(command: int, sql: Any) -> None:
        if sql in ("COMMIT", b"COMMIT"):
            own.primary.pause()
            threading.Timer(SHORT.answer_s + 1.0, own.primary.resume).start()
        send(command, sql)

    connection._execute_command = pause_before_commit

    keep_flush(batch, made)

    assert made.cursor() == (2, 0)
    assert ids(made) == ["a", "b"]


def test_a_server_that_was_started_again_is_not_noticed(own: Site, made: MariaDb) -> None:
    keep(made, thing("a"))
    made.look(lambda ask: ask("SELECT 1"))

    own.primary.kill()
    own.primary.start()

    assert ids(made) == ["a"]
    assert made.look(lambda ask: ask("SELECT id FROM things")) == [("a",)]
    assert made.fetch(THINGS, ["a"]) == [thing("a")]
    own.primary.kill()
    own.primary.start()
    position, number = 1, 0
    batch = flush(MariaDb(made.address), inserts=[(THINGS, [thing("b")])])
    assert (batch.before, batch.event_number) == (position, number)
    made.commit(batch)
    assert ids(made) == ["a", "b"]


def test_a_server_that_is_down_is_unavailable_at_once(own: Site, made: MariaDb) -> None:
    batch = flush(made, inserts=[(THINGS, [thing("a")])])
    own.primary.kill()

    try:
        took = [timed(lambda: made.commit(batch)), timed(made.cursor), timed(lambda: made.rows("SELECT 1"))]
    finally:
        own.primary.start()
    back_again(made)

    assert max(took) < SHORT.answer_s
    assert made.cursor() == (0, 0)


def test_a_lock_that_stays_is_unavailable_and_leaves_nothing(own: Site, made: MariaDb) -> None:
    keep(made, thing("a"))
    batch = flush(made, inserts=[(THINGS, [thing("b")])], upserts=[(THINGS, [thing("a", amount=5)])])
    patient = MariaDb(made.address, patience=replace(SHORT, answer_s=6.0))
    other = made._door.open()
    with other.cursor() as cursor:
        cursor.execute("START TRANSACTION")
        cursor.execute("UPDATE things SET amount = 3 WHERE id = 'a'")

    with pytest.raises(DatabaseUnavailable, match="Lock wait timeout"):
        patient.commit(batch)
    other.rollback()
    patient.commit(batch)

    assert made.rows("SELECT id, amount FROM things ORDER BY id") == [("a", 5), ("b", 1)]


def test_a_deadlock_is_unavailable_and_leaves_nothing(own: Site, made: MariaDb) -> None:
    keep(made, thing("a"), thing("b"))
    batch = flush(made, upserts=[(THINGS, [thing("a", amount=5)])])
    other = made._door.open()
    with other.cursor() as cursor:
        cursor.execute("START TRANSACTION")
        cursor.execute(
            "INSERT INTO marks VALUES ('1', '1'), ('2', '2'), ('3', '3'), ('4', '4')"
        )  # the heavier one stays
        cursor.execute("UPDATE things SET amount = 3 WHERE id = 'a'")
        patient = MariaDb(made.address)
        with ThreadPoolExecutor(1) as threads:
            committing = threads.submit(patient.commit, batch)
            while own.primary.ask(WAITING) != [(1,)] and not committing.done():
                time.sleep(0.001)
            cursor.execute("UPDATE writer_cursor SET event_number = event_number WHERE id = 1")
            with pytest.raises(DatabaseUnavailable, match="Deadlock"):
                committing.result(30)
        cursor.execute("ROLLBACK")

    patient.commit(batch)
    assert made.rows("SELECT id, amount FROM things ORDER BY id") == [("a", 5), ("b", 1)]


def test_a_server_that_is_no_primary_any_more_keeps_nothing(own: Site, made: MariaDb) -> None:
    keep(made, thing("a"))
    batch = flush(made, inserts=[(THINGS, [thing("b")])])

    own.primary.ask("SET GLOBAL read_only = ON")
    try:
        timed(lambda: made.commit(batch))
        assert ids(made) == ["a"]
    finally:
        own.primary.ask("SET GLOBAL read_only = OFF")

    made.commit(batch)
    assert ids(made) == ["a", "b"]


def test_a_connection_that_an_operator_kills_is_made_again(own: Site, made: MariaDb) -> None:
    keep(made, thing("a"))
    made.rows("SELECT 1")

    for row in own.primary.ask("SHOW PROCESSLIST"):
        if row[1] == "tuanzi":
            with suppress(MySQLError):  # one of the test before, which has ended meanwhile
                own.primary.ask(f"KILL {row[0]}")

    assert ids(made) == ["a"]
    assert made.look(lambda ask: ask("SELECT id FROM things")) == [("a",)]
    keep(made, thing("b"))
    assert ids(made) == ["a", "b"]


def test_a_zombie_whose_commit_waits_is_fenced_by_whoever_took_over(own: Site, made: MariaDb) -> None:
    """Both write the same cursor row, so that one waits for the other and then finds it moved."""
    zombie = MariaDb(made.address)
    late = flush(zombie, inserts=[(THINGS, [thing("late")])])
    keep(made, thing("a"))

    with pytest.raises(Fenced):
        zombie.commit(late)

    assert (made.cursor(), ids(made)) == ((1, 0), ["a"])


def test_a_writer_that_works_on_does_not_come_back_before_who_took_over(own: Site, made: MariaDb) -> None:
    """It lives: as soon as its connection is ended it makes another, and would have its place again."""
    writers = [made]
    made.take_over()
    for i in range(5):
        writers.append(MariaDb(made.address, patience=SHORT))
        busy, successor = writers[-2:]
        stop, fenced = threading.Event(), threading.Event()

        def write(busy: MariaDb = busy, stop: threading.Event = stop, fenced: threading.Event = fenced) -> None:
            while not stop.is_set():
                try:
                    keep_flush(flush(busy), busy)
                except Fenced:
                    fenced.set()
                    return
                except DatabaseUnavailable:
                    pass

        with ThreadPoolExecutor(1) as threads:
            writing = threads.submit(write)
            try:
                time.sleep(0.05)
                successor.take_over()
                keep(successor, thing(f"{i}"))
                fenced.wait(30)
            finally:
                stop.set()
            writing.result(10)
        assert fenced.is_set()

    assert ids(made) == ["0", "1", "2", "3", "4"]
    for writer in writers[1:]:
        writer.close()


def test_a_writer_that_comes_back_first_all_the_same_is_ended_once_more(own: Site, made: MariaDb) -> None:
    made.take_over()
    keep(made, thing("a"))
    back = connect(made.address, Patience())
    successor = MariaDb(made.address, patience=SHORT)

    def come_back() -> None:
        with suppress(MySQLError):
            ask(back, f"SELECT GET_LOCK('{made.address.schema}.writer', 30)")

    with ThreadPoolExecutor(1) as threads:
        coming = threads.submit(come_back)
        while not any(row[6] == "User lock" for row in own.primary.ask("SHOW PROCESSLIST")):
            time.sleep(0.01)  # he waits for the place before the successor asks for it
        successor.take_over()
        coming.result(10)

    keep(successor, thing("b"))
    assert ids(successor) == ["a", "b"]
    drop(back)
    successor.close()


def test_what_the_columns_are_too_short_for_is_refused(site: Site) -> None:
    """SQLite takes it: that the limits of rooms are those of columns is seen here alone."""
    made = MariaDb(site.address())
    prepare(made)
    for wrong in (thing("x" * 65), thing("a", note="团" * 65), thing("a", body="x" * (17 * 2**20))):
        with pytest.raises(RowRefused):
            keep(made, wrong)

    keep(made, thing("x" * 64, note="团" * 64, body="x" * (15 * 2**20)))
    assert ids(made) == ["x" * 64]
    made.close()


def test_who_may_not_come_in_is_told_so_without_the_password(own: Site) -> None:
    wrong = replace(own.address(), password="secret-but-wrong")

    with pytest.raises(DatabaseUnavailable, match="Access denied") as told:
        MariaDb(wrong)
    with pytest.raises(DatabaseUnavailable):
        MariaDb(own.address(schema="somebody_elses"))

    assert "secret-but-wrong" not in str(told.value)


def test_the_same_over_tcp(own: Site) -> None:
    database = MariaDb(own.address(by_socket=False))
    prepare(database)

    keep(database, *[thing(f"{i:03}", body="x" * 50_000) for i in range(100)])

    assert database.rows("SELECT COUNT(*), SUM(LENGTH(body)) FROM things") == [(100, 5_000_000)]
    database.close()


FOLDERS = ("every", "core")


def schema_of(database: MariaDb) -> list[Any]:
    """What every table is, to the letter, and which migrations are noted."""
    tables = [database.rows(f'SHOW CREATE TABLE "{name}"') for name in tables_of(database)]
    return [tables, database.rows("SELECT name, digest FROM schema_migrations ORDER BY name")]


def test_a_migration_that_was_killed_goes_on_where_it_was(own: Site) -> None:
    """The server is killed in the middle of it, again and again, wherever it then is."""
    whole = MariaDb(own.address())
    applied = migrate(whole, FOLDERS, now=NOON)
    kills = 0

    with ThreadPoolExecutor(1) as threads:
        while kills < 6:  # one that was through before it was killed says nothing, and there is another
            database = MariaDb(own.address(), patience=SHORT)
            for attempt in count():
                migrating = threads.submit(migrate, database, FOLDERS, now=NOON.replace(microsecond=attempt))
                time.sleep(0.005 + 0.005 * min(kills, 5))  # the whole takes 0.1 s on a fast machine
                if kills < 6 and not migrating.done():
                    own.primary.kill()
                    own.primary.start()
                    kills += 1
                try:
                    migrating.result(60)
                    break
                except DatabaseUnavailable:
                    time.sleep(0.3)

            assert schema_of(database) == schema_of(whole)
            assert database.rows("SELECT COUNT(*) FROM migration_step") == [(0,)]
            assert (database.cursor(), migrate(database, FOLDERS, now=NOON)) == ((0, 0), [])
            assert len(applied) == len(database.rows("SELECT name FROM schema_migrations"))
            database.close()


@pytest.mark.parametrize("noted", range(5))
def test_a_statement_that_was_done_but_not_noted_is_not_done_twice(own: Site, noted: int) -> None:
    """The states that a kill may leave, one by one: `noted` statements are noted, and the next one is done as well."""
    script = (
        "CREATE TABLE a (id BIGINT NOT NULL PRIMARY KEY, n BIGINT NOT NULL);\n"
        "INSERT INTO a (id, n) VALUES (1, 0);\n"
        "ALTER TABLE a ADD COLUMN more VARCHAR(40) NOT NULL DEFAULT 'x';\n"
        "UPDATE a SET n = n + 1;\n"
        "CREATE INDEX a_by_n ON a (n, id);\n"
        "UPDATE a SET n = n + 10;\n"
    )
    database = MariaDb(own.address())
    cut = [0]
    connection = database._door.open()

    class Interrupted(Exception):
        pass

    class Killed:
        """The writer's connection, lost at the note after the statement."""

        def __getattr__(self, name: str) -> Any:
            return getattr(connection, name)

        def cursor(self) -> Any:
            cursor = connection.cursor()
            execute = cursor.execute

            def execute_until(sql: str) -> Any:
                is_note = sql.startswith(("UPDATE migration_step", "DELETE FROM migration_step"))
                if is_note or sql.startswith("START TRANSACTION"):
                    cut[0] += 1
                    if cut[0] == noted + 1:
                        if not is_note:
                            execute(sql)  # rows are changed and noted in one
                        raise Interrupted
                return execute(sql)

            cursor.execute = execute_until
            return cursor

    database._writer = Killed()
    with pytest.raises(Interrupted):
        database.execute_script(script)

    MariaDb(database.address).execute_script(script)

    assert database.rows("SELECT id, n, more FROM a") == [(1, 11, "x")]
    assert database.rows("SELECT COUNT(*) FROM migration_step") == [(0,)]


def test_what_exists_already_is_not_overlooked_where_nothing_was_interrupted(own: Site) -> None:
    database = MariaDb(own.address())
    database.execute_script(TABLES)
    keep_names = tables_of(database)

    with pytest.raises(DatabaseUnavailable, match="already exists"):
        database.execute_script(TABLES.replace("VARCHAR(64)", "VARCHAR(65)"))

    assert tables_of(database) == keep_names


def test_two_processes_that_open_a_new_database_make_it_once(own: Site) -> None:
    address = own.address()

    with ThreadPoolExecutor(2) as threads:
        made = list(threads.map(lambda _: MariaDb(address), range(2)))
        for database in made:
            database.execute_script("CREATE TABLE IF NOT EXISTS once (id BIGINT NOT NULL PRIMARY KEY);")

    assert tables_of(made[0]) == ["once"]


def test_rows_that_refer_to_each_other_and_marks_are_kept_over_a_kill(own: Site, made: MariaDb) -> None:
    keep(made, thing("a"))
    made.commit(flush(made, inserts=[(PARTS, [("a", 1, 2)]), (MARKS, [("a", "x")])]))

    own.primary.kill()
    own.primary.start()

    assert made.fetch(PARTS, [("a", 1)]) == [("a", 1, 2)]
    assert made.fetch(MARKS, [("a", "x")]) == [("a", "x")]
