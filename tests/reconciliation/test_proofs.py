"""The whole ledger is read every night and when an operator asks; what it said is kept beside the balances (C2, C3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.heart import OPERATOR, run
from tests.reconciliation.auditor import Audited, Hands
from tests.reconciliation.test_within_the_campus import MENDED, campus_at_work, named
from tuanzi import wiring
from tuanzi.base.ids import OrderId
from tuanzi.base.time import SHANGHAI
from tuanzi.money import LedgerProof, TrialBalance, find_proof, ledger_sums, prove_ledger, trial_balance
from tuanzi.money import queries as money_queries
from tuanzi.orders import RefundOrder
from tuanzi.reconciliation.handlers import Reconciler
from tuanzi.reconciliation.model import AskRun, CheckBooks, RunKind


class Page:
    """The money of a campus as its pages read it."""

    def __init__(self, campus: Audited) -> None:
        self._campus = campus

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Committed rows."""
        return self._campus.money.database.rows(sql, slots)


def shown(campus: Audited) -> TrialBalance:
    """What an operator reads."""
    return run(trial_balance(Page(campus)))


def kept(campus: Audited) -> LedgerProof:
    """What the last reading of the whole ledger said."""
    proof = campus.money.database.look(find_proof)
    assert proof is not None
    return proof


def whole(campus: Audited) -> LedgerProof:
    """What reading it now says."""
    return campus.money.database.look(lambda ask: prove_ledger(ask, now=campus.now, is_full=True))[1]


def summed(campus: Audited) -> dict[str, int]:
    """What the entries of each account add up to, read one by one."""
    return {one.account: one.summed_fen for one in campus.money.database.look(ledger_sums)}


def quick(campus: Audited) -> dict[str, int]:
    """The same, as it is answered without reading them."""
    return {one.account: one.balance_fen for one in shown(campus).accounts}


def at(hour: int, minute: int, *, day: int = 24) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=SHANGHAI)


def test_a_campus_that_begins_is_proven_and_then_summed_every_minute_and_proven_every_night() -> None:
    campus = campus_at_work()
    first = kept(campus)
    entries = sum(one.entry_count for one in campus.money.database.look(ledger_sums))

    campus.pass_time(minutes=3)
    second = kept(campus)
    campus.pass_time(until=at(3, 59))
    before = kept(campus)
    campus.pass_time(until=at(4, 2))
    after = kept(campus)

    assert (first.agrees, first.entries) == (True, entries)
    assert second.summed_at >= first.summed_at + timedelta(minutes=2)
    assert second.proven_at == first.proven_at == before.proven_at
    assert after.proven_at is not None
    assert at(4, 0) <= after.proven_at < at(4, 2)
    assert shown(campus).agrees


def test_the_whole_ledger_is_not_read_by_night_while_more_moved_than_one_run_compares() -> None:
    """Issue 2: such a campus has a rush, and its people wait for the processor."""
    campus = campus_at_work()
    campus.pass_time(until=at(3, 59))
    reconciler = Reconciler(Hands(campus), campus.provider, hears=lambda: wiring.names_heard(campus.rooms), moved_max=3)
    campus.plant("money", "UPDATE reconciliation_cursors SET core_number = 0, money_number = 0;")

    behind = run(reconciler.check_books(CheckBooks(), now=at(4, 1)))
    asked = run(reconciler.check_books(CheckBooks(kind=RunKind.ASKED), now=at(4, 1)))
    campus.pass_time(until=at(4, 2))

    assert (behind.is_behind, behind.proof) == (True, None)
    assert asked.proof is not None
    assert asked.proof.proven_at == at(4, 1)
    assert at(4, 0) <= (kept(campus).proven_at or at(0, 0)) < at(4, 2)


def test_who_asks_for_a_comparison_has_the_ledger_proven_at_once() -> None:
    campus = campus_at_work()
    before = kept(campus)

    campus.ask(AskRun(by=OPERATOR))

    assert before.proven_at is not None
    assert kept(campus).proven_at == kept(campus).summed_at > before.proven_at


