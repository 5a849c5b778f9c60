"""Timers in order of time, as they are set, set anew, dropped and taken (B1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuanzi.machinery import timers
from tuanzi.machinery.internal import Timer
from tuanzi.machinery.timers import Earliest, TimerBook

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)


def timer(name: str, *, in_s: int) -> Timer:
    """A timer that is due so long after noon."""
    return Timer(id=name, due_at=NOON + timedelta(seconds=in_s), command="toy.Take", body="{}")


def test_of_timers_that_are_gone_hardly_anything_is_kept() -> None:
    book = TimerBook()
    for i in range(100_000):
        book.note([(f"t{i}", timer(f"t{i}", in_s=900))])
        book.note([(f"t{i}", None)])

    assert len(book) == 0
    assert len(book._heap) <= 5_000


def test_what_is_set_dropped_and_taken_while_the_table_is_read_is_neither_lost_nor_doubled() -> None:
    book = TimerBook()
    book.hold(Earliest([timer("a", in_s=1), timer("b", in_s=2)], has_more=True))
    book.note([("a", None), ("b", None)])
    was_used_up = book.is_used_up

    book.expect()
    in_the_table = [timer("c", in_s=3), timer("d", in_s=5)]
    book.note([("c", None), ("set", timer("set", in_s=4)), ("later", timer("later", in_s=6))])
    book.note([("soon", timer("soon", in_s=1))])
    taken = [each.id for each in book.take_due(NOON + timedelta(seconds=9), limit=9)]
    book.hold(Earliest(in_the_table, has_more=True))

    assert was_used_up
    assert taken == ["soon"]
    assert [each.id for each in book.take_due(NOON + timedelta(seconds=9), limit=9)] == ["set", "d"]


@given(
    st.lists(
        st.tuples(st.sampled_from(("set", "drop", "take", "give back")), st.integers(0, 5), st.integers(0, 9)),
        max_size=60,
    )
)
def test_what_is_due_is_taken_in_order_of_time_and_once(steps: list[tuple[str, int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timers, "_GONE_MAX", 2)  # put in order anew as often as can be
        book, waiting, taken = TimerBook(), dict[str, Timer](), dict[str, Timer]()
        for step, number, second in steps:
            name = f"t{number}"
            match step:
                case "set":
                    waiting[name] = timer(name, in_s=second)
                    taken.pop(name, None)
                    book.note([(name, waiting[name])])
                case "drop":
                    waiting.pop(name, None)
                    taken.pop(name, None)
                    book.note([(name, None)])
                case "give back":
                    for each in taken.values():
                        book.give_back(each)
                        waiting[each.id] = each
                    taken.clear()
                case _:
                    now = NOON + timedelta(seconds=second)
                    due = sorted((each.due_at, each.id) for each in waiting.values() if each.due_at <= now)
                    assert [(each.due_at, each.id) for each in book.take_due(now, limit=10)] == due
                    taken |= {id: waiting.pop(id) for _, id in due}
            assert book.next_at == min((each.due_at for each in waiting.values()), default=None)
