"""C1, C4: paying, asking and refunding through a provider that fails, on the real writer; and the room's pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.money.till import MEMBER, NOON, ORDER, PAYMENT, Till, proven
from tuanzi.base.ids import PersonId, SessionId
from tuanzi.base.money import ZERO
from tuanzi.base.problem import Unknown
from tuanzi.base.who import Role, Who
from tuanzi.events import PaymentCaptured, RefundDue, RefundRefused, RefundSettled
from tuanzi.money import (
    AccountOff,
    Awaiting,
    Cashier,
    Fault,
    LedgerProof,
    PaymentRefused,
    PaymentState,
    ProviderUnreachable,
    SandboxProvider,
    prove_ledger,
    trial_balance,
)
from tuanzi.money.model import RecordCapture
from tuanzi.money.problems import PaymentEnded
from tuanzi.money.queries import payments_page
from tuanzi.money.vendors import PaymentSeen, RefundAsked, TradeState
from tuanzi.money.web import AccountsQuery, PaymentsQuery

CAPTURED = PaymentCaptured(order_id=ORDER, payment_id=PAYMENT, amount_fen=1200, captured_at=NOON)
MINUTE = timedelta(minutes=1)
# Each leader has earned a fen: a journal of two entries, and an account of his own.
LEADERS = 25_000
LED_BY_EVERYBODY = f"""
CREATE TEMP TABLE leaders AS
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {LEADERS}) SELECT i FROM n;
INSERT INTO journals SELECT 'led:' || i, 'share', 'led', 2, 1, 0 FROM leaders;
INSERT INTO entries (journal_id, line, account, order_id, amount_fen)
    SELECT 'led:' || i, 0, 'platform_income', 'o_led', 1 FROM leaders
    UNION ALL SELECT 'led:' || i, 1, 'campus_agent_payable:u_' || i, 'o_led', -1 FROM leaders;
INSERT INTO balances (account, amount_fen) SELECT 'campus_agent_payable:u_' || i, -1 FROM leaders;
INSERT INTO balances (account, amount_fen) VALUES ('platform_income', {LEADERS});
"""


class Faulty:
    """A sandbox whose next calls of an operation go wrong as told; `calls` are all that reached it."""

    def __init__(
        self, *, pays_at_once: bool = True, remembered_max: int | None = None, **broken: list[Fault | None]
    ) -> None:
        self.broken = broken
        self.calls: list[tuple[str, str]] = []
        self.sandbox = SandboxProvider(pays_at_once=pays_at_once, faults=self._fault, remembered_max=remembered_max)
        self.till = Till(self.sandbox)
        self.cashier = Cashier(self.sandbox)

    async def pay(self, *, order_id: str = ORDER) -> Any:
        """A member pays 12 yuan."""
        return await self.cashier.pay(
            self.till, order_id=order_id, member_id=MEMBER, amount_fen=1200, now=self.till.now
        )

    def _fault(self, operation: str, number: str) -> Fault | None:
        self.calls.append((operation, number))
        left = self.broken.get(operation)
        return left.pop(0) if left else None


def due(refund_id: str = "r_1", amount_fen: int = 1200) -> RefundDue:
    """Core says that money must go back."""
    return RefundDue(refund_id=refund_id, order_id=ORDER, member_id=MEMBER, amount_fen=amount_fen, reason="failed")


def who(person_id: str = MEMBER, *roles: Role) -> Who:
    """Somebody signed in."""
    return Who(person_id=PersonId(person_id), session_id=SessionId("s"), roles=frozenset(roles))


OPERATOR = who("op", Role.OPERATOR)


async def ask(
    house: Faulty, method_path: str, *, by: Who, path: Mapping[str, str] | None = None, query: Any = None
) -> Any:
    """The answer of one of the room's routes."""
    (route,) = [each for each in house.till.room.routes if f"{each.method} {each.path}" == method_path]
    return await route.handler(house.till.call(who=by, path={"campus": "beijing", **(path or {})}, query=query))


async def test_a_payment_that_is_paid_at_once_is_one_command_and_one_numbered_event() -> None:
    house = Faulty()

    committed = await house.pay()

    assert committed.events == ((1, CAPTURED),)
    assert committed.answer.state is PaymentState.CAPTURED
    assert [type(command) for command in house.till.commands] == [RecordCapture]
    assert house.till.balances() == {"provider_clearing": 1200, "order_escrow": -1200}


