"""B3: a closed group's split over core, money and delivery ends fully confirmed or fully cancelled, whatever fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.heart import BEIJING, OPERATOR, Campus, run
from tuanzi.base.branch import BranchRefused, Suspended, TransactionState
from tuanzi.base.ids import OrderId
from tuanzi.delivery import CancelDelivery, ConfirmDelivery, TryDelivery
from tuanzi.events import GroupFailed, MerchantBoard, RefundDue, SplitCancelled, SplitConfirmed, SplitPlanned
from tuanzi.machinery.fence import StaleCoordinator
from tuanzi.machinery.post import Letter
from tuanzi.money import CancelSharing, ConfirmSharing, TrySharing
from tuanzi.orders import IllegalStep, RefundOrder
from tuanzi.splitting import Messenger, SendConfirms, Split, SplitBranch, SplitCoordinator, gid_of
from tuanzi.splitting.store import SPLIT_BRANCHES, SPLITS

S = TransactionState
TRIES = (TrySharing, TryDelivery)
GID = "g_000001.split"
FENCES = "SELECT branch, state FROM fences ORDER BY branch LIMIT 100"


@pytest.fixture
def campus() -> Campus:
    return Campus()


class Full(BranchRefused):
    """No room here."""

    code = "tests/no-room"


def close(campus: Campus) -> list[str]:
    """Three members pay 2201 fen each; their group closes. The ids of their orders."""
    return [seated.order_id for seated in campus.group("m1", "m2", "m3")]


def split_of(campus: Campus) -> Split:
    (row,) = campus.core.database.fetch(SPLITS, [GID])
    return SPLITS.from_row(row)


def branches_of(campus: Campus) -> dict[str, SplitBranch]:
    (row,) = campus.core.database.fetch(SPLIT_BRANCHES, [GID])
    return {branch.branch: branch for branch in SPLIT_BRANCHES.from_row(row).branches}


def fences(campus: Campus) -> dict[str, str]:
    """How each branch's fence stands in its database; a branch nobody heard of is not in it."""
    return {
        branch: state for kind in ("core", "money", "delivery") for branch, state in campus.rows(FENCES, database=kind)
    }


def sent(campus: Campus) -> list[type]:
    return [type(letter.command) for letter in campus.post.sent]


def check_all_or_nothing(campus: Campus, order_ids: list[str]) -> None:
    """I3: the transaction is final, and core, stock, money and delivery all agree on its outcome."""
    split = split_of(campus)
    campus.settle_refunds()
    states = {campus.state(id) for id in order_ids}
    balances = campus.balances()
    if split.state is S.CONFIRMED:
        assert set(fences(campus).values()) == {"confirmed"}
        assert states == {"split"}
        assert [sub.state.value for id in order_ids for sub in campus.sub_orders(id)] == ["planned"] * 3
        assert campus.held_and_sold("beef") == (0, 3)
        assert "order_escrow" not in balances
        assert (len(campus.told(SplitConfirmed)), len(campus.told(SplitCancelled))) == (1, 0)
        assert campus.timers() == [f"accept:{split.group_id}"]
    else:
        assert split.state is S.CANCELLED
        assert set(fences(campus).values()) <= {"cancelled", "suspended"}
        assert len(fences(campus)) == 3
        assert states == {"refunded"}
        assert campus.rows("SELECT COUNT(*) FROM sub_orders") == [(0,)]
        assert campus.held_and_sold("beef") == (0, 0)
        assert balances == {}
        assert (len(campus.told(SplitConfirmed)), len(campus.told(SplitCancelled))) == (0, 1)
        assert campus.timers() == []
    assert {branch.state.value for branch in branches_of(campus).values()} == {split.state.value}
    assert len(campus.told(SplitPlanned)) == 1


# What everybody sees


