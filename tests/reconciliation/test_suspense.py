"""C3, C4: money of another amount than was asked waits in suspense, and a person sends it back, exactly once."""

from __future__ import annotations

from typing import Any

from tests.heart import run
from tests.reconciliation.auditor import Audited
from tests.reconciliation.test_asides import set_aside
from tests.shown import Shown
from tuanzi.events import RefundDue, RefundSettled
from tuanzi.money import Cashier, NotInSuspense, payment_of
from tuanzi.money.model import OpenPayment
from tuanzi.money.vendors.cashier import payment_asked
from tuanzi.reconciliation.model import Kind, ReturnSuspense, SettleDifference, State
from tuanzi.reconciliation.queries import suspense_page

ASKED, CAME = 2201, 2101


def short_paid(campus: Audited, member: str = "y1") -> str:
    """The order of a member who was asked for 22.01 yuan and paid 21.01 at the payment company."""
    order_id = campus.open(member, "beef", campaign="steps").order_id
    payment_id = payment_of(order_id)
    campus.ask(
        OpenPayment(payment_id=payment_id, order_id=order_id, member_id=member, amount_fen=ASKED, provider="sandbox")
    )
    asked = payment_asked(payment_id, order_id=order_id, member_id=member, amount_fen=CAME)
    run(campus.provider.open(asked, now=campus.now))
    campus.callback(Cashier(campus.provider).capture_of(campus.provider.pay(asked.out_trade_no, now=campus.now)))
    return order_id


def in_suspense(campus: Audited) -> list[Any]:
    """What an operator is shown."""
    return list(run(suspense_page(Shown(campus, "money"), after="", limit=50)).items)


def the_difference(campus: Audited) -> Any:
    """The one difference there is."""
    (found,) = campus.differences()
    assert found.kind is Kind.AMOUNTS
    return found


def test_money_in_suspense_is_listed_and_goes_back_to_who_paid_it_once() -> None:
    campus = Audited()
    campus.begin()
    order_id = short_paid(campus)
    campus.minute()
    (shown,) = in_suspense(campus)
    assert (shown.order_id, shown.member_id, shown.asked_fen, shown.came_fen) == (order_id, "y1", ASKED, CAME)
    assert campus.balances() == {"provider_clearing": CAME, "suspense": -CAME}
    send_back = ReturnSuspense(difference_id=shown.difference_id, by="p_operator")

    campus.ask(send_back)

    assert in_suspense(campus) == []
    found = the_difference(campus)
    assert (found.state, found.ended_by) == (State.SETTLED, "p_operator")
    with campus.refused(NotInSuspense):
        campus.ask(send_back)
    campus.pass_time(minutes=5)
    assert campus.balances() == {}
    assert (campus.provider.paid_fen, campus.provider.refunded_fen) == (CAME, CAME)
    assert [(told.refund_id, told.amount_fen) for told in campus.told(RefundSettled)] == [
        (f"{payment_of(order_id)}.back", CAME)
    ]
    assert (campus.told(RefundDue), campus.state(order_id)) == ([], "cancelled")
    with campus.refused(NotInSuspense):
        campus.ask(send_back)
    assert campus.provider.refunded_fen == CAME
    assert campus.minute() == [found]


def test_the_books_agree_while_it_is_on_its_way_and_with_the_bills_of_the_day() -> None:
    campus = Audited()
    campus.begin()
    order_id = short_paid(campus)
    campus.minute()
    campus.ask(ReturnSuspense(difference_id=in_suspense(campus)[0].difference_id, by="p_operator"))
    found = campus.differences()

    assert campus.minute() == found
    campus.pass_time(minutes=10)
    assert campus.next_bill(campus.now.date()) == found
    assert campus.rows("SELECT state FROM refunds", database="money") == [("settled",)]
    assert campus.order(order_id).paid.fen == 0


def test_what_a_person_had_settled_and_left_in_suspense_can_go_back_later() -> None:
    campus = Audited()
    campus.begin()
    short_paid(campus)
    campus.minute()
    found = the_difference(campus)
    campus.ask(SettleDifference(difference_id=found.id, by="p_first", reason="asked the member"))

    campus.ask(ReturnSuspense(difference_id=found.id, by="p_second"))

    assert (the_difference(campus).ended_by, the_difference(campus).reason) == ("p_first", "asked the member")
    campus.pass_time(minutes=5)
    assert campus.balances() == {}


def test_nothing_else_can_be_sent_back_so() -> None:
    campus, of_a_bill = set_aside(5)
    before, balances = campus.counted(), campus.balances()
    assert balances["suspense"] == -5

    with campus.refused(NotInSuspense):
        campus.ask(ReturnSuspense(difference_id=of_a_bill.id, by="p_operator"))

    assert (campus.counted(), campus.balances()) == (before, balances)