async def test_paying_again_is_the_same_payment_and_gets_the_same_answer() -> None:
    house = Faulty()
    first = await house.pay()

    again = await house.pay()

    assert again.events == ()
    assert again.answer == first.answer
    assert house.till.events == [CAPTURED]
    assert house.sandbox.paid_fen == 1200


@pytest.mark.parametrize("fault", [Fault.UNREACHABLE, Fault.ANSWER_LOST])
async def test_paying_again_after_no_answer_charges_once_under_the_same_number(fault: Fault) -> None:
    house = Faulty(open=[fault])
    with pytest.raises(ProviderUnreachable):
        await house.pay()
    assert house.till.events == []

    await house.pay()

    assert house.calls == [("open", PAYMENT), ("open", PAYMENT)]
    assert house.till.events == [CAPTURED]
    assert house.sandbox.paid_fen == 1200


async def test_a_charge_nobody_was_told_of_is_found_by_asking() -> None:
    house = Faulty(open=[Fault.ANSWER_LOST])
    with pytest.raises(ProviderUnreachable):
        await house.pay()

    await house.till.pass_time(timedelta(seconds=30))

    assert house.sandbox.paid_fen == 1200
    assert house.till.column("SELECT state FROM payments") == ["captured"]
    assert [type(event) for event in house.till.events] == [PaymentCaptured]


async def test_a_charge_nobody_was_told_of_is_asked_about_however_busy_the_campus_was() -> None:
    house = Faulty(open=[Fault.ANSWER_LOST])
    house.till.is_busy = True

    with pytest.raises(ProviderUnreachable):
        await house.pay()
    house.till.is_busy = False
    await house.till.pass_time(timedelta(seconds=30))

    assert house.till.column("SELECT state FROM payments") == ["captured"]
    assert [type(event) for event in house.till.events] == [PaymentCaptured]


async def test_a_member_who_has_to_pay_gets_what_his_client_needs() -> None:
    house = Faulty(pays_at_once=False)

    first = await house.pay()
    again = await house.pay()

    awaiting = Awaiting(
        payment_id=PAYMENT, order_id=ORDER, amount_fen=1200, provider="sandbox", prepay={"sandbox": PAYMENT}
    )
    assert first == again == awaiting
    assert house.till.events == []
    assert house.till.column("SELECT state FROM payments") == ["opened"]


async def test_paying_again_with_the_key_of_the_opening_records_the_capture() -> None:
    house = Faulty(pays_at_once=False)
    await house.pay()
    house.sandbox.pay(PAYMENT, now=NOON)

    committed = await house.pay()

    assert committed.events == ((1, CAPTURED),)


async def test_a_refused_payment_is_kept_as_refused_and_told_to_the_member() -> None:
    house = Faulty(open=[Fault.REFUSE])

    with pytest.raises(PaymentRefused):
        await house.pay()

    assert house.till.column("SELECT state FROM payments") == ["refused"]
    assert (await house.pay()).answer.state is PaymentState.CAPTURED
    assert house.till.events == [CAPTURED]


async def test_a_lost_callback_is_made_good_by_asking_after_30_seconds() -> None:
    house = Faulty(pays_at_once=False)
    await house.pay()
    house.sandbox.pay(PAYMENT, now=NOON)

    await house.till.pass_time(timedelta(seconds=29))
    assert house.till.events == []
    await house.till.pass_time(timedelta(seconds=1))

    assert [type(event) for event in house.till.events] == [PaymentCaptured]
    assert house.till.column("SELECT id FROM timers") == []


async def test_a_payment_nobody_pays_is_closed_at_the_provider_after_2_hours() -> None:
    house = Faulty(pays_at_once=False, query=[None, Fault.UNREACHABLE], close=[Fault.UNREACHABLE, Fault.ANSWER_LOST])
    await house.pay()

    await house.till.pass_time(timedelta(hours=2) - MINUTE)
    assert house.till.column("SELECT state FROM payments") == ["opened"]
    await house.till.pass_time(timedelta(minutes=15))

    assert house.till.column("SELECT state FROM payments") == ["closed"]
    assert house.till.column("SELECT id FROM timers") == []
    with pytest.raises(PaymentEnded):
        house.sandbox.pay(PAYMENT, now=house.till.now)


