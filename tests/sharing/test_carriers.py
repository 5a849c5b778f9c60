"""B2, C2: whoever brought what no rider is known to have brought may be paid outside, by an operator's word, once."""

from __future__ import annotations

from tests.heart import run, students
from tests.reconciliation.auditor import Audited
from tests.sharing.story import Story
from tests.sharing.test_pool import POOL, delivered_by_hand, riders_parts
from tests.shown import Shown
from tuanzi.base.ids import OrderId, PersonId
from tuanzi.base.problem import Unknown
from tuanzi.orders import RefundOrder
from tuanzi.sharing.model import PayCarrier, SettleCase, Settlement
from tuanzi.sharing.problems import CarrierNotOwed, CarrierPaidBefore
from tuanzi.sharing.queries import carrier_payment_page, unpaid_carrier_page


def pay(order_id: OrderId, amount_fen: int, *, by: str = "p_operator", sub: str = "") -> PayCarrier:
    """An operator's word that the carrier of an order's only sub-order was paid outside."""
    return PayCarrier(
        order_id=order_id,
        sub_order_id=sub or f"{order_id}.1",
        amount_fen=amount_fen,
        note="Wang of block 3, in cash, receipt 12",
        operator_id=by,
    )


def unpaid(campus: Audited, *, limit: int = 50) -> dict[str, int]:
    """What an operator is shown as owed, all pages."""
    shown: dict[str, int] = {}
    after: str | None = ""
    while after is not None:
        page = run(unpaid_carrier_page(Shown(campus, "money"), after=after, limit=limit))
        shown |= {one.sub_order_id: one.owed_fen for one in page.items}
        after = page.next
    return shown


def test_a_carrier_who_was_paid_outside_is_owed_nothing_more_and_the_ledger_balances() -> None:
    campus = Audited()
    orders = delivered_by_hand(campus)
    before, owed = campus.balances(), riders_parts(campus)
    assert unpaid(campus) == unpaid(campus, limit=1) == owed

    campus.ask(pay(orders[0], owed[f"{orders[0]}.1"]))

    fen = owed.pop(f"{orders[0]}.1")
    assert campus.balances() == {**before, POOL: before[POOL] + fen, "platform_funds": -fen}
    assert sum(campus.balances().values()) == 0
    assert riders_parts(campus) == {**owed, f"{orders[0]}.1": 0}
    assert unpaid(campus) == owed
    (told,) = run(carrier_payment_page(Shown(campus, "money"), before="", limit=50)).items
    assert (told.sub_order_id, told.amount_fen, told.paid_by) == (f"{orders[0]}.1", fen, "p_operator")
    assert told.note == "Wang of block 3, in cash, receipt 12"
    campus.begin()
    assert campus.minute() == []  # all books agree


def test_a_carrier_is_paid_once_and_only_what_is_owed_for_what_is_over() -> None:
    campus = Audited()
    orders = delivered_by_hand(campus)
    under_way = OrderId(campus.group(*students(3, first=10))[0].order_id)
    owed = riders_parts(campus)
    fen = owed[f"{orders[0]}.1"]
    before = campus.balances()

    for amount_fen in (fen - 1, fen + 1, -fen):
        with campus.refused(CarrierNotOwed):
            campus.ask(pay(orders[0], amount_fen))
    with campus.refused(CarrierNotOwed):
        campus.ask(pay(under_way, owed[f"{under_way}.1"]))  # a rider may still bring it
    with campus.refused(Unknown):
        campus.ask(pay(orders[0], fen, sub=f"{orders[1]}.1"))
    with campus.refused(Unknown):
        campus.ask(pay(OrderId("o_nobodys"), fen))
    assert campus.balances() == before
    campus.ask(pay(orders[0], fen))
    moved = campus.balances()
    with campus.refused(CarrierPaidBefore):
        campus.ask(pay(orders[0], fen, by="p_other"))
    assert campus.balances() == moved
    assert f"{under_way}.1" not in unpaid(campus)


def listed(rows: list[tuple[str]]) -> list[str]:
    """The orders that a page of unpaid carriers is made of."""
    return sorted(order_id for (order_id,) in rows)


def test_a_page_is_made_of_completed_orders_for_which_the_pool_owes_something_and_of_no_other() -> None:
    campus = Audited()
    table = "SELECT order_id FROM unbrought_orders"
    orders = delivered_by_hand(campus)
    campus.group(*students(3, first=10))  # under way
    noted = listed(campus.rows(table, database="money"))
    owed = riders_parts(campus)

    campus.ask(pay(orders[0], owed[f"{orders[0]}.1"]))

    assert noted == sorted(orders)
    assert listed(campus.rows(table, database="money")) == sorted(orders[1:])
    assert unpaid(campus, limit=1) == {f"{order_id}.1": owed[f"{order_id}.1"] for order_id in orders[1:]}


async def test_who_is_heard_of_late_is_owed_and_the_pool_is_not_listed_for_it() -> None:
    story = Story()
    await story.split()
    story.complete("o_ann", "o_ben")
    await story.wait()
    table = "SELECT order_id FROM unbrought_orders"
    before = listed(story.till.database.rows(table))

    story.deliver("o_ann.1")

    assert before == ["o_ann", "o_ben"]
    assert listed(story.till.database.rows(table)) == ["o_ben"]
    assert story.till.balances()[POOL] == -91


async def test_who_was_known_to_have_brought_all_of_it_is_never_listed() -> None:
    story = Story()
    await story.split()
    story.deliver("o_ann.1")
    story.complete("o_ann", "o_ben")
    await story.wait()

    assert listed(story.till.database.rows("SELECT order_id FROM unbrought_orders")) == ["o_ben"]


async def test_a_rider_who_is_heard_of_after_that_is_not_paid_a_second_time() -> None:
    story = Story()
    await story.split()
    story.complete("o_ann", "o_ben")
    await story.wait()
    in_pool = story.till.balances()[POOL]
    await story.do(pay(OrderId("o_ann"), 90))
    before = story.till.balances()

    story.deliver("o_ann.1", "o_ben.1")

    moved = {account: fen for account, fen in story.till.balances().items() if before.get(account) != fen}
    assert (in_pool, before[POOL]) == (-181, -91)
    assert set(moved) == {POOL, "rider_payable:p_rider"}
    assert story.transfers("o_ann")["1", "rider"].account == POOL
    assert story.transfers("o_ben")["1", "rider"].account == "rider_payable:p_rider"
    assert sum(story.till.balances().values()) == 0


def test_what_a_refund_takes_of_what_was_paid_outside_is_a_case_and_settled_by_a_person() -> None:
    campus = Audited()
    orders = delivered_by_hand(campus)
    fen = riders_parts(campus)[f"{orders[0]}.1"]
    campus.ask(pay(orders[0], fen))

    campus.do(RefundOrder(order_id=orders[0], amount_fen=None, reason="spilt", by=PersonId("p_operator")))
    campus.pass_time(hours=1)

    advance = "receiver_advance:pool"
    assert campus.balances()[advance] == fen
    cases = "SELECT id, kind, amount_fen, state FROM cases WHERE kind = 'return' AND reference IN (SELECT id FROM"
    cases += f" share_returns WHERE owed_in = '{advance}')"
    ((id, _, amount_fen, state),) = campus.rows(cases, database="money")
    assert (amount_fen, state) == (fen, "open")
    campus.ask(SettleCase(case_id=id, how=Settlement.WRITE_OFF, note="it was brought", operator_id="p_operator"))
    assert advance not in campus.balances()
    assert campus.balances()["written_off"] == fen
    assert sum(campus.balances().values()) == 0
