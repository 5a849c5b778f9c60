"""Tells a refusal the same way wherever it is made: by the API, behind it, at the gateway's door (J2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from tuanzi.base.ids import Ids
from tuanzi.base.problem import Problem
from tuanzi.machinery.http.documents import (
    CHINESE,
    ENGLISH,
    RawHeaders,
    document_of,
    headers_for,
    preferred_language,
)
from tuanzi.machinery.http.endpoint import NOSNIFF, PRIVATE
from tuanzi.machinery.http.misfits import UNNAMED, Vocabulary
from tuanzi.machinery.http.problems import AnswerFailed, MethodNotAllowed, NotFound
from tuanzi.machinery.http.reading import Headers, find_request_id, headers_of

_PROBLEM = (b"content-type", b"application/problem+json")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal as it is sent; its length is not among the headers."""

    status: int
    headers: RawHeaders
    body: bytes


def refusal_of(problem: Problem, *, language: str, request_id: bytes, known: Vocabulary = UNNAMED) -> Refusal:
    """A refusal as it is sent, but for the header that names the request. known: how a person is told of fields."""
    told = [_PROBLEM, NOSNIFF, PRIVATE, (b"content-language", language.encode("ascii")), *headers_for(problem)]
    body = document_of(problem, language=language, request_id=request_id, known=known)
    return Refusal(problem.status, told, body)


class Refusals:
    """Refuses where no route of the API is, in words and form like the API."""

    def __init__(self, ids: Ids, *, languages: Sequence[str] = (CHINESE, ENGLISH)) -> None:
        """ids: for requests that bring no name of their own. languages: the usual one first."""
        self._ids = ids
        self._languages = tuple(languages)

    def tell(self, problem: Problem, headers: Headers) -> Refusal:
        """A refusal, in the language that these headers of a request ask for."""
        request_id = find_request_id(headers) or b"q%b" % self._ids.token()[:16].encode("ascii")
        language = preferred_language(headers.get(b"accept-language", b""), self._languages)
        refusal = refusal_of(problem, language=language, request_id=request_id)
        refusal.headers.append((b"x-request-id", request_id))
        return refusal

    def application(self, routes: Sequence[BaseRoute]) -> Starlette:
        """Starlette over these routes: what it does not know, what they refuse and what breaks is told here."""
        handlers = dict.fromkeys((404, 405, Problem, Exception), self._answer)
        return Starlette(routes=routes, exception_handlers=handlers)

    async def _answer(self, request: Request, error: Exception) -> Response:
        refusal = self.tell(_problem_of(error), headers_of(request.scope["headers"]))
        response = Response(refusal.body, refusal.status)
        response.raw_headers += refusal.headers
        return response


def _problem_of(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case HTTPException(status_code=404):
            return NotFound()
        case HTTPException(status_code=405):
            # Starlette keeps methods in a set.
            allowed = sorted((error.headers or {}).get("Allow", "").split(", "))
            return MethodNotAllowed(allow=", ".join(allowed))
        case _:
            return AnswerFailed()  # raised again by Starlette, so that the server logs it
