"""One campus at one gateway: delivers what was committed to whoever reads, keeps pictures fresh (A4, A5).

A reader is a number, not a queue: while he keeps up he gets each message as it comes; when he does not, he gets it from
the window or the archive once he has taken what waits. So a slow client costs his socket's buffer and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from tuanzi.base.problem import Problem
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.push.picture import Picture
from tuanzi.machinery.push.ports import Archive, Gate, Kept
from tuanzi.machinery.push.protocol import publication, snapshot
from tuanzi.machinery.push.streams import Reader, Stream

if TYPE_CHECKING:
    from tuanzi.machinery.push.client import Client

log = logging.getLogger("tuanzi.push")

# Our choice: some 5 ms of a reading thread at a time.
STREAMS_AT_ONCE = 500
# Our choice: some 5 ms of a commit.
CURSORS_AT_ONCE = 500
# Our choice: so long at most it is not kept how far a stream was sent and acknowledged. After a crash a page that is
# opened anew is sent again what was acknowledged since; clients that come back know their number.
CURSORS_EVERY_S = 5
CATCH_UP_AGAIN_S = 1.0

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class PushFigures:
    """What a hub has done since it started, for `/metrics`."""

    def __init__(self) -> None:
        self.delivered = 0  # messages that came from the fan-out for streams held here
        self.sent = 0  # messages handed to a client for the first time
        self.acked = 0
        self.resent = 0  # read again from the window or the archive
        self.archive_reads = 0
        self.caught_up = 0  # streams of which the archive knew more than was heard
        self.pictures = 0
        self.pictures_dropped = 0
        self.closed_slow = 0


class Hub:
    """The streams and pictures of one campus, and the clients who hear them."""

    def __init__(
        self,
        campus_id: str,
        *,
        archive: Archive,
        gate: Gate,
        limits: PushLimits,
        clock: Callable[[], float],
    ) -> None:
        """clock: seconds that never go back."""
        self.campus_id = campus_id
        # Names the database's history, as the archive says before anybody comes in.
        self.epoch = ""
        self.limits = limits
        self.figures = PushFigures()
        self.clients: dict[str, list[Client]] = {}  # by person
        self.pictures: dict[str, Picture] = {}
        self._archive = archive
        self._gate = gate
        self._clock = clock
        self._spawn: Spawn | None = None
        self._streams: dict[str, Stream] = {}
        self._opening: dict[str, asyncio.Future[None]] = {}
        self._idle: dict[str, None] = {}  # streams nobody reads, the longest idle first
        self._order: deque[tuple[Stream, int, int]] = deque()  # the windows' messages by age: stream, number, bytes
        self._window_bytes = 0
        # Of which it must be kept how far they were sent and acknowledged, since which second; the longest first.
        self._dirty: dict[Stream, int] = {}
        self._second = 0
        # Whether the archive is being looked through for what was not heard, and whether it must be once more.
        self._is_catching_up = self._catches_up_again = False

    def start(self, spawn: Spawn) -> None:
        """Work with tasks that `spawn` owns."""
        self._spawn = spawn

    # streams

    async def open(self, name: str) -> Stream:
        """A stream with what is known of it; asked from the archive once, whoever waits."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Stream(name)  # from now on it is delivered to
            self._opening[name] = asyncio.get_running_loop().create_future()
            try:
                stream.open(await self._archive.load(name))
            except BaseException:
                del self._streams[name]
                raise
            finally:
                self._opening.pop(name).set_result(None)
            self._rest(stream)
        elif not stream.is_open:
            await self._opening[name]
            return await self.open(name)
        return stream

    def acked(self, name: str) -> int:
        """How far a stream was acknowledged, as far as is known here; it may not be kept yet."""
        stream = self._streams.get(name)
        return 0 if stream is None else stream.acked

    async def read(self, stream: Stream, *, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Messages after a number, from the window when it has them."""
        if stream.holds(after + 1):
            return list(stream.after(after, limit))
        if after >= stream.newest:
            return []
        self.figures.archive_reads += 1
        return await self._archive.read(stream.name, after=after, limit=limit)

    def attach(self, client: Client, stream: Stream, *, at: int) -> Reader:
        """Let a client read on from `at`."""
        reader = Reader(client, stream, at)
        stream.readers.append(reader)
        self._idle.pop(stream.name, None)
        self._note_sent(stream, at)
        return reader

    def detach(self, reader: Reader) -> None:
        """A client reads this no more."""
        reader.stream.readers.remove(reader)
        if not reader.stream.readers:
            self._rest(reader.stream)

    def acknowledge(self, reader: Reader, number: int) -> None:
        """He has everything up to `number`; more than was sent to him is not believed. A repeat changes nothing."""
        stream = reader.stream
        number = min(number, reader.at)
        if number > stream.acked:
            self.figures.acked += number - stream.acked
            stream.acked = number
            self._dirty.setdefault(stream, self._second)

    def deliver(self, batch: Sequence[Kept]) -> None:
        """Hand a batch of committed messages to whoever reads; each client gets one write."""
        streams, figures, order = self._streams, self.figures, self._order
        touched: dict[Client, None] = {}
        behind: list[Reader] = []
        for message in batch:
            stream = streams.get(message.stream)
            if stream is None or not stream.append(message):
                continue
            figures.delivered += 1
            number, data = message.number, message.data
            size = len(data) + 100
            order.append((stream, number, size))
            self._window_bytes += size
            readers = stream.readers
            if not readers:
                continue
            line = publication(stream.head, number, data)
            for reader in readers:
                client = reader.client
                if reader.at == number - 1 and client.takes(line):
                    reader.at = number
                    touched[client] = None
                else:
                    behind.append(reader)
            if stream.sent < number and readers[0].at == number:
                self._note_sent(stream, number)
        if self._window_bytes > self.limits.window_bytes_max:
            self._forget_oldest()
        for client in touched:
            client.flush()
        for reader in behind:
            self.pump(reader)

    def pump(self, reader: Reader) -> None:
        """Send a reader what he has not had yet, as long as his socket takes it."""
        client, stream = reader.client, reader.stream
        while reader.at < stream.newest and not reader.is_reading and client.may_take:
            if not stream.holds(reader.at + 1):
                reader.is_reading = True
                self._start(client.guard(self._read_on(reader)))
                return
            self._send(reader, stream.after(reader.at, self.limits.replay_max))

    def catch_up(self) -> None:
        """Find in the archive what was not heard, and show every picture again; several calls cost one or two looks."""
        if self._is_catching_up:
            self._catches_up_again = True
        elif self._spawn is not None:
            self._is_catching_up = True
            self._start(self._look_for_unheard())

    async def _look_for_unheard(self) -> None:
        try:
            while True:
                self._catches_up_again = False
                await self._reach_newest()
                for channel in list(self.pictures):
                    self.change(channel)
                if not self._catches_up_again:
                    return
        finally:
            self._is_catching_up = False

    async def _reach_newest(self) -> None:
        """Ask for the newest number of every stream held here, and let those who read go on; retries until it knows."""
        names = list(self._streams)
        for i in range(0, len(names), STREAMS_AT_ONCE):
            some = names[i : i + STREAMS_AT_ONCE]
            while True:
                try:
                    newest = await self._archive.newest(some)
                    break
                except Problem as problem:
                    log.warning("push.catching_up", extra={"campus": self.campus_id, "refusal": problem.title_en()})
                    await asyncio.sleep(CATCH_UP_AGAIN_S)
            for name, number in newest.items():
                stream = self._streams.get(name)
                if stream is not None and stream.reach(number):
                    self.figures.caught_up += 1
                    for reader in list(stream.readers):
                        self.pump(reader)

    async def _read_on(self, reader: Reader) -> None:
        """Read a part that only the archive has."""
        try:
            rows = await self.read(reader.stream, after=reader.at, limit=self.limits.replay_max)
        finally:
            reader.is_reading = False
        if rows and reader.client.may_take:
            self._send(reader, rows)
        if rows:
            self.pump(reader)

    def _send(self, reader: Reader, messages: Any) -> None:
        head = reader.stream.head
        for number, data in messages:
            if not reader.client.takes(publication(head, number, data)):
                break
            reader.at = number
            self.figures.resent += 1
        self._note_sent(reader.stream, reader.at)
        reader.client.flush()

    def _note_sent(self, stream: Stream, number: int) -> None:
        if number > stream.sent:
            self.figures.sent += number - stream.sent
            stream.sent = number
            self._dirty.setdefault(stream, self._second)

    def _forget_oldest(self) -> None:
        """Let the oldest messages go until the windows are small enough."""
        while self._window_bytes > self.limits.window_bytes_max:
            oldest, number, freed = self._order.popleft()
            oldest.forget_first(number)
            self._window_bytes -= freed

    def _rest(self, stream: Stream) -> None:
        """Nobody reads this stream; the longest idle ones leave memory when there are too many."""
        self._idle[stream.name] = None
        while len(self._idle) > self.limits.streams_max:
            name = next(iter(self._idle))
            del self._idle[name]
            if self._streams[name] in self._dirty:
                self._idle[name] = None
                return
            self._streams.pop(name).window.clear()

    async def keep_cursors(self, *, of_all: bool = False) -> None:
        """Have it kept how far streams were sent and acknowledged: of those that have waited five seconds, and of a
        fifth when many wait, so that no message waits long for them. Called once a second, `of_all` at the end; what
        cannot be kept now is tried again."""
        self._second += 1
        due = list(self._dirty) if of_all else self._due_cursors()
        for i in range(0, len(due), CURSORS_AT_ONCE):
            # Without those that another call has taken meanwhile: the last one, of all, does not wait for those before.
            some = [stream for stream in due[i : i + CURSORS_AT_ONCE] if self._dirty.pop(stream, None) is not None]
            try:
                await self._archive.keep_cursors([stream.state_of_sending() for stream in some])
            except BaseException:
                for stream in some:
                    self._dirty.setdefault(stream, self._second)
                raise

    def _due_cursors(self) -> list[Stream]:
        """Whose turn it is; when somebody's is, as many as a commit takes."""
        dirty = self._dirty
        count = len(dirty) // CURSORS_EVERY_S if len(dirty) > CURSORS_AT_ONCE else 0
        for since in islice(dirty.values(), count, None):
            if self._second - since < CURSORS_EVERY_S:
                break
            count += 1
        return list(islice(dirty, max(count, CURSORS_AT_ONCE) if count else 0))

    # pictures

    def watch(self, client: Client, channel: str) -> None:
        """Let a client hear an ephemeral channel; the count of those who watch has changed."""
        self.pictures.setdefault(channel, Picture()).add(client)
        self.change(channel)

    def unwatch(self, client: Client, channel: str) -> None:
        """A client hears an ephemeral channel no more."""
        picture = self.pictures[channel]
        picture.remove(client)
        if picture.clients:
            self.change(channel)
        else:
            del self.pictures[channel]

    def watching(self, channel: str) -> int:
        """How many people hear an ephemeral channel here."""
        picture = self.pictures.get(channel)
        return 0 if picture is None else len(picture.people)

    async def paint(self, channel: str) -> bytes:
        """What an ephemeral channel looks like now."""
        return await self._gate.picture(self.campus_id, channel, self.watching(channel))

    def change(self, channel: str) -> None:
        """A picture has changed; it is sent at once, or as soon as the last one is old enough."""
        picture = self.pictures.get(channel)
        if picture is None or picture.is_due:
            return
        picture.is_due = True
        wait_s = max(0.0, picture.sent_at + self.limits.snapshot_s - self._clock())
        asyncio.get_running_loop().call_later(wait_s, self._start_showing, channel, picture)

    def _start_showing(self, channel: str, picture: Picture) -> None:
        if self.pictures.get(channel) is picture and self._spawn is not None:
            self._start(self._show(channel, picture))

    async def _show(self, channel: str, picture: Picture) -> None:
        """Send a picture to all who hear it; one whose socket is full gets the latest when it is not."""
        picture.sent_at = self._clock()
        picture.is_due = False
        try:
            data = await self.paint(channel)
        except Unavailable:  # nothing else may happen for an hour that would have it shown
            asyncio.get_running_loop().call_later(CATCH_UP_AGAIN_S, self.change, channel)
            return
        except Exception:
            log.exception("push.picture_failed", extra={"channel": channel})
            return
        if data == picture.data:
            return
        picture.data = data
        self.figures.pictures += 1
        line = snapshot(channel, data)
        for client in list(picture.clients):
            if client.takes(line):
                client.flush()
            else:
                client.missed.add(channel)
                self.figures.pictures_dropped += 1

    def show_again(self, client: Client, channel: str) -> None:
        """Send a client the picture that he missed."""
        picture = self.pictures.get(channel)
        if picture is not None and client in picture.clients and client.takes(snapshot(channel, picture.data)):
            client.flush()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if self._spawn is None:
            work.close()
        else:
            self._spawn(work)