def test_a_closed_group_is_told_its_plan_at_once_and_its_outcome_when_all_branches_have_it(campus: Campus) -> None:
    """B6: accepted and shown in the commit that closed the group; done a moment later."""
    campus.splits_by_hand = True
    order_ids = close(campus)

    assert campus.told(SplitPlanned)[0].paid_fen == 6603
    assert [campus.state(id) for id in order_ids] == ["grouped"] * 3
    assert {name: branch.state.value for name, branch in branches_of(campus).items()} == {
        "stock": "tried",
        "sharing": "registered",
        "delivery": "registered",
    }

    campus.carry_splits(steps=1)

    assert (split_of(campus).state, campus.told(SplitConfirmed)) == (S.CONFIRMING, [])
    assert [campus.state(id) for id in order_ids] == ["split"] * 3
    assert [sub.state.value for id in order_ids for sub in campus.sub_orders(id)] == ["waiting"] * 3
    assert {due.order_id: due.amount_fen for due in campus.told(RefundDue)} == {order_ids[1]: 1, order_ids[2]: 1}

    campus.carry_splits(steps=1)

    board = MerchantBoard(merchant_id="noodles", sub_order_ids=tuple(f"{id}.1" for id in order_ids))
    assert campus.told(SplitConfirmed) == [SplitConfirmed(group_id="g_000001", gid=GID, boards=(board,))]
    check_all_or_nothing(campus, order_ids)


def test_both_branches_are_sent_their_messages_at_once_by_the_coordinator_in_its_epoch(campus: Campus) -> None:
    close(campus)

    assert sent(campus) == [TrySharing, TryDelivery, ConfirmSharing, ConfirmDelivery]
    assert [letter.address for letter in campus.post.sent] == ["money", "delivery"] * 2
    named = {(letter.command.branch.gid, letter.command.branch.coordinator) for letter in campus.post.sent}
    assert named == {(GID, BEIJING)}
    assert {letter.command.branch.epoch for letter in campus.post.sent} == {1}


def test_what_the_branches_are_asked_adds_up_to_the_plan(campus: Campus) -> None:
    close(campus)

    sharing, delivery = (letter.command for letter in campus.post.sent[:2])

    assert [order.paid_fen for order in sharing.orders] == [2201] * 3
    assert [order.payable_fen for order in sharing.orders] == [2201, 2200, 2200]
    assert [[part.payable_fen for part in order.parts] for order in sharing.orders] == [[2201], [2200], [2200]]
    assert [order.payment_id for order in sharing.orders] == ["p_000002", "p_000003", "p_000004"]
    assert [(drop.merchant_id, drop.building_id, drop.portions) for drop in delivery.drop_offs] == [
        ("noodles", "dorm-1", 1)
    ] * 3
    assert {drop.from_spot.latitude_e6 for drop in delivery.drop_offs} == {40_002_000}
    assert {drop.to_spot.latitude_e6 for drop in delivery.drop_offs} == {40_001_000}


@pytest.mark.parametrize("refusing", TRIES)
def test_a_refusal_cancels_everything_and_everybody_hears_why(campus: Campus, refusing: type) -> None:
    campus.grant("m1", "c1", 500)
    campus.post.spoil = lambda letter: Full() if type(letter.command) is refusing else None
    first = campus.open("m1", campaign="steps", coupon="c1")
    seated = [first, *[campus.join(first.group_id, member) for member in ("m2", "m3", "m4")]]
    for one in seated:
        campus.pay(one.order_id)

    branch = "sharing" if refusing is TrySharing else "delivery"
    (told,) = campus.told(SplitCancelled)
    assert told == SplitCancelled(
        group_id=first.group_id, gid=gid_of(first.group_id), reason=f"{branch}: tests/no-room"
    )
    assert campus.told(GroupFailed)[-1].reason == "split_cancelled"
    assert campus.the_group(first.group_id).state.value == "failed"
    dues = campus.told(RefundDue)
    assert [(due.order_id, due.reason) for due in dues] == [(one.order_id, "split_cancelled") for one in seated]
    assert [due.amount_fen for due in dues] == [campus.order(one.order_id).paid.fen for one in seated]
    assert campus.coupon("c1").state.value == "free"
    assert [campus.uses("steps", f"m{i}") for i in range(1, 5)] == [0] * 4
    assert campus.held_and_sold("beef") == (0, 0)
    assert sent(campus)[2:] == [CancelSharing, CancelDelivery]


