"""Whether shops accept in time what a split gave them, and have it ready in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from tuanzi.base.ids import GroupId, MerchantId, OrderId, PersonId, SubOrderId
from tuanzi.base.unit import Unit
from tuanzi.events import SubOrdersLate, SubOrdersUnready
from tuanzi.orders.model import (
    IN_THE_KITCHEN,
    NOT_ACCEPTED,
    AcceptanceTerms,
    Order,
    OrderHold,
    SubOrder,
    SubOrderState,
    SubStep,
)
from tuanzi.orders.service.commands import AcceptanceSet, SetAcceptanceTerms, WatchAcceptance, WatchReadiness
from tuanzi.orders.service.making import advance
from tuanzi.orders.service.steps import sub_orders_of


def open_sub_orders(unit: Unit, ids: Iterable[SubOrderId], *, group_id: GroupId, now: datetime) -> None:
    """The group's split is confirmed everywhere: merchants may begin. What was withdrawn meanwhile stays so.

    One timer for all of it looks whether they did.
    """
    order_ids: dict[OrderId, None] = {}
    for sub in [unit.load(SubOrder, id) for id in ids]:
        if sub.state is SubOrderState.WAITING:
            unit.put(replace(sub, state=SubOrderState.PLANNED))
            order_ids[sub.order_id] = None
    if order_ids:
        watch = WatchAcceptance(group_id=group_id, order_ids=tuple(order_ids))
        unit.schedule(_acceptance_timer(group_id), watch, at=now + _acceptance_terms(unit).late)


def watch_acceptance(unit: Unit, command: WatchAcceptance, *, now: datetime) -> None:
    """Say of which sub-orders a shop is late to accept; those of which it was said are given up: their price goes back.

    A shop that was told late, for the house stood still, has its time from then on. What is held because its money is
    looked into cannot be accepted, so that it is nobody's fault and waits. The first look has what is to be made
    watched until it is ready: most is accepted by then, and in a quick kitchen nothing is left to watch.
    """
    terms = _acceptance_terms(unit)
    held: list[OrderId] = []
    late: dict[MerchantId, list[SubOrderId]] = {}
    late_ids: list[OrderId] = []
    unmade: list[SubOrderId] = []
    for order_id in command.order_ids:
        subs = sub_orders_of(unit, unit.load(Order, order_id))
        waiting = [sub for sub in subs if sub.state is SubOrderState.PLANNED]
        unmade += [sub.id for sub in subs if sub.state is SubOrderState.PLANNED or sub.state in IN_THE_KITCHEN]
        if not waiting:
            continue
        if unit.find(OrderHold, order_id) is not None:
            held.append(order_id)
        elif order_id in command.late:
            _give_up(unit, waiting, now=now)
        else:
            late_ids.append(order_id)
            for sub in waiting:
                late.setdefault(sub.merchant_id, []).append(sub.id)
    for merchant_id, ids in late.items():
        unit.emit(SubOrdersLate(group_id=command.group_id, merchant_id=merchant_id, sub_order_ids=tuple(ids)))
    if late_ids or held:
        again = replace(command, order_ids=(*late_ids, *held), late=tuple(late_ids), is_again=True)
        at = now + (terms.grace if late_ids else terms.late)
        unit.schedule(_acceptance_timer(command.group_id), again, at=at)
    if unmade and not command.is_again:
        _watch_readiness(unit, unmade, group_id=command.group_id, at=now + terms.until_ready)


def watched_places(command: WatchAcceptance) -> list[tuple[type[Any], str]]:
    """What a look will ask for; of most orders one shop makes all."""
    first: list[tuple[type[Any], str]] = [(SubOrder, f"{id}.1") for id in command.order_ids]
    return [*[(Order, id) for id in command.order_ids], *first]


def watch_readiness(unit: Unit, command: WatchReadiness, *, now: datetime) -> None:
    """Say of which accepted sub-orders a shop is late to have them ready (B8, B9), once of each; they go on (0030).

    What is not accepted yet, or is held, has as long again: the one is watched otherwise (`WatchAcceptance`), of the
    other nothing may be made.
    """
    late: dict[MerchantId, list[SubOrderId]] = {}
    waiting: list[SubOrderId] = []
    for sub in [unit.load(SubOrder, id) for id in command.sub_order_ids]:
        is_made = sub.state in IN_THE_KITCHEN
        if sub.state is SubOrderState.PLANNED or (is_made and unit.find(OrderHold, sub.order_id) is not None):
            waiting.append(sub.id)
        elif is_made:
            late.setdefault(sub.merchant_id, []).append(sub.id)
    for merchant_id, ids in late.items():
        unit.emit(SubOrdersUnready(group_id=command.group_id, merchant_id=merchant_id, sub_order_ids=tuple(ids)))
    if waiting:
        at = now + _acceptance_terms(unit).ready
        _watch_readiness(unit, waiting, group_id=command.group_id, at=at)


def unready_places(command: WatchReadiness) -> list[tuple[type[Any], str]]:
    """What a look will ask for."""
    return [(SubOrder, id) for id in command.sub_order_ids]


def set_acceptance_terms(unit: Unit, command: SetAcceptanceTerms, *, now: datetime) -> AcceptanceSet:
    """Change how long shops may take, from the next look on; a repeat changes nothing."""
    unit.put(command.terms)
    return terms_set(command.terms)


def terms_set(terms: AcceptanceTerms) -> AcceptanceSet:
    """How long shops may take, for an answer."""
    return AcceptanceSet(
        late_minutes=terms.late_minutes, given_up_minutes=terms.given_up_minutes, ready_minutes=terms.ready_minutes
    )


def _give_up(unit: Unit, subs: Sequence[SubOrder], *, now: datetime) -> None:
    """What a shop never accepted goes back exactly as if it had rejected it."""
    for sub in subs:
        order = unit.load(Order, sub.order_id)
        by = PersonId(NOT_ACCEPTED)
        advance(unit, sub, order=order, step=SubStep.REJECT, by=by, now=now, reason=NOT_ACCEPTED)


def _watch_readiness(unit: Unit, ids: Sequence[SubOrderId], *, group_id: GroupId, at: datetime) -> None:
    unit.schedule(f"ready:{group_id}", WatchReadiness(group_id=group_id, sub_order_ids=tuple(ids)), at=at)


def _acceptance_terms(unit: Unit) -> AcceptanceTerms:
    return unit.find(AcceptanceTerms, "campus") or AcceptanceTerms()


def _acceptance_timer(group_id: GroupId) -> str:
    return f"accept:{group_id}"
