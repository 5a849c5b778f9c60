"""Light clients for chaos: they speak the protocol as the public ones do, and judge every number they are shown."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from array import array
from collections.abc import Iterator
from random import Random
from typing import Any, ClassVar

import centrifuge.protocol.client_pb2 as public
import msgspec
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tests.live.binary import behind_length, frame_of, messages_in
from tuanzi.machinery.push.protocol import PROTOBUF

PATH = "/connection/websocket"


class Data(msgspec.Struct, gc=False):
    """What a message says of an order: the number of what happened, `n17`."""

    state: str


class Publication(msgspec.Struct, gc=False):
    """A message."""

    data: Data
    offset: int


class Place(msgspec.Struct, gc=False):
    """Where the gateway has a stream go on."""

    recovered: bool
    epoch: str
    offset: int
    publications: list[Publication]


class Connected(msgspec.Struct, gc=False):
    """The gateway has let somebody in."""

    subs: dict[str, Place]


class Push(msgspec.Struct, gc=False):
    """A push: a message of a stream, or what comes with a ping."""

    pub: Publication | None = None


class Said(msgspec.Struct, gc=False):
    """A line; a ping has nothing in it."""

    id: int = 0
    push: Push | None = None
    connect: Connected | None = None


_read_lines = msgspec.json.Decoder(Said).decode_lines
_read_data = msgspec.json.Decoder(Data).decode


class Wire(WSListener):
    """One connection of a phone, in JSON."""

    subprotocol: ClassVar[str | None] = None  # names none, as most who speak JSON
    kind: ClassVar[WSMsgType] = WSMsgType.TEXT
    pong: ClassVar[bytes] = b"{}"

    def __init__(self, phone: Phone) -> None:
        super().__init__()
        self._phone = phone
        self.is_connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: WSTransport) -> None:
        phone = self._phone
        connect: dict[str, Any] = {"token": phone.token}
        if phone.epoch:
            position = {"recover": True, "offset": phone.number, "epoch": phone.epoch}
            connect["subs"] = {phone.channel: position}
        transport.send(self.kind, self.written({"id": 1, "connect": connect}))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            self._phone.codes.append(int(frame.get_close_code()))  # type: ignore[call-overload]
            transport.disconnect()
            return
        try:
            assert frame.msg_type == self.kind
            self._hear(transport, frame.get_payload_as_bytes())
        except Exception as error:
            # picows ends the connection then, and the next one is given all again: nobody would notice.
            self._phone.wrong.append(f"unreadable: {error!r}")
            raise

    def _hear(self, transport: WSTransport, frame: bytes) -> None:
        phone = self._phone
        for said in self.read(frame):
            if said.push is not None:
                if said.push.pub is not None:
                    phone.see(said.push.pub)
            elif said.connect is not None:
                phone.enter(said.connect.subs[phone.channel])
                if not self.is_connected.done():  # whoever waited for it may have left
                    self.is_connected.set_result(None)
            elif not said.id:
                transport.send(self.kind, self.pong)
        phone.acknowledge()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        for future in (self.is_connected, self.is_over):
            if not future.done():
                future.set_result(None)

    def written(self, command: dict[str, Any]) -> bytes:
        """A command as a frame."""
        return msgspec.json.encode(command)

    def acknowledgement(self, number: int) -> bytes:
        """That everything up to here arrived, as a frame."""
        return b'{"send":{"data":{"ack":%d}}}' % number

    def read(self, frame: bytes) -> Iterator[Said] | list[Said]:
        """What a frame says."""
        return _read_lines(frame)


class BinaryWire(Wire):
    """One connection of a phone that speaks Protobuf, by the public definition."""

    subprotocol = PROTOBUF
    kind = WSMsgType.BINARY
    pong = b"\0"

    def written(self, command: dict[str, Any]) -> bytes:
        """A command as a frame."""
        return frame_of(command)

    def acknowledgement(self, number: int) -> bytes:
        """That everything up to here arrived, as a frame."""
        send = public.SendRequest(data=b'{"ack":%d}' % number)
        return behind_length(public.Command(send=send).SerializeToString())

    def read(self, frame: bytes) -> Iterator[Said]:
        """What a frame says."""
        for message in messages_in(frame):
            reply = public.Reply.FromString(message)
            if reply.HasField("push"):
                pub = _publication(reply.push.pub) if reply.push.HasField("pub") else None
                yield Said(push=Push(pub=pub))
            elif reply.HasField("connect"):
                subs = {channel: _place(told) for channel, told in reply.connect.subs.items()}
                yield Said(id=reply.id, connect=Connected(subs=subs))
            else:
                yield Said(id=reply.id)


def _publication(told: Any) -> Publication:
    return Publication(data=_read_data(told.data), offset=told.offset)


def _place(told: Any) -> Place:
    missed = [_publication(one) for one in told.publications]
    return Place(recovered=told.recovered, epoch=told.epoch, offset=told.offset, publications=missed)


class Phone:
    """A person's page: it stays open while its connections come and go. What is not right is in `wrong`."""

    def __init__(self, person_id: str, token: str, *, wire: type[Wire] = Wire) -> None:
        """wire: how it speaks."""
        self.token = token
        self.makes_wire = wire
        self.channel = f"user:{person_id}"
        self.number = 0
        self.epoch = ""
        self.shown = array("l")  # the numbers of what happened, as shown
        self.acked = 0
        self.wrong: list[str] = []
        self.codes: list[int] = []
        self.connects = 0
        self.transport: WSTransport | None = None

    def enter(self, place: Place) -> None:
        """The gateway has let it in."""
        self.connects += 1
        if not place.recovered:
            self.wrong.append(f"could not recover from {self.number}")
        if self.epoch not in ("", place.epoch):
            self.wrong.append("another epoch")
        self.epoch = place.epoch
        for publication in place.publications:
            self.see(publication)
        if self.number != place.offset:
            self.wrong.append(f"at {self.number}, told {place.offset}")

    def see(self, publication: Publication) -> None:
        """A message is shown."""
        number = publication.offset
        if number != self.number + 1:
            self.wrong.append(f"{number} after {self.number}")
        self.number = max(self.number, number)
        self.shown.append(int(publication.data.state[1:]))

    def acknowledge(self) -> None:
        """Say how far everything arrived, every ten messages."""
        if self.number >= self.acked + 10 and self.transport is not None:
            self.acked = self.number
            self.transport.send(self.wire.kind, self.wire.acknowledgement(self.number))

    async def stay(self, port: int, chance: Random, *, pause_s: float = 0.2) -> None:
        """Be connected, and connect again after a pause whenever the connection ends, until cancelled."""
        while True:
            with contextlib.suppress(OSError, WSError):
                await self.connect(port)
                await self.wire.is_over
            self.transport = None
            await asyncio.sleep(chance.uniform(0.0, pause_s))

    async def connect(self, port: int, *, receive_bytes: int | None = None) -> None:
        """Connect once. Raises OSError or WSError."""
        url = f"ws://127.0.0.1:{port}{PATH}"
        made = None if receive_bytes is None else _narrow_socket(receive_bytes)
        wire = self.wire = self.makes_wire(self)
        transport, listener = await ws_connect(
            lambda: wire,
            url,
            read_buffer_init_size=1024,
            extra_headers=None if wire.subprotocol is None else {"Sec-WebSocket-Protocol": wire.subprotocol},
            socket_factory=None if made is None else lambda _: made,
        )
        if listener is not wire:  # picows says nothing of a connection that is lost within its handshake
            raise ConnectionResetError
        self.transport = transport
        await wire.is_connected

    def drop(self) -> bool:
        """The connection breaks; whether there was one."""
        if self.transport is None:
            return False
        self.transport.disconnect(graceful=False)
        self.transport = None
        return True


def _narrow_socket(receive_bytes: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    made.setblocking(False)
    return made
