"""A client who speaks Protobuf, as the apps' public SDKs do (A1, decision 0025)."""

from __future__ import annotations

from functools import partial

from tuanzi.machinery.push import protobuf
from tuanzi.machinery.push.client import Client
from tuanzi.machinery.push.protocol import Close


class ProtobufClient(Client):
    """The same client over binary frames: what is said to him is translated when it is put into the next write."""

    __slots__ = ()

    def on_text(self, text: bytes) -> None:
        """Nobody who speaks Protobuf sends these."""
        self.close(Close.WRONG_FRAME, "binary only")

    def on_bytes(self, frame: bytes) -> None:
        """A frame: one command after another."""
        if self.is_closed:
            return
        is_pong = frame == protobuf.PONG and not self.heard_since_ping
        self.heard_since_ping = True
        if not is_pong:
            count_max = self._gateway.limits.commands_burst
            self._obey(partial(protobuf.read_commands, count_max=count_max), frame)

    def takes(self, line: bytes) -> bool:
        """Put a push into the next write; False when too much waits already."""
        return self.may_take and super().takes(protobuf.told_to_all(line))

    def flush(self) -> None:
        """Write what was put together."""
        if self._out and not self.is_closed:
            frame = b"".join(self._out)
            self._out.clear()
            self._out_bytes = 0
            self._socket.send_bytes(frame)

    def _say(self, lines: bytes) -> None:
        for line in lines.split(b"\n"):
            super()._say(protobuf.told(line))
