"""What is known of a member: how often he has ordered in a campaign, and whether he ordered before."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from tuanzi.base.ids import GroupId, OrderId, PersonId, is_made_before
from tuanzi.base.unit import Unit
from tuanzi.groups.model import UNPAID_MAX, UNSERVED_MAX, CampaignUse, Group, OrderedBefore
from tuanzi.groups.problems import TooManyUnpaid, UserLimitReached
from tuanzi.orders import HOLDING, Order, OrderState, forget_complaints
from tuanzi.people import ForgetPerson, Forgotten


def forget_use(unit: Unit, group_id: GroupId, *, order_id: OrderId) -> None:
    """An order that ended after its group had closed no longer counts against its member's limit in the campaign.

    A guest's counts at the group's home: a part of a group limits nobody.
    """
    group = unit.load(Group, group_id)
    seat = group.seat_of(order_id)
    if seat is not None and group.counts(seat):
        count_use(unit, group, member_id=seat.member_id, by=-1)


def count_use(unit: Unit, group: Group, *, member_id: PersonId, by: int) -> None:
    """Count an order of a member in a campaign that limits them. Raises UserLimitReached."""
    if not group.per_user_limit:
        return
    use = unit.find(CampaignUse, (group.campaign_id, member_id))
    used = 0 if use is None else use.orders
    if by > 0 and used >= group.per_user_limit:
        raise UserLimitReached(campaign_id=group.campaign_id, limit=group.per_user_limit)
    # Before a guest was counted for himself, a group whose own split failed gave him back too: then none is left.
    unit.put(CampaignUse(campaign_id=group.campaign_id, member_id=member_id, orders=max(used + by, 0)))


def forget_member(unit: Unit, command: ForgetPerson, *, now: datetime) -> Forgotten:
    """A member is erased: his words go, and what else is kept here leads to nobody any more.

    Whether he ordered is told, for first orders.
    """
    forget_complaints(unit, command.person_id)
    ordered = not ordered_before(unit, command.person_id).is_none
    return Forgotten(person_id=command.person_id, has_ordered=ordered)


def ordered_before(unit: Unit, member_id: PersonId) -> OrderedBefore:
    """What tells whether a member's next order is his first. Left out are his last ones that came to nothing, down to
    one that did not: it tells enough, and those before it need not be read. Of very many all are read."""
    before = unit.find(OrderedBefore, member_id) or OrderedBefore(member_id=member_id)
    if before.is_regular:
        return before
    live: list[OrderId] = []
    for i in reversed(range(len(before.order_ids))):
        order = unit.load(Order, before.order_ids[i])
        if order.sub_orders > 0:
            return replace(before, is_regular=True)
        if order.state in HOLDING:
            live.insert(0, order.id)
            if len(before.order_ids) < UNSERVED_MAX:
                return replace(before, order_ids=(*before.order_ids[:i], *live))
    return replace(before, order_ids=tuple(live))


def may_hold_more(unit: Unit, before: OrderedBefore, *, now: datetime) -> OrderedBefore:
    """The same of a member who may place another order: of a regular, with the ids of his unpaid orders alone.

    Counted are those since the last that he paid: whoever pays as a rule is asked for one order, not for twenty. Raises
    TooManyUnpaid. What was placed longer ago than any seat is held need not be read.
    """
    since = now - _HELD_AT_MOST
    unpaid: list[OrderId] = []
    for order_id in reversed(before.order_ids):
        if is_made_before(order_id, since):
            break
        state = unit.load(Order, order_id).state
        if state is OrderState.CREATED:
            unpaid.insert(0, order_id)
        elif state not in _CAME_TO_NOTHING:
            break
    if len(unpaid) >= UNPAID_MAX:
        raise TooManyUnpaid(limit=UNPAID_MAX, order_ids=unpaid)
    return replace(before, order_ids=tuple(unpaid)) if before.is_regular else before


_CAME_TO_NOTHING: Final = frozenset({OrderState.CANCELLED, OrderState.REFUNDING, OrderState.REFUNDED})
# A campaign holds a seat for an hour at most; another one, for what waits between here and there.
_HELD_AT_MOST: Final = timedelta(hours=2)
