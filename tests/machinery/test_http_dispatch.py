"""J2: the HTTP API: who may ask what where, and how it is answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from random import Random

import pytest
from starlette.types import Message

from tests.machinery.asgi_client import JSON, KEY, NOON, Done, Full, Joined, Seen, ask, small_api
from tests.waiting import until
from tuanzi.base.ids import Ids
from tuanzi.base.problem import Busy
from tuanzi.machinery.http.api import Api, Limits
from tuanzi.machinery.http.matching import find_spot, plant
from tuanzi.machinery.http.routes import Call, Reply, Route
from tuanzi.machinery.problems import Unavailable

ORDER = "/v1/campuses/beijing/orders/o_1"
DISHES = "/v1/campuses/beijing/dishes"
MEMBERS = "/v1/campuses/beijing/groups/g_1/members"
GOOD = b'{"lines":[{"dish_id":"d_1","portions":2}]}'


async def test_an_answer_is_sent_with_its_headers_and_no_others() -> None:
    answer = await ask(small_api(), "GET", ORDER, token="li")

    assert answer.body == b'{"who":"p_li","path":{"campus":"beijing","order":"o_1"},"query":null}'
    assert answer.status == 200
    assert answer.headers.pop("etag").strip('"')
    assert answer.headers == {
        "content-type": "application/json",
        "content-length": "69",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "x-request-id": answer.headers["x-request-id"],
    }


async def test_what_is_public_may_be_kept_when_asked_for_again_and_what_is_personal_may_not() -> None:
    public = await ask(small_api(), "GET", DISHES)
    personal = await ask(small_api(), "GET", DISHES, token="li")

    assert (public.headers["cache-control"], public.headers["vary"]) == ("no-cache", "authorization")
    assert personal.headers["cache-control"] == "no-store"
    assert (public.json["who"], personal.json["who"]) == (None, "p_li")


@pytest.mark.parametrize(
    ("token", "path", "status", "code"),
    [
        ("", ORDER, 401, "http/not-signed-in"),
        ("stranger", ORDER, 401, "http/not-signed-in"),
        ("li", ORDER, 200, None),
        ("zhao", ORDER, 200, None),
        ("wang", ORDER, 403, "base/forbidden"),
        ("wang", DISHES, 403, "base/forbidden"),
        ("root", ORDER, 200, None),
        ("new", ORDER, 403, "base/forbidden"),
        ("new", DISHES, 200, None),
        ("stranger", DISHES, 200, None),
        ("li", "/v1/campuses/beijing/board", 403, "base/forbidden"),
        ("zhao", "/v1/campuses/beijing/board", 200, None),
        ("root", "/v1/campuses/beijing/board", 403, "base/forbidden"),
        ("", "/v1/campuses/beijing/board", 401, "http/not-signed-in"),
        ("li", "/v1/campuses/mars/orders/o_1", 404, "base/unknown"),
        ("", "/v1/campuses/mars/orders/o_1", 404, "base/unknown"),
    ],
)
async def test_people_may_ask_on_their_own_campus_in_their_role(
    token: str, path: str, status: int, code: str | None
) -> None:
    seen = Seen()

    answer = await ask(small_api(seen), "GET", path, token=token)

    assert (answer.status, answer.json.get("code")) == (status, code)
    assert len(seen.calls) == (status == 200)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (b"Bearer li", 200),
        (b"bearer li", 200),
        (b"Basic li", 401),
        (b"li", 401),
        (b"Bearer ", 401),
        (b"Bearer  li", 401),
        (b"Bearer l\xc3\xa9", 401),
        (b"Bearer " + b"l" * 257, 401),
    ],
)
async def test_a_session_is_shown_by_a_bearer_token(authorization: bytes, status: int) -> None:
    answer = await ask(small_api(), "GET", ORDER, (b"authorization", authorization))

    assert answer.status == status
    assert answer.headers.get("www-authenticate") == (None if status == 200 else 'Bearer realm="tuanzi"')


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/campuses/beijing/orders/o%5f1", 200),
        ("/v1/%63ampuses/beijing/orders/o_1", 200),
        ("/v1/campuses/beijing/orders/o%2F1", 404),
        ("/v1/campuses/beijing%2Forders/o_1", 404),
        ("/v1/campuses/beijing/orders/%FF", 404),
        ("/v1/campuses/beijing/orders/%E5%9B%A2", 404),
        ("/v1/campuses/beijing/orders/..", 404),
        ("/v1/campuses/beijing/orders/o_1/", 404),
        ("/v1/campuses/beijing//orders/o_1", 404),
        ("/v1/campuses/beijing/orders/" + "o" * 65, 404),
        ("/v1/campuses/beijing/orders/" + "o" * 64, 200),
        ("/v1/campuses", 404),
        ("/v1", 404),
        ("/v1/nothing", 404),
    ],
)
async def test_a_path_is_matched_segment_by_segment(path: str, status: int) -> None:
    answer = await ask(small_api(), "GET", path, token="li")

    assert answer.status == status
    if status == 404:
        assert answer.json["code"] == "http/not-found"


def test_a_literal_goes_before_a_parameter_and_what_stands_behind_either_is_found() -> None:
    root = plant(
        [
            ("GET", "/a/{x}/c", "param-c"),
            ("GET", "/a/b/{y}", "b-param"),
            ("GET", "/a/b", "b"),
            ("POST", "/a/{x}", "post-param"),
            ("GET", "/a/{x}/d/e", "param-d-e"),
            ("GET", "/a/b/d", "b-d"),
        ]
    )
    found = {}

    for path in ("/a/b", "/a/z/c", "/a/b/c", "/a/b/z", "/a/b/d", "/a/b/d/e", "/a/z/d/e", "/a/z", "/a/z/z", "/a"):
        spot = find_spot(root, path.split("/"))
        found[path] = None if spot is None else {method: spot.endpoints[method] for method in sorted(spot.endpoints)}

    assert found == {
        "/a/b": {"GET": "b", "HEAD": "b", "POST": "post-param"},
        "/a/z/c": {"GET": "param-c", "HEAD": "param-c"},
        "/a/b/c": {"GET": "b-param", "HEAD": "b-param"},
        "/a/b/z": {"GET": "b-param", "HEAD": "b-param"},
        "/a/b/d": {"GET": "b-d", "HEAD": "b-d"},
        "/a/b/d/e": {"GET": "param-d-e", "HEAD": "param-d-e"},
        "/a/z/d/e": {"GET": "param-d-e", "HEAD": "param-d-e"},
        "/a/z": {"POST": "post-param"},
        "/a/z/z": None,
        "/a": None,
    }


@pytest.mark.parametrize("path", ["v1/x", "/v1//x", "/v1/x/", "/v1/{X}", "/v1/a{x}", "/v1/{x}/{x}", ""])
def test_a_route_with_a_path_that_is_none_does_not_start(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|parameter|twice"):
        _api(Route("GET", path, _nothing, None, "Nothing"))


def test_two_routes_at_one_place_do_not_start() -> None:
    with pytest.raises(ValueError, match=r"two routes for GET /v1/\{b\}"):
        _api(Route("GET", "/v1/{a}", _nothing, None, "A"), Route("GET", "/v1/{b}", _nothing, None, "B"))


@pytest.mark.parametrize("route", [
    Route("TRACE", "/v1/x", None, None, "X"),  # type: ignore[arg-type]
    Route("GET", "/v1/x", None, None, "X", body=Joined),  # type: ignore[arg-type]
    Route("POST", "/v1/x", None, None, "X", body_bytes_max=2 * 1024 * 1024 + 1),  # type: ignore[arg-type]
])  # fmt: skip
def test_a_route_that_cannot_be_meant_so_does_not_start(route: Route) -> None:
    with pytest.raises(ValueError, match="/v1/x"):
        _api(route)


async def test_head_says_what_get_would_without_the_body() -> None:
    api = small_api()

    get = await ask(api, "GET", "/v1/menu")
    head = await ask(api, "HEAD", "/v1/menu")

    del get.headers["x-request-id"], head.headers["x-request-id"]
    assert (head.status, head.headers, head.body) == (200, get.headers, b"")
    assert head.headers["content-length"] == "12"


async def test_options_names_the_methods_and_opens_nothing_to_other_origins() -> None:
    answer = await ask(
        small_api(), "OPTIONS", MEMBERS, (b"origin", b"https://evil.example"),
        (b"access-control-request-method", b"POST"),
    )  # fmt: skip

    del answer.headers["x-request-id"]
    assert (answer.status, answer.headers) == (204, {"allow": "DELETE, OPTIONS, POST"})


@pytest.mark.parametrize(("path", "allow"), [(MEMBERS, "DELETE, OPTIONS, POST"), (ORDER, "GET, HEAD, OPTIONS")])
@pytest.mark.parametrize("method", ["PATCH", "TRACE", "BREW"])
async def test_an_unknown_method_is_refused_with_those_that_are_known(method: str, path: str, allow: str) -> None:
    answer = await ask(small_api(), method, path)

    assert (answer.status, answer.json["code"], answer.headers["allow"]) == (405, "http/method-not-allowed", allow)


async def test_a_reader_who_has_the_answer_already_is_told_so() -> None:
    seen = Seen()
    first = await ask(small_api(seen), "GET", ORDER, token="li")
    tag = first.headers["etag"].encode()

    for header in (tag, b'"x", W/' + tag, b"*"):
        same = await ask(small_api(seen), "GET", ORDER, (b"if-none-match", header), token="li")
        assert (same.status, same.body, same.headers["etag"]) == (304, b"", tag.decode())
        assert "content-type" not in same.headers
        assert "content-length" not in same.headers
    other = await ask(small_api(seen), "GET", ORDER.replace("o_1", "o_2"), (b"if-none-match", tag), token="li")

    assert other.status == 200
    assert other.headers["etag"] != first.headers["etag"]


async def test_a_handler_may_name_the_etag_itself() -> None:
    answer = await ask(small_api(), "GET", "/v1/menu")
    same = await ask(small_api(), "HEAD", "/v1/menu", (b"if-none-match", b'"menu-7"'))

    assert (answer.headers["etag"], answer.body) == ('"menu-7"', b'{"items":[]}')
    assert same.status == 304


async def test_a_repeated_command_is_answered_with_the_first_answer_and_says_so() -> None:
    async def again() -> Done:
        return Done(None, b'{"order_id":"o_1","portions":2}', replayed=True)

    answer = await ask(small_api(Seen(do=again)), "POST", MEMBERS, JSON, KEY, body=GOOD, token="li")

    assert (answer.status, answer.body) == (201, b'{"order_id":"o_1","portions":2}')
    assert answer.headers["idempotent-replayed"] == "true"
    assert "etag" not in answer.headers


async def test_a_reply_may_have_a_status_of_its_own() -> None:
    async def accepted() -> Reply:
        return Reply(Joined(order_id="o_2", portions=1), status=202)

    answer = await ask(small_api(Seen(do=accepted)), "POST", MEMBERS, JSON, KEY, body=GOOD, token="li")

    assert (answer.status, answer.json) == (202, {"order_id": "o_2", "portions": 1})


async def test_a_request_id_is_echoed_when_it_may_stand_in_a_log_and_made_otherwise() -> None:
    api = small_api()

    echoed = await ask(api, "GET", "/v1/menu", (b"x-request-id", b"trace-1"))
    made = [
        (await ask(api, "GET", "/v1/menu", (b"x-request-id", given))).headers["x-request-id"]
        for given in (b"", b"a b", b"a\nb", b"x" * 65)
    ]

    assert echoed.headers["x-request-id"] == "trace-1"
    assert len(set(made)) == 4
    assert all(one.startswith("q") and one[1:-2].isalnum() for one in made)


async def test_a_refusal_of_the_room_is_its_document() -> None:
    async def full() -> None:
        raise Full(group_id="g_1", seats=5)

    answer = await ask(
        small_api(Seen(do=full)), "POST", MEMBERS, JSON, KEY, (b"x-request-id", b"r-1"), body=GOOD, token="li"
    )

    assert answer.status == 409
    assert answer.json == {
        "type": "/problems/tests/full",
        "title": "该团已满",
        "status": 409,
        "code": "tests/full",
        "instance": "r-1",
        "group_id": "g_1",
        "seats": 5,
    }
    assert answer.headers == {
        "content-type": "application/problem+json",
        "content-length": str(len(answer.body)),
        "content-language": "zh-CN",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "x-request-id": "r-1",
    }


@pytest.mark.parametrize(
    ("problem", "status", "seconds"),
    [(Busy(retry_after_s=1.2), 429, "2"), (Busy(), 429, "1"), (Unavailable(retry_after_s=0), 503, "1")],
)
async def test_who_should_come_later_is_told_when(problem: Busy | Unavailable, status: int, seconds: str) -> None:
    async def refuse() -> None:
        raise problem

    answer = await ask(small_api(Seen(do=refuse)), "GET", ORDER, token="li")

    assert (answer.status, answer.headers["retry-after"]) == (status, seconds)


async def test_a_bug_is_logged_once_and_told_without_details(caplog: pytest.LogCaptureFixture) -> None:
    async def bug() -> None:
        raise KeyError("secret-table")

    answer = await ask(small_api(Seen(do=bug)), "GET", ORDER, (b"x-request-id", b"r-9"), token="li")

    assert (answer.status, answer.json["code"]) == (500, "http/answer-failed")
    assert b"secret" not in answer.body
    assert sorted(answer.json) == ["code", "instance", "status", "title", "type"]
    [line] = caplog.records
    assert (line.name, line.levelno, line.message) == ("tuanzi.http", logging.ERROR, "http.crashed")
    assert line.exc_info is not None
    assert vars(line)["request_id"] == "r-9"
    assert vars(line)["route"] == "GET /v1/campuses/{campus}/orders/{order}"


async def test_an_answer_that_cannot_be_encoded_is_a_bug_too(caplog: pytest.LogCaptureFixture) -> None:
    async def odd() -> object:
        return object()

    answer = await ask(small_api(Seen(do=odd)), "GET", ORDER, token="li")

    assert (answer.status, len(caplog.records)) == (500, 1)


async def test_an_answer_that_takes_too_long_is_given_up_and_the_handler_stopped() -> None:
    stopped = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    api = small_api(Seen(do=slow), limits=Limits(answer_wait_s=0.01))
    answer = await ask(api, "GET", ORDER, token="li")

    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "http/answer-late", "1")
    assert stopped == [True]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


Pass = Callable[[float], None]


@pytest.fixture
async def pass_time(monkeypatch: pytest.MonkeyPatch) -> Pass:
    """Sets the loop's clock ahead, so that no test has to be quicker than a limit."""
    loop, passed_s = asyncio.get_running_loop(), [0.0]
    read = loop.time
    monkeypatch.setattr(loop, "time", lambda: read() + sum(passed_s))
    return passed_s.append


