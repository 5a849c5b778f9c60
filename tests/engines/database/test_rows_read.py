"""E1: MariaDB finds the messages of a stream by the key, and reads no others, as SQLite does (A4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.databases import Site
from tests.machinery.toy import NOON
from tuanzi.engines.database.connections import Connection, Patience, ask, connect
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.statements import filled
from tuanzi.live import store
from tuanzi.machinery.database import Flush
from tuanzi.machinery.migrate import migrate
from tuanzi.machinery.several import several

CHAPTERS = 20
STREAMS = 500  # each with a message in every chapter


@pytest.fixture
def connection(site: Site) -> Iterator[Connection]:
    """A connection to a database of streams."""
    address = site.address()
    database = MariaDb(address)
    migrate(database, ("every", "notices"), now=NOON)
    messages = [
        (chapter, f"user:{i:04}", chapter + 1, chapter + 1, chapter, "[{}]")
        for chapter in range(CHAPTERS)
        for i in range(STREAMS)
    ]
    chapters = [(chapter, chapter) for chapter in range(CHAPTERS)]
    database.commit(
        Flush(
            before=0,
            after=1,
            event_number=0,
            inserts=[(store.STREAM_CHAPTERS, chapters), (store.STREAM_RUNS, messages)],
        )
    )
    opened = connect(address, Patience())
    yield opened
    opened.close()
    database.close()


@pytest.mark.parametrize(
    ("sql", "slots", "found"),
    [
        (store.STREAM_STATE, {"stream": "user:0007"}, [(20, 0, 0, 0)]),
        (store.STREAM_STATE, {"stream": "user:~"}, [(0, 0, 0, 0)]),
        (store.RUNS_AFTER, {"stream": "user:0007", "after": 18, "limit": 9}, [(19, "[{}]"), (20, "[{}]")]),
        (
            store.NEWEST_OF_STREAMS,
            next(several(["user:0299", "user:0007", "~"])),
            [("user:0007", 20), ("user:0299", 20)],
        ),
    ],
)
def test_a_stream_is_read_without_those_beside_it(
    connection: Connection, sql: str, slots: dict[str, Any], found: list[tuple[Any, ...]]
) -> None:
    before = rows_read(connection)

    rows = ask(connection, filled(sql, slots))

    read = rows_read(connection) - before  # chapters too, and rows that it put in order in a table of its own
    assert (list(rows), read < 300) == (found, True)


def test_tables_are_read_in_the_order_of_a_cross_join() -> None:
    said = filled("SELECT 'a CROSS JOIN b' FROM a CROSS JOIN b WHERE a.id = :id AND b.id = a.id", {"id": 1})

    assert said == b"SELECT 'a CROSS JOIN b' FROM a STRAIGHT_JOIN b WHERE a.id = 1 AND b.id = a.id"


def rows_read(connection: Connection) -> int:
    """How many rows this connection's questions have made the server read, in its own tables too."""
    asked = ask(connection, "SHOW SESSION STATUS LIKE 'Handler_read%'")
    return sum(int(count) for _, count in asked)
