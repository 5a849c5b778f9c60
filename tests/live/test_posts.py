"""Messages that no event means: each is kept or its sender is told why not, whatever becomes of the others (A4)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.live.office import Direct
from tests.live.test_repeats import SCHEMA, Told
from tests.live.test_sending import keeper_of
from tuanzi.machinery.internal import Rows
from tuanzi.machinery.problems import Crashed, Unavailable
from tuanzi.machinery.push.keeper import Keeper, keeper
from tuanzi.machinery.push.ports import Draft

Posted = list["asyncio.Task[None]"]


class Fickle(Direct):
    """A desk whose commits fail as `fates` say, one after the other; then it keeps everything."""

    fates: Sequence[type[Exception] | None] = ()

    async def keep_rows(self, rows: Rows) -> None:
        """Keep rows."""
        fate, self.fates = (self.fates[0], self.fates[1:]) if self.fates else (None, ())
        if fate is Crashed:
            raise Crashed(command="post")
        if fate is Unavailable:
            raise Unavailable(retry_after_s=2)
        await super().keep_rows(rows)


async def posting(count: int, keeper: Keeper) -> Posted:
    """So many senders of one message each, who wait."""
    posted = [asyncio.create_task(keeper.post([Draft(f"user:p{i}", b"1", event_id=f"e{i}")])) for i in range(count)]
    await asyncio.sleep(0)
    return posted


async def test_of_posts_that_are_kept_one_by_one_none_is_forgotten_when_the_database_goes_away() -> None:
    desk = Fickle(SCHEMA)
    keeper, _ = keeper_of(desk, Told())
    posted = await posting(4, keeper)

    # All together twice, as the table may know more than memory; then e0 is kept, and e1 cannot be.
    desk.fates = (Crashed, Crashed, None, Unavailable)
    with pytest.raises(Unavailable):
        await keeper.step()
    kept_first = desk.database.rows("SELECT stream FROM stream_runs ORDER BY 1")
    await keeper.step()

    async with asyncio.timeout(60):
        assert await asyncio.gather(*posted) == [None] * 4
    assert kept_first == [("user:p0",)]
    runs = desk.database.rows("SELECT stream, first_number, last_number FROM stream_runs ORDER BY 1")
    assert runs == [(f"user:p{i}", 1, 1) for i in range(4)]


async def test_only_the_post_that_the_table_refuses_is_refused() -> None:
    desk = Fickle(SCHEMA)
    keeper, _ = keeper_of(desk, Told())
    posted = await posting(3, keeper)

    desk.fates = (Crashed, Crashed, None, Crashed, Crashed)
    await keeper.step()

    async with asyncio.timeout(60):
        said = await asyncio.gather(*posted, return_exceptions=True)
    assert [type(each) for each in said] == [type(None), Crashed, type(None)]
    assert desk.database.rows("SELECT stream FROM stream_runs ORDER BY 1") == [("user:p0",), ("user:p2",)]


async def test_too_many_posts_are_turned_away_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "POSTS_WAITING_MAX", 2)
    desk = Direct(SCHEMA)
    one, _ = keeper_of(desk, Told())
    posted = await posting(3, one)

    await one.step()

    async with asyncio.timeout(60):
        said = await asyncio.gather(*posted, return_exceptions=True)
    assert [type(each) for each in said] == [type(None), type(None), Unavailable]


async def test_who_waits_for_a_post_is_told_when_the_keeper_ends() -> None:
    desk = Fickle(SCHEMA)
    desk.fates = [Unavailable] * 9
    keeper, _ = keeper_of(desk, Told())
    working = asyncio.create_task(keeper.run())
    posted = await posting(1, keeper)
    while len(desk.fates) == 9:  # noqa: ASYNC110 - until it was tried
        await asyncio.sleep(0.005)

    working.cancel()

    async with asyncio.timeout(60):
        said = await asyncio.gather(*posted, return_exceptions=True)
    assert [type(each) for each in said] == [Unavailable]
