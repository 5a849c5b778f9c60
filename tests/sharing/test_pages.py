"""C2, J2: who got what of an order, statements that add up, accounts, terms and cases; each for whom they concern."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from io import StringIO
from typing import Any

import pytest

from tests.money.till import NOON
from tests.sharing.split import CONFIRM, LEADER, SPLIT
from tests.sharing.story import Story
from tuanzi.base.money import Money
from tuanzi.base.problem import Forbidden, Unknown
from tuanzi.base.who import Role, Who
from tuanzi.money import Fault
from tuanzi.sharing import queries, web
from tuanzi.sharing.model import CaseKind, CaseState, ChangeTerms, SettleCase, Settlement, SharingTerms
from tuanzi.sharing.problems import StatementTooLong, TermsInvalid, TermsMoved
from tuanzi.sharing.queries import OrderMoney, Statement

TODAY = date(2026, 11, 23)
ANN_HERSELF = Who(person_id="m_ann", session_id="s", roles=frozenset({Role.STUDENT}), campus_id="beijing")
BOB = Who(person_id="m_bob", session_id="s", roles=frozenset({Role.STUDENT}), campus_id="beijing")
NOODLES = Who(
    person_id="p_cook", session_id="s", roles=frozenset({Role.MERCHANT}), campus_id="beijing", merchant_id="noodles"
)
WARDEN = Who(person_id="p_op", session_id="s", roles=frozenset({Role.OPERATOR}))


@pytest.fixture
def story() -> Story:
    """Nothing has happened yet."""
    return Story()


async def money_of(story: Story, order_id: str) -> OrderMoney:
    """Who got what of an order, as an operator sees it."""
    return await queries.order_money(story.till, order_id, member_id=None)


async def statement(story: Story, merchant_id: str, *, on: date = TODAY, until: date = TODAY) -> Statement:
    """A merchant's statement."""
    return await queries.merchant_statement(story.till, merchant_id, from_on=on, until_on=until)


def parties(seen: OrderMoney) -> list[tuple[str, int, int, int, int]]:
    """(party, net, owed, given, asked back) of all parties."""
    return [(each.party, each.net_fen, each.owed_fen, each.given_fen, each.back_fen) for each in seen.parties]


async def test_an_order_shows_who_got_what_at_every_step_and_always_adds_up(story: Story) -> None:
    await story.pay()
    before = await money_of(story, "o_ann")
    await story.do(SPLIT)
    tried = await money_of(story, "o_ann")
    await story.do(CONFIRM)
    confirmed = await money_of(story, "o_ann")
    story.refund("o_ann.r1", 200)
    owed = await money_of(story, "o_ann")
    story.deliver("o_ann.1")
    story.complete("o_ann")
    await story.wait()
    paid_out = await money_of(story, "o_ann")
    story.refund("o_ann.r2", 900)
    await story.wait()
    after = await money_of(story, "o_ann")

    steps = (before, tried, confirmed, owed, paid_out, after)
    assert [step.state for step in steps] == [None, "pending", "posted", "posted", "posted", "posted"]
    assert [step.payout for step in steps] == [None, "held", "held", "held", "done", "done"]
    assert [step.escrow_fen for step in steps] == [2000, 2000, 200, 0, 0, 0]
    assert [step.parties_fen for step in steps] == [0, 0, 1800, 1800, 1800, 900]
    assert [step.refund_owed_fen for step in steps] == [0, 0, 0, 200, 0, 0]
    assert [step.refunded_fen for step in steps] == [0, 0, 0, 0, 200, 1100]
    assert all(step.adds_up and step.captured_fen == 2000 for step in steps)
    assert parties(after) == [
        ("merchant", 760, 0, 1520, 760),
        ("platform", 72, 72, 0, 0),
        ("rider", 45, 0, 90, 45),
        ("leader", 17, 0, 34, 17),
        ("provider", 6, 6, 0, 0),
    ]
    assert [(share.out_order_no, share.state) for share in after.shares] == [
        ("o_ann*s1", "finished"),
        ("o_ann*s2", "finished"),
    ]
    assert [
        (part.account, part.amount_fen, part.result, part.back_fen) for one in after.shares for part in one.parts
    ] == [
        ("noodles", 1520, "success", 760),
        ("p_rider", 90, "success", 45),
        (LEADER, 34, "success", 17),
    ]
    assert [(each.out_return_no, each.amount_fen, each.state) for each in after.returns] == [
        ("o_ann*r2*b1", 760, "settled"),
        ("o_ann*r2*b2", 45, "refused"),
        ("o_ann*r2*b3", 17, "refused"),
    ]
    assert [refund.out_refund_no for refund in after.refunds] == ["o_ann*r1", "o_ann*r2"]


