"""Stable names for stored commands and events, and their JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

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


class Codec:
    """Commands and events from their stored names; all of them are known when the house is put together."""

    def __init__(self, *, commands: Iterable[type], events: Iterable[type[Any]]) -> None:
        self._commands: dict[str, msgspec.json.Decoder[Any]] = {
            name_of(kind): msgspec.json.Decoder(kind) for kind in commands
        }
        self._events: dict[tuple[str, int], msgspec.json.Decoder[Any]] = {
            (kind.name, kind.version): msgspec.json.Decoder(kind) for kind in events
        }

    def command(self, name: str, body: str | bytes) -> Any:
        """The stored command. Raises KeyError for a name of a later release."""
        return self._commands[name].decode(body)

    def event(self, name: str, version: int, body: str | bytes) -> Any:
        """The stored event. Raises KeyError for a name or version of a later release."""
        return self._events[name, version].decode(body)