async def test_money_that_came_just_before_closing_is_captured_instead() -> None:
    house = Faulty(pays_at_once=False, query=[Fault.UNREACHABLE] * 200)
    await house.pay()
    house.sandbox.pay(PAYMENT, now=NOON)

    await house.till.pass_time(timedelta(hours=4))

    assert house.till.column("SELECT state FROM payments") == ["captured"]
    assert len(house.till.events) == 1


async def test_a_refund_that_is_due_is_sent_and_settled() -> None:
    house = Faulty()
    await house.pay()

    house.till.hear(due())
    await house.till.pass_time()

    assert house.till.events == [CAPTURED, RefundSettled(refund_id="r_1", order_id=ORDER, amount_fen=1200)]
    assert house.till.balances() == {}
    assert house.sandbox.refunded_fen == 1200
    assert house.till.column("SELECT id FROM timers") == []


async def test_an_unknown_refund_is_repeated_under_its_number_until_it_is_known() -> None:
    house = Faulty(refund=[Fault.UNREACHABLE, Fault.ANSWER_LOST])
    await house.pay()
    house.till.hear(due())

    failed = await house.till.pass_time(5 * MINUTE)

    assert failed == 2
    assert [call for call in house.calls if call[0] == "refund"] == [("refund", "r_1")] * 3
    assert house.sandbox.refunded_fen == 1200
    assert house.till.balances() == {}
    assert house.till.events[1:] == [RefundSettled(refund_id="r_1", order_id=ORDER, amount_fen=1200)]


async def test_a_slow_refund_is_asked_about_until_it_is_settled() -> None:
    house = Faulty(refund=[Fault.LATE], query_refund=[None, Fault.UNREACHABLE])
    await house.pay()
    house.till.hear(due())
    await house.till.pass_time()
    assert house.till.column("SELECT state FROM refunds") == ["sent"]
    house.till.forget()

    await house.till.pass_time(30 * MINUTE)

    assert house.till.column("SELECT state FROM refunds") == ["settled"]
    assert [call for call in house.calls if call[0] == "refund"] == [("refund", "r_1")]
    assert house.till.balances() == {}


async def test_a_refund_the_provider_has_forgotten_is_sent_again_under_its_number() -> None:
    house = Faulty(remembered_max=1, refund=[Fault.LATE])
    await house.pay()
    house.till.hear(due())
    await house.till.pass_time()
    other = RefundAsked(out_refund_no="r_x", out_trade_no=PAYMENT, amount_fen=1, captured_fen=1200, reason="")
    await house.sandbox.refund(other, now=NOON)

    await house.till.pass_time(MINUTE)

    assert [call for call in house.calls if call == ("refund", "r_1")] == [("refund", "r_1")] * 2
    assert [call for call in house.calls if call[0] == "query_refund"] == [("query_refund", "r_1")]


async def test_what_the_provider_reports_of_one_payment_is_not_recorded_for_another() -> None:
    seen = PaymentSeen(
        out_trade_no="p_cheap",
        state=TradeState.PAID,
        amount_fen=1200,
        transaction_id="t",
        attach=f"{PAYMENT} {ORDER} m",
    )

    with pytest.raises(ValueError, match="p_cheap"):
        Cashier(SandboxProvider()).capture_of(seen)


async def test_a_refund_the_provider_refuses_stays_owed() -> None:
    house = Faulty(refund=[Fault.REFUSE])
    await house.pay()
    house.till.hear(due())

    await house.till.pass_time(60 * MINUTE)

    assert house.till.events[1:] == [RefundRefused(refund_id="r_1", order_id=ORDER, amount_fen=1200, reason="refused")]
    assert house.till.balances() == {"provider_clearing": 1200, "user_refund_payable": -1200}


