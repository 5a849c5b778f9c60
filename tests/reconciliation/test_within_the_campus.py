"""A row that is changed or gone in any book of the campus is found within a minute, classified and mended (C3, P22)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import pytest

from tests.heart import LUNCH, run
from tests.reconciliation.auditor import Audited, Hand, Hands
from tuanzi import wiring
from tuanzi.base.time import to_ms
from tuanzi.events import DifferenceFound, DifferenceRaised, PaymentCaptured
from tuanzi.machinery.database import Ask
from tuanzi.machinery.internal import EVENTS_AFTER
from tuanzi.machinery.tables import Row
from tuanzi.money import payment_of
from tuanzi.money.model import OpenPayment
from tuanzi.reconciliation.handlers import Reconciler
from tuanzi.reconciliation.handlers.books import ORDERS_AT_ONCE, Comparison
from tuanzi.reconciliation.handlers.minute import EVENTS_AT_ONCE, EveryMinute
from tuanzi.reconciliation.model import CheckBooks, Cursor, Kind, Mend, RecordRun, State
from tuanzi.reconciliation.service import EVERY
from tuanzi.reconciliation.store import CURSORS

V = TypeVar("V")


def campus_at_work() -> Audited:
    """A campus with a group that was split at a better tier (its differences are paid back), one that waits, and one
    that came to nothing; its first comparisons are over."""
    campus = Audited()
    group = campus.open("m1", "beef", "milk-tea", campaign="steps")
    split = [group, *[campus.join(group.group_id, f"m{i}", "beef", "soup") for i in (2, 3, 4)]]
    for one in split:
        campus.pay(one.order_id)
    waiting = campus.open("w1", "soup", campaign="steps")
    campus.join(waiting.group_id, "w2", ("soup", 2))
    campus.pay(waiting.order_id)
    lost = campus.open("x1", "beef", campaign="steps")
    campus.pay(lost.order_id)
    campus.leave(lost.group_id, "x1")
    campus.begin()
    campus.pass_time(seconds=90)
    campus.ids = [one.order_id for one in split] + [waiting.order_id, lost.order_id]
    return campus


def test_a_campus_at_work_has_no_difference_and_says_nothing() -> None:
    campus = campus_at_work()

    campus.pass_time(minutes=30)

    assert campus.differences() == []
    assert campus.reports() == []
    assert campus.held() == []
    assert campus.rows("SELECT minute_runs FROM reconciliation_cursors", database="money")[0][0] > 30


class Planted(NamedTuple):
    """What is done to a row; `{o}` is the first order of the split group, `{w}` one that waits, `{x}` one refunded."""

    database: str
    script: str
    item: str
    mend: Mend


MENDED = {
    "a capture's debit is gone": Planted(
        "money", "DELETE FROM entries WHERE journal_id = 'capture:p{o}' AND line = 0;", "p{o}", Mend.RESTORE_CAPTURE
    ),
    "both lines of a capture are gone": Planted(
        "money", "DELETE FROM entries WHERE journal_id = 'capture:p{o}';", "p{o}", Mend.RESTORE_CAPTURE
    ),
    "a capture's journal is gone with its lines": Planted(
        "money",
        "DELETE FROM entries WHERE journal_id = 'capture:p{o}'; DELETE FROM journals WHERE id = 'capture:p{o}';",
        "p{o}",
        Mend.RESTORE_CAPTURE,
    ),
    "a line of a capture has another amount": Planted(
        "money",
        "UPDATE entries SET amount_fen = amount_fen - 700 WHERE journal_id = 'capture:p{o}' AND line = 1;",
        "p{o}",
        Mend.RESTORE_CAPTURE,
    ),
    "both lines of a capture have another amount": Planted(
        "money",
        "UPDATE entries SET amount_fen = amount_fen * 2 WHERE journal_id = 'capture:p{o}';",
        "p{o}",
        Mend.RESTORE_CAPTURE,
    ),
    "a line of a capture is in another account": Planted(
        "money",
        "UPDATE entries SET account = 'suspense' WHERE journal_id = 'capture:p{o}' AND line = 1;",
        "p{o}",
        Mend.RESTORE_CAPTURE,
    ),
    "the head of a capture has another turnover": Planted(
        "money",
        "UPDATE journals SET turnover_fen = 1 WHERE id = 'capture:p{o}';",
        "p{o}",
        Mend.RESTORE_CAPTURE,
    ),
    "a refund's settlement has another amount": Planted(
        "money",
        "UPDATE entries SET amount_fen = 1 WHERE journal_id = 'refund_settled:{o}.r1' AND line = 0;",
        "{o}.r1",
        Mend.RESTORE_REFUND,
    ),
    "a refund's settlement is gone": Planted(
        "money",
        "DELETE FROM entries WHERE journal_id = 'refund_settled:{x}.r1';"
        "DELETE FROM journals WHERE id = 'refund_settled:{x}.r1';",
        "{x}.r1",
        Mend.RESTORE_REFUND,
    ),
    "what was owed to a member is gone": Planted(
        "money", "DELETE FROM entries WHERE journal_id = 'refund_due:{x}.r1';", "{x}.r1", Mend.RESTORE_REFUND
    ),
    "a payment is gone": Planted("money", "DELETE FROM payments WHERE id = 'p{w}';", "p{w}", Mend.RESTORE_CAPTURE),
    "a payment has another amount": Planted(
        "money",
        "UPDATE payments SET amount_fen = 9999, captured_fen = 9999 WHERE id = 'p{w}';",
        "p{w}",
        Mend.RESTORE_CAPTURE,
    ),
    "a payment is no longer captured": Planted(
        "money",
        "UPDATE payments SET state = 'closed', captured_fen = 0 WHERE id = 'p{w}';",
        "p{w}",
        Mend.RESTORE_CAPTURE,
    ),
    "a payment forgot what was promised back": Planted(
        "money", "UPDATE payments SET refunded_fen = 0 WHERE id = 'p{x}';", "p{x}", Mend.RESTORE_CAPTURE
    ),
    "a refund is gone": Planted("money", "DELETE FROM refunds WHERE id = '{x}.r1';", "{x}.r1", Mend.RESTORE_REFUND),
    "a refund has another amount": Planted(
        "money", "UPDATE refunds SET amount_fen = 5 WHERE id = '{x}.r1';", "{x}.r1", Mend.RESTORE_REFUND
    ),
    "a refund is no longer settled": Planted(
        "money",
        "UPDATE refunds SET state = 'sent', settled_at_ms = NULL WHERE id = '{x}.r1';",
        "{x}.r1",
        Mend.RESTORE_REFUND,
    ),
    "a running balance is gone": Planted(
        "money",
        "DELETE FROM balances WHERE account = 'provider_clearing';",
        "balance:provider_clearing",
        Mend.RESTORE_BALANCE,
    ),
    "a running balance has another amount": Planted(
        "money",
        "UPDATE balances SET amount_fen = amount_fen + 1 WHERE account = 'order_escrow';",
        "balance:order_escrow",
        Mend.RESTORE_BALANCE,
    ),
    "an order forgot that it was paid": Planted(
        "core", "UPDATE orders SET paid_fen = 0 WHERE id = '{w}';", "{w}", Mend.RESTORE_ORDER
    ),
    "an order was paid another amount": Planted(
        "core", "UPDATE orders SET paid_fen = paid_fen + 1 WHERE id = '{o}';", "{o}", Mend.RESTORE_ORDER
    ),
    "an order has another price": Planted(
        "core", "UPDATE orders SET payable_fen = payable_fen + 1 WHERE id = '{o}';", "{o}", Mend.RESTORE_ORDER
    ),
    "an order forgot a refund": Planted(
        "core", "UPDATE orders SET refunds = '[]' WHERE id = '{o}';", "{o}#{o}.r1", Mend.RESTORE_ORDER
    ),
    "an order never heard that its refund arrived": Planted(
        "core",
        "UPDATE orders SET refunds = replace(refunds, 'true', 'false') WHERE id = '{o}';",
        "{o}#{o}.r1",
        Mend.RETELL_REFUND,
    ),
    "an order went back in its life": Planted(
        "core", "UPDATE orders SET state = 'cooking' WHERE id = '{o}';", "{o}", Mend.RESTORE_ORDER
    ),
    "a refunded order is refunding": Planted(
        "core", "UPDATE orders SET state = 'refunding' WHERE id = '{x}';", "{x}", Mend.RESTORE_ORDER
    ),
    "an order left its sub-orders": Planted(
        "core", "UPDATE orders SET sub_orders = 1 WHERE id = '{o}';", "{o}", Mend.RESTORE_ORDER
    ),
    "a sub-order is gone": Planted(
        "core", "DELETE FROM sub_orders WHERE id = '{o}.1';", "{o}/plan", Mend.RESTORE_SUB_ORDERS
    ),
    "a sub-order has another price": Planted(
        "core",
        "UPDATE sub_orders SET items_fen = items_fen + 9, payable_fen = payable_fen + 9 WHERE id = '{o}.1';",
        "{o}/plan",
        Mend.RESTORE_SUB_ORDERS,
    ),
    "portions are gone": Planted(
        "core", "DELETE FROM portions WHERE dish_id = 'beef';", f"portions:beef/{LUNCH}", Mend.RESTORE_PORTIONS
    ),
    "more portions are sold than anybody bought": Planted(
        "core",
        "UPDATE portions SET sold = sold + 1 WHERE dish_id = 'beef';",
        f"portions:beef/{LUNCH}",
        Mend.RESTORE_PORTIONS,
    ),
    "portions that are held are free": Planted(
        "core", "UPDATE portions SET held = 0 WHERE dish_id = 'soup';", f"portions:soup/{LUNCH}", Mend.RESTORE_PORTIONS
    ),
}


def named(text: str, campus: Audited) -> str:
    """A script or item with the orders' ids in it; a payment's id is its order's with another beginning."""
    for letter, order_id in zip("owx", (campus.ids[0], campus.ids[4], campus.ids[5]), strict=True):
        text = text.replace(f"p{{{letter}}}", "p" + order_id[1:]).replace(f"{{{letter}}}", order_id)
    return text


