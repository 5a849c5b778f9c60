"""SQLite files that processes of their own write: who decides does not share Python's lock then (decision 0018)."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from select import select
from threading import Lock
from types import TracebackType
from typing import cast

from tuanzi.engines.database.dictation import check, framed, receive, said, send, unframed
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.database import DatabaseUnavailable, Flush

# It ends with its last batch; a disk that takes longer than this is broken.
END_S_MAX = 30.0
# Room for a batch of 256 splits, as far as the system allows (net.core.wmem_max): what does not fit leaves only when
# the loop comes round, and that decides the next batch first.
LINE_BYTES = 4 * 1024 * 1024


class Scribe:
    """The process whose children write for this one, a file each. It is started anew when it has died."""

    def __init__(self, *, holds: Collection[int] = ()) -> None:
        """holds: descriptors that it and they hold open as long as they may still write, such as the folder's lock."""
        self._holds = tuple(holds)
        self._starting = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._lines: list[socket.socket] = []
        # Its other end is open in each process that may still write.
        self._all_ended, self._not_ended = os.pipe()

    def __enter__(self) -> Scribe:
        with self._starting:
            self._connected()  # so it is ready when this process is
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Its process id, when it works; those of its children are not known here."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def line(self, path: Path) -> socket.socket:
        """A new line over which batches for this file go and answers come. Raises OSError when it cannot be had."""
        ours, its = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LINE_BYTES)
        with its, self._starting:
            try:
                socket.send_fds(self._connected(), [os.fsencode(path.absolute())], [its.fileno()])
            except OSError:
                ours.close()
                raise
        self._lines.append(ours)
        return ours

    def close(self) -> None:
        """Let all end with what they were told, and wait. Harmless twice."""
        for line in self._lines:
            with suppress(OSError):  # closed before
                line.shutdown(socket.SHUT_WR)
        self._lines.clear()
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.wait(END_S_MAX)
        self._control = self._process = None
        if self._not_ended >= 0:
            os.close(self._not_ended)
            select([self._all_ended], [], [], END_S_MAX)  # its children may have outlived it
            os.close(self._all_ended)
            self._not_ended = -1

    def _connected(self) -> socket.socket:
        """The socket over which it learns of files, with somebody at the other end."""
        if self._control is not None:
            if not _has_gone(self._control):
                return self._control
            self._control.close()
        if self._process is not None:
            self._process.wait(END_S_MAX)  # it is dead, or about to be
        self._control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tuanzi.engines.database.scribing", str(its.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(its.fileno(), self._not_ended, *self._holds),
            )
        return self._control


def _has_gone(control: socket.socket) -> bool:
    """Whether nobody is at the other end; who is there says nothing."""
    try:
        control.recv(1, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


class Talk(asyncio.Protocol):
    """A line to the scribe in a loop: batches are said one after the other, and answered in that order."""

    def __init__(self) -> None:
        self.is_lost = False
        self._transport: asyncio.WriteTransport | None = None
        self._got = bytearray()
        self._answered: deque[asyncio.Future[bytes]] = deque()

    def ask(self, body: bytes) -> asyncio.Future[bytes]:
        """Say a batch; its answer. Raises ConnectionError, the future too, when nobody is there."""
        if self.is_lost or self._transport is None:
            raise ConnectionResetError("the line is lost")
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answered.append(answered)
        self._transport.writelines(framed(body))  # not as one: it would be copied for that
        return answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The line can be used."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """A part of an answer, mostly the whole."""
        self._got += data
        while (body := unframed(self._got)) is not None:
            answered = self._answered.popleft()
            if not answered.done():
                answered.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is at the other end any more."""
        self.is_lost = True
        for answered in self._answered:
            if not answered.done():
                answered.set_exception(ConnectionResetError("the line is lost"))
        self._answered.clear()


class Dictated(Sqlite):
    """One SQLite file whose batches are dictated to the scribe; it is read, and brought to a release, from here."""

    def __init__(self, path: Path, scribe: Scribe) -> None:
        super().__init__(path)
        self._file = path
        self._scribe = scribe
        self._line: socket.socket | None = None
        self._talk: tuple[Talk, socket.socket] | None = None
        self._turn = asyncio.Lock()

    async def dictate(self, flush: Flush) -> None:
        """Keep a batch, while the loop goes on. Raises RowRefused, DatabaseUnavailable or Fenced."""
        body = said(flush)
        talk = None
        try:
            async with self._turn:  # else two that find no line would each have one of their own
                talk = await self._talking()
                answering = talk.ask(body)
            answered = await answering
        except OSError as error:
            if talk is None or talk.is_lost:
                self._hang_up()
            raise DatabaseUnavailable(f"{self._file}: whoever writes it cannot be reached: {error}") from error
        check(answered)

    async def _talking(self) -> Talk:
        """The line to the scribe in this loop; a new one when it was lost. Raises OSError."""
        if self._talk is not None and not self._talk[0].is_lost:
            return self._talk[0]
        self._hang_up()
        line = self._scribe.line(self._file)
        _, talk = await asyncio.get_running_loop().create_unix_connection(Talk, sock=line)
        self._talk = talk, line
        return talk

    def commit(self, flush: Flush) -> None:
        """Keep a batch. Raises RowRefused, DatabaseUnavailable or Fenced."""
        body = said(flush)
        try:
            if self._line is None:
                self._line = self._scribe.line(self._file)
            send(self._line, body)
            answered = receive(self._line)
        except OSError as error:
            self._hang_up()
            raise DatabaseUnavailable(f"{self._file}: whoever writes it cannot be reached: {error}") from error
        if answered is None:
            self._hang_up()
            raise DatabaseUnavailable(f"{self._file}: whoever writes it has gone")
        check(answered)

    def close(self) -> None:
        """Close every connection, then the line: whoever writes is the last to close the file, and folds its log in."""
        super().close()
        self._hang_up()

    def _hang_up(self) -> None:
        if self._line is not None:
            with suppress(OSError):
                self._line.close()
        if self._talk is not None:
            with suppress(OSError):  # at once: a loop that ends closes it too late
                self._talk[1].shutdown(socket.SHUT_RDWR)
        self._line = self._talk = None
