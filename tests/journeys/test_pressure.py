"""When too many write at once, some are turned away at once and nothing else happens to them (D1, J5)."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.journeys.conftest import BEEF_RICE, LADDER, Town, done
from tests.waiting import until


@contextmanager
def commits_held(database: Any) -> Iterator[threading.Event]:
    """Until the event is set nothing more is kept: a queue fills however slowly a busy machine brings who asks."""
    commit, may_end = database.commit, threading.Event()

    def commit_later(flush: Any) -> None:
        may_end.wait()
        commit(flush)

    database.commit = commit_later
    try:
        yield may_end
    finally:
        may_end.set()
        database.commit = commit


async def test_beyond_the_queue_the_answer_is_429_and_nothing_was_changed(tmp_path: Path) -> None:
    async with Town(tmp_path, TUANZI_WRITER_QUEUE_MAX="5") as town:
        leaders = [await town.sign_in() for _ in range(10)]
        groups = [await done(leader.post("groups", {**LADDER, "lines": BEEF_RICE}), 201) for leader in leaders]
        students = [await town.sign_in() for _ in range(50)]
        paths = [f"groups/{groups[i // 5]['group_id']}/orders" for i in range(50)]

        core = town.house.campuses["beijing"].core
        with commits_held(core.database) as may_end:
            asking = [
                asyncio.create_task(student.post(path, {"lines": BEEF_RICE}, key="rush-hour"))
                for student, path in zip(students, paths, strict=True)
            ]
            await until(lambda: core.figures.turned_away)
            may_end.set()
            answers = await asyncio.gather(*asking)

        counts = Counter(answer.status_code for answer in answers)
        assert set(counts) == {201, 429}, counts
        for answer in answers:
            if answer.status_code == 429:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["code"] == "base/busy"
                assert int(answer.headers["retry-after"]) >= 1
        seated = {
            student.id for student, answer in zip(students, answers, strict=True) if answer.status_code == 201
        } | {leader.id for leader in leaders}
        assert {member for (member,) in town.rows("SELECT member_id FROM orders")} == seated
        assert town.rows("SELECT SUM(held), SUM(sold) FROM portions") == [(len(seated), 0)]
        assert core.figures.turned_away == counts[429]

        # The same request under the same key, once there is room again.
        for student, path, answer in zip(students, paths, answers, strict=True):
            again = await student.post(path, {"lines": BEEF_RICE}, key="rush-hour")
            assert again.status_code == 201, again.text
            assert ("idempotent-replayed" in again.headers) == (answer.status_code == 201)
        assert town.rows("SELECT COUNT(*) FROM orders") == [(60,)]
        assert town.rows("SELECT SUM(held), SUM(sold) FROM portions") == [(60, 0)]


async def test_the_last_seat_goes_to_exactly_one_of_many(town: Town) -> None:
    leader = await town.sign_in()
    opened = await done(leader.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)
    path = f"groups/{opened['group_id']}/orders"
    for _ in range(8):
        await done((await town.sign_in()).post(path, {"lines": BEEF_RICE}), 201)
    students = [await town.sign_in() for _ in range(20)]

    answers = await asyncio.gather(*(student.post(path, {"lines": BEEF_RICE}) for student in students))

    told = Counter((answer.status_code, answer.json().get("code")) for answer in answers)
    assert told == {(201, None): 1, (409, "groups/group-full"): 19}
    assert town.rows("SELECT SUM(held) FROM portions") == [(10,)]
