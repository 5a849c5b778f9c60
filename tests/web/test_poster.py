"""A group's poster is one picture whose QR code leads to the group (G1)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from PIL import Image

from tests.journeys.conftest import BEEF_RICE, LADDER, Town, done

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
