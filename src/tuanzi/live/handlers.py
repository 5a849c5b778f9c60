"""Which event becomes which message for whom: the one table of it is `TELLS` (A1, B9). Live hears events of other
databases through their logs; it is not called by them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from tuanzi import events
from tuanzi.live.model import (
    OPS,
    RIDERS,
    BundleChanged,
    GroupOutcome,
    LateMoneySettled,
    LeadershipPassed,
    Message,
    OrderChanged,
    OrderOwner,
    Outcome,
    ParcelUnfetched,
    RefundChanged,
    RefundState,
    SplitPart,
    SplitPlanned,
    SubOrderChanged,
    SubOrdersPlanned,
    SubOrdersUnready,
    channel_of_group,
    stream_of_merchant,
    stream_of_person,
)
from tuanzi.live.service import LookingDesk, Owners
from tuanzi.live.store import ORDER_OWNERS
from tuanzi.machinery.push.ports import Draft, Drafts
from tuanzi.orders import NOT_ACCEPTED

_encode = msgspec.json.Encoder().encode
# What riders need to hear of a sub-order.
_FOR_RIDERS = frozenset({"ready", "picked_up", "delivered"})


class Telling:
    """One event being told: whom it concerns, and the messages made of it so far."""

    __slots__ = ("_drafts", "at", "owners", "tally")

    def __init__(self, drafts: Drafts, *, at: datetime, owners: Owners, tally: dict[str, int]) -> None:
        self.at = at
        self.owners = owners
        self.tally = tally
        self._drafts = drafts

    def person(self, person_id: str, message: Message) -> None:
        """A person is to hear this."""
        self.stream(stream_of_person(person_id), message)

    def stream(self, stream: str, message: Message) -> None:
        """All who hear this stream are."""
        self._drafts.messages.append(Draft(stream, _encode(message)))

    def show(self, channel: str) -> None:
        """This channel looks different now."""
        self._drafts.pictures[channel] = None

    def own(self, owner: OrderOwner) -> None:
        """Remember whose an order is."""
        self.owners.keep(owner)
        self._drafts.upsert(ORDER_OWNERS, ORDER_OWNERS.to_row(owner))

    def count(self, what: str, amount: int = 1) -> None:
        """Add to what the operator sees."""
        self.tally[what] = self.tally.get(what, 0) + amount
        self.show(OPS)


def _opened(event: events.GroupOpened, telling: Telling) -> None:
    telling.owners.begin(event.group_id)
    telling.count("groups_opened")


def _placed(event: events.OrderPlaced, telling: Telling) -> None:
    telling.own(_owner(event, telling, is_member=True))
    telling.count("orders_placed")
    _order(event, telling, state="created")


def _paid(event: events.OrderPaid, telling: Telling) -> None:
    owner = telling.owners.find(event.order_id)
    if owner is None or owner.group_id != event.group_id or not owner.is_member:  # late money found a seat
        telling.own(_owner(event, telling, is_member=True))
    telling.count("orders_paid")
    _order(event, telling, state="paid")


def _cancelled(event: events.OrderCancelled, telling: Telling) -> None:
    telling.own(_owner(event, telling, is_member=False))
    _order(event, telling, state="refunding" if event.paid_fen else "cancelled", reason=event.reason)


def _owner(
    event: events.OrderPlaced | events.OrderPaid | events.OrderCancelled, telling: Telling, *, is_member: bool
) -> OrderOwner:
    return OrderOwner(
        order_id=event.order_id,
        group_id=event.group_id,
        member_id=event.member_id,
        is_member=is_member,
        at=telling.at,
    )


def _order(
    event: events.OrderPlaced | events.OrderPaid | events.OrderCancelled,
    telling: Telling,
    *,
    state: str,
    reason: str | None = None,
) -> None:
    message = OrderChanged(at=telling.at, order_id=event.order_id, group_id=event.group_id, state=state, reason=reason)
    telling.person(event.member_id, message)


def _advanced(event: events.OrderAdvanced, telling: Telling) -> None:
    owner = telling.owners.find(event.order_id)
    group_id = None if owner is None else owner.group_id
    message = OrderChanged(at=telling.at, order_id=event.order_id, group_id=group_id, state=event.state)
    telling.person(event.member_id, message)


def _seat(event: events.SeatHeld | events.SeatPaid | events.SeatReleased, telling: Telling) -> None:
    telling.show(channel_of_group(event.group_id))


def _leader(event: events.LeaderChanged, telling: Telling) -> None:
    telling.show(channel_of_group(event.group_id))
    telling.person(event.leader_id, LeadershipPassed(at=telling.at, group_id=event.group_id))


def _tier(event: events.TierReached, telling: Telling) -> None:
    order_ids = [owner.order_id for owner in telling.owners.members_of(event.group_id)]
    _outcome(telling, event.group_id, order_ids, outcome=Outcome.TIER_REACHED, size=event.size)


def _formed(event: events.GroupFormed, telling: Telling) -> None:
    telling.count("groups_formed")
    _outcome(telling, event.group_id, event.order_ids, outcome=Outcome.FORMED, size=event.size)


def _closed(event: events.GroupClosed, telling: Telling) -> None:
    _outcome(telling, event.group_id, event.order_ids, outcome=Outcome.CLOSED, size=event.size)


def _failed(event: events.GroupFailed, telling: Telling) -> None:
    telling.count("groups_failed")
    _outcome(telling, event.group_id, event.order_ids, outcome=Outcome.FAILED, size=0, reason=event.reason)


def _outcome(
    telling: Telling,
    group_id: str,
    order_ids: Sequence[str],
    *,
    outcome: Outcome,
    size: int,
    reason: str | None = None,
) -> None:
    telling.show(channel_of_group(group_id))
    for order_id in order_ids:
        owner = telling.owners.find(order_id)
        if owner is not None:
            message = GroupOutcome(
                at=telling.at, group_id=group_id, order_id=order_id, outcome=outcome, size=size, reason=reason
            )
            telling.person(owner.member_id, message)


def _late(event: events.LateMoneySettled, telling: Telling) -> None:
    message = LateMoneySettled(
        at=telling.at, order_id=event.order_id, group_id=event.group_id, amount_fen=event.amount_fen
    )
    telling.person(event.member_id, message)


def _split(event: events.SplitPlanned, telling: Telling) -> None:
    of_order: dict[str, list[events.PlannedSubOrder]] = {}
    for sub in event.sub_orders:
        of_order.setdefault(sub.order_id, []).append(sub)
    for order_id, subs in of_order.items():
        parts = tuple(
            SplitPart(
                sub_order_id=sub.sub_order_id,
                merchant_id=sub.merchant_id,
                building_id=sub.building_id,
                items_fen=sub.items_fen,
                discount_fen=sub.discount_fen,
                delivery_fen=sub.delivery_fen,
                payable_fen=sub.payable_fen,
            )
            for sub in subs
        )
        message = SplitPlanned(at=telling.at, group_id=event.group_id, order_id=order_id, parts=parts)
        telling.person(subs[0].member_id, message)


def _confirmed(event: events.SplitConfirmed, telling: Telling) -> None:
    for board in event.boards:
        planned = SubOrdersPlanned(at=telling.at, group_id=event.group_id, sub_order_ids=board.sub_order_ids)
        telling.stream(stream_of_merchant(board.merchant_id), planned)


def _sub_order(event: events.SubOrderAdvanced, telling: Telling) -> None:
    message = SubOrderChanged(
        at=telling.at,
        sub_order_id=event.sub_order_id,
        order_id=event.order_id,
        merchant_id=event.merchant_id,
        state=event.state,
    )
    owner = telling.owners.find(event.order_id)
    if owner is not None:
        telling.person(owner.member_id, message)
    telling.stream(stream_of_merchant(event.merchant_id), message)
    if event.state in _FOR_RIDERS:
        telling.stream(RIDERS, message)
    if event.state == "delivered":
        telling.count("sub_orders_delivered")
    if event.by == NOT_ACCEPTED:
        telling.count("sub_orders_given_up")


def _late_to_accept(event: events.SubOrdersLate, telling: Telling) -> None:
    telling.count("sub_orders_late", len(event.sub_order_ids))


def _late_to_be_ready(event: events.SubOrdersUnready, telling: Telling) -> None:
    telling.count("sub_orders_unready", len(event.sub_order_ids))
    message = SubOrdersUnready(at=telling.at, group_id=event.group_id, sub_order_ids=event.sub_order_ids)
    telling.stream(stream_of_merchant(event.merchant_id), message)


def _late_to_be_fetched(event: events.ParcelUnfetched, telling: Telling) -> None:
    telling.count("parcels_unfetched")
    message = ParcelUnfetched(
        at=telling.at, parcel_id=event.parcel_id, group_id=event.group_id, sub_order_ids=event.sub_order_ids
    )
    telling.stream(stream_of_merchant(event.merchant_id), message)


def _refund_due(event: events.RefundDue, telling: Telling) -> None:
    telling.count("refunds_due_fen", event.amount_fen)
    _refund(telling, event.member_id, event, state=RefundState.DUE, reason=event.reason)


def _refunded(event: events.OrderRefunded, telling: Telling) -> None:
    telling.count("refunds_settled_fen", event.amount_fen)
    _refund(telling, event.member_id, event, state=RefundState.SETTLED)


def _refused(event: events.RefundRefused, telling: Telling) -> None:
    owner = telling.owners.find(event.order_id)
    if owner is not None:
        _refund(telling, owner.member_id, event, state=RefundState.REFUSED)


def _refund(
    telling: Telling,
    member_id: str,
    event: events.RefundDue | events.OrderRefunded | events.RefundRefused,
    *,
    state: RefundState,
    reason: str | None = None,
) -> None:
    message = RefundChanged(
        at=telling.at,
        order_id=event.order_id,
        refund_id=event.refund_id,
        amount_fen=event.amount_fen,
        state=state,
        reason=reason,
    )
    telling.person(member_id, message)


def _assigned(event: events.BundleAssigned, telling: Telling) -> None:
    message = BundleChanged(
        at=telling.at,
        bundle_id=event.bundle_id,
        state="assigned",
        merchant_id=event.merchant_id,
        parcel_ids=event.parcel_ids,
    )
    telling.person(event.rider_id, message)
    telling.stream(stream_of_merchant(event.merchant_id), message)


def _released(event: events.BundleReleased, telling: Telling) -> None:
    message = BundleChanged(
        at=telling.at,
        bundle_id=event.bundle_id,
        state="released",
        merchant_id=event.merchant_id or None,
        parcel_ids=event.parcel_ids,
        reason=event.reason,
    )
    telling.person(event.rider_id, message)
    if event.merchant_id:
        telling.stream(stream_of_merchant(event.merchant_id), message)


# Which event is told, and by whom: the member of an order, the members of a group, its new leader, a merchant's board,
# the riders, the rider of a bundle; groups and the operator's overview are pictures.
TELLS: dict[type[events.Event], Callable[[Any, Telling], None]] = {
    events.GroupOpened: _opened,
    events.OrderPlaced: _placed,
    events.OrderPaid: _paid,
    events.OrderAdvanced: _advanced,
    events.OrderCancelled: _cancelled,
    events.SeatHeld: _seat,
    events.SeatPaid: _seat,
    events.SeatReleased: _seat,
    events.LeaderChanged: _leader,
    events.TierReached: _tier,
    events.GroupFormed: _formed,
    events.GroupClosed: _closed,
    events.GroupFailed: _failed,
    events.LateMoneySettled: _late,
    events.SplitPlanned: _split,
    events.SplitConfirmed: _confirmed,
    events.SubOrderAdvanced: _sub_order,
    events.SubOrdersLate: _late_to_accept,
    events.SubOrdersUnready: _late_to_be_ready,
    events.RefundDue: _refund_due,
    events.OrderRefunded: _refunded,
    events.RefundRefused: _refused,
    events.BundleAssigned: _assigned,
    events.BundleReleased: _released,
    events.ParcelUnfetched: _late_to_be_fetched,
}

# How an order is getting on, over half an hour: it may be told within two seconds. What people do together, who wants
# to act on it, and money that found no seat are told within a quarter of a second.
PATIENT = frozenset(
    {events.OrderAdvanced, events.SubOrderAdvanced, events.RefundDue, events.OrderRefunded, events.RefundRefused}
)

_NEED_OWNER = frozenset({events.OrderAdvanced, events.SubOrderAdvanced, events.RefundRefused})
_NEED_OWNERS = frozenset({events.GroupFormed, events.GroupClosed, events.GroupFailed})


class LiveTeller:
    """Says what the events of a campus mean for its people; the `Teller` of its streams."""

    heard = tuple(TELLS)
    patient = PATIENT

    def __init__(self, desk: LookingDesk) -> None:
        """desk: of the database `notices`."""
        self.tally: dict[str, int] = {}
        self._owners = Owners(desk)

    async def prepare(self, heard: Sequence[Any]) -> None:
        """Learn whose the orders of these events are, as far as neither memory knows nor these events will say."""
        order_ids: list[str] = []
        group_ids: list[str] = []
        placed: set[str] = set()
        for event in heard:
            kind = type(event)
            if kind is events.OrderPlaced:
                placed.add(event.order_id)
            elif kind in _NEED_OWNER:
                order_ids.append(event.order_id)
            elif kind in _NEED_OWNERS:
                order_ids += event.order_ids
            elif kind is events.TierReached:
                group_ids.append(event.group_id)
        await self._owners.learn([id for id in order_ids if id not in placed], group_ids=group_ids)

    def tell(self, event: Any, drafts: Drafts, *, now: datetime) -> None:
        """Add what one event means."""
        telling = Telling(drafts, at=now, owners=self._owners, tally=self.tally)
        TELLS[type(event)](event, telling)
