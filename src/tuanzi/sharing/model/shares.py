"""Frozen money of a payment given to its receivers."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from tuanzi.base.ids import OrderId, PaymentId
from tuanzi.base.money import ZERO, Money
from tuanzi.money import ReceiverKind, ReceiverResult

# Our choice: a part that was closed is tried once more, its receiver added anew.
CLOSED_MAX: Final = 2
# Shares of a payment, our choice: WeChat allows 50.
ROUNDS_MAX: Final = 8


class ShareState(StrEnum):
    """What has become of a share."""

    SENT = "sent"
    FINISHED = "finished"
    REFUSED = "refused"  # as a whole: nothing was done


class Share(Struct, frozen=True, kw_only=True, gc=False):
    """Frozen money of one order's payment given to its receivers, under one number; `parts` of them."""

    id: str
    order_id: OrderId
    payment_id: PaymentId
    out_order_no: str
    state: ShareState
    parts: int
    sent_at: datetime
    ended_at: datetime | None = None
    reason: str = ""


def share_id(order_id: str, number: int) -> str:
    """The id of an order's share in a round, from 1."""
    return f"{order_id}.s{number}"


class SharePart(Struct, frozen=True, kw_only=True, gc=False):
    """What a share gives for one transfer; `back`: asked back since. A receiver's parts of a share are given as one."""

    share_id: str
    number: int
    order_id: OrderId
    line: int
    payee_id: str
    kind: ReceiverKind
    account: str
    amount: Money
    result: ReceiverResult = ReceiverResult.PENDING
    reason: str = ""
    back: Money = ZERO

    @property
    def kept(self) -> Money:
        """What the receiver was given and not asked back."""
        return self.amount - self.back if self.result is ReceiverResult.SUCCESS else ZERO
