"""WebSockets by picows on uvloop: at the floor of what a send costs in Python (7 us a push, decision 0014)."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping

from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from tuanzi.base.problem import Problem
from tuanzi.engines.sockets.doorway import HANDSHAKE_S_MAX, Doorway
from tuanzi.machinery.http.problems import NotFound, UpgradeNeeded
from tuanzi.machinery.http.reading import Headers, headers_of
from tuanzi.machinery.http.refusals import Refusal
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.push.sockets import Accept, Listener

log = logging.getLogger("tuanzi.sockets")
# What picows says itself, but not two lines with an address for each phone that comes and goes: thousands at once after
# a restart, at some 25 us. Figures say how many are here.
_ITS_LOG = logging.getLogger("tuanzi.sockets.picows")
_ITS_LOG.setLevel(logging.WARNING)

# Grows for who sends more; a client's messages are mostly acknowledgements of 40 bytes.
_READ_BUFFER_BYTES = 1024
_MESSAGE_TOO_BIG = 1009
_COME_BACK_S = 5
# Whose address it is that connected, or for whom it did.
AddressOf = Callable[[object], str]
# Looked up once: Python 3.11 takes 0.2 us for a member of an enum, and every frame asks for one.
_TEXT, _CONTINUATION, _BINARY, _CLOSE = WSMsgType.TEXT, WSMsgType.CONTINUATION, WSMsgType.BINARY, WSMsgType.CLOSE
_PING = WSMsgType.PING


class PicowsSocket(WSListener):
    """A `Socket` over one picows transport."""

    _is_binary = False  # what comes in parts; kept with the class for those to whom it never does

    def __init__(self, accept: Accept, *, address_of: AddressOf, message_bytes_max: int, unsent_bytes_max: int) -> None:
        super().__init__()
        self.address = ""
        self._address_of = address_of
        self._accept = accept
        self._message_bytes_max = message_bytes_max
        self._unsent_bytes_max = unsent_bytes_max
        self._transport: WSTransport | None = None
        self._listener: Listener | None = None
        self._part = bytearray()  # of a message whose end has not come

    # the port

    def send(self, text: bytes) -> None:
        """Send one text frame."""
        if self._transport is not None:
            self._transport.send(_TEXT, text)

    def send_bytes(self, frame: bytes) -> None:
        """Send one binary frame."""
        if self._transport is not None:
            self._transport.send(_BINARY, frame)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame; the peer's answer ends the connection."""
        if self._transport is not None and not self._transport.is_close_frame_sent:
            self._transport.send_close(code, reason.encode())  # type: ignore[arg-type]

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    @property
    def waiting_bytes(self) -> int:
        """What the transport holds."""
        if self._transport is None:
            return 0
        return int(self._transport.underlying_transport.get_write_buffer_size())

    # what picows says

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=self._unsent_bytes_max)
        self.address = self._address_of(transport.underlying_transport.get_extra_info("peername"))
        del self._address_of  # and the headers that it holds
        self._listener = self._accept(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == _TEXT and frame.fin and not self._part:
            if self._listener is not None:
                self._listener.on_text(frame.get_payload_as_bytes())
        elif kind in (_TEXT, _BINARY, _CONTINUATION):
            self._gather(kind, frame)
        elif kind == _CLOSE:
            self.close(frame.get_close_code() or WSCloseCode.OK, "")  # type: ignore[arg-type]
            transport.disconnect()
        elif self._may_go_on() and kind == _PING:
            transport.send_pong(frame.get_payload_as_bytes())

    def _may_go_on(self) -> bool:
        return self._listener is not None and self._listener.on_beat()

    def _gather(self, kind: WSMsgType, frame: WSFrame) -> None:
        """Hand on a binary message, or one that came in parts when the last of them is here."""
        if kind != _CONTINUATION:
            self._is_binary = kind == _BINARY
        self._part += frame.get_payload_as_bytes()
        if len(self._part) > self._message_bytes_max:
            self._part.clear()
            self.close(_MESSAGE_TOO_BIG, "message too big")
        elif not frame.fin:
            self._may_go_on()
        else:
            message = bytes(self._part)
            self._part.clear()
            if self._listener is not None:
                (self._listener.on_bytes if self._is_binary else self._listener.on_text)(message)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        listener, self._listener, self._transport = self._listener, None, None
        if listener is not None:
            listener.on_closed()

    def pause_writing(self) -> None:
        if self._listener is not None:
            self._listener.on_full()

    def resume_writing(self) -> None:
        if self._listener is not None:
            self._listener.on_drained()


async def serve_sockets(
    listening: socket.socket,
    accepts: Mapping[str, Accept],
    *,
    path: str,
    has_room: Callable[[], bool],
    client_of: Callable[[tuple[str, int] | None, list[tuple[bytes, bytes]]], tuple[str, int] | None],
    refuse: Callable[[Problem, Headers], Refusal],
    message_bytes_max: int,
    unsent_bytes_max: int,
    arriving_max: int,
    arriving_of_one_max: int,
) -> asyncio.Server:
    """Accept WebSockets at `path`; others get 404, 426 who speaks no WebSocket there, and 503 while there is no room.
    What is no request at all is refused by picows itself, in its own words.

    accepts: who takes a connection, by its subprotocol; the first takes those who name none that is known.
    client_of: whom a connection is of, by its peer and what proxies wrote into the headers.
    refuse: how a refusal is told to who sent these headers. arriving_max, arriving_of_one_max: how many may be
    connected who have not asked yet, in all and of one network (`Doorway`, which takes `listening` over).
    """
    doorway = Doorway(listening, most=arriving_max, most_of_one=arriving_of_one_max, clock=time.monotonic)
    otherwise = next(iter(accepts.values()))

    def refused(problem: Problem, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        said = headers_of([(name.lower().encode(), text.encode()) for name, text in request.headers.items()])
        refusal = refuse(problem, said)
        told = [(name.decode("ascii").title(), text.decode("ascii")) for name, text in refusal.headers]
        answer = WSUpgradeResponse.create_error_response(refusal.status, refusal.body, told)
        return WSUpgradeResponseWithListener(answer, None)

    def listen(request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener:
        if request.path.partition(b"?")[0] != path.encode():
            return refused(NotFound(), request)
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return refused(UpgradeNeeded(), request)
        if not has_room():
            return refused(Unavailable(retry_after_s=_COME_BACK_S), request)
        chosen = next((name for name in _subprotocols(request) if name in accepts), None)
        accept = otherwise if chosen is None else accepts[chosen]
        # picows does not say yet who asks: that is known when he is connected.
        forwarded = [(b"x-forwarded-for", each.encode()) for each in request.headers.getall("X-Forwarded-For", ())]

        def address_of(peer: object) -> str:
            if isinstance(peer, tuple):
                doorway.passed((peer[0], peer[1]))
            client = client_of((str(peer[0]), 0) if isinstance(peer, tuple) else None, forwarded)
            return "" if client is None else client[0]

        made = PicowsSocket(
            accept, address_of=address_of, message_bytes_max=message_bytes_max, unsent_bytes_max=unsent_bytes_max
        )
        if chosen is None:
            return made
        switch = WSUpgradeResponse.create_101_response(extra_headers={"Sec-WebSocket-Protocol": chosen})
        return WSUpgradeResponseWithListener(switch, made)

    return await ws_create_server(
        listen,
        sock=doorway,
        websocket_handshake_timeout=HANDSHAKE_S_MAX,
        logger_name=_ITS_LOG,
        enable_auto_ping=False,
        # It answers a million pings a second, of one who reads none of the answers: 100 MB of them a second.
        enable_auto_pong=False,
        max_frame_size=message_bytes_max,
        read_buffer_init_size=_READ_BUFFER_BYTES,
        # Its transport takes a fifth less of the processor than uvloop's own, and 5 KiB more a connection.
        use_aiofastnet=True,
        backlog=4096,
    )


def _subprotocols(request: WSUpgradeRequest) -> list[str]:
    """What the client can speak, what it likes best first (RFC 6455, 11.3.4)."""
    lists = request.headers.getall("Sec-WebSocket-Protocol", ())
    return [name.strip() for names in lists for name in names.split(",")]
