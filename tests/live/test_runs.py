"""Messages of a stream that are told together stand in one row, and are read one by one (A3, A4, decision 0033)."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.heart import run
from tests.live.office import Direct
from tests.live.test_repeats import SCHEMA, Told
from tests.live.test_sending import carried, keeper_of, numbers_told, up_to
from tuanzi import live
from tuanzi.live.queries.archive import RUN_MAX
from tuanzi.machinery.push.ports import Batch, Draft, StreamState

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
# To whom the messages of each batch go, in order; some get more at once than a run holds.
told_to = st.lists(
    st.lists(st.sampled_from("ab"), max_size=4) | st.just(["b", *"a" * (2 * RUN_MAX + 1)]), min_size=1, max_size=5
)


async def kept(batches: list[list[str]], *, chapter_messages: int = 40) -> tuple[live.StreamArchive, Direct]:
    """An archive that has kept these batches, an hour after each other; a message says its stream and number."""
    desk, newest = Direct(SCHEMA), Counter[str]()
    archive = live.StreamArchive(desk, chapter_messages=chapter_messages)
    for hour, streams in enumerate(batches):
        messages = []
        for stream in streams:
            newest[stream] += 1
            messages.append((Draft(stream, b'{"it is":"%b, %d"}' % (stream.encode(), newest[stream])), newest[stream]))
        await archive.keep(Batch(at=NOON + hour * HOUR, messages=messages))
    return archive, desk


@settings(max_examples=150, deadline=None)
@given(told_to, st.integers(0, 200), st.integers(1, 100))
def test_a_stream_is_read_from_any_number_on_whatever_was_told_together(
    batches: list[list[str]], after: int, limit: int
) -> None:
    archive, desk = run(kept(batches))

    counts = Counter(stream for streams in batches for stream in streams)
    for stream in "ab":
        numbers = range(after + 1, counts[stream] + 1)[:limit]
        expected = [(number, b'{"it is":"%b, %d"}' % (stream.encode(), number)) for number in numbers]
        assert run(archive.read(stream, after=after, limit=limit)) == expected
    assert run(archive.newest(["a", "b"])) == {"a": counts["a"], "b": counts["b"]}
    runs = sum(-(-count // RUN_MAX) for streams in batches for count in Counter(streams).values())
    assert desk.database.rows("SELECT COUNT(*) FROM stream_runs") == [(runs,)]


async def test_of_a_chapter_that_goes_on_only_what_is_old_is_forgotten() -> None:
    archive, _ = await kept([["a", "b"], ["a", "a"], ["b"], ["a"]])

    swept = [await archive.sweep(before=NOON + 2 * HOUR, limit=2) for _ in range(3)]

    assert swept == [2, 1, 0]
    assert await archive.load("a") == StreamState(newest=4, floor=3)
    assert [number for number, _ in await archive.read("a", after=0, limit=9)] == [4]
    assert [number for number, _ in await archive.read("b", after=0, limit=9)] == [2]


async def test_events_that_are_heard_again_are_dropped_by_their_place_in_the_log_and_it_does_not_go_back() -> None:
    desk, before, after = Direct(SCHEMA), Told(), Told()
    keeper, source = keeper_of(desk, before)
    source.happen(5)
    await carried(keeper)

    # As from a log that hands out again what was told, by who starts without knowing anything.
    again, source = keeper_of(desk, after)
    source.happen(3)
    await carried(again)
    positions = desk.database.rows("SELECT number FROM log_positions")
    source.happen(5)
    await carried(again)

    assert numbers_told(before) == up_to(5)
    assert positions == [(5,)]
    assert numbers_told(after) == [6, 7, 8]
    assert again.figures.repeats == 5
    assert desk.database.rows("SELECT number FROM log_positions") == [(8,)]
    assert desk.database.rows("SELECT first_number, last_number FROM stream_runs") == [(1, 5), (6, 8)]