async def test_a_refund_heard_before_the_capture_is_paid_when_the_capture_comes() -> None:
    house = Faulty()
    house.till.hear(due())
    await house.till.pass_time(MINUTE)
    assert house.till.column("SELECT state FROM refunds") == ["waiting"]

    await house.pay()
    await house.till.pass_time(10 * MINUTE)

    assert house.till.column("SELECT state FROM refunds") == ["settled"]
    assert house.till.balances() == {}


async def test_the_trial_balance_shows_what_accounts_come_to_and_that_the_ledger_was_not_proven_yet() -> None:
    house = Faulty(refund=[Fault.LATE])
    await house.pay()
    house.till.hear(due(amount_fen=500))
    await house.till.pass_time()

    shown = await ask(house, "GET /v1/campuses/{campus}/ledger/trial-balance", by=OPERATOR, query=AccountsQuery())

    accounts = [(each.account, each.balance_fen) for each in shown.accounts]
    assert accounts == [("order_escrow", -700), ("provider_clearing", 1200), ("user_refund_payable", -500)]
    assert (shown.next, shown.account_count, shown.debit_fen, shown.credit_fen) == (None, 3, 1200, 1200)
    assert (shown.difference_fen, shown.agrees, shown.unbalanced_journals, shown.proof) == (0, None, (), None)


async def test_the_trial_balance_of_an_empty_ledger_comes_to_nothing() -> None:
    shown = await ask(Faulty(), "GET /v1/campuses/{campus}/ledger/trial-balance", by=OPERATOR, query=AccountsQuery())

    assert (shown.accounts, shown.next, shown.account_count) == ((), None, 0)
    assert (shown.debit_fen, shown.credit_fen, shown.difference_fen, shown.agrees) == (0, 0, 0, None)


async def test_a_campus_where_everybody_once_led_a_group_is_summed_and_shown_whole() -> None:
    house = Faulty()
    await house.pay()
    house.till.database.execute_script(LED_BY_EVERYBODY)

    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = await trial_balance(house.till, after=after, limit=5_000)
        seen += [one.account for one in page.accounts]
        after = page.next
    found = proven(house.till)

    assert len(seen) == len(set(seen)) == page.account_count == LEADERS + 3
    assert (page.debit_fen, page.credit_fen, page.difference_fen) == (LEADERS + 1200, LEADERS + 1200, 0)
    assert (found.agrees, found.entries, found.difference, found.off_count) == (True, 2 * LEADERS + 2, ZERO, 0)

    last = "campus_agent_payable:u_25000"
    house.till.database.execute_script(f"UPDATE balances SET amount_fen = -2 WHERE account = '{last}';")
    assert [one.account for one in proven(house.till).accounts_off] == [last]
    assert (await trial_balance(house.till)).difference_fen == -1


async def test_reading_the_whole_ledger_proves_it_or_finds_what_was_tampered_with() -> None:
    house = Faulty()
    await house.pay()
    whole = proven(house.till)
    house.till.database.execute_script("UPDATE entries SET amount_fen = 1 WHERE line = 0;")

    found = proven(house.till)

    assert (whole.agrees, whole.entries, whole.difference, whole.off_count) == (True, 2, ZERO, 0)
    assert (found.agrees, found.entries, found.difference.fen, found.off_count) == (False, 2, -1199, 1)
    assert found.accounts_off == (AccountOff(account="provider_clearing", summed_fen=1, running_fen=1200),)
    assert (found.unbalanced, found.proven_at) == ((f"capture:{PAYMENT}",), house.till.now)


async def test_a_sum_alone_looks_at_no_journal() -> None:
    house = Faulty()
    await house.pay()
    house.till.database.execute_script("UPDATE journals SET entry_count = 3;")

    _, found = house.till.database.look(lambda ask: prove_ledger(ask, now=house.till.now, is_full=False))

    assert (found.agrees, found.unbalanced, found.proven_at) == (True, (), None)
    assert not proven(house.till).agrees


def test_of_readings_that_come_home_in_another_order_the_later_ones_are_kept() -> None:
    early = proof(at=0, journals=("capture:p_1",))
    late = proof(at=2)
    later = proof(at=3, entries=8)

    assert early.after(None) == early
    assert late.after(early) == msgspec.structs.replace(late, proven_at=early.proven_at, unbalanced=("capture:p_1",))
    assert early.after(late) == late.after(early)
    assert proof(at=1, journals=()).after(early).unbalanced == ()
    assert early.after(proof(at=1, journals=())) == proof(at=1, journals=())
    assert later.after(late.after(early)) == msgspec.structs.replace(
        later, proven_at=early.proven_at, unbalanced=("capture:p_1",)
    )


