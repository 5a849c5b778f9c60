"""Problem documents: a refusal as machines and people read it (RFC 9457, J2, J5)."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from tuanzi.base.money import Money
from tuanzi.base.problem import Problem, Words
from tuanzi.machinery.http.misfits import UNNAMED, Misfit, Vocabulary, field_members
from tuanzi.machinery.http.problems import (
    BodyTooLarge,
    MethodNotAllowed,
    NotSignedIn,
    RequestTimeout,
    UpgradeNeeded,
)

RawHeaders = list[tuple[bytes, bytes]]

CHINESE, ENGLISH = "zh-CN", "en"
_LATER = frozenset({429, 503})
_OWN = frozenset({"type", "title", "status", "code", "instance"})


def preferred_language(accepted: bytes, languages: Sequence[str]) -> str:
    """The language of `languages` the client likes best by its Accept-Language; the first one when it likes none.

    Equal weights: the one named first by the client (RFC 9110, 12.5.4).
    """
    ranked = []
    for part in accepted[:512].decode("latin-1").lower().split(","):
        tag, _, parameter = part.strip().partition(";")
        ranked.append((_weight(parameter), tag.strip().partition("-")[0]))
    for weight, tag in sorted(ranked, key=lambda one: -one[0]):
        if weight <= 0:
            break
        if tag == "*":
            return languages[0]
        for language in languages:
            if language.lower().partition("-")[0] == tag:
                return language
    return languages[0]


def title_of(kind: type[Problem], language: str) -> str:
    """The title of a refusal in that language."""
    return kind.title_en() if language == ENGLISH else kind.title_zh


def document_of(problem: Problem, *, language: str, request_id: bytes, known: Vocabulary = UNNAMED) -> bytes:
    """The JSON of a refusal: its facts beside the members of RFC 9457; a fact `detail` is the detail.

    known: how a person is told of fields.
    """
    kind = type(problem)
    document: dict[str, Any] = {
        "type": f"/problems/{kind.code}",
        "title": title_of(kind, language),
        "status": kind.status,
        "code": kind.code,
        "instance": request_id.decode("ascii"),
    }
    is_english = language == ENGLISH
    said = problem.sentence()
    if said is not None:
        document["detail"] = said.en if is_english else said.zh
    document |= field_members(problem.facts, Words(kind.title_zh, kind.title_en()), is_english=is_english, known=known)
    for name, fact in problem.facts.items():
        match fact:
            case _ if name in _OWN:
                pass
            case Misfit():
                document |= fact.members(is_english=is_english, known=known)
            case Words():
                document[name] = fact.en if is_english else fact.zh
            case Money():
                document[name] = fact.fen
            case _:
                document[name] = fact
    return msgspec.json.encode(document, enc_hook=str)


def headers_for(problem: Problem) -> RawHeaders:
    """What a refusal says in headers too: Retry-After, Allow, Upgrade, WWW-Authenticate, Connection."""
    headers: RawHeaders = []
    if problem.status in _LATER:
        wait_s = problem.facts.get("retry_after_s", 1)
        whole_s = -int(-wait_s // 1) if isinstance(wait_s, int | float) else 1
        headers.append((b"retry-after", b"%d" % max(1, whole_s)))
    match problem:
        case MethodNotAllowed():
            headers.append((b"allow", str(problem.facts["allow"]).encode("ascii")))
        case UpgradeNeeded():
            headers.append((b"upgrade", b"websocket"))
        case NotSignedIn():
            headers.append((b"www-authenticate", b'Bearer realm="tuanzi"'))
        case BodyTooLarge() | RequestTimeout():
            # What is left of the body is not worth reading.
            headers.append((b"connection", b"close"))
    return headers


def problem_kinds() -> dict[str, type[Problem]]:
    """Every refusal there is, by its code, in the order of codes."""
    return {kind.code: kind for kind in sorted(_below(Problem), key=lambda kind: (kind.code, kind.__module__))}


def explanation_of(kind: type[Problem]) -> str:
    """What a refusal's docstring says after its title, in English; may be empty."""
    return inspect.cleandoc(kind.__doc__ or "").partition("\n")[2].strip()


def _below(kind: type[Problem]) -> Iterator[type[Problem]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
