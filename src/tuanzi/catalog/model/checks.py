"""What fields of the catalog's values must be; each check raises an `Unfit` that names the field."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Protocol

from msgspec import Meta

from tuanzi.catalog.problems import GivenTwice, IdInvalid, NameInvalid, NumberOutOfBounds, TimesInvalid, TooMany

PRICE_FEN_MAX = 100_000

# A number as every JSON reader can keep it exactly (RFC 8259, section 6).
Whole = Annotated[int, Meta(ge=-(2**53), le=2**53)]

_is_id = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}").fullmatch


def in_utc(at: datetime, *, field: str) -> datetime:
    """The same moment in UTC. Raises TimesInvalid for a time without a zone, or one that UTC cannot say."""
    try:
        if at.tzinfo is None:
            raise TimesInvalid(field=field, value=at.isoformat())
        return at.astimezone(UTC)
    except OverflowError:
        raise TimesInvalid(field=field, value=at.isoformat()) from None


def is_name(text: str, *, length_max: int = 80) -> bool:
    """Whether a person can read this as a name."""
    return 0 < len(text) <= length_max and text.isprintable() and text.strip() == text


class _Named(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def name_zh(self) -> str: ...
    @property
    def name_en(self) -> str: ...


def check_names(value: _Named) -> None:
    """Raises IdInvalid, or NameInvalid for a name in either language that nobody can read."""
    check_id("id", value.id)
    if not is_name(value.name_zh):
        raise NameInvalid(field="name_zh", value=value.name_zh)
    if not is_name(value.name_en):
        raise NameInvalid(field="name_en", value=value.name_en)


def check_id(field: str, id: str) -> None:
    """Raises IdInvalid."""
    if _is_id(id) is None:
        raise IdInvalid(field=field, value=id)


def check_number(field: str, number: int, *, least: int, most: int) -> None:
    """Raises NumberOutOfBounds."""
    if not least <= number <= most:
        raise NumberOutOfBounds(field=field, value=number, least=least, most=most)


def check_position(
    latitude_e6: int, longitude_e6: int, *, fields: tuple[str, str] = ("latitude_e6", "longitude_e6")
) -> None:
    """Raises NumberOutOfBounds for what is not on Earth. In micro-degrees."""
    check_number(fields[0], latitude_e6, least=-90_000_000, most=90_000_000)
    check_number(fields[1], longitude_e6, least=-180_000_000, most=180_000_000)


def check_list(field: str, items: Sequence[str], *, least: int, most: int) -> None:
    """Raises TooMany for too many or too few, GivenTwice for one that is there twice."""
    if not least <= len(items) <= most:
        raise TooMany(field=field, value=len(items), least=least, most=most)
    if len(set(items)) != len(items):
        raise GivenTwice(field=field, value=next(item for item in items if items.count(item) > 1))
