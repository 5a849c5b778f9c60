"""Accounts and journals that balance.

Sign: a positive amount is a debit, a negative one a credit; every journal, and so every set of accounts, sums to 0.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.money import ZERO, Money
from tuanzi.money.problems import Overdrawn


class Account(StrEnum):
    """The accounts of a campus's ledger (reliability.md 3.1); an owner may follow: `merchant_payable:m_7`."""

    PROVIDER_CLEARING = "provider_clearing"  # what the payment company holds for us
    ORDER_ESCROW = "order_escrow"  # members' money whose meal is not settled yet
    USER_REFUND_PAYABLE = "user_refund_payable"  # owed back to members, on its way
    SUSPENSE = "suspense"  # money that fits no rule; a person must look
    MERCHANT_PAYABLE = "merchant_payable"
    RIDER_PAYABLE = "rider_payable"
    CAMPUS_AGENT_PAYABLE = "campus_agent_payable"
    RECEIVER_ADVANCE = "receiver_advance"
    PLATFORM_INCOME = "platform_income"
    SUBSIDY_EXPENSE = "subsidy_expense"
    PROVIDER_FEE = "provider_fee"  # set aside for what the payment company will charge
    PLATFORM_FUNDS = "platform_funds"  # what was paid from the platform's own bank account
    WRITTEN_OFF = "written_off"  # what an operator gave up, owed to us (debit) or by us (credit)

    def of(self, owner: str) -> str:
        """This account of one owner."""
        return f"{self._value_}:{owner}"


# Which side of zero an account may not cross: what is owed stays a credit, what others owe a debit. The payment
# company's may: money that a receiver did not give back is refunded all the same (reliability.md P12).
_NEVER_DEBIT = frozenset(
    {
        Account.ORDER_ESCROW.value,
        Account.USER_REFUND_PAYABLE.value,
        Account.MERCHANT_PAYABLE.value,
        Account.RIDER_PAYABLE.value,
        Account.CAMPUS_AGENT_PAYABLE.value,
        Account.PLATFORM_INCOME.value,
        Account.PROVIDER_FEE.value,
    }
)


_NEVER_CREDIT = frozenset({Account.RECEIVER_ADVANCE.value, Account.SUBSIDY_EXPENSE.value})


class JournalKind(StrEnum):
    """What a journal books; with its reference it is the journal's id, so that nothing is booked twice."""

    CAPTURE = "capture"
    MISFIT = "misfit"
    SUSPENSE_ENDED = "suspense_ended"  # to its order, to go back as any refund; or as a person says that it ended
    REFUND_DUE = "refund_due"
    REFUND_SETTLED = "refund_settled"
    SHARING = "sharing"  # who gets what of an order, once its split is confirmed
    RIDER_CREDIT = "rider_credit"  # from the pool to who brought it
    SHARE_GIVEN = "share_given"
    CLAW_BACK = "claw_back"  # what parties lose to a refund
    SHARE_RETURNED = "share_returned"
    WITHHELD = "withheld"  # what a receiver owes for refunds, kept from what he is to get next
    PAID_OTHERWISE = "paid_otherwise"  # settled outside of the payment company
    WRITTEN_OFF = "written_off"
    DIFFERENCE = "difference"  # what the provider has more or less than the ledger, set aside (C3)
    REVERSAL = "reversal"  # what the ledger had and the provider had not (C3)


# What is booked because of a difference between the ledger and the provider.
ASIDE_KINDS = (JournalKind.DIFFERENCE, JournalKind.REVERSAL, JournalKind.SUSPENSE_ENDED)


def aside_reference(difference_id: str, number: int) -> str:
    """What the n-th journal of a kind is about that is booked because of a difference: a bill may say another amount
    after the first was dealt with. number: from 1."""
    return difference_id if number == 1 else f"{difference_id}.{number}"


class Entry(Struct, frozen=True, kw_only=True, gc=False):
    """One line of a journal: debit when positive, credit when negative."""

    journal_id: str
    line: int
    account: str
    order_id: str
    amount: Money


class JournalHead(Struct, frozen=True, kw_only=True, gc=False):
    """What is kept of a journal beside its entries. `turnover` is the sum of its debits."""

    id: str
    kind: JournalKind
    reference: str
    entry_count: int
    turnover: Money
    at: datetime


