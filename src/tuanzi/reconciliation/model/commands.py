"""What reconciliation is asked to do: commands, errands, and what an errand that mends brings home."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from msgspec import Struct

from tuanzi.money import LedgerProof, Payment, RecordCapture, RecordRefund, Refund
from tuanzi.reconciliation.model.kept import Cursor, Finding, RunKind, State


class Begin(Struct, frozen=True, kw_only=True, gc=False):
    """The house has opened: compare from now on."""


class AskRun(Struct, frozen=True, kw_only=True, gc=False):
    """An operator wants the books compared now; `on`: with the bills of that day."""

    by: str
    on: date | None = None


class Asked(Struct, frozen=True, kw_only=True, gc=False):
    """Books will be compared at once."""

    on: date | None


class CheckBooks(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: compare ledger, order book and stock."""

    kind: RunKind = RunKind.MINUTE


class CheckBills(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: compare the ledger with the bills of a day."""

    on: date
    kind: RunKind = RunKind.DAILY


class MendDifference(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: look at a difference again and do what its class needs."""

    difference_id: str


class RecordRun(Struct, frozen=True, kw_only=True, gc=False):
    """What a comparison found; `cursor`: how far it got. matched: carried differences that found their line.

    is_whole: all that it found; else the next one begins where this one did and tells the rest. is_behind: more moved
    than one run compares, so the next one follows at once. proof: what the ledger said, when all of it was read.
    """

    kind: RunKind
    on: date | None
    began_at: datetime
    cursor: Cursor
    orders_read: int
    lines_read: int
    under_way: int
    findings: tuple[Finding, ...]
    matched: tuple[str, ...] = ()
    fault: str = ""
    is_whole: bool = True
    is_behind: bool = False
    proof: LedgerProof | None = None


class EndDifference(Struct, frozen=True, kw_only=True, gc=False):
    """A difference is mended, or was gone when it was looked at again."""

    difference_id: str
    state: State
    reason: str


class RaiseDifference(Struct, frozen=True, kw_only=True, gc=False):
    """A difference cannot be mended: a person must act."""

    difference_id: str
    reason: str


class TryAgain(Struct, frozen=True, kw_only=True, gc=False):
    """A difference could not be mended now."""

    difference_id: str
    reason: str


class SettleDifference(Struct, frozen=True, kw_only=True, gc=False):
    """An operator has dealt with a difference himself."""

    difference_id: str
    by: str
    reason: str


class ReturnSuspense(Struct, frozen=True, kw_only=True, gc=False):
    """An operator sends money that is in suspense back to who paid it, which ends its difference."""

    difference_id: str
    by: str


class SuspenseReturned(Struct, frozen=True, kw_only=True, gc=False):
    """The refund that is on its way, and how much."""

    difference_id: str
    refund_id: str
    amount_fen: int


class AsideEnd(StrEnum):
    """How what was set aside came to an end (decision 0037)."""

    PAID_OTHERWISE = "paid_otherwise"  # sent back, or received, by the platform's bank account or in cash
    BOOKED_BACK = "booked_back"  # the payment company has corrected itself: it was never more or less
    WRITE_OFF = "write_off"  # kept, or given up


class EndAside(Struct, frozen=True, kw_only=True, gc=False):
    """An operator has dealt with money that is in suspense because the payment company said more or less."""

    difference_id: str
    how: AsideEnd
    by: str
    reason: str


class AsideEnded(Struct, frozen=True, kw_only=True, gc=False):
    """It is in suspense no more. suspense_fen: what was there; negative when money was missing."""

    difference_id: str
    how: AsideEnd
    suspense_fen: int


class RestoreCapture(Struct, frozen=True, kw_only=True, gc=False):
    """Write a payment and its journal as they must have been; `seen` is the row as it was read."""

    difference_id: str
    payment: Payment
    seen: Payment | None


class RestoreRefund(Struct, frozen=True, kw_only=True, gc=False):
    """Write a refund and its journals as they must have been; `seen` is the row as it was read."""

    difference_id: str
    refund: Refund
    seen: Refund | None


class RestoreBalance(Struct, frozen=True, kw_only=True, gc=False):
    """Write a running balance anew: `fen` is the sum of its entries, `seen_fen` the row as it was read."""

    difference_id: str
    account: str
    fen: int
    seen_fen: int


class ReplayCapture(Struct, frozen=True, kw_only=True, gc=False):
    """Record money that the provider has, as its callback would have."""

    difference_id: str
    capture: RecordCapture


class AdvanceRefund(Struct, frozen=True, kw_only=True, gc=False):
    """Record what the provider says of a refund, as its answer would have."""

    difference_id: str
    refund: RecordRefund


class OweRefund(Struct, frozen=True, kw_only=True, gc=False):
    """Owe what an order promised and the ledger never heard of."""

    difference_id: str
    refund_id: str
    order_id: str
    member_id: str
    amount_fen: int
    reason: str


class ReverseCapture(Struct, frozen=True, kw_only=True, gc=False):
    """Book that the provider never had this money; `escrow_fen`: what its order has left in escrow.

    holds_order: whether there is an order that might be made.
    """

    difference_id: str
    payment_id: str
    escrow_fen: int
    holds_order: bool


class SetAside(Struct, frozen=True, kw_only=True, gc=False):
    """Book what the provider has more (or less: negative) into suspense."""

    difference_id: str
    order_id: str
    more_fen: int


class DifferenceStanding(Struct, frozen=True, kw_only=True, gc=False):
    """The answer of every command about a difference: where it is now."""

    difference_id: str
    state: State
    is_raised: bool
    reason: str | None


# What an errand that mends brings home.
Mending = (
    EndDifference
    | RaiseDifference
    | TryAgain
    | RestoreCapture
    | RestoreRefund
    | RestoreBalance
    | ReplayCapture
    | AdvanceRefund
    | OweRefund
    | ReverseCapture
    | SetAside
)
