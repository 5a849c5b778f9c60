"""How replies come back: whoever calls listens at an address that his calls name, and writers connect to it (D3).

A line, not a log: what it loses is asked again under the same Idempotency-Key, and then answered from the table. Frames
are a length of four bytes and MessagePack. Whoever connects proves that he knows the installation's secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
from collections import deque
from typing import Any

import msgspec

from tuanzi.machinery.calls import Reply, pack_replies, unpack_replies
from tuanzi.machinery.problems import Unavailable

log = logging.getLogger("tuanzi.answers")

NONCE_BYTES = 32
PROOF_BYTES = 32
# Our choice: more than a writer answers in a batch; a longer frame is none of ours.
FRAME_BYTES_MAX = 64 * 1024 * 1024
CONNECT_S_MAX = 2.0
# Replies that wait for a line that cannot be connected; older ones are dropped, for their callers have given up.
WAITING_MAX = 20_000
AGAIN_S = 0.2


class AnswerHall:
    """Where this process hears replies. `address` is known after `open`."""

    def __init__(self, secret: bytes, *, host: str = "127.0.0.1") -> None:
        self.address = ""
        self._secret = secret
        self._host = host
        self._number = secrets.randbits(40) << 20  # so that nobody takes a reply to another process for his own
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, self._host, 0, limit=FRAME_BYTES_MAX)
        port = self._server.sockets[0].getsockname()[1]
        self.address = f"{self._host}:{port}"

    async def close(self) -> None:
        """Stop listening; who still waits hears Unavailable."""
        if self._server is not None:
            self._server.close()
            for line in list(self._lines):
                line.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Unavailable(retry_after_s=2))
        self._waiting.clear()

    def expect(self) -> tuple[int, asyncio.Future[Reply]]:
        """A number for a call, and its reply to come; `forget` it in any case."""
        self._number += 1
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = future
        return self._number, future

    def forget(self, number: int) -> None:
        """Nobody waits for this reply any more."""
        self._waiting.pop(number, None)

    def __len__(self) -> int:
        """How many replies are waited for."""
        return len(self._waiting)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.add(writer)
        try:
            nonce = secrets.token_bytes(NONCE_BYTES)
            writer.write(nonce)
            async with asyncio.timeout(CONNECT_S_MAX):
                proof = await reader.readexactly(PROOF_BYTES)
            if not hmac.compare_digest(proof, _proof(self._secret, nonce)):
                log.warning("answers.stranger")
                return
            while True:
                length = int.from_bytes(await reader.readexactly(4), "big")
                if length > FRAME_BYTES_MAX:
                    return
                for reply in unpack_replies(await reader.readexactly(length)):
                    self._hear(reply)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError, msgspec.MsgspecError):
            pass
        finally:
            self._lines.discard(writer)
            writer.close()

    def _hear(self, reply: Reply) -> None:
        future = self._waiting.get(reply.number)
        if future is not None and not future.done():
            future.set_result(reply)


class AnswerLines:
    """Carries replies to whoever called, a line for each address; replies of one loop turn go in one frame."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._lines: dict[str, _Line] = {}

    def send(self, address: str, reply: Reply) -> None:
        """Have a reply carried, if it can be."""
        line = self._lines.get(address)
        if line is None:
            line = self._lines[address] = _Line(address, self._secret, self._lines)
        line.send(reply)

    async def close(self) -> None:
        """Send what waits, a moment long, and let go of all lines."""
        lines = list(self._lines.values())
        if lines:
            await asyncio.wait([line.task for line in lines], timeout=AGAIN_S)
        for line in lines:
            line.task.cancel()
        await asyncio.gather(*(line.task for line in lines), return_exceptions=True)


class _Line:
    """A line to one address; it ends, and is forgotten, when nothing was sent for a while or nobody is there."""

    IDLE_S = 60.0
    TRIES_MAX = 10

    def __init__(self, address: str, secret: bytes, lines: dict[str, _Line]) -> None:
        self._address = address
        self._secret = secret
        self._lines = lines
        self._waiting: deque[Reply] = deque(maxlen=WAITING_MAX)
        self._wake = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    def send(self, reply: Reply) -> None:
        self._waiting.append(reply)
        self._wake.set()

    async def _run(self) -> None:
        """Talk until nothing was sent for a while, also while the line was being closed for that."""
        tries, now = 0, asyncio.get_running_loop().time
        try:
            while tries < self.TRIES_MAX:
                began = now()
                try:
                    await self._talk()
                    if not self._waiting:
                        return
                except (OSError, asyncio.IncompleteReadError, TimeoutError):
                    tries = tries + 1 if now() - began < self.IDLE_S else 1  # what held so long was there
                    await asyncio.sleep(AGAIN_S)
            log.warning("answers.nobody_there", extra={"address": self._address, "dropped": len(self._waiting)})
        finally:
            if self._lines.get(self._address) is self:
                del self._lines[self._address]

    async def _talk(self) -> None:
        """Connect and send until nothing came for a while. Raises OSError when the line breaks."""
        host, _, port = self._address.rpartition(":")
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(_proof(self._secret, await reader.readexactly(NONCE_BYTES)))
            broken = asyncio.ensure_future(reader.read(1))
            try:
                while await self._woken(broken):
                    some = list(self._waiting)
                    self._waiting.clear()
                    frame = pack_replies(some)
                    writer.write(len(frame).to_bytes(4, "big") + frame)
                    await writer.drain()
            finally:
                broken.cancel()
        finally:
            if writer is not None:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _woken(self, broken: asyncio.Future[Any]) -> bool:
        """Wait for something to send; False when nothing comes. Raises ConnectionError when nobody listens there."""
        if not self._waiting:
            self._wake.clear()
            waking = asyncio.ensure_future(self._wake.wait())
            try:
                done, _ = await asyncio.wait({waking, broken}, timeout=self.IDLE_S, return_when="FIRST_COMPLETED")
            finally:
                waking.cancel()
            if broken in done:
                raise ConnectionResetError(self._address)
            return waking in done
        if broken.done():
            raise ConnectionResetError(self._address)
        return True


def _proof(secret: bytes, nonce: bytes) -> bytes:
    return hmac.digest(secret, b"tuanzi answers " + nonce, "sha256")
