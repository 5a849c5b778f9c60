"""Reports are kept for ever, chained by SHA-256: an edited or missing one is seen (C3)."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.reconciliation.auditor import Audited
from tuanzi.reconciliation.model import AskRun, broken_links
from tuanzi.reconciliation.problems import BillsGone, DayNotOver

TODAY = date(2026, 11, 23)


@pytest.fixture
def campus() -> Audited:
    """A campus with three reports: two of days without a difference, one of a difference."""
    made = Audited()
    for days in (2, 3):
        made.ask(AskRun(by="p_operator", on=TODAY - timedelta(days=days)))
    seated = made.open("m1")
    made.pay(seated.order_id)
    made.plant("money", "UPDATE balances SET amount_fen = amount_fen + 1 WHERE account = 'order_escrow';")
    made.ask(AskRun(by="p_operator"))
    return made


def test_every_report_follows_the_one_before(campus: Audited) -> None:
    reports = campus.reports()

    assert [report.number for report in reports] == [1, 2, 3]
    assert [report.previous for report in reports] == ["", reports[0].hash, reports[1].hash]
    assert broken_links(reports) == []


@pytest.mark.parametrize(
    ("script", "broken"),
    [
        ("UPDATE reconciliation_reports SET body = replace(body, '\"found\":1', '\"found\":0') WHERE number = 3;", [3]),
        ("UPDATE reconciliation_reports SET hash = previous, previous = hash WHERE number = 2;", [2, 3]),
        ("DELETE FROM reconciliation_reports WHERE number = 2;", [2, 3]),
    ],
    ids=["edited", "rewritten", "gone"],
)
def test_a_report_that_was_edited_or_is_gone_is_seen(campus: Audited, script: str, broken: list[int]) -> None:
    campus.plant("money", script)

    assert broken_links(campus.reports()) == broken


def test_a_day_that_is_not_over_is_not_compared_with_its_bills(campus: Audited) -> None:
    with campus.refused(DayNotOver):
        campus.ask(AskRun(by="p_operator", on=TODAY))


def test_days_that_no_provider_has_bills_of_are_refused(campus: Audited) -> None:
    with campus.refused(DayNotOver):
        campus.ask(AskRun(by="p_operator", on=date.max))
    for on in (date.min, date(1900, 1, 1), TODAY - timedelta(days=91)):
        with campus.refused(BillsGone):
            campus.ask(AskRun(by="p_operator", on=on))

    campus.ask(AskRun(by="p_operator", on=TODAY - timedelta(days=90)))

    assert len(campus.reports()) == 4
