"""C1, C2, P10, P11: a completed order is paid out in shares, once, whatever the payment company does meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from tests.money.till import NOON
from tests.sharing.split import ANN, CONFIRM, LEADER, SPLIT
from tests.sharing.story import Story
from tuanzi.base.ids import PersonId
from tuanzi.base.money import Money
from tuanzi.money import Fault, ReceiverKind, ReceiverResult, ShareProgress
from tuanzi.money.vendors import RefundAsked
from tuanzi.people import ForgetPerson
from tuanzi.sharing.model import (
    PERSONS_WAIT,
    ChangeTerms,
    PayoutState,
    RecordShare,
    RegisterPayee,
    SeenPart,
    SettleCase,
    Settlement,
    SharingTerms,
    StartPayout,
)
from tuanzi.sharing.problems import CannotSettle, CaseSettled

GIVEN = {  # what others get of both orders
    "noodles": 1520 + 1967,
    "tea": 805,
    "p_rider": 90 + 60 + 31,
    LEADER: 34 + 44 + 18,
}
KEPT = {"order_escrow": -200, "platform_income": -402, "provider_fee": -31, "provider_clearing": 633}


@pytest.fixture
def story() -> Story:
    """Nothing has happened yet."""
    return Story()


def given(story: Story) -> dict[str, int]:
    """What every receiver was given, as this database says."""
    sql = "SELECT account, SUM(amount_fen) FROM share_parts WHERE result = 'success' GROUP BY account"
    return dict(story.rows(sql))


async def test_money_is_held_until_the_order_is_completed(story: Story) -> None:
    await story.split()
    story.deliver("o_ann.1")

    await story.wait(timedelta(days=1))

    assert [operation for operation, _ in story.calls] == ["open", "open"]
    assert story.sharing("o_ann").payout is PayoutState.HELD
    assert story.till.balances()["rider_payable:p_rider"] == -90
    assert story.till.balances()["rider_payable:pool"] == -91


async def test_a_completed_order_waits_until_the_provider_can_share_it(story: Story) -> None:
    await story.split()
    story.complete("o_ann")

    await story.wait(timedelta(seconds=59))
    early = [operation for operation, _ in story.calls]
    await story.wait(timedelta(seconds=1))

    assert early == ["open", "open"]
    assert ("share", "o_ann*s1") in story.calls


async def test_everybody_is_given_his_part_and_the_rest_is_unfrozen(story: Story) -> None:
    await story.paid_out()

    assert given(story) == GIVEN
    assert story.till.balances() == KEPT
    assert story.sandbox.shared_fen == sum(GIVEN.values())
    assert [story.sharing(order_id).payout for order_id in ("o_ann", "o_ben")] == [PayoutState.DONE] * 2
    for transaction_id in story.till.column("SELECT transaction_id FROM payments"):
        assert await story.sandbox.unsplit(transaction_id, now=NOON) == 0
    assert story.rows("SELECT id FROM timers") == []
    assert story.rows("SELECT id FROM cases") == []


async def test_persons_wait_until_after_sale_is_over_for_nothing_comes_back_from_them(story: Story) -> None:
    await story.split()
    story.deliver("o_ann.1")
    story.complete("o_ann")

    await story.wait(timedelta(hours=24) - timedelta(milliseconds=1))
    before = given(story), story.sharing("o_ann").payout
    await story.wait(timedelta(milliseconds=1))

    assert before == ({"noodles": 1520}, PayoutState.DUE)
    assert given(story) == {"noodles": 1520, "p_rider": 90, LEADER: 34}
    assert story.sharing("o_ann").payout is PayoutState.DONE


async def test_persons_wait_until_an_after_sale_that_was_asked_for_is_decided(story: Story) -> None:
    await story.split()
    story.deliver("o_ann.1")
    story.complete("o_ann")
    await story.wait(timedelta(hours=23))

    story.dispute("o_ann")
    story.dispute("o_ann")
    await story.wait(timedelta(days=3))
    before = given(story), story.sharing("o_ann").payout
    story.complete("o_ann")
    await story.wait(timedelta(minutes=1))

    assert before == ({"noodles": 1520}, PayoutState.DUE)
    assert given(story) == {"noodles": 1520, "p_rider": 90, LEADER: 34}
    assert story.sharing("o_ann").payout is PayoutState.DONE
    assert story.rows("SELECT id FROM timers") == []


async def test_an_after_sale_closed_within_the_day_gives_persons_nothing_sooner(story: Story) -> None:
    await story.split()
    story.deliver("o_ann.1")
    story.complete("o_ann")
    story.dispute("o_ann")
    await story.wait(timedelta(hours=1))
    merchants = given(story)

    story.complete("o_ann")
    await story.wait(timedelta(hours=23) - timedelta(milliseconds=1))
    before = given(story)
    await story.wait(timedelta(milliseconds=1))

    assert merchants == before == {"noodles": 1520}
    assert given(story) == {"noodles": 1520, "p_rider": 90, LEADER: 34}
    assert story.sharing("o_ann").payout is PayoutState.DONE


async def test_an_after_sale_before_the_order_is_completed_delays_nothing_once_it_is(story: Story) -> None:
    await story.split()
    story.deliver("o_ann.1")
    story.dispute("o_ann")
    await story.wait(timedelta(days=2))

    story.complete("o_ann")
    await story.wait(timedelta(hours=24))

    assert given(story) == {"noodles": 1520, "p_rider": 90, LEADER: 34}
    assert story.sharing("o_ann").payout is PayoutState.DONE


async def test_completing_and_starting_again_give_nothing_twice(story: Story) -> None:
    await story.paid_out()
    calls, balances = list(story.calls), story.till.balances()

    story.complete("o_ann", "o_ben")
    await story.do(StartPayout(order_id="o_ann"))
    await story.wait()

    assert story.calls == calls
    assert story.till.balances() == balances


async def test_an_order_completed_before_its_split_was_heard_of_is_paid_out_after_it(story: Story) -> None:
    await story.pay()
    await story.do(SPLIT)
    story.complete("o_ann")

    await story.do(CONFIRM)
    await story.wait()

    assert story.sharing("o_ann").payout is PayoutState.DONE
    assert story.sharing("o_ben").payout is PayoutState.HELD


async def test_a_cancelled_split_pays_nothing_out(story: Story) -> None:
    await story.pay()
    await story.do(SPLIT)
    await story.cancel()
    story.complete("o_ann")
    story.deliver("o_ann.1")

    await story.wait()

    assert [operation for operation, _ in story.calls] == ["open", "open"]


@pytest.mark.parametrize("operation", ["add_receiver", "share", "query_share", "unfreeze"])
@pytest.mark.parametrize("fault", [Fault.UNREACHABLE, Fault.ANSWER_LOST, Fault.LATE])
async def test_lost_requests_lost_answers_and_slow_shares_end_as_if_nothing_had_been(
    story: Story, operation: str, fault: Fault
) -> None:
    story.broken = {"share": [Fault.LATE]} if operation == "query_share" else {}
    story.broken.setdefault(operation, []).extend([fault, fault])

    await story.paid_out()
    await story.wait(timedelta(hours=3))

    assert given(story) == GIVEN
    assert story.till.balances() == KEPT
    assert story.sandbox.shared_fen == sum(GIVEN.values())
    assert {number for name, number in story.calls if name == "share"} == {
        "o_ann*s1",
        "o_ann*s2",
        "o_ben*s1",
        "o_ben*s2",
    }
    assert story.rows("SELECT id FROM timers") == []


async def test_a_restart_between_any_two_steps_changes_nothing(story: Story) -> None:
    await story.split()
    story.deliver("o_ann.1", "o_ben.1", "o_ben.2")
    story.complete("o_ann", "o_ben")

    for _ in range(60):
        await story.wait(timedelta(minutes=30))
        story.till.forget()

    assert given(story) == GIVEN
    assert story.till.balances() == KEPT


async def test_p10_a_closed_part_is_given_once_more_under_a_new_number_and_its_receiver_added_anew(
    story: Story,
) -> None:
    story.broken["share"] = [Fault.CLOSED]  # noodles, the first of Ann's

    await story.paid_out("o_ann")

    assert story.rows("SELECT share_id, line, result, reason FROM share_parts ORDER BY share_id, line") == [
        ("o_ann.s1", 0, "closed", "account_abnormal"),
        ("o_ann.s2", 0, "success", ""),
        ("o_ann.s3", 2, "success", ""),
        ("o_ann.s3", 3, "success", ""),
    ]
    assert [number for name, number in story.calls if name == "add_receiver"].count("noodles") == 2
    assert story.transfers("o_ann")["1", "merchant"].given == Money(1520)
    assert story.rows("SELECT id FROM cases") == []


async def test_p10_a_part_that_stays_closed_is_owed_all_the_same_and_a_person_is_asked(story: Story) -> None:
    story.broken["share"] = [Fault.CLOSED, Fault.CLOSED]

    await story.paid_out("o_ann")

    assert story.sharing("o_ann").payout is PayoutState.DONE
    assert story.till.balances()["merchant_payable:noodles"] == -(1520 + 1967)
    assert story.rows("SELECT id, amount_fen, reason, state FROM cases") == [
        ("share.o_ann.0", 1520, "account_abnormal", "open")
    ]
    assert story.rows("SELECT COUNT(*) FROM shares WHERE order_id = 'o_ann'") == [(3,)]


async def test_what_the_provider_would_not_give_can_be_paid_from_the_bank(story: Story) -> None:
    story.broken["share"] = [Fault.CLOSED, Fault.CLOSED]
    await story.paid_out("o_ann")
    settle = SettleCase(case_id="share.o_ann.0", how=Settlement.PAID_OTHERWISE, note="ICBC 8841", operator_id="p_op")

    await story.do(settle)

    assert story.till.balances()["platform_funds"] == -1520
    assert story.till.balances()["merchant_payable:noodles"] == -1967
    assert story.rows("SELECT state, settled_by, settled_how, note FROM cases") == [
        ("settled", "p_op", "paid_otherwise", "ICBC 8841")
    ]
    with pytest.raises(CaseSettled):
        await story.do(settle)


async def test_what_nobody_is_to_get_is_written_off_but_not_tried_again_once_it_is_unfrozen(story: Story) -> None:
    story.broken["share"] = [Fault.CLOSED, Fault.CLOSED]
    await story.paid_out("o_ann")
    settle = SettleCase(case_id="share.o_ann.0", how=Settlement.RETRY, note="again", operator_id="p_op")

    with pytest.raises(CannotSettle):
        await story.do(settle)
    await story.do(SettleCase(case_id="share.o_ann.0", how=Settlement.WRITE_OFF, note="gone", operator_id="p_op"))

    assert story.till.balances()["written_off"] == -1520


async def test_p11_what_is_above_the_providers_ratio_is_owed_and_a_person_is_asked() -> None:
    story = Story(share_max=3_000)

    await story.paid_out("o_ann")

    assert story.sharing("o_ann").payout is PayoutState.DONE
    assert story.till.balances()["merchant_payable:noodles"] == -(1520 + 1967)
    assert {row[0] for row in story.rows("SELECT reason FROM cases")} == {"above_ratio"}
    assert story.rows("SELECT id, amount_fen FROM cases") == [("share.o_ann.0", 1520)]
    assert given(story) == {"p_rider": 90, LEADER: 34}  # within the ratio


async def test_p11_terms_within_the_providers_ratio_share_what_they_may_and_owe_the_rest() -> None:
    story = Story(share_max=3_000)
    terms = SharingTerms(id="", version=0, outward_max=3_000)
    await story.do(ChangeTerms(terms=terms, after_version=0, operator_id="p_op"))

    await story.paid_out("o_ann")

    assert sum(given(story).values()) == 540
    assert story.till.balances()["merchant_payable:noodles"] == -(1520 + 1967 - given(story)["noodles"])
    assert story.rows("SELECT id FROM cases") == []  # as agreed, and so nothing to look at


async def test_p11_when_less_is_frozen_than_is_owed_that_is_shared_out_and_the_rest_is_owed(story: Story) -> None:
    await story.split()
    number = story.till.column("SELECT out_trade_no FROM payments WHERE order_id = 'o_ann'")[0]
    by_hand = RefundAsked(out_refund_no="hand", out_trade_no=number, amount_fen=1000, captured_fen=2000, reason="x")
    await story.sandbox.refund(by_hand, now=NOON)

    story.deliver("o_ann.1")
    story.complete("o_ann")
    await story.wait()

    assert given(story) == {"noodles": 1000}
    assert story.sharing("o_ann").payout is PayoutState.DONE
    assert story.sharing("o_ann").rounds == 3
    assert story.rows("SELECT id, amount_fen FROM cases ORDER BY id") == [
        ("share.o_ann.0", 520),
        ("share.o_ann.2", 90),
        ("share.o_ann.3", 34),
    ]


async def test_a_receiver_the_provider_does_not_want_is_owed_and_the_others_are_given_theirs(story: Story) -> None:
    await story.do(
        RegisterPayee(
            kind=ReceiverKind.MERCHANT, owner_id="noodles", account="1900000109", full_name="", operator_id="p_op"
        )
    )

    await story.paid_out("o_ann")

    assert given(story) == {"p_rider": 90, LEADER: 34}
    assert story.rows("SELECT id, amount_fen, reason FROM cases") == [("share.o_ann.0", 1520, "param_error")]


async def test_a_registered_payee_is_given_his_part_under_his_own_account(story: Story) -> None:
    await story.do(
        RegisterPayee(
            kind=ReceiverKind.MERCHANT,
            owner_id="noodles",
            account="1900000109",
            full_name="青团面馆",
            operator_id="p_op",
        )
    )

    await story.paid_out("o_ann")

    assert given(story) == {"1900000109": 1520, "p_rider": 90, LEADER: 34}


async def test_a_rider_who_leads_the_group_is_one_receiver(story: Story) -> None:
    await story.split()
    story.deliver("o_ann.1", rider_id=LEADER)
    story.complete("o_ann")

    await story.wait()

    assert given(story) == {"noodles": 1520, LEADER: 124}
    assert story.till.balances().get(f"rider_payable:{LEADER}", 0) == 0


async def test_money_of_a_drop_off_nobody_has_brought_stays_in_the_pool(story: Story) -> None:
    await story.split()
    story.complete("o_ann")
    await story.wait()
    in_pool = story.till.balances()["rider_payable:pool"]

    story.deliver("o_ann.1")
    story.deliver("o_ann.1", rider_id="p_other")

    assert in_pool == -181
    assert story.till.balances()["rider_payable:p_rider"] == -90
    assert story.till.balances()["rider_payable:pool"] == -91


async def test_an_order_that_cost_nothing_is_done_at_once(story: Story) -> None:
    free = replace(ANN, order_id="o_free", payment_id="p_free", paid_fen=0, payable_fen=0, parts=())
    await story.do(replace(SPLIT, orders=(free,)), CONFIRM)

    story.complete("o_free")
    await story.wait()

    assert story.sharing("o_free").payout is PayoutState.DONE
    assert story.calls == []


async def test_nothing_goes_out_while_the_books_of_one_of_its_merchants_are_looked_into(story: Story) -> None:
    await story.split()
    story.complete("o_ben")
    story.till.database.execute_script("INSERT INTO payout_holds (merchant_id, because) VALUES ('tea', '[\"d_1\"]');")

    await story.wait()
    held = [operation for operation, _ in story.calls]
    story.till.database.execute_script("DELETE FROM payout_holds;")
    story.till.forget()
    await story.wait()

    assert held == ["open", "open"]
    assert given(story) == {"noodles": 1967, "tea": 805, LEADER: 62}


async def test_what_is_said_of_a_share_after_its_end_changes_nothing(story: Story) -> None:
    await story.paid_out()
    before = story.till.balances(), story.transfers("o_ann"), story.rows("SELECT * FROM share_parts")

    await story.do(RecordShare(share_id="o_ann.s1", progress=ShareProgress.REFUSED, reason="late"))
    part = SeenPart(account="noodles", amount_fen=1520, result=ReceiverResult.SUCCESS, reason="")
    await story.do(RecordShare(share_id="o_ann.s1", progress=ShareProgress.FINISHED, receivers=(part,)))

    assert (story.till.balances(), story.transfers("o_ann"), story.rows("SELECT * FROM share_parts")) == before


@pytest.mark.parametrize(
    "said",
    [(), (("noodles", 1519),), (("tea", 1520),), (("noodles", 1520), ("tea", 1))],
    ids=["none", "less", "other", "more"],
)
async def test_results_that_are_not_what_was_asked_book_nothing_and_ask_for_a_person(
    story: Story, said: tuple[tuple[str, int], ...]
) -> None:
    await story.split()
    story.broken["share"] = [Fault.LATE]
    story.complete("o_ann")
    await story.wait(timedelta(minutes=2))
    before = story.till.balances()
    receivers = tuple(
        SeenPart(account=account, amount_fen=fen, result=ReceiverResult.SUCCESS, reason="") for account, fen in said
    )

    await story.do(RecordShare(share_id="o_ann.s1", progress=ShareProgress.FINISHED, receivers=receivers))
    booked = story.till.balances()
    await story.wait(timedelta(hours=1))

    assert booked == before
    assert story.rows("SELECT id, reason FROM cases") == [("share.o_ann.s1", "results_differ")]
    assert given(story) == {"noodles": 1520}  # it was asked about, and then it was right
    await story.do(SettleCase(case_id="share.o_ann.s1", how=Settlement.WRITE_OFF, note="theirs", operator_id="p_op"))
    assert story.rows("SELECT state FROM cases") == [("settled",)]


async def test_a_share_the_provider_never_heard_of_is_sent_again_when_it_is_asked_about(story: Story) -> None:
    await story.split()
    story.broken["share"] = [Fault.UNREACHABLE]
    story.complete("o_ann")
    await story.wait(timedelta(seconds=61))

    await story.do(RecordShare(share_id="o_ann.s1", progress=ShareProgress.UNKNOWN))
    await story.wait(timedelta(minutes=5))

    assert given(story) == {"noodles": 1520}
    assert [number for name, number in story.calls if name in ("share", "query_share")] == ["o_ann*s1"] * 3


async def test_an_erased_person_has_no_account_any_more_and_what_he_is_owed_waits_for_an_operator(
    story: Story,
) -> None:
    """J3, PIPL art. 47: the ledger is exact all the same; a repeat changes nothing."""
    register = RegisterPayee(
        kind=ReceiverKind.PERSON, owner_id="p_rider", account="wx_openid_rider", full_name="张骑手", operator_id="p_op"
    )
    forget = ForgetPerson(person_id=PersonId("p_rider"))

    await story.do(register, forget, forget)
    await story.paid_out("o_ann")

    kept = story.rows("SELECT account, full_name, state, refusal FROM payees WHERE id = 'person:p_rider'")
    assert kept == [("", "", "refused", "person_erased")]
    assert given(story) == {"noodles": 1520, LEADER: 34}
    assert story.till.balances()["rider_payable:p_rider"] == -90 - 60 - 31  # with what he brought of the other order
    assert story.rows("SELECT kind, amount_fen, reason FROM cases") == [("share", 90, "person_erased")]


async def test_a_share_that_closes_after_its_receiver_was_erased_is_not_given_to_him_once_more(story: Story) -> None:
    await story.split()
    story.deliver("o_ann.1")
    story.broken["share"] = [None, Fault.LATE]  # type: ignore[list-item] # the merchant's, then the persons'
    story.complete("o_ann")
    await story.wait(PERSONS_WAIT + timedelta(minutes=2))
    assert story.rows("SELECT share_id, account FROM share_parts WHERE result = 'pending' ORDER BY account") == [
        ("o_ann.s2", LEADER),
        ("o_ann.s2", "p_rider"),
    ]

    await story.do(ForgetPerson(person_id=PersonId("p_rider")))
    closed = SeenPart(account="p_rider", amount_fen=90, result=ReceiverResult.CLOSED, reason="closed")
    given_34 = SeenPart(account=LEADER, amount_fen=34, result=ReceiverResult.SUCCESS, reason="")
    await story.do(RecordShare(share_id="o_ann.s2", progress=ShareProgress.FINISHED, receivers=(closed, given_34)))
    await story.wait()

    assert story.rows("SELECT account, state FROM payees WHERE id = 'person:p_rider'") == [("", "refused")]
    assert given(story) == {"noodles": 1520, LEADER: 34}
    assert story.rows("SELECT amount_fen, reason FROM cases") == [(90, "person_erased")]