@pytest.mark.parametrize("how", [Settlement.PAID_OTHERWISE, Settlement.WRITE_OFF])
async def test_an_order_adds_up_when_a_refund_was_paid_otherwise_or_given_up(story: Story, how: Settlement) -> None:
    await story.split()
    story.broken["refund"] = [Fault.REFUSE]
    story.refund("o_ann.r1", 200)
    await story.wait()
    await story.do(SettleCase(case_id="refund.o_ann.r1", how=how, note="x", operator_id="p_op"))

    seen = await money_of(story, "o_ann")

    assert seen.adds_up
    assert (seen.refunded_fen, seen.refund_owed_fen) == (0, 0)
    assert (seen.refunded_otherwise_fen, seen.forgone_fen) == (
        (200, 0) if how is Settlement.PAID_OTHERWISE else (0, 200)
    )


async def test_refused_refunds_are_a_list_of_their_own_page_by_page(story: Story) -> None:
    story.broken["share"] = [Fault.CLOSED, Fault.CLOSED]
    await story.paid_out("o_ann")
    story.broken["refund"] = [Fault.REFUSE] * 3
    for number in range(3):
        story.refund(f"o_bob.r{number}", 100)
    await story.wait()

    async def page(state: CaseState = CaseState.OPEN, kind: CaseKind | None = None, after: str = "") -> list[str]:
        seen = await queries.case_page(story.till, state=state, kind=kind, after=after, limit=2)
        return [case.id for case in seen.items] + ([] if seen.next is None else [f"next {seen.next}"])

    assert await page(kind=CaseKind.REFUND) == ["refund.o_bob.r0", "refund.o_bob.r1", "next refund.o_bob.r1"]
    assert await page(kind=CaseKind.REFUND, after="refund.o_bob.r1") == ["refund.o_bob.r2"]
    assert await page(kind=CaseKind.SHARE) == ["share.o_ann.0"]
    assert await page(after="refund.o_bob.r1") == ["refund.o_bob.r2", "share.o_ann.0"]
    assert await page(kind=CaseKind.RETURN) == []
    assert await page(CaseState.SETTLED, CaseKind.REFUND) == []


async def test_what_operators_did_about_a_refused_refund_is_kept_each_time_it_came_up(story: Story) -> None:
    await story.split()
    story.broken["refund"] = [Fault.REFUSE, Fault.REFUSE]
    story.refund("o_ann.r1", 200)
    await story.wait()
    retry = SettleCase(case_id="refund.o_ann.r1", how=Settlement.RETRY, note="the card is new", operator_id="p_op")
    in_cash = SettleCase(case_id="refund.o_ann.r1", how=Settlement.PAID_OTHERWISE, note="in cash", operator_id="p_two")

    await story.do(retry)
    await story.wait()
    again = await queries.case_evidence(story.till, "refund.o_ann.r1")
    await story.do(in_cash)
    seen = await queries.case_evidence(story.till, "refund.o_ann.r1")

    assert (again.case.state, again.case.times, again.case.settled_by) == ("open", 2, None)
    assert [(one.number, one.reason, one.how, one.settled_by, one.note) for one in seen.settlements] == [
        (2, "refused", "paid_otherwise", "p_two", "in cash"),
        (1, "refused", "retry", "p_op", "the card is new"),
    ]
    assert again.settlements == seen.settlements[1:]
    assert seen.order is not None
    assert seen.order.adds_up
    assert [(one.state, one.refusal) for one in seen.order.refunds] == [("settled", "paid_otherwise")]


