"""How a frozen value becomes a row and a row a value: one declaration for each table.

Columns follow from the fields by the house's suffixes: `Money` is kept in `<field>_fen`, a time in
`<field>_ms` (`closes_at` -> `closes_at_ms`), a tuple, mapping or struct as JSON text, an enum by its value.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from operator import attrgetter, is_not
from typing import Any, Generic, TypeVar, cast

import msgspec

from tuanzi.base.money import Money
from tuanzi.base.time import from_ms, to_ms
from tuanzi.base.unit import Key

V = TypeVar("V")
Row = tuple[Any, ...]
Converter = Callable[[Any], Any]
Differing = tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Table(Generic[V]):
    """One table and the values its rows hold."""

    name: str
    kind: type[V]
    key: tuple[str, ...]
    columns: tuple[str, ...]
    to_row: Callable[[V], Row]
    from_row: Callable[[Row], V]
    key_of: Callable[[V], Key]
    part_of: Callable[[Differing], Part | None]
    is_history: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Some columns of a table, then those of its key, and what makes the cells of them."""

    columns: tuple[str, ...]
    to_row: Callable[[Any], Row]


@dataclass(frozen=True, slots=True)
class Form(Generic[V]):
    """How a field is kept that needs its row to be understood.

    write: its cell, of the whole value. read: the field again, of a row's cells as they are kept.
    """

    write: Callable[[V], str]
    read: Callable[[Row], Any]


def differing(before: msgspec.Struct, after: msgspec.Struct) -> Differing:
    """Which fields of two values of one kind are not the same objects; what is equal and was made anew differs."""
    return tuple(map(is_not, _astuple(before), _astuple(after)))


_astuple = msgspec.structs.astuple


def table(
    name: str,
    kind: type[V],
    *,
    key: str | tuple[str, ...],
    is_history: bool = False,
    alike: Collection[str] = (),
    padded: Mapping[str, int] | None = None,
    forms: Mapping[str, Form[V]] | None = None,
) -> Table[V]:
    """The table `name` for values of `kind`, a frozen struct; `key` names the field or fields of its primary key.

    is_history: commands add to it and hardly ever look there again, so memory is not filled with it.
    alike: fields kept as JSON of which many rows have the same value: its text is not made for each.
    padded: fields kept as JSON whose text changes its length a little, and to a multiple of how many characters it is
    filled up with spaces: so a row is changed where it is. InnoDB tidied up a page of 16 kB for each that was not.
    forms: fields with a form of their own.

    Key fields are plain strings or ints whose column is called like the field.
    """
    keys = (key,) if isinstance(key, str) else key
    hints = typing.get_type_hints(kind)
    fields = msgspec.structs.fields(cast(type[msgspec.Struct], kind))
    own, wide = forms or {}, padded or {}
    cells = [
        _Cell(field.name, "out(v)", own[field.name].write)
        if field.name in own
        else _cell(field.name, hints[field.name], is_alike=field.name in alike, width=wide.get(field.name, 0))
        for field in fields
    ]
    names = tuple(field.name for field in fields)
    return Table(
        name=name,
        kind=kind,
        key=keys,
        columns=tuple(cell.column for cell in cells),
        to_row=_to_row(names, cells),
        from_row=_from_row(
            kind,
            names,
            [(i, cell.into) for i, cell in enumerate(cells) if cell.into is not None],
            [(i, own[name].read) for i, name in enumerate(names) if name in own],
        ),
        key_of=attrgetter(*keys),
        part_of=_part_of(names, cells, keys),
        is_history=is_history,
    )


@dataclass(frozen=True, slots=True)
class _Cell:
    """How a field is kept: its column, the Python that makes the cell of `{}`, and what makes the value again (None
    where the cell is the value). `out` is what that Python calls as `out`."""

    column: str
    code: str = "{}"
    out: Converter | None = None
    into: Converter | None = None
    optional: bool = False


def _to_row(names: tuple[str, ...], cells: list[_Cell]) -> Callable[[Any], Row]:
    """A function written for this table, as `dataclasses` writes its own: it costs half of a loop over converters."""
    made: dict[str, Any] = {f"out{i}": cell.out for i, cell in enumerate(cells)}
    parts = []
    for i, (name, cell) in enumerate(zip(names, cells, strict=True)):
        part = cell.code.replace("out", f"out{i}").replace("{}", f"v.{name}")
        parts.append(f"None if v.{name} is None else {part}" if cell.optional and cell.code != "{}" else part)
    exec(f"def to_row(v): return ({', '.join(parts)},)", made)
    to_row: Callable[[Any], Row] = made["to_row"]
    return to_row


