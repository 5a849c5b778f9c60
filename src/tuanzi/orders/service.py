"""What can be done with an order, one function for each sentence of the spec (B8).

The first part is for the rooms above, which own the seat and the group; the second are commands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tuanzi import stock
from tuanzi.base.ids import GroupId, MerchantId, OrderId, PersonId, SubOrderId
from tuanzi.base.money import Money
from tuanzi.base.problem import Unknown
from tuanzi.base.unit import RowDamaged, Unit
from tuanzi.events import (
    OrderAdvanced,
    OrderCancelled,
    OrderCompleted,
    OrderPaid,
    OrderPlaced,
    OrderRefunded,
    RefundDue,
    SubOrderAdvanced,
    SubOrdersLate,
    SubOrdersUnready,
)
from tuanzi.orders.model import (
    AFTER_SALE_WITHIN,
    COMPLETES_AFTER,
    DEAD,
    IN_THE_KITCHEN,
    MERCHANT_STEPS,
    NOT_ACCEPTED,
    ON_THE_COUNTER,
    AcceptanceTerms,
    Complaint,
    Complaints,
    Order,
    OrderHold,
    OrderRecord,
    OrderState,
    Step,
    SubOrder,
    SubOrderState,
    SubStep,
    steps_to_follow,
    sub_state_after,
)
from tuanzi.orders.problems import AfterSaleTooLate, IllegalStep, OrderHeld
from tuanzi.pricing import Quote, give_back_coupon, portions_of, use_coupon


def place(unit: Unit, order: Order) -> None:
    """Keep a new order that waits to be paid; its seat, stock and coupon are held by the caller."""
    unit.add(order)
    placed = OrderPlaced(
        order_id=order.id,
        group_id=order.group_id,
        member_id=order.member_id,
        payable_fen=order.payable.fen,
        pay_before=order.pay_before,
    )
    unit.emit(placed)


def mark_paid(unit: Unit, order: Order) -> Order:
    """The money is in and the seat is held."""
    return _paid(unit, order.captured(Step.PAY))


def revive(unit: Unit, order: Order, *, group_id: GroupId) -> Order:
    """Late money found a seat, perhaps in another group; stock and coupon are held again by the caller."""
    return _paid(unit, replace(order.captured(Step.REVIVE), group_id=group_id))


def _paid(unit: Unit, order: Order) -> Order:
    unit.put(order)
    paid = OrderPaid(order_id=order.id, group_id=order.group_id, member_id=order.member_id, paid_fen=order.paid.fen)
    unit.emit(paid)
    return order


def mark_grouped(unit: Unit, order: Order) -> Order:
    """The group has formed."""
    return _step(unit, order, Step.FORM)


def cancel_unpaid(unit: Unit, order: Order, *, reason: str, is_given_up: bool = False) -> Order:
    """The order ends before its money came; what it held of stock and its coupon are free again.

    is_given_up: by its member himself: when he pays all the same, his money goes back (`Order.is_given_up`).
    """
    order = order.after(Step.CANCEL)
    if is_given_up:
        order = replace(order, pay_before=order.placed_at)
    unit.put(order)
    stock.release(unit, order.portions, meal_id=order.meal_id)
    _free_coupon(unit, order)
    unit.emit(_cancelled(order, reason=reason))
    return order


def refund_all(unit: Unit, order: Order, *, reason: str) -> Order:
    """A paid order ends and everything still there goes back; what it held of stock and its coupon are free again.

    After the split its sub-orders that no rider has yet are withdrawn and their portions free again.
    """
    was = order.state
    order = order.after(Step.REFUND)
    if was in (OrderState.PAID, OrderState.GROUPED):
        stock.release(unit, order.portions, meal_id=order.meal_id)
        _free_coupon(unit, order)
    for sub in _sub_orders(unit, order):
        if sub.state in ON_THE_COUNTER:
            _withdraw(unit, sub, reason=reason)
    unit.emit(_cancelled(order, reason=reason))
    left = Money(order.paid.fen - order.promised.fen)
    if not left:
        unit.put(order)
        return _step(unit, order, Step.REFUND_DONE) if _is_settled(order) else order
    order, refund = order.promise(left, reason=reason)
    unit.put(order)
    unit.emit(_due(order, refund_id=refund.id, amount=left, reason=reason))
    return order


def refund_late(unit: Unit, order: Order, *, reason: str) -> Order:
    """Money came for an order that had ended and found no seat: all of it goes back (peers' P1 to P3)."""
    order, refund = order.captured(Step.REFUND).promise(order.payable, reason=reason)
    unit.put(order)
    unit.emit(_due(order, refund_id=refund.id, amount=refund.amount, reason=reason))
    return order


def return_payment(unit: Unit, order: Order, *, payment_id: str, amount: Money, reason: str) -> None:
    """Money that is not this order's price - paid twice, or another amount - goes back; the order is as it was."""
    due = RefundDue(
        refund_id=f"{payment_id}.back",
        order_id=order.id,
        member_id=order.member_id,
        amount_fen=amount.fen,
        reason=reason,
        payment_id=payment_id,
    )
    unit.emit(due)


def mark_split(unit: Unit, order: Order, *, final: Quote, subs: Sequence[SubOrder]) -> Order:
    """The group's split is decided: the price is final, the difference goes back, the portions are sold.

    subs: as planned, waiting for `open_sub_orders`.
    """
    coupon_id = order.quote.coupon_id
    order, refund = order.after(Step.SPLIT).repriced(final, sub_orders=len(subs))
    if refund is not None:
        unit.emit(_due(order, refund_id=refund.id, amount=refund.amount, reason=refund.reason))
    unit.put(order)
    for sub in subs:
        unit.add(sub)
    stock.sell(unit, order.portions, meal_id=order.meal_id)
    if coupon_id is not None and final.coupon_id is not None:
        use_coupon(unit, coupon_id=coupon_id, order_id=order.id)
    elif coupon_id is not None:  # the better tier left it nothing to take
        give_back_coupon(unit, coupon_id=coupon_id, order_id=order.id)
    unit.emit(_advanced(order, before=OrderState.GROUPED))
    return order


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


# Commands


class AdvanceSubOrder(Struct, frozen=True, kw_only=True, gc=False):
    """A merchant, or an operator by hand, moves a sub-order on. merchant_id: the merchant's shop; None for others."""

    sub_order_id: SubOrderId
    step: SubStep
    by: PersonId
    merchant_id: str | None = None


class SubOrderAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """Where a sub-order and its order are now."""

    sub_order_id: str
    state: SubOrderState
    order_id: str
    order_state: OrderState


class WatchAcceptance(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: look whether shops accepted what a group's split gave them; `late` are those of which it was said.

    is_again: a look at what was left of the one before.
    """

    group_id: GroupId
    order_ids: tuple[OrderId, ...]
    late: tuple[OrderId, ...] = ()
    is_again: bool = False


class WatchReadiness(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: look whether what a group's split gave to shops is ready; of none of these it was said that it is late."""

    group_id: GroupId
    sub_order_ids: tuple[SubOrderId, ...]


class SetAcceptanceTerms(Struct, frozen=True, kw_only=True, gc=False):
    """An operator says how long shops may take to accept, and to make it."""

    terms: AcceptanceTerms
    by: PersonId


class AcceptanceSet(Struct, frozen=True, kw_only=True, gc=False):
    """How long shops may take to accept, and until it is ready."""

    late_minutes: int
    given_up_minutes: int
    ready_minutes: int


class ConfirmOrder(Struct, frozen=True, kw_only=True, gc=False):
    """The member has his meal."""

    order_id: OrderId
    member_id: PersonId


class CompleteOrder(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: a delivered order that nobody confirmed."""

    order_id: OrderId


class RefundOrder(Struct, frozen=True, kw_only=True, gc=False):
    """An operator gives money back; all that is left when `amount_fen` is None, which ends the order."""

    order_id: OrderId
    amount_fen: int | None
    reason: str
    by: PersonId


class AskAfterSale(Struct, frozen=True, kw_only=True, gc=False):
    """A member is not content with what was delivered. reason: in his words; may be empty."""

    order_id: OrderId
    member_id: PersonId
    reason: str = ""


class DecideAfterSale(Struct, frozen=True, kw_only=True, gc=False):
    """An operator's decision: so much goes back, perhaps nothing."""

    order_id: OrderId
    amount_fen: int
    by: PersonId


class OrderAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """Where an order is now."""

    order_id: str
    state: OrderState
    paid_fen: int
    refund_due_fen: int


def advance_sub_order(unit: Unit, command: AdvanceSubOrder, *, now: datetime) -> SubOrderAnswer:
    """Move a sub-order on, and its order with it. Raises Unknown (none, or not his), IllegalStep, OrderHeld."""
    before = unit.load(SubOrder, command.sub_order_id)
    if command.merchant_id is not None and before.merchant_id != command.merchant_id:
        raise Unknown(kind="suborder", id=command.sub_order_id)
    order = unit.load(Order, before.order_id)
    if order.state in (OrderState.REFUNDING, OrderState.REFUNDED) and command.step in MERCHANT_STEPS:
        raise IllegalStep(order_id=order.id, state=order.state.value, step=command.step.value)
    if command.step in _STARTS and unit.find(OrderHold, order.id) is not None:
        raise OrderHeld(order_id=order.id)
    return _advance(unit, before, order, step=command.step, by=command.by, now=now)


def follow_rider(unit: Unit, sub_order_id: str, *, step: SubStep, rider_id: str, now: datetime) -> None:
    """A rider has or brought it, as delivery says; what is further on already, or rejected, stays as it is."""
    sub = unit.find(SubOrder, sub_order_id)
    if sub is None or sub_state_after(sub.state, step) is None:
        return
    _advance(unit, sub, unit.load(Order, sub.order_id), step=step, by=PersonId(rider_id), now=now)


def _advance(
    unit: Unit,
    before: SubOrder,
    order: Order,
    *,
    step: SubStep,
    by: PersonId,
    now: datetime,
    reason: str = "rejected",
) -> SubOrderAnswer:
    sub = before.after(step, rider_id=None if step in MERCHANT_STEPS else by)
    unit.put(sub)
    unit.emit(_sub_advanced(sub, before=before.state, by=by))
    if sub.state is SubOrderState.REJECTED:
        order = _reject(unit, order, sub, reason=reason)
    order = _follow(unit, order, now=now, reason=reason)
    return SubOrderAnswer(sub_order_id=sub.id, state=sub.state, order_id=order.id, order_state=order.state)


_STARTS: Final = frozenset({SubStep.ACCEPT, SubStep.COOK})


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
        subs = _sub_orders(unit, unit.load(Order, order_id))
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


def _watch_readiness(unit: Unit, ids: Sequence[SubOrderId], *, group_id: GroupId, at: datetime) -> None:
    unit.schedule(f"ready:{group_id}", WatchReadiness(group_id=group_id, sub_order_ids=tuple(ids)), at=at)


def watched_places(command: WatchAcceptance) -> list[tuple[type[Any], str]]:
    """What a look will ask for; of most orders one shop makes all."""
    first: list[tuple[type[Any], str]] = [(SubOrder, f"{id}.1") for id in command.order_ids]
    return [*[(Order, id) for id in command.order_ids], *first]


def _give_up(unit: Unit, subs: Sequence[SubOrder], *, now: datetime) -> None:
    """What a shop never accepted goes back exactly as if it had rejected it."""
    for sub in subs:
        order = unit.load(Order, sub.order_id)
        by = PersonId(NOT_ACCEPTED)
        _advance(unit, sub, order, step=SubStep.REJECT, by=by, now=now, reason=NOT_ACCEPTED)


def set_acceptance_terms(unit: Unit, command: SetAcceptanceTerms, *, now: datetime) -> AcceptanceSet:
    """Change how long shops may take, from the next look on; a repeat changes nothing."""
    unit.put(command.terms)
    return terms_set(command.terms)


def terms_set(terms: AcceptanceTerms) -> AcceptanceSet:
    """How long shops may take, for an answer."""
    return AcceptanceSet(
        late_minutes=terms.late_minutes, given_up_minutes=terms.given_up_minutes, ready_minutes=terms.ready_minutes
    )


def _acceptance_terms(unit: Unit) -> AcceptanceTerms:
    return unit.find(AcceptanceTerms, "campus") or AcceptanceTerms()


def _acceptance_timer(group_id: GroupId) -> str:
    return f"accept:{group_id}"


def confirm_order(unit: Unit, command: ConfirmOrder, *, now: datetime) -> OrderAnswer:
    """A delivered order is complete; a repeat changes nothing. Raises Unknown, IllegalStep."""
    order = _own(unit, command.order_id, member_id=command.member_id)
    if order.state is not OrderState.COMPLETED:
        order = _step(unit, order, Step.COMPLETE)
        unit.unschedule(f"complete:{order.id}")
    return answer_of(order)


def complete_order(unit: Unit, command: CompleteOrder, *, now: datetime) -> OrderAnswer:
    """A delivered order completes by itself; in any other state nothing happens."""
    order = unit.load(Order, command.order_id)
    if order.state is OrderState.DELIVERED:
        order = _step(unit, order, Step.COMPLETE)
    return answer_of(order)


def refund_order(unit: Unit, command: RefundOrder, *, now: datetime) -> OrderAnswer:
    """Give money back by hand. Raises Unknown, IllegalStep, RefundTooLarge.

    Before the split an order is given back as a whole by cancelling it, for its seat is not this room's; and until the
    split is confirmed everywhere its money is being shared just now.
    """
    order = unit.load(Order, command.order_id)
    if order.state in _BEFORE_SPLIT or SubOrderState.WAITING in _sub_states(unit, order):
        raise IllegalStep(order_id=order.id, state=order.state.value, step=Step.REFUND.value)
    left = order.paid - order.promised
    if command.amount_fen is None or command.amount_fen == left.fen:
        return answer_of(refund_all(unit, order, reason=command.reason))
    return answer_of(_promise(unit, order, Money(command.amount_fen), reason=command.reason))


_BEFORE_SPLIT: Final = frozenset({OrderState.CREATED, OrderState.PAID, OrderState.GROUPED, OrderState.CANCELLED})


def ask_after_sale(unit: Unit, command: AskAfterSale, *, now: datetime) -> OrderAnswer:
    """Ask for after-sale within a day of delivery. Raises Unknown, IllegalStep, AfterSaleTooLate."""
    order = _own(unit, command.order_id, member_id=command.member_id)
    if order.delivered_at is not None and now >= order.delivered_at + AFTER_SALE_WITHIN:
        raise AfterSaleTooLate(order_id=order.id)
    order = _step(unit, order, Step.ASK_AFTER_SALE)
    said = unit.find(Complaints, order.member_id) or Complaints(member_id=order.member_id)
    if command.reason or said.of(order.id) is not None:
        unit.put(said.with_one(Complaint(order_id=order.id, reason=command.reason, asked_at=now)))
    return answer_of(order)


def forget_complaints(unit: Unit, member_id: PersonId) -> None:
    """A member is erased: his words go with him. A repeat changes nothing."""
    if unit.find(Complaints, member_id) is not None:
        unit.remove(Complaints, member_id)


def decide_after_sale(unit: Unit, command: DecideAfterSale, *, now: datetime) -> OrderAnswer:
    """Settle an after-sale: nothing, a part, or all that is left. Raises Unknown, IllegalStep, RefundTooLarge."""
    order = unit.load(Order, command.order_id)
    if order.state is not OrderState.AFTER_SALE:
        raise IllegalStep(order_id=order.id, state=order.state.value, step=Step.CLOSE_AFTER_SALE.value)
    if command.amount_fen == (order.paid - order.promised).fen and command.amount_fen:
        return answer_of(refund_all(unit, order, reason="after_sale"))
    order = _step(unit, order, Step.CLOSE_AFTER_SALE)
    if command.amount_fen:
        order = _promise(unit, order, Money(command.amount_fen), reason="after_sale")
    return answer_of(order)


def settle_refund(unit: Unit, *, order_id: OrderId, refund_id: str) -> None:
    """A promised refund arrived; a repeat, or a returned payment that was no order's price, changes nothing here."""
    before = unit.find(Order, order_id)
    order = None if before is None else before.settled(refund_id)
    if order is None or order is before:
        return
    unit.put(order)
    amount = next(refund.amount for refund in order.refunds if refund.id == refund_id)
    refunded = OrderRefunded(
        order_id=order.id,
        refund_id=refund_id,
        member_id=order.member_id,
        amount_fen=amount.fen,
        refunded_fen=order.refunded.fen,
    )
    unit.emit(refunded)
    if order.state is OrderState.REFUNDING and _is_settled(order):
        _step(unit, order, Step.REFUND_DONE)


def answer_of(order: Order) -> OrderAnswer:
    """Where an order is, for an answer."""
    return OrderAnswer(order_id=order.id, state=order.state, paid_fen=order.paid.fen, refund_due_fen=order.promised.fen)


def _own(unit: Unit, order_id: OrderId, *, member_id: PersonId) -> Order:
    order = unit.load(Order, order_id)
    if order.member_id != member_id:
        raise Unknown(kind="order", id=order_id)
    return order


def _is_settled(order: Order) -> bool:
    return all(refund.is_settled for refund in order.refunds)


def _reject(unit: Unit, order: Order, sub: SubOrder, *, reason: str) -> Order:
    """Its merchant cannot make it, or never said that he can: its price goes back by line, its portions are free."""
    _give_back(unit, sub)
    parts = [Money(0)] * len(order.refundable)
    for line in sub.order_lines:
        parts[line.number] = order.refundable[line.number]
    parts[-1] = Money(min(sub.delivery.fen, order.refundable[-1].fen))
    amount = Money(sum([part.fen for part in parts]))
    if not amount:
        return order
    # Another sub-order may live and cost nothing (a coupon paid for it): then the order goes on with nothing left.
    if amount == order.paid - order.promised and not any(map(_is_live, _sub_states(unit, order))):
        return refund_all(unit, order, reason=reason)
    order, refund = order.promise(amount, reason=reason, parts=parts)
    unit.put(order)
    unit.emit(_due(order, refund_id=refund.id, amount=amount, reason=reason, sub_order_id=sub.id))
    return order


def _withdraw(unit: Unit, sub: SubOrder, *, reason: str) -> None:
    """Nobody wants it any more, and no rider has it: it leaves the boards, its portions are free again."""
    withdrawn = replace(sub, state=SubOrderState.WITHDRAWN)
    unit.put(withdrawn)
    _give_back(unit, sub)
    unit.emit(_sub_advanced(withdrawn, before=sub.state, by=reason))


def _give_back(unit: Unit, sub: SubOrder) -> None:
    stock.give_back(unit, portions_of(sub.order_lines), meal_id=sub.meal_id)


def _follow(unit: Unit, order: Order, *, now: datetime, reason: str) -> Order:
    """Bring an order to where its least advanced live sub-order is."""
    subs = _sub_states(unit, order)
    for step in steps_to_follow(order.state, subs):
        order = _step(unit, order, step)
    if order.state is OrderState.DELIVERED and order.delivered_at is None:
        order = replace(order, delivered_at=now)
        unit.put(order)
        unit.schedule(f"complete:{order.id}", CompleteOrder(order_id=order.id), at=now + COMPLETES_AFTER)
    elif subs and not any(map(_is_live, subs)) and order.state in _ALIVE:
        order = refund_all(unit, order, reason=reason)  # nothing was paid for it, so nothing went back yet
    return order


_ALIVE: Final = frozenset({OrderState.SPLIT, OrderState.ACCEPTED, OrderState.COOKING, OrderState.PICKED_UP})


def _sub_states(unit: Unit, order: Order) -> list[SubOrderState]:
    return [sub.state for sub in _sub_orders(unit, order)]


def _sub_orders(unit: Unit, order: Order) -> list[SubOrder]:
    return [unit.load(SubOrder, f"{order.id}.{i}") for i in range(1, order.sub_orders + 1)]


def _is_live(state: SubOrderState) -> bool:
    return state not in DEAD


def _step(unit: Unit, order: Order, step: Step) -> Order:
    after = order.after(step)
    unit.put(after)
    unit.emit(_advanced(after, before=order.state))
    if after.state is OrderState.COMPLETED:
        unit.emit(OrderCompleted(order_id=after.id, member_id=after.member_id))
    return after


def _promise(unit: Unit, order: Order, amount: Money, *, reason: str) -> Order:
    order, refund = order.promise(amount, reason=reason)
    unit.put(order)
    unit.emit(_due(order, refund_id=refund.id, amount=amount, reason=reason))
    return order


def _due(
    order: Order, *, refund_id: str, amount: Money, reason: str, sub_order_id: SubOrderId | None = None
) -> RefundDue:
    return RefundDue(
        refund_id=refund_id,
        order_id=order.id,
        member_id=order.member_id,
        amount_fen=amount.fen,
        reason=reason,
        sub_order_id=sub_order_id,
    )


def _advanced(order: Order, *, before: OrderState) -> OrderAdvanced:
    return OrderAdvanced(order_id=order.id, member_id=order.member_id, before=before.value, state=order.state.value)


def _sub_advanced(sub: SubOrder, *, before: SubOrderState, by: str) -> SubOrderAdvanced:
    return SubOrderAdvanced(
        sub_order_id=sub.id,
        order_id=sub.order_id,
        merchant_id=sub.merchant_id,
        before=before.value,
        state=sub.state.value,
        by=by,
    )


def _cancelled(order: Order, *, reason: str) -> OrderCancelled:
    return OrderCancelled(
        order_id=order.id,
        group_id=order.group_id,
        member_id=order.member_id,
        reason=reason,
        paid_fen=order.paid.fen,
    )


def _free_coupon(unit: Unit, order: Order) -> None:
    if order.quote.coupon_id is not None:
        give_back_coupon(unit, coupon_id=order.quote.coupon_id, order_id=order.id)


# What the reconciliation mends (C3); each is harmless twice.


class HearRefund(Struct, frozen=True, kw_only=True, gc=False):
    """The ledger has a refund as settled, and this order never heard of it. seen_version: of the row as it was read."""

    order_id: OrderId
    refund_id: str
    seen_version: int = 0


class RestoreOrder(Struct, frozen=True, kw_only=True, gc=False):
    """An order's row is not what the other books prove: write it as `order`, if it still is as it was `seen`."""

    order: Order
    seen: OrderRecord


class OrderRestored(Struct, frozen=True, kw_only=True, gc=False):
    """Whether the order is right now; else it has moved on since, and must be looked at again."""

    is_restored: bool


class RestoreSubOrders(Struct, frozen=True, kw_only=True, gc=False):
    """An order's sub-orders are not what its price was split into: write them as planned."""

    order_id: OrderId
    subs: tuple[SubOrder, ...]


def hear_refund(unit: Unit, command: HearRefund, *, now: datetime) -> None:
    """A promised refund arrived, as the ledger's event would have said.

    What memory knew of it is written again, with a version that none had before: whoever read the row as it was knows
    that by its version, and would be told for ever that nothing has changed (A2). A repeat changes no more than that.
    """
    before = unit.load(Order, command.order_id)
    settle_refund(unit, order_id=command.order_id, refund_id=command.refund_id)
    order = unit.load(Order, command.order_id)
    if order is before or order.version <= command.seen_version:
        order = replace(order, version=max(order.version, command.seen_version) + 1)
    unit.restore(order)


def restore_order(unit: Unit, command: RestoreOrder, *, now: datetime) -> OrderRestored:
    """Write an order as other books prove it was; nothing happens when it has moved on since it was seen.

    What memory has may be right while the row is not: then that is written again. Either way it has a version that none
    had before, for whoever read the wrong one knows it by its version.
    """
    right, seen = command.order, command.seen
    try:
        known = unit.find(Order, right.id)
    except RowDamaged:
        known = None
    if known is not None and not _is_as(known, seen):
        if known.paid != right.paid or known.refunds != right.refunds or known.state is not right.state:
            return OrderRestored(is_restored=False)
        right = known
    version = max(right.version, seen.version, 0 if known is None else known.version) + 1
    right = replace(right, version=version)
    unit.restore(right)
    if right.state is not seen.state:
        unit.emit(_advanced(right, before=seen.state))
    return OrderRestored(is_restored=True)


def _is_as(order: Order, seen: OrderRecord) -> bool:
    return all(getattr(order, name) == getattr(seen, name) for name in Order.__struct_fields__)


def restore_sub_orders(unit: Unit, command: RestoreSubOrders, *, now: datetime) -> OrderRestored:
    """Write an order's sub-orders as planned; what memory knows of how far one is stays so. Raises Unknown."""
    unit.load(Order, command.order_id)
    for planned in command.subs:
        known = unit.find(SubOrder, planned.id)
        unit.restore(planned if known is None else replace(planned, state=known.state, rider_id=known.rider_id))
    return OrderRestored(is_restored=True)


def hold_order(unit: Unit, order_id: OrderId, *, because: str) -> None:
    """Let nothing more be made for an order (D2). A repeat changes nothing."""
    unit.put(OrderHold(order_id=order_id, because=because))


def free_order(unit: Unit, order_id: OrderId, *, because: str) -> None:
    """Let an order go on when it was held for this reason; else nothing changes."""
    hold = unit.find(OrderHold, order_id)
    if hold is not None and hold.because == because:
        unit.remove(OrderHold, order_id)
