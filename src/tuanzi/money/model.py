"""Accounts, journals that balance, payments and refunds as frozen values, and the rules that need nothing else (C2).

Sign: a positive amount is a debit, a negative one a credit; every journal, and so every set of accounts, sums to 0.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.branch import Branch
from tuanzi.base.ids import OrderId, PaymentId, PersonId, RefundId
from tuanzi.base.money import ZERO, Money
from tuanzi.money.problems import Overdrawn, PaymentDiffers

# Waits are our choice; the provider's own order lives 2 h by default (WeChat Pay v3, time_expire of a JSAPI order).
PAY_WINDOW = timedelta(hours=2)
CAPTURE_WAIT = timedelta(hours=24)  # WeChat repeats a lost callback for 24 h 4 min (reliability.md 5.3)
ASK_SOONEST = timedelta(seconds=30)
ASK_LATEST = timedelta(minutes=10)
# The refusal of a refund that an operator settled: given up, so that it is owed no more, or paid from the bank.
WRITTEN_OFF = "written_off"
PAID_OTHERWISE = "paid_otherwise"

_TRADE_NO = re.compile(r"[0-9A-Za-z_-]{6,32}")  # WeChat Pay v3, out_trade_no: 6 to 32 of digits, letters, _ - *
_REFUND_NO = re.compile(r"[0-9A-Za-z_|-]{1,64}")  # WeChat Pay v3, out_refund_no: at most 64, also | and @


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

    def promise_back(self, amount: Money) -> Payment:
        """With that much more promised back. Raises ValueError above what was paid (B5)."""
        return replace(self, refunded=self.refunded + amount)

    def same_terms(self, *, order_id: str, amount: Money) -> None:
        """Raises PaymentDiffers when this payment is for another order or amount."""
        if self.order_id != order_id or self.amount != amount:
            raise PaymentDiffers(payment_id=self.id, amount_fen=amount.fen)


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


class RecordCapture(Struct, frozen=True, kw_only=True, gc=False):
    """The provider has the member's money; said by its answer, a verified callback or a query."""

    payment_id: str
    order_id: str
    member_id: str
    amount_fen: int
    transaction_id: str
    provider: str


class OpenPayment(Struct, frozen=True, kw_only=True, gc=False):
    """The provider waits for the member to pay."""

    payment_id: str
    order_id: str
    member_id: str
    amount_fen: int
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


class RetryRefund(Struct, frozen=True, kw_only=True, gc=False):
    """See whether the payment of a waiting refund has come."""

    refund_id: str


class RecordRefund(Struct, frozen=True, kw_only=True, gc=False):
    """What the provider said of a refund; `reason` when it refused.

    out_refund_no: the number it has there now, when that is not the one it was sent with.
    """

    refund_id: str
    progress: RefundProgress
    amount_fen: int
    reason: str = ""
    out_refund_no: str = ""


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


class SharedPart(Struct, frozen=True, kw_only=True, gc=False):
    """What one merchant's sub-order brings in: `payable_fen` is items less discount, and its share of the delivery."""

    sub_order_id: str
    merchant_id: str
    items_fen: int
    discount_fen: int
    delivery_fen: int
    payable_fen: int


class SharedOrder(Struct, frozen=True, kw_only=True, gc=False):
    """One member's money in a split: he paid `paid_fen`, the final price is `payable_fen`, the sum of the parts."""

    order_id: str
    payment_id: str
    member_id: str
    paid_fen: int
    payable_fen: int
    parts: tuple[SharedPart, ...]


class TrySharing(Struct, frozen=True, kw_only=True, gc=False):
    """Try: set aside who gets what of a split group's money (支付分账)."""

    branch: Branch
    group_id: str
    leader_id: str
    orders: tuple[SharedOrder, ...]
    split_at: datetime
    ambassador_id: str | None = None  # who brought the group, if anybody did


class ConfirmSharing(Struct, frozen=True, kw_only=True, gc=False):
    """Confirm: what was set aside is theirs."""

    branch: Branch


class CancelSharing(Struct, frozen=True, kw_only=True, gc=False):
    """Cancel: what was set aside is the members' again."""

    branch: Branch


class PaymentStanding(Struct, frozen=True, kw_only=True, gc=False):
    """The answer of every payment command: how the payment stands now."""

    payment_id: str
    order_id: str
    state: PaymentState
    amount_fen: int
    captured_fen: int
    captured_at: datetime | None


class RefundStanding(Struct, frozen=True, kw_only=True, gc=False):
    """The answer of every refund command: how the refund stands now."""

    refund_id: str
    state: RefundState
    amount_fen: int
    refusal: str | None


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


class PayoutHold(Struct, frozen=True, kw_only=True, gc=False):
    """A merchant who is paid nothing out for now; because: the ids of the differences that concern him (C3)."""

    merchant_id: str
    because: tuple[str, ...]


def payment_of(order_id: str) -> PaymentId:
    """The id of an order's first payment: `p_` instead of `o_`; two orders never share one."""
    return PaymentId("p_" + order_id[2:] if order_id.startswith("o_") else "p_." + order_id)


def out_trade_no_of(payment_id: str) -> str:
    """The payment's number at the provider: the id itself where the provider's 6 to 32 characters allow it.

    Other ids give `x` and 31 hexadecimal digits of their SHA-256 (124 bits): two of 2**40 ids clash with a chance
    below 2**-44, and the provider would then refuse the second for its other amount.
    """
    return payment_id if _TRADE_NO.fullmatch(payment_id) else "x" + sha256(payment_id.encode()).hexdigest()[:31]


def out_refund_no_of(refund_id: str) -> str:
    """The number of a refund, share or return at the provider: the id, with `*` for `.` and `@` for `:`.

    Where that does not fit it is a digest, like a payment's.
    """
    if _REFUND_NO.fullmatch(refund_id.replace(".", "-").replace(":", "-")):
        return refund_id.replace(".", "*").replace(":", "@")
    return "x" + sha256(refund_id.encode()).hexdigest()[:63]


def payment_named(out_trade_no: str) -> PaymentId | None:
    """The payment that has this number at the provider; None when the number does not tell."""
    return None if len(out_trade_no) == 32 and out_trade_no.startswith("x") else PaymentId(out_trade_no)


def refund_named(out_refund_no: str) -> RefundId | None:
    """The refund that has this number at the provider; None when the number does not tell."""
    if len(out_refund_no) == 64 and out_refund_no.startswith("x"):
        return None
    return RefundId(out_refund_no.replace("*", ".").replace("@", ":"))


def pause(since: datetime, *, now: datetime) -> timedelta:
    """How long to wait before asking again about what began at `since`: as long as it took so far, 30 s to 10 min."""
    return min(max(now - since, ASK_SOONEST), ASK_LATEST)
