"""Mobile numbers in texts: what operators write outlives people, and is not searched when one is erased (J3)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

from tuanzi.base.problem import Problem

# A mainland mobile number as people write it, alone among digits: 138..., +86 138..., 138 0000 0000, 138-0000-0000.
_PHONE = re.compile(r"(?<![0-9])(?:(?:\+|00)?86)?[ -]?1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}(?![0-9])")


class PhoneInText(Problem):
    """This text holds a phone number, which would stay when its owner is erased; leave it out."""

    code = "base/phone-in-text"
    status = 422
    title_zh = "文字中含有手机号，用户注销后仍会留存，请删去"


def has_phone(text: str) -> bool:
    """Whether a text holds what looks like a mainland mobile number; wide digits too."""
    return len(text) >= 11 and _PHONE.search(unicodedata.normalize("NFKC", text)) is not None


def find_phones(value: object, *, at: str = "") -> Iterator[str]:
    """Where among a value's texts phones stand, as `/samples/0/name`; keys of mappings are not looked at."""
    match value:
        case str():
            if has_phone(value):
                yield at
        case Mapping():
            for name, inside in value.items():
                yield from find_phones(inside, at=f"{at}/{name}")
        case list() | tuple():
            for i, inside in enumerate(value):
                yield from find_phones(inside, at=f"{at}/{i}")
        case _:
            pass
