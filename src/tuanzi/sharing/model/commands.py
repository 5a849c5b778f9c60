"""What sharing is asked to do: commands and errands; and what they are answered."""

from __future__ import annotations

from msgspec import Struct

from tuanzi.money import ReceiverKind, ReceiverResult, RefundProgress, ShareProgress
from tuanzi.sharing.model.cases import CaseState, Settlement
from tuanzi.sharing.model.refunds import ReturnState
from tuanzi.sharing.model.terms import SharingTerms
from tuanzi.sharing.model.transfers import PayoutState


class StartPayout(Struct, frozen=True, kw_only=True, gc=False):
    """Give the next share of a completed order, or unfreeze the rest when there is none."""

    order_id: str


class Receivable(Struct, frozen=True, kw_only=True, gc=False):
    """A receiver as an errand carries him."""

    payee_id: str
    kind: ReceiverKind
    account: str
    full_name: str


class AddReceivers(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: let the payment company know who will be given shares."""

    order_id: str
    receivers: tuple[Receivable, ...]


class RecordReceivers(Struct, frozen=True, kw_only=True, gc=False):
    """Whom the payment company lets receive shares, and whom not, (payee, why)."""

    order_id: str
    added: tuple[Receivable, ...]
    refused: tuple[tuple[str, str], ...]


class SentPart(Struct, frozen=True, kw_only=True, gc=False):
    """What one receiver is to be given."""

    kind: ReceiverKind
    account: str
    amount_fen: int


class SendShare(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: have the payment company give shares; the same content under the same number for ever."""

    share_id: str
    out_order_no: str
    out_trade_no: str
    transaction_id: str
    receivers: tuple[SentPart, ...]


class AskShare(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: what became of a share."""

    sent: SendShare


class SeenPart(Struct, frozen=True, kw_only=True, gc=False):
    """What the payment company says of one receiver."""

    account: str
    amount_fen: int
    result: ReceiverResult
    reason: str


class RecordShare(Struct, frozen=True, kw_only=True, gc=False):
    """What the payment company said of a share. frozen_fen: what is frozen still, asked when it was refused."""

    share_id: str
    progress: ShareProgress
    receivers: tuple[SeenPart, ...] = ()
    reason: str = ""
    frozen_fen: int = 0


class SendUnfreeze(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: make what is left of a payment the platform's own."""

    order_id: str
    out_order_no: str
    transaction_id: str


class AskUnfreeze(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: what became of an unfreezing."""

    sent: SendUnfreeze


class RecordUnfreeze(Struct, frozen=True, kw_only=True, gc=False):
    """What the payment company said of an unfreezing. frozen_fen: what is frozen still, asked when it was refused."""

    order_id: str
    progress: ShareProgress
    frozen_fen: int = 0


class SendReturn(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: take shared money back."""

    return_id: str
    out_return_no: str
    out_order_no: str
    kind: ReceiverKind
    account: str
    amount_fen: int


class AskReturn(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: what became of a return."""

    sent: SendReturn


class RecordReturn(Struct, frozen=True, kw_only=True, gc=False):
    """What the payment company said of a return."""

    return_id: str
    out_return_no: str
    progress: RefundProgress
    amount_fen: int
    reason: str = ""


class SettleCase(Struct, frozen=True, kw_only=True, gc=False):
    """An operator settles what would not go on by itself."""

    case_id: str
    how: Settlement
    note: str
    operator_id: str


class ChangeTerms(Struct, frozen=True, kw_only=True, gc=False):
    """An operator puts new terms in force. after_version: the one he has seen in force."""

    terms: SharingTerms
    after_version: int
    operator_id: str


class RegisterPayee(Struct, frozen=True, kw_only=True, gc=False):
    """An operator says what the payment company calls a merchant or person."""

    kind: ReceiverKind
    owner_id: str
    account: str
    full_name: str
    operator_id: str


class TermsChanged(Struct, frozen=True, kw_only=True, gc=False):
    """The version of the terms that is in force now."""

    version: int


class PayoutStanding(Struct, frozen=True, kw_only=True, gc=False):
    """The answer of every payout command: how far the order's payout is."""

    order_id: str
    payout: PayoutState
    rounds: int


class ReturnStanding(Struct, frozen=True, kw_only=True, gc=False):
    """How a return stands now."""

    return_id: str
    state: ReturnState
    amount_fen: int
    reason: str


class CaseStanding(Struct, frozen=True, kw_only=True, gc=False):
    """How a case stands now."""

    case_id: str
    state: CaseState
    how: Settlement
