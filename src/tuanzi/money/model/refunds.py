"""Refunds: money on its way back, its number at the provider, and what books it."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from msgspec import Struct

from tuanzi.base.ids import OrderId, PaymentId, RefundId
from tuanzi.base.money import Money
from tuanzi.money.model.ledger import Account, Journal, JournalKind, transfer

# The refusal of a refund that an operator settled: given up, so that it is owed no more, or paid from the bank.
WRITTEN_OFF = "written_off"
PAID_OTHERWISE = "paid_otherwise"
_ATTEMPT = re.compile(r"\*a[0-9]+\Z")
_REFUND_NO = re.compile(r"[0-9A-Za-z_|-]{1,64}")  # WeChat Pay v3, out_refund_no: at most 64, also | and @


class RefundState(StrEnum):
    """The life of a refund."""

    WAITING = "waiting"  # its payment is not captured here yet; nothing booked
    DUE = "due"  # booked as owed; to be sent
    SENT = "sent"  # the provider works on it
    SETTLED = "settled"
    REFUSED = "refused"  # by the provider, but still owed; a person must look
    PARKED = "parked"  # never booked nor sent, for it cannot be right; a person must look


class Misgiving(StrEnum):
    """Why this room itself will not go on with a refund; told in RefundRefused like the provider's own reasons."""

    OVER_REFUND = "over_refund"
    NOT_CAPTURED = "not_captured"
    WRONG_ORDER = "wrong_order"
    NOT_POSITIVE = "not_positive"
    REPEAT_DIFFERS = "repeat_differs"
    AMOUNT_DIFFERS = "amount_differs"


class Refund(Struct, frozen=True, kw_only=True, gc=False):
    """Money going back to who paid it, once for each id. `refusal` says why it does not.

    sub_order_id: what it is for, when that is one sub-order; its parties pay for it first.
    """

    id: RefundId
    order_id: OrderId
    payment_id: PaymentId
    amount: Money
    state: RefundState
    out_refund_no: str
    reason: str
    due_at: datetime
    settled_at: datetime | None = None
    refusal: str | None = None
    sub_order_id: str | None = None


class RefundProgress(StrEnum):
    """What a refund is at the provider."""

    UNKNOWN = "unknown"  # it never heard of it
    PROCESSING = "processing"
    SETTLED = "settled"
    REFUSED = "refused"


def out_refund_no_of(refund_id: str) -> str:
    """The number of a refund, share or return at the provider: the id, with `*` for `.` and `@` for `:`.

    Where that does not fit it is a digest, like a payment's.
    """
    if _REFUND_NO.fullmatch(refund_id.replace(".", "-").replace(":", "-")):
        return refund_id.replace(".", "*").replace(":", "@")
    return "x" + sha256(refund_id.encode()).hexdigest()[:63]


def refund_named(out_refund_no: str) -> RefundId | None:
    """The refund that has, or had, this number at the provider; None when the number does not tell."""
    if len(out_refund_no) == 64 and out_refund_no.startswith("x"):
        return None
    return RefundId(_ATTEMPT.sub("", out_refund_no).replace("*", ".").replace("@", ":"))


def next_refund_no(refund_id: str, *, attempt: int) -> str:
    """The number under which a refund is sent anew, when the provider has refused it for good under the one before."""
    return out_refund_no_of(f"{refund_id}.a{attempt}")


def refund_due_journal(refund: Refund, *, at: datetime) -> Journal:
    """What books that money is owed back to its member."""
    return transfer(
        JournalKind.REFUND_DUE,
        refund.id,
        order_id=refund.order_id,
        debit=Account.ORDER_ESCROW.value,
        credit=Account.USER_REFUND_PAYABLE.value,
        amount=refund.amount,
        at=at,
    )


def refund_settled_journal(refund: Refund, *, at: datetime) -> Journal:
    """What books that it is with him again; the provider paid it, or the platform's own bank."""
    is_otherwise = refund.refusal == PAID_OTHERWISE
    return transfer(
        JournalKind.REFUND_SETTLED,
        refund.id,
        order_id=refund.order_id,
        debit=Account.USER_REFUND_PAYABLE.value,
        credit=Account.PLATFORM_FUNDS.value if is_otherwise else Account.PROVIDER_CLEARING.value,
        amount=refund.amount,
        at=at,
    )
