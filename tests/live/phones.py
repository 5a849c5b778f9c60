"""Light clients for chaos: they speak the protocol as the public ones do, and judge every number they are shown."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from array import array
from random import Random
from typing import Any

import msgspec
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

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


class Wire(WSListener):
    """One connection of a phone."""

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
        transport.send(WSMsgType.TEXT, msgspec.json.encode({"id": 1, "connect": connect}))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            self._phone.codes.append(int(frame.get_close_code()))  # type: ignore[call-overload]
            transport.disconnect()
            return
        phone = self._phone
        for said in _read_lines(frame.get_payload_as_bytes()):
            if said.push is not None:
                if said.push.pub is not None:
                    phone.see(said.push.pub)
            elif said.connect is not None:
                phone.enter(said.connect.subs[phone.channel])
                self.is_connected.set_result(None)
            elif not said.id:
                transport.send(WSMsgType.TEXT, b"{}")
        phone.acknowledge()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        for future in (self.is_connected, self.is_over):
            if not future.done():
                future.set_result(None)


class Phone:
    """A person's page: it stays open while its connections come and go. What is not right is in `wrong`."""

    def __init__(self, person_id: str, token: str) -> None:
        self.token = token
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
            self.transport.send(WSMsgType.TEXT, b'{"send":{"data":{"ack":%d}}}' % self.number)

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
        wire = self.wire = Wire(self)
        transport, listener = await ws_connect(
            lambda: wire, url, read_buffer_init_size=1024, socket_factory=None if made is None else lambda _: made
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