async def test_a_subsidy_comes_on_top_of_what_the_member_paid(story: Story) -> None:
    terms = SharingTerms(id="", version=0, subsidy_rate=5_000, subsidy_budget=Money(1000))
    await story.do(ChangeTerms(terms=terms, after_version=0, operator_id="p_op"))
    await story.split()

    seen = await money_of(story, "o_ann")

    assert (seen.parties_fen, seen.subsidy_fen, seen.adds_up, seen.terms_version) == (1800, 150, True, 1)


async def test_a_member_sees_his_own_order_and_an_operator_all(story: Story) -> None:
    await story.split()

    own = await web.show_order_ledger(story.till.call(who=ANN_HERSELF, path={"order_id": "o_ann"}))
    all_ = await web.show_order_ledger(story.till.call(who=WARDEN, path={"order_id": "o_ann"}))

    assert own == all_
    with pytest.raises(Unknown):
        await web.show_order_ledger(story.till.call(who=BOB, path={"order_id": "o_ann"}))


async def test_a_statement_is_opening_movements_and_closing(story: Story) -> None:
    await story.split()
    first = await statement(story, "noodles")
    await story.wait(timedelta(days=1))
    story.complete("o_ann")
    story.refund("o_ben.r1", 1000)
    await story.wait(timedelta(hours=1))
    story.refund("o_ann.r1", 200 + 900)
    await story.wait(timedelta(hours=1))
    second = await statement(story, "noodles", on=TODAY + timedelta(days=1), until=TODAY + timedelta(days=1))
    both = await statement(story, "noodles", until=TODAY + timedelta(days=1))

    assert (first.opening_fen, first.closing_fen, first.totals_fen) == (0, 3487, {"sharing": 3487})
    assert (second.opening_fen, second.closing_fen) == (3487, 1353)
    assert [(line.kind, line.reference, line.amount_fen, line.balance_fen) for line in second.lines] == [
        ("claw_back", "o_ben.r1", -614, 2873),
        ("share_given", "o_ann.s1", -1520, 1353),
        ("claw_back", "o_ann.r1", -760, 593),
        ("share_returned", "o_ann.r1.b1", 760, 1353),
    ]
    assert second.totals_fen == {"claw_back": -1374, "share_given": -1520, "share_returned": 760}
    assert both.opening_fen + sum(line.amount_fen for line in both.lines) == both.closing_fen == 1353
    assert sum(both.totals_fen.values()) == both.closing_fen
    assert both.closing_fen == -story.till.balances()["merchant_payable:noodles"]


async def test_the_file_says_the_same_as_the_page(story: Story) -> None:
    await story.paid_out()
    page = await statement(story, "noodles")

    text = queries.statement_csv(page).decode("utf-8-sig")
    rows = list(csv.DictReader(StringIO(text)))

    assert rows[0] == {
        "at": "2026-11-23",
        "kind": "opening",
        "reference": "",
        "order_id": "",
        "amount_fen": "",
        "balance_fen": "0",
    }
    assert [(row["kind"], int(row["amount_fen"]), int(row["balance_fen"])) for row in rows[1:]] == [
        *((line.kind, line.amount_fen, line.balance_fen) for line in page.lines),
        ("closing", page.closing_fen - page.opening_fen, page.closing_fen),
    ]
    assert rows[1]["at"] == "2026-11-23 12:00:00"


async def test_days_end_at_midnight_in_shanghai(story: Story) -> None:
    story.till.now = NOON.replace(hour=15, minute=59, second=59)  # a second before midnight there
    await story.pay()
    await story.do(SPLIT)
    story.till.now += timedelta(seconds=1)
    await story.do(CONFIRM)

    before = await statement(story, "noodles")
    after = await statement(story, "noodles", on=TODAY + timedelta(days=1), until=TODAY + timedelta(days=1))

    assert (before.lines, before.closing_fen) == ([], 0)
    assert (len(after.lines), after.closing_fen) == (2, 3487)


