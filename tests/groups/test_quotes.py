"""What a cart would cost is what it then costs, to who opens a group and to who joins one (B4, P22)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.heart import OPERATOR, START, TRIO, Campus, lines
from tuanzi.base.ids import BuildingId, CampaignId, GroupId, PersonId
from tuanzi.base.problem import Unknown
from tuanzi.catalog import CampaignNotLive, CampaignState, PutCampaign
from tuanzi.groups import QuoteCart, Quoted
from tuanzi.pricing import DraftRules, Rule, RuleKind, Sample, SampleLine, SwitchRules

BEEF = (SampleLine(dish_id="beef", merchant_id="noodles", unit_price_fen=2200),)
LEADERS = Rule(
    id="leader",
    kind=RuleKind.FULL_REDUCTION,
    amount="150",
    condition="is_leader",
    title_zh="团长立减",
    title_en="Leaders",
)
SAMPLES = (
    Sample(name="a leader", lines=BEEF, priced_at=START, expected_fen=2050, is_leader=True),
    Sample(name="a member", lines=BEEF, priced_at=START, expected_fen=2200),
)


@pytest.fixture
def campus() -> Campus:
    """A campus whose rules take something off for who opens a group."""
    made = Campus()
    drafted = made.do(DraftRules(rules=(LEADERS,), samples=SAMPLES, note="", operator_id=OPERATOR))
    made.do(SwitchRules(version=drafted.version, operator_id=OPERATOR))
    return made


def quoted(campus: Campus, member: str, *, group: str | None = None) -> int:
    """What beef would cost a member in the smallest group."""
    quote = QuoteCart(
        campaign_id=CampaignId(TRIO.id),
        building_id=BuildingId("dorm-1"),
        member_id=PersonId(member),
        lines=lines("beef"),
        group_id=None if group is None else GroupId(group),
    )
    answer: Quoted = campus.do(quote)
    return answer.tiers[0].payable_fen


def test_who_opens_a_group_is_told_what_its_leader_pays_and_who_joins_what_a_member_does(campus: Campus) -> None:
    opens = quoted(campus, "m1")
    opened = campus.open("m1")
    joins = quoted(campus, "m2", group=opened.group_id)
    joined = campus.join(opened.group_id, "m2")

    assert (opens, joins) == (opened.payable_fen, joined.payable_fen) == (2201 - 150, 2201)


@pytest.mark.parametrize("change", [{"state": CampaignState.ENDED}, {"delivery_fee_fen": 1801}])
def test_p22_to_join_a_group_costs_what_it_did_whatever_became_of_its_campaign(
    campus: Campus, change: dict[str, object]
) -> None:
    opened = campus.open("m1")
    campus.do(PutCampaign(campaign=replace(TRIO, **change), by=OPERATOR))

    joins = quoted(campus, "m2", group=opened.group_id)

    assert joins == campus.join(opened.group_id, "m2").payable_fen == 2201


def test_after_its_campaign_has_ended_nobody_is_told_what_a_new_group_would_cost(campus: Campus) -> None:
    campus.do(PutCampaign(campaign=replace(TRIO, state=CampaignState.ENDED), by=OPERATOR))

    with campus.refused(CampaignNotLive):
        quoted(campus, "m2")


def test_a_group_that_is_not_there_has_no_price(campus: Campus) -> None:
    with campus.refused(Unknown):
        quoted(campus, "m2", group="g_nobodys")
