"""The Centrifugo client protocol, Protobuf: the same commands, replies and pushes as in JSON (decision 0025).

Frames hold messages one after another, each behind its length. What is told is translated from its JSON, which
`protocol` alone composes; what clients want becomes the same commands. A payload is bytes here and JSON there: it goes
through as it is. Numbers of fields are the public definition's (centrifugal/protocol, client.proto); fields that mean
nothing to this gateway are left out, and passed over when a client sends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import GenericAlias
from typing import Any

import msgspec
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from msgspec import UNSET, Raw, Struct, UnsetType

from tuanzi.machinery.push import protocol
from tuanzi.machinery.push.protocol import (
    Close,
    Closing,
    Command,
    Connect,
    History,
    OfChannel,
    Position,
    Rpc,
    Sent,
    Since,
    Subscribe,
    Token,
)

# The empty reply is a ping, answered by the empty command.
PING = PONG = b"\0"

# A field is its number and its type: a scalar's or a message's name, [many of it] or {by string}.
_Field = tuple[int, Any]

# What is told, inner messages first.
_TOLD: dict[str, dict[str, _Field]] = {
    "Error": {"code": (1, "uint32"), "message": (2, "string"), "temporary": (3, "bool")},
    "Publication": {"data": (4, "bytes"), "offset": (6, "uint64")},
    "Message": {"data": (1, "bytes")},
    "Push": {"channel": (2, "string"), "pub": (4, "Publication"), "message": (8, "Message")},
    "Subscribed": {
        "recoverable": (3, "bool"),
        "epoch": (6, "string"),
        "publications": (7, ["Publication"]),
        "recovered": (8, "bool"),
        "offset": (9, "uint64"),
        "positioned": (10, "bool"),
        "data": (11, "bytes"),
        "was_recovering": (12, "bool"),
    },
    "Connected": {
        "client": (1, "string"),
        "version": (2, "string"),
        "expires": (3, "bool"),
        "ttl": (4, "uint32"),
        "subs": (6, {"Subscribed"}),
        "ping": (7, "uint32"),
        "pong": (8, "bool"),
    },
    "Unsubscribed": {},
    "Info": {"user": (1, "string"), "client": (2, "string")},
    "Present": {"presence": (1, {"Info"})},
    "Counted": {"num_clients": (1, "uint32"), "num_users": (2, "uint32")},
    "Past": {"publications": (1, ["Publication"]), "epoch": (2, "string"), "offset": (3, "uint64")},
    "Called": {"data": (1, "bytes")},
    "Refreshed": {"client": (1, "string"), "expires": (3, "bool"), "ttl": (4, "uint32")},
    "Reply": {
        "id": (1, "uint32"),
        "error": (2, "Error"),
        "push": (4, "Push"),
        "connect": (5, "Connected"),
        "subscribe": (6, "Subscribed"),
        "unsubscribe": (7, "Unsubscribed"),
        "presence": (9, "Present"),
        "presence_stats": (10, "Counted"),
        "history": (11, "Past"),
        "rpc": (13, "Called"),
        "refresh": (14, "Refreshed"),
    },
}

# What clients say; members of a command that `protocol.Command` refuses by its id alone are not here.
_SAID: dict[str, dict[str, _Field]] = {
    "OfChannel": {"channel": (1, "string")},
    "Token": {"token": (1, "string")},
    "Sent": {"data": (1, "bytes")},
    "Rpc": {"data": (1, "bytes"), "method": (2, "string")},
    "Since": {"offset": (1, "uint64"), "epoch": (2, "string")},
    "History": {"channel": (1, "string"), "limit": (7, "int32"), "since": (8, "Since"), "reverse": (9, "bool")},
    "Subscribe": {
        "channel": (1, "string"),
        "recover": (3, "bool"),
        "epoch": (6, "string"),
        "offset": (7, "uint64"),
        "flag": (14, "int64"),
    },
    "Connect": {"token": (1, "string"), "subs": (3, {"Subscribe"})},
    "Command": {
        "id": (1, "uint32"),
        "connect": (4, "Connect"),
        "subscribe": (5, "Subscribe"),
        "unsubscribe": (6, "OfChannel"),
        "presence": (8, "OfChannel"),
        "presence_stats": (9, "OfChannel"),
        "history": (10, "History"),
        "send": (12, "Sent"),
        "rpc": (13, "Rpc"),
        "refresh": (14, "Token"),
    },
}


# reading


def read_commands(frame: bytes, *, count_max: int) -> list[Command]:
    """What a frame of a client says. Raises msgspec.DecodeError as JSON's reader does, Closing for more commands than
    `count_max`."""
    messages = _messages_of(frame)
    if len(messages) > count_max:
        raise Closing(Close.TOO_MANY_REQUESTS, "too many commands")
    try:
        return [_command_of(message) for message in messages]
    except DecodeError as error:
        raise msgspec.DecodeError(str(error)) from error


def _messages_of(frame: bytes) -> list[bytes]:
    """The messages of a frame, each behind its length: 7 bits a byte, the lowest first, 32 bits at most."""
    messages, at, end = [], 0, len(frame)
    while at < end:
        size = 0
        for shift in range(0, 35, 7):
            if at == end:
                raise msgspec.DecodeError("a length is cut off")
            byte = frame[at]
            at += 1
            size |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        else:
            raise msgspec.DecodeError("a length has no end")
        if at + size > end:
            raise msgspec.DecodeError("a message is cut off")
        messages.append(frame[at : at + size])
        at += size
    return messages


def _command_of(message: bytes) -> Command:
    said = _Command.FromString(message)
    command = Command(said.id)
    for field, wanted in said.ListFields():
        match field.name:
            case "send":
                command.send = Sent(Raw(wanted.data))
            case "rpc":
                command.rpc = Rpc(wanted.method, Raw(wanted.data))
            case "connect":
                subs = {name: Position(at.recover, at.offset, at.epoch) for name, at in wanted.subs.items()}
                command.connect = Connect(wanted.token, subs)
            case "subscribe":
                command.subscribe = Subscribe(wanted.channel, wanted.recover, wanted.offset, wanted.epoch, wanted.flag)
            case "history":
                since = Since(wanted.since.offset, wanted.since.epoch) if wanted.HasField("since") else None
                command.history = History(wanted.channel, wanted.limit, since, wanted.reverse)
            case "refresh":
                command.refresh = Token(wanted.token)
            case "unsubscribe" | "presence" | "presence_stats" as name:
                setattr(command, name, OfChannel(wanted.channel))
    return command


# telling


def told(line: bytes) -> bytes:
    """A reply or ping; line: as `protocol` composed it. Raises msgspec.ValidationError for what has no field."""
    return PING if line == protocol.PONG else _framed(_Reply(**_plain(_read_line(line))))


@lru_cache(maxsize=256)
def told_to_all(line: bytes) -> bytes:
    """A push of a stream or a picture: translated once for all who hear it, also a little later (5 us; found, 0.2)."""
    push = _read_push(line).push
    publication = {"data": bytes(push.pub.data), "offset": push.pub.offset}
    return _framed(_Reply(push={"channel": push.channel, "pub": publication}))


class _Publication(Struct, forbid_unknown_fields=True, gc=False):
    data: Raw
    offset: int = 0


class _Push(Struct, forbid_unknown_fields=True, gc=False):
    channel: str
    pub: _Publication


class _PushLine(Struct, forbid_unknown_fields=True, gc=False):
    push: _Push


_read_push = msgspec.json.Decoder(_PushLine).decode


def _framed(reply: Any) -> bytes:
    message: bytes = reply.SerializeToString()
    return _length(len(message)) + message


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes((size,))
    out = bytearray()
    while size >= 0x80:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out)


def _plain(value: Any) -> Any:
    """What a message is made of: dicts, lists, scalars, and payloads as bytes."""
    if isinstance(value, Struct):
        members = [(name, getattr(value, name)) for name in value.__struct_fields__]
        return {name: _plain(member) for name, member in members if member is not UNSET}
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


# the definition, for both libraries


def _message_classes(package: str, messages: Mapping[str, Mapping[str, _Field]]) -> dict[str, Any]:
    """Classes of the protobuf library, in a pool of their own."""
    file = FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        made = file.message_type.add(name=name)
        for member, (number, kind) in fields.items():
            _add_field(made, member, number, kind, package=package)
    pool = DescriptorPool()
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}


def _add_field(message: DescriptorProto, name: str, number: int, kind: Any, *, package: str) -> None:
    field = message.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if isinstance(kind, list | set):
        (kind,), is_map = kind, isinstance(kind, set)
        field.label = FieldDescriptorProto.LABEL_REPEATED
        if is_map:  # as protoc has it: many entries of a key and a value
            entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
            entry.options.map_entry = True
            _add_field(entry, "key", 1, "string", package=package)
            _add_field(entry, "value", 2, kind, package=package)
            kind = f"{message.name}.{entry.name}"
    if kind[0].islower():
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{package}.{kind}"


_SCALARS: dict[str, type] = {"uint32": int, "uint64": int, "bool": bool, "string": str, "bytes": Raw}


def _line_types(messages: Mapping[str, Mapping[str, _Field]]) -> dict[str, Any]:
    """The same for reading lines of JSON, where every member may be missing and none is unknown."""
    types: dict[str, Any] = dict(_SCALARS)
    for name, fields in messages.items():
        members = [(member, _line_type(kind, types) | UnsetType, UNSET) for member, (_, kind) in fields.items()]
        types[name] = msgspec.defstruct(name, members, forbid_unknown_fields=True)
    return types


def _line_type(kind: Any, types: Mapping[str, Any]) -> Any:
    match kind:
        case list():
            return GenericAlias(list, (types[kind[0]],))
        case set():
            return GenericAlias(dict, (str, types[next(iter(kind))]))
        case _:
            return types[kind]


_Reply = _message_classes("tuanzi.told", _TOLD)["Reply"]
_Command = _message_classes("tuanzi.said", _SAID)["Command"]
_read_line = msgspec.json.Decoder(_line_types(_TOLD)["Reply"]).decode
