"""Refusals: what a rule answers when it says no (J5, RFC 9457)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Words:
    """A text in both languages of the house."""

    zh: str
    en: str


class Unfitting(ValueError):
    """What a struct of a request says of itself when its fields do not fit each other, as the end of a sentence."""

    def __init__(self, words: Words) -> None:
        super().__init__(words.en)
        self.words = words


class Problem(Exception):
    """The request cannot be carried out; nothing was changed.

    A room's refusals derive from this, one class each: the docstring's first line is the English title,
    `title_zh` the Chinese one, `code` is stable and names the room. Facts given when raising are shown
    to the client: ids, counts and amounts; text for people only as `Words`, of which he is shown his language's.
    """

    code: ClassVar[str] = "problem"
    status: ClassVar[int] = 400
    title_zh: ClassVar[str] = "请求无法完成"

    def __init__(self, **facts: object) -> None:
        super().__init__(f"{type(self).code} {facts}" if facts else type(self).code)
        self.facts = facts

    def sentence(self) -> Words | None:
        """What exactly is wrong, by the facts, where the title does not say it; shown as `detail`."""
        return None

    @classmethod
    def title_en(cls) -> str:
        """The title in English: the first line of the docstring."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]


class Unknown(Problem):
    """There is no such thing, or it is not yours to see."""

    code = "base/unknown"
    status = 404
    title_zh = "不存在或无权查看"


class Forbidden(Problem):
    """Your role does not allow this."""

    code = "base/forbidden"
    status = 403
    title_zh = "没有权限"


class Invalid(Problem):
    """The request does not fit what is expected here.

    `detail` says what does not fit and what is expected, in the language asked for; `errors` where, for programs.
    """

    code = "base/invalid"
    status = 422
    title_zh = "请求内容有误"


class Busy(Problem):
    """Too many people are ordering right now; try again in a moment."""

    code = "base/busy"
    status = 429
    title_zh = "当前下单人数过多，请稍后再试"
