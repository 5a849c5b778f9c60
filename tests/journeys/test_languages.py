"""Refusals speak Chinese, or English to who prefers it (J5, J6)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.journeys.conftest import BEEF_RICE, LUNCH_FOR_THREE, Town
from tuanzi.base.problem import Problem
from tuanzi.machinery.http.documents import problem_kinds
from tuanzi.roles import api  # loads every room, and so every refusal
from tuanzi.roles.fields import FIELDS

CHINESE = re.compile("[\u4e00-\u9fff]")
KINDS = {code: kind for code, kind in problem_kinds().items() if kind.__module__.startswith("tuanzi.")}


def test_every_room_is_asked() -> None:
    rooms = {code.partition("/")[0] for code in KINDS}

    assert api.application is not None
    assert rooms >= {"base", "http", "machinery", "people", "catalog", "pricing", "stock", "orders", "groups", "money"}


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_every_refusal_is_told_in_both_languages(kind: type[Problem]) -> None:
    assert CHINESE.search(kind.title_zh), f"{kind.__name__}.title_zh is not Chinese: {kind.title_zh}"
    assert kind.__doc__ is not None
    assert not CHINESE.search(kind.title_en())
    assert "title_zh" in vars(kind), f"{kind.__name__} has the Chinese of its parent"
    assert "__doc__" in vars(kind)


def test_no_two_refusals_read_the_same() -> None:
    for titles in ([kind.title_zh for kind in KINDS.values()], [kind.title_en() for kind in KINDS.values()]):
        assert sorted(titles) == sorted(set(titles))


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (None, "zh-CN"),
        ("zh", "zh-CN"),
        ("en", "en"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("zh-TW,en;q=0.5", "zh-CN"),
        ("fr, en;q=0.1", "en"),
        ("fr", "zh-CN"),
        ("en;q=0", "zh-CN"),
        ("*", "zh-CN"),
        (";;;q=x", "zh-CN"),
    ],
)
async def test_a_refusal_is_told_in_the_language_asked_for(town: Town, accepted: str | None, language: str) -> None:
    ming = await town.sign_in()
    headers = {"authorization": f"Bearer {ming.token}", "idempotency-key": "language-1"}
    if accepted is not None:
        headers["accept-language"] = accepted
    body = {**LUNCH_FOR_THREE, "campaign_id": "bj-night-dorm", "lines": BEEF_RICE}

    answer = await town.client.post(f"{ming.campus}/groups", json=body, headers=headers)

    kind = KINDS["catalog/campaign-not-serving"]
    assert answer.headers["content-language"] == language
    assert answer.json()["title"] == (kind.title_en() if language == "en" else kind.title_zh)
    assert answer.json()["code"] == "catalog/campaign-not-serving"


async def test_every_field_of_a_request_is_called_what_a_person_calls_it(town: Town) -> None:
    document = (await town.client.get("/openapi.json")).json()

    names = set(_fields(document))

    assert names == FIELDS.names.keys()
    for name, words in FIELDS.names.items():
        assert CHINESE.search(words.zh), f"{name} is not told of in Chinese: {words.zh}"
        assert not CHINESE.search(words.en), f"{name} is not told of in English: {words.en}"


def _fields(document: dict[str, Any]) -> Iterator[str]:
    """The names of everything that a client may send: in queries, in bodies, and in what is in these."""
    schemas = document["components"]["schemas"]
    seen: set[str] = set()

    def walk(schema: Any) -> Iterator[str]:
        if isinstance(schema, list):
            for one in schema:
                yield from walk(one)
        elif isinstance(schema, dict):
            name = schema.get("$ref", "").rpartition("/")[2]
            if name and name not in seen:
                seen.add(name)
                yield from walk(schemas[name])
            yield from schema.get("properties", {})
            for key, inner in schema.items():
                if key == "properties":
                    yield from walk(list(inner.values()))
                elif key in ("anyOf", "items", "prefixItems", "additionalProperties"):
                    yield from walk(inner)

    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter.get("in") == "query":
                    yield parameter["name"]
            if "requestBody" in operation:
                yield from walk(operation["requestBody"]["content"]["application/json"]["schema"])
