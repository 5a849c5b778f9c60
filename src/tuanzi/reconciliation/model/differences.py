"""Differences between two books: the seven classes, what is done about each, and who says what (C3)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256

import msgspec
from msgspec import Struct

_encode = msgspec.json.encode


class Kind(StrEnum):
    """The seven classes of differences."""

    UNKNOWN_HERE = "D1"  # the provider has it, the ledger does not (长款)
    UNKNOWN_THERE = "D2"  # the ledger has it, the provider does not (短款)
    AMOUNTS = "D3"
    STATES = "D4"  # the provider is done with it, the ledger is not
    TWICE = "D5"  # twice at the provider
    CUT_OFF = "D6"  # noted on two sides of midnight
    ORDER_BOOK = "D7"  # the ledger, the order book and stock do not say the same


class Mend(StrEnum):
    """What is done about a difference; each is harmless twice and looks again before it changes anything."""

    REPLAY_CAPTURE = "replay_capture"  # as its callback would: an order that is gone gets it refunded
    ADVANCE_PAYMENT = "advance_payment"
    ADVANCE_REFUND = "advance_refund"
    REVERSE_CAPTURE = "reverse_capture"  # when the provider, asked, was not paid: reversed, held, and a person
    RESEND_REFUND = "resend_refund"  # when the provider, asked, did not pay it back: sent again under its number
    AWAIT = "await"  # sharing asks about it until it is over
    CARRY = "carry"
    RESTORE_CAPTURE = "restore_capture"  # the payment's row and its journal, as most of them say
    RESTORE_REFUND = "restore_refund"
    RESTORE_BALANCE = "restore_balance"  # rebuilt from the entries
    OWE_REFUND = "owe_refund"  # the order promised it, the ledger never heard
    RETELL_CAPTURE = "retell_capture"  # the ledger has it, the order never heard
    RETELL_REFUND = "retell_refund"
    RESTORE_ORDER = "restore_order"  # its amounts from the ledger, its state from its sub-orders
    RESTORE_SUB_ORDERS = "restore_sub_orders"  # from the order's plan
    RESTORE_PORTIONS = "restore_portions"  # from the orders
    SET_ASIDE = "set_aside"  # the difference to suspense, and a person
    NONE = "none"  # a person


# These end without a person when all goes well.
SAFE = frozenset(Mend) - {Mend.SET_ASIDE, Mend.NONE, Mend.REVERSE_CAPTURE}


class Book(StrEnum):
    """Who says something."""

    PROVIDER = "provider"
    LEDGER = "ledger"  # journals and entries
    PAYMENTS = "payments"  # the ledger's payments and refunds
    ORDERS = "orders"
    STOCK = "stock"


class Side(Struct, frozen=True, kw_only=True, gc=False):
    """What one book says: an amount, a state, or nothing (None)."""

    book: Book
    fen: int | None
    says: str = ""


class Difference(Struct, frozen=True, kw_only=True, gc=False):
    """Two books that do not agree about one thing.

    key: the thing, by the id that both books have for it. unexplained_fen: how far they are apart, never negative.
    evidence: the rows of each side as they were read, as JSON.
    """

    kind: Kind
    key: str
    order_id: str
    sides: tuple[Side, ...]
    unexplained_fen: int
    mend: Mend
    evidence: str

    @property
    def id(self) -> str:
        """The same for the same thing and class, so that what is found again is not a new difference."""
        return difference_id(self.kind, self.key)


def difference_id(kind: Kind, key: str) -> str:
    """The id of a difference of this class about this thing."""
    return f"d_{sha256(f'{kind.value}|{key}'.encode()).hexdigest()[:24]}"


def difference_of(
    kind: Kind, key: str, *sides: Side, mend: Mend, order_id: str, fen: int, rows: Mapping[str, object]
) -> Difference:
    """A difference; `fen`: how far the sides are apart, of either sign. rows: each side's, as they were read."""
    return Difference(
        kind=kind,
        key=key,
        order_id=order_id,
        sides=sides,
        unexplained_fen=abs(fen),
        mend=mend,
        evidence=_encode(rows).decode(),
    )