async def test_each_of_many_slow_requests_has_its_own_limit(pass_time: Pass) -> None:
    async def slow() -> None:
        await asyncio.Event().wait()

    seen = Seen(do=slow)
    api = small_api(seen, limits=Limits(answer_wait_s=60.0))
    late = [asyncio.create_task(ask(api, "GET", ORDER, token="li")) for _ in range(20)]
    await until(lambda: len(api._answering._until) == 20)
    pass_time(30.0)
    seen.do = None
    quick = await ask(api, "GET", ORDER, token="li")
    pass_time(31.0)

    assert quick.status == 200
    assert [(await one).status for one in late] == [503] * 20


async def test_a_request_that_came_later_is_given_up_later(pass_time: Pass) -> None:
    async def slow() -> None:
        await asyncio.Event().wait()

    api = small_api(Seen(do=slow), limits=Limits(answer_wait_s=60.0))
    first = asyncio.create_task(ask(api, "GET", ORDER, token="li"))
    await until(lambda: len(api._answering._until) == 1)
    pass_time(30.0)
    second = asyncio.create_task(ask(api, "GET", ORDER, token="li"))
    await until(lambda: len(api._answering._until) == 2)
    pass_time(31.0)

    assert (await first).status == 503
    assert not second.done()
    pass_time(30.0)
    assert (await second).status == 503


