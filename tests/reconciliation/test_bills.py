"""Ledger and payment company, by the bills of each day: seven classes, each mended or raised (C3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest
from msgspec.structs import replace

from tests.heart import run, students
from tests.reconciliation.auditor import Audited
from tuanzi.base.ids import OrderId
from tuanzi.base.time import SHANGHAI
from tuanzi.events import BillsUnusable, DifferenceFound, DifferenceRaised, OrderDoubted, PaymentCaptured
from tuanzi.machinery.internal import HearParked
from tuanzi.machinery.writer import Request
from tuanzi.money import BillKind, BillLine, BillState, RecordCapture, payment_of
from tuanzi.orders import AdvanceSubOrder, OrderHeld, SubStep
from tuanzi.reconciliation.handlers import FINDINGS_MAX
from tuanzi.reconciliation.model import (
    AskRun,
    EndDifference,
    KeptDifference,
    Kind,
    Mend,
    ReverseCapture,
    SettleDifference,
    State,
)
from tuanzi.reconciliation.problems import DifferenceEnded

TODAY = date(2026, 11, 23)
LATER = datetime(2026, 11, 25, tzinfo=SHANGHAI)
Alter = Callable[[BillLine], list[BillLine]]


def agree(campus: Audited) -> None:
    """The books of the campus agree, and the ledger holds what the payment company holds."""
    clearing = campus.balances().get("provider_clearing", 0)
    assert clearing == campus.provider.paid_fen - campus.provider.refunded_fen
    before = campus.differences()
    campus.begin()
    assert campus.minute() == before


def alter(campus: Audited, key: str, change: Alter) -> None:
    """What the bills say of one number."""

    def altered(kind: BillKind, on: date, lines: list[BillLine]) -> list[BillLine]:
        return [one for line in lines for one in (change(line) if line.key == key else [line])]

    campus.provider.alter = altered  # type: ignore[method-assign]


def alter_share(campus: Audited, key: str, change: Alter) -> None:
    """What the bills say of one receiver's part of a share; the bill of funds does not name him."""
    (part,) = [line for line in run(campus.provider.bill(BillKind.SHARES, TODAY, now=LATER)) if line.key == key]

    def altered(kind: BillKind, on: date, lines: list[BillLine]) -> list[BillLine]:
        own = {BillKind.SHARES: key, BillKind.FUNDS: key.partition("/")[0]}.get(kind)
        made: list[BillLine] = []
        for line in lines:
            is_it = line.key == own and line.amount_fen == part.amount_fen
            made += change(line) if is_it else [line]
        if kind is BillKind.FUNDS:
            made = [replace(line, key=line.key.partition("/")[0]) for line in made]
        return made

    campus.provider.alter = altered  # type: ignore[method-assign]


def the(found: list[KeptDifference]) -> tuple[Kind, str, Mend, State, bool]:
    """The one difference there is."""
    (one,) = found
    return one.kind, one.item, one.mend, one.state, one.is_raised


def test_every_day_is_compared_with_its_bills_and_reported_even_without_differences() -> None:
    campus = Audited()
    campus.begin()
    campus.group(*students(3))

    assert campus.next_bill(TODAY) == []

    assert [report.run_id[-16:] for report in campus.reports()] == ["daily.2026-11-23"]
    agree(campus)


def test_d1_money_of_an_order_that_is_gone_is_recorded_and_paid_back() -> None:
    campus = Audited()
    seated = campus.open("m1")
    campus.pay_unheard(seated.order_id)
    campus.pass_time(hours=1)
    assert campus.state(seated.order_id) == "cancelled"

    found = campus.next_bill(TODAY)

    payment_id = payment_of(seated.order_id)
    assert the(found) == (Kind.UNKNOWN_HERE, payment_id, Mend.REPLAY_CAPTURE, State.REPAIRED, False)
    assert campus.state(seated.order_id) == "refunded"
    assert campus.provider.paid_fen == campus.provider.refunded_fen == found[0].unexplained_fen > 0
    agree(campus)