def proof(*, at: int, entries: int = 2, journals: tuple[str, ...] | None = None) -> LedgerProof:
    """What a reading at a minute said; journals: the unbalanced ones, where they were looked at."""
    read_at = NOON + at * MINUTE
    return LedgerProof(
        summed_at=read_at,
        entries=entries,
        difference=ZERO,
        off_count=0,
        accounts_off=(),
        proven_at=None if journals is None else read_at,
        unbalanced=journals or (),
    )


async def test_payments_are_listed_by_pages() -> None:
    house = Faulty()
    for i in range(5):
        await house.pay(order_id=f"o_00000{i}")
    route = "GET /v1/campuses/{campus}/payments"

    first = await ask(house, route, by=who("op", Role.OPERATOR), query=PaymentsQuery(limit=2))
    second = await ask(house, route, by=who("op", Role.OPERATOR), query=PaymentsQuery(limit=2, after=first.next))
    last = await payments_page(house.till, after=second.next, limit=1)

    assert [each.id for each in first.items + second.items + last.items] == [f"p_00000{i}" for i in range(5)]
    assert (first.next, second.next, last.next) == ("p_000001", "p_000003", None)


async def test_a_member_pays_with_play_money_and_the_callback_is_delivered() -> None:
    house = Faulty(pays_at_once=False)
    await house.pay()
    route = "POST /v1/campuses/{campus}/sandbox/payments/{payment_id}/pay"

    paid = [await ask(house, route, by=who(), path={"payment_id": PAYMENT}) for _ in range(2)]

    assert [each.state for each in paid] == ["captured", "captured"]
    assert house.till.events == [CAPTURED]
    with pytest.raises(Unknown):
        await ask(house, route, by=who("m_other"), path={"payment_id": PAYMENT})
    with pytest.raises(Unknown):
        await ask(house, route, by=who(), path={"payment_id": "p_unheard"})


async def test_who_pays_has_the_callbacks_of_his_own_campus_delivered_and_no_others() -> None:
    """One sandbox serves all campuses: a callback in another's books is of a payment that is not there."""
    house = Faulty(pays_at_once=False)
    await house.pay()
    await house.pay(order_id="o_elsewhere")
    elsewhere = house.sandbox.pay("p_elsewhere", now=house.till.now, campus="shanghai")
    route = "POST /v1/campuses/{campus}/sandbox/payments/{payment_id}/pay"

    await ask(house, route, by=who(), path={"payment_id": PAYMENT})

    assert house.till.events == [CAPTURED]
    assert house.sandbox.take_callbacks(now=house.till.now, campus="beijing") == []
    assert house.sandbox.take_callbacks(now=house.till.now, campus="shanghai") == [elsewhere]


async def test_play_money_pays_a_payment_that_the_sandbox_forgot_by_a_restart() -> None:
    house = Faulty(pays_at_once=False, remembered_max=1)
    await house.pay()
    await house.pay(order_id="o_later1")
    route = "POST /v1/campuses/{campus}/sandbox/payments/{payment_id}/pay"

    paid = await ask(house, route, by=who(), path={"payment_id": PAYMENT})

    assert paid.state == "captured"


def test_only_operators_see_the_whole_campus_and_only_the_signed_in_anything() -> None:
    routes = Till(SandboxProvider()).room.routes

    assert {route.path.removeprefix("/v1/campuses/{campus}"): route.roles for route in routes} == {
        "/ledger/trial-balance": {Role.OPERATOR},
        "/payments": {Role.OPERATOR},
        "/sandbox/payments/{payment_id}/pay": frozenset(),
    }
    assert all(route.signed_in for route in routes)


async def test_the_play_money_route_is_only_there_with_the_sandbox() -> None:
    class Other:
        """Some real payment company."""

        name = "other"

    till = Till(Other())  # type: ignore[arg-type]

    assert [route.path for route in till.room.routes if "sandbox" in route.path] == []
