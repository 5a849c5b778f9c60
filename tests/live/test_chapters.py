"""Streams are kept in chapters and read across them; what is older than seven days is forgotten (A4)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib import resources

import pytest

from tests.live.office import Direct
from tests.live.test_repeats import SCHEMA
from tuanzi import live
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.live.queries import archive as streams_archive
from tuanzi.machinery.problems import Crashed
from tuanzi.machinery.push.ports import Batch, Draft, StreamState

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
DAY = timedelta(days=1)


def batch(*messages: tuple[str, int], at: datetime = NOON) -> Batch:
    """Messages of streams, by their numbers."""
    drafts = [(Draft(stream, b'"%d"' % number, event_id=f"{stream}.{number}"), number) for stream, number in messages]
    return Batch(at=at, messages=drafts, posted=[draft.event_id for draft, _ in drafts])


def chapters_of(desk: Direct) -> list[tuple[int, int]]:
    """Each chapter and how many messages it has."""
    return desk.database.rows(
        "SELECT c.chapter, COALESCE(SUM(last_number - first_number + 1), 0) FROM stream_chapters c"
        " LEFT JOIN stream_runs r ON r.chapter = c.chapter GROUP BY c.chapter ORDER BY c.chapter"
    )


async def kept(*batches: Batch, chapter_messages: int = 2) -> tuple[live.StreamArchive, Direct]:
    """An archive of short chapters that has kept these batches."""
    desk = Direct(SCHEMA)
    archive = live.StreamArchive(desk, chapter_messages=chapter_messages)
    for each in batches:
        await archive.keep(each)
    return archive, desk


def numbers(rows: Sequence[tuple[int, bytes]]) -> list[int]:
    """The numbers of messages that were read."""
    return [number for number, _ in rows]


async def test_a_stream_is_read_in_order_across_chapters() -> None:
    parts = [batch(("a", i), ("b", i)) for i in range(1, 6)]

    archive, desk = await kept(*parts)

    assert chapters_of(desk) == [(i, 2) for i in range(5)]
    assert numbers(await archive.read("a", after=0, limit=10)) == [1, 2, 3, 4, 5]
    assert numbers(await archive.read("a", after=2, limit=2)) == [3, 4]
    assert await archive.newest(["a", "b", "c"]) == {"a": 5, "b": 5, "c": 0}
    assert (await archive.load("b")).newest == 5


async def test_who_keeps_them_next_goes_on_in_the_newest_chapter() -> None:
    _, desk = await kept(batch(("a", 1)), chapter_messages=3)

    another = live.StreamArchive(desk, chapter_messages=3)
    await another.keep(batch(("a", 2), ("b", 1)))
    await another.keep(batch(("a", 3)))

    assert chapters_of(desk) == [(0, 3), (1, 1)]
    assert numbers(await another.read("a", after=0, limit=10)) == [1, 2, 3]


async def test_a_batch_that_is_refused_leaves_neither_messages_nor_a_chapter() -> None:
    archive, desk = await kept(batch(("a", 1), ("b", 1)))

    with pytest.raises(Crashed):
        await archive.keep(batch(("a", 2), ("b", 1)))
    await archive.keep(batch(("a", 2)))

    assert chapters_of(desk) == [(0, 2), (1, 1)]
    assert numbers(await archive.read("a", after=0, limit=10)) == [1, 2]


async def test_old_messages_are_forgotten_with_their_chapters_and_the_stream_knows_up_to_which_number() -> None:
    parts = [batch(("a", i), ("b", i), at=NOON + i * DAY) for i in range(1, 5)]
    archive, desk = await kept(*parts)
    before = NOON + 3 * DAY

    first = await archive.sweep(before=before, limit=3)
    second = await archive.sweep(before=before, limit=3)
    third = await archive.sweep(before=before, limit=3)
    fourth = await archive.sweep(before=before, limit=3)

    assert (first, second, third, fourth) == (3, 1, 0, 0)
    assert chapters_of(desk) == [(1, 0), (2, 2), (3, 2)]  # an empty one stays until the one after it is old
    assert await archive.load("a") == StreamState(newest=4, floor=2)
    assert numbers(await archive.read("a", after=2, limit=10)) == [3, 4]


async def test_a_stream_all_of_which_was_forgotten_goes_on_after_its_last_number() -> None:
    archive, desk = await kept(batch(("a", 1), ("a", 2)), batch(("a", 3)))

    await archive.sweep(before=NOON + DAY, limit=10)
    await archive.sweep(before=NOON + DAY, limit=10)
    await archive.keep(batch(("a", 4), at=NOON + 2 * DAY))

    assert chapters_of(desk) == [(1, 1)]
    assert await archive.newest(["a"]) == {"a": 4}
    assert numbers(await archive.read("a", after=3, limit=10)) == [4]


async def test_all_streams_are_known_from_a_walk_over_the_chapters_and_those_that_were_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams_archive, "STREAMS_AT_ONCE", 2)
    parts = [batch((f"s{i}", 1), ("a", i), ("b", i), ("c", i), at=NOON + i * DAY) for i in range(1, 5)]
    archive, desk = await kept(*parts, batch(("a", 5), at=NOON + 5 * DAY))
    while await archive.sweep(before=NOON + 3 * DAY, limit=3):
        pass
    assert len(desk.database.rows("SELECT stream FROM stream_runs WHERE stream IN ('s1', 's2')")) == 0

    known = await archive.newest_of_all(streams_max=7)

    assert known == {"a": 5, "b": 4, "c": 4, "s1": 1, "s2": 1, "s3": 1, "s4": 1}
    assert await archive.newest_of_all(streams_max=6) is None


async def test_the_device_that_acknowledged_most_counts_whichever_gateway_says_so_last() -> None:
    one, desk = await kept(*[batch(("a", i)) for i in range(1, 10)])
    another = live.StreamArchive(desk)

    await one.keep_cursors([("a", 9, 7)])
    await another.keep_cursors([("a", 8, 3)])
    after_less = await one.load("a")
    await another.keep_cursors([("a", 8, 8)])

    assert after_less == StreamState(newest=9, sent=9, acked=7)
    assert await one.load("a") == StreamState(newest=9, sent=9, acked=8)


async def test_the_one_gateway_there_is_keeps_cursors_without_asking_what_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, desk = await kept(*[batch(("a", i)) for i in range(1, 10)])
    asked: list[str] = []
    monkeypatch.setattr(desk, "look", asked.append)
    archive = live.StreamArchive(desk, has_all_readers=True)

    await archive.keep_cursors([("a", 9, 7)])
    await archive.keep_cursors([("a", 9, 8)])

    assert asked == []
    assert await archive.load("a") == StreamState(newest=9, sent=9, acked=8)


def test_messages_of_the_release_before_stand_in_a_chapter_of_their_own() -> None:
    database = Sqlite(None)
    for folder, name in (("every", "0001_machinery"), ("every", "0002_fences"), ("notices", "0002_live")):
        script = (resources.files("tuanzi.migrations") / folder / f"{name}.sql").read_text(encoding="utf-8")
        database.execute_script(script)
    ids = ("e1", "core.7.0", "e3")
    rows = ", ".join(f"('{id}', 'user:p', {i}, 'test', {i}, '\"{i}\"')" for i, id in enumerate(ids, 1))
    database.execute_script(f"INSERT INTO stream_messages VALUES {rows};")
    for name in ("0003_chapters", "0006_runs"):
        script = (resources.files("tuanzi.migrations") / "notices" / f"{name}.sql").read_text(encoding="utf-8")
        database.execute_script(script)

    assert database.rows("SELECT * FROM stream_runs ORDER BY last_number") == [
        (0, "user:p", 1, 1, 1, '["1"]'),
        (0, "user:p", 2, 2, 2, '["2"]'),
        (0, "user:p", 3, 3, 3, '["3"]'),
    ]
    assert database.rows("SELECT event_id, at_ms FROM posted_events ORDER BY at_ms") == [("e1", 1), ("e3", 3)]
    assert database.rows("SELECT chapter FROM stream_chapters ORDER BY chapter") == [(0,)]
    database.close()