def test_d1_a_payment_that_was_closed_here_and_paid_there_is_recorded() -> None:
    campus = Audited()
    seated = campus.open("m1")
    campus.pay_unheard(seated.order_id)
    campus.plant("money", payment_row(campus, seated.order_id, state="closed"))

    found = campus.next_bill(TODAY)

    assert the(found) == (
        Kind.UNKNOWN_HERE,
        payment_of(seated.order_id),
        Mend.REPLAY_CAPTURE,
        State.REPAIRED,
        False,
    )
    assert campus.state(seated.order_id) == "refunded"
    agree(campus)


def test_d1_a_refund_that_nobody_here_asked_for_is_raised() -> None:
    campus = Audited()
    seats = campus.group(*students(3))
    alter(
        campus,
        payment_of(seats[0].order_id),
        lambda line: [line, replace(line, key="stranger", amount_fen=-100, state=BillState.REFUNDED)],
    )

    found = campus.next_bill(TODAY)

    assert the(found) == (Kind.UNKNOWN_HERE, "stranger", Mend.NONE, State.OPEN, True)


def test_d2_money_that_the_provider_never_had_is_reversed_and_its_order_is_held() -> None:
    campus = Audited()
    seats = campus.group(*students(3), paid=2)
    false = seats[2]
    order = campus.order(false.order_id)
    payment_id = payment_of(order.id)
    told = RecordCapture(
        payment_id=payment_id,
        order_id=order.id,
        member_id=order.member_id,
        amount_fen=order.payable.fen,
        transaction_id="forged",
        provider="sandbox",
    )
    campus.callback(told)
    assert campus.state(order.id) == "split"
    campus.settle_refunds()

    found = campus.next_bill(TODAY)

    assert the(found) == (Kind.UNKNOWN_THERE, payment_id, Mend.REVERSE_CAPTURE, State.OPEN, True)
    own = "SELECT account, SUM(amount_fen) FROM entries WHERE order_id = :id GROUP BY account ORDER BY account LIMIT 9"
    left = {account: fen for account, fen in campus.rows(own, {"id": order.id}, database="money") if fen}
    # What others were promised of it is theirs, and a fen is owed back: all that is in suspense until a person decides.
    assert left.pop("suspense") == order.payable.fen == -sum(left.values())
    assert not {"provider_clearing", "order_escrow"} & set(left)
    assert sum(campus.balances().values()) == 0
    assert campus.held() == ["noodles"]
    with campus.refused(OrderHeld):
        campus.advance(f"{order.id}.1", SubStep.ACCEPT)
    agree(campus)


def doubted() -> tuple[Audited, str, KeptDifference]:
    """A campus with an order whose money the provider never had, and the difference that it is held for."""
    campus = Audited()
    seats = campus.group(*students(3), paid=2)
    order = campus.order(seats[2].order_id)
    forged = RecordCapture(
        payment_id=payment_of(order.id),
        order_id=order.id,
        member_id=order.member_id,
        amount_fen=order.payable.fen,
        transaction_id="forged",
        provider="sandbox",
    )
    campus.callback(forged)
    campus.settle_refunds()
    (found,) = campus.next_bill(TODAY)
    with campus.refused(OrderHeld):
        campus.advance(f"{order.id}.1", SubStep.ACCEPT)
    return campus, order.id, found


@pytest.mark.parametrize(
    "end",
    [
        lambda id: SettleDifference(difference_id=id, by="p_operator", reason="paid in cash"),
        lambda id: EndDifference(difference_id=id, state=State.SETTLED, reason="gone when looked at again"),
        lambda id: EndDifference(difference_id=id, state=State.REPAIRED, reason="reverse_capture"),
    ],
    ids=["a person", "itself", "mended"],
)
def test_an_order_that_was_held_goes_on_however_its_difference_ends(end: Callable[[str], object]) -> None:
    campus, order_id, found = doubted()

    campus.ask(end(found.id))
    campus.hear()

    campus.advance(f"{order_id}.1", SubStep.ACCEPT)
    assert campus.rows("SELECT * FROM order_holds") == []


