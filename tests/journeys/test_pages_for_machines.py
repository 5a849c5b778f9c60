"""Health, metrics and the pages that explain the API (E4, J2, J5)."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.journeys.conftest import BEEF_RICE, LADDER, Cast, Town, done
from tuanzi.machinery.http.documents import problem_kinds


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


async def test_metrics_are_prometheus_text_and_grow(town: Town) -> None:
    ming = await town.sign_in()
    before = await figures(town)

    await done(ming.post("groups", {**LADDER, "lines": BEEF_RICE}, key="metrics-1"), 201)
    await done(ming.post("groups", {**LADDER, "lines": BEEF_RICE}, key="metrics-1"), 201)
    refused = await ming.post("groups", {**LADDER, "campaign_id": "none", "lines": BEEF_RICE})
    after = await figures(town)

    def grown(figure: str) -> float:
        place = (f"tuanzi_writer_{figure}_total", "beijing.core")
        return after[place] - before[place]

    assert refused.status_code == 404
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
        told = await done(town.client.get(f"/problems/{code}"))
        assert (told["code"], told["status"], told["title_zh"]) == (code, kind.status, kind.title_zh)
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
