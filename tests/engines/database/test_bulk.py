"""E1: on MariaDB rows are sent apart from their statements, and a batch is all or nothing all the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.databases import Site
from tests.engines.database.things import MARKS, PARTS, THINGS, flush, ids, keep, prepare, thing, update
from tuanzi.engines.database.bulk import bulk_batch, encoded_rows
from tuanzi.engines.database.connections import Connection, Patience, ask, connect
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.statements import PACKET_BYTES_MAX, changes_of
from tuanzi.machinery.database import DatabaseUnavailable, RowRefused


@pytest.fixture
def made(site: Site) -> Iterator[MariaDb]:
    """A database on MariaDB."""
    database = MariaDb(site.address())
    prepare(database)
    yield database
    database.close()


def test_rows_come_back_as_they_were_sent_in_bulk(made: MariaDb) -> None:
    texts = [
        "",
        " ",
        "'",
        "''\\",
        '"?:a',
        "\0\1\xff",
        "团子" * 200,
        "x" * 250,
        "x" * 251,
        "x" * 65_535,
        "x" * 65_536,
        "😀",
    ]
    rows = [thing(f"{i:03}", body=text, note=None) for i, text in enumerate(texts)]
    rows += [thing(f"n{i}", amount=amount, note="") for i, amount in enumerate((0, -1, 2**63 - 1, -(2**63)))]
    rows += [("true", "true", True, "", None)]

    made.commit(flush(made, inserts=[(THINGS, rows)]))

    kept = made.rows("SELECT id, tag, amount, body, note FROM things ORDER BY id LIMIT 100")
    assert kept == sorted([*rows[:-1], ("true", "true", 1, "", None)])
    assert made._writer.statements  # it was


def test_rows_are_sent_in_the_order_of_their_keys(made: MariaDb) -> None:
    made.commit(flush(made, inserts=[(THINGS, [thing("c", amount=1)])]))
    parts = [("e", 2, 1), ("e", 1, 1), ("d", 10, 1)]
    batch = flush(
        made,
        inserts=[(THINGS, [thing("e"), thing("d")]), (PARTS, parts)],
        upserts=[(THINGS, [thing("b"), thing("a")])],
        updates=[update(THINGS, [thing("c", amount=2)], "amount")],
    )

    sent = [(name, [row[: 2 if name == "parts" else 1] for row in rows]) for name, _, rows, _ in changes_of(batch)]

    assert sent == [
        ("things", [("d",), ("e",)]),
        ("parts", [("d", 10), ("e", 1), ("e", 2)]),
        ("things", [("a",), ("b",), ("c",)]),
        ("events", []),
    ]


def test_a_batch_is_as_many_packets_as_it_needs(made: MariaDb) -> None:
    rows = [thing(f"{i:04}", body="x" * 40_000) for i in range(600)]

    made.commit(flush(made, inserts=[(THINGS, rows)]))

    assert len(ids(made)) == 600
    assert [len(sent) > PACKET_BYTES_MAX for sent in encoded_rows(rows)] == [False] * 3
    with pytest.raises(RowRefused):
        bulk_batch(flush(made, inserts=[(THINGS, [thing("big", body="x" * PACKET_BYTES_MAX)])]))


def test_rows_of_a_table_go_by_one_statement_whatever_differs_in_each(made: MariaDb) -> None:
    keep(made, thing("a"), thing("b"), thing("c"))
    parts = [update(THINGS, [thing("b", amount=7)], "amount"), update(THINGS, [thing("c", body="new")], "body")]

    batch = flush(made, upserts=[(THINGS, [thing("a", note="put")])], updates=parts)
    made.commit(batch)

    assert [each.sql.split()[2] for each in bulk_batch(batch).inserts] == ["things"]
    kept = made.rows("SELECT id, amount, body, note FROM things ORDER BY id LIMIT 10")
    one = dict(zip(THINGS.columns, thing("a"), strict=True))
    assert kept == [
        ("a", one["amount"], one["body"], "put"),
        ("b", 7, one["body"], one["note"]),
        ("c", one["amount"], "new", one["note"]),
    ]


def test_what_was_sent_behind_a_refused_row_is_not_kept_and_the_connection_goes_on(made: MariaDb) -> None:
    keep(made, thing("a"))
    connection = made._writer
    marks = [("b", "first"), ("b", "second")]

    with pytest.raises(RowRefused, match="1062"):
        made.commit(flush(made, inserts=[(THINGS, [thing("b"), thing("a")]), (MARKS, marks)]))

    assert made._writer is connection
    assert (ids(made), made.rows("SELECT * FROM marks")) == (["a"], [])
    keep(made, thing("b"))
    assert (ids(made), made.cursor()) == (["a", "b"], (2, 0))


def test_what_was_sent_behind_a_transaction_that_the_server_undid_is_not_kept(site: Site, made: MariaDb) -> None:
    """After a deadlock the server has forgotten the batch's beginning, and carries on with what it was sent."""
    keep(made, thing("a"))
    other = connect(made.address, Patience())
    ask(other, "START TRANSACTION")
    ask(
        other, "INSERT INTO marks (thing_id, kind) SELECT 'z', seq FROM seq_1_to_500"
    )  # so that the batch is the victim
    ask(other, "SELECT * FROM things WHERE id = 'a' FOR UPDATE")
    batch = flush(made, upserts=[(THINGS, [thing("a", amount=2)]), (MARKS, [("a", "behind")])])

    with ThreadPoolExecutor(1) as threads:
        committing = threads.submit(made.commit, batch)
        waiting = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        while site.primary.ask(waiting) != [(1,)]:
            time.sleep(0.01)
        ask(other, "SELECT * FROM writer_cursor FOR UPDATE")
        with pytest.raises(DatabaseUnavailable, match="1213"):
            committing.result(30)
    ask(other, "ROLLBACK")

    assert made.rows("SELECT amount FROM things") == [(1,)]
    assert made.rows("SELECT * FROM marks") == []
    made.commit(batch)
    assert made.rows("SELECT * FROM marks") == [("a", "behind")]


