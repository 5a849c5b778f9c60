"""Payments: one try to pay an order, its number at the provider, and what books the money that came."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.ids import OrderId, PaymentId, PersonId
from tuanzi.base.money import ZERO, Money
from tuanzi.money.model.ledger import Account, Journal, JournalKind, transfer
from tuanzi.money.problems import PaymentDiffers

# Waits are our choice; the provider's own order lives 2 h by default (WeChat Pay v3, time_expire of a JSAPI order).
PAY_WINDOW = timedelta(hours=2)
CAPTURE_WAIT = timedelta(hours=24)  # WeChat repeats a lost callback for 24 h 4 min (reliability.md 5.3)
_TRADE_NO = re.compile(r"[0-9A-Za-z_-]{6,32}")  # WeChat Pay v3, out_trade_no: 6 to 32 of digits, letters, _ - *


class PaymentState(StrEnum):
    """The life of a payment."""

    OPENED = "opened"
    CAPTURED = "captured"
    REFUSED = "refused"
    CLOSED = "closed"
    MISFIT = "misfit"  # the money came, but not what was asked: in suspense until a person looked


class Payment(Struct, frozen=True, kw_only=True, gc=False):
    """One try to pay an order.

    amount: what was asked. captured: what came; another amount only when in suspense (MISFIT).
    refunded: what is promised back of it, settled or on its way.
    """

    id: PaymentId
    order_id: OrderId
    member_id: PersonId
    amount: Money
    state: PaymentState
    provider: str
    out_trade_no: str
    opened_at: datetime
    transaction_id: str | None = None
    captured_at: datetime | None = None
    captured: Money = ZERO
    refunded: Money = ZERO

    def __post_init__(self) -> None:
        if not 0 <= self.refunded.fen <= self.captured.fen or self.amount.fen <= 0:
            raise ValueError(f"payment {self.id}: {self.refunded.fen} of {self.captured.fen} fen cannot go back")

    def left(self) -> Money:
        """What can still go back."""
        return self.captured - self.refunded

    @property
    def is_in_suspense(self) -> bool:
        """Whether another amount than was asked came, and nobody has sent it back."""
        return self.state is PaymentState.MISFIT and bool(self.left())

    def promise_back(self, amount: Money) -> Payment:
        """With that much more promised back. Raises ValueError above what was paid (B5)."""
        return replace(self, refunded=self.refunded + amount)

    def same_terms(self, *, order_id: str, amount: Money) -> None:
        """Raises PaymentDiffers when this payment is for another order or amount."""
        if self.order_id != order_id or self.amount != amount:
            raise PaymentDiffers(payment_id=self.id, amount_fen=amount.fen)


def payment_of(order_id: str) -> PaymentId:
    """The id of an order's first payment: `p_` instead of `o_`; two orders never share one."""
    return PaymentId("p_" + order_id[2:] if order_id.startswith("o_") else "p_." + order_id)


def out_trade_no_of(payment_id: str) -> str:
    """The payment's number at the provider: the id itself where the provider's 6 to 32 characters allow it.

    Other ids give `x` and 31 hexadecimal digits of their SHA-256 (124 bits): two of 2**40 ids clash with a chance
    below 2**-44, and the provider would then refuse the second for its other amount.
    """
    return payment_id if _TRADE_NO.fullmatch(payment_id) else "x" + sha256(payment_id.encode()).hexdigest()[:31]


def payment_named(out_trade_no: str) -> PaymentId | None:
    """The payment that has this number at the provider; None when the number does not tell."""
    return None if len(out_trade_no) == 32 and out_trade_no.startswith("x") else PaymentId(out_trade_no)


def suspense_ended_journal(payment: Payment, *, at: datetime) -> Journal:
    """What books that money in suspense goes back: into escrow, which a refund then takes it from."""
    return transfer(
        JournalKind.SUSPENSE_ENDED,
        payment.id,
        order_id=payment.order_id,
        debit=Account.SUSPENSE.value,
        credit=Account.ORDER_ESCROW.value,
        amount=payment.captured,
        at=at,
    )


def capture_journal(payment: Payment, *, at: datetime) -> Journal:
    """What books the money that came: into escrow, or, when it is not what was asked (MISFIT), into suspense."""
    fits = payment.state is not PaymentState.MISFIT
    return transfer(
        JournalKind.CAPTURE if fits else JournalKind.MISFIT,
        payment.id,
        order_id=payment.order_id,
        debit=Account.PROVIDER_CLEARING.value,
        credit=Account.ORDER_ESCROW.value if fits else Account.SUSPENSE.value,
        amount=payment.captured,
        at=at,
    )
