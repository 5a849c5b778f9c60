"""B3: the coordinator's judgement - one decision, never back, whatever is heard in whatever order (reliability 1.1)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.heart import START
from tuanzi.base.branch import TransactionState
from tuanzi.base.ids import GroupId
from tuanzi.splitting import BranchState, Split, SplitBranch
from tuanzi.splitting.model import (
    DELIVERY,
    HOME,
    PAUSE_LONGEST,
    PAUSE_SHORTEST,
    SHARING,
    STOCK,
    AnswersCame,
    DeadlineCame,
    Event,
    Heard,
    Message,
    Turn,
    Word,
    pause_after,
    register,
    take_turn,
)

S = TransactionState
AWAY = (SHARING, DELIVERY)
DEADLINE = START + timedelta(seconds=15)
NEW = Split(
    gid="g_1.split",
    group_id=GroupId("g_1"),
    state=S.TRYING,
    reason="",
    deadline_at=DEADLINE,
    started_at=START,
    epoch=7,
)


def hear(turn: Turn, message: Message, *, now: datetime = START, reason: str = "x/no", **words: Word) -> Turn:
    """What answers make of it: `sharing=Word.DONE` and so on."""
    heard = tuple(Heard(branch=branch, word=word, reason=reason) for branch, word in words.items())
    return take_turn(turn.split, turn.branches, AnswersCame(message=message, heard=heard), now=now)


def begun() -> Turn:
    return Turn(split=NEW, branches=register())


def states(turn: Turn) -> dict[str, str]:
    return {branch.branch: branch.state.value for branch in turn.branches}


def test_branches_are_registered_before_anything_is_sent_and_the_one_at_home_is_tried() -> None:
    assert states(begun()) == {STOCK: "tried", SHARING: "registered", DELIVERY: "registered"}


def test_when_all_were_tried_it_is_confirmed_and_stock_with_the_decision_itself() -> None:
    turn = hear(begun(), Message.TRY, sharing=Word.DONE, delivery=Word.DONE)

    assert (turn.split.state, turn.split.decided_at) == (S.CONFIRMING, START)
    assert states(turn) == {STOCK: "confirmed", SHARING: "tried", DELIVERY: "tried"}
    assert (turn.message, turn.to, turn.at) == (Message.CONFIRM, AWAY, START)

    turn = hear(turn, Message.CONFIRM, sharing=Word.DONE, delivery=Word.DONE)

    assert (turn.split.state, turn.split.ended_at, turn.at) == (S.CONFIRMED, START, None)
    assert set(states(turn).values()) == {"confirmed"}


@pytest.mark.parametrize("refusing", AWAY)
def test_one_refusal_cancels_all_and_what_stock_holds_goes_back_with_the_last(refusing: str) -> None:
    words = {SHARING: Word.DONE, DELIVERY: Word.DONE, refusing: Word.REFUSED}
    turn = hear(begun(), Message.TRY, **words)

    assert (turn.split.state, turn.split.reason) == (S.CANCELLING, f"{refusing}: x/no")
    assert (turn.message, turn.to) == (Message.CANCEL, AWAY)  # the refusing one too: a late Try must not begin there
    assert states(turn)[STOCK] == "tried"

    turn = hear(turn, Message.CANCEL, sharing=Word.DONE, delivery=Word.UNKNOWN)
    assert (turn.split.state, states(turn)[STOCK], turn.to) == (S.CANCELLING, "tried", (DELIVERY,))

    turn = hear(turn, Message.CANCEL, delivery=Word.DONE)
    assert (turn.split.state, turn.at) == (S.CANCELLED, None)
    assert set(states(turn).values()) == {"cancelled"}


def test_no_answer_is_no_refusal_it_is_asked_again() -> None:
    turn = hear(begun(), Message.TRY, sharing=Word.DONE, delivery=Word.UNKNOWN)

    assert turn.split.state is S.TRYING
    assert (turn.message, turn.to, turn.at) == (Message.TRY, (DELIVERY,), START + PAUSE_SHORTEST)
    assert [branch.last_error for branch in turn.branches] == [None, None, "x/no"]


def test_answers_at_the_deadline_are_too_late() -> None:
    late = hear(begun(), Message.TRY, now=DEADLINE, sharing=Word.DONE, delivery=Word.DONE)
    just = hear(begun(), Message.TRY, now=DEADLINE - timedelta(milliseconds=1), sharing=Word.DONE, delivery=Word.DONE)

    assert (late.split.state, late.split.reason) == (S.CANCELLING, "deadline")
    assert just.split.state is S.CONFIRMING


def test_the_deadline_cancels_what_is_trying_and_nothing_else() -> None:
    confirming = hear(begun(), Message.TRY, sharing=Word.DONE, delivery=Word.DONE)

    assert take_turn(NEW, register(), DeadlineCame(), now=DEADLINE).split.state is S.CANCELLING
    after = take_turn(confirming.split, confirming.branches, DeadlineCame(), now=DEADLINE)
    assert (after.split, after.branches, after.at) == (confirming.split, confirming.branches, None)


def test_answers_to_a_message_of_before_the_decision_change_nothing() -> None:
    cancelling = take_turn(NEW, register(), DeadlineCame(), now=DEADLINE)

    after = hear(cancelling, Message.TRY, sharing=Word.DONE, delivery=Word.DONE)

    assert (after.split, after.branches, after.at) == (cancelling.split, cancelling.branches, None)


@pytest.mark.parametrize("message", [Message.CONFIRM, Message.CANCEL])
def test_a_branch_that_breaks_its_word_calls_a_human_and_is_tried_on(message: Message) -> None:
    turn = hear(begun(), Message.TRY, sharing=Word.DONE, delivery=Word.DONE)
    if message is Message.CANCEL:
        turn = take_turn(NEW, register(), DeadlineCame(), now=DEADLINE)
    before = turn.split.state

    turn = hear(turn, message, sharing=Word.BREACHED, delivery=Word.DONE)

    assert (turn.split.state, turn.split.needs_human, turn.to) == (before, True, (SHARING,))
    assert turn.at is not None


def test_pauses_double_up_to_twenty_seconds_and_start_anew_when_somebody_answers() -> None:
    assert [pause_after(n).total_seconds() for n in (0, 1, 2, 3, 7, 8, 99)] == [0.25, 0.25, 0.5, 1, 16, 20, 20]
    turn = hear(begun(), Message.TRY, sharing=Word.DONE, delivery=Word.DONE)
    for _ in range(20):
        turn = hear(turn, Message.CONFIRM, sharing=Word.UNKNOWN, delivery=Word.UNKNOWN)
    assert turn.at == START + PAUSE_LONGEST

    turn = hear(turn, Message.CONFIRM, sharing=Word.DONE, delivery=Word.UNKNOWN)

    assert turn.at == START + PAUSE_SHORTEST
    assert [branch.attempts for branch in turn.branches] == [0, 22, 22]


words = st.sampled_from(Word)
answers = st.builds(
    AnswersCame,
    message=st.sampled_from(Message),
    heard=st.lists(
        st.builds(Heard, branch=st.sampled_from((STOCK, SHARING, DELIVERY, "unknown")), word=words, reason=st.text()),
        max_size=3,
    ).map(tuple),
)
events = st.lists(st.tuples(st.one_of(answers, st.just(DeadlineCame())), st.integers(0, 20)), max_size=30)
NEXT = {
    S.TRYING: {S.TRYING, S.CONFIRMING, S.CANCELLING},
    S.CONFIRMING: {S.CONFIRMING, S.CONFIRMED},
    S.CANCELLING: {S.CANCELLING, S.CANCELLED},
    S.CONFIRMED: {S.CONFIRMED},
    S.CANCELLED: {S.CANCELLED},
}
FORBIDDEN = {
    S.CONFIRMING: {BranchState.REGISTERED, BranchState.REFUSED, BranchState.CANCELLED},
    S.CONFIRMED: set(BranchState) - {BranchState.CONFIRMED},
    S.CANCELLING: {BranchState.CONFIRMED},
    S.CANCELLED: set(BranchState) - {BranchState.CANCELLED},
    S.TRYING: {BranchState.CONFIRMED, BranchState.CANCELLED},
}


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(events)
def test_whatever_is_heard_it_never_goes_back_and_decides_once(told: list[tuple[Event, int]]) -> None:
    turn, now = begun(), START
    decisions = set()

    for event, seconds in told:
        now += timedelta(seconds=seconds)
        before, branches_before = turn.split, turn.branches
        turn = take_turn(before, branches_before, event, now=now)
        after = turn.split
        assert after.state in NEXT[before.state]
        assert {branch.state for branch in turn.branches}.isdisjoint(FORBIDDEN[after.state])
        assert not before.is_final or (after, turn.branches, turn.at) == (before, branches_before, None)
        assert before.decided_at in (None, after.decided_at)
        assert before.needs_human <= after.needs_human
        if after.state not in (S.TRYING, before.state):
            decisions.add(after.state)
        if turn.at is not None:
            sent = [branch for branch in turn.branches if branch.branch in turn.to]
            assert turn.to
            assert all(branch.address != HOME for branch in sent)
            assert now <= turn.at <= now + PAUSE_LONGEST
        elif after is not before:
            assert after.is_final
    assert decisions in (
        set(),
        {S.CONFIRMING},
        {S.CANCELLING},
        {S.CONFIRMING, S.CONFIRMED},
        {S.CANCELLING, S.CANCELLED},
    )


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(events)
def test_once_branches_answer_it_ends(told: list[tuple[Event, int]]) -> None:
    """I5: from wherever faults have left it, whoever is asked and answers brings it to its end in three messages."""
    turn, now = begun(), START
    for event, seconds in told:
        now += timedelta(seconds=seconds)
        turn = take_turn(turn.split, turn.branches, event, now=now)

    for message in (Message.TRY, Message.CONFIRM, Message.CANCEL):
        turn = hear(turn, message, now=now, sharing=Word.DONE, delivery=Word.DONE)

    assert turn.split.is_final


def test_a_branch_that_is_not_known_is_not_heard() -> None:
    turn = hear(begun(), Message.TRY, stranger=Word.REFUSED)

    assert turn.split == replace(NEW, attempts=1)
    assert turn.branches == register()


def test_a_branch_row_says_where_it_is() -> None:
    assert register()[1] == SplitBranch(branch=SHARING, address="money", state=BranchState.REGISTERED)
