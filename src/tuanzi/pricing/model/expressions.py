"""Expressions as operators write them, compiled.

They may use the names they are offered, numbers, texts, comparisons, arithmetic, `? :` and min, max, floor, ceil over
a list. Nothing that loops, reads the clock or makes chance gets past `compile_text`, so that an expression always
ends within microseconds and says the same for the same cart. This module alone knows the zen engine.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from numbers import Real
from typing import Any, Final

import zen

TEXT_LENGTH_MAX: Final = 300
FEN_MAX: Final = 100_000_000  # a million yuan; more is a mistake in the rule, not an offer
FUNCTIONS: Final = frozenset({"min", "max", "floor", "ceil"})
WORDS: Final = frozenset({"and", "or", "not", "in", "true", "false"})

# What the engine says is JSON; of it the words for people.
_SOURCE = re.compile(r'"source":"((?:[^"\\]|\\.)*)"')
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[0-9]{1,12}(?:\.[0-9]{1,6})?(?![\w.]))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<text>'[^'\\]{0,64}')
      | (?P<sign>==|!=|>=|<=|[><+\-*/%()\[\],?:!])
    )""",
    re.VERBOSE,
)
Fact = int | bool | str


class ExpressionBad(ValueError):
    """The expression cannot be used, or gave what is neither a yes/no nor an amount in fen.

    why, what: the same for pages, which say it in their language: the kind of fault, and which word or value it is;
    the engine's own words are for who calls it.
    """

    def __init__(self, reason: str, *, why: str = "expression", what: str = "") -> None:
        super().__init__(reason)
        self.why = why
        self.what = what


class Expression:
    """A compiled expression; `names` are the facts it needs."""

    __slots__ = ("_evaluate", "names")

    def __init__(self, text: str, names: frozenset[str]) -> None:
        self.names = names
        try:
            self._evaluate = zen.compile_expression(text).evaluate
        except RuntimeError as error:
            raise ExpressionBad(_reason(error)) from error

    def is_true(self, facts: dict[str, Fact]) -> bool:
        """What a condition says of these facts. Raises ExpressionBad for anything but true or false."""
        said = self._run(facts)
        if isinstance(said, bool):
            return said
        raise ExpressionBad(
            f"a condition must say true or false, not {said!r:.60}", why="condition", what=f"{said!r:.60}"
        )

    def fen(self, facts: dict[str, Fact]) -> int:
        """The amount, in fen, that these facts give; what is not a whole fen is rounded down (our rule).

        Raises ExpressionBad: no number, not finite, negative, or above FEN_MAX.
        """
        said = self._run(facts)
        is_number = isinstance(said, Real) and not isinstance(said, bool)
        if is_number and math.isfinite(said) and 0 <= said <= FEN_MAX:
            fen: int = math.floor(said)
            return fen
        raise ExpressionBad(
            f"an amount must be 0 to {FEN_MAX} fen, not {said!r:.60}", why="amount", what=f"{said!r:.60}"
        )

    def _run(self, facts: dict[str, Fact]) -> Any:
        try:
            return self._evaluate(facts)
        except RuntimeError as error:
            raise ExpressionBad(_reason(error)) from error


@lru_cache(maxsize=1024)
def compile_text(text: str) -> Expression:
    """The expression that `text` says; compiled once for each text, the 1,024 last used are kept.

    Raises ExpressionBad: too long, a sign or word that is not allowed, or not an expression.
    """
    if len(text) > TEXT_LENGTH_MAX:
        raise ExpressionBad(f"longer than {TEXT_LENGTH_MAX} characters", why="long", what=str(TEXT_LENGTH_MAX))
    names: set[str] = set()
    at, end = 0, len(text.rstrip())
    while at < end:
        token = _TOKEN.match(text, at)
        if token is None:
            sign = text[at : at + 12].strip()
            raise ExpressionBad(f"not allowed at character {at + 1}: {sign!r}", why="sign", what=sign)
        at = token.end()
        name = token["name"]
        if name in FUNCTIONS and not text[at:].lstrip().startswith("("):
            raise ExpressionBad(f"{name} is a function", why="function", what=name)
        if name and name not in WORDS and name not in FUNCTIONS:
            names.add(name)
    return Expression(text, frozenset(names))


def _reason(error: RuntimeError) -> str:
    """The engine's words without its stack trace, and without the JSON that they come in."""
    said = str(error).partition("\n")[0]
    found = _SOURCE.search(said)
    return (said if found is None else found[1])[:200]
