"""The payment company as this room sees it: a port that WeChat Pay v3 and the in-process sandbox both fit (C1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
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
    pay_before: when what is paid for is no longer kept for him; the provider takes no money after it, a minute more or
        less (the sandbox here does, so that late money is seen). None: as long as it likes.
    """

    out_trade_no: str
    amount_fen: int
    payer: str
    about: str
    attach: str
    pay_before: datetime | None = None


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


class ReceiverKind(StrEnum):
    """Who can be given a share of a payment."""

    MERCHANT = "merchant"  # a merchant of the provider, by his number there
    PERSON = "person"  # by what the provider calls him (an openid)


class Receiver(Struct, frozen=True, kw_only=True, gc=False):
    """Who is given a share, by his account at the provider."""

    kind: ReceiverKind
    account: str


class ShareReceiver(Struct, frozen=True, kw_only=True, gc=False):
    """One part of a share. about: what the receiver reads (WeChat: at most 80 characters)."""

    receiver: Receiver
    amount_fen: int
    about: str


class ShareAsked(Struct, frozen=True, kw_only=True, gc=False):
    """Frozen money of one payment to be given to others; each receiver once.

    unfreeze_rest: what is left then becomes the merchant's own, and the payment cannot be shared again.
    """

    out_order_no: str
    out_trade_no: str
    transaction_id: str
    receivers: tuple[ShareReceiver, ...]
    unfreeze_rest: bool


class ReceiverResult(StrEnum):
    """What became of one part of a share."""

    PENDING = "pending"
    SUCCESS = "success"
    CLOSED = "closed"  # he was given nothing; the money is frozen as before, or ours when the rest was unfrozen


class ReceiverSeen(Struct, frozen=True, kw_only=True, gc=False):
    """What the provider says of one part of a share; reason: why it is CLOSED."""

    account: str
    amount_fen: int
    result: ReceiverResult
    reason: str = ""


class ShareProgress(StrEnum):
    """What a share is at the provider."""

    UNKNOWN = "unknown"  # it never heard of it
    PROCESSING = "processing"
    FINISHED = "finished"  # every part is SUCCESS or CLOSED
    REFUSED = "refused"  # nothing was done, and the number may be used again


class ShareSeen(Struct, frozen=True, kw_only=True, gc=False):
    """What the provider says of a share or of an unfreezing.

    receivers: those asked for, in their order; what went back to the merchant himself is left out. reason: why REFUSED.
    """

    out_order_no: str
    progress: ShareProgress
    receivers: tuple[ReceiverSeen, ...] = ()
    reason: str = ""


class ReturnAsked(Struct, frozen=True, kw_only=True, gc=False):
    """Shared money to be taken back from a receiver of the share `out_order_no`."""

    out_return_no: str
    out_order_no: str
    receiver: Receiver
    amount_fen: int
    about: str


class ReturnSeen(Struct, frozen=True, kw_only=True, gc=False):
    """What the provider says of a return; reason: why it is REFUSED, for good under this number."""

    out_return_no: str
    progress: RefundProgress
    amount_fen: int = 0
    reason: str = ""


class BillKind(StrEnum):
    """The bills a provider makes of each day."""

    TRADES = "trades"  # payments and refunds
    FUNDS = "funds"  # everything that moved the merchant's own account
    SHARES = "shares"  # parts of shares that succeeded, and returns


class BillState(StrEnum):
    """What a line of a bill says was done; frozen and unfrozen money moves nothing and has no line."""

    PAID = "paid"
    REFUNDED = "refunded"
    SHARED = "shared"
    RETURNED = "returned"
    FEE = "fee"  # what the provider takes of a payment, and gives back with a refund; in FUNDS only


class BillLine(Struct, frozen=True, kw_only=True, gc=False):
    """One thing the provider did, as its bill of that day says.

    key: out_trade_no of a payment, out_refund_no of a refund, out_return_no of a return, `out_order_no/account` of one
    part of a share; FUNDS knows no receivers and says `out_order_no`. transaction_id: empty where the bill does not say
    (FUNDS, but for payments and fees). amount_fen: positive towards the merchant, negative away from him.
    is_elsewhere: of a payment of another campus, where several have one account and the bill says whose (TRADES).
    """

    kind: BillKind
    key: str
    transaction_id: str
    amount_fen: int
    state: BillState
    at: datetime
    is_elsewhere: bool = False


