"""J5: whatever of a body or a query does not fit, a person is told what was expected there, in his language."""

from __future__ import annotations

import re
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from tests.machinery.asgi_client import JSON, KEY, Full, ask, small_api
from tuanzi.base.problem import Invalid, Problem, Unfitting, Words
from tuanzi.machinery.http.documents import document_of
from tuanzi.machinery.http.misfits import Vocabulary
from tuanzi.machinery.http.reading import body_decoder, query_decoder

CHINESE = re.compile("[\u4e00-\u9fff]")
KNOWN = Vocabulary(
    {"size": Words("人数", "size"), "inner": Words("内层", "inner"), "rows": Words("行", "rows")},
    {"^[a-z]+$": Words("只能用小写字母", "may hold small letters only")},
)


class Hue(StrEnum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


class Inner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something in something; its own rule spans two fields."""

    hue: Hue | None = None
    is_plain: bool = False

    def __post_init__(self) -> None:
        if self.is_plain and self.hue is not None:
            raise Unfitting(Words("素色不能有颜色", "what is plain has no hue"))


class Whole(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field for each thing that a checker may say."""

    size: Annotated[int, Meta(ge=1, le=5)] = 1
    ratio: Annotated[float, Meta(gt=0.5)] | None = None
    name: Annotated[str, Meta(min_length=1, max_length=3)] = "a"
    word: Annotated[str, Meta(pattern="^[a-z]+$")] = "a"
    odd: Annotated[str, Meta(pattern="^\\d$")] = "1"
    at: Annotated[datetime, Meta(tz=True)] | None = None
    on: date | None = None
    rows: Annotated[tuple[Inner, ...], Meta(min_length=2, max_length=2)] | None = None
    pair: tuple[int, int] | None = None
    inner: Inner = Inner()
    sort: Literal["up", "down"] = "up"
    more: dict[str, Hue] | None = None


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A query."""

    hue: tuple[Hue, ...] = ()


def told(refused: Problem, language: str) -> Any:
    return msgspec.json.decode(document_of(refused, language=language, request_id=b"r-1", known=KNOWN))


@pytest.mark.parametrize(
    ("body", "at", "chinese", "english"),
    [
        ('{"size":0}', "/size", "人数：不能小于 1。", "Size: must be at least 1."),
        ('{"size":99999999999999999999}', "/size", "人数：不能大于 5。", "Size: must be at most 5."),
        ('{"size":"x"}', "/size", "人数：应为整数，收到的是文字。", "Size: must be a whole number, not text."),
        ('{"size":1.5}', "/size", "人数：应为整数，收到的是数字。", "Size: must be a whole number, not a number."),
        ('{"size":null}', "/size", "人数：应为整数，收到的是空值。", "Size: must be a whole number, not null."),
        ('{"ratio":0.5}', "/ratio", "ratio：须大于 0.5。", "Ratio: must be more than 0.5."),
        ('{"ratio":1e999}', "/ratio", "ratio：数字过大或过小。", "Ratio: is a number out of range."),
        ('{"ratio":[]}', "/ratio", "ratio：应为数字，收到的是列表。", "Ratio: must be a number, not a list."),
        ('{"name":""}', "/name", "name：不能为空。", "Name: must not be empty."),
        ('{"name":"团团团团"}', "/name", "name：最多 3 个字符。", "Name: must have at most 3 characters."),
        ('{"word":"A"}', "/word", "word：只能用小写字母。", "Word: may hold small letters only."),
        ('{"odd":"x"}', "/odd", "odd：格式不对。", "Odd: does not have the form that is expected here."),
        (
            '{"at":"2026-11-28T11:30:00"}',
            "/at",
            "at：须为带时区的时间，如 2026-11-28T11:30:00+08:00。",
            "At: must be a time with its zone, such as 2026-11-28T11:30:00+08:00.",
        ),
        (
            '{"at":"noon"}',
            "/at",
            "at：须为带时区的时间，如 2026-11-28T11:30:00+08:00。",
            "At: must be a time with its zone, such as 2026-11-28T11:30:00+08:00.",
        ),
        ('{"on":"x"}', "/on", "on：须为日期，如 2026-11-28。", "On: must be a date, such as 2026-11-28."),
        ('{"rows":[{}]}', "/rows", "行：至少要有 2 项。", "Rows: must have at least 2 items."),
        ('{"rows":[{},{},{}]}', "/rows", "行：最多 2 项。", "Rows: must have at most 2 items."),
        ('{"pair":[1]}', "/pair", "pair：须正好 2 项。", "Pair: must have exactly 2 items."),
        (
            '{"rows":[{},{"hue":"grey"}]}',
            "/rows/1/hue",
            "行第 2 项的hue：只能是 red、blue。",
            "Rows, item 2, hue: must be one of red, blue.",
        ),
        ('{"sort":"left"}', "/sort", "sort：只能是 down、up。", "Sort: must be one of down, up."),
        ('{"more":{"x":"grey"}}', "/more/*", "more的*：只能是 red、blue。", "More, *: must be one of red, blue."),
        (
            '{"inner":{"hue":"red","is_plain":true}}',
            "/inner",
            "内层：素色不能有颜色。",
            "Inner: what is plain has no hue.",
        ),
        (
            '{"inner":{"a~b/c":1}}',
            "/inner/a~0b~1c",
            "内层的a~b/c：没有这一项，请检查名称。",
            "Inner, a~b/c: is not known here; check its name.",
        ),
        ("7", "", "请求内容：应为对象，收到的是整数。", "The request: must be an object, not a whole number."),
    ],
)
def test_a_person_is_told_what_was_expected_in_his_language(body: str, at: str, chinese: str, english: str) -> None:
    with pytest.raises(Invalid) as refused:
        body_decoder(Whole)(body.encode())

    in_chinese, in_english = told(refused.value, "zh-CN"), told(refused.value, "en")
    assert (in_chinese["detail"], in_english["detail"]) == (chinese, english)
    assert in_chinese["at"] == in_english["at"] == at
    assert in_chinese["errors"] == [{"pointer": f"#{at}", "detail": chinese.rpartition("：")[2].rstrip("。")}]
    assert not CHINESE.search(english)


def test_a_query_names_its_parameter() -> None:
    with pytest.raises(Invalid) as refused:
        query_decoder(Search)(b"hue=red&hue=grey")

    document = told(refused.value, "zh-CN")
    assert (document["at"], document["detail"]) == ("?hue/1", "hue第 2 项：只能是 red、blue。")
    assert document["errors"] == [{"parameter": "hue/1", "detail": "只能是 red、blue"}]


def test_what_was_sent_is_not_sent_back_at_length() -> None:
    with pytest.raises(Invalid) as refused:
        body_decoder(Whole)(b'{"%s":1}' % (b"x" * 5000))

    assert len(document_of(refused.value, language="en", request_id=b"r-1")) < 500


def test_what_spans_a_whole_query_is_a_sentence_by_itself() -> None:
    with pytest.raises(Invalid) as refused:
        query_decoder(Inner)(b"hue=red&is_plain=true")

    document = told(refused.value, "en")
    assert (document["at"], document["detail"]) == ("?", "What is plain has no hue.")
    assert document["errors"] == [{"detail": "what is plain has no hue"}]


@pytest.mark.parametrize("where", [{"field": "rows[1].size"}, {"at": "/rows/1/size"}])
def test_a_room_that_names_a_field_is_told_of_by_the_name_on_the_pages(where: dict[str, str]) -> None:
    problem = Full(**where, least=2, most=9)

    chinese, english = told(problem, "zh-CN"), told(problem, "en")

    assert chinese["detail"] == "行第 2 项的人数：该团已满（2 至 9）。"
    assert english["detail"] == "Rows, item 2, size: no seat is left in this group (2 to 9)."
    assert english["errors"] == [{"pointer": "#/rows/1/size", "detail": "no seat is left in this group (2 to 9)"}]
    assert {name: english[name] for name in where} == where


def test_a_refusal_that_names_no_field_has_its_title_alone() -> None:
    assert {"detail", "errors"}.isdisjoint(told(Full(at="2026-11-23", field=None), "en"))


async def test_a_refusal_over_http_is_in_the_language_asked_for() -> None:
    path = "/v1/campuses/beijing/groups/g_1/members"

    answer = await ask(
        small_api(), "POST", path, JSON, KEY, (b"accept-language", b"en"), body=b'{"lines":[]}', token="li"
    )

    assert (answer.status, answer.json["detail"]) == (422, "Lines: must not be empty.")
