"""One client of the gateway: carries out what he says, in order, and writes to him once for each batch (A4, A5)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from tuanzi.base.problem import Problem
from tuanzi.machinery.push.hub import Hub
from tuanzi.machinery.push.ports import ChannelKind, Ticket
from tuanzi.machinery.push.protocol import (
    FLAG_REJECT_UNRECOVERED,
    PONG,
    UNREADABLE,
    Close,
    Closing,
    Command,
    Connect,
    Fault,
    History,
    OfChannel,
    Position,
    Refused,
    Rpc,
    Subscribe,
    Token,
    acked_by,
    ping,
    publications,
    read_commands,
    refusal,
    reply,
)
from tuanzi.machinery.push.sockets import Socket
from tuanzi.machinery.push.streams import Reader, Stream

if TYPE_CHECKING:
    from tuanzi.machinery.push.gateway import Gateway

log = logging.getLogger("tuanzi.push")


class Ack(msgspec.Struct):
    """Everything of the person's own stream up to this number has arrived."""

    number: int


class SentAck(msgspec.Struct):
    """The same, as a message that wants no answer."""

    ack: int


_read_ack = msgspec.json.Decoder(Ack).decode
_read_sent_ack = msgspec.json.Decoder(SentAck).decode


class Client:
    """A connection and what is known of who is there; a Listener of its socket."""

    __slots__ = (
        "_earned_at",
        "_gateway",
        "_out",
        "_out_bytes",
        "_socket",
        "_tokens",
        "_waiting",
        "full_since",
        "heard_since_ping",
        "hub",
        "id",
        "is_closed",
        "is_full",
        "missed",
        "network",
        "opened_at",
        "own",
        "pictures",
        "readers",
        "ticket",
    )

    def __init__(self, gateway: Gateway, socket: Socket, *, id: str, now: float) -> None:
        self.id = id
        self.network = ""  # by which he is counted; "" when he is not
        self.ticket: Ticket | None = None
        self.hub: Hub | None = None
        self.own: Reader | None = None  # his place in his own stream
        self.readers: dict[str, Reader] = {}
        self.pictures: set[str] = set()
        self.missed: set[str] = set()  # pictures that he has not seen in their latest state
        self.is_closed = False
        self.is_full = False
        self.full_since = 0.0
        self.opened_at = now
        self.heard_since_ping = True
        self._gateway = gateway
        self._socket = socket
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._waiting: deque[Command] = deque()
        self._tokens = float(gateway.limits.commands_burst)
        self._earned_at = now

    # what the socket says

    def on_text(self, text: bytes) -> None:
        """A frame: one command a line."""
        if self.is_closed:
            return
        if text == PONG and not self.heard_since_ping:
            self.heard_since_ping = True
            return
        self.heard_since_ping = True
        number = None if self.ticket is None or self._waiting else acked_by(text)
        if number is None:
            self._obey(read_commands, text)
            return
        try:
            self._spend(1)
            self._acknowledge(number)
        except Closing as closing:
            self.close(closing.code, closing.reason)

    def on_bytes(self, frame: bytes) -> None:
        """Nobody who speaks JSON sends these."""
        self.close(Close.WRONG_FRAME, "text only")

    def on_beat(self) -> bool:
        """Counted as a command is; whoever takes nothing is not answered."""
        if self.is_closed:
            return False
        try:
            self._spend(1)
        except Closing as closing:
            self.close(closing.code, closing.reason)
        return self.may_take

    def on_full(self) -> None:
        """Nothing more is sent until `on_drained`."""
        self.is_full = True
        self.full_since = self._gateway.clock()
        self._gateway.full.add(self)

    def on_drained(self) -> None:
        """Go on where it stopped."""
        self.is_full = False
        self._gateway.full.discard(self)
        if self.is_closed or self.hub is None:
            return
        for reader in self.readers.values():
            self.hub.pump(reader)
        while self.missed and self.may_take:
            self.hub.show_again(self, self.missed.pop())

    def on_closed(self) -> None:
        """He is gone."""
        self.is_closed = True
        hub = self.hub
        if hub is not None:
            for reader in self.readers.values():
                hub.detach(reader)
            for channel in self.pictures:
                hub.unwatch(self, channel)
        self.readers.clear()
        self.pictures.clear()
        self._waiting.clear()
        self.own = None  # refers to him: else nothing but Python's collector would find that he is gone
        self._gateway.left(self)

    # what is sent

    @property
    def may_take(self) -> bool:
        """Whether anything can be sent now."""
        return not self.is_full and not self.is_closed

    @property
    def person_id(self) -> str:
        """Who he is, '' before he said so."""
        return "" if self.ticket is None else self.ticket.person_id

    @property
    def waiting_bytes(self) -> int:
        """What he has not taken yet."""
        return self._out_bytes + self._socket.waiting_bytes

    def takes(self, line: bytes) -> bool:
        """Put a line into the next write; False when too much waits already."""
        if self.is_full or self.is_closed or self._out_bytes > self._gateway.limits.unsent_bytes_max:
            return False
        self._out.append(line)
        self._out_bytes += len(line)
        return True

    def flush(self) -> None:
        """Write what was put together."""
        if self._out and not self.is_closed:
            text = self._out[0] if len(self._out) == 1 else b"\n".join(self._out)
            self._out.clear()
            self._out_bytes = 0
            self._socket.send(text)

    def close(self, code: Close, reason: str) -> None:
        """End the connection and say why."""
        if self.is_closed:
            return
        self.flush()
        self.is_closed = True
        self._gateway.ending(self, code)
        self._socket.close(int(code), reason)

    def abort(self) -> None:
        """End the connection though what waits is lost to it."""
        self._socket.abort()

    def ping(self) -> None:
        """Ask whether he is there, once he was let in; tell the newest number of his stream."""
        if self.own is not None:
            self.heard_since_ping = False
            self._say(ping(self.own.stream.newest))
            self.flush()

    def _say(self, line: bytes) -> None:
        """Put an answer into the next write, whatever waits: who lets too many wait is not answered (`_take`)."""
        self._out.append(line)
        self._out_bytes += len(line)

    # what he wants

    def _obey(self, read: Callable[[bytes], list[Command]], frame: bytes) -> None:
        """Carry out what a frame says, and answer in one write; nothing of it when any of it cannot be read."""
        try:
            commands = read(frame)
            self._spend(max(1, len(commands)))
            for command in commands:
                self._take(command)
        except UNREADABLE:
            self.close(Close.BAD_REQUEST, "not a command")
        except Closing as closing:
            self.close(closing.code, closing.reason)
        if self._out:
            self.flush()

    def _spend(self, commands: int) -> None:
        """Take so many from what he may ask; what he has earned meanwhile is counted when nothing is left."""
        self._tokens -= commands
        if self._tokens >= 0:
            return
        limits, now = self._gateway.limits, self._gateway.clock()
        earned = (now - self._earned_at) * limits.commands_per_s
        self._tokens = min(float(limits.commands_burst), self._tokens + commands + earned) - commands
        self._earned_at = now
        if self._tokens < 0:
            raise Closing(Close.TOO_MANY_REQUESTS, "too many commands")

    def _take(self, command: Command) -> None:
        """Carry a command out at once when it needs no database and nothing before it waits."""
        self._check_taken()
        if self._waiting:
            if len(self._waiting) >= self._gateway.limits.waiting_commands_max:
                raise Closing(Close.TOO_MANY_REQUESTS, "too many commands at once")
            self._waiting.append(command)
        elif not self._carry_out(command):
            self._waiting.append(command)
            self._gateway.spawn(self.guard(self._work()))

    def _check_taken(self) -> None:
        """Raises Closing for who takes no answers and goes on asking."""
        if self.waiting_bytes > self._gateway.limits.answers_bytes_max:
            raise Closing(Close.SLOW, "slow")

    async def _work(self) -> None:
        """Carry out what waits, in order."""
        while self._waiting and not self.is_closed:
            self._check_taken()
            command = self._waiting[0]
            if not self._carry_out(command):
                await self._carry_out_slowly(command)
            if self._waiting:
                self._waiting.popleft()
            self.flush()

    async def guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work for this client; what goes wrong ends his connection and touches nobody else."""
        try:
            await work
        except Closing as closing:
            self.close(closing.code, closing.reason)
        except Problem:  # the database takes nothing now: he comes back by himself
            self.close(Close.INTERNAL, "try again")
        except Exception:
            log.exception("push.client_failed", extra={"client": self.id})
            self.close(Close.INTERNAL, "internal error")

    def _carry_out(self, command: Command) -> bool:
        """Carry out a command that needs nobody else; False when it has to wait for an answer."""
        if command.connect is not None or command.subscribe is not None or command.history is not None:
            return False
        if command.refresh is not None:
            return False
        if self.ticket is None:
            raise Closing(Close.BAD_REQUEST, "connect first")
        try:
            if command.rpc is not None:
                self._call(command.id, command.rpc)
            elif command.send is not None:
                self._acknowledge(_read_sent_ack(command.send.data).ack)
            elif command.unsubscribe is not None:
                self._unsubscribe(command.id, command.unsubscribe)
            elif command.presence is not None:
                self._show_presence(command.id, command.presence, is_counted=False)
            elif command.presence_stats is not None:
                self._show_presence(command.id, command.presence_stats, is_counted=True)
            elif command.id:  # publish, sub_refresh and whatever comes after this release
                raise Refused(Fault.METHOD_NOT_FOUND)
        except Refused as refused:
            self._say(refusal(command.id, refused.fault))
        except UNREADABLE:
            self._say(refusal(command.id, Fault.BAD_REQUEST))
        return True

    async def _carry_out_slowly(self, command: Command) -> None:
        try:
            if command.connect is not None:
                await self._connect(command.id, command.connect)
            elif self.ticket is None or self.hub is None:
                raise Closing(Close.BAD_REQUEST, "connect first")
            elif command.subscribe is not None:
                await self._subscribe(self.hub, self.ticket, command.id, command.subscribe)
            elif command.history is not None:
                await self._show_history(self.hub, command.id, command.history)
            elif command.refresh is not None:
                await self._refresh(self.ticket, command.id, command.refresh)
        except Refused as refused:
            self._say(refusal(command.id, refused.fault))

    async def _connect(self, id: int, connect: Connect) -> None:
        if self.ticket is not None:
            raise Closing(Close.BAD_REQUEST, "connected already")
        ticket = await self._gateway.gate.admit(connect.token)
        hub = self._gateway.hubs[ticket.campus_id]
        # From now on it is heard here that his session ends, or his rights change: what he sees is read after that.
        self.ticket, self.hub = ticket, hub
        self._gateway.enter(self, hub, ticket)
        stream = await hub.open(ticket.stream)
        position = connect.subs.get(ticket.stream)
        place = _place_of(hub, stream, position, otherwise=max(stream.acked, stream.floor))
        rows = await hub.read(stream, after=place.at, limit=hub.limits.replay_max) if place.is_recovered else []
        if self.is_closed:
            return
        reader = self.own = self._read(hub, stream, at=rows[-1][0] if rows else place.at)
        body = {
            "client": self.id,
            "version": "tuanzi",
            "expires": True,
            "ttl": self._seconds_left(ticket),
            "ping": self._gateway.limits.ping_s,
            "pong": True,
            "subs": {ticket.stream: _subscribed(hub, reader, place, rows)},
        }
        self._say(reply(id, "connect", body))
        self.flush()
        hub.pump(reader)

    async def _refresh(self, ticket: Ticket, id: int, token: Token) -> None:
        newer = await self._gateway.gate.admit(token.token)
        if (newer.person_id, newer.campus_id) != (ticket.person_id, ticket.campus_id):
            raise Closing(Close.INVALID_TOKEN, "another person's token")
        self.ticket = newer
        self._say(reply(id, "refresh", {"client": self.id, "expires": True, "ttl": self._seconds_left(newer)}))

    def _seconds_left(self, ticket: Ticket) -> int:
        return max(1, int((ticket.expires_at - self._gateway.now()).total_seconds()))

    async def _subscribe(self, hub: Hub, ticket: Ticket, id: int, wanted: Subscribe) -> None:
        channel = wanted.channel
        if channel in self.readers or channel in self.pictures:
            raise Refused(Fault.ALREADY_SUBSCRIBED)
        if len(self.readers) + len(self.pictures) >= self._gateway.limits.subscriptions_max:
            raise Refused(Fault.LIMIT_EXCEEDED)
        match await self._gateway.gate.kind_of(ticket, channel):
            case ChannelKind.PICTURE:
                await self._watch(hub, id, channel)
            case ChannelKind.STREAM:
                await self._follow(hub, id, wanted)

    async def _watch(self, hub: Hub, id: int, channel: str) -> None:
        """Hear a picture: what it looks like now stands in the answer."""
        if self.is_closed:  # while it was looked up whether he may: nobody would take him out again
            return
        hub.watch(self, channel)
        self.pictures.add(channel)
        try:
            data = await hub.paint(channel)
        except BaseException:
            if channel in self.pictures:
                self.pictures.discard(channel)
                hub.unwatch(self, channel)
            raise
        if not self.is_closed:
            self._say(reply(id, "subscribe", {"data": msgspec.Raw(data)}))

    async def _follow(self, hub: Hub, id: int, wanted: Subscribe) -> None:
        """Hear a stream from the number that the client has, or from now on."""
        stream = await hub.open(wanted.channel)
        position = Position(recover=wanted.recover, offset=wanted.offset, epoch=wanted.epoch)
        place = _place_of(hub, stream, position, otherwise=stream.newest)
        if not place.is_recovered and wanted.flag & FLAG_REJECT_UNRECOVERED:
            raise Refused(Fault.UNRECOVERABLE_POSITION)
        rows = await hub.read(stream, after=place.at, limit=hub.limits.replay_max) if place.is_recovered else []
        if self.is_closed:
            return
        reader = self._read(hub, stream, at=rows[-1][0] if rows else place.at)
        self._say(reply(id, "subscribe", _subscribed(hub, reader, place, rows)))
        self.flush()
        hub.pump(reader)

    def _read(self, hub: Hub, stream: Stream, *, at: int) -> Reader:
        reader = self.readers[stream.name] = hub.attach(self, stream, at=at)
        return reader

    def _unsubscribe(self, id: int, wanted: OfChannel) -> None:
        hub, channel = self.hub, wanted.channel
        assert hub is not None
        reader = self.readers.get(channel)
        if reader is not None and reader is self.own:
            raise Refused(Fault.PERMISSION_DENIED)
        if reader is not None:
            hub.detach(self.readers.pop(channel))
        elif channel in self.pictures:
            self.pictures.discard(channel)
            self.missed.discard(channel)
            hub.unwatch(self, channel)
        self._say(reply(id, "unsubscribe", {}))

    def _show_presence(self, id: int, wanted: OfChannel, *, is_counted: bool) -> None:
        """How many hear a picture; who they are is nobody's business (J3)."""
        hub = self.hub
        if hub is None or wanted.channel not in self.pictures:
            raise Refused(Fault.PERMISSION_DENIED)
        clients = hub.pictures[wanted.channel].clients
        if is_counted:
            counted = {"num_clients": len(clients), "num_users": hub.watching(wanted.channel)}
            self._say(reply(id, "presence_stats", counted))
            return
        some = [client.id for client in islice(clients, hub.limits.replay_max)]
        self._say(reply(id, "presence", {"presence": {each: {"client": each, "user": ""} for each in some}}))

    async def _show_history(self, hub: Hub, id: int, wanted: History) -> None:
        reader = self.readers.get(wanted.channel)
        if reader is None or wanted.reverse:
            raise Refused(Fault.NOT_AVAILABLE if reader else Fault.PERMISSION_DENIED)
        stream = reader.stream
        after = stream.floor if wanted.since is None else max(stream.floor, wanted.since.offset)
        limit = hub.limits.replay_max if wanted.limit < 0 else min(wanted.limit, hub.limits.replay_max)
        rows = await hub.read(stream, after=after, limit=limit) if limit else []
        body = {"epoch": hub.epoch, "offset": stream.newest, "publications": publications(rows)}
        self._say(reply(id, "history", body))

    def _call(self, id: int, rpc: Rpc) -> None:
        if rpc.method != "ack":
            raise Refused(Fault.METHOD_NOT_FOUND)
        self._acknowledge(_read_ack(rpc.data).number)
        self._say(reply(id, "rpc", {"data": {}}))

    def _acknowledge(self, number: int) -> None:
        if self.own is not None and self.hub is not None:
            self.hub.acknowledge(self.own, number)

    def is_expired(self, before: datetime) -> bool:
        """Whether his token was over before this."""
        return self.ticket is not None and self.ticket.expires_at < before


class _Place(msgspec.Struct, frozen=True):
    """Where a client goes on, whether he said where he is, and whether everything from there on is there."""

    at: int
    was_recovering: bool
    is_recovered: bool


def _place_of(hub: Hub, stream: Stream, position: Position | None, *, otherwise: int) -> _Place:
    """Where to go on. Not recovered only after a restore from a backup, or from before what is kept (7 days)."""
    if position is None or not position.recover:
        return _Place(otherwise, was_recovering=False, is_recovered=True)
    is_there = position.epoch == hub.epoch and stream.floor <= position.offset <= stream.newest
    return _Place(position.offset if is_there else otherwise, was_recovering=True, is_recovered=is_there)


def _subscribed(hub: Hub, reader: Reader, place: _Place, rows: list[tuple[int, bytes]]) -> dict[str, Any]:
    return {
        "recoverable": True,
        "positioned": True,
        "epoch": hub.epoch,
        "offset": reader.at,
        "was_recovering": place.was_recovering,
        "recovered": place.is_recovered,
        "publications": publications(rows),
    }
