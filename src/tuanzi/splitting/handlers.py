"""A group's closing begins its split (B2, B6: accepted and shown at once); errands carry its messages (B3)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from tuanzi.base.branch import Branch, BranchAnswer, BranchRefused
from tuanzi.base.problem import Problem
from tuanzi.base.unit import Unit
from tuanzi.catalog import Building, Merchant
from tuanzi.delivery import CancelDelivery, ConfirmDelivery, DropOff, Spot, TryDelivery
from tuanzi.events import GroupClosed, SplitPlanned
from tuanzi.groups import Group
from tuanzi.machinery.fence import CancelRefused, EmptyConfirm, StaleCoordinator
from tuanzi.machinery.post import Letter, Post
from tuanzi.machinery.room import Figure
from tuanzi.money import CancelSharing, ConfirmSharing, SharedOrder, SharedPart, TrySharing, payment_of
from tuanzi.orders import Order
from tuanzi.pricing import Tier, load_rules, settle
from tuanzi.splitting.model import (
    ADDRESSES,
    DELIVERY,
    SHARING,
    Heard,
    Message,
    OrderPlan,
    SplitCoordinator,
    Word,
    gid_of,
    plan,
    planned,
)
from tuanzi.splitting.service import RecordAnswers, SendCancels, SendConfirms, SendTries, begin

log = logging.getLogger("tuanzi.splitting")


def on_group_closed(unit: Unit, event: GroupClosed, *, now: datetime) -> None:
    """Final prices by the tier reached, the exact plan, and the transaction that makes it so, begun.

    All of it or, with a bug, no closing. What goes back and what is sold waits for the transaction's decision.
    """
    if not event.order_ids:
        return  # all its members are guests, whose orders are split on their own campuses (B7)
    group = unit.load(Group, event.group_id)
    members = [unit.load(Order, order_id) for order_id in event.order_ids]
    plans = _plans(unit, group, members, now=now)
    tries = SendTries(
        gid=gid_of(group.id),
        group_id=group.id,
        leader_id=group.leader_id,
        split_at=now,
        orders=tuple([_shared(order, each) for order, each in zip(members, plans, strict=True)]),
        drop_offs=tuple(_drop_offs(unit, plans)),
        to=(SHARING, DELIVERY),
    )
    begin(unit, tries, plans=plans, members=members, now=now)
    rows = [planned(sub) for each in plans for sub in each.subs]
    paid_fen = sum([order.payable.fen for order in members])
    split = SplitPlanned(
        group_id=group.id,
        sub_orders=tuple(rows),
        paid_fen=paid_fen,
        returned_fen=paid_fen - sum([row.payable_fen for row in rows]),
    )
    unit.emit(split)


def _plans(unit: Unit, group: Group, members: Sequence[Order], *, now: datetime) -> list[OrderPlan]:
    reached = group.tier_reached()
    assert reached is not None, f"group {group.id} closed below its smallest tier"
    tier = Tier(size=reached.size, off_percent=reached.off_percent, off=reached.off)
    carts = []
    for order in members:
        assert order.cart is not None, f"order {order.id} was split before"
        carts.append(replace(order.cart, tier=tier))
    of_all = None
    if group.spans_campuses:
        of_all = group.paid_count
        carts = [replace(cart, delivery_fee=group.delivery_fee_here) for cart in carts]
    paid = [order.quote for order in members]
    # Each is priced at the end by the rules that priced him: an order keeps the version that priced it (B4).
    books = [load_rules(unit, version=version) for version in sorted({each.rule_version for each in paid})]
    finals = settle(books, carts, paid, members=of_all)
    return [
        OrderPlan(
            order_id=order.id,
            final=None if final is order.quote else final,
            subs=tuple(plan(order, final, now=now)),
        )
        for order, final in zip(members, finals, strict=True)
    ]


def _shared(order: Order, made: OrderPlan) -> SharedOrder:
    """An order's money, as the money room is asked to share it; an order is only ever paid by its own payment."""
    parts = [
        SharedPart(
            sub_order_id=sub.id,
            merchant_id=sub.merchant_id,
            items_fen=sub.items.fen,
            discount_fen=sub.discount.fen,
            delivery_fen=sub.delivery.fen,
            payable_fen=sub.payable.fen,
        )
        for sub in made.subs
    ]
    return SharedOrder(
        order_id=order.id,
        payment_id=payment_of(order.id),
        member_id=order.member_id,
        paid_fen=order.paid.fen,
        payable_fen=(made.final or order.quote).payable.fen,
        parts=tuple(parts),
    )


def _drop_offs(unit: Unit, plans: Sequence[OrderPlan]) -> list[DropOff]:
    """What is to be brought from where to where, as the map is now."""
    spots: dict[str, Spot] = {}
    for sub in [sub for each in plans for sub in each.subs]:
        if sub.merchant_id not in spots:
            spots[sub.merchant_id] = _spot(unit.load(Merchant, sub.merchant_id))
        if sub.building_id not in spots:
            spots[sub.building_id] = _spot(unit.load(Building, sub.building_id))
    return [
        DropOff(
            sub_order_id=sub.id,
            order_id=sub.order_id,
            member_id=sub.member_id,
            merchant_id=sub.merchant_id,
            building_id=sub.building_id,
            meal_id=sub.meal_id,
            portions=sum([line.quantity for line in sub.order_lines]),
            from_spot=spots[sub.merchant_id],
            to_spot=spots[sub.building_id],
        )
        for each in plans
        for sub in each.subs
    ]


