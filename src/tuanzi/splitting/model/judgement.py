"""What an event makes of a split's transaction: the whole of the coordinator's judgement, without I/O (B3)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.branch import TransactionState
from tuanzi.splitting.model.transaction import (
    ADDRESSES,
    HOME,
    REASON_MAX,
    AnswersCame,
    BranchState,
    DeadlineCame,
    Event,
    Heard,
    Message,
    Split,
    SplitBranch,
    Word,
)

# Our choice: a lost answer costs a quarter of a second, and whoever comes back is heard three times within a minute.
PAUSE_SHORTEST: Final = timedelta(milliseconds=250)
PAUSE_LONGEST: Final = timedelta(seconds=20)


class Turn(Struct, frozen=True, kw_only=True, gc=False):
    """Where a transaction is after an event, and what to send next: `message` to the branches `to`, at `at`.

    to: empty when there is nothing to send; what is on its way already stays so.
    """

    split: Split
    branches: tuple[SplitBranch, ...]
    message: Message = Message.TRY
    to: tuple[str, ...] = ()
    at: datetime | None = None


def register() -> tuple[SplitBranch, ...]:
    """A new transaction's branches; the one at home is tried in the same commit."""
    return tuple(
        [
            SplitBranch(
                branch=branch,
                address=address,
                state=BranchState.TRIED if address == HOME else BranchState.REGISTERED,
            )
            for branch, address in ADDRESSES.items()
        ]
    )


def take_turn(split: Split, branches: tuple[SplitBranch, ...], event: Event, *, now: datetime) -> Turn:
    """What an event makes of a transaction: the whole of the coordinator's judgement, without I/O.

    There is one decision, the step out of `trying`: CONFIRMING when every branch was tried before the deadline,
    CANCELLING when one refused or the deadline came. Answers to a message that is not being sent any more, and all
    events after the end, change nothing. Where there was no answer the message is sent again, later and later.
    """
    match event:
        case AnswersCame():
            if event.message is not _MESSAGES[split.state]:
                return Turn(split=split, branches=branches)
            heard = {one.branch: one for one in event.heard}
            after = tuple([_heard(each, heard.get(each.branch), event.message) for each in branches])
            moved = any(new.state is not old.state for new, old in zip(after, branches, strict=True))
            breached = any(one.word is Word.BREACHED for one in event.heard)
            split = replace(
                split, attempts=0 if moved else split.attempts + 1, needs_human=split.needs_human or breached
            )
        case DeadlineCame():
            if split.state is not TransactionState.TRYING:
                return Turn(split=split, branches=branches)
            after = branches
        case _:
            assert_never(event)
    return _send_on(*_step(split, after, now=now), now=now)


# What is being sent in a state; nothing at its end.
_MESSAGES: Final = {
    TransactionState.TRYING: Message.TRY,
    TransactionState.CONFIRMING: Message.CONFIRM,
    TransactionState.CONFIRMED: None,
    TransactionState.CANCELLING: Message.CANCEL,
    TransactionState.CANCELLED: None,
}
_DONE: Final = {
    Message.TRY: BranchState.TRIED,
    Message.CONFIRM: BranchState.CONFIRMED,
    Message.CANCEL: BranchState.CANCELLED,
}
_SETTLED: Final = {
    Message.TRY: (BranchState.TRIED, BranchState.REFUSED),
    Message.CONFIRM: (BranchState.CONFIRMED,),
    Message.CANCEL: (BranchState.CANCELLED,),
}


def _heard(branch: SplitBranch, heard: Heard | None, message: Message) -> SplitBranch:
    """A branch after its answer to `message`; one that is settled already stays as it is."""
    if heard is None or branch.address == HOME or branch.state in _SETTLED[message]:
        return branch
    attempts = branch.attempts + 1
    match heard.word:
        case Word.DONE:
            return replace(branch, state=_DONE[message], attempts=attempts)
        case Word.REFUSED if message is Message.TRY:
            return replace(branch, state=BranchState.REFUSED, attempts=attempts, last_error=heard.reason[:REASON_MAX])
        case Word.REFUSED | Word.UNKNOWN | Word.BREACHED:
            return replace(branch, attempts=attempts, last_error=heard.reason[:REASON_MAX])
        case _:
            assert_never(heard.word)


def _step(
    split: Split, branches: tuple[SplitBranch, ...], *, now: datetime
) -> tuple[Split, tuple[SplitBranch, ...], bool]:
    """The transaction and its branches one state on, where that is due, and whether it is.

    The branch at home is confirmed with the decision, for that commit is its own; and cancelled with the last of the
    others, for what it holds goes back together.
    """
    match split.state:
        case TransactionState.TRYING:
            refused = next((each for each in branches if each.state is BranchState.REFUSED), None)
            if refused is not None:
                reason = f"{refused.branch}: {refused.last_error}"[:REASON_MAX]
                return _decided(split, TransactionState.CANCELLING, reason=reason, now=now), branches, True
            if now >= split.deadline_at:
                return _decided(split, TransactionState.CANCELLING, reason="deadline", now=now), branches, True
            if all(each.state is BranchState.TRIED for each in branches):
                split = _decided(split, TransactionState.CONFIRMING, reason="", now=now)
                return split, _at_home(branches, BranchState.CONFIRMED), True
        case TransactionState.CONFIRMING:
            if all(each.state is BranchState.CONFIRMED for each in branches):
                return _ended(split, TransactionState.CONFIRMED, now=now), branches, True
        case TransactionState.CANCELLING:
            if all(each.state is BranchState.CANCELLED for each in branches if each.address != HOME):
                split = _ended(split, TransactionState.CANCELLED, now=now)
                return split, _at_home(branches, BranchState.CANCELLED), True
        case TransactionState.CONFIRMED | TransactionState.CANCELLED:
            pass
        case _:
            assert_never(split.state)
    return split, branches, False


def _send_on(split: Split, branches: tuple[SplitBranch, ...], has_moved: bool, *, now: datetime) -> Turn:
    message = _MESSAGES[split.state]
    if message is None:
        return Turn(split=split, branches=branches)
    unsettled = [each for each in branches if each.address != HOME and each.state not in _SETTLED[message]]
    at = now if has_moved else now + pause_after(split.attempts)
    to = tuple([each.branch for each in unsettled])
    return Turn(split=split, branches=branches, message=message, to=to, at=at)


def pause_after(attempts: int) -> timedelta:
    """How long to wait after so many messages in a row that moved nothing: doubling, capped."""
    return min(PAUSE_SHORTEST * (1 << min(max(attempts - 1, 0), 10)), PAUSE_LONGEST)


def _decided(split: Split, state: TransactionState, *, reason: str, now: datetime) -> Split:
    return replace(split, state=state, reason=reason, decided_at=now, attempts=0)


def _ended(split: Split, state: TransactionState, *, now: datetime) -> Split:
    return replace(split, state=state, ended_at=now, attempts=0)


def _at_home(branches: tuple[SplitBranch, ...], state: BranchState) -> tuple[SplitBranch, ...]:
    return tuple([replace(each, state=state) if each.address == HOME else each for each in branches])