@pytest.mark.parametrize("forgets", [True, False], ids=["from disk", "with memory"])
@pytest.mark.parametrize("what", MENDED)
def test_what_is_planted_is_classified_and_mended_without_a_person(what: str, forgets: bool) -> None:
    campus = campus_at_work()
    before = campus.counted()
    planted = MENDED[what]

    campus.plant(planted.database, named(planted.script, campus), forgets=forgets)
    assert campus.counted() != before
    campus.minute()

    found = campus.differences()
    assert [(one.kind, one.item, one.mend) for one in found] == [
        (Kind.ORDER_BOOK, named(planted.item, campus), planted.mend)
    ]
    assert found[0].state is State.REPAIRED, found[0]
    assert campus.counted() == before
    assert campus.held() == []
    assert campus.minute() == found


def test_a_payment_that_is_gone_with_all_that_booked_it_is_what_the_provider_says_and_is_not_told_again() -> None:
    campus = campus_at_work()
    waits = campus.ids[4]
    before, told = campus.counted(), len(campus.told(PaymentCaptured))

    script = (
        "DELETE FROM payments WHERE id = 'p{w}'; DELETE FROM entries WHERE journal_id = 'capture:p{w}';"
        "DELETE FROM journals WHERE id = 'capture:p{w}';"
    )
    campus.plant("money", named(script, campus))
    (found,) = campus.minute()

    assert (found.kind, found.item, found.mend) == (Kind.ORDER_BOOK, payment_of(waits), Mend.RESTORE_CAPTURE)
    assert (found.state, found.unexplained_fen) == (State.REPAIRED, campus.order(waits).paid.fen)
    after = campus.counted()
    for name in ("core.orders", "money.entries", "money.balances", "money.refunds"):
        assert after[name] == before[name]
    # When it came is lost; the rest is not.
    assert _without(after["money.payments"], "captured_at_ms") == _without(before["money.payments"], "captured_at_ms")
    assert _without(after["money.journals"], "at_ms") == _without(before["money.journals"], "at_ms")
    assert len(campus.told(PaymentCaptured)) == told


