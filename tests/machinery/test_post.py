"""B3: the post brings letters to other databases' writers; whoever opens has done first what its rooms want first."""

from __future__ import annotations

from typing import Any

import pytest

from tests.machinery.test_desk import Hands, working
from tests.machinery.toy import Build, HallFull, Take, open_database, open_writer
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.engines.post.desks import DeskPost
from tuanzi.machinery.desk import WriterDesk
from tuanzi.machinery.post import Letter
from tuanzi.machinery.problems import Crashed, Unavailable
from tuanzi.machinery.room import Opening


def desk_of(database: Sqlite, *openings: Opening) -> WriterDesk:
    """A desk of the toy business, without errands."""
    return WriterDesk("toy", open_writer(database), database, clock=Hands(), errands={}, openings=openings)


def letter(command: Any, address: str = "toy") -> Letter:
    return Letter(address=address, command=command)


async def test_letters_are_answered_in_their_order_each_with_its_answer_or_its_problem() -> None:
    desk, other = desk_of(open_database()), desk_of(open_database())
    post = DeskPost({"toy": desk, "other": other}.get)
    async with working(desk, other):
        answers = await post.send([letter(Build(id="h", seats=1)), letter(Build(id="h", seats=0), "other")])
        full = await post.send(
            [letter(Take(ticket_id="t", hall_id="h"), "other"), letter(Take(ticket_id="t", hall_id="h"))]
        )

    assert [hall.seats for hall in answers] == [1, 0]
    assert type(full[0]) is HallFull
    assert full[1].id == "t"


async def test_what_nobody_can_be_brought_is_answered_as_unavailable() -> None:
    closed = desk_of(open_database())
    post = DeskPost({"toy": closed}.get)

    answers = await post.send([letter(Build(id="h", seats=1)), letter(Build(id="h", seats=1), "nowhere")])

    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]


async def test_who_does_not_answer_in_time_may_have_done_it_all_the_same() -> None:
    database = open_database()
    desk = desk_of(database)
    post = DeskPost({"toy": desk}.get, answer_s_max=0.0)
    async with working(desk):
        answers = await post.send([letter(Build(id="h", seats=1))])
        await desk.submit(Take(ticket_id="t", hall_id="h"))

    assert [type(answer) for answer in answers] == [TimeoutError]


async def test_what_a_room_wants_first_is_kept_and_told_before_the_desk_opens_at_every_start() -> None:
    database = open_database()
    told: list[Any] = []

    for ticket in ("t1", "t2"):
        openings = [Opening(Build(id="h", seats=3), told.append)] if ticket == "t1" else []
        desk = desk_of(database, *openings, Opening(Take(ticket_id=ticket, hall_id="h"), told.append))
        assert not desk.is_open
        async with working(desk):
            assert told[-1].id == ticket
            assert desk.figures.commands == 0

    assert [one.id for one in told] == ["h", "t1", "t2"]
    assert database.rows("SELECT id FROM tickets ORDER BY id") == [("t1",), ("t2",)]


async def test_a_desk_whose_opening_fails_by_a_bug_does_not_open() -> None:
    build = Opening(Build(id="h", seats=1), lambda answer: None)
    desk = desk_of(open_database(), build, Opening(Take(ticket_id="t", hall_id="h", bug="crash"), lambda answer: None))

    with pytest.raises(ExceptionGroup) as failed:
        await desk.run()

    assert failed.group_contains(Crashed)
    assert not desk.is_open