def test_an_order_is_freed_though_all_is_killed_between_the_settlement_and_core() -> None:
    """Nothing is sent to core that it could refuse: it hears of the end by the log, as soon as it reads it."""
    campus, order_id, found = doubted()
    settle = SettleDifference(difference_id=found.id, by="p_operator", reason="paid in cash")
    campus._one(campus.money, Request(settle))
    with campus.refused(OrderHeld):
        campus._one(
            campus.core, Request(AdvanceSubOrder(sub_order_id=f"{order_id}.1", step=SubStep.ACCEPT, by="staff"))
        )

    campus.kill()
    campus.pass_time(seconds=1)

    campus.advance(f"{order_id}.1", SubStep.ACCEPT)
    with campus.refused(DifferenceEnded):
        campus.ask(settle)


def test_an_order_is_not_held_for_a_difference_that_ended_while_it_was_mended() -> None:
    campus, order_id, found = doubted()
    campus.ask(SettleDifference(difference_id=found.id, by="p_operator", reason="paid in cash"))

    payment_id = payment_of(OrderId(order_id))
    campus.ask(ReverseCapture(difference_id=found.id, payment_id=payment_id, escrow_fen=0, holds_order=True))
    campus.hear()

    campus.advance(f"{order_id}.1", SubStep.ACCEPT)


def hear_doubt_again(campus: Audited) -> None:
    """Core had laid the doubt aside, and hears it only now (`tuanzi parked hear`)."""
    sql = "SELECT number, name, version, body FROM events WHERE name = :name ORDER BY number"
    ((number, name, version, body),) = campus.rows(sql, {"name": OrderDoubted.name}, database="money")
    campus.core.database.execute_script(
        f"INSERT INTO parked_events VALUES ('money', {number}, '{name}', 'a listener failed', 0);"
    )
    campus.evict()
    hear = HearParked(source="money", number=number, name=name, version=version, body=body)
    campus._one(campus.core, Request(hear))
    campus.hear()


def test_an_order_goes_on_whose_doubt_was_laid_aside_and_is_heard_when_its_difference_has_ended() -> None:
    campus, order_id, found = doubted()
    campus.ask(SettleDifference(difference_id=found.id, by="p_operator", reason="paid in cash"))
    campus.hear()
    assert campus.rows("SELECT * FROM order_holds") == []

    hear_doubt_again(campus)

    assert campus.rows("SELECT * FROM order_holds") == []
    campus.advance(f"{order_id}.1", SubStep.ACCEPT)
    assert [(one.id, one.state, one.reason) for one in campus.differences()] == [
        (found.id, State.SETTLED, "paid in cash")
    ]


def test_an_order_stays_held_whose_doubt_is_heard_again_while_its_difference_is_open() -> None:
    campus, order_id, found = doubted()

    hear_doubt_again(campus)

    with campus.refused(OrderHeld):
        campus.advance(f"{order_id}.1", SubStep.ACCEPT)
    assert campus.rows("SELECT order_id, because FROM order_holds") == [(order_id, found.id)]


def test_d2_a_payment_that_the_bill_left_out_but_the_provider_knows_is_raised_and_not_reversed() -> None:
    campus = Audited()
    seats = campus.group(*students(3))
    campus.settle_refunds()
    payment_id = payment_of(seats[0].order_id)
    alter(campus, payment_id, lambda line: [])
    before = campus.balances()

    found = campus.next_bill(TODAY)

    assert the(found) == (Kind.UNKNOWN_THERE, payment_id, Mend.REVERSE_CAPTURE, State.OPEN, True)
    assert campus.balances() == before


def test_d2_a_refund_that_the_provider_never_made_is_sent_again_under_its_number() -> None:
    campus = Audited()
    seated = campus.open("m1")
    campus.pay(seated.order_id)
    campus.leave(seated.group_id, "m1")
    amount = campus.order(seated.order_id).paid.fen
    campus.settle_refund(f"{seated.order_id}.r1", amount)
    assert (campus.state(seated.order_id), campus.provider.refunded_fen) == ("refunded", 0)

    found = campus.next_bill(TODAY)

    number = f"{seated.order_id}*r1"
    assert the(found) == (Kind.UNKNOWN_THERE, number, Mend.RESEND_REFUND, State.REPAIRED, False)
    assert campus.provider.refunded_fen == amount
    agree(campus)


