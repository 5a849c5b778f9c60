"""J3, D3: who serves with another secret than the house's ends, rather than have everybody wait for answers in vain."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.journeys.conftest import Cast, Town
from tuanzi.installation import Front, WriterSide
from tuanzi.settings import SettingWrong


async def test_an_api_with_another_secret_ends_and_says_so(town: Town, cast: Cast) -> None:
    assert isinstance(town.writers, WriterSide)
    wrong = replace(town.house.settings, secret=b"another secret than the house has, by mistake")
    front = Front(wrong, town._vendors, town.writers.engines, clock=lambda: town.now)

    with pytest.raises(ExceptionGroup) as ended:
        async with asyncio.timeout(60):
            await front.run()

    assert ended.group_contains(SettingWrong, match="TUANZI_SECRET or its file: the people here are kept under another")
