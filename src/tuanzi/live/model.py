"""What is told live, as typed values, and the tokens that let somebody in (A1, A5).

Texts are not here: a page says it in its reader's language. `kind` tells messages apart and is never changed.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from msgspec import Struct

from tuanzi.base.time import from_ms, to_ms

TOKEN_LIFE = timedelta(minutes=5)
RIDERS = "riders"
OPS = "ops"
PERSONS_STREAM = "user:"


def stream_of_person(person_id: str) -> str:
    """The channel that is one person's alone."""
    return f"{PERSONS_STREAM}{person_id}"


def channel_of_group(group_id: str) -> str:
    """The channel that shows a group's seats."""
    return f"group:{group_id}"


def stream_of_merchant(merchant_id: str) -> str:
    """The channel of a merchant's board."""
    return f"board:{merchant_id}"


# Durable messages


class Message(Struct, frozen=True, kw_only=True, gc=False, tag_field="kind"):
    """Something that happened to somebody. at: when it was told."""

    at: datetime


class OrderChanged(Message, frozen=True, kw_only=True, gc=False, tag="order.changed"):
    """One of my orders is in another state. reason: why it was cancelled."""

    order_id: str
    group_id: str | None
    state: str
    reason: str | None = None


class SubOrderChanged(Message, frozen=True, kw_only=True, gc=False, tag="sub_order.changed"):
    """A merchant or rider moved a sub-order on."""

    sub_order_id: str
    order_id: str
    merchant_id: str
    state: str


class Outcome(StrEnum):
    """What became of a group."""

    FORMED = "formed"
    TIER_REACHED = "tier_reached"
    CLOSED = "closed"
    FAILED = "failed"


class GroupOutcome(Message, frozen=True, kw_only=True, gc=False, tag="group.outcome"):
    """Something was decided about a group that I am in. size: its paid members, 0 when it failed."""

    group_id: str
    order_id: str
    outcome: Outcome
    size: int
    reason: str | None = None


class LeadershipPassed(Message, frozen=True, kw_only=True, gc=False, tag="group.leader"):
    """I lead this group now: its leader left."""

    group_id: str


class SplitPart(Struct, frozen=True, kw_only=True, gc=False):
    """What one merchant makes for me."""

    sub_order_id: str
    merchant_id: str
    building_id: str
    items_fen: int
    discount_fen: int
    delivery_fen: int
    payable_fen: int


class SplitPlanned(Message, frozen=True, kw_only=True, gc=False, tag="split.planned"):
    """My order's part of its group's split, to the fen (B6)."""

    group_id: str
    order_id: str
    parts: tuple[SplitPart, ...]


class RefundState(StrEnum):
    """Where money on its way back is."""

    DUE = "due"
    SETTLED = "settled"
    REFUSED = "refused"


class RefundChanged(Message, frozen=True, kw_only=True, gc=False, tag="refund.changed"):
    """Money of mine is on its way back, is back, or a person must look at it."""

    order_id: str
    refund_id: str
    amount_fen: int
    state: RefundState
    reason: str | None = None


class LateMoneySettled(Message, frozen=True, kw_only=True, gc=False, tag="late_money.settled"):
    """My money came when the seat was gone: it found a seat in `group_id`, or goes back (null)."""

    order_id: str
    group_id: str | None
    amount_fen: int


class SubOrdersPlanned(Message, frozen=True, kw_only=True, gc=False, tag="board.planned"):
    """A group was split: my shop has these to make."""

    group_id: str
    sub_order_ids: tuple[str, ...]


class SubOrdersUnready(Message, frozen=True, kw_only=True, gc=False, tag="board.unready"):
    """My shop accepted these, and is late to have them ready; told once of each."""

    group_id: str
    sub_order_ids: tuple[str, ...]


class ParcelUnfetched(Message, frozen=True, kw_only=True, gc=False, tag="board.unfetched"):
    """What my shop has ready for a building waits for a rider for long, which operators were told; once of each."""

    parcel_id: str
    group_id: str
    sub_order_ids: tuple[str, ...]


class BundleChanged(Message, frozen=True, kw_only=True, gc=False, tag="bundle.changed"):
    """A bundle is to be brought by me, or from my counter (`assigned`), or not after all (`released`, and why)."""

    bundle_id: str
    state: str
    merchant_id: str | None
    parcel_ids: tuple[str, ...]
    reason: str | None = None


AnyMessage = (
    OrderChanged
    | SubOrderChanged
    | GroupOutcome
    | LeadershipPassed
    | SplitPlanned
    | RefundChanged
    | LateMoneySettled
    | SubOrdersPlanned
    | SubOrdersUnready
    | ParcelUnfetched
    | BundleChanged
)


# Pictures


class GroupPicture(Struct, frozen=True, kw_only=True, gc=False, tag_field="kind", tag="group.picture"):
    """A group now. missing: paid members until it forms. watching: people who look at it at this gateway."""

    group_id: str
    state: str
    seats_max: int
    seats_taken: int
    paid_count: int
    missing: int
    closes_at: datetime
    version: int
    watching: int


class Arrival(Struct, frozen=True, kw_only=True, gc=False):
    """What became of the messages of a campus since its process started. kept: all of them, boards' too; of people's:
    arrived: acknowledged in time; escalated: not, of which late: acknowledged after all; waiting: in their time still.
    """

    kept: int = 0
    arrived: int = 0
    escalated: int = 0
    late: int = 0
    waiting: int = 0


class OpsPicture(Struct, frozen=True, kw_only=True, gc=False, tag_field="kind", tag="ops.picture"):
    """A campus since its process started: what happened, and how many messages arrived (`Arrival`); at this gateway:
    how many were sent and acknowledged, and who is connected."""

    orders_placed: int = 0
    orders_paid: int = 0
    groups_opened: int = 0
    groups_formed: int = 0
    groups_failed: int = 0
    sub_orders_late: int = 0
    sub_orders_given_up: int = 0
    sub_orders_unready: int = 0
    parcels_unfetched: int = 0
    sub_orders_delivered: int = 0
    refunds_due_fen: int = 0
    refunds_settled_fen: int = 0
    messages_kept: int
    messages_arrived: int
    messages_escalated: int
    messages_late: int
    messages_waiting: int
    messages_sent: int
    messages_acked: int
    people_connected: int


# Who may hear


class OrderOwner(Struct, frozen=True, kw_only=True, gc=False):
    """Whose an order is and in which group: what events about orders and groups need to find their people.

    is_member: whether it is in the group still.
    """

    order_id: str
    group_id: str
    member_id: str
    is_member: bool
    at: datetime


class Claim(Struct, frozen=True, kw_only=True, gc=False):
    """What a live token says: a session of a person, for one campus, until a time."""

    session_id: str
    campus_id: str
    expires_at_ms: int

    @property
    def expires_at(self) -> datetime:
        """The token's end."""
        return from_ms(self.expires_at_ms)


_read_claim = msgspec.json.Decoder(Claim).decode


def claim_for(session_id: str, *, campus_id: str, now: datetime) -> Claim:
    """The claim of a new token."""
    return Claim(session_id=session_id, campus_id=campus_id, expires_at_ms=to_ms(now + TOKEN_LIFE))


def text_of(claim: Claim) -> str:
    """A claim as the first part of a token."""
    return urlsafe_b64encode(msgspec.json.encode(claim)).decode().rstrip("=")


def claim_of(text: str) -> Claim | None:
    """The claim of a token's first part; None when it is none."""
    try:
        return _read_claim(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, msgspec.DecodeError):
        return None
