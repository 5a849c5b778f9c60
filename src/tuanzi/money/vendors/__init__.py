"""The payment company as this room sees it: a port that WeChat Pay v3 and the in-process sandbox both fit (C1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from tuanzi.money.model import RefundProgress


class TradeState(StrEnum):
    """What a payment is at the provider."""

    UNKNOWN = "unknown"  # the provider never heard of it
    WAITING = "waiting"
    PAID = "paid"
    REFUSED = "refused"  # this try failed; the number may be opened again
    CLOSED = "closed"  # for good


class PaymentAsked(Struct, frozen=True, kw_only=True, gc=False):
    """A payment to be opened.

    payer: who pays, in the provider's words (an openid). attach: comes back with every report (WeChat: <= 128 bytes).
    """

    out_trade_no: str
    amount_fen: int
    payer: str
    about: str
    attach: str


class PaymentSeen(Struct, frozen=True, kw_only=True, gc=False):
    """What the provider says of a payment: in an answer or in a callback that was verified."""

    out_trade_no: str
    state: TradeState
    amount_fen: int = 0
    transaction_id: str = ""
    attach: str = ""
    reason: str = ""


class PaymentOpening(Struct, frozen=True, kw_only=True, gc=False):
    """The answer to `open`. prepay: what the client needs to let the member pay (WeChat JSAPI: paySign and so on)."""

    seen: PaymentSeen
    prepay: Mapping[str, str]


class RefundAsked(Struct, frozen=True, kw_only=True, gc=False):
    """A refund to be made; `captured_fen` is the whole payment (WeChat: amount.total)."""

    out_refund_no: str
    out_trade_no: str
    amount_fen: int
    captured_fen: int
    reason: str


class RefundSeen(Struct, frozen=True, kw_only=True, gc=False):
    """What the provider says of a refund."""

    out_refund_no: str
    progress: RefundProgress
    amount_fen: int = 0
    reason: str = ""


class PaymentProvider(Protocol):
    """A payment company.

    Every call answers within the adapter's own time limit or raises ProviderUnreachable, which means: nobody knows what
    was done. Everything is idempotent by its outside number, so the caller repeats the call or asks, under the same
    number, until he knows. A refusal is an answer, not an exception. `now` is the caller's time (for signatures).
    """

    @property
    def name(self) -> str:
        """How it is called in rows and reports; at most 32 characters."""

    async def open(self, asked: PaymentAsked, *, now: datetime) -> PaymentOpening:
        """Open a payment, or the same one again: its present state. Raises PaymentDiffers for another amount."""

    async def query(self, out_trade_no: str, *, now: datetime) -> PaymentSeen:
        """What became of a payment; UNKNOWN when it was never opened."""

    async def close(self, out_trade_no: str, *, now: datetime) -> PaymentSeen:
        """See that it can no longer be paid; one that is PAID, or was never opened (UNKNOWN), stays so."""

    async def refund(self, asked: RefundAsked, *, now: datetime) -> RefundSeen:
        """Give money back, once for each out_refund_no; never more in all than was paid."""

    async def query_refund(self, out_refund_no: str, *, now: datetime) -> RefundSeen:
        """What became of a refund; UNKNOWN when it was never asked for."""
