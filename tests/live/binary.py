"""Protobuf as the public definition has it: what a client sends, and what it was told, in the shape of JSON.

The definition is that of `centrifuge-python`, so that nothing of the gateway's own is believed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import centrifuge.protocol.client_pb2 as public
import msgspec
from google.protobuf.json_format import ParseDict
from google.protobuf.unknown_fields import UnknownFieldSet
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tests.journeys.conftest import Cast
from tests.live.lines import Line, Talk
from tuanzi.machinery.push.gateway import Gateway
from tuanzi.machinery.push.protocol import PROTOBUF

# What of a command is a payload: JSON text, which Protobuf carries as bytes.
WITH_DATA = ("rpc", "send", "publish")


def frame_of(*commands: dict[str, Any]) -> bytes:
    """Commands in the shape of JSON, as a client's frame."""
    return b"".join(behind_length(_message(command)) for command in commands)


def behind_length(message: bytes) -> bytes:
    """A message as it stands in a frame."""
    length, size = [], len(message)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*length, size]) + message


def _message(command: dict[str, Any]) -> bytes:
    said = dict(command)
    for name in WITH_DATA:
        if "data" in said.get(name, ()):
            payload = msgspec.json.encode(said[name]["data"])
            said[name] = {**said[name], "data": base64.b64encode(payload).decode()}
    return bytes(ParseDict(said, public.Command()).SerializeToString())


def messages_in(frame: bytes) -> Iterator[bytes]:
    """The messages that stand in a frame one after another."""
    at = 0
    while at < len(frame):
        size = shift = 0
        while True:
            byte = frame[at]
            at, size, shift = at + 1, size | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                break
        assert len(frame) >= at + size
        yield frame[at : at + size]
        at += size


def replies_in(frame: bytes) -> list[dict[str, Any]]:
    """What a frame of the gateway says, in the shape of JSON; what has its default value is left out."""
    return [_shape(public.Reply.FromString(message)) for message in messages_in(frame)]


def _shape(message: Any) -> dict[str, Any]:
    assert len(UnknownFieldSet(message)) == 0
    return {field.name: _shape_of(field, value) for field, value in message.ListFields()}


def _shape_of(field: Any, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {key: _shape(one) for key, one in value.items()}
    if field.is_repeated:
        return [_shape(one) for one in value]
    if field.message_type is not None:
        return _shape(value)
    return json.loads(value) if isinstance(value, bytes) else value


class BinaryLine(Line):
    """A socket that the test reads, of who speaks Protobuf."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[bytes] = []

    def send(self, text: bytes) -> None:
        """Nobody who speaks Protobuf is sent these."""
        raise AssertionError(text)

    def send_bytes(self, frame: bytes) -> None:
        """Remember what was sent."""
        self.frames.append(frame)
        self.said += replies_in(frame)


class BinaryTalk(Talk):
    """A client at the gateway who speaks Protobuf."""

    def __init__(self, cast: Cast, gateway: Gateway) -> None:
        self.line: BinaryLine = BinaryLine()
        self.client = gateway.accept_protobuf(self.line)
        self._cast = cast
        self._id = 0

    def send(self, **command: Any) -> int:
        """Say a command; its id."""
        self._id += 1
        self.client.on_bytes(frame_of({"id": self._id, **command}))
        return self._id


class BinaryWire(WSListener):
    """A real connection: what came, and the code with which it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[dict[str, Any]] = []
        self.codes: list[int] = []

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Remember it."""
        if frame.msg_type == WSMsgType.CLOSE:
            self.codes.append(int(frame.get_close_code()))  # type: ignore[call-overload]
            transport.disconnect()
        elif frame.msg_type == WSMsgType.BINARY:
            self.said += replies_in(frame.get_payload_as_bytes())
        else:
            self.said += [json.loads(line) for line in frame.get_payload_as_bytes().split(b"\n")]


async def connected_wire(url: str, *, subprotocols: str | None = PROTOBUF) -> tuple[WSTransport, BinaryWire]:
    """A connection whose client says that it speaks these."""
    headers = None if subprotocols is None else {"Sec-WebSocket-Protocol": subprotocols}
    transport, wire = await ws_connect(BinaryWire, url, extra_headers=headers)
    assert isinstance(wire, BinaryWire)
    return transport, wire
