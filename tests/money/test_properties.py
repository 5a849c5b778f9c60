"""C2, C4, B5: whatever comes, in whatever order, every journal balances and no fen is made, lost or paid back twice."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from contextlib import suppress
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bench_unit import BenchUnit
from tests.money.till import MEMBER, NOON, Till, bench, proven
from tuanzi.base.problem import Problem, Unknown
from tuanzi.events import PaymentCaptured, RefundDue, RefundRefused, RefundSettled
from tuanzi.money import Cashier, Fault, SandboxProvider, ledger_sums, trial_balance
from tuanzi.money.model import (
    Balance,
    ClosePayment,
    Entry,
    JournalHead,
    OpenPayment,
    Payment,
    RecordCapture,
    RecordRefund,
    Refund,
    RefundProgress,
    RefundState,
    RetryRefund,
)
from tuanzi.money.service import close_payment, open_payment, record_capture, record_refund
from tuanzi.sharing import on_refund_due
from tuanzi.sharing.service import retry_refund

ORDERS = ("o_a", "o_b")
PAYMENTS = {"p_a": "o_a", "p_b": "o_b", "p_second": "o_a"}
REFUNDS = ("r_1", "r_2", "r_3", "r_4")

fen = st.integers(1, 60).map(lambda tens: tens * 10)
payment_ids = st.sampled_from(sorted(PAYMENTS))
captures = st.builds(
    lambda payment_id, amount_fen: RecordCapture(
        payment_id=payment_id,
        order_id=PAYMENTS[payment_id],
        member_id=MEMBER,
        amount_fen=amount_fen,
        transaction_id=f"t_{payment_id}",
        provider="sandbox",
    ),
    payment_ids,
    st.one_of(st.just(600), fen),
)
openings = st.builds(
    lambda payment_id: OpenPayment(
        payment_id=payment_id, order_id=PAYMENTS[payment_id], member_id=MEMBER, amount_fen=600, provider="sandbox"
    ),
    payment_ids,
)
closings = st.builds(ClosePayment, payment_id=payment_ids)
dues = st.builds(
    RefundDue,
    refund_id=st.sampled_from(REFUNDS),
    order_id=st.sampled_from(ORDERS),
    member_id=st.just(MEMBER),
    amount_fen=st.one_of(st.just(300), fen, st.just(0)),
    reason=st.just("failed"),
    payment_id=st.none() | payment_ids,
)
retries = st.builds(RetryRefund, refund_id=st.sampled_from(REFUNDS))
reports = st.builds(
    RecordRefund,
    refund_id=st.sampled_from(REFUNDS),
    progress=st.sampled_from(RefundProgress),
    amount_fen=st.one_of(st.just(300), fen),
)
HANDLERS: dict[type, Any] = {
    RecordCapture: record_capture,
    OpenPayment: open_payment,
    ClosePayment: close_payment,
    RefundDue: on_refund_due,
    RetryRefund: retry_refund,
    RecordRefund: record_refund,
}


def check_the_books(unit: BenchUnit) -> None:
    """Every journal balances, both books agree, and each order's money is somewhere, once."""
    journals: dict[str, list[int]] = defaultdict(list)
    accounts: Counter[str] = Counter()
    of_order: Counter[tuple[str, str]] = Counter()
    for entry in unit.all_of(Entry):
        journals[entry.journal_id].append(entry.amount.fen)
        accounts[entry.account] += entry.amount.fen
        of_order[entry.order_id, entry.account] += entry.amount.fen
    assert {head.id: head.entry_count for head in unit.all_of(JournalHead)} == {
        journal_id: len(lines) for journal_id, lines in journals.items()
    }
    assert all(sum(lines) == 0 for lines in journals.values())
    assert sum(accounts.values()) == 0
    assert {each.account: each.amount.fen for each in unit.all_of(Balance)} == dict(accounts)
    back: Counter[str] = Counter()
    settled: Counter[str] = Counter()
    for refund in unit.all_of(Refund):
        if refund.state not in (RefundState.WAITING, RefundState.PARKED):
            back[refund.payment_id] += refund.amount.fen
        if refund.state is RefundState.SETTLED:
            settled[refund.order_id] += refund.amount.fen
    for payment in unit.all_of(Payment):
        assert payment.refunded.fen == back[payment.id] <= payment.captured.fen
    for order_id in ORDERS:
        came = sum(payment.captured.fen for payment in unit.all_of(Payment) if payment.order_id == order_id)
        escrow = -of_order[order_id, "order_escrow"]
        owed = -of_order[order_id, "user_refund_payable"]
        assert escrow >= 0
        assert owed >= 0
        assert came == escrow + owed + settled[order_id] - of_order[order_id, "suspense"]
        assert of_order[order_id, "provider_clearing"] == came - settled[order_id]


