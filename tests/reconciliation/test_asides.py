"""C3: money in suspense because a bill says more or less than the ledger leaves it as a person says, exactly once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.heart import run, students
from tests.reconciliation.auditor import Audited
from tests.reconciliation.test_bills import TODAY, agree, alter, doubted
from tests.shown import Shown
from tuanzi.events import DifferenceRepaired
from tuanzi.money import BillState, NotInSuspense, payment_of
from tuanzi.reconciliation.model import (
    AsideEnd,
    AskRun,
    Book,
    EndAside,
    KeptDifference,
    ReverseCapture,
    SettleDifference,
    State,
)
from tuanzi.reconciliation.queries import aside_page


def set_aside(more_fen: int) -> tuple[Audited, KeptDifference]:
    """A campus of which the bill says that one paid so much more, or less, than the ledger knows."""
    campus = Audited()
    seats = campus.group(*students(3))
    campus.settle_refunds()
    alter(campus, payment_of(seats[0].order_id), lambda line: [replace(line, amount_fen=line.amount_fen + more_fen)])
    (found,) = campus.next_bill(TODAY)
    return campus, found


def shown(campus: Audited) -> list[Any]:
    """What an operator is shown."""
    return list(run(aside_page(Shown(campus, "money"), after="", limit=50)).items)


def end(kept: KeptDifference, how: AsideEnd, *, by: str = "p_operator") -> EndAside:
    """An operator's word."""
    return EndAside(difference_id=kept.id, how=how, by=by, reason="transfer no. 88 of today")


@pytest.mark.parametrize("more_fen", [5, -5])
@pytest.mark.parametrize(
    ("how", "account"),
    [
        (AsideEnd.PAID_OTHERWISE, "platform_funds"),
        (AsideEnd.WRITE_OFF, "written_off"),
        (AsideEnd.BOOKED_BACK, "provider_clearing"),
    ],
)
def test_what_was_set_aside_leaves_suspense_as_a_person_says_and_once(
    how: AsideEnd, account: str, more_fen: int
) -> None:
    campus, found = set_aside(more_fen)
    before = campus.balances()
    (line,) = shown(campus)
    assert (line.difference_id, line.suspense_fen, line.provider_fen - line.ledger_fen) == (
        found.id,
        more_fen,
        more_fen,
    )
    assert before["suspense"] == -more_fen
    assert campus.held() == ["noodles"]

    campus.ask(end(found, how))

    moved = {**before, account: before.get(account, 0) - more_fen}
    del moved["suspense"]
    assert campus.balances() == moved
    assert sum(campus.balances().values()) == 0
    (kept,) = campus.differences()
    said = f"{how.value}: transfer no. 88 of today"
    assert (kept.state, kept.ended_by, kept.reason) == (State.SETTLED, "p_operator", said)
    assert [(told.by, told.reason) for told in campus.told(DifferenceRepaired)] == [("p_operator", said)]
    assert (campus.held(), shown(campus)) == ([], [])
    for again in AsideEnd:
        with campus.refused(NotInSuspense):
            campus.ask(end(found, again, by="p_other"))
    assert campus.balances() == moved
    assert campus.minute() == campus.next_bill(TODAY) == [kept]


def test_what_a_person_had_settled_and_left_in_suspense_is_listed_still_and_can_be_ended_later() -> None:
    campus, found = set_aside(5)
    campus.ask(SettleDifference(difference_id=found.id, by="p_first", reason="asked WeChat"))
    assert [(line.state, line.suspense_fen) for line in shown(campus)] == [("settled", 5)]

    campus.ask(end(found, AsideEnd.PAID_OTHERWISE, by="p_second"))

    (kept,) = campus.differences()
    assert (kept.ended_by, kept.reason) == ("p_second", "asked WeChat; paid_otherwise: transfer no. 88 of today")
    assert [told.by for told in campus.told(DifferenceRepaired)] == ["p_first", "p_second"]
    assert (shown(campus), campus.balances().get("suspense")) == ([], None)