def test_d3_another_amount_is_set_aside_in_suspense_and_raised() -> None:
    campus = Audited()
    seats = campus.group(*students(3))
    campus.settle_refunds()
    payment_id = payment_of(seats[0].order_id)
    alter(campus, payment_id, lambda line: [replace(line, amount_fen=line.amount_fen - 1)])
    before = campus.balances()

    found = campus.next_bill(TODAY)

    assert the(found) == (Kind.AMOUNTS, payment_id, Mend.SET_ASIDE, State.OPEN, True)
    assert found[0].unexplained_fen == 1
    after = campus.balances()
    assert after["suspense"] == 1
    assert after["provider_clearing"] == before["provider_clearing"] - 1
    assert campus.held() == ["noodles"]


def test_d3_more_money_back_than_was_sent_leaves_less_with_the_provider() -> None:
    campus = Audited()
    seated = campus.open("m1")
    campus.pay(seated.order_id)
    campus.leave(seated.group_id, "m1")
    campus.settle_refunds()
    alter(campus, f"{seated.order_id}*r1", lambda line: [replace(line, amount_fen=line.amount_fen - 3)])

    found = campus.next_bill(TODAY)

    assert the(found) == (Kind.AMOUNTS, f"{seated.order_id}*r1", Mend.SET_ASIDE, State.OPEN, True)
    assert campus.balances() == {"provider_clearing": -3, "suspense": 3}


@pytest.fixture
def shared() -> tuple[Audited, str]:
    """A group whose orders were brought, completed and paid out in shares; the number of one part of a share."""
    campus = Audited()
    for seat in campus.group(*students(3)):
        campus.deliver(seat.order_id)
    campus.pass_time(hours=6)
    (number, account) = campus.rows(
        "SELECT s.out_order_no, p.account FROM shares s JOIN share_parts p ON p.share_id = s.id"
        " WHERE p.result = 'success' ORDER BY s.id, p.number LIMIT 1",
        database="money",
    )[0]
    return campus, f"{number}/{account}"


def test_a_day_with_shares_that_all_agree_has_no_difference(shared: tuple[Audited, str]) -> None:
    campus, _ = shared

    assert campus.next_bill(TODAY) == []

    assert campus.provider.shared_fen > 0
    campus.begin()
    assert campus.minute() == []


@pytest.mark.parametrize(
    ("change", "kind", "mend"),
    [
        (lambda line: [line, replace(line, key="another/m1")], Kind.UNKNOWN_HERE, Mend.NONE),
        (lambda line: [], Kind.UNKNOWN_THERE, Mend.NONE),
        (lambda line: [replace(line, amount_fen=line.amount_fen - 5)], Kind.AMOUNTS, Mend.SET_ASIDE),
        (lambda line: [line, line], Kind.TWICE, Mend.NONE),
    ],
    ids=["d1", "d2", "d3", "d5"],
)
def test_shares_that_differ_are_raised_for_a_person(
    shared: tuple[Audited, str], change: Alter, kind: Kind, mend: Mend
) -> None:
    campus, key = shared
    alter_share(campus, key, change)
    clearing = campus.balances().get("provider_clearing", 0)

    (found,) = campus.next_bill(TODAY)

    assert (found.kind, found.mend, found.state, found.is_raised) == (kind, mend, State.OPEN, True)
    assert found.item == ("another/m1" if kind is Kind.UNKNOWN_HERE else key)
    assert campus.balances().get("provider_clearing", 0) == clearing - (5 if mend is Mend.SET_ASIDE else 0)


