"""What processes say to each other: a call of a command, written into the command log, and the reply to it (D3).

Both are MessagePack; the commands, events and answers in them are the JSON that the databases keep too.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from tuanzi.base.once import Once
from tuanzi.base.problem import Problem
from tuanzi.machinery.codec import Codec, encode, name_of
from tuanzi.machinery.internal import Rows
from tuanzi.machinery.problems import Crashed
from tuanzi.machinery.tables import Table
from tuanzi.machinery.writer import Outcome, Schema

# Calls that are no command of a room: rows to be kept as they are, and to be told when an event was followed.
ROWS, FOLLOWED = "machinery.Rows", "machinery.Followed"

_pack = msgspec.msgpack.Encoder().encode
_unpack_followed = msgspec.msgpack.Decoder(tuple[str, int]).decode
_unpack_rows = msgspec.msgpack.Decoder(tuple[list[tuple[str, list[Any]]], ...]).decode


class Call(Struct, frozen=True, array_like=True, gc=False):
    """A command on its way to the writer of the database `desk` of a campus.

    number, reply_to: what the reply is known by, and the address that it goes to. key, fingerprint: of the
    Idempotency-Key, "" without one. heard_by: the database that is to have heard what this emits before the reply.
    """

    number: int
    reply_to: str
    desk: str
    command: str
    body: bytes
    who: str = ""
    key: str = ""
    fingerprint: str = ""
    is_accepted: bool = False
    heard_by: str = ""

    @property
    def once(self) -> Once | None:
        """The Idempotency-Key, if it has one."""
        return Once(self.key, self.fingerprint) if self.key else None


class Reply(Struct, frozen=True, array_like=True, gc=False):
    """What became of a call. events: (number, name, version, body). problem: its code; facts: JSON.

    position: behind all that the writer has committed, where a replica may not have it yet. heard: what the database
    that the call names in `heard_by` emitted when it heard the last of `events`; None where that is to be asked for.
    heard_position: of that database.
    """

    number: int
    body: bytes = b"null"
    events: Sequence[tuple[int, str, int, bytes]] = ()
    is_replayed: bool = False
    problem: str = ""
    facts: bytes = b"{}"
    position: str = ""
    heard: Sequence[tuple[int, str, int, bytes]] | None = None
    heard_position: str = ""


pack_call: Callable[[Call], bytes] = _pack
unpack_call: Callable[[bytes], Call] = msgspec.msgpack.Decoder(Call).decode
pack_replies: Callable[[Sequence[Reply]], bytes] = _pack
unpack_replies: Callable[[bytes], list[Reply]] = msgspec.msgpack.Decoder(list[Reply]).decode


class Words:
    """How one kind of database's commands, answers and events are said; made from what its writer knows."""

    def __init__(self, schema: Schema, events: Codec) -> None:
        """events: knows every event of the house, for an answer tells also what listeners emitted."""
        self.codec = schema.codec
        self._events = events
        self._tables = {table.name: table for table in schema.tables}
        self._answers: dict[str, msgspec.json.Decoder[Any]] = {
            name_of(kind): msgspec.json.Decoder(answer_type(handler)) for kind, handler in schema.decides.items()
        }

    def body_of(self, command: Any) -> tuple[str, bytes]:
        """The name and body of a command."""
        if type(command) is Rows:
            parts = (command.inserts, command.upserts, command.removes)
            return ROWS, _pack([[(table.name, rows) for table, rows in part] for part in parts])
        return name_of(type(command)), encode(command)

    def command(self, call: Call) -> Any:
        """The command of a call. Raises one of `codec.UNREADABLE`."""
        if call.command != ROWS:
            return self.codec.command(call.command, call.body)
        inserts, upserts, removes = (
            [(self._table(name), [tuple(row) if isinstance(row, list) else row for row in rows]) for name, rows in part]
            for part in _unpack_rows(call.body)
        )
        return Rows(inserts=inserts, upserts=upserts, removes=removes)

    def _table(self, name: str) -> Table[Any]:
        return self._tables[name]

    def outcome(self, command: str, reply: Reply) -> Outcome:
        """The outcome that a reply tells of."""
        if reply.problem:
            return Outcome(problem=problem_of(reply))
        events = self.events(reply.events)
        decoder = self._answers.get(command)
        answer = None if decoder is None or reply.body == b"null" else decoder.decode(reply.body)
        return Outcome(answer=answer, body=reply.body, events=events, replayed=reply.is_replayed)

    def events(self, told: Sequence[tuple[int, str, int, bytes]]) -> tuple[tuple[int, Any], ...]:
        """Events that a reply tells of; Unreadable where only another release knows one."""
        read = self._events.event_if_readable
        return tuple([(number, read(name, version, body)) for number, name, version, body in told])


def followed_body(source: str, number: int) -> bytes:
    """What a call to be told that event `number` of `source` was handled says."""
    return _pack((source, number))


def followed_of(call: Call) -> tuple[str, int]:
    """What such a call waits for."""
    return _unpack_followed(call.body)


def reply_of(number: int, outcome: Outcome, *, position: str = "") -> Reply:
    """What is told of an outcome. position: of the database that keeps it (`Reply`)."""
    if outcome.problem is not None:
        problem = outcome.problem
        return Reply(number, problem=type(problem).code, facts=encode(problem.facts), position=position)
    return Reply(number, outcome.body, told_events(outcome.events), outcome.replayed, position=position)


def told_events(numbered: Sequence[tuple[int, Any]]) -> list[tuple[int, str, int, bytes]]:
    """Events as a reply tells them."""
    return [(number, type(event).name, type(event).version, encode(event)) for number, event in numbered]


def problem_of(reply: Reply) -> Problem:
    """The problem that a reply tells of; one of another release is a Crashed."""
    facts = msgspec.json.decode(reply.facts)
    kind = _problems().get(reply.problem)
    return Crashed(problem=reply.problem) if kind is None else kind(**facts)


def answer_type(handler: Callable[..., Any]) -> Any:
    """What a command's handler says that it answers with."""
    plain = inspect.unwrap(handler.func if isinstance(handler, functools.partial) else handler)
    return typing.get_type_hints(plain).get("return", Any)


@functools.cache
def _problems() -> Mapping[str, type[Problem]]:
    """Every problem of the house by its code; looked for when the first is told, when every room is there."""
    return {kind.code: kind for kind in _kinds(Problem)}


def _kinds(kind: type[Problem]) -> Iterator[type[Problem]]:
    for each in kind.__subclasses__():
        yield each
        yield from _kinds(each)