def _spot(place: Merchant | Building) -> Spot:
    return Spot(latitude_e6=place.latitude_e6, longitude_e6=place.longitude_e6)


class Messenger:
    """Carries a coordinator's messages to the branches, and what he hears home; it decides nothing.

    heard: how often each word came to each message, for `/metrics`. stale: how often this process was told that another
    one has taken over; then its errand fails without harm, for the writer that would record it is fenced off too.
    """

    def __init__(self, post: Post) -> None:
        self.heard: Counter[tuple[Message, Word]] = Counter()
        self.stale = 0
        self._post = post
        self._coordinator: SplitCoordinator | None = None

    def take_over(self, coordinator: SplitCoordinator) -> None:
        """From now on speak as this coordinator, in his epoch."""
        self._coordinator = coordinator

    def figures(self) -> list[Figure]:
        """What was heard, and how often this process was not."""
        heard = [
            Figure(
                "tuanzi_split_answers",
                "Answers of a split's branches; breached: against the decision, a person must look.",
                {"message": message.value, "word": word.value},
                self.heard[message, word],
            )
            for message in Message
            for word in Word
        ]
        return [*heard, Figure("tuanzi_split_stale", "Messages of a coordinator that was taken over.", {}, self.stale)]

    async def send_tries(self, errand: SendTries, *, now: datetime) -> RecordAnswers:
        """Errand: the Trys."""
        return await self._send(errand.gid, Message.TRY, errand.to, tries=errand)

    async def send_confirms(self, errand: SendConfirms, *, now: datetime) -> RecordAnswers:
        """Errand: the Confirms."""
        return await self._send(errand.gid, Message.CONFIRM, errand.to)

    async def send_cancels(self, errand: SendCancels, *, now: datetime) -> RecordAnswers:
        """Errand: the Cancels."""
        return await self._send(errand.gid, Message.CANCEL, errand.to)

    async def _send(
        self, gid: str, message: Message, to: Sequence[str], *, tries: SendTries | None = None
    ) -> RecordAnswers:
        """Send a message to branches, all at once. Raises StaleCoordinator."""
        assert self._coordinator is not None, "nothing is sent before the epoch has begun"
        letters = [
            Letter(
                address=ADDRESSES[branch],
                command=_command(message, self._coordinator.means(gid, branch), tries=tries),
            )
            for branch in to
        ]
        heard = []
        for branch, answer in zip(to, await self._post.send(letters), strict=True):
            if isinstance(answer, StaleCoordinator):
                self.stale += 1
                log.warning("splitting.coordinator_stale", extra={"gid": gid, "branch": branch})
                raise answer
            one = _heard(message, branch, answer)
            self.heard[message, one.word] += 1
            heard.append(one)
            if one.word is Word.BREACHED:
                log.error("splitting.branch_breached", extra={"gid": gid, "branch": branch, "reason": one.reason})
        return RecordAnswers(gid=gid, message=message, heard=tuple(heard), tries=tries)


def _command(message: Message, branch: Branch, *, tries: SendTries | None) -> Any:
    """What a message says to a branch."""
    match message, branch.branch:
        case Message.TRY, "sharing":
            assert tries is not None
            return TrySharing(
                branch=branch,
                group_id=tries.group_id,
                leader_id=tries.leader_id,
                orders=tries.orders,
                split_at=tries.split_at,
            )
        case Message.TRY, "delivery":
            assert tries is not None
            return TryDelivery(
                branch=branch, group_id=tries.group_id, drop_offs=tries.drop_offs, split_at=tries.split_at
            )
        case Message.CONFIRM, "sharing":
            return ConfirmSharing(branch=branch)
        case Message.CONFIRM, "delivery":
            return ConfirmDelivery(branch=branch)
        case Message.CANCEL, "sharing":
            return CancelSharing(branch=branch)
        case Message.CANCEL, "delivery":
            return CancelDelivery(branch=branch)
        case _:
            raise AssertionError(f"{branch.branch} is sent no {message.value}")


def _heard(message: Message, branch: str, answer: Any) -> Heard:
    """What an answer says. Only a BranchRefused to a Try is a no; what nobody knows is not a no."""
    if isinstance(answer, BranchAnswer):
        return Heard(branch=branch, word=Word.DONE)
    reason = answer.code if isinstance(answer, Problem) else type(answer).__name__
    if isinstance(answer, BranchRefused) and message is Message.TRY:
        return Heard(branch=branch, word=Word.REFUSED, reason=reason)
    if isinstance(answer, EmptyConfirm | CancelRefused):
        return Heard(branch=branch, word=Word.BREACHED, reason=reason)
    return Heard(branch=branch, word=Word.UNKNOWN, reason=reason)