def test_a_group_whose_split_was_cancelled_takes_no_late_money(campus: Campus) -> None:
    seated = campus.group("m1", "m2", "m4", paid=2, campaign="steps")
    campus.pass_time(minutes=6)
    campus.post.spoil = lambda letter: Full() if type(letter.command) in TRIES else None
    campus.pass_time(until=campus.the_group(seated[0].group_id).closes_at)

    campus.pay(seated[2].order_id)

    assert campus.the_group(seated[0].group_id).state.value == "failed"
    assert campus.order(seated[2].order_id).refunds[0].reason == "late"


# What fails on the way


def test_a_lost_answer_is_not_a_refusal(campus: Campus) -> None:
    """P2: applied, and the answer lost: the same again finds it done."""
    campus.post.spoil = lambda letter: "unanswered" if len(campus.post.sent) in (1, 4, 5) else None
    order_ids = close(campus)
    assert split_of(campus).state is S.TRYING

    campus.pass_time(seconds=2)

    check_all_or_nothing(campus, order_ids)
    assert split_of(campus).state is S.CONFIRMED
    assert sent(campus).count(TrySharing) == 2
    assert sent(campus).count(TryDelivery) == 1


def test_letters_that_come_twice_have_their_effect_once(campus: Campus) -> None:
    campus.post.spoil = lambda letter: "twice"

    order_ids = close(campus)

    check_all_or_nothing(campus, order_ids)
    assert split_of(campus).state is S.CONFIRMED


@pytest.mark.parametrize("silent", [TRIES, (TrySharing,), (TryDelivery,)])
@pytest.mark.parametrize("how", ["lost", "unanswered"])
def test_at_the_deadline_whoever_did_not_answer_is_cancelled_too(campus: Campus, silent: Any, how: str) -> None:
    campus.post.spoil = lambda letter: how if type(letter.command) in silent else None
    order_ids = close(campus)

    campus.pass_time(seconds=14, milliseconds=999)
    assert split_of(campus).state is S.TRYING
    campus.pass_time(milliseconds=1)

    check_all_or_nothing(campus, order_ids)
    assert split_of(campus).reason == "deadline"


def test_a_try_that_comes_after_its_cancel_begins_nothing(campus: Campus) -> None:
    """悬挂: a letter that lay somewhere for a minute."""
    late: list[Letter] = []

    def lose(letter: Letter) -> str | None:
        if type(letter.command) not in TRIES:
            return None
        late.append(letter)
        return "lost"

    campus.post.spoil = lose
    order_ids = close(campus)
    campus.pass_time(minutes=1)

    assert [type(campus.carry(letter)) for letter in late] == [Suspended] * len(late)
    check_all_or_nothing(campus, order_ids)


def test_an_answer_after_the_deadline_s_decision_changes_nothing(campus: Campus) -> None:
    campus.splits_by_hand = True
    order_ids = close(campus)
    (timer,) = campus.core.timers.take_due(campus.now, limit=10)
    errand = campus.core.schema.codec.command(timer.command, timer.body)
    home = run(campus.errands[type(errand)](errand, now=campus.now))
    campus.pass_time(seconds=15)

    campus.do(home)

    assert split_of(campus).reason == "deadline"
    campus.splits_by_hand = False
    campus.pass_time(seconds=1)
    check_all_or_nothing(campus, order_ids)


