"""Stable names for stored commands and events, and their JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Struct

# What reading raises for a name of another release, and for a body that is damaged.
UNREADABLE = (KeyError, TypeError, ValueError)
# The JSON of an answer, command or event.
encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
_NAMES: dict[type, str] = {}


def name_of(kind: type) -> str:
    """The stable name of a command: its room and type, e.g. `groups.ExpireSeat`."""
    name = _NAMES.get(kind)
    if name is None:
        room = kind.__module__.removeprefix("tuanzi.").partition(".")[0]
        name = _NAMES[kind] = f"{room}.{kind.__name__}"
    return name


class Unreadable(Struct, frozen=True, kw_only=True, gc=False):
    """An event of a log that this release cannot read; says why."""

    name: str
    reason: str


class Codec:
    """Commands and events from their stored names; all of them are known when the house is put together."""

    def __init__(self, *, commands: Iterable[type], events: Iterable[type[Any]]) -> None:
        self._commands: dict[str, msgspec.json.Decoder[Any]] = {
            name_of(kind): msgspec.json.Decoder(kind) for kind in commands
        }
        self._events: dict[tuple[str, int], msgspec.json.Decoder[Any]] = {
            (kind.name, kind.version): msgspec.json.Decoder(kind) for kind in events
        }
        self.event_names = frozenset(name for name, _ in self._events)

    def command(self, name: str, body: str | bytes) -> Any:
        """The stored command. Raises one of UNREADABLE."""
        return self._commands[name].decode(body)

    def event(self, name: str, version: int, body: str | bytes) -> Any:
        """The stored event. Raises one of UNREADABLE."""
        return self._events[name, version].decode(body)

    def event_if_readable(self, name: str, version: int, body: str | bytes) -> Any:
        """The stored event, or Unreadable in its place."""
        try:
            return self.event(name, version, body)
        except UNREADABLE as error:
            return Unreadable(name=name, reason=f"{name} {version}: {type(error).__name__}")
