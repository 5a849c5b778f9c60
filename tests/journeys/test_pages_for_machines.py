"""Health, metrics and the pages that explain the API (E4, J2, J5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.journeys.conftest import BEEF_RICE, LADDER, Cast, Town, done, refused
from tuanzi.machinery.http.documents import problem_kinds
from tuanzi.roles.api import health_application


async def figures(town: Town) -> dict[tuple[str, str], float]:
    """Every sample with its desk."""
    answer = await town.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, sample.labels.get("desk", "")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_a_running_house_is_alive_and_ready(town: Town) -> None:
    assert await done(town.client.get("/healthz")) == {"status": "alive"}
    assert await done(town.client.get("/readyz")) == {"status": "ready", "closed": []}


async def test_a_house_that_does_not_work_is_alive_but_not_ready(tmp_path: Path) -> None:
    async with Town(tmp_path) as town:
        town.house.close()
        await town._working

        ready = await town.client.get("/readyz")
        alive = await town.client.get("/healthz")
        write = await town.client.post("/v1/codes", json={"phone": "13700000001", "campus_id": "beijing"})

        assert (ready.status_code, ready.json()["status"]) == (503, "starting")
        assert "beijing.core" in ready.json()["closed"]
        assert alive.status_code == 200
        assert (write.status_code, write.json()["code"]) == (503, "machinery/unavailable")
        assert write.headers["retry-after"] == "2"


def told(answer: httpx.Response) -> tuple[int, dict[str, str], Any]:
    """A refusal without what names its request."""
    named = answer.headers.pop("x-request-id"), answer.json()["instance"]
    assert named[0] == named[1] != ""
    return answer.status_code, dict(answer.headers, **{"content-length": ""}), {**answer.json(), "instance": ""}


NOWHERE = ("/nothing", "/v2/groups", "/healthz/more", "/share/nothing", "/demo")


@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_an_address_that_is_none_is_told_as_by_the_api(town: Town, language: str) -> None:
    accepted = {"accept-language": language}
    api = await town.client.get("/v1/nothing", headers=accepted)

    others = [await town.client.get(path, headers=accepted) for path in NOWHERE]

    expected = told(api)
    assert expected[2]["code"] == "http/not-found"
    assert expected[1]["content-language"] == language
    assert [told(other) for other in others] == [expected] * len(NOWHERE)


async def test_a_refusal_outside_the_api_names_the_request_as_its_client_did(town: Town) -> None:
    answer = await town.client.get("/nothing", headers={"x-request-id": "mine-1"})

    assert (answer.headers["x-request-id"], answer.json()["instance"]) == ("mine-1", "mine-1")


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/demo/inbox", "/m/", "/console/"])
async def test_a_method_that_a_page_does_not_know_is_told_as_by_the_api(town: Town, path: str) -> None:
    answer = await town.client.post(path, headers={"accept-language": "en"})

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "http/method-not-allowed"
    assert answer.json()["allow"] == "GET, HEAD"


async def test_a_process_that_is_only_watched_refuses_as_the_api_does(town: Town) -> None:
    transport = httpx.ASGITransport(health_application(town.house))
    async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
        api = await town.client.get("/v1/nothing")

        unknown = await client.get("/v1/campuses")
        await refused(client.delete("/metrics"), 405, "http/method-not-allowed")

        assert told(unknown) == told(api)
        assert await done(client.get("/healthz")) == {"status": "alive"}


async def test_metrics_are_prometheus_text_and_grow(town: Town) -> None:
    ming = await town.sign_in()
    before = await figures(town)

    await done(ming.post("groups", {**LADDER, "lines": BEEF_RICE}, key="metrics-1"), 201)
    await done(ming.post("groups", {**LADDER, "lines": BEEF_RICE}, key="metrics-1"), 201)
    unknown = await ming.post("groups", {**LADDER, "campaign_id": "none", "lines": BEEF_RICE})
    after = await figures(town)

    def grown(figure: str) -> float:
        place = (f"tuanzi_writer_{figure}_total", "beijing.core")
        return after[place] - before[place]

    assert unknown.status_code == 404
    assert (grown("commands"), grown("replayed"), grown("refused"), grown("crashed")) == (3, 1, 1, 0)
    assert grown("events") == 3  # the group, the order and its seat
    assert 1 <= grown("batches") <= 3
    assert (
        after["tuanzi_writer_busy_seconds_total", "beijing.core"]
        > before["tuanzi_writer_busy_seconds_total", "beijing.core"]
    )
    assert after["tuanzi_writer_open", "beijing.core"] == 1
    assert after["tuanzi_timers_held", "beijing.core"] == 2  # the seat's and the group's
    assert (
        after["tuanzi_writer_commands_total", "shanghai.core"]
        == before["tuanzi_writer_commands_total", "shanghai.core"]
    )
    assert after["process_open_fds", ""] > 0


async def test_the_api_is_explained_in_both_languages(town: Town) -> None:
    chinese = await town.client.get("/docs")
    english = await town.client.get("/docs", headers={"accept-language": "en"})
    again = await town.client.get("/docs", headers={"if-none-match": chinese.headers["etag"]})

    assert (chinese.status_code, english.status_code, again.status_code) == (200, 200, 304)
    assert (chinese.headers["content-language"], english.headers["content-language"]) == ("zh-CN", "en")
    assert "<h1>接口说明</h1>" in chinese.text
    assert "<h1>The API</h1>" in english.text
    for page in (chinese, english):
        assert "/v1/campuses/{campus}/groups/{group_id}/orders" in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_every_code_that_is_answered_is_explained(town: Town) -> None:
    listed = await done(town.client.get("/problems"))
    assert [one["code"] for one in listed["items"]] == list(problem_kinds())

    for code, kind in problem_kinds().items():
        explained = await done(town.client.get(f"/problems/{code}"))
        assert (explained["code"], explained["status"], explained["title_zh"]) == (code, kind.status, kind.title_zh)
    page = await town.client.get("/problems/groups/group-full", headers={"accept": "text/html"})
    unknown = await town.client.get("/problems/groups/none")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "groups/group-full" in page.text
    assert (unknown.status_code, unknown.json()["code"]) == (404, "http/not-found")


async def test_what_split_branches_answer_is_counted_by_campus(town: Town) -> None:
    await (await Cast(town).gather()).closed_group()

    said = (await town.client.get("/metrics")).text

    sample = 'tuanzi_split_answers_total{campus="%s",message="%s",word="done"} %s'
    assert sample % ("beijing", "try", "2.0") in said
    assert sample % ("beijing", "confirm", "2.0") in said
    assert sample % ("shanghai", "confirm", "0.0") in said
    assert 'tuanzi_split_stale_total{campus="beijing"} 0.0' in said
