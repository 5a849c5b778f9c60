"""What money is asked to record and to do at the provider, and what it answers."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from tuanzi.money.model.payments import PaymentState
from tuanzi.money.model.refunds import RefundProgress, RefundState

# Our choice: seldom enough for a company that is slow, soon enough for who waits.
ASK_SOONEST = timedelta(seconds=30)
ASK_LATEST = timedelta(minutes=10)


class OpenPayment(Struct, frozen=True, kw_only=True, gc=False):
    """The provider waits for the member to pay."""

    payment_id: str
    order_id: str
    member_id: str
    amount_fen: int
    provider: str


class RecordCapture(Struct, frozen=True, kw_only=True, gc=False):
    """The provider has the member's money; said by its answer, a verified callback or a query."""

    payment_id: str
    order_id: str
    member_id: str
    amount_fen: int
    transaction_id: str
    provider: str


class RecordRefusal(Struct, frozen=True, kw_only=True, gc=False):
    """The provider refused to let the member pay."""

    payment_id: str
    order_id: str
    member_id: str
    amount_fen: int
    provider: str


class ClosePayment(Struct, frozen=True, kw_only=True, gc=False):
    """The provider will not take this payment any more."""

    payment_id: str


class KeepAsking(Struct, frozen=True, kw_only=True, gc=False):
    """The provider still waits; ask again later."""

    payment_id: str


class PaymentStanding(Struct, frozen=True, kw_only=True, gc=False):
    """The answer of every payment command: how the payment stands now."""

    payment_id: str
    order_id: str
    state: PaymentState
    amount_fen: int
    captured_fen: int
    captured_at: datetime | None


class RetryRefund(Struct, frozen=True, kw_only=True, gc=False):
    """See whether the payment of a waiting refund has come."""

    refund_id: str


class RecordRefund(Struct, frozen=True, kw_only=True, gc=False):
    """What the provider said of a refund; `reason` when it refused.

    out_refund_no: the number it has there now, when that is not the one it was sent with. about_no: of a notice, the
    number that it is about; "" in answers to who asked.
    """

    refund_id: str
    progress: RefundProgress
    amount_fen: int
    reason: str = ""
    out_refund_no: str = ""
    about_no: str = ""


class RefundStanding(Struct, frozen=True, kw_only=True, gc=False):
    """The answer of every refund command: how the refund stands now."""

    refund_id: str
    state: RefundState
    amount_fen: int
    refusal: str | None


class AskPayment(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: what became of a payment whose callback did not come; close it after `give_up_at`."""

    payment_id: str
    out_trade_no: str
    give_up_at: datetime


class SendRefund(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: have the provider give money back."""

    refund_id: str
    out_refund_no: str
    out_trade_no: str
    amount_fen: int
    captured_fen: int
    reason: str


class AskRefund(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: what became of a refund the provider was working on."""

    sent: SendRefund


class ResendRefund(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: have the provider give money back that it refused to; under `next_no` where the number is used up."""

    sent: SendRefund
    next_no: str


def pause(since: datetime, *, now: datetime) -> timedelta:
    """How long to wait before asking again about what began at `since`: as long as it took so far, 30 s to 10 min."""
    return min(max(now - since, ASK_SOONEST), ASK_LATEST)
