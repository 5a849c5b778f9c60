"""An order's life (B8): every step in every state is either legal or refused with nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from tests.heart import OPERATOR, Campus
from tuanzi.base.ids import PersonId, SubOrderId
from tuanzi.base.problem import Problem, Unknown
from tuanzi.events import AfterSaleAsked, OrderAdvanced, OrderCompleted, RefundDue
from tuanzi.groups import SeatCommitted
from tuanzi.orders import (
    AdvanceSubOrder,
    AfterSaleTooLate,
    AskAfterSale,
    CompleteOrder,
    ConfirmOrder,
    DecideAfterSale,
    IllegalStep,
    Order,
    OrderState,
    RefundOrder,
    RefundTooLarge,
    Step,
    SubOrder,
    SubOrderState,
    SubStep,
    WithdrawAfterSale,
    state_by_sub_orders,
    steps_from,
)

S, T = OrderState, Step

# The whole table, written out once more: what is not here is refused.
LEGAL = {
    (S.CREATED, T.PAY): S.PAID,
    (S.CREATED, T.CANCEL): S.CANCELLED,
    (S.CANCELLED, T.REVIVE): S.PAID,
    (S.CANCELLED, T.REFUND): S.REFUNDING,
    (S.PAID, T.FORM): S.GROUPED,
    (S.PAID, T.REFUND): S.REFUNDING,
    (S.GROUPED, T.SPLIT): S.SPLIT,
    (S.GROUPED, T.REFUND): S.REFUNDING,
    (S.SPLIT, T.ACCEPT): S.ACCEPTED,
    (S.SPLIT, T.REFUND): S.REFUNDING,
    (S.ACCEPTED, T.COOK): S.COOKING,
    (S.ACCEPTED, T.REFUND): S.REFUNDING,
    (S.COOKING, T.PICK_UP): S.PICKED_UP,
    (S.COOKING, T.REFUND): S.REFUNDING,
    (S.PICKED_UP, T.DELIVER): S.DELIVERED,
    (S.PICKED_UP, T.REFUND): S.REFUNDING,
    (S.DELIVERED, T.COMPLETE): S.COMPLETED,
    (S.DELIVERED, T.ASK_AFTER_SALE): S.AFTER_SALE,
    (S.DELIVERED, T.REFUND): S.REFUNDING,
    (S.COMPLETED, T.ASK_AFTER_SALE): S.AFTER_SALE,
    (S.COMPLETED, T.REFUND): S.REFUNDING,
    (S.AFTER_SALE, T.CLOSE_AFTER_SALE): S.COMPLETED,
    (S.AFTER_SALE, T.REFUND): S.REFUNDING,
    (S.REFUNDING, T.REFUND_DONE): S.REFUNDED,
}
SUB_LEGAL = {
    (SubOrderState.PLANNED, SubStep.ACCEPT): SubOrderState.ACCEPTED,
    (SubOrderState.PLANNED, SubStep.REJECT): SubOrderState.REJECTED,
    (SubOrderState.ACCEPTED, SubStep.COOK): SubOrderState.COOKING,
    (SubOrderState.ACCEPTED, SubStep.REJECT): SubOrderState.REJECTED,
    (SubOrderState.COOKING, SubStep.READY): SubOrderState.READY,
    (SubOrderState.COOKING, SubStep.REJECT): SubOrderState.REJECTED,
    (SubOrderState.READY, SubStep.PICK_UP): SubOrderState.PICKED_UP,
    (SubOrderState.PICKED_UP, SubStep.DELIVER): SubOrderState.DELIVERED,
}
# Which steps bring a sub-order into a state.
WAY = {
    SubOrderState.PLANNED: (),
    SubOrderState.ACCEPTED: (SubStep.ACCEPT,),
    SubOrderState.COOKING: (SubStep.ACCEPT, SubStep.COOK),
    SubOrderState.READY: (SubStep.ACCEPT, SubStep.COOK, SubStep.READY),
    SubOrderState.PICKED_UP: (SubStep.ACCEPT, SubStep.COOK, SubStep.READY, SubStep.PICK_UP),
    SubOrderState.DELIVERED: (SubStep.ACCEPT, SubStep.COOK, SubStep.READY, SubStep.PICK_UP, SubStep.DELIVER),
    SubOrderState.REJECTED: (SubStep.REJECT,),
    SubOrderState.WAITING: (),
    SubOrderState.WITHDRAWN: (),
}


@pytest.fixture
def campus() -> Campus:
    return Campus()


@pytest.fixture(scope="module")
def an_order() -> Order:
    campus = Campus()
    return campus.order(campus.open("m1").order_id)


def order_in(campus: Campus, state: OrderState) -> str:
    """An order that came into a state as orders do."""
    match state:
        case S.CREATED:
            return campus.open("m1").order_id
        case S.CANCELLED:
            seated = campus.open("m1")
            campus.leave(seated.group_id, "m1")
            return seated.order_id
        case S.PAID:
            return campus.group("m1")[0].order_id
        case S.GROUPED:
            return campus.group("m1", "m2", "m3", campaign="ladder")[0].order_id
        case S.REFUNDING | S.REFUNDED:
            seated = campus.group("m1", "m2")[0]
            campus.leave(seated.group_id, "m1")
            if state is S.REFUNDED:
                campus.settle_refunds()
            return seated.order_id
        case _:
            order_id = campus.group("m1", "m2", "m3")[0].order_id
    way = {
        S.SPLIT: (),
        S.ACCEPTED: WAY[SubOrderState.ACCEPTED],
        S.COOKING: WAY[SubOrderState.COOKING],
        S.PICKED_UP: WAY[SubOrderState.PICKED_UP],
    }
    for step in way.get(state, WAY[SubOrderState.DELIVERED]):
        campus.advance(f"{order_id}.1", step)
    if state is S.COMPLETED:
        campus.do(ConfirmOrder(order_id=order_id, member_id="m1"))  # type: ignore[arg-type]
    if state is S.AFTER_SALE:
        campus.do(AskAfterSale(order_id=order_id, member_id="m1"))  # type: ignore[arg-type]
    assert campus.state(order_id) == state
    return order_id


@pytest.mark.parametrize("state", OrderState)
@pytest.mark.parametrize("step", Step)
def test_every_step_in_every_state_is_legal_or_refused(an_order: Order, state: OrderState, step: Step) -> None:
    order = replace(an_order, state=state, version=7)

    if (state, step) in LEGAL:
        after = order.after(step)
        assert (after.state, after.version) == (LEGAL[state, step], 8)
        assert replace(after, state=state, version=7) == order
    else:
        with pytest.raises(IllegalStep) as refused:
            order.after(step)
        assert refused.value.facts == {"order_id": order.id, "state": state.value, "step": step.value}


def test_the_table_has_no_more_steps_than_these() -> None:
    assert {(state, step): to for state in S for step, to in steps_from(state).items()} == LEGAL


@pytest.mark.parametrize("state", SubOrderState)
@pytest.mark.parametrize("step", SubStep)
def test_every_step_of_a_sub_order_is_legal_or_refused_with_nothing_changed(
    campus: Campus, state: SubOrderState, step: SubStep
) -> None:
    """Two merchants, so that a rejected one does not end the order."""
    campus.splits_by_hand = state is SubOrderState.WAITING
    seated = [campus.open("m1", "beef", "milk-tea")]
    seated += [campus.join(seated[0].group_id, member) for member in ("m2", "m3")]
    for one in seated:
        campus.pay(one.order_id)
    sub_id = f"{seated[0].order_id}.1"
    if state is SubOrderState.WAITING:
        campus.carry_splits(steps=1)
    if state is SubOrderState.WITHDRAWN:
        campus.do(RefundOrder(order_id=seated[0].order_id, amount_fen=None, reason="kind", by=OPERATOR))  # type: ignore[arg-type]
    if WAY[state]:
        campus.advance(sub_id, *WAY[state])
    assert campus.sub_orders(seated[0].order_id)[0].state is state

    if (state, step) in SUB_LEGAL:
        assert campus.advance(sub_id, step).state is SUB_LEGAL[state, step]
    else:
        with campus.refused(IllegalStep):
            campus.advance(sub_id, step)


COMMANDS: dict[str, Callable[[Any], Any]] = {
    "confirm": lambda id: ConfirmOrder(order_id=id, member_id=PersonId("m1")),
    "complete": lambda id: CompleteOrder(order_id=id),
    "refund all": lambda id: RefundOrder(order_id=id, amount_fen=None, reason="kind", by=OPERATOR),
    "refund a part": lambda id: RefundOrder(order_id=id, amount_fen=100, reason="kind", by=OPERATOR),
    "ask after-sale": lambda id: AskAfterSale(order_id=id, member_id=PersonId("m1")),
    "withdraw after-sale": lambda id: WithdrawAfterSale(order_id=id, member_id=PersonId("m1")),
    "decide after-sale": lambda id: DecideAfterSale(order_id=id, amount_fen=0, by=OPERATOR),
    "accept": lambda id: AdvanceSubOrder(sub_order_id=SubOrderId(f"{id}.1"), step=SubStep.ACCEPT, by=OPERATOR),
}
LATER = frozenset({S.SPLIT, S.ACCEPTED, S.COOKING, S.PICKED_UP, S.DELIVERED, S.COMPLETED, S.AFTER_SALE})
# Command: in which states it does something, and what state that leads to (None: it stays).
DOES: dict[str, dict[OrderState, OrderState | None]] = {
    "confirm": {S.DELIVERED: S.COMPLETED, S.COMPLETED: None},
    "complete": {S.DELIVERED: S.COMPLETED, **{state: None for state in S if state is not S.DELIVERED}},
    "refund all": dict.fromkeys(LATER, S.REFUNDING),
    "refund a part": dict.fromkeys(LATER),
    "ask after-sale": {S.DELIVERED: S.AFTER_SALE, S.COMPLETED: S.AFTER_SALE},
    "withdraw after-sale": {S.AFTER_SALE: S.COMPLETED},
    "decide after-sale": {S.AFTER_SALE: S.COMPLETED},
    "accept": {S.SPLIT: S.ACCEPTED},
}


@pytest.mark.parametrize("state", OrderState)
@pytest.mark.parametrize("name", DOES)
def test_every_command_in_every_state_does_its_step_or_changes_nothing(
    campus: Campus, state: OrderState, name: str
) -> None:
    order_id = order_in(campus, state)
    command = COMMANDS[name](order_id)

    if state in DOES[name]:
        campus.do(command)
        assert campus.state(order_id) == (DOES[name][state] or state)
    else:
        # Before the split there is no sub-order; at the end there is nothing left to give back.
        with campus.nothing_changes(), pytest.raises((IllegalStep, Unknown, RefundTooLarge)):
            campus.do(command)


@pytest.mark.parametrize("state", sorted(LATER | {S.GROUPED}))
def test_after_its_group_formed_a_member_cannot_cancel(campus: Campus, state: OrderState) -> None:
    order_id = order_in(campus, state)

    with campus.nothing_changes(), pytest.raises(Problem) as refused:
        campus.cancel(order_id, "m1")

    assert refused.type.code == ("groups/seat-committed" if state is S.GROUPED else "groups/group-not-open")
    assert SeatCommitted.status == 409


@pytest.mark.parametrize("state", sorted(set(S) - {S.CREATED, S.CANCELLED}))
def test_p3_money_again_in_any_later_state_never_moves_an_order(campus: Campus, state: OrderState) -> None:
    """litemall issue 271: a shipped order became paid again on a repeated callback."""
    order_id = order_in(campus, state)
    before = campus.order(order_id)
    refunds = len(campus.told(RefundDue))

    campus.pay(order_id)
    campus.pay(order_id, payment_id="p_other")

    assert campus.order(order_id) == before
    assert [due.payment_id for due in campus.told(RefundDue)[refunds:]] == ["p_other"]


def test_a_delivered_order_completes_by_itself_after_two_hours(campus: Campus) -> None:
    order_id = order_in(campus, S.DELIVERED)

    campus.pass_time(hours=2, seconds=-1)
    assert campus.state(order_id) == "delivered"
    campus.pass_time(seconds=1)

    assert campus.state(order_id) == "completed"
    assert campus.told(OrderAdvanced)[-1] == OrderAdvanced(
        order_id=order_id, member_id="m1", before="delivered", state="completed"
    )


def test_a_confirmed_order_is_complete_and_its_timer_is_gone(campus: Campus) -> None:
    order_id = order_in(campus, S.DELIVERED)
    others = [f"accept:{campus.order(order_id).group_id}"]
    assert campus.timers() == [*others, f"complete:{order_id}"]

    campus.do(ConfirmOrder(order_id=order_id, member_id="m1"))  # type: ignore[arg-type]

    assert campus.timers() == others
    with campus.nothing_changes():
        campus.do(ConfirmOrder(order_id=order_id, member_id="m1"))  # type: ignore[arg-type]


def test_p19_an_order_is_completed_once(campus: Campus) -> None:
    """P19: finishing twice credits nobody twice, for the second time is no step and tells nothing."""
    order_id = order_in(campus, S.COMPLETED)
    told = len(campus.events)

    campus.do(CompleteOrder(order_id=order_id))  # type: ignore[arg-type]
    campus.pass_time(hours=3)

    assert [
        event for event in campus.events[told:] if isinstance(event, OrderAdvanced) and event.order_id == order_id
    ] == []


def test_strangers_confirm_and_complain_about_nothing(campus: Campus) -> None:
    order_id = order_in(campus, S.DELIVERED)

    for command in (
        ConfirmOrder(order_id=order_id, member_id="m9"),  # type: ignore[arg-type]
        AskAfterSale(order_id=order_id, member_id="m9"),  # type: ignore[arg-type]
    ):
        with campus.refused(Unknown):
            campus.do(command)


# After-sale


def test_after_sale_can_be_asked_for_until_a_day_after_delivery(campus: Campus) -> None:
    order_id = order_in(campus, S.DELIVERED)
    ask = AskAfterSale(order_id=order_id, member_id="m1")  # type: ignore[arg-type]
    campus.pass_time(hours=24)

    with campus.refused(AfterSaleTooLate):
        campus.do(ask)

    campus.jump(seconds=-1)
    assert campus.do(ask).state is S.AFTER_SALE


@pytest.mark.parametrize(
    ("amount_fen", "state", "left"),
    [(0, S.COMPLETED, [1900, 301]), (500, S.COMPLETED, [1468, 233]), (2201, S.REFUNDING, [0, 0])],
)
def test_an_operator_settles_after_sale_with_nothing_a_part_or_all(
    campus: Campus, amount_fen: int, state: OrderState, left: list[int]
) -> None:
    order_id = order_in(campus, S.AFTER_SALE)

    campus.do(DecideAfterSale(order_id=order_id, amount_fen=amount_fen, by=OPERATOR))  # type: ignore[arg-type]

    order = campus.order(order_id)
    assert (order.state, order.promised.fen) == (state, amount_fen)
    assert [part.fen for part in order.refundable] == left
    campus.settle_refunds()
    assert campus.state(order_id) == (S.REFUNDED if amount_fen == 2201 else S.COMPLETED)


def test_what_goes_back_is_told_before_its_after_sale_is_closed(campus: Campus) -> None:
    order_id = campus.order(order_in(campus, S.AFTER_SALE)).id
    asked = [event for event in campus.events if type(event) is AfterSaleAsked]
    told = len(campus.events)

    campus.do(DecideAfterSale(order_id=order_id, amount_fen=500, by=OPERATOR))

    assert asked == [AfterSaleAsked(order_id=order_id, member_id="m1")]
    assert [type(event) for event in campus.events[told:]] == [RefundDue, OrderAdvanced, OrderCompleted]


@pytest.mark.parametrize("amount_fen", [-1, 2202])
def test_after_sale_never_gives_more_than_was_paid_nor_less_than_nothing(campus: Campus, amount_fen: int) -> None:
    order_id = order_in(campus, S.AFTER_SALE)

    with campus.refused(RefundTooLarge):
        campus.do(DecideAfterSale(order_id=order_id, amount_fen=amount_fen, by=OPERATOR))  # type: ignore[arg-type]


def test_a_sub_order_that_does_not_add_up_cannot_exist(campus: Campus) -> None:
    sub = campus.sub_orders(order_in(campus, S.SPLIT))[0]

    with pytest.raises(ValueError, match="does not add up"):
        SubOrder(
            **{name: getattr(sub, name) for name in SubOrder.__struct_fields__ if name != "items"}, items=sub.payable
        )


def test_an_order_whose_amounts_do_not_add_up_cannot_exist(campus: Campus) -> None:
    """`replace` checks like the constructor does (msgspec 0.22)."""
    order = campus.order(order_in(campus, S.SPLIT))

    with pytest.raises(ValueError, match="does not add up"):
        replace(order, paid=order.payable + order.payable)


def test_an_order_is_where_its_least_advanced_live_sub_order_is() -> None:
    sub = SubOrderState

    assert state_by_sub_orders([sub.WITHDRAWN, sub.DELIVERED]) is S.DELIVERED
    assert state_by_sub_orders([sub.REJECTED, sub.READY, sub.PICKED_UP]) is S.COOKING
    assert state_by_sub_orders([sub.WAITING, sub.ACCEPTED]) is S.SPLIT
    assert state_by_sub_orders([sub.REJECTED, sub.WITHDRAWN]) is None
    assert state_by_sub_orders([]) is None