def test_d4_a_share_that_is_under_way_here_and_done_there_is_awaited(shared: tuple[Audited, str]) -> None:
    campus, key = shared
    share_id = campus.rows("SELECT id FROM shares ORDER BY id LIMIT 1", database="money")[0][0]
    campus.plant("money", f"UPDATE shares SET state = 'sent', ended_at_ms = NULL WHERE id = '{share_id}';")

    found = campus.next_bill(TODAY)

    assert {(one.kind, one.mend, one.state) for one in found} == {(Kind.STATES, Mend.AWAIT, State.OPEN)}
    assert key in {one.item for one in found}
    campus.plant("money", f"UPDATE shares SET state = 'finished', ended_at_ms = sent_at_ms WHERE id = '{share_id}';")
    campus.pass_time(minutes=5)
    assert {one.state for one in campus.differences()} == {State.REPAIRED}


def test_a_journal_of_shares_that_is_gone_is_raised_and_no_balance_is_changed_for_it(
    shared: tuple[Audited, str],
) -> None:
    campus, _ = shared
    journal_id = campus.rows(
        "SELECT id FROM journals WHERE kind = 'share_given' ORDER BY id LIMIT 1", database="money"
    )[0][0]
    campus.plant(
        "money",
        f"DELETE FROM entries WHERE journal_id = '{journal_id}'; DELETE FROM journals WHERE id = '{journal_id}';",
    )
    before = campus.counted()
    campus.begin()

    first = campus.minute()
    second = campus.minute()

    assert [(one.kind, one.item, one.mend) for one in first] == [(Kind.ORDER_BOOK, journal_id, Mend.NONE)]
    assert len(second) > 2
    assert all(one.state is State.OPEN and one.mend is Mend.NONE for one in second)
    assert campus.counted() == before


def test_d4_a_payment_that_is_open_here_and_paid_there_is_captured() -> None:
    campus = Audited()
    seated = campus.open("m1")
    campus.pay_unheard(seated.order_id)
    campus.plant("money", payment_row(campus, seated.order_id, state="opened"))

    found = campus.next_bill(TODAY)

    assert the(found) == (Kind.STATES, payment_of(seated.order_id), Mend.ADVANCE_PAYMENT, State.REPAIRED, False)
    assert len(campus.told(PaymentCaptured)) == 1
    assert campus.state(seated.order_id) == "refunded"
    agree(campus)


def test_d4_a_refund_that_is_sent_here_and_settled_there_is_settled() -> None:
    campus = Audited()
    seated = campus.open("m1")
    campus.pay(seated.order_id)
    campus.leave(seated.group_id, "m1")
    campus.fire()
    campus.plant(
        "money",
        f"UPDATE refunds SET state = 'sent', settled_at_ms = NULL WHERE id = '{seated.order_id}.r1';"
        f"DELETE FROM entries WHERE journal_id = 'refund_settled:{seated.order_id}.r1';"
        f"DELETE FROM journals WHERE id = 'refund_settled:{seated.order_id}.r1';"
        f"UPDATE balances SET amount_fen = amount_fen + (SELECT amount_fen FROM refunds) * CASE account"
        f" WHEN 'provider_clearing' THEN 1 WHEN 'user_refund_payable' THEN -1 ELSE 0 END;",
    )
    campus.plant("core", "UPDATE orders SET state = 'refunding', refunds = replace(refunds, 'true', 'false');")

    found = campus.next_bill(TODAY)

    assert the(found) == (Kind.STATES, f"{seated.order_id}*r1", Mend.ADVANCE_REFUND, State.REPAIRED, False)
    assert campus.state(seated.order_id) == "refunded"
    agree(campus)


def test_d5_an_order_that_was_paid_twice_gets_the_later_payment_back() -> None:
    campus = Audited()
    seats = campus.group(*students(3))
    campus.settle_refunds()
    order, refunded_fen = campus.order(seats[0].order_id), campus.provider.refunded_fen
    campus.pay_unheard(order.id, payment_id="p_again")

    found = campus.next_bill(TODAY)

    assert the(found) == (Kind.TWICE, "p_again", Mend.REPLAY_CAPTURE, State.REPAIRED, False)
    assert campus.provider.refunded_fen == refunded_fen + order.paid.fen
    assert ("p_again.back", "settled") in campus.rows("SELECT id, state FROM refunds", database="money")
    assert campus.order(order.id) == order
    agree(campus)


