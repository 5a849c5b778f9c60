"""Serves the pages people use: built files from memory, checked for and compressed once (J1)."""

from __future__ import annotations

import gzip
import mimetypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from tuanzi.machinery.http.problems import MethodNotAllowed, NotFound

# Build tools put a hash of the content into the names of what is here: it never changes.
_HASHED = "assets"
_FOREVER = "public, max-age=31536000, immutable"
# index.html and the like: kept, but asked for again each time, and then mostly answered 304.
_REVALIDATED = "no-cache"
_COMPRESSED = frozenset({".html", ".js", ".css", ".json", ".svg", ".txt"})
_COMPRESSED_BYTES_MIN = 1024
# Pages run their own scripts only, speak to this server and its gateway only, and cannot be put into a frame.
_POLICY = (
    "default-src 'self'; img-src 'self' data:; font-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; connect-src 'self'"
)
_is_host = re.compile(r"[A-Za-z0-9.-]+|[0-9a-fA-F:.]+").fullmatch
_ALWAYS = {"x-content-type-options": "nosniff", "referrer-policy": "same-origin"}
_NO_PAGE = "没有这个页面。There is no such page.\n"
_NOT_BUILT = "These pages are not built yet; `make setup` builds them. 页面尚未构建，请运行 make setup。\n"


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """A file as it is sent; `packed` is the same as gzip, None where that is not worth it."""

    media: str
    body: bytes
    packed: bytes | None
    etag: str
    keeping: str


class BuiltPages:
    """An ASGI application over one folder of built files, to be mounted; files are read when first asked for."""

    def __init__(self, folder: Traversable, *, gateway_of: Callable[[str], str]) -> None:
        """folder: where the build put index.html; may be absent, then there is an explanation to read.

        gateway_of: where pages from this host find the gateway of live messages.
        """
        self._gateway_of = gateway_of
        self._files = dict(_files(folder, PurePosixPath()))
        self._load = cache(self._load_file)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3). Raises NotFound, MethodNotAllowed for who reads no page but documents."""
        request = Request(scope)
        reads_pages = "text/html" in request.headers.get("accept", "")
        name = scope["path"].removeprefix(scope.get("root_path", ""))
        if not name:
            response: Response = RedirectResponse(f"{scope['path']}/", 308)
        elif request.method not in ("GET", "HEAD"):
            if not reads_pages:
                raise MethodNotAllowed(allow="GET, HEAD")
            response = Response(status_code=405, headers={"allow": "GET, HEAD"})
        elif not self._files:
            response = Response(_NOT_BUILT, 503, media_type="text/plain")
        else:
            file = name.lstrip("/") or "index.html"
            if file not in self._files and not reads_pages:
                raise NotFound()
            response = self._answer(file, request.headers)
            if response.media_type == "text/html":
                response.headers["content-security-policy"] = self._policy(request.url.hostname or "")
        await response(scope, receive, send)

    def _answer(self, name: str, headers: Headers) -> Response:
        if name not in self._files:
            return Response(_NO_PAGE, 404, headers=_ALWAYS, media_type="text/plain")
        file = self._load(name)
        kept = {**_ALWAYS, "cache-control": file.keeping, "etag": f'"{file.etag}"'}
        body = file.body
        if file.packed is not None:
            kept["vary"] = "accept-encoding"
            if "gzip" in headers.get("accept-encoding", ""):
                body = file.packed
                kept |= {"content-encoding": "gzip", "etag": f'"{file.etag}-gzip"'}
        # Weakly compared (RFC 9110, 13.1.2); either coding of the same content is still good.
        if file.etag in headers.get("if-none-match", ""):
            return Response(status_code=304, headers=kept)
        return Response(body, headers=kept, media_type=file.media)

    def _policy(self, host: str) -> str:
        """What a page may do; a host that is no name is left out, for it came with the request."""
        if _is_host(host) is None:
            return _POLICY
        return f"{_POLICY} {self._gateway_of(f'[{host}]' if ':' in host else host)}"

    def _load_file(self, name: str) -> BuiltFile:
        body = self._files[name].read_bytes()
        suffix = PurePosixPath(name).suffix
        media = mimetypes.guess_type(name)[0] or "application/octet-stream"
        is_packed = suffix in _COMPRESSED and len(body) >= _COMPRESSED_BYTES_MIN
        return BuiltFile(
            media="text/javascript" if suffix == ".js" else media,
            body=body,
            packed=gzip.compress(body, mtime=0) if is_packed else None,
            etag=blake2b(body, digest_size=9).hexdigest(),
            keeping=_FOREVER if name.startswith(f"{_HASHED}/") else _REVALIDATED,
        )


def _files(folder: Traversable, at: PurePosixPath) -> list[tuple[str, Traversable]]:
    """Every file below a folder by its path; empty when there is no such folder."""
    if not folder.is_dir():
        return []
    found: list[tuple[str, Traversable]] = []
    for entry in folder.iterdir():
        place = at / entry.name
        found += _files(entry, place) if entry.is_dir() else [(str(place), entry)]
    return found
