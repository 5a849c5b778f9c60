"""What will not go on by itself, and how an operator settles it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from tuanzi.base.ids import OrderId
from tuanzi.base.money import Money


class CaseKind(StrEnum):
    """What a person must look at."""

    REFUND = "refund"  # the member does not get his money
    SHARE = "share"  # a party is not given his part by the payment company, and is owed it
    RETURN = "return"  # a receiver does not give back what the platform has advanced


class CaseState(StrEnum):
    """Whether anybody must still look."""

    OPEN = "open"
    SETTLED = "settled"


class Settlement(StrEnum):
    """How an operator settles a case."""

    RETRY = "retry"
    PAID_OTHERWISE = "paid_otherwise"  # by bank transfer or in cash; the note says how
    WRITE_OFF = "write_off"


class Case(Struct, frozen=True, kw_only=True, gc=False):
    """Something of money that will not go on by itself; `times` it came up. Who settled it last, how and why.

    amount: what is open of it, or was when it was settled.
    """

    id: str
    kind: CaseKind
    reference: str
    order_id: OrderId
    amount: Money
    reason: str
    state: CaseState
    opened_at: datetime
    times: int = 1
    settled_at: datetime | None = None
    settled_by: str | None = None
    settled_how: Settlement | None = None
    note: str | None = None


class CaseSettlement(Struct, frozen=True, kw_only=True, gc=False):
    """What an operator did about a case the `number`th time it came up, and the reason it had then; never changed."""

    case_id: str
    number: int
    reason: str
    how: Settlement
    settled_by: str
    settled_at: datetime
    note: str


def case_id(kind: CaseKind, reference: str) -> str:
    """The one case there is of a thing."""
    return f"{case_ids_begin(kind)}{reference}"


def case_ids_begin(kind: CaseKind) -> str:
    """What the ids of all cases of a kind begin with."""
    return f"{kind.value}."