def _without(rows: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    return [{name: cell for name, cell in row.items() if name != column} for row in rows]


RAISED = {
    "an order is gone": Planted("core", "DELETE FROM orders WHERE id = '{w}';", "{w}", Mend.NONE),
    "an order's row is no order": Planted("core", "UPDATE orders SET quote = '{{' WHERE id = '{w}';", "{w}", Mend.NONE),
    "an order is in a state that nothing proves": Planted(
        "core", "UPDATE orders SET state = 'created' WHERE id = '{w}';", "{w}", Mend.NONE
    ),
    "a payment is there that nobody made": Planted(
        "money",
        "INSERT INTO payments SELECT 'p_forged', order_id, member_id, amount_fen, state, provider, 'p_forged',"
        " opened_at_ms, 't_forged', captured_at_ms, captured_fen, refunded_fen FROM payments WHERE id = 'p{w}';",
        "p_forged",
        Mend.RESTORE_CAPTURE,
    ),
}


@pytest.mark.parametrize("what", RAISED)
def test_what_nothing_proves_is_raised_with_its_evidence_and_changes_nothing(what: str) -> None:
    campus = campus_at_work()
    planted = RAISED[what]

    campus.plant(planted.database, named(planted.script, campus).replace("{{", "{"))
    before = campus.counted()
    campus.minute()

    (found,) = campus.differences()
    assert (found.kind, found.item, found.mend) == (Kind.ORDER_BOOK, named(planted.item, campus), planted.mend)
    assert (found.state, found.is_raised) == (State.OPEN, True)
    assert found.unexplained_fen > 0
    assert campus.ids[4] in found.evidence
    assert campus.counted() == before
    assert campus.minute() == [found]
    assert len(campus.told(DifferenceFound)) == 1
    assert len(campus.told(DifferenceRaised)) == (0 if planted.mend is Mend.NONE else 1)


def test_c4_money_of_another_amount_than_asked_is_told_to_a_person_for_it_waits_in_suspense() -> None:
    campus = campus_at_work()
    order_id = campus.open("y1", "beef", campaign="steps").order_id
    payment_id = payment_of(order_id)
    asked = OpenPayment(payment_id=payment_id, order_id=order_id, member_id="y1", amount_fen=2201, provider="sandbox")
    campus.ask(asked)

    campus.capture(order_id, amount_fen=2101)
    campus.minute()

    (found,) = campus.differences()
    assert (found.kind, found.item, found.mend) == (Kind.AMOUNTS, payment_id, Mend.NONE)
    assert (found.state, found.is_raised, found.unexplained_fen) == (State.OPEN, True, 2101)
    assert campus.balances()["suspense"] == -2101
    assert campus.minute() == [found]


def test_a_campus_that_is_behind_catches_up_first_and_at_once() -> None:
    campus = campus_at_work()
    reconciler = Reconciler(Hands(campus), campus.provider, hears=lambda: wiring.names_heard(campus.rooms), moved_max=3)
    campus.pay(campus.open("late", "soup", campaign="steps").order_id)
    before = cursor_of(campus)

    record = run(reconciler.check_books(CheckBooks(), now=campus.now))

    assert (record.is_behind, record.orders_read) == (True, 1)
    assert record.cursor.core_number == before.core_number + 3
    assert (record.cursor.swept, record.cursor.summed_at) == (before.swept, before.summed_at)
    campus.tell(record)
    (due,) = campus.rows("SELECT due_at_ms FROM timers WHERE id = 'reconciliation:books'", database="money")
    assert due == (to_ms(campus.now),)


def test_a_campus_that_comes_no_further_is_looked_at_in_a_minute() -> None:
    """Where core hears nothing of money, all is under way, and the next run would come no further either."""
    campus = campus_at_work()
    campus.plant("core", "UPDATE follower_positions SET number = 0 WHERE source = 'money';", forgets=False)
    campus.plant("money", "UPDATE reconciliation_cursors SET money_number = 0;")
    reconciler = Reconciler(Hands(campus), campus.provider, hears=lambda: wiring.names_heard(campus.rooms), moved_max=3)
    before = cursor_of(campus)

    record = run(reconciler.check_books(CheckBooks(), now=campus.now))

    assert (record.is_behind, record.under_way > 0) == (False, True)
    assert (record.cursor.core_number, record.cursor.money_number) == (before.core_number, 0)
    campus.tell(record)
    (due,) = campus.rows("SELECT due_at_ms FROM timers WHERE id = 'reconciliation:books'", database="money")
    assert due == (to_ms(campus.now + EVERY),)


def test_a_run_compares_so_many_orders_that_it_ends_in_time() -> None:
    """Issue 2: comparing beside a rush takes long, and an errand has 30 s."""
    campus = campus_at_work()
    hands = Hands(campus)
    comparison = Comparison(hands, hears=lambda: wiring.names_heard(campus.rooms))
    minute = EveryMinute(hands, comparison, orders_max=40)
    campus.set_portions("soup", 400)
    opened = [campus.open(f"c{i}", "soup", campaign="steps").order_id for i in range(180)]

    runs: list[RecordRun] = []
    while not runs or runs[-1].is_behind:
        runs.append(run(minute.check_books(CheckBooks(), now=campus.now)))
        campus.tell(runs[-1])
    calm = run(minute.check_books(CheckBooks(), now=campus.now))

    # Those of a page of events; the rest, and of the round what is left; then the round alone.
    assert [one.orders_read for one in [*runs, calm]] == [167, 40, 40]
    assert runs[0].cursor.swept == ""
    assert len(opened) <= 167 + 40


def test_a_look_is_at_few_orders_and_events_so_that_people_wait_little() -> None:
    """Issue 2: while a look lasts, people's commands wait for Python's lock again and again."""
    campus = campus_at_work()
    campus.set_portions("soup", 400)
    opened = {campus.open(f"c{i}", "soup", campaign="steps").order_id for i in range(180)}
    hands = Watched(campus)
    reconciler = Reconciler(hands, campus.provider, hears=lambda: wiring.names_heard(campus.rooms))
    before = cursor_of(campus)

    record = run(reconciler.check_books(CheckBooks(), now=campus.now))

    ((events,),) = campus.rows("SELECT event_number FROM writer_cursor")
    assert (record.is_behind, record.cursor.core_number) == (False, events)
    assert events - before.core_number > EVENTS_AT_ONCE
    for looks in (hands.core.looks, hands.money.looks):
        assert max(look.events for look in looks if not look.orders) <= EVENTS_AT_ONCE
        assert max(len(look.orders & opened) for look in looks) == ORDERS_AT_ONCE
        assert set.union(*[look.orders for look in looks]) >= opened


def test_a_meals_portions_are_added_up_a_few_orders_at_once() -> None:
    """Issue 2: a lunch of 20,000 orders takes half a second of a reading thread."""
    campus = campus_at_work()
    campus.set_portions("soup", 400)
    for i in range(180):
        campus.open(f"c{i}", "soup", campaign="steps")
    held, sold = campus.held_and_sold("soup")
    campus.plant("core", "UPDATE portions SET held = held + 1 WHERE dish_id = 'soup';")
    hands = Watched(campus)
    reconciler = Reconciler(hands, campus.provider, hears=lambda: wiring.names_heard(campus.rooms))

    record = run(reconciler.check_books(CheckBooks(), now=campus.now))

    (found,) = [one.difference for one in record.findings]
    assert [side.says for side in found.sides] == [f"{held} held, {sold} sold", f"{held + 1} held, {sold} sold"]
    orders = campus.rows("SELECT COUNT(*) FROM orders WHERE state <> 'cancelled'")[0][0]
    assert len([look for look in hands.core.looks if not look.asked]) == math.ceil(orders / ORDERS_AT_ONCE) == 4


class Look:
    """What one look asked for: orders and payments by the ids of orders, and how many events it read."""

    def __init__(self) -> None:
        self.asked = 0
        self.orders: set[str] = set()
        self.events = 0


class WatchedHand(Hand):
    """One database as the reconciliation reaches it, and how it looked."""

    def __init__(self, campus: Audited, kind: str) -> None:
        super().__init__(campus, kind)
        self.looks: list[Look] = []

    async def look(self, reading: Callable[[Ask], V]) -> V:
        """Nobody else works meanwhile."""
        self.looks.append(look := Look())

        def watched(ask: Ask) -> V:
            def asked(sql: str, slots: Mapping[str, Any] | None = None) -> list[Row]:
                rows = ask(sql, slots)
                look.asked += 1
                look.events += len(rows) if sql is EVENTS_AFTER else 0
                look.orders |= {value for name, value in (slots or {}).items() if name.startswith("id")}
                return rows

            return reading(asked)

        return await super().look(watched)


class Watched(Hands):
    """The books of a campus, and how they were looked at."""

    core: WatchedHand
    money: WatchedHand

    def __init__(self, campus: Audited) -> None:
        self.core = WatchedHand(campus, "core")
        self.money = WatchedHand(campus, "money")


def cursor_of(campus: Audited) -> Cursor:
    """How far the comparisons are."""
    (row,) = campus.rows(f"SELECT {', '.join(CURSORS.columns)} FROM reconciliation_cursors", database="money")
    return CURSORS.from_row(row)
