"""What refunds take from those who have shares: their losses, the returns that bring it back, and debts (B8)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.ids import OrderId, RefundId
from tuanzi.base.money import ZERO, Money, total
from tuanzi.money import ReceiverKind
from tuanzi.pricing import allocate_refund
from tuanzi.sharing.model.transfers import Transfer


class Loss(Struct, frozen=True, kw_only=True, gc=False):
    """What one transfer loses to a refund: `cut` of what is still here, `back` of what was given."""

    transfer: Transfer
    cut: Money
    back: Money

    def after(self) -> Transfer:
        """The transfer without it."""
        before = self.transfer
        return replace(before, cut=before.cut + self.cut, back=before.back + self.back)


def losses(transfers: Sequence[Transfer], amount: Money, *, sub_order_id: str | None) -> list[Loss]:
    """Who pays for a refund: each in proportion to what he has left of it, exactly (B5); first those of `sub_order_id`.

    amount: at most what all have left of the payment. Nothing may be on its way at the payment company. Subsidies
    shrink by the same part as the rest of their sub-order. What is still here is taken before what was given.
    """
    taken = {each.line: 0 for each in transfers}
    own = [each for each in transfers if each.sub_order_id == sub_order_id and not each.is_subsidy]
    others = [each for each in transfers if each.sub_order_id != sub_order_id and not each.is_subsidy]
    left = amount.fen
    for some in (own, others):
        part = min(left, total([each.net for each in some]).fen)
        left -= part
        for each, fen in zip(some, allocate_refund(Money(part), [each.net for each in some]), strict=True):
            taken[each.line] = fen.fen
    if left:
        raise ValueError(f"{amount.fen} fen cannot be taken from {total([each.net for each in own + others]).fen}")
    for each in transfers:
        if each.is_subsidy:
            beside = [other for other in (*own, *others) if other.sub_order_id == each.sub_order_id]
            whole = total([other.net for other in beside]).fen
            lost = sum([taken[other.line] for other in beside])
            taken[each.line] = each.net.share([lost, whole - lost])[0].fen if whole else 0
    return [_loss(each, taken[each.line]) for each in transfers if taken[each.line]]


def _loss(transfer: Transfer, fen: int) -> Loss:
    cut = min(fen, transfer.held.fen)
    return Loss(transfer=transfer, cut=Money(cut), back=Money(fen - cut))


class ClawBack(Struct, frozen=True, kw_only=True, gc=False):
    """What a refund took from those who had shares: (line, cut, back) each. open_returns: still on their way back."""

    refund_id: RefundId
    order_id: OrderId
    amount: Money
    losses: tuple[tuple[int, Money, Money], ...]
    returns: int
    open_returns: int
    at: datetime


class ReturnState(StrEnum):
    """What has become of a return."""

    DUE = "due"
    SENT = "sent"
    SETTLED = "settled"
    REFUSED = "refused"  # he does not give it back: the platform has advanced it, and he owes it
    WITHHELD = "withheld"  # he was not given so much of what he got later
    PAID_OTHERWISE = "paid_otherwise"
    WRITTEN_OFF = "written_off"


class ShareReturn(Struct, frozen=True, kw_only=True, gc=False):
    """Shared money to come back from a receiver for a refund. owed_in: the account he owes it in until then.

    withheld: what was kept of it from his later transfers.
    """

    id: str
    order_id: OrderId
    refund_id: RefundId
    share_id: str
    part: int
    kind: ReceiverKind
    account: str
    owed_in: str
    amount: Money
    withheld: Money = ZERO
    out_return_no: str
    attempts: int
    state: ReturnState
    due_at: datetime
    ended_at: datetime | None = None
    reason: str = ""

    @property
    def left(self) -> Money:
        """What is still owed of it."""
        return self.amount - self.withheld


class Debt(Struct, frozen=True, kw_only=True, gc=False):
    """What is owed in an account and nobody is asked for: the refused returns, oldest first, kept from what comes next.

    A return on its way is not among them: what it brings must not have been kept already.
    """

    account: str
    returns: tuple[str, ...]