async def test_a_statement_of_too_many_days_is_refused(story: Story) -> None:
    with pytest.raises(StatementTooLong):
        await statement(story, "noodles", until=TODAY + timedelta(days=92))
    with pytest.raises(StatementTooLong):
        await statement(story, "noodles", until=TODAY - timedelta(days=1))


async def test_a_merchant_sees_his_own_statement_only(story: Story) -> None:
    await story.split()
    query = web.StatementQuery(from_on=TODAY, until=TODAY)

    def call(who: Who, merchant_id: str) -> Any:
        return story.till.call(who=who, path={"merchant_id": merchant_id}, query=query)

    own = await web.show_statement(call(NOODLES, "noodles"))
    file = await web.download_statement(call(NOODLES, "noodles"))

    assert own.closing_fen == 3487
    assert file.body == queries.statement_csv(own)
    assert (await web.show_statement(call(WARDEN, "tea"))).closing_fen == 805
    with pytest.raises(Forbidden):
        await web.show_statement(call(NOODLES, "tea"))


async def test_a_statement_of_no_days_is_todays(story: Story) -> None:
    await story.split()

    def call(**days: date) -> Any:
        return story.till.call(who=WARDEN, path={"merchant_id": "tea"}, query=web.StatementQuery(**days))

    asked = [await web.show_statement(call(**days)) for days in ({}, {"from_on": TODAY}, {"until": TODAY})]

    assert [(each.from_on, each.until_on, each.closing_fen) for each in asked] == [(TODAY, TODAY, 805)] * 3


async def test_accounts_are_listed_with_their_balances(story: Story) -> None:
    await story.split()

    first = await queries.account_page(story.till, after="", limit=5)
    second = await queries.account_page(story.till, after=first.next or "", limit=5)

    balances = {each.account: each.balance_fen for each in (*first.items, *second.items)}
    assert balances == story.till.balances()
    assert (first.next, second.next) == ("platform_income", None)


async def test_terms_are_versions_the_newest_first_and_change_once(story: Story) -> None:
    terms = SharingTerms(id="", version=0, leader_rate=300, note="more for leaders")
    await story.do(ChangeTerms(terms=terms, after_version=0, operator_id="p_op"))

    with pytest.raises(TermsMoved):
        await story.do(ChangeTerms(terms=terms, after_version=0, operator_id="p_op"))
    page = await queries.terms_page(story.till, before=None, limit=20)
    older = await queries.terms_page(story.till, before=1, limit=20)

    assert [(each.version, each.leader_rate, each.made_by) for each in page.items] == [(1, 300, "p_op"), (0, 200, "")]
    assert [each.version for each in older.items] == [0]
    assert (page.next, older.next) == (None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"platform_rate": 9_800, "leader_rate": 201},
        {"rider_rate": 9_950, "provider_rate": 60},
        {"leader_rate": -1},
        {"persons_max": 10_001},
        {"subsidy_budget": Money(-1)},
    ],
)
def test_terms_that_share_more_than_there_is_cannot_be_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(TermsInvalid):
        SharingTerms(id="", version=0, **wrong)


async def test_a_case_shows_its_evidence(story: Story) -> None:
    await story.split()
    story.broken["refund"] = [Fault.REFUSE]
    story.refund("o_ann.r1", 200)
    await story.wait()

    page = await queries.case_page(story.till, state=CaseState.OPEN, kind=None, after="", limit=10)
    seen = await queries.case_evidence(story.till, page.items[0].id)

    assert [(each.id, each.amount_fen, each.reason) for each in page.items] == [("refund.o_ann.r1", 200, "refused")]
    assert seen.case == page.items[0]
    assert [(refund.id, refund.state, refund.refusal) for refund in seen.order.refunds] == [
        ("o_ann.r1", "refused", "refused")
    ]
    with pytest.raises(Unknown):
        await queries.case_evidence(story.till, "refund.o_none.r1")


async def test_a_case_about_an_order_nobody_paid_has_no_ledger(story: Story) -> None:
    story.refund("o_ghost.r1", 0)

    seen = await queries.case_evidence(story.till, "refund.o_ghost.r1")

    assert (seen.case.reason, seen.order) == ("not_positive", None)