def carry_out(unit: BenchUnit, step: Any, minutes: int) -> None:
    """One command or event; a refusal changes nothing, for all of them are raised before anything is changed."""
    before = dict(unit.values)
    try:
        HANDLERS[type(step)](unit, step, now=NOON + timedelta(minutes=minutes))
    except Problem:
        assert unit.values == before


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(captures, dues, reports, openings, closings, retries), max_size=40))
def test_random_captures_refunds_repeats_and_reorders_keep_the_books_right(steps: list[Any]) -> None:
    unit = bench()

    for i, step in enumerate(steps):
        carry_out(unit, step, i)

    check_the_books(unit)
    captured = Counter(event.payment_id for event in unit.events if isinstance(event, PaymentCaptured))
    settled = Counter(event.refund_id for event in unit.events if isinstance(event, RefundSettled))
    assert set(captured.values()) | set(settled.values()) <= {1}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(captures, dues, reports, openings, retries), max_size=20))
def test_everything_said_twice_has_the_effect_of_once(steps: list[Any]) -> None:
    once, twice = bench(), bench()

    for i, step in enumerate(steps):
        carry_out(once, step, i)
        carry_out(twice, step, i)
        carry_out(twice, step, i)

    assert twice.values == once.values
    assert [event for event in twice.events if not isinstance(event, RefundRefused)] == [
        event for event in once.events if not isinstance(event, RefundRefused)
    ]


actions = st.one_of(
    st.tuples(st.just("pay"), st.sampled_from(ORDERS)),
    st.tuples(st.just("member pays"), st.sampled_from(ORDERS)),
    st.tuples(st.just("due"), st.tuples(st.sampled_from(REFUNDS), st.sampled_from(ORDERS), fen)),
    st.tuples(st.just("wait"), st.integers(0, 200)),
    st.tuples(st.just("restart"), st.none()),
)
faults = st.lists(st.sampled_from([None, None, None, *Fault]), max_size=60)


@settings(max_examples=150, deadline=None)
@given(st.booleans(), faults, st.lists(actions, max_size=15))
def test_after_any_faults_the_ledger_and_the_provider_agree(
    pays_at_once: bool, broken: list[Fault | None], story: list[tuple[str, Any]]
) -> None:
    asyncio.run(play(pays_at_once, broken, story))


async def play(pays_at_once: bool, broken: list[Fault | None], story: list[tuple[str, Any]]) -> None:
    """Tell the story through a failing provider; then all is well for two days, and everything must be settled."""
    sandbox = SandboxProvider(
        pays_at_once=pays_at_once, faults=lambda operation, number: broken.pop(0) if broken else None
    )
    till = Till(sandbox)
    cashier = Cashier(sandbox)
    for action, what in story:
        with suppress(Problem, Unknown):
            await act(till, cashier, sandbox, action, what)
        await as_all_entries_say(till)
    broken.clear()
    await till.pass_time(timedelta(days=2))
    for callback in sandbox.take_callbacks(now=till.now):
        await till.submit(cashier.capture_of(callback))
    await till.pass_time(timedelta(days=2))

    assert proven(till).agrees
    await as_all_entries_say(till)
    assert sum(till.column("SELECT captured_fen FROM payments")) == sandbox.paid_fen
    assert sum(till.column("SELECT amount_fen FROM refunds WHERE state = 'settled'")) == sandbox.refunded_fen
    assert till.balances().get("provider_clearing", 0) == sandbox.paid_fen - sandbox.refunded_fen
    assert till.column("SELECT id FROM timers") == []
    assert set(till.column("SELECT state FROM refunds")) <= {"settled", "refused", "parked"}
    told = Counter(event.payment_id for event in till.events if isinstance(event, PaymentCaptured))
    assert dict(told) == dict.fromkeys(till.column("SELECT id FROM payments WHERE captured_fen > 0"), 1)


async def as_all_entries_say(till: Till) -> None:
    """The quick answer is what all entries add up to, account for account, whatever happened (C2)."""
    shown = await trial_balance(till)
    sums = till.database.look(ledger_sums)
    assert {one.account: one.balance_fen for one in shown.accounts} == {one.account: one.summed_fen for one in sums}
    assert shown.difference_fen == proven(till).difference.fen == 0


async def act(till: Till, cashier: Cashier, sandbox: SandboxProvider, action: str, what: Any) -> None:
    """One thing that happens."""
    match action:
        case "pay":
            await cashier.pay(till, order_id=what, member_id=MEMBER, amount_fen=600, now=till.now)
        case "member pays":
            sandbox.pay(what.replace("o_", "p_"), now=till.now)
        case "due":
            refund_id, order_id, amount_fen = what
            event = RefundDue(
                refund_id=refund_id, order_id=order_id, member_id=MEMBER, amount_fen=amount_fen, reason="failed"
            )
            till.hear(event)
        case "wait":
            for callback in sandbox.take_callbacks(now=till.now):
                await till.submit(cashier.capture_of(callback))
            await till.pass_time(timedelta(minutes=what))
        case "restart":
            till.forget()
