"""The Centrifugo client protocol, JSON: what clients say and what they are answered (decision 0014).

Frames hold one JSON object a line. A command has an id and one member named after what is wanted; a reply has the
same id; a push has none; the empty object is a ping, answered by an empty object. `protobuf` says the same otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

_encode = msgspec.json.Encoder().encode

# The WebSocket subprotocols by which a client says how he speaks; who names none speaks JSON.
JSON = "centrifuge-json"
PROTOBUF = "centrifuge-protobuf"

# What a subscriber may ask for: to be refused instead of being told `recovered: false`.
FLAG_REJECT_UNRECOVERED = 2


class Close(IntEnum):
    """Close codes: 3000 to 3499 let the client come back by itself, 3500 to 3999 do not.

    WRONG_FRAME is RFC 6455's: text where the subprotocol says Protobuf, or the other way round.
    """

    WRONG_FRAME = 1003
    SHUTDOWN = 3001
    INTERNAL = 3004
    EXPIRED = 3005
    SLOW = 3008
    RIGHTS_CHANGED = 3011
    NO_PONG = 3012
    TOO_MANY_REQUESTS = 3013
    TOO_MANY_OF_ADDRESS = 3014
    INVALID_TOKEN = 3500
    BAD_REQUEST = 3501
    STALE = 3502
    SIGNED_OUT = 3503
    TOO_MANY_CONNECTIONS = 3504


class Fault(IntEnum):
    """Why a command is refused."""

    INTERNAL = 100
    UNAUTHORIZED = 101
    UNKNOWN_CHANNEL = 102
    PERMISSION_DENIED = 103
    METHOD_NOT_FOUND = 104
    ALREADY_SUBSCRIBED = 105
    LIMIT_EXCEEDED = 106
    BAD_REQUEST = 107
    NOT_AVAILABLE = 108
    TOKEN_EXPIRED = 109
    TOO_MANY_REQUESTS = 111
    UNRECOVERABLE_POSITION = 112


# A client may try these again by itself.
_TEMPORARY = frozenset({Fault.INTERNAL, Fault.TOO_MANY_REQUESTS})


class Refused(Exception):
    """A command that cannot be carried out; the connection goes on."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.name)
        self.fault = fault


class Closing(Exception):
    """A command after which the connection cannot go on."""

    def __init__(self, code: Close, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Position(Struct):
    """Where a client is in a stream."""

    recover: bool = False
    offset: int = 0
    epoch: str = ""


class Connect(Struct):
    """The first command; subs: where the client is in the channels the server subscribed it to before."""

    token: str = ""
    subs: dict[str, Position] = {}


class Subscribe(Struct):
    """Hear a channel."""

    channel: str
    recover: bool = False
    offset: int = 0
    epoch: str = ""
    flag: int = 0


class OfChannel(Struct):
    """Of a channel: unsubscribe, presence, presence_stats."""

    channel: str


class Since(Struct):
    """After which number of which stream."""

    offset: int = 0
    epoch: str = ""


class History(Struct):
    """Some of a stream."""

    channel: str
    limit: int = 0
    since: Since | None = None
    reverse: bool = False


class Rpc(Struct):
    """A call by name."""

    method: str = ""
    data: Raw = Raw(b"null")


class Sent(Struct):
    """A message that wants no answer."""

    data: Raw = Raw(b"null")


class Token(Struct):
    """A newer token."""

    token: str = ""


class Command(Struct):
    """What a client wants; none of the members: a pong."""

    id: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    connect: Connect | None = None
    subscribe: Subscribe | None = None
    unsubscribe: OfChannel | None = None
    presence: OfChannel | None = None
    presence_stats: OfChannel | None = None
    history: History | None = None
    rpc: Rpc | None = None
    send: Sent | None = None
    refresh: Token | None = None
    publish: Raw = Raw(b"")
    sub_refresh: Raw = Raw(b"")


# What a client answers a ping with.
PONG = b"{}"

read_commands = msgspec.json.Decoder(Command).decode_lines
# What reading raises when it is not the protocol: nonsense, text that is not UTF-8, thousands of brackets in a row.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_ACK_HEAD, _ACK_TAIL = b'{"send":{"data":{"ack":', b"}}}"
# A number of 64 bits has 19 digits at most.
_ACK_BYTES_MAX = len(_ACK_HEAD) + len(_ACK_TAIL) + 19


def acked_by(text: bytes) -> int | None:
    """The number that a frame acknowledges when it is nothing but that, as every client's JSON has it; else None.

    Of five frames of a client four are such: to read them as any command takes three times as long (2 us).
    """
    if len(text) <= _ACK_BYTES_MAX and text.startswith(_ACK_HEAD) and text.endswith(_ACK_TAIL):
        digits = text[len(_ACK_HEAD) : -len(_ACK_TAIL)]
        return int(digits) if digits.isdigit() else None
    return None


def reply(id: int, kind: str, body: Any) -> bytes:
    """The answer to a command."""
    return _encode({"id": id, kind: body})


def refusal(id: int, fault: Fault) -> bytes:
    """The answer to a command that is refused."""
    error: dict[str, Any] = {"code": int(fault), "message": fault.name.lower().replace("_", " ")}
    if fault in _TEMPORARY:
        error["temporary"] = True
    return _encode({"id": id, "error": error})


def head_of(channel: str) -> bytes:
    """What every publication of a channel begins with."""
    return b'{"push":{"channel":%s,"pub":{"data":' % _encode(channel)


def publication(head: bytes, number: int, data: bytes) -> bytes:
    """A push of a stream's message; head: of its channel, data: JSON."""
    return b'%s%s,"offset":%d}}}' % (head, data, number)


def snapshot(channel: str, data: bytes) -> bytes:
    """A push of what a channel looks like now; it has no number."""
    return b'{"push":{"channel":%s,"pub":{"data":%s}}}' % (_encode(channel), data)


def ping(newest: int) -> bytes:
    """A ping that tells the newest number of the person's stream: a message for the application, then the ping."""
    return b'{"push":{"message":{"data":{"newest":%d}}}}\n{}' % newest


def publications(messages: Iterable[tuple[int, bytes]]) -> Raw:
    """Messages as they stand in a reply: (number, JSON)."""
    return Raw(b"[%s]" % b",".join([b'{"data":%s,"offset":%d}' % (data, number) for number, data in messages]))
