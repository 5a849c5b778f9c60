"""Planted bugs of a split's transaction, to prove that storms and invariants would find them (reliability.md L5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace as replace_fields
from datetime import datetime
from functools import partial
from typing import Any

from msgspec.structs import replace

from simulation.house import VirtualHouse
from tests.simulation.mutants import ForgetfulDatabase, Forgets, LyingDatabase, MakeHouse, Twist, commanded, ignored
from tuanzi.base.branch import BranchAnswer, FenceState
from tuanzi.base.problem import Problem
from tuanzi.delivery import CancelDelivery, ConfirmDelivery, TryDelivery
from tuanzi.events import RefundDue, SplitCancelled, SplitConfirmed
from tuanzi.machinery.fence import FENCES, Fence
from tuanzi.machinery.internal import TIMERS
from tuanzi.machinery.writer import Schema
from tuanzi.money import CancelSharing, ConfirmSharing, TrySharing
from tuanzi.money.model import Entry
from tuanzi.orders import Order, SubOrder
from tuanzi.splitting import ReachDeadline, RecordAnswers, SendCancels, Split, SplitBranch
from tuanzi.splitting.model import Heard, Message, Word
from tuanzi.stock import Portions

Handler = Callable[..., Any]


def wrapped(schema: Schema, database: str, kind: type, wrap: Callable[[Handler], Handler]) -> Schema:
    """A command's handler, wrapped."""
    if schema.database != database:
        return schema
    return replace_fields(schema, decides={**schema.decides, kind: wrap(schema.decides[kind])})


def changed(alter: Callable[[Any], Any]) -> Callable[[Handler], Handler]:
    """A handler that gets another command than was sent."""

    def wrap(handler: Handler) -> Handler:
        def handle(unit: Any, command: Any, *, now: datetime) -> Any:
            return handler(unit, alter(command), now=now)

        return handle

    return wrap


def answered(state: FenceState) -> Callable[[Handler], Handler]:
    """A participant that answers and does nothing."""

    def wrap(handler: Handler) -> Handler:
        def handle(unit: Any, command: Any, *, now: datetime) -> Any:
            return BranchAnswer(gid=command.branch.gid, branch=command.branch.branch, state=state)

        return handle

    return wrap


def never_refusing(state: FenceState) -> Callable[[Handler], Handler]:
    """A participant whose refusals are successes, as an empty Confirm that is not noticed."""

    def wrap(handler: Handler) -> Handler:
        def handle(unit: Any, command: Any, *, now: datetime) -> Any:
            try:
                return handler(unit, command, now=now)
            except Problem:
                return BranchAnswer(gid=command.branch.gid, branch=command.branch.branch, state=state)

        return handle

    return wrap


def fence_gone_first(handler: Handler) -> Handler:
    """A fence deleted early: whoever repeats a Try finds nothing (Seata's hole 1, reliability.md 1.3)."""

    def handle(unit: Any, command: Any, *, now: datetime) -> Any:
        if unit.find(Fence, (command.branch.gid, command.branch.branch)) is not None:
            unit.remove(Fence, (command.branch.gid, command.branch.branch))
        return handler(unit, command, now=now)

    return handle


def hears(change: Callable[[Message, Heard], Heard]) -> Callable[[Handler], Handler]:
    """A coordinator that takes answers for something else."""

    def alter(command: RecordAnswers) -> RecordAnswers:
        return replace(command, heard=tuple(change(command.message, one) for one in command.heard))

    return changed(alter)


def silence_is_consent(message: Message, heard: Heard) -> Heard:
    """No answer is taken for done."""
    return replace(heard, word=Word.DONE) if heard.word is Word.UNKNOWN else heard


def a_no_is_a_yes(message: Message, heard: Heard) -> Heard:
    """A refused Try is taken for tried."""
    return replace(heard, word=Word.DONE) if heard.word is Word.REFUSED else heard


def nobody_asks_again(handler: Handler) -> Handler:
    """A coordinator that sends each message once."""

    def handle(unit: Any, command: RecordAnswers, *, now: datetime) -> Any:
        answer = handler(unit, command, now=now)
        if any(one.word is Word.UNKNOWN for one in command.heard):
            unit.unschedule(f"split:{command.gid}")
        return answer

    return handle


def cancels_when_in_doubt(handler: Handler) -> Handler:
    """A coordinator whose deadline also undoes what is decided already."""

    def handle(unit: Any, command: RecordAnswers, *, now: datetime) -> Any:
        answer = handler(unit, command, now=now)
        if command.message is Message.CONFIRM and any(one.word is Word.UNKNOWN for one in command.heard):
            unit.schedule(f"split:{command.gid}", SendCancels(gid=command.gid, to=("sharing", "delivery")), at=now)
        return answer

    return handle


class ForgetsFences(ForgetfulDatabase):
    """Keeps no fence at all."""

    table = FENCES


class ForgetsTimers(ForgetfulDatabase):
    """Keeps what is to be sent in memory only (peers' P15)."""

    table = TIMERS