@pytest.mark.parametrize("message", ["confirm", "cancel"])
def test_what_was_decided_is_carried_through_however_long_a_participant_is_away(campus: Campus, message: str) -> None:
    gone = {"confirm": (ConfirmSharing, ConfirmDelivery), "cancel": (CancelSharing, CancelDelivery)}[message]

    def spoil(letter: Letter) -> Any:
        if message == "cancel" and type(letter.command) is TryDelivery:
            return Full()
        return "lost" if type(letter.command) in gone else None

    campus.post.spoil = spoil
    order_ids = close(campus)
    campus.pass_time(minutes=60)
    assert split_of(campus).state in (S.CONFIRMING, S.CANCELLING)
    assert 150 < branches_of(campus)["sharing"].attempts < 250
    assert branches_of(campus)["sharing"].last_error == "TimeoutError"

    campus.post.spoil = lambda letter: None
    campus.pass_time(seconds=20)

    check_all_or_nothing(campus, order_ids)


class Dead(Exception):
    """The process is killed here."""


@pytest.mark.parametrize("refusing", [None, TryDelivery])
@pytest.mark.parametrize("at", ["before it is carried", "after it is carried"])
@pytest.mark.parametrize("cut", range(4))
def test_a_process_killed_at_any_letter_goes_on_where_it_was(
    campus: Campus, cut: int, at: str, refusing: type | None
) -> None:
    """The timers know what was on its way; what was sent already is sent again and found done."""

    def spoil(letter: Letter) -> Any:
        if len(campus.post.sent) == cut + 1:
            if at == "after it is carried":
                campus.carry(letter)
            raise Dead
        return Full() if type(letter.command) is refusing else None

    campus.post.spoil = spoil
    with pytest.raises(Dead):
        close(campus)
    order_ids = ["o_000002", "o_000003", "o_000004"]

    campus.kill()
    campus.pass_time(seconds=1)

    check_all_or_nothing(campus, order_ids)
    assert split_of(campus).state is (S.CANCELLED if refusing else S.CONFIRMED)


@pytest.mark.parametrize("refusing", [None, TrySharing])
def test_a_process_killed_after_every_commit_goes_on_where_it_was(campus: Campus, refusing: type | None) -> None:
    campus.splits_by_hand = True
    campus.post.spoil = lambda letter: Full() if type(letter.command) is refusing else None
    order_ids = close(campus)

    campus.kill()
    while campus.carry_splits(steps=1):
        campus.kill()

    check_all_or_nothing(campus, order_ids)
    assert [letter.command.branch.epoch for letter in campus.post.sent] == [2, 2, 3, 3]


# Two coordinators


def test_a_coordinator_that_was_taken_over_is_not_heard_and_does_no_harm(campus: Campus) -> None:
    campus.splits_by_hand = True
    order_ids = close(campus)
    campus.kill()
    campus.carry_splits(steps=1)
    paused = Messenger(campus.post)
    paused.take_over(SplitCoordinator(coordinator=BEIJING, epoch=1))

    with campus.nothing_changes(), pytest.raises(StaleCoordinator):
        run(paused.send_confirms(SendConfirms(gid=GID, to=("sharing", "delivery")), now=campus.now))

    assert paused.stale == 1
    campus.carry_splits()
    check_all_or_nothing(campus, order_ids)


def test_two_coordinators_at_once_push_the_same_way(campus: Campus) -> None:
    """The old one speaks before the new one was heard anywhere: the same message twice."""
    campus.splits_by_hand = True
    order_ids = close(campus)
    campus.carry_splits(steps=1)
    paused = Messenger(campus.post)
    paused.take_over(SplitCoordinator(coordinator=BEIJING, epoch=1))
    campus.kill()
    run(paused.send_confirms(SendConfirms(gid=GID, to=("sharing", "delivery")), now=campus.now))

    campus.carry_splits()

    check_all_or_nothing(campus, order_ids)


# A branch that breaks its word


