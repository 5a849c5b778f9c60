"""The pages that explain the API: /openapi.json, /docs and /problems, in zh-CN and en, without foreign assets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import blake2b
from html import escape
from typing import Any

import msgspec

from tuanzi.base.problem import Problem
from tuanzi.machinery.http.documents import ENGLISH, RawHeaders, explanation_of, problem_kinds, title_of

_HTML = b"text/html; charset=utf-8"
_JSON = b"application/json"
_SAFE: RawHeaders = [(b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'")]
_BY_LANGUAGE: RawHeaders = [(b"vary", b"accept, accept-language")]
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "code{background:#f2f2f2;padding:.1em .3em;border-radius:3px}section{border-top:1px solid #ddd;padding:.5rem 0}"
    "h3{margin:.5rem 0}b{display:inline-block;min-width:4.5rem}li{margin:.2rem 0}"
)
_WORDS = {
    "zh": {
        "api": "接口说明",
        "answers": "应答",
        "roles": "需要身份",
        "open": "无需登录",
        "session": "需要登录",
        "key": "需要 Idempotency-Key",
        "problems": "错误说明",
        "status": "状态码",
    },
    "en": {
        "api": "The API",
        "answers": "Answers",
        "roles": "For",
        "open": "No session needed",
        "session": "Session needed",
        "key": "Needs an Idempotency-Key",
        "problems": "Problems",
        "status": "Status",
    },
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page ready to be sent."""

    media: bytes
    body: bytes
    etag: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Pages:
    """Finds the page at a path. describe: makes the OpenAPI document, when somebody first asks for it."""

    def __init__(self, describe: Callable[[], dict[str, Any]]) -> None:
        self._describe = describe
        self._docs = cache(self._make_docs)

    @cached_property
    def _openapi(self) -> dict[str, Any]:
        return self._describe()

    @cached_property
    def _document(self) -> Page:
        return _page(_JSON, msgspec.json.encode(self._openapi))

    def has(self, path: str) -> bool:
        """Whether the path is one of these pages' or would be."""
        return path in ("/openapi.json", "/docs", "/problems") or path.startswith("/problems/")

    def find(self, path: str, *, language: str, html: bool) -> Page | None:
        """The page; None when there is none. html: whether the reader takes HTML (problems are JSON otherwise)."""
        if path == "/openapi.json":
            return self._document
        if path == "/docs":
            return self._docs(language)
        kinds = problem_kinds()
        if path == "/problems":
            return _problems_page(list(kinds.values()), language, html)
        kind = kinds.get(path.removeprefix("/problems/"))
        return None if kind is None else _problems_page([kind], language, html)

    def _make_docs(self, language: str) -> Page:
        words = _words(language)
        parts = [f"<p>{escape(self._openapi['info']['description'])}</p>"]
        parts.append(f'<p><a href="/openapi.json">openapi.json</a> · <a href="/problems">{words["problems"]}</a></p>')
        room = ""
        for method, path, operation in _operations(self._openapi):
            if operation["tags"][0] != room:
                room = operation["tags"][0]
                parts.append(f"<h2>{escape(room)}</h2>")
            parts.append(self._section(method, path, operation, words))
        return _html(words["api"], language, "".join(parts))

    def _section(self, method: str, path: str, operation: dict[str, Any], words: dict[str, str]) -> str:
        needs = [words["open"] if {} in operation["security"] else words["session"]]
        if "x-roles" in operation:
            needs.append(f"{words['roles']}: {', '.join(operation['x-roles'])}")
        if {"$ref": "#/components/parameters/IdempotencyKey"} in operation["parameters"]:
            needs.append(words["key"])
        answers = "".join(
            f"<li>{status}: {self._answer(answer)}</li>" for status, answer in operation["responses"].items()
        )
        said = operation.get("description", "")
        return (
            f'<section id="{escape(operation["operationId"])}">'
            f"<h3><b>{method.upper()}</b><code>{escape(path)}</code></h3>"
            f"<p>{escape(operation['summary'])}</p>{f'<p>{escape(said)}</p>' if said else ''}"
            f"<p>{escape(' · '.join(needs))}</p>"
            f"<details><summary>{words['answers']}</summary><ul>{answers}</ul></details></section>"
        )

    def _answer(self, answer: dict[str, Any]) -> str:
        if "$ref" in answer:
            answer = self._openapi["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        return escape(answer["description"]).replace("\n", "<br>")


def _operations(openapi: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    found = [
        (method, path, operation)
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
    ]
    rooms = [tag["name"] for tag in openapi["tags"]]
    return iter(sorted(found, key=lambda one: rooms.index(one[2]["tags"][0])))


def _problems_page(kinds: list[type[Problem]], language: str, html: bool) -> Page:
    if not html:
        told = [_told(kind) for kind in kinds]
        return _page(_JSON, msgspec.json.encode(told[0] if len(told) == 1 else {"items": told}), _BY_LANGUAGE)
    words = _words(language)
    other = "zh-CN" if language == ENGLISH else ENGLISH
    parts = [
        f'<section><h3><a href="/problems/{escape(kind.code)}"><code>{escape(kind.code)}</code></a></h3>'
        f"<p>{escape(title_of(kind, language))}</p><p>{escape(title_of(kind, other))}</p>"
        f"<p>{escape(explanation_of(kind))}</p><p>{words['status']} {kind.status}</p></section>"
        for kind in kinds
    ]
    return _html(words["problems"], language, "".join(parts))


def _told(kind: type[Problem]) -> dict[str, Any]:
    return {
        "type": f"/problems/{kind.code}",
        "code": kind.code,
        "status": kind.status,
        "title_zh": kind.title_zh,
        "title_en": kind.title_en(),
        "explanation": explanation_of(kind),
    }


def _html(title: str, language: str, content: str) -> Page:
    text = (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title} · 团子</title>'
        f"<style>{_STYLE}</style></head>"
        f"<body><h1>{title}</h1>{content}</body></html>"
    )
    headers = [*_SAFE, *_BY_LANGUAGE, (b"content-language", language.encode("ascii"))]
    return _page(_HTML, text.encode(), headers)


def _page(media: bytes, body: bytes, headers: RawHeaders | None = None) -> Page:
    etag = b'"%b"' % blake2b(body, digest_size=9).hexdigest().encode("ascii")
    return Page(media, body, etag, tuple(headers or ()))


def _words(language: str) -> dict[str, str]:
    return _WORDS["en" if language == ENGLISH else "zh"]
