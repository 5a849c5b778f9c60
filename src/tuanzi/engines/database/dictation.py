"""How a batch travels to the process that writes it down, and what comes back (decision 0018)."""

from __future__ import annotations

from collections.abc import Sequence
from socket import MSG_WAITALL, socket
from typing import Any, NamedTuple, cast

import msgspec

from tuanzi.machinery.database import DatabaseError, DatabaseUnavailable, Fenced, Flush, RowRefused, Update
from tuanzi.machinery.tables import Row, Table

LENGTH_BYTES = 8
_ERRORS: tuple[type[DatabaseError], ...] = (RowRefused, DatabaseUnavailable, Fenced)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Shape(NamedTuple):
    """What whoever writes rows down must know of their table."""

    name: str
    columns: Sequence[str]
    key: Sequence[str]


def said(flush: Flush) -> bytes:
    """A batch as bytes. Raises RowRefused for what no column takes."""
    try:
        return _encode(
            (
                flush.before,
                flush.after,
                flush.event_number,
                [(table.name, table.columns, table.key, rows) for table, rows in flush.inserts],
                [(table.name, table.columns, table.key, rows) for table, rows in flush.upserts],
                [(each.table.name, each.columns, each.table.key, each.rows) for each in flush.updates],
                [(table.name, table.columns, table.key, keys) for table, keys in flush.removes],
                flush.events,
            )
        )
    except (OverflowError, UnicodeEncodeError, TypeError) as error:  # such as half of a character
        raise RowRefused(str(error)) from error


def heard(body: bytes | bytearray) -> Flush:
    """The batch that was said."""
    before, after, event_number, inserts, upserts, updates, removes, events = _decode(body)
    return Flush(
        before=before,
        after=after,
        event_number=event_number,
        inserts=_by_table(inserts),
        upserts=_by_table(upserts),
        updates=[Update(table, tuple(table.columns), rows, _not_said) for table, rows in _by_table(updates)],
        removes=_by_table(removes),
        events=events,
    )


def _by_table(
    said: Sequence[tuple[str, Sequence[str], Sequence[str], list[Any]]],
) -> list[tuple[Table[Any], list[Any]]]:
    return [(cast("Table[Any]", Shape(name, columns, key)), rows) for name, columns, key, rows in said]


def _not_said() -> list[Row]:
    raise AssertionError("only the columns that differ are said")


def answer(error: DatabaseError | None) -> bytes:
    """What became of a batch, as bytes: it was kept, or why not."""
    return _encode(None if error is None else (_ERRORS.index(type(error)), str(error)))


def check(body: bytes | bytearray) -> None:
    """Raise what was answered, unless the batch was kept."""
    refused = _decode(body)
    if refused is not None:
        raise _ERRORS[refused[0]](refused[1])


def send(line: socket, body: bytes) -> None:
    """Send bytes as one message. Raises OSError when the other end has gone."""
    line.sendall(b"".join(framed(body)))


def framed(body: bytes) -> tuple[bytes, bytes]:
    """One message as it travels: its length, then itself."""
    return len(body).to_bytes(LENGTH_BYTES, "big"), body


def unframed(got: bytearray) -> bytes | None:
    """The one message in what has come so far; None when it is not whole yet."""
    end = LENGTH_BYTES + int.from_bytes(got[:LENGTH_BYTES], "big")
    if len(got) < max(end, LENGTH_BYTES):
        return None
    body = bytes(got[LENGTH_BYTES:end])
    del got[:end]
    return body


def receive(line: socket) -> bytearray | None:
    """The next message; None when the other end has gone."""
    length = _exactly(line, LENGTH_BYTES)
    return None if length is None else _exactly(line, int.from_bytes(length, "big"))


def _exactly(line: socket, size: int) -> bytearray | None:
    body = bytearray(size)
    at = 0
    while at < size:
        try:
            got = line.recv_into(memoryview(body)[at:], 0, MSG_WAITALL)
        except ConnectionError:
            return None
        if not got:
            return None
        at += got
    return body
