"""Says what of a body or a query does not fit, and what was expected there, as a sentence in either language (J5).

The checker's own messages are for programmers, and English; they are read here, and not shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import msgspec

from tuanzi.base.problem import Unfitting, Words

# What is told of what was sent: enough to know it again.
SHOWN_MAX = 40
# Of a longer list nobody reads which there are.
CHOICES_MAX = 12

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)
_KINDS: Mapping[str, Words] = {
    "int": Words("整数", "a whole number"),
    "float": Words("数字", "a number"),
    "str": Words("文字", "text"),
    "bool": Words("true 或 false", "true or false"),
    "array": Words("列表", "a list"),
    "object": Words("对象", "an object"),
    "null": Words("空值", "null"),
    "datetime": Words("时间", "a time"),
    "date": Words("日期", "a date"),
}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What fields are called on the pages, by their names in JSON, and forms of texts, by their patterns."""

    names: Mapping[str, Words] = field(default_factory=dict)
    forms: Mapping[str, Words] = field(default_factory=dict)


# Fields are then called what they are called in JSON.
UNNAMED = Vocabulary()


@dataclass(frozen=True, slots=True)
class Misfit:
    """One thing that does not fit. steps: where, names and places in lists from 0; `*` for any key.

    said: the end of a sentence, or the pattern that a text is to match. is_whole: it is a sentence by itself, which
    needs no name of what it is about.
    """

    said: Words | str
    steps: tuple[str, ...] = ()
    is_query: bool = False
    is_whole: bool = False

    @property
    def at(self) -> str:
        """The place as a JSON pointer (RFC 6901), or `?name` of a query parameter."""
        if self.is_query:
            return f"?{'/'.join(self.steps)}"
        return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in self.steps)

    def members(self, *, is_english: bool, known: Vocabulary) -> dict[str, Any]:
        """What a problem document tells of it: a sentence in `detail`; in `at` and `errors` the place for programs, and
        what stands beside a field on a page (RFC 9457, 3).
        """
        said = self.said if isinstance(self.said, Words) else known.forms.get(self.said, _ODD)
        place = _place(self.steps, known.names)
        if self.is_whole and not self.steps:
            place = Words("", "")
        elif not self.steps:
            place = Words("请求内容", "the request")
        sentence = _sentence(place, said, is_english=is_english)
        where: dict[str, Any] = {"pointer": f"#{quote(self.at, safe='/*')}"}
        if self.is_query:
            where = {"parameter": self.at[1:]} if self.steps else {}
        phrase = said.en if is_english else said.zh
        return {"detail": sentence, "at": self.at, "errors": [{**where, "detail": phrase}]}


_ODD = Words("格式不对", "does not have the form that is expected here")


def misfit_of(error: msgspec.ValidationError, kind: Any, *, is_query: bool = False) -> Misfit:
    """What the checker of a `kind` found."""
    message, found, path = str(error).rpartition(" - at `$")
    if not found:
        message, path = str(error), ""
    steps = [name or ("*" if index == "..." else index) for name, index in _STEP.findall(path.rstrip("`"))]
    if isinstance(error.__cause__, Unfitting):
        return Misfit(error.__cause__.words, tuple(steps), is_query=is_query, is_whole=True)
    match = _FIELD.fullmatch(message)
    if match is not None:
        steps.append(match[2][:SHOWN_MAX])
        is_missing = match[1].startswith("missing")
        return Misfit(MISSING if is_missing else UNKNOWN, tuple(steps), is_query=is_query)
    return Misfit(_said(message, kind, steps), tuple(steps), is_query=is_query)


def words_of(error: msgspec.ValidationError, kind: Any) -> Words:
    """What the checker of a `kind` found, as the end of a sentence about the place where it was."""
    said = misfit_of(error, kind).said
    return said if isinstance(said, Words) else _ODD