def test_d5_a_line_that_stands_twice_in_a_bill_is_raised_and_moves_nothing() -> None:
    campus = Audited()
    seats = campus.group(*students(3))
    campus.settle_refunds()
    payment_id = payment_of(seats[0].order_id)
    alter(campus, payment_id, lambda line: [line, replace(line, transaction_id="another")])
    before = campus.balances()

    found = campus.next_bill(TODAY)

    assert the(found) == (Kind.TWICE, payment_id, Mend.NONE, State.OPEN, True)
    assert campus.balances() == before


def test_d5_a_payment_that_is_billed_under_another_transaction_is_raised_and_moves_nothing() -> None:
    campus = Audited()
    seats = campus.group(*students(3))
    campus.settle_refunds()
    payment_id = payment_of(seats[0].order_id)
    alter(campus, payment_id, lambda line: [replace(line, transaction_id="another")])
    before = campus.balances()

    found = campus.next_bill(TODAY)

    assert the(found) == (Kind.TWICE, payment_id, Mend.NONE, State.OPEN, True)
    assert campus.balances() == before


@pytest.fixture
def at_midnight() -> tuple[Audited, str]:
    """A payment that the ledger noted at 23:59:50, and the payment company ten seconds after midnight."""
    campus = Audited()
    seats = campus.group(*students(3), paid=2)
    campus.pass_time(until=datetime(2026, 11, 23, 23, 59, 50, tzinfo=SHANGHAI))
    order_id = seats[2].order_id
    campus.callback(campus.pay_unheard(order_id, later=timedelta(seconds=20)))
    return campus, payment_of(order_id)


def test_d6_what_midnight_divides_is_carried_a_day_and_found_in_the_next_bill(at_midnight: tuple[Audited, str]) -> None:
    campus, payment_id = at_midnight

    found = campus.next_bill(TODAY)
    assert the(found) == (Kind.CUT_OFF, payment_id, Mend.CARRY, State.CARRIED, False)
    assert campus.held() == []
    found = campus.next_bill(TODAY + timedelta(days=1))

    assert the(found) == (Kind.CUT_OFF, payment_id, Mend.CARRY, State.SETTLED, False)
    agree(campus)


def test_d6_what_is_not_in_the_next_bill_either_is_no_longer_carried(at_midnight: tuple[Audited, str]) -> None:
    campus, payment_id = at_midnight
    alter(campus, payment_id, lambda line: [])
    campus.next_bill(TODAY)

    found = campus.next_bill(TODAY + timedelta(days=1))

    assert [(one.kind, one.state) for one in found] == [
        (Kind.UNKNOWN_THERE, State.OPEN),
        (Kind.CUT_OFF, State.SETTLED),
    ]


def test_bills_that_contradict_each_other_are_not_compared_but_raised_and_asked_for_again() -> None:
    campus = Audited()
    campus.begin()
    seats = campus.group(*students(3))
    payment_id = payment_of(seats[0].order_id)

    def altered(kind: BillKind, on: date, lines: list[BillLine]) -> list[BillLine]:
        return [line for line in lines if kind is not BillKind.TRADES or line.key != payment_id]

    honest = campus.provider.alter
    campus.provider.alter = altered  # type: ignore[method-assign]
    assert campus.next_bill(TODAY) == []
    (told,) = campus.told(BillsUnusable)
    assert told.on_day == "2026-11-23"

    campus.provider.alter = honest  # type: ignore[method-assign]
    campus.pass_time(hours=2)

    assert campus.differences() == []
    assert campus.told(DifferenceRaised) == []
    assert [report.run_id[-16:] for report in campus.reports()] == ["daily.2026-11-23", "daily.2026-11-23"]


def test_days_whose_bills_are_gone_when_the_campus_comes_back_are_passed_over_and_that_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    campus, asked = Audited(), set[date]()
    campus.begin()
    campus.next_bill(TODAY)

    def note(kind: BillKind, on: date, lines: list[BillLine]) -> list[BillLine]:
        asked.add(on)
        return lines

    monkeypatch.setattr(campus.provider, "alter", note)
    campus.jump(days=200)
    campus.begin()
    campus.begin()
    campus.pass_time(seconds=1)

    today = campus.now.astimezone(SHANGHAI).date()
    assert [(told.on_day, told.reason) for told in campus.told(BillsUnusable)] == [
        ("2026-11-24", f"kept no more, as those until {today - timedelta(days=90)}")
    ]
    assert (min(asked), max(asked)) == (today - timedelta(days=90), today - timedelta(days=1))
    assert campus.differences() == []


