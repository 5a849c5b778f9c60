"""Reads the rows of an answer out of what the socket gave at once; PyMySQL takes each packet and each cell by itself.

Measured with a row of 19 columns: 65 us of processor a query by PyMySQL, 23 so; each further row 6, and 3 so.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from pymysql.connections import TEXT_TYPES, MySQLResult
from pymysql.constants import CR, FIELD_TYPE
from pymysql.err import OperationalError
from pymysql.protocol import FieldDescriptorPacket, MysqlPacket

# What one read of the socket may bring; the server sends 16 KiB at a time.
AHEAD_BYTES = 65_536
# The length of a packet that goes on in the next one.
_CONTINUED = b"\xff\xff\xff"
_ERROR, _END, _END_BYTES_MAX = 0xFF, 0xFE, 8
# The first byte of a cell: its length, or that there is none, or how many bytes say it.
_NULL = 251
_LENGTHS = {252: 2, 253: 3, 254: 8}
_BINARY = 63
_ENCODING = "utf8"
# About 1 kB each; a statement's columns are the same each time.
_COLUMNS_MAX = 4096

_columns: dict[bytes, _Column] = {}


class Rows(MySQLResult):  # type: ignore[misc]
    """An answer of the server, all of its rows read."""

    def _get_descriptions(self) -> None:
        """Nothing by itself: columns come with the rows."""

    def _read_rowdata_packet(self) -> None:
        connection: Any = self.connection
        payloads = _payloads(connection)
        try:
            columns = [_column(next(payloads), connection.decoders) for _ in range(self.field_count)]
            next(payloads)  # the end of the columns
            rows = list(self._rows(payloads, [each.into for each in columns]))
        finally:
            payloads.close()
        self.fields = [each.field for each in columns]
        self.description = tuple([each.description for each in columns])
        self.affected_rows = len(rows)
        self.rows = tuple(rows)

    def _rows(self, payloads: Iterator[bytes], intos: list[Callable[[bytes], Any] | None]) -> Iterator[tuple[Any, ...]]:
        """The rows, until the answer ends. into: what makes a cell of its bytes; None for a text."""
        for payload in payloads:
            if payload[0] == _END and len(payload) <= _END_BYTES_MAX:
                self._check_packet_is_eof(MysqlPacket(payload, _ENCODING))
                return
            cells: list[Any] = []
            end = 0
            for into in intos:
                length = payload[end]
                start = end + 1
                if length >= _NULL:
                    if length == _NULL:
                        cells.append(None)
                        end = start
                        continue
                    start += _LENGTHS[length]
                    length = int.from_bytes(payload[end + 1 : start], "little")
                end = start + length
                cells.append(payload[start:end].decode() if into is None else into(payload[start:end]))
            yield tuple(cells)


class _Column:
    """A column of answers: as PyMySQL describes it, and what makes a cell of its bytes; None where it is a text."""

    __slots__ = ("description", "field", "into")

    def __init__(self, payload: bytes, decoders: dict[int, Callable[[str], Any]]) -> None:
        self.field = FieldDescriptorPacket(payload, _ENCODING)
        self.description = self.field.description()
        self.into: Callable[[bytes], Any] | None
        kind = self.field.type_code
        decode = decoders.get(kind)
        if kind == FIELD_TYPE.JSON or (kind in TEXT_TYPES and self.field.charsetnr != _BINARY):
            self.into = None
        elif kind in TEXT_TYPES:
            self.into = bytes
        elif decode is int:
            self.into = int
        else:
            self.into = lambda cell: cell.decode() if decode is None else decode(cell.decode())


def _column(payload: bytes, decoders: dict[int, Callable[[str], Any]]) -> _Column:
    known = _columns.get(payload)
    if known is None:
        if len(_columns) >= _COLUMNS_MAX:
            _columns.clear()
        known = _columns[payload] = _Column(payload, decoders)
    return known


def _payloads(connection: Any) -> Generator[bytes, None, None]:
    """What the packets of an answer hold, as long as somebody asks for more. Raises MySQLError, the server's too.

    The socket's reader mostly has more than one packet: all whole ones in it are used before it is asked again.
    """
    ahead, at = b"", 0
    try:
        while True:
            start = at + 4
            end = start + int.from_bytes(ahead[at : at + 3], "little")
            if start < end <= len(ahead) and _is_next(connection, ahead, at):
                at = end
                connection._next_seq_id = (connection._next_seq_id + 1) % 256
                yield ahead[start:end]
                continue
            connection._rfile.read(at)
            ahead, at = b"", 0
            yield connection._read_packet().get_all_data()
            ahead = _peek(connection)
    finally:
        if at:
            connection._rfile.read(at)


def _is_next(connection: Any, ahead: bytes, at: int) -> bool:
    """Whether here stands a packet as it is expected: no error, in order, whole; PyMySQL knows what to do else."""
    return ahead[at + 4] != _ERROR and ahead[at + 3] == connection._next_seq_id and ahead[at : at + 3] != _CONTINUED


def _peek(connection: Any) -> bytes:
    """What has come, when there is nothing yet the next that comes. Raises MySQLError."""
    try:
        ahead: bytes = connection._rfile.peek(1)
    except OSError as error:
        connection._force_close()
        raise OperationalError(CR.CR_SERVER_LOST, f"Lost connection to MySQL server during query ({error})") from error
    return ahead