def test_rows_go_as_text_where_the_server_keeps_no_more_statements(site: Site, made: MariaDb) -> None:
    ((before,),) = site.primary.ask("SELECT @@global.max_prepared_stmt_count")
    site.primary.ask("SET GLOBAL max_prepared_stmt_count = 0")
    try:
        made.commit(flush(made, inserts=[(THINGS, [thing("a")]), (PARTS, [("a", 1, 5)])]))
    finally:
        site.primary.ask(f"SET GLOBAL max_prepared_stmt_count = {before}")

    assert made.rows("SELECT * FROM parts") == [("a", 1, 5)]
    assert made._writer.statements == {}


def test_a_statement_is_parsed_once_for_a_connection_also_over_a_change_of_its_table(made: MariaDb) -> None:
    keep(made, thing("a"))
    known = dict(made._writer.statements)
    made.execute_script("ALTER TABLE things ADD COLUMN extra BIGINT NOT NULL DEFAULT 7")

    keep(made, thing("b"))

    assert (ids(made), made._writer.statements) == (["a", "b"], known)


def test_a_server_that_is_not_mariadb_is_not_told_of_it(made: MariaDb) -> None:
    sent: list[bytes] = []

    class Quiet(Connection):
        takes_bulk = False

        def _write_bytes(self, data: bytes) -> None:
            sent.append(data)
            super()._write_bytes(data)

    where = {"unix_socket": made.address.socket, "user": made.address.user, "password": made.address.password}
    Quiet(**where)._force_close()

    flags, more = int.from_bytes(sent[0][4:8], "little"), sent[0][32:36]
    assert (flags & 1, more) == (1, bytes(4))