def test_it_is_proven_for_who_asks_even_while_something_else_is_wrong() -> None:
    campus = campus_at_work()
    order_id = campus.ids[0]
    campus.plant("core", f"UPDATE orders SET paid_fen = paid_fen + 1 WHERE id = '{order_id}';")
    before = kept(campus)

    campus.ask(AskRun(by=OPERATOR))

    assert before.proven_at is not None
    assert kept(campus).proven_at == kept(campus).summed_at > before.proven_at


def test_a_balance_that_was_changed_behind_the_house_is_told_and_right_again_within_two_minutes() -> None:
    campus = campus_at_work()
    right = quick(campus)
    campus.plant("money", "UPDATE balances SET amount_fen = amount_fen + 5 WHERE account = 'provider_clearing';")

    tampered = shown(campus)
    campus.ask(AskRun(by=OPERATOR))
    found = kept(campus)
    campus.pass_time(minutes=2)

    assert (tampered.difference_fen, tampered.agrees) == (5, False)
    assert [(one.account, one.running_fen - one.summed_fen) for one in found.accounts_off] == [("provider_clearing", 5)]
    assert (shown(campus).agrees, quick(campus)) == (True, right)


def test_an_entry_that_was_changed_behind_the_house_is_told_when_the_ledger_is_read_and_no_more_when_mended() -> None:
    campus = campus_at_work()
    journal_id = f"capture:p{campus.ids[0][1:]}"
    campus.plant(
        "money", f"UPDATE entries SET amount_fen = amount_fen + 5 WHERE journal_id = '{journal_id}' AND line = 0;"
    )

    campus.ask(AskRun(by=OPERATOR))
    told = shown(campus)
    campus.pass_time(minutes=3)

    assert (told.agrees, told.unbalanced_journals) == (False, (journal_id,))
    assert told.proof is not None
    assert told.proof.difference_fen == 5
    assert shown(campus).unbalanced_journals == ()
    assert shown(campus).agrees
    assert whole(campus).agrees


actions = st.one_of(
    st.tuples(st.just("order"), st.integers(0, 4)),
    st.tuples(st.just("refund"), st.integers(1, 40)),
    st.tuples(st.just("settle"), st.just(0)),
    st.tuples(st.just("deliver"), st.integers(0, 3)),
    st.tuples(st.just("minute"), st.just(0)),
    st.tuples(st.just("ask"), st.just(0)),
    st.tuples(st.just("plant"), st.integers(0, len(MENDED) - 1)),
    st.tuples(st.just("restart"), st.just(0)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(actions, max_size=8))
def test_the_quick_answer_is_what_reading_everything_says_whatever_happens_in_between(
    story: list[tuple[str, int]],
) -> None:
    """Among what happens are rows that are changed behind the house: then as soon as that is found and mended."""
    campus = campus_at_work()
    is_whole = True
    for number, (action, what) in enumerate(story):
        match action:
            case "order":
                opened = campus.open(f"s{number}", "soup", campaign="steps")
                campus.pay(opened.order_id)
                if what:
                    campus.leave(opened.group_id, f"s{number}")
            case "refund":
                order_id = campus.ids[what % 4]
                if is_whole and campus.state(order_id) == "split":
                    campus.do(RefundOrder(order_id=OrderId(order_id), amount_fen=what, reason="kind", by=OPERATOR))
            case "deliver":
                if is_whole and campus.state(campus.ids[what]) == "split":
                    campus.deliver(campus.ids[what])
            case "settle":
                campus.settle_refunds()
            case "minute":
                campus.minute()
            case "ask":
                campus.ask(AskRun(by=OPERATOR))
            case "plant" if is_whole:
                planted = list(MENDED.values())[what]
                campus.plant(planted.database, named(planted.script, campus))
                is_whole = False
            case _:
                campus.evict()
        if is_whole:
            assert quick(campus) == summed(campus)
            assert shown(campus).difference_fen == whole(campus).difference.fen == 0
    campus.pass_time(minutes=5)

    assert quick(campus) == summed(campus)
    assert shown(campus).agrees
    assert whole(campus).agrees


def test_a_ledger_of_more_accounts_than_are_asked_for_at_first_is_summed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    campus = campus_at_work()
    all_of_them = summed(campus)
    before = whole(campus)
    assert len(all_of_them) > 2

    monkeypatch.setattr(money_queries, "ACCOUNTS_AT_FIRST", 2)

    assert summed(campus) == all_of_them
    assert whole(campus) == before
    assert before.agrees
