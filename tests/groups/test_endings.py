"""Groups that form, improve, close or fail (B1), with exact refunds of the difference (B5)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.heart import LADDER, OPERATOR, TRIO, Campus, students
from tuanzi.catalog import CampaignState, PutCampaign, TierEntry
from tuanzi.events import (
    GroupClosed,
    GroupFailed,
    GroupFormed,
    LeaderChanged,
    OrderCancelled,
    RefundDue,
    SplitPlanned,
    TierReached,
)
from tuanzi.groups import CloseGroup


@pytest.fixture
def campus() -> Campus:
    return Campus()


def test_paying_the_last_seat_of_one_tier_forms_closes_and_plans_in_one_commit_then_splits(
    campus: Campus,
) -> None:
    seated = campus.group("m1", "m2", "m3", paid=2)
    group_id = seated[0].group_id
    position = campus.core.writer.position
    campus.splits_by_hand = True

    campus.pay(seated[2].order_id)

    ids = tuple(one.order_id for one in seated)
    assert campus.core.writer.position == position + 1
    assert campus.told(GroupFormed) == [GroupFormed(group_id=group_id, size=3, order_ids=ids)]
    assert campus.told(GroupClosed) == [GroupClosed(group_id=group_id, size=3, order_ids=ids)]
    assert len(campus.told(SplitPlanned)) == 1
    assert [campus.state(id) for id in ids] == ["grouped"] * 3
    assert campus.held_and_sold("beef") == (3, 0)
    assert campus.timers() == [f"split-deadline:{group_id}.split", f"split:{group_id}.split"]

    campus.carry_splits()

    assert [campus.state(id) for id in ids] == ["split"] * 3
    assert campus.held_and_sold("beef") == (0, 3)
    assert campus.timers() == [f"accept:{group_id}"]


def test_a_fee_that_does_not_divide_comes_back_fen_by_fen(campus: Campus) -> None:
    """901 fen over three: everybody paid 301, two of them get a fen back."""
    seated = campus.group("m1", "m2", "m3")

    returned = {due.order_id: due.amount_fen for due in campus.told(RefundDue)}

    assert returned == {seated[1].order_id: 1, seated[2].order_id: 1}
    assert [campus.order(one.order_id).quote.delivery_fee.fen for one in seated] == [301, 300, 300]
    assert campus.told(SplitPlanned)[0].returned_fen == 2


@pytest.mark.parametrize(
    ("size", "payable", "fees"),
    [
        (3, 1980, [301, 300, 300]),
        (4, 1980, [226, 225, 225, 225]),
        (5, 1870, [181, 180, 180, 180, 180]),
        (9, 1870, [101, 100, 100, 100, 100, 100, 100, 100, 100]),
        (10, 1770, [91, 90, 90, 90, 90, 90, 90, 90, 90, 90]),
    ],
)
def test_the_tier_reached_at_closing_is_the_final_price_and_the_difference_goes_back(
    campus: Campus, size: int, payable: int, fees: list[int]
) -> None:
    seated = campus.group(*students(size), campaign="ladder")
    campus.jump(minutes=45)
    campus.fire()

    orders = [campus.order(one.order_id) for one in seated]

    assert [order.state.value for order in orders] == ["split"] * size
    assert [order.paid.fen for order in orders] == [2281] * size
    assert [order.quote.payable.fen for order in orders] == [payable + fee for fee in fees]
    assert [order.promised.fen for order in orders] == [2281 - payable - fee for fee in fees]
    assert campus.the_group(seated[0].group_id).state.value == "closed"
    assert sum(fees) == 901


def test_a_formed_group_goes_on_to_take_members_until_the_largest_tier(campus: Campus) -> None:
    seated = campus.group(*students(10), paid=3, campaign="ladder")

    states = []
    for one in seated[3:]:
        campus.pay(one.order_id)
        states.append(campus.the_group(one.group_id).state.value)

    assert states == ["formed"] * 6 + ["closed"]
    assert [event.size for event in campus.told(GroupFormed)] == [3]
    assert [event.size for event in campus.told(TierReached)] == [5, 10]
    assert [event.size for event in campus.told(GroupClosed)] == [10]


def test_orders_of_a_formed_group_are_grouped_and_their_portions_still_held(campus: Campus) -> None:
    seated = campus.group(*students(4), campaign="ladder")

    assert [campus.state(one.order_id) for one in seated] == ["grouped"] * 4
    assert campus.held_and_sold("beef") == (4, 0)
    assert campus.told(RefundDue) == []


def test_seats_not_paid_at_closing_are_lost(campus: Campus) -> None:
    seated = campus.group(*students(3), paid=3, campaign="ladder")
    campus.jump(minutes=44)
    waiting = campus.join(seated[0].group_id, "m4")
    campus.jump(minutes=1)

    campus.do(CloseGroup(group_id=seated[0].group_id))  # type: ignore[arg-type]

    group = campus.the_group(seated[0].group_id)
    assert campus.state(waiting.order_id) == "cancelled"
    assert [seat.member_id for seat in group.seats] == ["m1", "m2", "m3"]
    assert campus.held_and_sold("beef") == (0, 3)
    assert campus.told(OrderCancelled)[-1].reason == "group_closed"
    assert f"seat:{waiting.order_id}" not in campus.timers()


def test_a_leader_who_did_not_pay_by_closing_hands_over(campus: Campus) -> None:
    seated = campus.group(*students(4), paid=0, campaign="ladder")
    for one in seated[1:]:
        campus.pay(one.order_id)
    campus.jump(minutes=45)

    campus.fire()

    assert campus.the_group(seated[0].group_id).leader_id == "m2"
    assert [event.leader_id for event in campus.told(LeaderChanged)] == ["m2"]
    assert campus.the_group(seated[0].group_id).state.value == "closed"


def test_a_group_below_its_smallest_tier_fails_at_the_deadline_and_refunds_by_itself(campus: Campus) -> None:
    """P7, P8: each paid member has a refund of his own, whatever becomes of the others'."""
    seated = campus.group("m1", "m2", paid=2)
    campus.jump(minutes=44)
    waiting = campus.join(seated[0].group_id, "m3")
    campus.jump(minutes=1)

    campus.fire()

    assert [campus.state(one.order_id) for one in seated] == ["refunding", "refunding"]
    assert campus.state(waiting.order_id) == "cancelled"
    assert [(due.refund_id, due.amount_fen) for due in campus.told(RefundDue)] == [
        (f"{seated[0].order_id}.r1", 2201),
        (f"{seated[1].order_id}.r1", 2201),
    ]
    ids = tuple(one.order_id for one in (*seated, waiting))
    assert campus.told(GroupFailed) == [GroupFailed(group_id=seated[0].group_id, order_ids=ids, reason="deadline")]
    assert campus.held_and_sold("beef") == (0, 0)
    campus.settle_refunds()
    assert [campus.state(one.order_id) for one in seated] == ["refunded", "refunded"]
    assert campus.balances() == {}


