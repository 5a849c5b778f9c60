"""An order that was delivered: it is complete, or its member is not content."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.ids import OrderId, PersonId
from tuanzi.base.money import Money
from tuanzi.base.problem import Unknown
from tuanzi.base.unit import Unit
from tuanzi.events import AfterSaleAsked, AfterSaleWithdrawn
from tuanzi.orders.model import AFTER_SALE_WITHIN, Complaint, Complaints, OpenAfterSale, Order, OrderState, Step
from tuanzi.orders.problems import AfterSaleDecided, AfterSaleTooLate, IllegalStep
from tuanzi.orders.service.commands import (
    AskAfterSale,
    CompleteOrder,
    ConfirmOrder,
    DecideAfterSale,
    OrderAnswer,
    WithdrawAfterSale,
    answer_of,
)
from tuanzi.orders.service.refunds import promise_refund, refund_all
from tuanzi.orders.service.steps import take_step


def confirm_order(unit: Unit, command: ConfirmOrder, *, now: datetime) -> OrderAnswer:
    """A delivered order is complete; a repeat changes nothing. Raises Unknown, IllegalStep."""
    order = _own(unit, command.order_id, member_id=command.member_id)
    if order.state is not OrderState.COMPLETED:
        order = take_step(unit, order, step=Step.COMPLETE)
        unit.unschedule(f"complete:{order.id}")
    return answer_of(order)


def complete_order(unit: Unit, command: CompleteOrder, *, now: datetime) -> OrderAnswer:
    """A delivered order completes by itself; in any other state nothing happens."""
    order = unit.load(Order, command.order_id)
    if order.state is OrderState.DELIVERED:
        order = take_step(unit, order, step=Step.COMPLETE)
    return answer_of(order)


def ask_after_sale(unit: Unit, command: AskAfterSale, *, now: datetime) -> OrderAnswer:
    """Ask for after-sale within a day of delivery. Raises Unknown, IllegalStep, AfterSaleTooLate."""
    order = _own(unit, command.order_id, member_id=command.member_id)
    if order.delivered_at is not None and now >= order.delivered_at + AFTER_SALE_WITHIN:
        raise AfterSaleTooLate(order_id=order.id)
    order = take_step(unit, order, step=Step.ASK_AFTER_SALE)
    said = unit.find(Complaints, order.member_id) or Complaints(member_id=order.member_id)
    unit.put(said.with_one(Complaint(order_id=order.id, reason=command.reason, asked_at=now)))
    unit.put(OpenAfterSale(order_id=order.id, asked_at=now))
    unit.emit(AfterSaleAsked(order_id=order.id, member_id=order.member_id))
    return answer_of(order)


def withdraw_after_sale(unit: Unit, command: WithdrawAfterSale, *, now: datetime) -> OrderAnswer:
    """Take an after-sale back that nobody has decided: the order is completed, and who waited for it is paid.

    A repeat changes nothing. Raises Unknown, AfterSaleDecided, IllegalStep where none was asked for.
    """
    order = _own(unit, command.order_id, member_id=command.member_id)
    said = unit.find(Complaints, order.member_id) or Complaints(member_id=order.member_id)
    complaint = said.of(order.id)
    if order.state is not OrderState.AFTER_SALE:
        if complaint is None:
            raise IllegalStep(order_id=order.id, state=order.state.value, step=Step.CLOSE_AFTER_SALE.value)
        if complaint.withdrawn_at is None:
            raise AfterSaleDecided(order_id=order.id, state=order.state.value)
        return answer_of(order)
    if complaint is not None:
        unit.put(said.with_one(replace(complaint, withdrawn_at=now)))
    unit.remove(OpenAfterSale, order.id)
    unit.emit(AfterSaleWithdrawn(order_id=order.id, member_id=order.member_id))
    return answer_of(take_step(unit, order, step=Step.CLOSE_AFTER_SALE))


def decide_after_sale(unit: Unit, command: DecideAfterSale, *, now: datetime) -> OrderAnswer:
    """Settle an after-sale: nothing, a part, or all that is left. Raises Unknown, IllegalStep, RefundTooLarge."""
    order = unit.load(Order, command.order_id)
    if order.state is not OrderState.AFTER_SALE:
        raise IllegalStep(order_id=order.id, state=order.state.value, step=Step.CLOSE_AFTER_SALE.value)
    if command.amount_fen == (order.paid - order.promised).fen and command.amount_fen:
        return answer_of(refund_all(unit, order, reason="after_sale"))
    if command.amount_fen:
        # Before it is closed: when that is heard, persons are given theirs, less their part of this.
        order = promise_refund(unit, order, amount=Money(command.amount_fen), reason="after_sale")
    unit.remove(OpenAfterSale, order.id)
    return answer_of(take_step(unit, order, step=Step.CLOSE_AFTER_SALE))


def forget_complaints(unit: Unit, member_id: PersonId) -> None:
    """A member is erased: his words go with him. A repeat changes nothing."""
    if unit.find(Complaints, member_id) is not None:
        unit.remove(Complaints, member_id)


def _own(unit: Unit, order_id: OrderId, *, member_id: PersonId) -> Order:
    order = unit.load(Order, order_id)
    if order.member_id != member_id:
        raise Unknown(kind="order", id=order_id)
    return order
