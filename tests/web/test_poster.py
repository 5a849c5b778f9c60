"""A group's poster is one picture whose QR code leads to the group (G1)."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import httpx
import pytest
import zxingcpp
from PIL import Image

from tests.journeys.conftest import BEEF_RICE, LADDER, Town, done
from tuanzi.roles.api import application
from tuanzi.roles.poster import DRAWN_AT_ONCE, DRAWN_PER_S, WAITING_MAX
from tuanzi.settings import SettingWrong, read_settings

BYTES_MAX = 120_000


async def opened_group(town: Town) -> Any:
    """A group on the ladder, just opened by somebody who paid."""
    ming = await town.sign_in()
    opened = await done(ming.post("groups", {**LADDER, "lines": BEEF_RICE}), 201)
    await done(ming.post(f"orders/{opened['order_id']}/pay"))
    return opened


def poster_of(opened: Any, **words: str) -> str:
    """Where the poster is."""
    query = "&".join(f"{name}={word}" for name, word in words.items())
    return f"/share/campuses/beijing/groups/{opened['group_id']}/poster.png?{query}"


@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_the_code_on_a_poster_leads_to_the_group(tmp_path: Path, language: str) -> None:
    async with Town(tmp_path) as town:
        opened = await opened_group(town)

        answer = await town.client.get(poster_of(opened, language=language))

    picture = Image.open(io.BytesIO(answer.content))
    expected = f"http://tuanzi/m/#/pages/group/group?campus=beijing&id={opened['group_id']}"
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert picture.size == (750, 1334)
    assert len(answer.content) < BYTES_MAX
    assert [code.text for code in zxingcpp.read_barcodes(picture.convert("L"))] == [expected]
    half = picture.convert("L").resize((375, 667))
    assert [code.text for code in zxingcpp.read_barcodes(half)] == [expected]


async def test_a_poster_follows_the_group_and_is_the_same_while_nothing_changes(tmp_path: Path) -> None:
    async with Town(tmp_path) as town:
        opened = await opened_group(town)
        hua = await town.sign_in()

        first = await town.client.get(poster_of(opened, language="en"))
        again = await town.client.get(poster_of(opened, language="en"))
        joined = await done(hua.post(f"groups/{opened['group_id']}/orders", {"lines": BEEF_RICE}), 201)
        await done(hua.post(f"orders/{joined['order_id']}/pay"))
        later = await town.client.get(poster_of(opened, language="en"))

    assert first.content == again.content
    assert first.content != later.content


async def test_there_is_no_poster_of_what_is_not_there(tmp_path: Path) -> None:
    async with Town(tmp_path) as town:
        opened = await opened_group(town)

        paths = (
            poster_of({"group_id": "g_none"}, language="en"),
            poster_of(opened, language="fr"),
            poster_of(opened, language="en").replace("beijing", "mars"),
        )
        documents = [(await town.client.get(path)).json() for path in paths]

    told = [(document["status"], document["code"]) for document in documents]
    assert told == [(404, "base/unknown"), (404, "http/not-found"), (404, "base/unknown")]
    assert documents[2]["campus"] == "mars"


def codes_on(picture: bytes) -> list[str]:
    """What the codes on it say."""
    return [code.text for code in zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)).convert("L"))]


async def test_behind_a_proxy_the_code_leads_to_the_address_that_is_set(tmp_path: Path) -> None:
    async with Town(tmp_path, TUANZI_PUBLIC_URL="https://tuanzi.example.edu/") as town:
        opened = await opened_group(town)

        answers = [
            await town.client.get(poster_of(opened, language="en"), headers={"host": host})
            for host in ("10.0.0.7:8000", "other.example", "x" * 3000)
        ]

    expected = f"https://tuanzi.example.edu/m/#/pages/group/group?campus=beijing&id={opened['group_id']}"
    assert codes_on(answers[0].content) == [expected]
    # Whatever they call the house, it is one picture, drawn once.
    assert {answer.content for answer in answers} == {answers[0].content}


@pytest.mark.parametrize(
    "host", ["x" * 3000, "a b", "tuanzi/evil", "user@tuanzi", "tuanzi:port", "tuanzi?x=", "[::1", "tuanzi:123456"]
)
async def test_a_poster_that_is_asked_for_at_a_strange_address_is_refused(tmp_path: Path, host: str) -> None:
    async with Town(tmp_path) as town:
        opened = await opened_group(town)

        answer = await town.client.get(poster_of(opened, language="en"), headers={"host": host})

    assert (answer.status_code, answer.json()["code"]) == (400, "roles/address-strange")


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "tuanzi.example.edu", "[::1]:8000", "tuanzi_app"])
async def test_a_poster_leads_to_the_plain_address_it_is_asked_for_at(tmp_path: Path, host: str) -> None:
    async with Town(tmp_path) as town:
        opened = await opened_group(town)

        answer = await town.client.get(poster_of(opened, language="en"), headers={"host": host})

    assert codes_on(answer.content) == [f"http://{host}/m/#/pages/group/group?campus=beijing&id={opened['group_id']}"]


async def test_a_crowd_that_asks_for_ever_new_posters_is_told_to_come_back(tmp_path: Path) -> None:
    async with Town(tmp_path) as town:
        opened = await opened_group(town)
        kept = await town.client.get(poster_of(opened, language="en"))

        async with asyncio.TaskGroup() as tasks:
            asked = [
                tasks.create_task(town.client.get(poster_of(opened, language="en"), headers={"host": f"h{i}"}))
                for i in range(WAITING_MAX + 8)
            ]
            again = tasks.create_task(town.client.get(poster_of(opened, language="en")))
        answers = [task.result() for task in asked]

    told = sorted(answer.status_code for answer in answers)
    assert told == [200] * WAITING_MAX + [429] * 8
    late = next(answer for answer in answers if answer.status_code == 429)
    assert (late.json()["code"], late.headers["retry-after"]) == ("base/busy", "1")
    assert again.result().content == kept.content


async def test_who_has_had_many_posters_drawn_waits_for_new_ones_and_nobody_else_does(tmp_path: Path) -> None:
    async with Town(tmp_path) as town:
        opened = await opened_group(town)
        elsewhere = httpx.AsyncClient(
            transport=httpx.ASGITransport(application(town.house), client=("10.0.0.2", 1)), base_url="http://tuanzi"
        )

        async def asked(number: int, *, client: httpx.AsyncClient = town.client) -> httpx.Response:
            return await client.get(poster_of(opened, language="en"), headers={"host": f"h{number}"})

        drawn = [(await asked(number)).status_code for number in range(DRAWN_AT_ONCE)]
        refused = await asked(DRAWN_AT_ONCE)
        others = [(await asked(0)).status_code, (await asked(DRAWN_AT_ONCE, client=elsewhere)).status_code]
        town.pass_time(seconds=1)
        later = [(await asked(DRAWN_AT_ONCE + 1 + number)).status_code for number in range(DRAWN_PER_S + 1)]
        await elsewhere.aclose()

    assert drawn == [200] * DRAWN_AT_ONCE
    assert (refused.status_code, refused.json()["code"]) == (429, "http/too-many-requests")
    assert refused.headers["retry-after"] == "1"
    assert others == [200, 200]
    assert later == [200] * DRAWN_PER_S + [429]


@pytest.mark.parametrize(
    "url", ["tuanzi.example.edu", "https://", "https://a b", "https://a?b", "https://" + "a" * 200]
)
def test_an_address_that_links_cannot_begin_with_is_refused_at_the_start(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingWrong, match="TUANZI_PUBLIC_URL"):
        read_settings({"TUANZI_DATA": str(tmp_path), "TUANZI_PUBLIC_URL": url})