def say(campus: Audited, found: KeptDifference, more_fen: int) -> KeptDifference:
    """The day's bill, asked for once more, says that it was so much more than the ledger has."""
    ledger_fen = next(side.fen for side in found.sides if side.book is Book.LEDGER)
    assert ledger_fen is not None
    alter(campus, found.item, lambda line: [replace(line, amount_fen=ledger_fen + more_fen)])
    campus.ask(AskRun(by="p_operator", on=TODAY))
    (kept,) = campus.differences()
    return kept


@pytest.mark.parametrize("first_fen", [5, -5])
@pytest.mark.parametrize("later_fen", [8, 3, -2, -9])
@pytest.mark.parametrize("how", [AsideEnd.PAID_OTHERWISE, AsideEnd.WRITE_OFF, AsideEnd.BOOKED_BACK, "settled", "open"])
def test_of_what_is_found_again_with_another_amount_the_rest_is_set_aside_and_ended(
    how: AsideEnd | str, first_fen: int, later_fen: int
) -> None:
    campus, found = set_aside(first_fen)
    before = campus.balances()
    clearing = before["provider_clearing"] - first_fen
    ended = first_fen if how in (AsideEnd.PAID_OTHERWISE, AsideEnd.WRITE_OFF) else 0
    if how == "settled":
        campus.ask(SettleDifference(difference_id=found.id, by="p_first", reason="asked WeChat"))
    elif how != "open":
        campus.ask(end(found, AsideEnd(how)))

    again = say(campus, found, later_fen)

    assert (again.id, again.state, again.is_raised, again.occurrences) == (found.id, State.OPEN, True, 2)
    assert again.unexplained_fen == abs(later_fen)
    assert campus.balances()["provider_clearing"] == clearing + later_fen
    assert campus.balances().get("suspense", 0) == -(later_fen - ended)
    assert [(line.suspense_fen, line.state) for line in shown(campus)] == [(later_fen - ended, "open")]
    assert campus.held() == ["noodles"]
    assert say(campus, found, later_fen) == again
    assert campus.balances()["provider_clearing"] == clearing + later_fen

    campus.ask(end(again, AsideEnd.WRITE_OFF, by="p_last"))

    (kept,) = campus.differences()
    assert (kept.state, kept.ended_by) == (State.SETTLED, "p_last")
    assert campus.balances().get("suspense", 0) == 0
    assert campus.balances()["provider_clearing"] == clearing + later_fen
    assert sum(campus.balances().values()) == 0
    others = {"provider_clearing", "suspense", "written_off", "platform_funds"}
    assert {a: fen for a, fen in campus.balances().items() if a not in others} == {
        a: fen for a, fen in before.items() if a not in others
    }
    assert (campus.held(), shown(campus)) == ([], [])
    assert say(campus, found, later_fen) == kept
    with campus.refused(NotInSuspense):
        campus.ask(end(kept, AsideEnd.WRITE_OFF))


def test_of_a_refund_of_which_more_left_than_was_known_the_rest_is_set_aside_too() -> None:
    campus = Audited()
    campus.group(*students(3))
    campus.settle_refunds()
    number, fen = campus.rows(
        "SELECT out_refund_no, amount_fen FROM refunds ORDER BY out_refund_no LIMIT 1", database="money"
    )[0]
    before = campus.balances()

    alter(campus, number, lambda line: [replace(line, amount_fen=-(fen + 5))])
    (found,) = campus.next_bill(TODAY)
    first = campus.balances()
    campus.ask(end(found, AsideEnd.PAID_OTHERWISE))
    alter(campus, number, lambda line: [replace(line, amount_fen=-(fen + 8))])
    campus.ask(AskRun(by="p_operator", on=TODAY))
    later = campus.balances()
    (line,) = shown(campus)
    campus.ask(end(found, AsideEnd.WRITE_OFF))

    clearing = before["provider_clearing"]
    assert first == {**before, "provider_clearing": clearing - 5, "suspense": 5}
    assert later == {**before, "provider_clearing": clearing - 8, "platform_funds": 5, "suspense": 3}
    assert (line.difference_id, line.suspense_fen) == (found.id, -3)
    assert campus.balances() == {
        **before,
        "provider_clearing": clearing - 8,
        "platform_funds": 5,
        "written_off": 3,
    }


