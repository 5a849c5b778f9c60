"""The OpenAPI 3.1 description, made from the same routes that are served (J2).

The same routes give the same bytes: everything is in the order of the routes or sorted.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from tuanzi.base.phone import PhoneInText
from tuanzi.base.problem import Busy, Forbidden, Invalid, Problem, Unknown
from tuanzi.machinery.http.endpoint import CAMPUS, Endpoint, endpoint_of
from tuanzi.machinery.http.matching import PARAMETER_PATTERN
from tuanzi.machinery.http.problems import (
    AnswerFailed,
    AnswerLate,
    BodyMalformed,
    BodyTooLarge,
    HeaderMalformed,
    KeyMissing,
    MethodNotAllowed,
    NotFound,
    NotSignedIn,
    RequestTimeout,
    TooManyRequests,
    UnsupportedMedia,
)
from tuanzi.machinery.http.routes import Route
from tuanzi.machinery.problems import Crashed, KeyReused, TooSlow, Unavailable

Document = dict[str, Any]

_REF = "#/components/schemas/{name}"
_PROBLEM: Document = {
    "title": "Problem",
    "description": "A refusal (RFC 9457). Other members are its facts: ids, counts and amounts.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "Where it is explained."},
        "title": {"type": "string", "description": "What is wrong, in zh-CN or en by Accept-Language."},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable; tell problems apart by this."},
        "instance": {"type": "string", "description": "The request's X-Request-Id."},
        "detail": {"type": "string", "description": "What exactly, as a sentence in the same language."},
        "at": {"type": "string", "description": "A JSON pointer into the body, or ?name of a query parameter."},
        "errors": {
            "type": "array",
            "description": "What does not fit: where (RFC 9457, 3), and what to say beside it; of a file, each cell.",
            "items": {
                "type": "object",
                "properties": {
                    "detail": {"type": "string"},
                    "pointer": {"type": "string", "description": "Into the body, as the fragment of a URI: #/phone."},
                    "parameter": {"type": "string", "description": "Of the query."},
                },
            },
        },
    },
    "required": ["type", "title", "status", "code", "instance"],
}
_PARAMETERS: Document = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "Made anew for each thing wanted, sent again with every retry of it: it is then done once.",
        "schema": {"type": "string", "pattern": "^[!-~]{8,64}$", "minLength": 8, "maxLength": 64},
        "example": "7f3e4a90-join-b12",
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "required": False,
        "description": "The ETag of the answer at hand; 304 when it is still the same.",
        "schema": {"type": "string"},
    },
}
_HEADERS: Document = {
    "XRequestId": {"description": "Names this request in logs.", "schema": {"type": "string"}},
    "ETag": {"description": "Changes with the answer.", "schema": {"type": "string"}},
    "RetryAfter": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
    "IdempotentReplayed": {
        "description": "true: the first answer to this Idempotency-Key, again.",
        "schema": {"type": "string", "enum": ["true"]},
    },
}


def openapi_of(routes: Sequence[Route]) -> Document:
    """The description of these routes as one JSON object."""
    kinds = [kind for route in routes for kind in (route.body, route.query, route.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    named = iter(schemas)
    refusals = _Refusals()
    operation_ids: set[str] = set()
    queries: list[str] = []
    paths: Document = {}
    for route in routes:
        body, query, answer = (None if k is None else next(named) for k in (route.body, route.query, route.answer))
        endpoint = endpoint_of(route)
        operation = _operation(endpoint, _name(route, operation_ids))
        if query is not None:
            queries.append(query["$ref"].rpartition("/")[2])
            operation["parameters"] += _query_parameters(components[queries[-1]])
        if body is not None:
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
        operation["responses"] = _responses(endpoint, answer, refusals)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    referred = _references([paths, components])
    for name in queries:
        if name not in referred:
            components.pop(name, None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tuanzi 团子",
            "version": "1",
            "description": "Campus food delivery by group buying. Amounts are whole fen, times RFC 3339. "
            "校园拼团外卖。金额单位为分，时间为 RFC 3339。",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(_room(route) for route in routes)],
        "paths": paths,
        "components": {
            "schemas": {**{name: _cleaned(components[name]) for name in sorted(components)}, "Problem": _PROBLEM},
            "responses": refusals.components,
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
            "securitySchemes": {"session": {"type": "http", "scheme": "bearer"}},
        },
    }


def house_problems(endpoint: Endpoint) -> tuple[type[Problem], ...]:
    """What the house may refuse at this endpoint, whatever the room says."""
    kinds: list[type[Problem]] = [
        HeaderMalformed,
        Invalid,
        AnswerFailed,
        AnswerLate,
        Unavailable,
        MethodNotAllowed,
        TooManyRequests,
    ]
    if endpoint.places:
        kinds += [NotFound, Unknown]
    if endpoint.needs_who:
        kinds += [NotSignedIn]
    if endpoint.roles or endpoint.campus_at is not None:
        kinds += [Forbidden]
    if endpoint.writes:
        kinds += [KeyMissing, KeyReused, BodyMalformed, BodyTooLarge, RequestTimeout, Busy, Crashed, TooSlow]
    if endpoint.takes_body:
        kinds += [UnsupportedMedia]
    if endpoint.keeps_texts:
        kinds += [PhoneInText]
    return tuple(kinds)


class _Refusals:
    """The answers that refuse, each described once and named by status and codes."""

    def __init__(self) -> None:
        self.components: Document = {}
        self._names: dict[tuple[str, ...], str] = {}

    def refer(self, kinds: Iterable[type[Problem]], status: int) -> Document:
        """A reference to the answer with this status that means one of these refusals."""
        by_code = {kind.code: kind for kind in kinds}
        codes = tuple(sorted(by_code))
        if codes not in self._names:
            number = sum(name.startswith(f"Problem{status}") for name in self._names.values()) + 1
            self._names[codes] = name = f"Problem{status}_{number}"
            titles = [f"`{one}`: {by_code[one].title_en()} {by_code[one].title_zh}" for one in codes]
            headers: Document = {"X-Request-Id": {"$ref": "#/components/headers/XRequestId"}}
            if status in (429, 503):
                headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
            only = {"properties": {"status": {"const": status}, "code": {"enum": list(codes)}}}
            schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}, only]}
            self.components[name] = {
                "description": "\n".join(titles),
                "headers": headers,
                "content": {"application/problem+json": {"schema": schema}},
            }
        return {"$ref": f"#/components/responses/{self._names[codes]}"}


def _operation(endpoint: Endpoint, operation_id: str) -> Document:
    route = endpoint.route
    operation: Document = {"operationId": operation_id, "tags": [_room(route)], "summary": route.summary}
    said = inspect.cleandoc(getattr(route.handler, "__doc__", None) or "").partition("\n")[2].strip()
    if said:
        operation["description"] = said
    if endpoint.roles:
        operation["x-roles"] = sorted(endpoint.roles)
    operation["security"] = [{"session": []}] if endpoint.needs_who else [{}, {"session": []}]
    operation["parameters"] = [_path_parameter(name) for name, _ in endpoint.places]
    if endpoint.keyed:
        operation["parameters"].append({"$ref": "#/components/parameters/IdempotencyKey"})
    if not endpoint.writes:
        operation["parameters"].append({"$ref": "#/components/parameters/IfNoneMatch"})
    return operation


def _path_parameter(name: str) -> Document:
    schema = {"type": "string", "pattern": f"^{PARAMETER_PATTERN}$"}
    parameter: Document = {"name": name, "in": "path", "required": True, "schema": schema}
    if name == CAMPUS:
        parameter["example"] = "beijing"
    return parameter


def _query_parameters(struct: Document) -> list[Document]:
    return [
        {"name": name, "in": "query", "required": name in struct.get("required", ()), "schema": schema}
        for name, schema in struct["properties"].items()
    ]


def _references(part: Any) -> set[str]:
    """The names of everything a part of the document refers to."""
    if isinstance(part, dict):
        named = {part["$ref"].rpartition("/")[2]} if isinstance(part.get("$ref"), str) else set()
        return named.union(*map(_references, part.values()))
    return set().union(*map(_references, part)) if isinstance(part, list) else set()


def _responses(endpoint: Endpoint, answer: Document | None, refusals: _Refusals) -> Document:
    headers: Document = {"X-Request-Id": {"$ref": "#/components/headers/XRequestId"}}
    if not endpoint.writes:
        headers["ETag"] = {"$ref": "#/components/headers/ETag"}
    elif endpoint.keyed:
        headers["Idempotent-Replayed"] = {"$ref": "#/components/headers/IdempotentReplayed"}
    success: Document = {"description": HTTPStatus(endpoint.status).phrase, "headers": headers}
    if answer is not None and endpoint.status != 204:
        success["content"] = {endpoint.route.media: {"schema": answer}}
    responses: Document = {str(endpoint.status): success}
    if not endpoint.writes:
        responses["304"] = {"description": HTTPStatus(304).phrase, "headers": headers}
    kinds = (*endpoint.route.problems, *house_problems(endpoint))
    for status in sorted({kind.status for kind in kinds}):
        responses[str(status)] = refusals.refer((kind for kind in kinds if kind.status == status), status)
    return responses


def _room(route: Route) -> str:
    """The room a handler stands in: `groups` for tuanzi.groups.web."""
    parts = route.handler.__module__.split(".")
    return parts[-2] if len(parts) > 1 else parts[0]


def _name(route: Route, taken: set[str]) -> str:
    """An operation id: room and handler; with the path where one handler serves several routes."""
    name = f"{_room(route)}_{getattr(route.handler, '__name__', 'handler')}"
    if name in taken:
        name += "_" + re.sub("[^a-z0-9]+", "_", f"{route.method} {route.path}".lower()).strip("_")
    taken.add(name)
    return name


def _cleaned(schema: Document) -> Document:
    if "description" in schema:
        schema["description"] = inspect.cleandoc(schema["description"])
    return schema