def test_p5_a_deadline_and_the_last_payment_in_one_moment_end_in_one_of_two_ways(campus: Campus) -> None:
    """P5, P6: whoever comes first decides; the other one finds the group as it is."""
    paid_first = campus.group("m1", "m2", "m3", paid=2)
    campus.jump(minutes=45)
    campus.pay(paid_first[2].order_id)
    campus.fire()
    fired_first = campus.group("m4", "m5", "m6", paid=2)
    campus.jump(minutes=45)
    campus.fire()
    campus.pay(fired_first[2].order_id)

    assert [campus.state(one.order_id) for one in paid_first] == ["split"] * 3
    assert [campus.state(one.order_id) for one in fired_first] == ["refunding"] * 3
    campus.settle_refunds()
    balances = campus.balances()
    assert balances["provider_clearing"] == 6601
    assert {"order_escrow", "user_refund_payable"}.isdisjoint(balances)  # all of it is shared


def test_p22_a_group_keeps_the_campaign_it_was_opened_with(campus: Campus) -> None:
    seated = campus.group("m1", "m2", paid=2, campaign="ladder")
    changed = replace(
        LADDER,
        tiers=(TierEntry(size=2, off_percent=50),),
        per_order_limit=1,
        delivery_fee_fen=0,
        merchant_ids=("tea",),
        pay_within_s=10,
        building_ids=("dorm-3",),
        group_lasts_minutes=1,
    )
    campus.do(PutCampaign(campaign=changed, by=OPERATOR))
    campus.kill()

    last = campus.join(seated[0].group_id, "m3", ("beef", 2))
    campus.pay(last.order_id)

    group = campus.the_group(seated[0].group_id)
    assert (last.payable_fen, last.closes_at) == (4400 - 440 + 301, seated[0].closes_at)
    assert (group.state.value, group.seats_max) == ("formed", 10)


def test_p22_ending_a_campaign_ends_none_of_its_groups(campus: Campus) -> None:
    seated = campus.group("m1", "m2", paid=2)
    campus.do(PutCampaign(campaign=replace(TRIO, state=CampaignState.ENDED), by=OPERATOR))

    campus.pay(campus.join(seated[0].group_id, "m3").order_id)

    assert campus.state(seated[0].order_id) == "split"


def test_p12_no_group_is_ever_filled_by_nobody(campus: Campus) -> None:
    """P12: there are no virtual members; a group forms by paid seats only."""
    seated = campus.group("m1", "m2", "m3", paid=2)

    campus.pass_time(minutes=45)

    assert campus.told(GroupFormed) == []
    assert campus.the_group(seated[0].group_id).paid_count == 2


def test_p14_a_crash_after_the_commit_leaves_nothing_to_settle(campus: Campus) -> None:
    """P14: forming, closing and splitting are one commit, so no job must find groups left half done."""
    seated = campus.group("m1", "m2", "m3", paid=2)
    campus.pay(seated[2].order_id)

    campus.kill()

    assert campus.timers() == [f"accept:{seated[0].group_id}"]
    assert [campus.state(one.order_id) for one in seated] == ["split"] * 3
    assert [len(campus.sub_orders(one.order_id)) for one in seated] == [1, 1, 1]