STEPS = st.lists(
    st.one_of(st.integers(-3, 3).filter(bool), st.sampled_from([*AsideEnd, "settled"])), min_size=1, max_size=7
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_whatever_bills_and_persons_say_the_ledger_is_the_last_bills_but_for_what_they_ended(
    steps: list[int | AsideEnd | str],
) -> None:
    campus, found = set_aside(2)
    before = campus.balances()
    clearing, booked, left, out = before["provider_clearing"] - 2, 2, 2, 0

    for step in steps:
        kept = campus.differences()[0]
        if isinstance(step, AsideEnd):
            if not left:
                with campus.refused(NotInSuspense):
                    campus.ask(end(kept, step))
            else:
                campus.ask(end(kept, step))
                booked, out = (booked - left, out) if step is AsideEnd.BOOKED_BACK else (booked, out + left)
                left = 0
        elif step == "settled":
            if not kept.is_ended:
                campus.ask(SettleDifference(difference_id=kept.id, by="p_first", reason="asked WeChat"))
        else:
            is_news = say(campus, found, int(step)) != kept
            if is_news:
                left, booked = left + int(step) - booked, int(step)

        balances = campus.balances()
        assert balances["provider_clearing"] == clearing + booked
        assert balances.get("suspense", 0) == -left
        assert balances.get("written_off", 0) + balances.get("platform_funds", 0) == -out
        assert sum(balances.values()) == 0
        assert [line.suspense_fen for line in shown(campus)] == [left] * bool(left)


def test_what_was_dealt_with_and_is_found_again_with_the_same_amount_ends_by_itself() -> None:
    campus, found = set_aside(5)
    campus.ask(end(found, AsideEnd.WRITE_OFF))
    booked = campus.balances()

    say(campus, found, 8)
    campus.ask(end(found, AsideEnd.BOOKED_BACK))
    kept = say(campus, found, 5)

    assert campus.balances() == booked
    assert (kept.state, kept.ended_by, kept.occurrences) == (State.SETTLED, "itself", 3)
    assert (campus.held(), shown(campus)) == ([], [])


def test_what_a_reversal_left_in_suspense_is_ended_too_but_not_booked_back() -> None:
    campus, _, found = doubted()
    before = campus.balances()
    (line,) = shown(campus)
    assert (line.difference_class, line.suspense_fen) == ("D2", -before["suspense"])
    with campus.refused(NotInSuspense):
        campus.ask(end(found, AsideEnd.BOOKED_BACK))

    campus.ask(end(found, AsideEnd.WRITE_OFF))

    moved = {**before, "written_off": before["suspense"]}
    del moved["suspense"]
    assert campus.balances() == moved
    assert shown(campus) == []
    agree(campus)


def test_what_was_reversed_is_not_reversed_again_though_its_escrow_has_moved() -> None:
    campus, order_id, found = doubted()
    before = campus.counted()

    campus.ask(ReverseCapture(difference_id=found.id, payment_id=payment_of(order_id), escrow_fen=0, holds_order=True))

    assert campus.counted() == before
    assert [kept.state for kept in campus.differences()] == [State.OPEN]


def test_nothing_else_can_be_ended_so() -> None:
    campus = Audited()
    seats = campus.group(*students(3))
    alter(
        campus,
        payment_of(seats[0].order_id),
        lambda line: [line, replace(line, key="stranger", amount_fen=-100, state=BillState.REFUNDED)],
    )
    (found,) = campus.next_bill(TODAY)
    before = campus.counted()

    with campus.refused(NotInSuspense):
        campus.ask(end(found, AsideEnd.PAID_OTHERWISE))
    assert campus.counted() == before
    assert shown(campus) == []
