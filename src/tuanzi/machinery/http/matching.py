"""Which endpoints stand at a path: a tree of segments, built once, walked once for each request.

A literal segment goes before a parameter, leftmost first; walking never turns back, because what stands behind
a parameter is also planted behind each literal beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote

from starlette.types import Scope

EndpointT = TypeVar("EndpointT")

# Every id of the house and every campus fits; what does not is no address (404).
PARAMETER_PATTERN = "[A-Za-z0-9][A-Za-z0-9._:~-]{0,63}"
_is_parameter = re.compile(PARAMETER_PATTERN).fullmatch
_NAME = re.compile(r"\{([a-z_]+)\}")


@dataclass(slots=True)
class Spot(Generic[EndpointT]):
    """One place in the tree: what may follow, and the endpoints here by method."""

    literals: dict[str, Spot[EndpointT]] = field(default_factory=dict)
    parameter: Spot[EndpointT] | None = None
    endpoints: dict[str, EndpointT] = field(default_factory=dict)

    @property
    def allowed(self) -> str:
        """The methods answered here, as the Allow header says them."""
        return ", ".join(sorted({*self.endpoints, "OPTIONS"}))


def plant(planted: Iterable[tuple[str, str, EndpointT]]) -> Spot[EndpointT]:
    """The tree of these (method, path, endpoint); a GET also answers HEAD.

    Raises ValueError: a path that is none, or two endpoints with the same method and path.
    """
    root: Spot[EndpointT] = Spot()
    for method, path, endpoint in planted:
        spot = root
        for segment in path_segments(path):
            spot = _grow(spot, is_parameter=_NAME.fullmatch(segment) is not None, segment=segment)
        for answered in ("GET", "HEAD") if method == "GET" else (method,):
            if answered in spot.endpoints:
                raise ValueError(f"two routes for {method} {path}")
            spot.endpoints[answered] = endpoint
    _settle(root)
    return root


def find_spot(root: Spot[EndpointT], segments: Sequence[str]) -> Spot[EndpointT] | None:
    """The spot of a path with endpoints; None when there is none."""
    spot = root
    for segment in segments:
        child = spot.literals.get(segment)
        if child is None:
            child = spot.parameter
            if child is None or _is_parameter(segment) is None:
                return None
        spot = child
    return spot if spot.endpoints else None


def path_segments(path: str) -> list[str]:
    """The segments of a route's path, e.g. ["", "v1", "campuses", "{campus}"]."""
    segments = path.split("/")
    if segments[0] or len(segments) < 2 or not all(segments[1:]):
        raise ValueError(f"not a path: {path!r}")
    for segment in segments:
        if ("{" in segment or "}" in segment) and _NAME.fullmatch(segment) is None:
            raise ValueError(f"not a parameter: {segment!r} in {path!r}")
    return segments


def parameters(path: str) -> tuple[tuple[str, int], ...]:
    """The names of a path's parameters and where they stand among its segments."""
    named = [(segment[1:-1], i) for i, segment in enumerate(path_segments(path)) if segment.startswith("{")]
    if len(dict(named)) != len(named):
        raise ValueError(f"a name stands twice in {path!r}")
    return tuple(named)


def requested_segments(scope: Scope) -> list[str]:
    """The segments asked for, each decoded on its own, so that %2F stays inside. What is no UTF-8 matches nothing."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None or b"%" not in raw:
        path: str = scope["path"]
        return path.split("/")
    return [unquote(segment) for segment in raw.decode("latin-1").split("/")]


def _grow(spot: Spot[EndpointT], *, is_parameter: bool, segment: str) -> Spot[EndpointT]:
    if not is_parameter:
        return spot.literals.setdefault(segment, Spot())
    if spot.parameter is None:
        spot.parameter = Spot()
    return spot.parameter


def _settle(spot: Spot[EndpointT]) -> None:
    """Plant what stands behind each parameter behind the literals beside it too."""
    for child in spot.literals.values():
        _settle(child)
    if spot.parameter is not None:
        _settle(spot.parameter)
        for child in spot.literals.values():
            _inherit(child, spot.parameter)


def _inherit(into: Spot[EndpointT], source: Spot[EndpointT]) -> None:
    """Add to a settled spot what another settled one has and it has not."""
    for method, endpoint in source.endpoints.items():
        into.endpoints.setdefault(method, endpoint)
    for segment, child in source.literals.items():
        if segment not in into.literals:
            into.literals[segment] = Spot()
            if into.parameter is not None:
                _inherit(into.literals[segment], into.parameter)
        _inherit(into.literals[segment], child)
    if source.parameter is None:
        return
    for segment, own in into.literals.items():
        if segment not in source.literals:
            _inherit(own, source.parameter)
    if into.parameter is None:
        into.parameter = Spot()
    _inherit(into.parameter, source.parameter)
