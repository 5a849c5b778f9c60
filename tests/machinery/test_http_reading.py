"""J5: bad input of any kind gets a clear error and changes nothing (requests as they are read)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import Message

from tests.machinery.asgi_client import JSON, KEY, Answer, Seen, ask, small_api
from tuanzi.base.problem import Words
from tuanzi.machinery.http.api import Limits
from tuanzi.machinery.http.problems import BodyMalformed
from tuanzi.machinery.http.reading import body_decoder

MEMBERS = "/v1/campuses/beijing/groups/g_1/members"
DISHES = "/v1/campuses/beijing/dishes"
GOOD = b'{"lines":[{"dish_id":"d_1","portions":2},{"dish_id":"d_2","portions":1}]}'


async def join(seen: Seen, body: bytes | list[bytes], *headers: tuple[bytes, bytes], path: str = MEMBERS) -> Answer:
    return await ask(small_api(seen), "POST", path, *(headers or (JSON, KEY)), body=body, token="li")


async def test_a_body_that_fits_reaches_the_handler_checked() -> None:
    seen = Seen()

    answer = await join(seen, GOOD)

    assert (answer.status, answer.body) == (201, b'{"order_id":"o_1","portions":3}')
    call = seen.calls[0]
    assert [line.dish_id for line in call.body.lines] == ["d_1", "d_2"]
    assert call.path == {"campus": "beijing", "group": "g_1"}
    assert call.who is not None
    assert call.who.person_id == "p_li"
    assert call.client == "127.0.0.1"


@pytest.mark.parametrize(
    ("body", "status", "code", "facts"),
    [
        (b"", 400, "http/body-malformed", {"detail": "请求体不完整：JSON 还没有结束。"}),
        (b'{"lines"', 400, "http/body-malformed", {"detail": "请求体不完整：JSON 还没有结束。"}),
        (GOOD + b" x", 400, "http/body-malformed", {"detail": "请求体从第 75 个字节起不是 JSON。"}),
        (b'{"note":"\xff\xfe","lines":[]}', 400, "http/body-malformed", {"detail": "请求体不是 UTF-8 编码。"}),
        (b"[1]", 422, "base/invalid", {"at": "", "detail": "请求内容：应为对象，收到的是列表。"}),
        (b"{}", 422, "base/invalid", {"at": "/lines", "detail": "lines：缺少这一项。"}),
        (
            b'{"lines":[{"dish_id":"d","portions":1},{"dish_id":"d","portions":21}]}',
            422,
            "base/invalid",
            {
                "at": "/lines/1/portions",
                "detail": "lines第 2 项的portions：不能大于 20。",
                "errors": [{"pointer": "#/lines/1/portions", "detail": "不能大于 20"}],
            },
        ),
        (
            b'{"lines":[{"dish_id":1,"portions":1}]}',
            422,
            "base/invalid",
            {"at": "/lines/0/dish_id", "detail": "lines第 1 项的dish_id：应为文字，收到的是整数。"},
        ),
        (
            b'{"lines":[{"dish_id":"d","portions":1}],"price_fen":1}',
            422,
            "base/invalid",
            {"at": "/price_fen", "detail": "price_fen：没有这一项，请检查名称。"},
        ),
    ],
)
async def test_a_body_that_does_not_fit_is_refused_with_the_place_and_the_reason(
    body: bytes, status: int, code: str, facts: dict[str, object]
) -> None:
    seen = Seen()

    answer = await join(seen, body)

    assert (answer.status, answer.json["code"]) == (status, code)
    assert {name: answer.json[name] for name in facts} == facts
    assert "reason" not in answer.json
    assert seen.calls == []


def test_json_nested_too_deeply_is_refused() -> None:
    decode = body_decoder(dict[str, Any])

    with pytest.raises(BodyMalformed) as refused:
        decode(b'{"a":' + b"[" * 30000 + b"]" * 30000 + b"}")

    assert refused.value.facts == {"detail": Words("请求体嵌套过深。", "The body is nested too deeply.")}


async def test_a_body_in_many_chunks_is_one_body() -> None:
    seen = Seen()

    answer = await join(seen, [GOOD[i : i + 1] for i in range(len(GOOD))])

    assert answer.json == {"order_id": "o_1", "portions": 3}


async def test_chunks_over_the_limit_are_refused_before_the_rest_is_read() -> None:
    seen = Seen()
    taken = 0

    async def endless() -> Message:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b" " * 16384, "more_body": True}

    answer = await ask(small_api(seen), "POST", MEMBERS, JSON, KEY, body=endless, token="li")

    assert (answer.status, answer.json["code"], answer.json["bytes_max"]) == (413, "http/body-too-large", 65536)
    assert answer.headers["connection"] == "close"
    assert taken == 5
    assert seen.calls == []


async def test_a_length_over_the_limit_is_refused_without_reading() -> None:
    async def never() -> Message:
        raise AssertionError("the body is read")

    answer = await ask(small_api(), "POST", MEMBERS, JSON, KEY, (b"content-length", b"65537"), body=never, token="li")

    assert answer.status == 413


async def test_a_body_exactly_at_the_limit_is_read() -> None:
    answer = await ask(small_api(), "PUT", "/v1/seen", JSON, body=GOOD.ljust(200))
    longer = await ask(small_api(), "PUT", "/v1/seen", JSON, body=GOOD.ljust(201))

    assert (answer.status, longer.status, longer.json["bytes_max"]) == (200, 413, 200)


@pytest.mark.parametrize("length", [b"-1", b"1x", b"", b"9" * 40])
async def test_a_length_that_is_none_is_refused(length: bytes) -> None:
    answer = await join(Seen(), GOOD, JSON, KEY, (b"content-length", length))

    assert (answer.status, answer.json["header"]) == (400, "content-length")


@pytest.mark.parametrize(
    ("media", "status"),
    [
        (b"application/json", 201),
        (b"application/json; charset=utf-8", 201),
        (b'Application/JSON;charset="UTF-8"', 201),
        (b"application/json; charset=gbk", 415),
        (b"application/jsonp", 415),
        (b"text/plain", 415),
        (b"application/x-www-form-urlencoded", 415),
    ],
)
async def test_only_json_in_utf8_is_taken(media: bytes, status: int) -> None:
    answer = await join(Seen(), GOOD, (b"content-type", media), KEY)

    assert answer.status == status


async def test_a_body_without_media_type_is_refused() -> None:
    answer = await join(Seen(), GOOD, KEY)

    assert (answer.status, answer.json["code"]) == (415, "http/unsupported-media")


async def test_a_body_where_none_is_expected_is_refused_but_an_empty_object_is_not() -> None:
    seen = Seen()

    full = await ask(small_api(seen), "DELETE", MEMBERS, KEY, body=b'{"a":1}', token="li")
    empty = await ask(small_api(seen), "DELETE", MEMBERS, KEY, body=b"{}", token="li")
    none = await ask(small_api(seen), "DELETE", MEMBERS, KEY, token="li")

    assert (full.status, full.json["code"]) == (400, "http/body-malformed")
    assert (empty.status, none.status, none.body) == (204, 204, b"")
    assert "content-type" not in none.headers
    assert len(seen.calls) == 2


@pytest.mark.parametrize("name", [b"authorization", b"idempotency-key", b"content-type", b"content-length"])
async def test_a_header_that_stands_once_is_refused_twice(name: bytes) -> None:
    seen = Seen()
    values = {b"content-type": b"application/json", b"content-length": b"74", b"authorization": b"Bearer li"}

    answer = await ask(
        small_api(seen),
        "POST",
        MEMBERS,
        *(header for header in (JSON, KEY) if header[0] != name),
        *[(name, values.get(name, b"join-0001"))] * 2,
        body=GOOD,
        token="" if name == b"authorization" else "li",
    )

    assert (answer.status, answer.json["code"], answer.json["header"]) == (400, "http/header-malformed", name.decode())
    assert seen.calls == []


async def test_headers_that_may_stand_twice_are_joined() -> None:
    answer = await ask(small_api(), "GET", "/v1/menu", (b"if-none-match", b'"old"'), (b"if-none-match", b'"menu-7"'))

    assert answer.status == 304


@pytest.mark.parametrize("key", [b"", b"short", b"x" * 65, b"with a space", "团团团团团团".encode(), b"tab\tbed-1"])
async def test_a_write_needs_an_idempotency_key_that_is_one(key: bytes) -> None:
    seen = Seen()

    missing = await join(seen, GOOD, JSON)
    answer = await join(seen, GOOD, JSON, (b"idempotency-key", key))
    unkeyed = await ask(small_api(seen), "PUT", "/v1/seen", JSON, (b"idempotency-key", key), body=GOOD)

    assert [(one.status, one.json["code"]) for one in (missing, answer, unkeyed)] == [(400, "http/key-missing")] * 3
    assert seen.calls == []


async def test_the_key_tells_what_was_said_under_it() -> None:
    seen = Seen()

    await join(seen, GOOD)
    await join(seen, GOOD)
    await join(seen, GOOD + b" ")
    await join(seen, GOOD, path=MEMBERS.replace("g_1", "g_2"))
    await ask(small_api(seen), "PUT", "/v1/seen", JSON, body=GOOD)

    first, again, spaced, elsewhere, unkeyed = [call.key for call in seen.calls]
    assert first is not None
    assert first.key == "join-0001"
    assert first == again
    assert len({first, spaced, elsewhere}) == 3
    assert unkeyed is None


async def test_a_query_is_checked_against_its_type() -> None:
    seen = Seen()

    answer = await ask(small_api(seen), "GET", DISHES, query="limit=5&hot=true&tag=%E8%BE%A3&tag=a+b&after=d_1")
    usual = await ask(small_api(seen), "GET", DISHES)

    assert answer.json["query"] == {"limit": 5, "hot": True, "tag": ["辣", "a b"], "after": "d_1"}
    assert usual.json["query"] == {"limit": 20, "hot": False, "tag": [], "after": None}


@pytest.mark.parametrize(
    ("path", "query", "at", "detail"),
    [
        (DISHES, "limit=101", "?limit", "limit：不能大于 100。"),
        (DISHES, "limit=ten", "?limit", "limit：应为整数，收到的是文字。"),
        (DISHES, "limit=", "?limit", "limit：应为整数，收到的是文字。"),
        (DISHES, "limit=1&limit=2", "?limit", "limit：只能给一次。"),
        (DISHES, "colour=red", "?colour", "colour：没有这个查询参数。"),
        (DISHES, "after=%ff", "?", "请求内容：不是 UTF-8 编码。"),
        (DISHES, "after=" + "x" * 4096, "?", "请求内容：不能超过 4096 个字节。"),
        ("/v1/menu", "a=1", "?a", "a：没有这个查询参数。"),
    ],
)
async def test_a_query_that_does_not_fit_is_refused(path: str, query: str, at: str, detail: str) -> None:
    seen = Seen()

    answer = await ask(small_api(seen), "GET", path, query=query)

    assert (answer.status, answer.json["at"], answer.json["detail"]) == (422, at, detail)
    where = {"parameter": at[1:]} if at != "?" else {}
    assert answer.json["errors"] == [{**where, "detail": detail.rpartition("：")[2].rstrip("。")}]
    assert seen.calls == []


async def test_a_parameter_that_must_be_there_is_missed() -> None:
    answer = await ask(small_api(), "GET", "/v1/orders", token="li")

    assert (answer.status, answer.json["detail"]) == (422, "after：缺少这一项。")


async def test_who_hangs_up_while_sending_is_not_answered() -> None:
    seen = Seen()
    messages: Iterator[Message] = iter(
        [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive() -> Message:
        return next(messages)

    answer = await ask(small_api(seen), "POST", MEMBERS, JSON, KEY, body=receive, token="li")

    assert answer.status == 0
    assert seen.calls == []


async def test_who_hangs_up_while_being_answered_breaks_nothing() -> None:
    seen = Seen()

    async def broken(message: Message) -> None:
        raise BrokenPipeError

    await ask(small_api(seen), "POST", MEMBERS, JSON, KEY, body=GOOD, token="li", send=broken)

    assert len(seen.calls) == 1


async def test_a_body_that_does_not_arrive_in_time_is_given_up() -> None:
    seen = Seen()

    async def silent() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    api = small_api(seen, limits=Limits(body_wait_s=0.01))
    answer = await ask(api, "POST", MEMBERS, JSON, KEY, body=silent, token="li")

    assert (answer.status, answer.json["code"], answer.headers["connection"]) == (408, "http/request-timeout", "close")
    assert seen.calls == []
