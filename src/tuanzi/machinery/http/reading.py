"""Reading a request: headers, the token, the Idempotency-Key, the body, the query. Everything is bounded (J5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.types import Receive, Scope

from tuanzi.base.phone import PhoneInText, find_phones
from tuanzi.base.problem import Invalid, Words
from tuanzi.machinery.http.misfits import (
    NO_BODY,
    NO_UTF8,
    SHOWN_MAX,
    TWICE,
    UNKNOWN_PARAMETER,
    Misfit,
    broken_json,
    misfit_of,
    query_too_long,
)
from tuanzi.machinery.http.problems import BodyMalformed, BodyTooLarge, HeaderMalformed, UnsupportedMedia

Headers = dict[bytes, bytes]

# Given twice, these would let two readers of one request see two different requests.
_ONCE = frozenset({b"authorization", b"idempotency-key", b"content-type", b"content-length", b"x-request-id"})
_is_key = re.compile(rb"[\x21-\x7e]{8,64}").fullmatch
_is_token = re.compile(rb"[\x21-\x7e]{1,256}").fullmatch
_is_request_id = re.compile(rb"[A-Za-z0-9._:-]{1,64}").fullmatch
_is_json = re.compile(rb"application/json\s*(;\s*charset=\"?utf-8\"?\s*)?", re.IGNORECASE).fullmatch
QUERY_BYTES_MAX = 4096


class Gone(Exception):
    """The client went away; nobody waits for an answer."""


def headers_of(raw: Sequence[tuple[bytes, bytes]]) -> Headers:
    """The headers by name; those that may be given twice are joined with commas (RFC 9110, 5.3)."""
    headers = dict(raw)
    if len(headers) != len(raw):
        headers = {}
        for name, value in raw:
            headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def check_repeats(raw: Sequence[tuple[bytes, bytes]]) -> None:
    """Raises HeaderMalformed when a header that stands once is given twice."""
    names = [name for name, _ in raw]
    for name in sorted(_ONCE):
        if names.count(name) > 1:
            raise HeaderMalformed(header=name.decode())


def find_request_id(headers: Headers) -> bytes | None:
    """The client's X-Request-Id when it is one that may stand in a log."""
    given = headers.get(b"x-request-id")
    return given if given is not None and _is_request_id(given) else None


def find_token(headers: Headers) -> str | None:
    """The bearer token; None when there is none or it cannot be one."""
    given = headers.get(b"authorization")
    if given is None or given[:7].lower() != b"bearer " or _is_token(given, 7) is None:
        return None
    return given[7:].decode("ascii")


def find_key(headers: Headers) -> str | None:
    """The Idempotency-Key; None when there is none or it is not one."""
    given = headers.get(b"idempotency-key")
    return given.decode("ascii") if given is not None and _is_key(given) else None


def check_json(headers: Headers) -> None:
    """Raises UnsupportedMedia unless the body is said to be JSON in UTF-8."""
    given = headers.get(b"content-type", b"")
    if given != b"application/json" and _is_json(given) is None:
        raise UnsupportedMedia()


def find_body(scope: Scope, headers: Headers, bytes_max: int) -> bytes | None:
    """The whole body when the server says that it is here already; most are. Raises BodyTooLarge."""
    received = scope.get("tuanzi.received")
    if received is None:
        return None
    _check_length(headers, bytes_max)
    body: bytes | None = received()
    if body is not None and len(body) > bytes_max:
        raise BodyTooLarge(bytes_max=bytes_max)
    return body


def _check_length(headers: Headers, bytes_max: int) -> None:
    said = headers.get(b"content-length")
    if said is not None:
        if not said.isdigit() or len(said) > 18:
            raise HeaderMalformed(header="content-length")
        if int(said) > bytes_max:
            raise BodyTooLarge(bytes_max=bytes_max)


async def read_body(receive: Receive, headers: Headers, bytes_max: int) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as that is known, and Gone when the client hangs up."""
    _check_length(headers, bytes_max)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > bytes_max:
            raise BodyTooLarge(bytes_max=bytes_max)
        if not message.get("more_body", False):
            return b"".join([*chunks, chunk]) if chunks else chunk
        chunks.append(chunk)


def body_decoder(kind: Any) -> Callable[[bytes], Any]:
    """Turns a body into a checked `kind`; None stands for routes that take no body.

    Raises BodyMalformed (400) for what is no JSON, Invalid (422) for JSON that does not fit.
    """
    decode = msgspec.json.Decoder(kind).decode

    def decoded(body: bytes) -> Any:
        try:
            return decode(body)
        except msgspec.ValidationError as error:
            raise Invalid(misfit=misfit_of(error, kind)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BodyMalformed(detail=broken_json(error)) from None

    return decoded


def without_phones(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Decodes as `decode`, and refuses texts with phones in them. Raises PhoneInText, which names the first place."""

    def decoded(body: bytes) -> Any:
        value = decode(body)
        at = next(find_phones(msgspec.to_builtins(value)), None)
        if at is not None:
            raise PhoneInText(at=at)
        return value

    return decoded


def empty_body(body: bytes) -> None:
    """What a route without a body accepts: nothing, or an empty object as some clients send it."""
    if body and body.strip() != b"{}":
        raise BodyMalformed(detail=NO_BODY)


def query_decoder(kind: Any) -> Callable[[bytes], Any]:
    """Turns a query string into a checked `kind`, a struct, or accepts none at all when `kind` is None.

    Raises Invalid: unknown names, a name twice that is no list, values that do not fit, no UTF-8.
    """
    if kind is None:
        return _no_query
    fields = {field.encode_name: _is_list(field.type) for field in msgspec.structs.fields(kind)}

    def decoded(query: bytes) -> Any:
        values: dict[str, Any] = {}
        for name, value in _pairs(query):
            if name not in fields:
                raise _unfit(UNKNOWN_PARAMETER, name)
            if fields[name]:
                values.setdefault(name, []).append(value)
            elif name in values:
                raise _unfit(TWICE, name)
            else:
                values[name] = value
        try:
            return msgspec.convert(values, kind, strict=False)
        except msgspec.ValidationError as error:
            raise Invalid(misfit=misfit_of(error, kind, is_query=True)) from None

    return decoded


def _no_query(query: bytes) -> None:
    for name, _ in _pairs(query):
        raise _unfit(UNKNOWN_PARAMETER, name)


def _pairs(query: bytes) -> list[tuple[str, str]]:
    if len(query) > QUERY_BYTES_MAX:
        raise _unfit(query_too_long(QUERY_BYTES_MAX))
    pairs = []
    for part in query.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            pairs.append((_plain(name), _plain(value)))
    return pairs


def _plain(text: bytes) -> str:
    if b"+" in text or b"%" in text:
        text = unquote_to_bytes(text.replace(b"+", b" "))
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise _unfit(NO_UTF8) from None


def _is_list(hint: Any) -> bool:
    kind = msgspec.inspect.type_info(hint)
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    return any(isinstance(one, msgspec.inspect.CollectionType | msgspec.inspect.VarTupleType) for one in kinds)


def _unfit(said: Words, *steps: str) -> Invalid:
    return Invalid(misfit=Misfit(said, tuple(step[:SHOWN_MAX] for step in steps), is_query=True))