class Notice(Struct, frozen=True, kw_only=True, gc=False):
    """A callback that was verified. id: the same when it is sent again. seen: None when it is not about our orders."""

    id: str
    event: str
    seen: PaymentSeen | RefundSeen | None


class PaymentProvider(Protocol):
    """A payment company.

    Every call answers within the adapter's own time limit or raises ProviderUnreachable, which means: nobody knows what
    was done. Everything is idempotent by its outside number, so the caller repeats the call or asks, under the same
    number, until he knows. A refusal is an answer, not an exception. `now` is the caller's time (for signatures).

    What a member paid is frozen until it is shared or unfrozen. A refund takes frozen money first, then what is the
    merchant's own of this payment; so what was shared comes back by `return_share` before it can be refunded.
    """

    @property
    def name(self) -> str:
        """How it is called in rows and reports; at most 32 characters."""

    @property
    def payer_app(self) -> str:
        """The app by whose openids it knows who pays; "" where it knows members by their ids here."""

    def at(self, campus: str) -> PaymentProvider:
        """The same company, which reports to this campus what becomes of its payments.

        It is asked about no other campus's: of these it does not say what was attached.
        """

    async def open(self, asked: PaymentAsked, *, now: datetime) -> PaymentOpening:
        """Open a payment, or the same one again: its present state.

        For another payer than before it goes on, and can no longer be paid by what the one before was given; when it
        was paid by that meanwhile, it is PAID. Raises PaymentDiffers for another amount or too many payers,
        PaymentEnded when it is closed.
        """

    async def query(self, out_trade_no: str, *, now: datetime) -> PaymentSeen:
        """What became of a payment; UNKNOWN when it was never opened."""

    async def close(self, out_trade_no: str, *, now: datetime) -> PaymentSeen:
        """See that it can no longer be paid; one that is PAID, or was never opened (UNKNOWN), stays so."""

    async def refund(self, asked: RefundAsked, *, now: datetime) -> RefundSeen:
        """Give money back, once for each out_refund_no; never more in all than was paid."""

    async def query_refund(self, out_refund_no: str, *, now: datetime) -> RefundSeen:
        """What became of a refund; UNKNOWN when it was never asked for, and perhaps when it was REFUSED."""

    async def share(self, asked: ShareAsked, *, now: datetime) -> ShareSeen:
        """Give frozen money to others, once for each out_order_no: often PROCESSING at first, so it is asked about.

        REFUSED as a whole when a number is used for another share (the first stands), more is asked than is frozen
        or than may go to others, or nothing is frozen any more. A part may be CLOSED while others succeed.
        """

    async def query_share(self, out_order_no: str, transaction_id: str, *, now: datetime) -> ShareSeen:
        """What became of a share or an unfreezing; UNKNOWN when it was never asked for, or was REFUSED."""

    async def unfreeze(self, out_order_no: str, transaction_id: str, about: str, *, now: datetime) -> ShareSeen:
        """Make all that is still frozen of a payment the merchant's own, under a number of its own.

        REFUSED when nothing is frozen any more; a repeat under its number is the same.
        """

    async def add_receiver(self, receiver: Receiver, name: str, *, now: datetime) -> None:
        """Let somebody be given shares; harmless twice. name: a merchant's full name; a person's may be empty.

        A part for somebody never added is CLOSED. Raises ReceiverRefused when the provider does not want him.
        """

    async def unsplit(self, transaction_id: str, *, now: datetime) -> int:
        """Fen of a payment that are still frozen; 0 for one that was never paid."""

    async def return_share(self, asked: ReturnAsked, *, now: datetime) -> ReturnSeen:
        """Take shared money back, once for each out_return_no; never more in all than the receiver was given.

        What comes back is the merchant's own and may be refunded.
        """

    async def query_return(self, out_return_no: str, out_order_no: str, *, now: datetime) -> ReturnSeen:
        """What became of a return; UNKNOWN when it was never asked for."""

    async def bill(self, kind: BillKind, on: date, *, now: datetime) -> tuple[BillLine, ...]:
        """All lines of a day (Asia/Shanghai), those of other campuses too, in the order the provider gives them.

        Raises BillNotReady before 10:00 of the next day.
        """
