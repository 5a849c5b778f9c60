"""E1: what `machinery/database.py` promises, kept by every engine."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.engines.database.things import MARKS, PARTS, THINGS, flush, ids, keep, thing, update
from tuanzi.machinery.database import DatabaseUnavailable, Fenced, RowRefused

GREATEST = 2**63 - 1
# What other encodings, other escapes and other ends of lines would spoil.
TEXTS = [
    "团子 🍡 𠮷野家",
    "it's 'quoted' \"twice\" `thrice`",
    "back\\slash \\' \\n \\0",
    "line\nline\r\nline\ttab",
    "nul \x00 in it",
    "%s %(name)s :id ?",
    "-- no comment; /* none */ #",
    " spaces around  ",
    "",
    "e\u0301 and é are two",
    "\ufeffmark \u200b \uffff \U0010ffff",
]


def test_a_new_database_stands_at_its_beginning(database: Any) -> None:
    assert database.cursor() == (0, 0)
    assert database.fetch(THINGS, ["a"]) == []


def test_a_batch_is_kept_whole_with_its_events_and_the_cursor(database: Any, twin: Any) -> None:
    keep(database, thing("a"), thing("b"), thing("c"))
    database.commit(flush(database, inserts=[(PARTS, [("a", 1, 10)])]))

    batch = flush(
        database,
        removes=[(PARTS, [("a", 1)]), (THINGS, ["b"])],
        inserts=[(THINGS, [thing("d")]), (PARTS, [("d", 1, 5), ("d", 2, 6)])],
        upserts=[(THINGS, [thing("a", amount=7), thing("e", amount=8)])],
        events=[(1, "toy.made", 1, 1795406400000, '{"id":"d"}'), (2, "toy.made", 2, 1795406400001, "{}")],
    )
    database.commit(batch)

    assert twin.cursor() == (3, 2)
    assert twin.rows("SELECT id, amount FROM things ORDER BY id") == [("a", 7), ("c", 1), ("d", 1), ("e", 8)]
    assert twin.rows("SELECT thing_id, line, amount FROM parts ORDER BY line") == [("d", 1, 5), ("d", 2, 6)]
    assert twin.rows("SELECT number, name, version, at_ms, body FROM events ORDER BY number") == [
        (1, "toy.made", 1, 1795406400000, '{"id":"d"}'),
        (2, "toy.made", 2, 1795406400001, "{}"),
    ]


def test_texts_of_many_rows_become_one_whatever_its_length(database: Any) -> None:
    """Migrations make JSON of rows so; 1 MiB is what MariaDB allows by itself, MySQL 1 KiB."""
    keep(database, *[thing(id, body="x" * 600_000) for id in "abc"])

    assert database.rows("SELECT LENGTH(GROUP_CONCAT(body)) FROM things") == [(1_800_002,)]


def test_a_batch_of_nothing_moves_the_cursor_alone(database: Any) -> None:
    database.commit(flush(database))

    assert database.cursor() == (1, 0)


def test_whoever_does_not_stand_at_the_cursor_is_fenced_and_leaves_nothing(database: Any, twin: Any) -> None:
    keep(database, thing("a"))
    late = flush(twin, inserts=[(THINGS, [thing("b")])])
    keep(database, thing("c"))

    for _ in range(2):
        with pytest.raises(Fenced):
            twin.commit(late)

    assert (database.cursor(), ids(database)) == ((2, 0), ["a", "c"])
    keep(database, thing("d"))
    assert ids(twin) == ["a", "c", "d"]


WRONG = {
    "a key that is there": {"inserts": [(THINGS, [thing("new"), thing("a", tag="else")])]},
    "a key twice": {"inserts": [(THINGS, [thing("new"), thing("new", tag="else")])]},
    "an event number that is there": {"events": [(1, "toy.again", 1, 0, "{}")]},
    "a unique tag that is there": {"inserts": [(THINGS, [thing("new", tag="a")])]},
    "a unique tag of another row, when changed": {"upserts": [(THINGS, [thing("b", tag="a")])]},
    "a unique tag of another row, when new": {"upserts": [(THINGS, [thing("new", tag="a")])]},
    "a check": {"inserts": [(THINGS, [thing("new", amount=13)])]},
    "a check, when changed": {"upserts": [(THINGS, [thing("a", amount=13)])]},
    "a check, when changed in part": {"updates": [update(THINGS, [thing("a", amount=13)], "amount")]},
    "a unique tag of another row, when changed in part": {"updates": [update(THINGS, [thing("b", tag="a")], "tag")]},
    "no value where there must be one": {"inserts": [(THINGS, [("new", "new", None, "", None)])]},
    "a part of nothing": {"inserts": [(PARTS, [("nothing", 1, 1)])]},
    "a thing that has parts, removed": {"removes": [(THINGS, ["a"])]},
    "a number beyond 64 bits": {"inserts": [(THINGS, [thing("new", amount=GREATEST + 1)])]},
    "half of a character": {"inserts": [(THINGS, [thing("new", body="\ud83c")])]},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_row_refuses_its_batch_and_nothing_of_it_is_kept(database: Any, wrong: str) -> None:
    keep(database, thing("a"), thing("b"))
    database.commit(flush(database, inserts=[(PARTS, [("a", 1, 1)])], events=[(1, "toy.made", 1, 1795406400000, "{}")]))
    batch = flush(database, **WRONG[wrong])
    batch.upserts.append((THINGS, [thing("b", amount=99)]))
    batch.removes.insert(0, (MARKS, [("x", "y")]))

    with pytest.raises(RowRefused):
        database.commit(batch)

    assert database.cursor() == (2, 1)
    assert database.rows("SELECT id, tag, amount, body FROM things ORDER BY id") == [
        ("a", "a", 1, ""),
        ("b", "b", 1, ""),
    ]
    assert database.rows("SELECT COUNT(*) FROM events") == [(1,)]
    keep(database, thing("after"))
    assert ids(database) == ["a", "after", "b"]


def test_what_is_put_again_takes_the_place_of_what_was_there(database: Any) -> None:
    keep(database, thing("a", note="old"), thing("b"))
    database.commit(flush(database, inserts=[(PARTS, [("a", 1, 1)]), (MARKS, [("a", "x")])]))

    changed = [thing("a", amount=2, body="new"), thing("c", tag="A")]
    database.commit(
        flush(
            database,
            upserts=[(THINGS, changed), (PARTS, [("a", 1, 3), ("a", 2, 4)]), (MARKS, [("a", "x"), ("a", "y")])],
        )
    )

    assert sorted(database.fetch(THINGS, ["a", "b", "c"])) == [thing("a", amount=2, body="new"), thing("b"), changed[1]]
    assert sorted(database.fetch(PARTS, [("a", 1), ("a", 2)])) == [("a", 1, 3), ("a", 2, 4)]
    assert sorted(database.fetch(MARKS, [("a", "x"), ("a", "y")])) == [("a", "x"), ("a", "y")]


def test_of_a_row_that_is_there_some_columns_are_changed_and_the_others_stay(database: Any) -> None:
    keep(database, *[thing(f"{i:03}", amount=i + 100) for i in range(300)])
    database.commit(flush(database, inserts=[(PARTS, [("000", 1, 1), ("000", 2, 2), ("001", 1, 3)])]))

    dearer = [thing(f"{i:03}", amount=i + 100, body="new", note="it's") for i in range(299)]
    batch = flush(
        database,
        upserts=[(THINGS, [thing("299", amount=7)])],
        updates=[
            update(THINGS, dearer, "body", "note"),
            update(THINGS, [thing("299", amount=7, tag="z")], "tag"),
            update(PARTS, [("000", 2, 9), ("001", 1, 8)], "amount"),
        ],
    )
    database.commit(batch)

    assert database.rows("SELECT id, tag, amount, body, note FROM things ORDER BY id") == [
        *dearer,
        thing("299", amount=7, tag="z"),
    ]
    assert sorted(database.fetch(PARTS, [("000", 1), ("000", 2), ("001", 1)])) == [
        ("000", 1, 1),
        ("000", 2, 9),
        ("001", 1, 8),
    ]


def test_a_row_to_be_changed_that_is_not_there_is_kept_whole_or_refuses_its_batch(database: Any) -> None:
    keep(database, thing("a"))
    rows = [thing("a", amount=5, body="x"), thing("b", amount=5, body="y")]

    try:
        database.commit(flush(database, updates=[update(THINGS, rows, "amount")]))
    except RowRefused:
        rows = [thing("a")]

    assert database.fetch(THINGS, ["a", "b"]) in (rows, [thing("a", amount=5), rows[-1]])
    keep(database, thing("after"))


def test_a_key_removed_may_be_new_again_in_the_same_batch(database: Any) -> None:
    keep(database, thing("a"), thing("b"))
    batch = flush(database, removes=[(THINGS, ["a", "nobody"])], inserts=[(THINGS, [thing("a", amount=5)])])

    database.commit(batch)

    assert database.rows("SELECT id, amount FROM things ORDER BY id") == [("a", 5), ("b", 1)]


def test_rows_are_found_by_their_keys_and_missing_ones_left_out(database: Any) -> None:
    keep(database, *[thing(f"t{i}") for i in range(700)])
    parts = [(f"t{i}", line, i) for i in range(400) for line in (1, 2)]
    database.commit(flush(database, inserts=[(PARTS, parts)]))

    found = database.fetch(THINGS, [f"t{i}" for i in range(690, 1500)])
    paired = database.fetch(PARTS, [(f"t{i}", line) for i in range(399, 1000) for line in (2, 3)] + [("t0", 1)])

    assert sorted(row[0] for row in found) == [f"t{i}" for i in range(690, 700)]
    assert sorted(paired) == [("t0", 1, 0), ("t399", 2, 399)]


def test_keys_are_the_same_only_byte_by_byte(database: Any) -> None:
    alike = ["a", "A", "a ", " a", "á", "a\u0301", "ａ", "ß", "ss", "ſ", "团", "團", "a\x00", ""]
    keep(database, *[thing(id) for id in alike])

    assert sorted(row[0] for row in database.fetch(THINGS, alike)) == sorted(alike)
    for id in alike:
        assert [row[0] for row in database.fetch(THINGS, [id])] == [id]
        assert database.rows("SELECT id FROM things WHERE id = :id", {"id": id}) == [(id,)]
    assert database.rows("SELECT 1 FROM things WHERE :one = :other", {"one": "a", "other": "a "}) == []


def test_texts_sort_by_their_bytes(database: Any) -> None:
    texts = ["b", "a", "B", "a ", "a!", "~", "Z", "_", "é", "团", "\uffff", "🍡", "", "a0", "a-", "10", "9"]
    keep(database, *[thing(id) for id in texts])

    ordered = sorted(texts, key=str.encode)

    assert ids(database) == ordered
    assert database.rows("SELECT MIN(id), MAX(id) FROM things WHERE id > :after", {"after": "a!"}) == [("a-", "🍡")]
    after = database.rows(
        "SELECT id FROM things WHERE id > :after ORDER BY id DESC LIMIT :limit", {"after": "Z", "limit": 3}
    )
    assert [id for (id,) in after] == ordered[:-4:-1]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_comes_back_as_it_was_kept(database: Any, text: str) -> None:
    keep(database, thing("a", body=text, note=text, tag=text))
    database.commit(flush(database, upserts=[(THINGS, [thing("b", body=text, tag="b")])]))

    assert database.fetch(THINGS, ["a"]) == [("a", text, 1, text, text)]
    assert database.rows("SELECT id FROM things WHERE tag = :text AND body = :text", {"text": text}) == [("a",)]
    assert database.rows("SELECT body FROM things WHERE id = 'b'") == [(text,)]


def test_numbers_and_what_is_absent_come_back_as_they_were_kept(database: Any) -> None:
    amounts = [0, -1, 1, 2**53 + 1, -(2**53) - 1, GREATEST, -GREATEST - 1]
    keep(database, *[thing(f"n{i}", amount=amount) for i, amount in enumerate(amounts)], thing("none", note=None))

    kept = database.rows("SELECT amount, note FROM things WHERE id <> 'none' ORDER BY id")

    assert kept == [(amount, None) for amount in amounts]
    assert database.rows("SELECT COUNT(*) FROM things WHERE note IS NULL") == [(len(amounts) + 1,)]


def test_sums_counts_and_conditions_are_whole_numbers(database: Any) -> None:
    keep(database, thing("a", amount=2**40), thing("b", amount=2**40), thing("c", amount=-5))

    (row,) = database.rows(
        "SELECT SUM(amount), COUNT(*), MAX(amount), COALESCE(SUM(amount), 0), MAX(amount) > 3,"
        " SUM(CASE WHEN amount > 0 THEN 1 ELSE 0 END) FROM things"
    )
    (empty,) = database.rows("SELECT SUM(amount), COUNT(*), COALESCE(SUM(amount), 0) FROM things WHERE id = 'nobody'")

    assert (row, {type(cell) for cell in row}) == ((2**41 - 5, 3, 2**40, 2**41 - 5, 1, 2), {int})
    assert empty == (None, 0, 0)


def test_a_slot_is_a_value_wherever_it_stands_and_however_often(database: Any) -> None:
    keep(database, thing("a", note="x"), thing("b"), thing("it's"))
    ask = database.rows

    assert ask("SELECT id FROM things WHERE id = :id OR tag = :id", {"id": "it's"}) == [("it's",)]
    assert ask(
        "SELECT id FROM things WHERE (:tag = '' OR tag = :tag) ORDER BY id LIMIT :limit", {"tag": "", "limit": 2}
    ) == [("a",), ("b",)]
    assert ask("SELECT id FROM things WHERE note = :note", {"note": None}) == []
    assert ask("SELECT ':id', id FROM things WHERE id = :id", {"id": "a"}) == [(":id", "a")]
    assert ask("SELECT id FROM things WHERE id = :id", {"id": "' OR '1' = '1"}) == []
    assert ask("SELECT INSTR(tag, :some) FROM things WHERE id = :id", {"some": "'s", "id": "it's"}) == [(3,)]
    assert ask("SELECT id || ':' || tag FROM things WHERE id = 'a'") == [("a:a",)]


def test_a_batch_may_be_larger_than_any_packet(database: Any, twin: Any) -> None:
    rows = [thing(f"{i:05}", amount=i + 20, body="团" * 1000) for i in range(8_000)]  # 24 MB

    database.commit(
        flush(database, inserts=[(THINGS, rows)], events=[(i, "toy.made", 1, 0, "{}") for i in range(1, 5001)])
    )
    database.commit(flush(database, upserts=[(THINGS, [thing(f"{i:05}", amount=1) for i in range(8_000)])]))

    assert twin.rows("SELECT COUNT(*), SUM(amount), MAX(LENGTH(body)) FROM things") == [(8_000, 8_000, 0)]
    assert twin.cursor() == (2, 5_000)


def test_one_text_may_be_long(database: Any) -> None:
    text = "团子'" * 1_000_000  # 7 MB

    keep(database, thing("a", body=text))

    assert database.fetch(THINGS, ["a"])[0][3] == text


def test_a_look_sees_one_state_while_others_commit(database: Any, twin: Any) -> None:
    keep(database, thing("a", amount=50), thing("b", amount=-50))
    looked = threading.Event()
    changed = threading.Event()

    def reading(ask: Any) -> list[Any]:
        first = ask("SELECT amount FROM things WHERE id = 'a'")
        looked.set()
        assert changed.wait(10)
        return [
            first,
            ask("SELECT amount FROM things WHERE id = :id", {"id": "b"}),
            ask("SELECT position FROM writer_cursor"),
        ]

    with ThreadPoolExecutor(1) as threads:
        seen = threads.submit(twin.look, reading)
        assert looked.wait(10)
        database.commit(flush(database, upserts=[(THINGS, [thing("a", amount=60), thing("b", amount=-60)])]))
        changed.set()
        before = seen.result(10)

    assert before == [[(50,)], [(-50,)], [(1,)]]
    assert twin.look(lambda ask: ask("SELECT amount FROM things ORDER BY id")) == [(60,), (-60,)]


def test_a_look_that_fails_leaves_the_database_usable(database: Any) -> None:
    keep(database, thing("a"))

    def reading(ask: Any) -> None:
        ask("SELECT id FROM things")
        raise ZeroDivisionError

    for _ in range(40):
        with pytest.raises(ZeroDivisionError):
            database.look(reading)

    keep(database, thing("b"))
    assert database.look(lambda ask: ask("SELECT id FROM things ORDER BY id")) == [("a",), ("b",)]


def test_many_threads_read_what_is_committed_and_never_the_half_of_it(database: Any) -> None:
    keep(database, thing("a", amount=100), thing("b", amount=-100))
    done = threading.Event()

    def read() -> tuple[int, int]:
        count = last = 0
        while not done.is_set() or not count:
            (total,), (position,) = database.rows(
                "SELECT SUM(amount) FROM things UNION ALL SELECT position FROM writer_cursor"
            )
            assert total == 0
            assert position >= last
            last = position
            looked = database.look(
                lambda ask: [ask("SELECT amount FROM things WHERE id = :id", {"id": id}) for id in "ab"]
            )
            assert looked[0][0][0] == -looked[1][0][0]
            count += 1
        return count, last

    with ThreadPoolExecutor(24) as threads:
        reading = [threads.submit(read) for _ in range(24)]
        for amount in range(40):
            database.commit(
                flush(database, upserts=[(THINGS, [thing("a", amount=amount + 20), thing("b", amount=-amount - 20)])])
            )
        done.set()
        counts = [each.result(30) for each in reading]

    assert min(count for count, _ in counts) >= 1
    assert database.cursor() == (41, 0)


def test_a_committed_state_is_seen_at_once_by_everybody(database: Any, twin: Any) -> None:
    for i in range(50):
        keep(database, thing(f"{i:03}"))

        assert twin.rows("SELECT MAX(id) FROM things") == [(f"{i:03}",)]
        assert twin.cursor() == (i + 1, 0)


def test_a_script_of_changes_is_kept_whole_or_not_at_all(database: Any) -> None:
    keep(database, thing("a"))

    with pytest.raises(RowRefused):
        database.execute_script(
            "UPDATE things SET amount = 2; UPDATE things SET amount = 13; UPDATE things SET amount = 3;"
        )
    database.execute_script(
        "UPDATE things SET note = 'semicolon; -- no end' ; -- its end\nUPDATE things SET body = note;"
    )

    assert database.rows("SELECT amount, body FROM things") == [(1, "semicolon; -- no end")]


def test_what_no_database_understands_is_no_fault_of_a_row(database: Any) -> None:
    with pytest.raises(DatabaseUnavailable):
        database.rows("SELECT nothing FROM nowhere")
    with pytest.raises(DatabaseUnavailable):
        database.look(lambda ask: ask("SELEC 1"))
    with pytest.raises(DatabaseUnavailable):
        database.execute_script("UPDATE nowhere SET x = 1;")

    assert database.cursor() == (0, 0)
