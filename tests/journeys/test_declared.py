"""J2: a refusal that only comes when two things meet is declared too; `Town` looks at every answer of every test."""

from __future__ import annotations

import asyncio

from tests.journeys.conftest import Cast


async def test_who_is_erased_while_he_changes_his_name_is_told_that_he_is_unknown(cast: Cast) -> None:
    erasing = cast.lan.send("DELETE", "/v1/me")
    renaming = cast.lan.send("PUT", "/v1/me/name", {"name": "Lan"})

    answers = await asyncio.gather(erasing, renaming)

    assert [answer.status_code for answer in answers] == [200, 404]