async def test_a_request_stopped_from_outside_is_not_answered() -> None:
    async def slow() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(ask(small_api(Seen(do=slow)), "GET", ORDER, token="li"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_not_of_the_api_goes_to_the_pages() -> None:
    root = await ask(small_api(), "GET", "/")
    near = await ask(small_api(), "GET", "/v12/x")

    assert (root.body, near.body) == (b"page /", b"page /v12/x")


async def test_lifespan_and_websockets_go_to_the_pages() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    for kind in ("lifespan", "websocket"):
        await small_api()({"type": kind, "path": "/v1/menu"}, receive, send)

    assert [message["body"] for message in sent[1::2]] == [b"page /v1/menu"] * 2


async def _nothing(call: Call[None, None]) -> None:
    """GET /nothing"""


def _api(*routes: Route) -> Api:
    async def nobody(token: str, now: object, asker: str) -> None:
        return None

    async def elsewhere(scope: object, receive: object, send: object) -> None:
        raise AssertionError

    return Api(
        routes,
        authenticate=nobody,
        recall=lambda token, now: None,
        desks_of=lambda campus: None,
        ids=Ids(Random(7).getrandbits),
        clock=lambda: NOON,
        fallback=elsewhere,
    )


async def test_who_asks_more_often_than_anybody_needs_to_waits_and_nobody_else_does() -> None:
    seen, now = Seen(), NOON
    api = small_api(seen, limits=Limits(requests_per_s=2), clock=lambda: now)

    answers = [await ask(api, "GET", ORDER, token="li") for _ in range(21)]

    assert [answer.status for answer in answers] == [200] * 20 + [429]  # ten seconds' worth at once
    assert answers[20].json["code"] == "http/too-many-requests"
    assert answers[20].headers["retry-after"] == "1"
    assert len(seen.calls) == 20
    assert (await ask(api, "GET", "/v1/campuses/shanghai/orders/o_1", token="wang")).status == 200
    assert (await ask(api, "GET", DISHES)).status == 200
    now += timedelta(seconds=0.5)
    assert [(await ask(api, "GET", ORDER, token="li")).status for _ in range(2)] == [200, 429]


async def test_a_write_too_many_changes_nothing_and_counts_like_any_other() -> None:
    seen = Seen()
    api = small_api(seen, limits=Limits(requests_per_s=1))

    answers = [await ask(api, "POST", MEMBERS, JSON, KEY, body=GOOD, token="li") for _ in range(11)]

    assert [answer.status for answer in answers] == [201] * 10 + [429]
    assert len(seen.calls) == 10
    # So does who may not ask at all.
    assert [(await ask(api, "GET", ORDER, token="zhao")).status for _ in range(10)] == [200] * 10
    assert (await ask(api, "GET", "/v1/campuses/shanghai/orders/o_1", token="zhao")).status == 429


async def test_strangers_are_counted_by_their_address_ten_times_as_many_and_vendors_are_not() -> None:
    api = small_api(limits=Limits(requests_per_s=1))

    statuses = [(await ask(api, "GET", ORDER, token="stranger")).status for _ in range(101)]

    assert statuses == [401] * 100 + [429]
    assert (await ask(api, "GET", DISHES)).status == 429
    assert (await ask(api, "GET", DISHES, token="li")).status == 200
    assert (await ask(api, "POST", "/v1/notices", JSON, body=b"signed")).json["path"] == {"length": "6"}


async def test_who_has_a_network_of_ipv6_is_one_stranger_whichever_of_its_addresses_he_takes() -> None:
    api = small_api(limits=Limits(requests_per_s=1))

    statuses = [(await ask(api, "GET", DISHES, client=f"2001:db8:7::{i:x}")).status for i in range(1, 102)]

    assert statuses == [200] * 100 + [429]
    assert (await ask(api, "GET", DISHES, client="2001:db8:7:1::1")).status == 200
    assert (await ask(api, "GET", DISHES, client="::ffff:10.0.0.1")).status == 200


async def test_without_a_limit_anybody_may_ask_as_often_as_he_likes() -> None:
    api = small_api()

    assert {(await ask(api, "GET", ORDER, token="li")).status for _ in range(500)} == {200}
