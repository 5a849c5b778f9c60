"""E1: rows read ahead from MariaDB's socket are those that were sent, and the connection stays in step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pymysql.err import MySQLError

from tests.databases import Site
from tuanzi.engines.database.connections import Connection, Patience, ask, code_of, connect
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.rows import AHEAD_BYTES

TOO_MANY_ROWS = 1242


@pytest.fixture
def connection(site: Site) -> Iterator[Connection]:
    """A connection of the engine."""
    address = site.address()
    MariaDb(address).close()  # makes the schema
    made = connect(address, Patience())
    yield made
    made._force_close()


def test_cells_of_every_length_and_kind_come_as_they_are(connection: Connection) -> None:
    lengths = [0, 1, 250, 251, 65_535, 65_536, 3 * AHEAD_BYTES]
    cells = ", ".join(f"REPEAT('x', {length})" for length in lengths)

    others = "NULL, -9223372036854775808, (SELECT SUM(seq) FROM seq_1_to_10), 0.5e0, x'FF00', '团'"

    ((*texts, nothing, number, total, share, raw, name),) = ask(connection, f"SELECT {cells}, {others}")

    assert [len(text) for text in texts] == lengths
    assert (nothing, number, total, share, raw, name) == (None, -(2**63), 55, 0.5, b"\xff\x00", "团")


def test_many_rows_come_in_order_wherever_the_socket_parts_them(connection: Connection) -> None:
    rows = ask(connection, "SELECT seq, REPEAT('y', seq % 300), IF(seq % 2, seq, NULL) FROM seq_1_to_20000")

    assert rows == [(i, "y" * (i % 300), i if i % 2 else None) for i in range(1, 20_001)]


def test_answers_sent_together_are_told_apart(connection: Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 AS a; DO 0; SELECT seq FROM seq_1_to_3; SELECT 2 WHERE FALSE")
        answers = [list(cursor.fetchall())]
        while cursor.nextset():
            answers.append(list(cursor.fetchall()))

    assert answers == [[(1,)], [], [(1,), (2,), (3,)], []]
    assert ask(connection, "SELECT 'next'") == [("next",)]


def test_an_error_behind_many_rows_is_told_and_the_connection_goes_on(connection: Connection) -> None:
    one = "(SELECT i.seq FROM seq_1_to_2 i WHERE i.seq <= IF(o.seq = 5000, 2, 1))"

    with pytest.raises(MySQLError) as told:
        ask(connection, f"SELECT o.seq, REPEAT('z', 50), {one} FROM seq_1_to_5000 o")

    assert code_of(told.value) == TOO_MANY_ROWS
    assert ask(connection, "SELECT 'next'") == [("next",)]