def _part_of(names: tuple[str, ...], cells: list[_Cell], keys: tuple[str, ...]) -> Callable[[Differing], Part | None]:
    """Gives the part of a row in which a value differs from what it was; None where only its key was made anew."""
    parts: dict[Differing, Part | None] = {}
    cell_of = dict(zip(names, cells, strict=True))

    def part_of(differing: Differing) -> Part | None:
        if differing not in parts:
            fields = [name for name, differs in zip(names, differing, strict=True) if differs and name not in keys]
            chosen = (*fields, *keys)
            part = [cell_of[name] for name in chosen]
            made = Part(tuple(cell.column for cell in part), _to_row(chosen, part)) if fields else None
            parts[differing] = made
        return parts[differing]

    return part_of


def _from_row(
    kind: type[V], names: tuple[str, ...], into: list[tuple[int, Converter]], read: list[tuple[int, Converter]]
) -> Callable[[Row], V]:
    def from_row(row: Row) -> V:
        cells = list(row)
        for i, convert in into:
            cells[i] = convert(cells[i])
        for i, convert in read:
            cells[i] = convert(row)
        return kind(**dict(zip(names, cells, strict=True)))

    return from_row


def _cell(name: str, hint: Any, *, is_alike: bool, width: int = 0) -> _Cell:
    bare, optional = _unwrap(hint)
    if bare is Money:
        return _Cell(f"{name}_fen", "{}.fen", None, _maybe(Money, optional), optional)
    if bare is datetime:
        return _Cell(f"{name}_ms", "out({})", to_ms, _maybe(from_ms, optional), optional)
    if bare is bool:
        return _Cell(name, into=_maybe(bool, optional))
    if isinstance(bare, type) and issubclass(bare, Enum):
        return _Cell(name, "{}._value_", None, _maybe(bare, optional), optional)
    if bare in (str, int, bytes):
        return _Cell(name)
    decode = _maybe(msgspec.json.Decoder(bare).decode, optional)
    encode = msgspec.json.Encoder().encode
    if width:
        return _Cell(name, "out({})", _padding(encode, width), decode, optional)
    code = "out({})" if is_alike else "out({}).decode()"
    if typing.get_origin(bare) is tuple:
        code = f"({code} if {{}} else '[]')"  # of many rows the lists are empty: of refunds, of guests' campuses
    return _Cell(name, code, _remembering(encode) if is_alike else encode, decode, optional)


def _padding(encode: Callable[[Any], bytes], width: int) -> Converter:
    """Encodes to text whose length is a multiple of `width`."""

    def to_text(value: Any) -> str:
        text = encode(value).decode()
        return text + " " * (-len(text) % width)

    return to_text


# About 1 kB each. Measured: of an order's and its group's parts only those of `alike` are written again.
_TEXTS_MAX = 4096


def _remembering(encode: Callable[[Any], bytes]) -> Converter:
    """Encodes to text, and remembers the texts of the last values by their identity; threads may share it."""
    # Not pairs in one: each would be a tuple for Python's collector to walk. So a thread may find a value whose text
    # another has let go of. It never finds a wrong one: a value's text is there before it, and goes after it.
    values: dict[int, Any] = {}
    texts: dict[int, str] = {}

    def to_text(value: Any) -> str:
        place = id(value)
        if values.get(place) is value and (kept := texts.get(place)) is not None:
            return kept
        text = encode(value).decode()
        if len(values) >= _TEXTS_MAX:
            values.clear()
            texts.clear()
        texts[place] = text
        values[place] = value
        return text

    return to_text


def _unwrap(hint: Any) -> tuple[Any, bool]:
    """A hint without NewType and `| None`, and whether None is allowed."""
    optional = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        if len(options) != 1:
            return hint, False
        hint, optional = options[0], True
    while hasattr(hint, "__supertype__"):
        hint = hint.__supertype__
    return hint, optional


def _maybe(convert: Converter, optional: bool) -> Converter:
    if not optional:
        return convert
    return lambda cell: None if cell is None else convert(cell)
