"""What a process says of itself: all its parts, and the campuses that it is given while it runs (E4, D3)."""

from __future__ import annotations

from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp

from tests.journeys.conftest import Cast, Town
from tuanzi.installation import Front, WriterSide
from tuanzi.roles.api import health_application


async def figures_of(app: ASGIApp) -> dict[tuple[str, str], float]:
    """The figures by name and campus or desk; no family of them may stand there twice."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tuanzi") as client:
        families = list(text_string_to_metric_families((await client.get("/metrics")).text))
    names = [family.name for family in families]
    assert sorted(set(names)) == sorted(names)
    return {
        (sample.name, sample.labels.get("campus", "") or sample.labels.get("desk", "")): sample.value
        for family in families
        for sample in family.samples
    }


async def test_a_writer_tells_of_the_streams_of_campuses_that_it_was_given_while_it_runs(tmp_path: Path) -> None:
    town = Town(tmp_path)
    assert isinstance(town.writers, WriterSide)
    app = health_application(town.writers)  # before it runs, as a process does
    before = await figures_of(app)

    async with town:
        await (await Cast(town).gather()).closed_group()
        after = await figures_of(app)

    assert ("tuanzi_streams_messages_total", "beijing") not in before
    assert after["tuanzi_streams_messages_total", "beijing"] > 0
    assert after["tuanzi_arrival_expected_total", "beijing"] > 0


async def test_a_process_with_several_parts_tells_of_all_of_them(tmp_path: Path) -> None:
    town = Town(tmp_path)
    assert isinstance(town.house, Front)
    assert isinstance(town.writers, WriterSide)
    app = health_application(town.house, town.writers)

    async with town:
        await (await Cast(town).gather()).closed_group()
        figures = await figures_of(app)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tuanzi") as client:
            ready = await client.get("/readyz")
            town.writers.held["beijing"].writers["money"].is_open = False
            closed = await client.get("/readyz")
            town.writers.held["beijing"].writers["money"].is_open = True

    assert figures["tuanzi_writer_commands_total", "beijing.core"] > 0
    assert figures["tuanzi_follower_lag_events", "beijing.money"] == 0
    assert figures["tuanzi_streams_messages_total", "beijing"] > 0
    assert figures["tuanzi_gateway_connections", ""] == 0
    assert (ready.status_code, closed.status_code, closed.json()["closed"]) == (200, 503, ["beijing.money"])
