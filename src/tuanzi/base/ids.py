"""Ids: one type for each thing, sortable by the time they were made, not to be guessed.

An id reads `o_0sy2mwk3e8` + 14 more: a prefix, 10 characters of time in ms, 14 of chance (70 bits).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import NewType

from tuanzi.base.time import to_ms

CampusId = NewType("CampusId", str)
BuildingId = NewType("BuildingId", str)
PersonId = NewType("PersonId", str)
SessionId = NewType("SessionId", str)
MerchantId = NewType("MerchantId", str)
DishId = NewType("DishId", str)
MealId = NewType("MealId", str)
CampaignId = NewType("CampaignId", str)
CouponId = NewType("CouponId", str)
GroupId = NewType("GroupId", str)
OrderId = NewType("OrderId", str)
SubOrderId = NewType("SubOrderId", str)
RefundId = NewType("RefundId", str)
PaymentId = NewType("PaymentId", str)
JournalId = NewType("JournalId", str)

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
CHANCE_BITS = 70
_REST_LENGTH = 24
_CHANCE_SHIFTS = range(CHANCE_BITS - 10, -1, -10)


def make_id(prefix: str, *, now: datetime, chance: int) -> str:
    """An id that sorts by `now` and is told apart by `chance`, a number below 2**CHANCE_BITS."""
    pairs = _PAIRS
    chosen = "".join([pairs[chance >> shift & 1023] for shift in _CHANCE_SHIFTS])
    return f"{prefix}_{_time_of(to_ms(now))}{chosen}"


@lru_cache(maxsize=1024)
def _time_of(at_ms: int) -> str:
    """The part of an id that sorts; many ids are made in one millisecond."""
    return "".join([_PAIRS[at_ms >> shift & 1023] for shift in range(40, -1, -10)])


def is_made_before(id: str, at: datetime) -> bool:
    """Whether an id of `make_id` was made before that time; False for any other id."""
    rest = id.partition("_")[2]
    return len(rest) == _REST_LENGTH and rest < _time_of(to_ms(at))


class Ids:
    """Makes ids; chance comes from outside, so that a simulation gives the same ids again.

    chance: called with a number of bits, gives that many at random (`secrets.randbits`, `Random(7).getrandbits`).
    """

    def __init__(self, chance: Callable[[int], int]) -> None:
        self._chance = chance

    def make(self, prefix: str, *, now: datetime) -> str:
        """A new id with this prefix."""
        return make_id(prefix, now=now, chance=self._chance(CHANCE_BITS))

    def code(self, digits: int) -> str:
        """A one-time code of that many decimal digits."""
        return str(self._chance(64) % 10**digits).zfill(digits)

    def token(self) -> str:
        """A secret of 256 bits in hexadecimal."""
        return f"{self._chance(256):064x}"