class Journal(Struct, frozen=True, kw_only=True, gc=False):
    """Money moved between accounts: sums to zero, or cannot be made.

    reference: the id of what is booked (a payment, a refund). Raises ValueError when the entries do not balance,
    a line is empty, or an entry belongs to another journal.
    """

    kind: JournalKind
    reference: str
    at: datetime
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        own = self.id
        balance = 0
        for i, entry in enumerate(self.entries):
            if not entry.amount.fen or entry.line != i or entry.journal_id != own:
                raise ValueError(f"line {i} of journal {own} is empty or belongs elsewhere: {entry}")
            balance += entry.amount.fen
        if balance or len(self.entries) < 2:
            raise ValueError(f"journal {own} does not balance: {balance} fen over {len(self.entries)} lines")

    @property
    def id(self) -> str:
        """A function of what it books."""
        return f"{self.kind}:{self.reference}"

    def head(self) -> JournalHead:
        """The row kept beside the entries."""
        return JournalHead(
            id=self.id,
            kind=self.kind,
            reference=self.reference,
            entry_count=len(self.entries),
            turnover=Money(sum([entry.amount.fen for entry in self.entries if entry.amount.fen > 0])),
            at=self.at,
        )


def transfer(
    kind: JournalKind, reference: str, *, order_id: str, debit: str, credit: str, amount: Money, at: datetime
) -> Journal:
    """A journal of two lines for one order: `amount` into `debit`, out of `credit`."""
    own = f"{kind}:{reference}"
    return Journal(
        kind=kind,
        reference=reference,
        at=at,
        entries=(
            Entry(journal_id=own, line=0, account=debit, order_id=order_id, amount=amount),
            Entry(journal_id=own, line=1, account=credit, order_id=order_id, amount=-amount),
        ),
    )


class Balance(Struct, frozen=True, kw_only=True, gc=False):
    """The running sum of an account's entries, kept in the commits that write them, so that limits can be checked.

    least, most: what the account may not fall below or rise above; None where it may.
    """

    account: str
    amount: Money
    least: Money | None = None
    most: Money | None = None

    def moved(self, amount: Money) -> Balance:
        """With `amount` more. Raises Overdrawn beyond a limit."""
        fen = self.amount.fen + amount.fen
        if (self.most is not None and fen > self.most.fen) or (self.least is not None and fen < self.least.fen):
            raise Overdrawn(account=self.account, balance_fen=self.amount.fen, amount_fen=amount.fen)
        return Balance(account=self.account, amount=Money(fen), least=self.least, most=self.most)


def empty_account(account: str) -> Balance:
    """An account without entries, with the limits of its kind."""
    kind = account.partition(":")[0]
    return Balance(
        account=account,
        amount=ZERO,
        least=ZERO if kind in _NEVER_CREDIT else None,
        most=ZERO if kind in _NEVER_DEBIT else None,
    )


# Of what does not agree so many are kept by name: a person who has these has enough to begin with.
OFF_MAX: Final = 100


class AccountOff(Struct, frozen=True, kw_only=True, gc=False):
    """An account whose entries add up to `summed_fen`, while its running balance said `running_fen`."""

    account: str
    summed_fen: int
    running_fen: int


class LedgerProof(Struct, frozen=True, kw_only=True, gc=False):
    """What reading the whole ledger said. `id` is always "ledger".

    summed_at, entries: the last time all entries were summed, and how many there were. difference: their sum, 0.
    off_count, accounts_off: accounts whose running balance was another, and the first OFF_MAX of them. proven_at: the
    last time every journal was looked at as well; unbalanced: the first OFF_MAX whose entries are not all there or come
    to something; None and none before the first time.
    """

    id: str = "ledger"
    summed_at: datetime
    entries: int
    difference: Money
    off_count: int
    accounts_off: tuple[AccountOff, ...]
    proven_at: datetime | None = None
    unbalanced: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether nothing was made or lost, as far as was looked."""
        return not (self.difference or self.off_count or self.unbalanced)

    def after(self, kept: LedgerProof | None) -> LedgerProof:
        """What is known after what is kept: of two sums, and of two looks at all journals, the later ones."""
        if kept is None:
            return self
        newer, older = (self, kept) if self.summed_at >= kept.summed_at else (kept, self)
        if newer.proven_at is None or (older.proven_at is not None and older.proven_at > newer.proven_at):
            return replace(newer, proven_at=older.proven_at, unbalanced=older.unbalanced)
        return newer


class PayoutHold(Struct, frozen=True, kw_only=True, gc=False):
    """A merchant who is paid nothing out for now; because: the ids of the differences that concern him (C3)."""

    merchant_id: str
    because: tuple[str, ...]