MISSING = Words("缺少这一项", "is missing")
UNKNOWN = Words("没有这一项，请检查名称", "is not known here; check its name")
UNKNOWN_PARAMETER = Words("没有这个查询参数", "is no parameter of this address")
TWICE = Words("只能给一次", "may be given once only")
NO_UTF8 = Words("不是 UTF-8 编码", "is not UTF-8")


def query_too_long(bytes_max: int) -> Words:
    """Said of a query that nobody reads to its end."""
    return Words(f"不能超过 {bytes_max} 个字节", f"must be at most {bytes_max} bytes long")


def broken_json(error: Exception) -> Words:
    """Why a body cannot be read as JSON."""
    match error:
        case UnicodeDecodeError():
            return Words("请求体不是 UTF-8 编码。", "The body is not UTF-8.")
        case RecursionError():
            return Words("请求体嵌套过深。", "The body is nested too deeply.")
    byte = re.search(r"\(byte (\d+)\)", str(error))
    if byte is None:
        return Words("请求体不完整：JSON 还没有结束。", "The body is not complete: its JSON does not end.")
    return Words(f"请求体从第 {byte[1]} 个字节起不是 JSON。", f"The body is no JSON from byte {byte[1]} on.")


NO_BODY = Words("这里不需要请求体。", "No body is expected here.")


def field_members(facts: Mapping[str, Any], title: Words, *, is_english: bool, known: Vocabulary) -> dict[str, Any]:
    """What a problem document tells besides, where a room's refusal names the field that it is about; else nothing.

    facts: `field`, as `tiers[1].off_fen`, or `at`, as `/tiers/1/off_fen`; `least` and `most`, when it is to be between.
    """
    field, at = facts.get("field"), facts.get("at")
    if isinstance(field, str) and field:
        steps = [name or index for name, index in _STEP.findall(f".{field}")]
    elif isinstance(at, str) and at.startswith("/"):
        steps = [step.replace("~1", "/").replace("~0", "~") for step in at[1:].split("/")]
    else:
        return {}
    zh, en = title.zh, title.en.rstrip(".")
    en = f"{en[:1].lower()}{en[1:]}"
    if "least" in facts and "most" in facts:
        zh, en = f"{zh}（{facts['least']} 至 {facts['most']}）", f"{en} ({facts['least']} to {facts['most']})"
    misfit = Misfit(Words(zh, en), tuple(steps))
    return {name: told for name, told in misfit.members(is_english=is_english, known=known).items() if name != "at"}


def _said(message: str, kind: Any, steps: Sequence[str]) -> Words | str:
    """The checker's message as the end of a sentence; a pattern as it is."""
    for pattern, say in _MESSAGES:
        found = pattern.fullmatch(message)
        if found is not None:
            return say(found)
    if message.startswith("Invalid enum value"):
        choices = _choices(kind, steps)
        if 0 < len(choices) <= CHOICES_MAX:
            return Words(f"只能是 {'、'.join(choices)}", f"must be one of {', '.join(choices)}")
        return Words("没有这个选项", "is none of what may be chosen")
    return _ODD


def _wrong_kind(found: re.Match[str]) -> Words:
    # `null` among what is expected is said by leaving a field out, so it is not told.
    wanted = [_KINDS.get(one, _KINDS["object"]) for one in found[1].split(" | ") if one != "null"]
    given = _KINDS.get(found[2], _KINDS["object"])
    zh, en = " 或 ".join(one.zh for one in wanted), " or ".join(one.en for one in wanted)
    return Words(f"应为{zh}，收到的是{given.zh}", f"must be {en}, not {given.en}")


def _length(found: re.Match[str]) -> Words:
    is_text, sign, n = found[1] == "str", found[2], int(found[3])
    zh, en = ("个字符", "characters") if is_text else ("项", "items")
    en = en[:-1] if n == 1 else en
    match sign:
        case ">=" if n == 1:
            return Words("不能为空", "must not be empty")
        case ">=":
            return Words(f"至少要有 {n} {zh}", f"must have at least {n} {en}")
        case "<=":
            return Words(f"最多 {n} {zh}", f"must have at most {n} {en}")
        case _:
            return Words(f"须正好 {n} {zh}", f"must have exactly {n} {en}")