def test_days_that_a_clock_passed_over_that_was_ahead_are_compared_after_a_restart() -> None:
    campus = Audited()
    campus.begin()
    right = campus.now
    campus.jump(days=400)
    campus.fire()
    campus.pass_time(minutes=2)
    ((passed,),) = campus.rows("SELECT billed FROM reconciliation_cursors", database="money")

    campus.now = right
    campus.kill()
    campus.begin()
    campus.next_bill(TODAY)
    seats = campus.group(*students(3))  # on the day after
    campus.settle_refunds()
    alter(campus, payment_of(seats[0].order_id), lambda line: [replace(line, amount_fen=line.amount_fen + 5)])
    before = campus.differences()
    found = campus.next_bill(TODAY + timedelta(days=1))

    assert passed > "2027-09"
    assert before == []
    assert the(found) == (Kind.AMOUNTS, payment_of(seats[0].order_id), Mend.SET_ASIDE, State.OPEN, True)
    assert campus.rows("SELECT billed FROM reconciliation_cursors", database="money") == [("2026-11-24",)]


def test_a_bill_that_lacks_the_whole_day_is_not_believed_and_reverses_nothing() -> None:
    campus = Audited()
    campus.group(*students(3))
    campus.settle_refunds()
    campus.provider.alter = lambda kind, on, lines: []  # type: ignore[method-assign]
    before = campus.counted()

    assert campus.next_bill(TODAY) == []

    assert [told.on_day for told in campus.told(BillsUnusable)] == ["2026-11-23"]
    assert campus.counted() == before


def test_what_a_bill_says_again_after_a_person_dealt_with_it_is_not_found_again() -> None:
    campus = Audited()
    seats = campus.group(*students(3))
    alter(
        campus,
        payment_of(seats[0].order_id),
        lambda line: [line, replace(line, key="stranger", amount_fen=-100, state=BillState.REFUNDED)],
    )
    (found,) = campus.next_bill(TODAY)
    campus.ask(SettleDifference(difference_id=found.id, by="p_operator", reason="a gift"))

    campus.ask(AskRun(by="p_operator", on=TODAY))

    (after,) = campus.differences()
    assert (after.state, after.occurrences, after.ended_by) == (State.SETTLED, 1, "p_operator")
    assert len(campus.told(DifferenceFound)) == 1


@pytest.mark.parametrize("asked", [False, True], ids=["every day", "asked for"])
def test_a_day_with_more_differences_than_one_run_tells_is_compared_until_all_are_told(asked: bool) -> None:
    campus = Audited()
    if not asked:
        campus.begin()
    seats = campus.group(*students(3))
    own = payment_of(seats[0].order_id)
    strangers = [f"stranger_{i:04}" for i in range(2 * FINDINGS_MAX + 1)]
    alter(
        campus,
        own,
        lambda line: [line, *[replace(line, key=key, amount_fen=-100, state=BillState.REFUNDED) for key in strangers]],
    )

    found = campus.next_bill(TODAY)

    assert [(one.kind, one.item) for one in found] == [(Kind.UNKNOWN_HERE, key) for key in strangers]
    assert len([one for one in campus.reports() if "2026-11-23" in one.run_id]) == 3
    assert len(campus.told(DifferenceFound)) == len(strangers)


def payment_row(campus: Audited, order_id: str, *, state: str) -> str:
    """The row of a payment in a state, of which nobody is reminded any more."""
    order = campus.order(order_id)
    payment_id = payment_of(order_id)
    return (
        "INSERT INTO payments VALUES"
        f" ('{payment_id}', '{order_id}', '{order.member_id}', {order.payable.fen}, '{state}', 'sandbox',"
        f" '{payment_id}', 0, NULL, NULL, 0, 0);"
    )
