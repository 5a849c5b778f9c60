"""An order's money in a split: what each party gets of it, in which account, and how far that is."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.ids import GroupId, OrderId, PaymentId, RefundId, SubOrderId
from tuanzi.base.money import ZERO, Money
from tuanzi.money import Account
from tuanzi.sharing.model.terms import Party

POOL: Final = "pool"  # holds the riders' money until one has delivered, for ever when none is known to (decision 0035)
# A payment can be shared a minute after it was made (WeChat Q&A; its guide says 30 s: reliability.md 5.2).
PROVIDER_WAIT: Final = timedelta(minutes=1)
# WeChat takes nothing back from persons, so they are given theirs when after-sale can be asked for no more (orders).
PERSONS_WAIT: Final = timedelta(hours=24)


class SharingState(StrEnum):
    """What has become of an order's transfers."""

    PENDING = "pending"
    POSTED = "posted"
    VOIDED = "voided"


class PayoutState(StrEnum):
    """How far the posted transfers of an order are on their way to those who are owed them."""

    HELD = "held"  # until the order is completed
    DUE = "due"
    SHARING = "sharing"  # a share is with the payment company
    UNFREEZING = "unfreezing"
    DONE = "done"


class Transfer(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What one party gets of one sub-order; set aside by Try, theirs by Confirm.

    amount: as set aside. outward: at most so much of it goes through the payment company. cut: taken back for refunds
    before it went out. sent: on its way at the payment company. given: went out. back: of that, asked back for refunds.
    closed: how often the payment company would not give it.
    """

    gid: str
    order_id: OrderId
    line: int
    sub_order_id: SubOrderId
    party: Party
    account: str
    amount: Money
    outward: Money
    cut: Money = ZERO
    sent: Money = ZERO
    given: Money = ZERO
    back: Money = ZERO
    closed: int = 0

    def __post_init__(self) -> None:
        amount, cut, sent, given = self.amount.fen, self.cut.fen, self.sent.fen, self.given.fen
        is_right = cut >= 0 and sent >= 0 and given >= self.back.fen and given >= 0 and cut + sent + given <= amount
        if not is_right or not 0 <= self.outward.fen <= amount:
            raise ValueError(f"transfer {self.order_id}/{self.line} does not add up: {self}")

    @property
    def held(self) -> Money:
        """What is still here."""
        return Money(self.held_fen)

    @property
    def held_fen(self) -> int:
        """What is still here, for sums of many."""
        return self.amount.fen - self.cut.fen - self.sent.fen - self.given.fen

    @property
    def net(self) -> Money:
        """What is theirs after refunds, here, on its way or given."""
        return Money(self.amount.fen - self.cut.fen - self.back.fen)

    @property
    def due(self) -> Money:
        """What is still to go out through the payment company."""
        return Money(max(0, min(self.held.fen, self.outward.fen - self.sent.fen - self.given.fen)))

    @property
    def is_subsidy(self) -> bool:
        """Whether the platform pays it, and not the member."""
        return self.party is Party.SUBSIDY


_LINE: Final = attrgetter("line")


class OrderTransfers(Struct, frozen=True, kw_only=True, gc=False):
    """All transfers of one order in a split: one row, for they are made and read together."""

    gid: str
    order_id: OrderId
    transfers: tuple[Transfer, ...]

    @property
    def by_line(self) -> list[Transfer]:
        """They in order, by line from 0; those that a migration moved here may be kept in another one."""
        return sorted(self.transfers, key=_LINE)

    def after(self, transfer: Transfer) -> OrderTransfers:
        """With `transfer` in place of the one of its line."""
        return replace(
            self, transfers=tuple([transfer if each.line == transfer.line else each for each in self.transfers])
        )


class Sharing(Struct, frozen=True, kw_only=True, gc=False):
    """An order's money in a split, one row for each order. transfers: how many there are, their lines from 0.

    claimed: what the parties have of the payment after refunds; the payment's rest is the member's.
    persons_at: when persons are given theirs. held_refunds: refunds that are sent when they have been, for a refund
    takes frozen money first, and then there is none to share. is_disputed: its member asked for after-sale and
    nobody has decided: persons wait for that too.
    """

    order_id: OrderId
    gid: str
    group_id: GroupId
    payment_id: PaymentId
    terms_version: int
    state: SharingState
    payable: Money
    claimed: Money
    transfers: int
    tried_at: datetime
    decided_at: datetime | None = None
    completed_at: datetime | None = None
    payout: PayoutState = PayoutState.HELD
    rounds: int = 0
    persons_at: datetime | None = None
    held_refunds: tuple[RefundId, ...] = ()
    is_disputed: bool = False


class SharingBranch(Struct, frozen=True, kw_only=True, gc=False):
    """The orders of one split's branch here; Confirm and Cancel name the split alone."""

    gid: str
    group_id: GroupId
    order_ids: tuple[OrderId, ...]


@lru_cache(maxsize=16_384)
def account_of(party: Party, owner: str) -> str:
    """The account a party's money is owed in; the platform's and the payment company's have no owner."""
    match party:
        case Party.MERCHANT | Party.SUBSIDY:
            return Account.MERCHANT_PAYABLE.of(owner)
        case Party.RIDER:
            return Account.RIDER_PAYABLE.of(owner)
        case Party.LEADER | Party.AMBASSADOR:
            return Account.CAMPUS_AGENT_PAYABLE.of(owner)
        case Party.PLATFORM:
            return Account.PLATFORM_INCOME.value
        case Party.PROVIDER:
            return Account.PROVIDER_FEE.value


def advance_of(account: str) -> str:
    """The account in which whoever is owed `account` owes what the platform has advanced for him."""
    return Account.RECEIVER_ADVANCE.of(account.partition(":")[2])