@pytest.mark.parametrize(
    ("kind", "wound"),
    [("sharing", "DELETE FROM fences"), ("delivery", "UPDATE fences SET state = 'cancelled'")],
)
def test_a_branch_that_cannot_be_confirmed_calls_a_human_and_keeps_the_decision(
    campus: Campus, kind: str, wound: str, caplog: pytest.LogCaptureFixture
) -> None:
    campus.splits_by_hand = True
    close(campus)
    campus.carry_splits(steps=1)
    books = campus.money if kind == "sharing" else campus.delivery
    books.database.execute_script(f"{wound};")
    campus.evict()

    with caplog.at_level(logging.ERROR):
        campus.carry_splits()
    campus.pass_time(minutes=5)

    assert (split_of(campus).state, split_of(campus).needs_human) == (S.CONFIRMING, True)
    assert branches_of(campus)[kind].last_error == "machinery/empty-confirm"
    assert branches_of(campus)[kind].attempts > 10
    assert {record.message for record in caplog.records} == {"splitting.branch_breached"}
    assert campus.timers() == [f"split:{GID}"]


def test_a_branch_that_is_confirmed_against_the_decision_calls_a_human_and_keeps_it(campus: Campus) -> None:
    """A decision is never turned: docs/decisions/0007."""
    campus.post.spoil = lambda letter: "unanswered" if type(letter.command) is TryDelivery else None
    close(campus)
    campus.delivery.database.execute_script("UPDATE fences SET state = 'confirmed';")
    campus.evict()
    campus.pass_time(minutes=1)

    assert (split_of(campus).state, split_of(campus).needs_human) == (S.CANCELLING, True)
    assert branches_of(campus)["delivery"].last_error == "machinery/cancel-refused"


# After the split


def test_a_whole_refund_takes_what_is_on_the_counter_off_the_boards_and_frees_portions_and_uses(
    campus: Campus,
) -> None:
    seated = campus.group("m1", "m2", "m3", "m4", campaign="steps")
    order_id = OrderId(seated[0].order_id)

    campus.do(RefundOrder(order_id=order_id, amount_fen=None, reason="kind", by=OPERATOR))

    assert [sub.state.value for sub in campus.sub_orders(order_id)] == ["withdrawn"]
    assert campus.held_and_sold("beef") == (0, 3)
    assert [campus.uses("steps", f"m{i}") for i in range(1, 5)] == [0, 1, 1, 1]


@pytest.mark.parametrize("amount_fen", [None, 100])
def test_nothing_is_refunded_by_hand_while_a_split_is_decided_and_not_confirmed(
    campus: Campus, amount_fen: int | None
) -> None:
    """Its money is set aside in the ledger just then; a moment later it can be given back."""
    campus.splits_by_hand = True
    order_ids = close(campus)
    campus.carry_splits(steps=1)

    with campus.refused(IllegalStep):
        campus.do(RefundOrder(order_id=OrderId(order_ids[0]), amount_fen=amount_fen, reason="kind", by=OPERATOR))

    campus.carry_splits()
    check_all_or_nothing(campus, order_ids)


def test_many_groups_are_split_side_by_side(campus: Campus) -> None:
    answers: dict[int, Callable[[], Any]] = {1: Full, 2: lambda: "lost", 3: lambda: "unanswered"}
    campus.post.spoil = lambda letter: answers.get(len(campus.post.sent) % 11, lambda: None)()
    for group in range(12):
        campus.group(*[f"m{group}{i}" for i in range(3)], wanted="soup")

    campus.post.spoil = lambda letter: None
    campus.pass_time(minutes=1)

    states = [state for (state,) in campus.rows("SELECT state FROM splits ORDER BY gid LIMIT 100")]
    assert set(states) == {"confirmed", "cancelled"}
    assert campus.held_and_sold("soup") == (0, 3 * states.count("confirmed"))
    assert [timer for timer in campus.timers() if not timer.startswith("accept:")] == []
