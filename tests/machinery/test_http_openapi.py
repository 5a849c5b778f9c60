"""J2: the OpenAPI is made from the routes that are served, and says everything that may be answered."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis

from tests.machinery.asgi_client import JSON, KEY, ask, small_api

MEMBERS = "/v1/campuses/{campus}/groups/{group}/members"
DISHES = "/v1/campuses/{campus}/dishes"


async def document() -> dict[str, Any]:
    answer = await ask(small_api(), "GET", "/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    return answer.json  # type: ignore[no-any-return]


async def test_it_is_the_same_each_time_and_known_by_its_etag() -> None:
    first = await ask(small_api(), "GET", "/openapi.json")
    second = await ask(small_api(), "GET", "/openapi.json")
    same = await ask(small_api(), "GET", "/openapi.json", (b"if-none-match", first.headers["etag"].encode()))
    head = await ask(small_api(), "HEAD", "/openapi.json")

    assert first.body == second.body
    assert (same.status, same.body) == (304, b"")
    assert (head.body, head.headers["content-length"]) == (b"", str(len(first.body)))


async def test_a_write_says_its_body_key_answer_and_every_refusal() -> None:
    operation = (await document())["paths"][MEMBERS]["post"]

    assert operation["requestBody"] == {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Join"}}},
    }
    assert {"$ref": "#/components/parameters/IdempotencyKey"} in operation["parameters"]
    assert operation["security"] == [{"session": []}]
    assert operation["responses"]["201"]["content"] == {
        "application/json": {"schema": {"$ref": "#/components/schemas/Joined"}}
    }
    assert sorted(operation["responses"]) == (
        ["201", "400", "401", "403", "404", "405", "408", "409", "413", "415", "422", "429", "500", "503"]
    )


async def test_a_refusal_names_its_codes_and_is_described_once() -> None:
    openapi = await document()

    name = openapi["paths"][MEMBERS]["post"]["responses"]["409"]["$ref"].rpartition("/")[2]
    refusal = openapi["components"]["responses"][name]
    assert refusal["description"] == "`tests/full`: No seat is left in this group. 该团已满"
    assert refusal["content"]["application/problem+json"]["schema"] == {
        "allOf": [
            {"$ref": "#/components/schemas/Problem"},
            {"properties": {"status": {"const": 409}, "code": {"enum": ["tests/full"]}}},
        ]
    }
    texts = [msgspec.json.encode(one) for one in openapi["components"]["responses"].values()]
    assert len(set(texts)) == len(texts)


async def test_parameters_say_their_patterns_types_and_limits() -> None:
    operation = (await document())["paths"][DISHES]["get"]

    by_name = {one.get("name"): one for one in operation["parameters"]}
    assert by_name["campus"]["schema"] == {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._:~-]{0,63}$"}
    assert by_name["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    assert by_name["tag"]["schema"]["type"] == "array"
    assert not by_name["limit"]["required"]
    assert operation["security"] == [{}, {"session": []}]


async def test_a_query_is_described_where_it_is_asked_and_only_there_unless_answers_have_it_too() -> None:
    schemas = (await document())["components"]["schemas"]

    assert "Page" not in schemas
    assert "Search" in schemas


async def test_every_handler_has_one_operation_id() -> None:
    ids = [op["operationId"] for path in (await document())["paths"].values() for op in path.values()]

    assert len(set(ids)) == len(ids) == 9


async def test_it_is_valid_openapi_with_valid_schemas() -> None:
    openapi = await document()

    schemathesis.openapi.from_dict(openapi).validate()
    components = {"components": openapi["components"]}
    for name in openapi["components"]["schemas"]:
        jsonschema_rs.validator_for({"$ref": f"#/components/schemas/{name}", **components})


@pytest.mark.parametrize(
    ("method", "path", "template", "token"),
    [
        ("GET", "/v1/campuses/beijing/dishes", DISHES, "li"),
        ("GET", "/v1/campuses/beijing/dishes", DISHES, "wang"),
        ("GET", "/v1/campuses/mars/dishes", DISHES, ""),
        ("POST", "/v1/campuses/beijing/groups/g_1/members", MEMBERS, "li"),
        ("POST", "/v1/campuses/beijing/groups/g_1/members", MEMBERS, ""),
    ],
)
async def test_answers_are_what_it_says(method: str, path: str, template: str, token: str) -> None:
    openapi = await document()
    body = b'{"lines":[{"dish_id":"d_1","portions":2}]}' if method == "POST" else b""

    answer = await ask(small_api(), method, path, JSON, KEY, body=body, token=token)

    said = openapi["paths"][template][method.lower()]["responses"][str(answer.status)]
    if "$ref" in said:
        said = openapi["components"]["responses"][said["$ref"].rpartition("/")[2]]
    schema = said["content"][answer.headers["content-type"]]["schema"]
    jsonschema_rs.validator_for({**schema, "components": openapi["components"]}).validate(answer.json)


@pytest.mark.parametrize(("language", "title"), [("zh-CN", "接口说明"), ("en", "The API")])
async def test_the_docs_can_be_read_in_both_languages_without_foreign_assets(language: str, title: str) -> None:
    answer = await ask(small_api(), "GET", "/docs", (b"accept-language", language.encode()))

    page = answer.body.decode()
    assert f'<html lang="{language}">' in page
    assert f"<h1>{title}</h1>" in page
    assert f"<code>{MEMBERS}</code>" in page
    assert "Says what it was given." in page
    assert "http" not in page.replace("http/", "").replace("asgi_client", "")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