def _bound(found: re.Match[str]) -> Words:
    n = found[2]
    match found[1]:
        case ">=":
            return Words(f"不能小于 {n}", f"must be at least {n}")
        case "<=":
            return Words(f"不能大于 {n}", f"must be at most {n}")
        case ">":
            return Words(f"须大于 {n}", f"must be more than {n}")
        case _:
            return Words(f"须小于 {n}", f"must be less than {n}")


_MESSAGES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Words | str]], ...] = (
    (re.compile(r"Expected `([^`]+)`, got `([^`]+)`"), _wrong_kind),
    (re.compile(r"Expected `(str|array|object)` of length (?:(>=|<=) )?(\d+)(?:, got \d+)?"), _length),
    (re.compile(r"Expected `(?:int|float)` (>=|<=|>|<) (-?[\d.]+)"), _bound),
    (re.compile(r"Expected `str` matching regex '(.*)'", re.DOTALL), lambda found: found[1]),
    (
        re.compile(r"Invalid RFC3339 encoded datetime|Expected `datetime` with a timezone component"),
        lambda _: Words(
            "须为带时区的时间，如 2026-11-28T11:30:00+08:00",
            "must be a time with its zone, such as 2026-11-28T11:30:00+08:00",
        ),
    ),
    (
        re.compile(r"Invalid RFC3339 encoded date"),
        lambda _: Words("须为日期，如 2026-11-28", "must be a date, such as 2026-11-28"),
    ),
    (
        re.compile(r"(?:Number|Integer value) out of range"),
        lambda _: Words("数字过大或过小", "is a number out of range"),
    ),
)


def _choices(kind: Any, steps: Sequence[str]) -> list[str]:
    """What may be chosen at a place of a `kind`; none when that is no choice."""
    found = [msgspec.inspect.type_info(kind)]
    for step in steps:
        found = [inner for outer in found for one in _alternatives(outer) for inner in _inside(one, step)]
    return [str(value) for outer in found for one in _alternatives(outer) for value in _values(one)]


def _alternatives(kind: msgspec.inspect.Type) -> Sequence[msgspec.inspect.Type]:
    if isinstance(kind, msgspec.inspect.Metadata):
        return _alternatives(kind.type)
    return kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)


def _inside(kind: msgspec.inspect.Type, step: str) -> Sequence[msgspec.inspect.Type]:
    match kind:
        case msgspec.inspect.StructType():
            return [field.type for field in kind.fields if field.encode_name == step]
        case msgspec.inspect.DictType():
            return [kind.value_type]
        case msgspec.inspect.TupleType():
            return kind.item_types
        case msgspec.inspect.CollectionType() | msgspec.inspect.VarTupleType():
            return [kind.item_type]
        case _:
            return []


def _values(kind: msgspec.inspect.Type) -> Sequence[object]:
    match kind:
        case msgspec.inspect.EnumType():
            return [one.value for one in kind.cls]
        case msgspec.inspect.LiteralType():
            return kind.values
        case _:
            return []


def _place(steps: Sequence[str], names: Mapping[str, Words]) -> Words:
    """The place as a person reads it: `菜品第 1 项的份数`, `dishes, item 1, portions`."""
    zh: list[str] = []
    en: list[str] = []
    for step in steps:
        if step.isdigit():
            zh.append(f"第 {int(step) + 1} 项")
            en.append(f"item {int(step) + 1}")
        else:
            words = names.get(step) or Words(step, step)
            zh.append(f"的{words.zh}" if zh else words.zh)
            en.append(words.en)
    return Words("".join(zh), ", ".join(en))


def _sentence(place: Words, said: Words, *, is_english: bool) -> str:
    if is_english:
        sentence = f"{place.en}: {said.en}." if place.en else f"{said.en}."
        return f"{sentence[:1].upper()}{sentence[1:]}"
    return f"{place.zh}：{said.zh}。" if place.zh else f"{said.zh}。"
