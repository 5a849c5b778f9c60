"""B5, B8, P12: refunds before, between and after the steps of a split, whole and partial, never above paid, exactly."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.sharing.split import CONFIRM, LEADER, SPLIT
from tests.sharing.story import Story
from tuanzi.base.money import Money
from tuanzi.events import RefundRefused, RefundSettled
from tuanzi.money import Fault, RecordRefund, RefundAsked, RefundProgress
from tuanzi.money.vendors import Notice, RefundSeen
from tuanzi.sharing.model import ChangeTerms, PayoutState, RecordReturn, SettleCase, Settlement, SharingTerms
from tuanzi.sharing.problems import CaseSettled


@pytest.fixture
def story() -> Story:
    """Nothing has happened yet."""
    return Story()


def lost(story: Story, order_id: str) -> dict[tuple[str, str], tuple[int, int]]:
    """(cut, asked back) of every transfer that lost something."""
    return {
        place: (each.cut.fen, each.back.fen)
        for place, each in story.transfers(order_id).items()
        if each.cut or each.back
    }


def settled(story: Story) -> dict[str, int]:
    """The refunds that were told as settled."""
    return {each.refund_id: each.amount_fen for each in story.till.events if isinstance(each, RefundSettled)}


async def test_before_try_a_refund_comes_from_the_escrow(story: Story) -> None:
    await story.pay()
    story.refund("o_ann.r1", 200)
    await story.wait()

    await story.do(SPLIT, CONFIRM)

    assert settled(story) == {"o_ann.r1": 200}
    assert lost(story, "o_ann") == {}
    assert "order_escrow" not in story.till.balances()


async def test_the_difference_to_the_final_price_costs_nobody_his_share(story: Story) -> None:
    await story.split()

    story.refund("o_ann.r1", 200)
    await story.wait()

    assert settled(story) == {"o_ann.r1": 200}
    assert lost(story, "o_ann") == {}
    assert story.sharing("o_ann").claimed == Money(1800)


async def test_between_try_and_confirm_what_is_set_aside_shrinks_and_confirm_books_the_rest(story: Story) -> None:
    await story.pay()
    await story.do(SPLIT)
    story.refund("o_ann.r1", 1100)  # 200 above the final price, and 900 of it
    await story.wait()
    before = {place: each.held.fen for place, each in story.transfers("o_ann").items()}

    await story.do(CONFIRM)

    assert before == {
        ("1", "merchant"): 760,
        ("1", "platform"): 72,
        ("1", "rider"): 45,
        ("1", "leader"): 17,
        ("1", "provider"): 6,
    }
    assert story.rows("SELECT account, amount_fen FROM entries WHERE journal_id = 'sharing:o_ann' ORDER BY line") == [
        ("order_escrow", 900),
        ("merchant_payable:noodles", -760),
        ("platform_income", -72),
        ("rider_payable:pool", -45),
        (f"campus_agent_payable:{LEADER}", -17),
        ("provider_fee", -6),
    ]


async def test_all_of_it_refunded_between_try_and_confirm_leaves_nothing_to_book(story: Story) -> None:
    await story.pay()
    await story.do(SPLIT)
    story.refund("o_ann.r1", 2000)

    await story.do(CONFIRM)
    await story.wait()

    assert story.rows("SELECT id FROM journals WHERE id = 'sharing:o_ann'") == []
    assert story.sharing("o_ann").claimed == Money(0)
    assert settled(story) == {"o_ann.r1": 2000}


async def test_refunded_between_try_and_cancel_all_the_rest_goes_back_too(story: Story) -> None:
    await story.pay()
    await story.do(SPLIT)
    story.refund("o_ann.r1", 1100)
    await story.cancel()

    story.refund("o_ann.r2", 900)
    await story.wait()

    assert settled(story) == {"o_ann.r1": 1100, "o_ann.r2": 900}
    assert story.till.balances() == {"order_escrow": -3202, "provider_clearing": 3202}


async def test_after_confirm_shares_shrink_by_new_entries_over_what_remains(story: Story) -> None:
    await story.split()
    story.refund("o_ann.r1", 200 + 333)
    story.refund("o_ann.r2", 333)

    await story.wait()

    assert story.rows("SELECT account, amount_fen FROM entries WHERE journal_id = 'claw_back:o_ann.r1'") == [
        ("order_escrow", -333),
        ("merchant_payable:noodles", 281),
        ("platform_income", 27),
        ("rider_payable:pool", 17),
        (f"campus_agent_payable:{LEADER}", 6),
        ("provider_fee", 2),
    ]
    assert sum(cut for cut, _ in lost(story, "o_ann").values()) == 666
    assert story.sharing("o_ann").claimed == Money(1134)
    assert settled(story) == {"o_ann.r1": 533, "o_ann.r2": 333}


async def test_the_last_refund_takes_exactly_the_rest(story: Story) -> None:
    await story.split()
    for number, fen in enumerate((200, 7, 599, 1, 693, 500), start=1):
        story.refund(f"o_ann.r{number}", fen)

    await story.wait()

    assert all(each.net == Money(0) for each in story.transfers("o_ann").values())
    assert sum(settled(story).values()) == 2000
    assert story.till.balances()["provider_clearing"] == 3202


async def test_never_more_goes_back_than_was_paid(story: Story) -> None:
    await story.split()
    story.refund("o_ann.r1", 1500)
    before = story.till.balances()

    story.refund("o_ann.r2", 501)
    await story.wait()

    assert settled(story) == {"o_ann.r1": 1500}
    assert [each.reason for each in story.till.events if isinstance(each, RefundRefused)] == ["over_refund"]
    assert story.rows("SELECT id, amount_fen, reason FROM cases") == [("refund.o_ann.r2", 501, "over_refund")]
    assert story.till.balances()["merchant_payable:noodles"] == before["merchant_payable:noodles"]


async def test_a_repeated_refund_takes_nothing_twice(story: Story) -> None:
    await story.split()
    story.refund("o_ann.r1", 900)
    once = story.transfers("o_ann")

    story.refund("o_ann.r1", 900)

    assert story.transfers("o_ann") == once


async def test_a_merchant_who_cannot_cook_loses_his_sub_order_and_the_other_nothing(story: Story) -> None:
    await story.split()

    story.refund("o_ben.r1", 934, sub_order_id="o_ben.2")
    await story.wait()

    losses = lost(story, "o_ben")
    assert {place[0] for place in losses} == {"2"}
    assert sum(cut for cut, _ in losses.values()) == 934
    assert story.till.balances().get("merchant_payable:tea", 0) == 0
    assert story.till.balances()["merchant_payable:noodles"] == -3487


async def test_what_is_above_a_sub_order_is_taken_from_the_others(story: Story) -> None:
    await story.split()

    story.refund("o_ben.r1", 1000, sub_order_id="o_ben.2")

    by_sub = {"1": 0, "2": 0}
    for (number, _), (cut, _) in lost(story, "o_ben").items():
        by_sub[number] += cut
    assert by_sub == {"1": 66, "2": 934}


async def test_a_subsidy_shrinks_with_its_sub_order_and_its_budget_is_free_again(story: Story) -> None:
    terms = SharingTerms(id="", version=0, subsidy_rate=5_000, subsidy_budget=Money(1000))
    await story.do(ChangeTerms(terms=terms, after_version=0, operator_id="p_op"))
    await story.split()
    before = story.till.column("SELECT used_fen FROM subsidy_budgets")

    story.refund("o_ann.r1", 200 + 900)
    half = story.till.balances()["subsidy_expense"], story.till.column("SELECT used_fen FROM subsidy_budgets")
    story.refund("o_ann.r2", 900)

    assert before == [400]
    assert half == (325, [325])
    assert story.till.balances()["subsidy_expense"] == 250
    assert story.till.column("SELECT used_fen FROM subsidy_budgets") == [250]


async def test_after_sharing_merchants_give_back_first_and_then_the_member_gets_his_money(story: Story) -> None:
    await story.paid_out()
    calls = len(story.calls)

    story.refund("o_ann.r1", 200 + 900)
    await story.wait()

    assert story.calls[calls:] == [("return_share", "o_ann*r1*b1"), ("refund", "o_ann*r1")]
    assert lost(story, "o_ann") == {
        ("1", "merchant"): (0, 760),
        ("1", "platform"): (73, 0),  # half a fen each: the earlier one loses it
        ("1", "rider"): (0, 45),
        ("1", "leader"): (0, 17),
        ("1", "provider"): (5, 0),
    }
    assert story.rows("SELECT account, amount_fen, state FROM share_returns ORDER BY id") == [
        ("noodles", 760, "settled"),
        ("p_rider", 45, "refused"),
        (LEADER, 17, "refused"),
    ]
    assert story.till.balances() == {
        "platform_income": -329,
        "provider_fee": -26,
        "provider_clearing": 293,
        "receiver_advance:p_rider": 45,
        f"receiver_advance:{LEADER}": 17,
    }
    assert settled(story) == {"o_ann.r1": 1100}
    assert story.rows("SELECT id FROM cases") == []


async def test_within_after_sale_persons_are_given_what_is_left_of_theirs_before_the_refund_takes_what_is_frozen(
    story: Story,
) -> None:
    await story.split()
    story.deliver("o_ann.1")
    story.complete("o_ann")
    await story.wait(timedelta(hours=1))
    calls = len(story.calls)

    story.refund("o_ann.r1", 200 + 900)
    await story.wait(timedelta(minutes=1))

    assert next(call for call in story.calls[calls:] if call[0] != "add_receiver") == ("share", "o_ann*s2")
    assert story.calls[-1] == ("refund", "o_ann*r1")
    assert ("return_share", "o_ann*r1*b1") in story.calls
    assert settled(story) == {"o_ann.r1": 1100}
    assert lost(story, "o_ann")["1", "rider"] == (45, 0)
    assert lost(story, "o_ann")["1", "merchant"] == (0, 760)
    assert story.till.balances()["provider_clearing"] == 3202 + 900 - 760 - 45 - 17
    assert not any(account.startswith("receiver_advance") for account in story.till.balances())
    assert story.sandbox.shared_fen == 760 + 45 + 17
    assert story.rows("SELECT id FROM cases") == []


@pytest.mark.parametrize("is_closed_first", [False, True])
async def test_an_after_sale_decided_days_later_takes_from_persons_what_they_were_not_given(
    story: Story, is_closed_first: bool
) -> None:
    await story.split()
    story.deliver("o_ann.1")
    story.complete("o_ann")
    story.dispute("o_ann")
    await story.wait(timedelta(days=3))

    if is_closed_first:  # as releases before told it
        story.complete("o_ann")
    story.refund("o_ann.r1", 200 + 900)
    story.complete("o_ann")
    await story.wait(timedelta(minutes=1))

    assert settled(story) == {"o_ann.r1": 1100}
    assert lost(story, "o_ann")["1", "rider"] == (45, 0)
    assert lost(story, "o_ann")["1", "merchant"] == (0, 760)
    assert story.sandbox.shared_fen == 760 + 45 + 17
    assert not any(account.startswith("receiver_advance") for account in story.till.balances())
    assert story.sharing("o_ann").payout is PayoutState.DONE
    assert story.rows("SELECT id FROM cases") == []


async def test_an_after_sale_that_gives_all_back_days_later_leaves_nothing_to_pay_out(story: Story) -> None:
    await story.split()
    story.deliver("o_ann.1")
    story.complete("o_ann")
    story.dispute("o_ann")
    await story.wait(timedelta(days=3))

    story.refund("o_ann.r1", 2000)
    await story.wait(timedelta(hours=1))

    assert settled(story) == {"o_ann.r1": 2000}
    assert story.sandbox.shared_fen == 0
    assert not any(account.startswith("receiver_advance") for account in story.till.balances())
    assert story.sharing("o_ann").payout is PayoutState.DONE
    assert story.rows("SELECT id FROM timers") == []
    assert story.rows("SELECT id FROM cases") == []


async def test_the_refund_waits_for_the_last_of_its_returns(story: Story) -> None:
    await story.paid_out()
    story.broken["return_share"] = [None, Fault.LATE]

    story.refund("o_ben.r1", 1000)
    await story.wait(timedelta(minutes=19))
    before = story.till.column("SELECT state FROM refunds"), story.sandbox.refunded_fen
    await story.wait()

    assert story.rows("SELECT account, state FROM share_returns WHERE kind = 'merchant' ORDER BY account") == [
        ("noodles", "settled"),
        ("tea", "settled"),
    ]
    assert before == (["due"], 0)
    assert settled(story) == {"o_ben.r1": 1000}


async def test_what_a_person_owes_is_kept_from_what_he_gets_next(story: Story) -> None:
    await story.paid_out("o_ann")
    story.refund("o_ann.r1", 200 + 900)
    await story.wait()

    story.complete("o_ben")
    await story.wait()

    assert dict(
        story.rows("SELECT account, SUM(amount_fen) FROM share_parts WHERE order_id = 'o_ben' GROUP BY account")
    ) == {
        "noodles": 1967,
        "tea": 805,
        "p_rider": 91 - 45,
        LEADER: 62 - 17,
    }
    assert "receiver_advance:p_rider" not in story.till.balances()
    assert story.till.balances()["provider_clearing"] == 5202 - story.sandbox.shared_fen - 1100


async def test_p12_a_merchant_who_does_not_give_back_owes_it_and_the_member_is_refunded_anyway(story: Story) -> None:
    await story.paid_out()
    story.broken["return_share"] = [Fault.REFUSE]

    story.refund("o_ann.r1", 200)
    story.refund("o_ann.r2", 300)  # within what the platform has of all its orders
    await story.wait()

    assert settled(story) == {"o_ann.r1": 200, "o_ann.r2": 300}
    assert story.till.balances()["receiver_advance:noodles"] == 253
    assert story.rows("SELECT id, amount_fen, reason, state FROM cases") == [
        ("return.o_ann.r2.b1", 253, "balance_not_enough", "open")
    ]
    assert story.till.balances()["provider_clearing"] == 5202 - story.sandbox.shared_fen - 500


@pytest.mark.parametrize(
    ("how", "state", "accounts"),
    [
        (Settlement.RETRY, "settled", {}),
        (Settlement.PAID_OTHERWISE, "paid_otherwise", {"platform_funds": 253}),
        (Settlement.WRITE_OFF, "written_off", {"written_off": 253}),
    ],
)
async def test_what_a_merchant_owes_is_asked_for_again_or_paid_otherwise_or_written_off(
    story: Story, how: Settlement, state: str, accounts: dict[str, int]
) -> None:
    await story.paid_out()
    story.broken["return_share"] = [Fault.REFUSE]
    story.refund("o_ann.r1", 500)
    await story.wait()

    await story.do(SettleCase(case_id="return.o_ann.r1.b1", how=how, note="as agreed", operator_id="p_op"))
    await story.wait()

    assert story.rows("SELECT state FROM share_returns WHERE id = 'o_ann.r1.b1'") == [(state,)]
    balances = story.till.balances()
    assert "receiver_advance:noodles" not in balances
    assert {
        account: fen for account, fen in balances.items() if account in ("platform_funds", "written_off")
    } == accounts
    assert story.rows("SELECT state, settled_how FROM cases") == [("settled", how.value)]


async def test_what_was_kept_from_a_merchants_next_share_is_not_asked_for_again(story: Story) -> None:
    await story.paid_out("o_ann")
    story.broken["return_share"] = [Fault.REFUSE]
    story.refund("o_ann.r1", 500)
    await story.wait()

    story.complete("o_ben")
    await story.wait()
    again = SettleCase(case_id="return.o_ann.r1.b1", how=Settlement.RETRY, note="again", operator_id="p_op")
    with pytest.raises(CaseSettled):
        await story.do(again)

    assert story.rows("SELECT amount_fen FROM share_parts WHERE order_id = 'o_ben' AND account = 'noodles'") == [
        (1967 - 253,)
    ]
    assert story.rows("SELECT state, withheld_fen FROM share_returns WHERE id = 'o_ann.r1.b1'") == [("withheld", 253)]
    assert story.rows("SELECT state, settled_how, note FROM cases WHERE kind = 'return'") == [
        ("settled", None, "kept from later shares")
    ]
    assert "receiver_advance:noodles" not in story.till.balances()


async def test_only_what_was_not_kept_is_asked_for_again(story: Story) -> None:
    await story.paid_out("o_ann")
    story.broken["return_share"] = [Fault.REFUSE]
    story.refund("o_ann.r1", 500)
    story.refund("o_ben.r1", 3_000)  # leaves the merchant less than he owes
    await story.wait()
    story.complete("o_ben")
    await story.wait()
    ((kept, state),) = story.rows("SELECT withheld_fen, state FROM share_returns WHERE id = 'o_ann.r1.b1'")

    await story.do(SettleCase(case_id="return.o_ann.r1.b1", how=Settlement.RETRY, note="again", operator_id="p_op"))
    await story.wait()

    assert (0 < kept < 253, state) == (True, "refused")
    assert story.rows("SELECT state FROM share_returns WHERE id = 'o_ann.r1.b1'") == [("settled",)]
    assert story.rows(
        "SELECT amount_fen FROM entries WHERE journal_id = 'share_returned:o_ann.r1.b1' AND amount_fen > 0"
    ) == [(253 - kept,)]
    assert "receiver_advance:noodles" not in story.till.balances()


async def test_a_case_of_a_return_says_what_is_still_open_while_later_shares_keep_it_and_when_it_comes_again(
    story: Story,
) -> None:
    await story.paid_out("o_ann")
    story.broken["return_share"] = [Fault.REFUSE, Fault.REFUSE]
    story.refund("o_ann.r1", 500)
    await story.wait()
    said = [story.rows("SELECT amount_fen, times, state FROM cases WHERE kind = 'return'")]
    story.refund("o_ben.r1", 3_000)  # leaves the merchant less than he owes
    await story.wait()
    story.complete("o_ben")
    await story.wait()
    said.append(story.rows("SELECT amount_fen, times, state FROM cases WHERE kind = 'return'"))

    await story.do(SettleCase(case_id="return.o_ann.r1.b1", how=Settlement.RETRY, note="again", operator_id="p_op"))
    await story.wait()

    said.append(story.rows("SELECT amount_fen, times, state FROM cases WHERE kind = 'return'"))
    ((kept,),) = story.rows("SELECT withheld_fen FROM share_returns WHERE id = 'o_ann.r1.b1'")
    assert 0 < kept < 253
    assert said == [[(253, 1, "open")], [(253 - kept, 1, "open")], [(253 - kept, 2, "open")]]
    assert story.till.balances()["receiver_advance:noodles"] == 253 - kept


async def test_nothing_is_kept_for_a_return_that_is_on_its_way(story: Story) -> None:
    await story.paid_out("o_ann")
    story.broken["return_share"] = [Fault.LATE]
    story.refund("o_ann.r1", 500)

    story.complete("o_ben")
    await story.wait()

    assert story.rows("SELECT amount_fen FROM share_parts WHERE order_id = 'o_ben' AND account = 'noodles'") == [
        (1967,)
    ]
    assert story.rows("SELECT state, withheld_fen FROM share_returns WHERE id = 'o_ann.r1.b1'") == [("settled", 0)]
    assert "receiver_advance:noodles" not in story.till.balances()


@pytest.mark.parametrize("fault", [Fault.UNREACHABLE, Fault.ANSWER_LOST, Fault.LATE])
@pytest.mark.parametrize("operation", ["return_share", "query_return", "refund"])
async def test_lost_and_slow_returns_end_as_if_nothing_had_been(story: Story, operation: str, fault: Fault) -> None:
    await story.paid_out()
    story.broken = {"return_share": [Fault.LATE]} if operation == "query_return" else {}
    story.broken.setdefault(operation, []).extend([fault, fault])

    story.refund("o_ann.r1", 200 + 900)
    await story.wait(timedelta(hours=4))

    assert story.till.balances()["provider_clearing"] == 293
    assert settled(story) == {"o_ann.r1": 1100}
    assert {number for name, number in story.calls if name == "return_share"} == {"o_ann*r1*b1"}
    assert story.rows("SELECT id FROM timers") == []


async def test_a_refund_that_comes_while_a_share_is_under_way_waits_for_it(story: Story) -> None:
    await story.split()
    story.deliver("o_ann.1")
    story.broken["share"] = [Fault.LATE]
    story.complete("o_ann")
    await story.wait(timedelta(minutes=2))

    story.refund("o_ann.r1", 1100)
    waiting = story.till.column("SELECT state FROM refunds")
    await story.wait(timedelta(hours=2))

    assert waiting == ["waiting"]
    assert settled(story) == {"o_ann.r1": 1100}
    assert lost(story, "o_ann")["1", "merchant"] == (0, 760)


async def test_a_refund_while_the_payout_is_held_leaves_less_to_share(story: Story) -> None:
    await story.split()
    story.deliver("o_ann.1")
    story.refund("o_ann.r1", 1100)

    story.complete("o_ann")
    await story.wait()

    given = story.rows("SELECT account, amount_fen FROM share_parts WHERE order_id = 'o_ann' ORDER BY line")
    assert given == [("noodles", 760), ("p_rider", 45), (LEADER, 17)]
    assert story.sandbox.refunded_fen == 1100


async def test_a_refund_the_provider_refuses_is_tried_again_under_a_new_number(story: Story) -> None:
    await story.split()
    story.broken["refund"] = [Fault.REFUSE]
    story.refund("o_ann.r1", 200)
    await story.wait()

    await story.do(SettleCase(case_id="refund.o_ann.r1", how=Settlement.RETRY, note="again", operator_id="p_op"))
    await story.wait()

    assert settled(story) == {"o_ann.r1": 200}
    assert [number for name, number in story.calls if name == "refund"] == ["o_ann*r1", "o_ann*r1*a1"]
    assert story.till.column("SELECT out_refund_no FROM refunds") == ["o_ann*r1*a1"]


async def sent_anew(story: Story) -> None:
    """A refund that was refused, and that an operator has sent again; the answer to that was lost."""
    await story.split()
    story.broken["refund"] = [Fault.REFUSE, Fault.ANSWER_LOST]
    story.refund("o_ann.r1", 200)
    await story.wait()
    await story.do(SettleCase(case_id="refund.o_ann.r1", how=Settlement.RETRY, note="again", operator_id="p_op"))
    await story.wait(timedelta(seconds=1))


def notice_of(story: Story, out_refund_no: str, progress: RefundProgress) -> RecordRefund:
    """What a notice about this number has recorded."""
    told = RefundSeen(out_refund_no=out_refund_no, progress=progress, amount_fen=200, reason="closed")
    command = story.cashier.command_of(Notice(id="n", event="REFUND", seen=told))
    assert isinstance(command, RecordRefund)
    return command


@pytest.mark.parametrize("is_answered", [False, True])
async def test_a_late_notice_of_a_refusal_is_no_refusal_of_a_refund_sent_anew(story: Story, is_answered: bool) -> None:
    await sent_anew(story)
    if is_answered:
        under_way = RecordRefund(
            refund_id="o_ann.r1", progress=RefundProgress.PROCESSING, amount_fen=200, out_refund_no="o_ann*r1*a1"
        )
        await story.do(under_way)
    before = story.rows("SELECT state, refusal FROM refunds")

    await story.do(notice_of(story, "o_ann*r1", RefundProgress.REFUSED))

    assert before == [("sent" if is_answered else "due", None)]
    assert story.rows("SELECT state, refusal FROM refunds") == before
    assert story.rows("SELECT state FROM cases") == [("settled",)]
    await story.wait()
    assert settled(story) == {"o_ann.r1": 200}
    assert story.sandbox.refunded_fen == 200


async def test_a_notice_of_a_refund_sent_anew_is_known_by_its_new_number(story: Story) -> None:
    await sent_anew(story)

    await story.do(notice_of(story, "o_ann*r1*a1", RefundProgress.SETTLED))

    assert settled(story) == {"o_ann.r1": 200}
    assert story.rows("SELECT state, out_refund_no FROM refunds") == [("settled", "o_ann*r1*a1")]


async def test_a_refund_that_fails_again_is_a_case_again(story: Story) -> None:
    await story.split()
    story.broken["refund"] = [Fault.REFUSE, Fault.REFUSE]
    story.refund("o_ann.r1", 200)
    await story.wait()

    await story.do(SettleCase(case_id="refund.o_ann.r1", how=Settlement.RETRY, note="again", operator_id="p_op"))
    await story.wait()

    assert story.rows("SELECT state, times, settled_by FROM cases") == [("open", 2, None)]
    assert story.till.balances()["user_refund_payable"] == -200


async def test_a_refused_refund_that_was_sent_after_all_is_not_sent_again(story: Story) -> None:
    await story.split()
    story.broken["refund"] = [Fault.REFUSE]
    story.refund("o_ann.r1", 200)
    await story.wait()
    story.broken["refund"] = [Fault.ANSWER_LOST]

    await story.do(SettleCase(case_id="refund.o_ann.r1", how=Settlement.RETRY, note="again", operator_id="p_op"))
    await story.wait()

    assert story.sandbox.refunded_fen == 200
    assert settled(story) == {"o_ann.r1": 200}


@pytest.mark.parametrize(
    ("how", "told", "account"),
    [(Settlement.PAID_OTHERWISE, {"o_ann.r1": 200}, "platform_funds"), (Settlement.WRITE_OFF, {}, "written_off")],
)
async def test_a_refused_refund_is_paid_otherwise_or_written_off(
    story: Story, how: Settlement, told: dict[str, int], account: str
) -> None:
    await story.split()
    story.broken["refund"] = [Fault.REFUSE]
    story.refund("o_ann.r1", 200)
    await story.wait()

    await story.do(SettleCase(case_id="refund.o_ann.r1", how=how, note="in cash", operator_id="p_op"))

    assert settled(story) == told
    assert story.till.balances()[account] == -200
    assert "user_refund_payable" not in story.till.balances()


async def test_a_parked_refund_is_tried_again_when_an_operator_says_so(story: Story) -> None:
    story.refund("o_ann.r1", 300)
    await story.wait(timedelta(hours=25))
    parked = story.till.column("SELECT state FROM refunds")
    await story.split()

    await story.do(SettleCase(case_id="refund.o_ann.r1", how=Settlement.RETRY, note="it came", operator_id="p_op"))
    await story.wait()

    assert parked == ["parked"]
    assert settled(story) == {"o_ann.r1": 300}
    assert story.sharing("o_ann").claimed == Money(1700)


async def test_a_late_word_on_a_returns_first_try_does_not_end_its_second(story: Story) -> None:
    await story.paid_out()
    story.broken["return_share"] = [Fault.REFUSE, Fault.LATE]
    story.refund("o_ann.r1", 500)
    await story.wait()
    await story.do(SettleCase(case_id="return.o_ann.r1.b1", how=Settlement.RETRY, note="again", operator_id="p_op"))
    await story.wait(timedelta(minutes=1))

    late = RecordReturn(
        return_id="o_ann.r1.b1", out_return_no="o_ann*r1*b1", progress=RefundProgress.REFUSED, amount_fen=253
    )
    await story.do(late)
    between = story.rows("SELECT state FROM share_returns WHERE id = 'o_ann.r1.b1'")
    await story.wait()

    assert between == [("sent",)]
    assert story.rows("SELECT state, out_return_no FROM share_returns WHERE id = 'o_ann.r1.b1'") == [
        ("settled", "o_ann*r1*b1*a2")
    ]


async def test_what_was_given_in_two_ways_comes_back_in_two_ways_and_no_part_twice(story: Story) -> None:
    await story.split()
    number = story.till.column("SELECT out_trade_no FROM payments WHERE order_id = 'o_ann'")[0]
    by_hand = RefundAsked(out_refund_no="hand", out_trade_no=number, amount_fen=1000, captured_fen=2000, reason="x")
    await story.sandbox.refund(by_hand, now=story.till.now)
    story.complete("o_ann")
    await story.wait()
    await story.do(SettleCase(case_id="share.o_ann.0", how=Settlement.PAID_OTHERWISE, note="bank", operator_id="p"))

    story.refund("o_ann.r1", 200 + 900)
    await story.wait()
    story.refund("o_ann.r2", 900)
    await story.wait()

    assert story.rows("SELECT amount_fen, back_fen FROM share_parts WHERE result = 'success'") == [(1000, 1000)]
    assert story.rows(
        "SELECT id, share_id, amount_fen FROM share_returns WHERE owed_in LIKE '%noodles' ORDER BY id"
    ) == [
        ("o_ann.r1.b1", "o_ann.s2", 760),
        ("o_ann.r2.b1", "o_ann.s2", 240),
        ("o_ann.r2.b2", "", 520),
    ]
    assert story.sharing("o_ann").claimed == Money(0)


async def test_what_is_looked_at_already_is_one_case(story: Story) -> None:
    await story.split()
    story.refund("o_ann.r1", 100)

    story.refund("o_ann.r1", 101)
    story.refund("o_ann.r1", 102)

    assert story.rows("SELECT id, times, amount_fen, reason FROM cases") == [
        ("refund.o_ann.r1", 1, 101, "repeat_differs")
    ]


async def test_the_refund_waits_for_persons_too_when_their_share_is_slow(story: Story) -> None:
    await story.split()
    story.complete("o_ann")
    await story.wait(timedelta(hours=1))
    story.broken["share"] = [Fault.LATE]

    story.refund("o_ann.r1", 200 + 900)
    await story.wait(timedelta(minutes=10))
    before = story.rows("SELECT state FROM share_returns"), story.sandbox.refunded_fen
    await story.wait(timedelta(minutes=20))

    assert before == ([("settled",)], 0)
    assert story.sandbox.refunded_fen == 1100
    assert story.rows("SELECT id FROM cases") == []


async def test_a_return_the_provider_never_heard_of_is_sent_again_when_it_is_asked_about(story: Story) -> None:
    await story.paid_out()
    story.broken["return_share"] = [Fault.UNREACHABLE]
    story.refund("o_ann.r1", 1100)
    await story.wait(timedelta(seconds=1))
    unknown = RecordReturn(
        return_id="o_ann.r1.b1", out_return_no="o_ann*r1*b1", progress=RefundProgress.UNKNOWN, amount_fen=0
    )

    await story.do(unknown)
    await story.wait()

    assert story.rows("SELECT state FROM share_returns WHERE kind = 'merchant'") == [("settled",)]
    assert settled(story) == {"o_ann.r1": 1100}


async def test_a_refund_that_was_refused_only_to_our_mind_is_not_sent_again(story: Story) -> None:
    await story.split()
    story.broken["refund"] = [Fault.ANSWER_LOST]
    story.refund("o_ann.r1", 200)
    await story.wait(timedelta(seconds=1))
    refused = RecordRefund(refund_id="o_ann.r1", progress=RefundProgress.REFUSED, amount_fen=200, reason="closed")
    await story.do(refused)

    await story.do(SettleCase(case_id="refund.o_ann.r1", how=Settlement.RETRY, note="again", operator_id="p_op"))
    await story.wait()

    assert [number for name, number in story.calls if name == "refund"] == ["o_ann*r1"]
    assert story.sandbox.refunded_fen == 200
    assert settled(story) == {"o_ann.r1": 200}


async def test_a_refund_that_settles_after_all_is_nobodys_case_any_more(story: Story) -> None:
    await story.split()
    story.broken["refund"] = [Fault.REFUSE]
    story.refund("o_ann.r1", 200)
    await story.wait()

    await story.do(RecordRefund(refund_id="o_ann.r1", progress=RefundProgress.SETTLED, amount_fen=200))

    assert story.rows("SELECT state, settled_by, note FROM cases") == [
        ("settled", None, "settled by the payment company")
    ]


async def test_a_refund_that_was_written_off_stays_so_whatever_is_said_of_it(story: Story) -> None:
    await story.split()
    story.broken["refund"] = [Fault.REFUSE]
    story.refund("o_ann.r1", 200)
    await story.wait()
    await story.do(SettleCase(case_id="refund.o_ann.r1", how=Settlement.WRITE_OFF, note="gone", operator_id="p_op"))
    before = story.till.balances()

    await story.do(RecordRefund(refund_id="o_ann.r1", progress=RefundProgress.SETTLED, amount_fen=200))

    assert story.till.balances() == before
    assert settled(story) == {}
