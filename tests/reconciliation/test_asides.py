"""C3: money in suspense because a bill says more or less than the ledger leaves it as a person says, exactly once."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.heart import run, students
from tests.reconciliation.auditor import Audited
from tests.reconciliation.test_bills import TODAY, agree, alter, doubted
from tests.shown import Shown
from tuanzi.events import DifferenceRepaired
from tuanzi.money import BillState, NotInSuspense, payment_of
from tuanzi.reconciliation.model import AsideEnd, EndAside, KeptDifference, SettleDifference, State
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
