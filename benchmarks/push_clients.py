"""The clients of `benchmarks/push` in a process of their own: each checks every number it gets, and acknowledges.

They acknowledge at once, and what comes within a second of that together, or ten of it, as docs/live.md asks of pages.
At the end of standard input the last line on standard output says what they saw.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import time
from array import array
from functools import partial
from pathlib import Path

import msgspec
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.wire import percentile

ACK_AFTER = 10
ACK_AGAIN_S = 1.0
CONNECTING_AT_ONCE = 100
TEXT = WSMsgType.TEXT  # looked up once, for Python 3.11 takes 0.2 us


class State(msgspec.Struct, gc=False):
    """Of a message: the state of the order, which says when its push was due."""

    state: str


class Pub(msgspec.Struct, gc=False):
    """A message of a stream, by its number."""

    data: State
    offset: int = 0


class Push(msgspec.Struct, gc=False):
    """What comes unasked; a message to the application, such as the newest number, has no `pub`."""

    pub: Pub | None = None


class Place(msgspec.Struct, gc=False):
    """Where a stream is."""

    offset: int = 0


class Connected(msgspec.Struct, gc=False):
    """The answer to `connect`."""

    subs: dict[str, Place]


class Line(msgspec.Struct, gc=False):
    """A line from the server; none of these: a ping."""

    push: Push | None = None
    connect: Connected | None = None


_read_lines = msgspec.json.Decoder(Line).decode_lines


class Seen(msgspec.Struct):
    """What all clients saw of one round: latencies from the due time to the arrival, and what was wrong."""

    arrived: int
    gaps: int
    repeats: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    cpu_s: float


class Crowd:
    """All clients of this process."""

    def __init__(self) -> None:
        self.latencies_ns = array("q")
        self.gaps = 0
        self.repeats = 0
        self.connected = 0
        self.behind: dict[Listener, None] = {}  # who has something to acknowledge

    def round(self, cpu_s: float) -> Seen:
        """What was seen since the last round."""
        latencies = sorted(ns / 1e6 for ns in self.latencies_ns)
        seen = Seen(
            arrived=len(latencies),
            gaps=self.gaps,
            repeats=self.repeats,
            p50_ms=round(percentile(latencies, 0.5), 3),
            p99_ms=round(percentile(latencies, 0.99), 3),
            p999_ms=round(percentile(latencies, 0.999), 3),
            cpu_s=cpu_s,
        )
        self.latencies_ns = array("q")
        self.gaps = self.repeats = 0
        return seen


class Listener(WSListener):
    """One client."""

    def __init__(self, crowd: Crowd, token: str) -> None:
        super().__init__()
        self.last = 0
        self.acked = 0
        self.acks_from = 0.0  # on the clock of `time.monotonic`
        self.is_connected = asyncio.get_running_loop().create_future()
        self._crowd = crowd
        self._token = token

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        command = {"id": 1, "connect": {"token": self._token}}
        transport.send(TEXT, msgspec.json.encode(command))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != TEXT:
            return
        now = time.monotonic_ns()
        for line in _read_lines(frame.get_payload_as_memoryview()):
            push = line.push
            if push is not None:
                if push.pub is not None:
                    self.take(push.pub, now)
            elif line.connect is not None:
                (own,) = line.connect.subs.values()
                self.last = own.offset  # that his order was placed
                self.acknowledge()
                self.is_connected.set_result(None)
            else:
                transport.send(TEXT, b"{}")
        if self.last == self.acked:
            return
        if self.last - self.acked >= ACK_AFTER or now * 1e-9 >= self.acks_from:
            self.acknowledge()
        else:
            self._crowd.behind[self] = None

    def take(self, pub: Pub, now_ns: int) -> None:
        """Check a message's number, and how late it is."""
        crowd, number = self._crowd, pub.offset
        crowd.latencies_ns.append(now_ns - int(pub.data.state[3:]))
        if number != self.last + 1:
            crowd.gaps += number > self.last
            crowd.repeats += number <= self.last
        self.last = number

    def acknowledge(self) -> None:
        """Say how far everything arrived."""
        self._crowd.behind.pop(self, None)
        if self.last > self.acked:
            self.acked = self.last
            self.acks_from = time.monotonic() + ACK_AGAIN_S
            self._transport.send(TEXT, b'{"send":{"data":{"ack":%d}}}' % self.last)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._crowd.connected -= 1


async def acknowledge_all(crowd: Crowd) -> None:
    """Twenty times a second those whose second is over."""
    while True:
        now = time.monotonic()
        for listener in [each for each in crowd.behind if now >= each.acks_from]:
            listener.acknowledge()
        await asyncio.sleep(ACK_AGAIN_S / 20)


async def main(arguments: argparse.Namespace) -> None:
    """Connect all, then listen until standard input ends; a line asks for the round's figures."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    tokens = msgspec.json.decode(arguments.tokens.read_bytes(), type=list[str])
    crowd = Crowd()
    url = f"ws://127.0.0.1:{arguments.port}/connection/websocket"
    for i in range(0, len(tokens), CONNECTING_AT_ONCE):
        opened = [
            ws_connect(
                partial(Listener, crowd, token),
                url,
                read_buffer_init_size=1024,
                websocket_handshake_timeout=30,
            )
            for token in tokens[i : i + CONNECTING_AT_ONCE]
        ]
        listeners = [listener for _, listener in await asyncio.gather(*opened)]
        await asyncio.gather(*[listener.is_connected for listener in listeners if isinstance(listener, Listener)])
        crowd.connected += len(listeners)
    print(msgspec.json.encode({"connected": crowd.connected}).decode(), flush=True)
    acknowledging = asyncio.create_task(acknowledge_all(crowd))
    cpu = time.process_time()
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        seen = crowd.round(time.process_time() - cpu)
        cpu = time.process_time()
        print(msgspec.json.encode(seen).decode(), flush=True)
    acknowledging.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tokens", type=Path, required=True)
    uvloop.run(main(parser.parse_args()))
