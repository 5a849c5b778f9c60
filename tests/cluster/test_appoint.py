"""The first operator of an installation of many processes is appointed by the writer that runs (J3, D3)."""

from __future__ import annotations

import asyncio

import pytest

from tests.cluster.conftest import Ground, start
from tuanzi.roles.cli import main


async def test_a_running_installation_is_handed_its_first_operator(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = ground.cluster.add("writer", "writer")
    await start(writer)
    for name, value in writer.environment.items():
        monkeypatch.setenv(name, value)

    first = await asyncio.to_thread(main, ["appoint", "13900000001"])
    said = capsys.readouterr().err
    again = await asyncio.to_thread(main, ["appoint", "13900000001", "--name", "Wang"])
    repeated = capsys.readouterr().err

    assert (first, again) == (0, 0), said + repeated
    assert said.endswith(" is an operator of the platform now\n")
    assert repeated.endswith(" was an operator of the platform already\n")
    assert writer.process.is_running
