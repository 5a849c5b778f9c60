"""J2: errors as RFC 9457 problem details, in both languages, explained at their address."""

from __future__ import annotations

from random import Random

import httpx
import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Page

from tests.machinery.asgi_client import Full, ask, small_api
from tuanzi.base.ids import Ids
from tuanzi.base.money import Money
from tuanzi.base.problem import Words
from tuanzi.machinery.http.documents import document_of, preferred_language, problem_kinds
from tuanzi.machinery.http.refusals import Refusals


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (b"", "zh-CN"),
        (b"*", "zh-CN"),
        (b"en", "en"),
        (b"en-US,en;q=0.9", "en"),
        (b"EN-gb", "en"),
        (b"zh-TW", "zh-CN"),
        (b"fr,de", "zh-CN"),
        (b"fr, en;q=0.5", "en"),
        (b"zh;q=0.5, en;q=0.8", "en"),
        (b"en;q=0.5, zh;q=0.8", "zh-CN"),
        (b"en;q=0", "zh-CN"),
        (b"en, zh", "en"),
        (b"en;q=x, zh;q=0.1", "zh-CN"),
        (b"\xff\xfe;;;,,=", "zh-CN"),
    ],
)
def test_titles_are_chinese_unless_the_client_prefers_english(accepted: bytes, language: str) -> None:
    assert preferred_language(accepted, ("zh-CN", "en")) == language


async def test_a_problem_is_told_in_the_language_of_the_client() -> None:
    chinese = await ask(small_api(), "GET", "/v1/nothing")
    english = await ask(small_api(), "GET", "/v1/nothing", (b"accept-language", b"en-GB"))

    assert (chinese.json["title"], chinese.headers["content-language"]) == ("没有这个地址", "zh-CN")
    assert (english.json["title"], english.headers["content-language"]) == ("There is nothing at this address.", "en")


def test_facts_stand_beside_the_members_and_never_in_their_place() -> None:
    problem = Full(status=200, code="x", paid=Money(990), detail="Seat 5 of 5.", who=object)

    text = document_of(problem, language="en", request_id=b"r-1")

    assert text == (
        b'{"type":"/problems/tests/full","title":"No seat is left in this group.","status":409,"code":"tests/full",'
        b'"instance":"r-1","paid":990,"detail":"Seat 5 of 5.","who":"<class \'object\'>"}'
    )


@pytest.mark.parametrize(("language", "detail"), [("zh-CN", "第 5 个名额没有了。"), ("en", "Seat 5 is gone.")])
def test_what_a_refusal_says_by_its_facts_is_the_detail_in_the_language_asked_for(language: str, detail: str) -> None:
    document = msgspec.json.decode(document_of(Gone(seat=5), language=language, request_id=b"r-1"))

    assert (document["detail"], document["seat"]) == (detail, 5)


class Gone(Full):
    """This seat is gone."""

    code = "tests/gone"
    title_zh = "名额没有了"

    def sentence(self) -> Words:
        """By its facts."""
        return Words(f"第 {self.facts['seat']} 个名额没有了。", f"Seat {self.facts['seat']} is gone.")


async def test_a_problems_address_explains_it_to_machines() -> None:
    answer = await ask(small_api(), "GET", "/problems/tests/full")

    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == {
        "type": "/problems/tests/full",
        "code": "tests/full",
        "status": 409,
        "title_zh": "该团已满",
        "title_en": "No seat is left in this group.",
        "explanation": "Another group of the same campaign may have one.",
    }


async def test_a_problems_address_explains_it_to_people_in_both_languages() -> None:
    answer = await ask(
        small_api(), "GET", "/problems/tests/full", (b"accept", b"text/html,*/*"), (b"accept-language", b"en")
    )

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    page = answer.body.decode()
    assert page.startswith('<!doctype html><html lang="en">')
    assert page.index("No seat is left in this group.") < page.index("该团已满")
    assert "Another group of the same campaign may have one." in page


async def test_all_problems_are_listed() -> None:
    answer = await ask(small_api(), "GET", "/problems")

    codes = [item["code"] for item in answer.json["items"]]
    assert codes == sorted(problem_kinds())
    assert {"tests/full", "base/busy", "http/not-signed-in", "machinery/key-reused"} <= set(codes)


@pytest.mark.parametrize("path", ["/problems/no/such", "/problems/", "/problems/tests%2Ffull/x", "/problems/<b>"])
async def test_an_unknown_problem_is_not_found(path: str) -> None:
    answer = await ask(small_api(), "GET", path, (b"accept", b"text/html"))

    assert (answer.status, answer.json["code"]) == (404, "http/not-found")
    assert b"<b>" not in answer.body


async def test_pages_are_only_read() -> None:
    answer = await ask(small_api(), "POST", "/problems/tests/full")
    options = await ask(small_api(), "OPTIONS", "/docs")

    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


async def test_what_a_page_refuses_and_what_breaks_in_it_is_told_as_by_the_api() -> None:
    async def show(request: Request) -> Response:
        raise Full(seats=5) if request.query_params else ZeroDivisionError("a secret of ours")

    pages = Refusals(Ids(Random(1).getrandbits)).application([Page("/page", show)])
    transport = httpx.ASGITransport(pages, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://pages.test") as client:
        refused = await client.get("/page?full")
        broken = await client.get("/page", headers={"accept-language": "en"})

    assert (refused.status_code, refused.json()["code"], refused.json()["seats"]) == (409, "tests/full", 5)
    assert (broken.status_code, broken.json()["code"]) == (500, "http/answer-failed")
    assert broken.json()["title"].startswith("Something broke on our side")
    assert "secret" not in broken.text