class OneMore(Twist):
    """Sells a portion more than is held."""

    def kept(self, value: Any) -> Any:
        """One sold from nowhere."""
        return replace(value, sold=value.sold + 1) if isinstance(value, Portions) and value.left else value


class LosesALine(Twist):
    """Books a journal without its second line."""

    def kept(self, value: Any) -> Any:
        """None for it."""
        return None if isinstance(value, Entry) and value.line == 1 else value


class RefundsAFenLess(Twist):
    """Promises a fen less than the order's refund says."""

    def told(self, event: Any) -> list[Any]:
        """A fen less."""
        if isinstance(event, RefundDue) and event.amount_fen > 1:
            return [replace(event, amount_fen=event.amount_fen - 1)]
        return [event]


def at(database: str, kind: type, wrap: Callable[[Handler], Handler]) -> MakeHouse:
    """A house where one command's handler is wrapped."""
    return partial(VirtualHouse, alter=lambda schema: wrapped(schema, database, kind, wrap))


def twisted_at(database: str, kind: type, twist: Twist) -> MakeHouse:
    """A house where one command's handler is twisted."""
    return partial(VirtualHouse, alter=lambda schema: commanded(schema, database, kind, twist))


def told_twice(kind: type) -> Twist:
    """Tells an event twice."""

    class Twice(Twist):
        def told(self, event: Any) -> list[Any]:
            return [event] * (2 if isinstance(event, kind) else 1)

    return Twice()


# By the bug: the invariants of which one must break, and the house that has it.
SPLIT_MUTANTS: Mapping[str, tuple[Sequence[str], MakeHouse]] = {
    "no fence is kept": (("I3", "I5"), partial(VirtualHouse, plug=ForgetsFences)),
    "a Try deletes its fence first": (("I1", "I3", "I4", "EVENTS", "I5"), at("money", TrySharing, fence_gone_first)),
    "delivery's Try deletes its fence first": (("I3", "I5"), at("delivery", TryDelivery, fence_gone_first)),
    "sharing answers a Try and sets nothing aside": (("I3", "I5"), at("money", TrySharing, answered(FenceState.TRIED))),
    "delivery answers a Try and takes nothing": (("I3", "I5"), at("delivery", TryDelivery, answered(FenceState.TRIED))),
    "sharing answers a Confirm and books nothing": (
        ("I3",),
        at("money", ConfirmSharing, answered(FenceState.CONFIRMED)),
    ),
    "delivery answers a Confirm and does nothing": (
        ("I3",),
        at("delivery", ConfirmDelivery, answered(FenceState.CONFIRMED)),
    ),
    "sharing answers a Cancel and releases nothing": (
        ("I3",),
        at("money", CancelSharing, answered(FenceState.CANCELLED)),
    ),
    "delivery answers a Cancel and releases nothing": (
        ("I3",),
        at("delivery", CancelDelivery, answered(FenceState.CANCELLED)),
    ),
    "silence is taken for consent": (("I3", "I5"), at("core", RecordAnswers, hears(silence_is_consent))),
    "a no is taken for a yes": (("I3", "I5"), at("core", RecordAnswers, hears(a_no_is_a_yes))),
    "nothing is sent a second time": (("I5",), at("core", RecordAnswers, nobody_asks_again)),
    "what was confirmed is cancelled in doubt": (("I3", "I5"), at("core", RecordAnswers, cancels_when_in_doubt)),
    "the deadline of Trys is not looked at, and nothing sent again": (
        ("I5",),
        partial(
            VirtualHouse,
            alter=lambda s: ignored(wrapped(s, "core", RecordAnswers, nobody_asks_again), "core", ReachDeadline),
        ),
    ),
    "what is to be sent is kept in memory only": (("I5",), partial(VirtualHouse, plug=ForgetsTimers)),
    "a participant answers before its commit": (("I1", "I3", "I5", "I6"), partial(VirtualHouse, plug=LyingDatabase)),
    "the decision is not kept": (("I3", "I5"), twisted_at("core", RecordAnswers, Forgets(Split))),
    "what was heard of a branch is not kept": (("I3", "I5"), twisted_at("core", RecordAnswers, Forgets(SplitBranch))),
    "confirmed portions are not sold": (("I2",), twisted_at("core", RecordAnswers, Forgets(Portions))),
    "a portion more is sold": (("I2",), twisted_at("core", RecordAnswers, OneMore())),
    "orders are not told that they are split": (("I3", "I5"), twisted_at("core", RecordAnswers, Forgets(Order))),
    "sub-orders are not made": (("I2", "I3", "I10"), twisted_at("core", RecordAnswers, Forgets(SubOrder))),
    "a shared journal loses a line": (("I1",), twisted_at("money", ConfirmSharing, LosesALine())),
    "a refund of a cancelled split is a fen short": (("I1",), twisted_at("core", RecordAnswers, RefundsAFenLess())),
    "the outcome is told twice": (
        ("I4",),
        partial(
            VirtualHouse,
            alter=lambda s: commanded(
                commanded(s, "core", RecordAnswers, told_twice(SplitConfirmed)),
                "core",
                ReachDeadline,
                told_twice(SplitCancelled),
            ),
        ),
    ),
}
