"""Planted bugs of a split's transaction: houses that are wrong in one way (reliability.md 1.3 and L5; issue 3).

A bug is in a participant (what it answers, keeps and releases), in its fence, in the coordinator, or in how something
is kept. Each names the invariants of which one must break, and the weather in which it shows. Not planted, for none of
them can do harm: a coordinator that takes no answer for a no (it cancels, and a late Try finds its fence), and a
deadline's timer that never comes (whoever answers, or is asked again, sees the clock).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from msgspec.structs import replace

from simulation.faults import Company, FaultyDatabase, Swarm, Trouble
from simulation.house import VirtualHouse
from tests.simulation.mutants import (
    ForgetfulDatabase,
    Forgets,
    Handler,
    LosesAnEntry,
    LyingDatabase,
    MakeHouse,
    TellsTwice,
    Twist,
    Twisted,
    commanded,
    heard,
    ignored,
)
from tuanzi.base.branch import BranchAnswer, FenceState, Suspended, TransactionState
from tuanzi.delivery import CancelDelivery, ConfirmDelivery, TryDelivery
from tuanzi.delivery.model import Parcel
from tuanzi.events import GroupClosed, RefundDue, SplitCancelled, SplitConfirmed
from tuanzi.machinery.database import Flush
from tuanzi.machinery.fence import FENCES, CoordinatorEpoch, EmptyConfirm, Fence
from tuanzi.machinery.internal import TIMERS
from tuanzi.machinery.writer import Schema
from tuanzi.money import CancelSharing, ConfirmSharing, TrySharing
from tuanzi.money.vendors import RefundAsked, RefundSeen
from tuanzi.orders import Order, SubOrder, SubOrderState
from tuanzi.sharing import Sharing
from tuanzi.splitting import ReachDeadline, RecordAnswers, SendCancels, SendConfirms, Split, SplitBranches
from tuanzi.splitting.model import Heard, Message, Word
from tuanzi.stock import Portions


@dataclass(frozen=True, slots=True)
class Weather:
    """Faults, and a seed in which they hit where it matters."""

    name: str
    seed: int
    swarm: Swarm


REFUSALS = Weather("every third Try is refused", 1, Swarm(letter_refused=0.3))
SILENCE = Weather("half of all answers are lost", 1, Swarm(letter_lost=0.3, letter_unanswered=0.4, letter_twice=0.1))
# One branch says no at once, and the other's Try comes long after, once or twice: while Cancels are still on their way,
# or when everybody has his money back.
LATE_TRIES = Weather(
    "Trys come after their Cancels",
    28,
    Swarm(letter_late=0.4, letter_refused=0.3, letter_twice=0.4, letter_lost=0.3),
)
KILLS = Weather(
    "letters outlive the processes that wrote them",
    1,
    Swarm(kill_between=0.9, letter_late=0.4, letter_twice=0.4, letter_lost=0.2),
)
CRASHES = Weather("commits kill", 2, Swarm(kill_after=0.02, kill_before=0.03, kill_torn=0.03, letter_refused=0.1))
COMPANY = Weather("the payment company's answers are lost", 1, Swarm(letter_refused=0.3, unknown=0.4))
WEATHERS = (REFUSALS, SILENCE, LATE_TRIES, KILLS, CRASHES, COMPANY)


@dataclass(frozen=True, slots=True)
class Planted:
    """A house with a bug. breaks: the invariants of which one must break in this weather."""

    breaks: Sequence[str]
    weather: Weather
    house: MakeHouse


# How a bug is planted


def wrapped(schema: Schema, database: str, kind: type, wrap: Callable[[Handler], Handler]) -> Schema:
    """A command's handler, wrapped."""
    if schema.database != database:
        return schema
    return replace_fields(schema, decides={**schema.decides, kind: wrap(schema.decides[kind])})


def at(database: str, kind: type, wrap: Callable[[Handler], Handler]) -> MakeHouse:
    """A house where one command's handler is wrapped."""
    return partial(VirtualHouse, alter=lambda schema: wrapped(schema, database, kind, wrap))


def twisted_at(database: str, kind: type, twist: Twist) -> MakeHouse:
    """A house where one command's handler is twisted."""
    return partial(VirtualHouse, alter=lambda schema: commanded(schema, database, kind, twist))


def both(*alterations: Callable[[Schema], Schema]) -> MakeHouse:
    """A house that is altered in several places, for one bug."""

    def alter(schema: Schema) -> Schema:
        for each in alterations:
            schema = each(schema)
        return schema

    return partial(VirtualHouse, alter=alter)


def answered(state: FenceState) -> Callable[[Handler], Handler]:
    """A participant that answers and does nothing."""

    def wrap(handler: Handler) -> Handler:
        def handle(unit: Any, command: Any, *, now: datetime) -> Any:
            return BranchAnswer(gid=command.branch.gid, branch=command.branch.branch, state=state)

        return handle

    return wrap


# Participants and their fences


class _Blind(Twisted):
    """A unit without fences, in which a new one is written over what is there."""

    def find(self, kind: Any, key: Any) -> Any:
        """No fence."""
        return None if kind is Fence else self._unit.find(kind, key)

    def add(self, value: Any) -> None:
        """A fence over another."""
        (self._unit.put if isinstance(value, Fence) else self._unit.add)(value)


def blind(handler: Handler) -> Handler:
    """A Try that does not look whether there is a fence, and writes its own over it."""

    def handle(unit: Any, command: Any, *, now: datetime) -> Any:
        return handler(_Blind(unit, Twist()), command, now=now)

    return handle


class DeafToEpochs(Twist):
    """Does not know who spoke last."""

    def shown(self, value: Any) -> Any:
        """No epoch."""
        return None if isinstance(value, CoordinatorEpoch) else value


class StaysTried(Twist):
    """Does what it is told and leaves its fence as it was."""

    def kept(self, value: Any) -> Any:
        """No fence that says more than tried."""
        return None if isinstance(value, Fence) and value.state is not FenceState.TRIED else value


def gone_with_the_late_try(handler: Handler) -> Handler:
    """A late Try is refused and takes the fence with it, so that the next one is let in (Seata's hole 1)."""

    def handle(unit: Any, command: Any, *, now: datetime) -> Any:
        try:
            return handler(unit, command, now=now)
        except Suspended:
            unit.remove(Fence, (command.branch.gid, command.branch.branch))
            return BranchAnswer(gid=command.branch.gid, branch=command.branch.branch, state=FenceState.SUSPENDED)

    return handle


def nothing_to_cancel(handler: Handler) -> Handler:
    """A Cancel that finds nothing answers so and leaves no fence."""

    def handle(unit: Any, command: Any, *, now: datetime) -> Any:
        if unit.find(Fence, (command.branch.gid, command.branch.branch)) is None:
            return BranchAnswer(gid=command.branch.gid, branch=command.branch.branch, state=FenceState.SUSPENDED)
        return handler(unit, command, now=now)

    return handle


def confirmed_from_nothing(handler: Handler) -> Handler:
    """A Confirm that finds nothing is a success all the same (dtm's hole 6)."""

    def handle(unit: Any, command: Any, *, now: datetime) -> Any:
        try:
            return handler(unit, command, now=now)
        except EmptyConfirm:
            return BranchAnswer(gid=command.branch.gid, branch=command.branch.branch, state=FenceState.CONFIRMED)

    return handle


# The coordinator


def hears(change: Callable[[Message, Heard], Heard]) -> Callable[[Handler], Handler]:
    """A coordinator that takes answers for something else."""

    def wrap(handler: Handler) -> Handler:
        def handle(unit: Any, command: RecordAnswers, *, now: datetime) -> Any:
            heard = tuple(change(command.message, one) for one in command.heard)
            return handler(unit, replace(command, heard=heard), now=now)

        return handle

    return wrap


def silence_is_consent(message: Message, heard: Heard) -> Heard:
    """No answer is taken for done."""
    return replace(heard, word=Word.DONE) if heard.word is Word.UNKNOWN else heard


def a_no_is_a_yes(message: Message, heard: Heard) -> Heard:
    """A refused Try is taken for tried."""
    return replace(heard, word=Word.DONE) if heard.word is Word.REFUSED else heard


def of_another(message: Message, heard: Heard) -> Heard:
    """An answer is noted for the other branch."""
    return replace(heard, branch={"sharing": "delivery", "delivery": "sharing"}[heard.branch])


def nobody_asks_again(handler: Handler) -> Handler:
    """A coordinator that sends each message once."""

    def handle(unit: Any, command: RecordAnswers, *, now: datetime) -> Any:
        answer = handler(unit, command, now=now)
        if any(one.word is Word.UNKNOWN for one in command.heard):
            unit.unschedule(f"split:{command.gid}")
        return answer

    return handle


def asks_again_much_later(handler: Handler) -> Handler:
    """A coordinator whose pauses have no cap: the second is half an hour long."""

    def handle(unit: Any, command: RecordAnswers, *, now: datetime) -> Any:
        answer = handler(unit, command, now=now)
        split = unit.load(Split, command.gid)
        if split.attempts and split.state is TransactionState.CONFIRMING:
            errand = SendConfirms(gid=command.gid, to=tuple(one.branch for one in command.heard))
            unit.schedule(f"split:{command.gid}", errand, at=now + timedelta(minutes=30))
        return answer

    return handle


def cancels_when_in_doubt(handler: Handler) -> Handler:
    """A coordinator that undoes what it decided when the Confirms are not answered."""

    def handle(unit: Any, command: RecordAnswers, *, now: datetime) -> Any:
        answer = handler(unit, command, now=now)
        if command.message is Message.CONFIRM and any(one.word is Word.UNKNOWN for one in command.heard):
            unit.schedule(f"split:{command.gid}", SendCancels(gid=command.gid, to=("sharing", "delivery")), at=now)
        return answer

    return handle


class AllTheTime(Twist):
    """Believes that a deadline is an hour later than it is."""

    def shown(self, value: Any) -> Any:
        """A split with an hour more."""
        return replace(value, deadline_at=value.deadline_at + timedelta(hours=1)) if type(value) is Split else value

    def kept(self, value: Any) -> Any:
        """With its own deadline again."""
        return replace(value, deadline_at=value.deadline_at - timedelta(hours=1)) if type(value) is Split else value


class OpensAtOnce(Twist):
    """Lets merchants begin before the branches are confirmed."""

    def kept(self, value: Any) -> Any:
        """Planned instead of waiting."""
        if isinstance(value, SubOrder) and value.state is SubOrderState.WAITING:
            return replace(value, state=SubOrderState.PLANNED)
        return value


# What a decision means for stock, orders and money


class OneMore(Twist):
    """Sells a portion more than is held."""

    def kept(self, value: Any) -> Any:
        """One sold from nowhere."""
        return replace(value, sold=value.sold + 1) if isinstance(value, Portions) and value.left else value


class StockTwist(Twist):
    """Sees portions before and after; `change` says what is kept instead."""

    def __init__(self, change: Callable[[Portions, Portions], Portions]) -> None:
        self._change = change
        self._before: dict[tuple[str, str], Portions] = {}

    def shown(self, value: Any) -> Any:
        """As they are."""
        if isinstance(value, Portions):
            self._before[value.dish_id, value.meal_id] = value
        return value

    def kept(self, value: Any) -> Any:
        """As changed."""
        if not isinstance(value, Portions):
            return value
        return self._change(self._before.get((value.dish_id, value.meal_id), value), value)


def released_twice(before: Portions, after: Portions) -> Portions:
    """What a cancelled split held goes back twice."""
    freed = before.held - after.held if after.sold == before.sold else 0
    return replace(after, held=max(0, after.held - freed))


def never_released(before: Portions, after: Portions) -> Portions:
    """What a cancelled split held stays held."""
    return before if after.sold == before.sold else after


def sold_and_still_held(before: Portions, after: Portions) -> Portions:
    """What a confirmed split sold stays held too."""
    return replace(after, held=before.held) if after.sold > before.sold else after


class RefundsAFenLess(Twist):
    """Promises a fen less than the order's refund says."""

    def told(self, event: Any) -> list[Any]:
        """A fen less."""
        if isinstance(event, RefundDue) and event.amount_fen > 1:
            return [replace(event, amount_fen=event.amount_fen - 1)]
        return [event]


class MissesRefunds(Twist):
    """Gives no money back for a cancelled split."""

    def told(self, event: Any) -> list[Any]:
        """None of those."""
        return [] if isinstance(event, RefundDue) and event.reason == "split_cancelled" else [event]


# What is kept, and what is sent outside


class ForgetsFences(ForgetfulDatabase):
    """Keeps no fence at all."""

    table = FENCES


class ForgetsTimers(ForgetfulDatabase):
    """Keeps what is to be sent in memory only (peers' P15)."""

    table = TIMERS


class FenceFirst(FaultyDatabase):
    """Keeps a fence in a commit of its own before its effect, and may crash between them."""

    def commit(self, flush: Flush) -> None:
        """Keep the fences, then, perhaps, the rest."""
        fences = [(table, rows) for table, rows in (*flush.inserts, *flush.upserts) if table is FENCES]
        changed = [update for update in flush.updates if update.table is FENCES]
        if fences or changed:
            position, number = self._disk.cursor()
            self._disk.commit(
                Flush(before=position, after=position, event_number=number, upserts=fences, updates=changed)
            )
        super().commit(
            replace_fields(
                flush,
                inserts=_without_fences(flush.inserts),
                upserts=_without_fences(flush.upserts),
                updates=[update for update in flush.updates if update.table is not FENCES],
            )
        )


def _without_fences(rows: list[Any]) -> list[Any]:
    return [(table, each) for table, each in rows if table is not FENCES]


class NewNumbers(Company):
    """A payment company that is asked for each refund under a number made for that one call."""

    def __init__(self, trouble: Trouble, clock: Callable[[], datetime]) -> None:
        super().__init__(trouble, clock)
        self._calls = 0

    async def refund(self, asked: RefundAsked, *, now: datetime) -> RefundSeen:
        """Under another number each time."""
        self._calls += 1
        renamed = replace(asked, out_refund_no=f"{asked.out_refund_no}-{self._calls}")
        return replace(await super().refund(renamed, now=now), out_refund_no=asked.out_refund_no)


def everywhere(twist: Twist) -> MakeHouse:
    """A house where all that participants are told is twisted."""

    def alter(schema: Schema) -> Schema:
        for database, kinds in TOLD.items():
            for kind in kinds:
                schema = commanded(schema, database, kind, twist)
        return schema

    return partial(VirtualHouse, alter=alter)


def on_closing(twist: Twist) -> MakeHouse:
    """A house where the beginning of a split is twisted."""
    return partial(VirtualHouse, alter=lambda schema: heard(schema, "core", GroupClosed, twist))


TOLD = {
    "money": (TrySharing, ConfirmSharing, CancelSharing),
    "delivery": (TryDelivery, ConfirmDelivery, CancelDelivery),
}
TRIED, CONFIRMED, CANCELLED = FenceState.TRIED, FenceState.CONFIRMED, FenceState.CANCELLED


SPLIT_MUTANTS: Mapping[str, Planted] = {
    # fences
    "no fence is kept": Planted(("I3",), REFUSALS, partial(VirtualHouse, plug=ForgetsFences)),
    "a fence is kept before its effect": Planted(("I3", "I5"), CRASHES, partial(VirtualHouse, plug=FenceFirst)),
    "sharing's Try looks at no fence": Planted(("I3",), LATE_TRIES, at("money", TrySharing, blind)),
    "delivery's Try looks at no fence": Planted(("I3",), LATE_TRIES, at("delivery", TryDelivery, blind)),
    "sharing's late Try takes the fence with it": Planted(
        ("I3",), LATE_TRIES, at("money", TrySharing, gone_with_the_late_try)
    ),
    "delivery's late Try takes the fence with it": Planted(
        ("I3",), LATE_TRIES, at("delivery", TryDelivery, gone_with_the_late_try)
    ),
    "sharing's empty Cancel leaves no fence": Planted(
        ("I3",), LATE_TRIES, at("money", CancelSharing, nothing_to_cancel)
    ),
    "delivery's empty Cancel leaves no fence": Planted(
        ("I3",), LATE_TRIES, at("delivery", CancelDelivery, nothing_to_cancel)
    ),
    "sharing's Confirm leaves its fence as it was": Planted(
        ("I3",), REFUSALS, twisted_at("money", ConfirmSharing, StaysTried())
    ),
    "delivery's Cancel leaves its fence as it was": Planted(
        ("I3",), REFUSALS, twisted_at("delivery", CancelDelivery, StaysTried())
    ),
    "participants hear any coordinator": Planted(("I4",), KILLS, everywhere(DeafToEpochs())),
    # participants
    "sharing answers a Try and sets nothing aside": Planted(
        ("I3", "I5"), REFUSALS, at("money", TrySharing, answered(TRIED))
    ),
    "delivery answers a Try and takes nothing": Planted(
        ("I3", "I5"), REFUSALS, at("delivery", TryDelivery, answered(TRIED))
    ),
    "sharing answers a Confirm and books nothing": Planted(
        ("I3",), REFUSALS, at("money", ConfirmSharing, answered(CONFIRMED))
    ),
    "delivery answers a Confirm and does nothing": Planted(
        ("I3",), REFUSALS, at("delivery", ConfirmDelivery, answered(CONFIRMED))
    ),
    "sharing answers a Cancel and releases nothing": Planted(
        ("I3",), REFUSALS, at("money", CancelSharing, answered(CANCELLED))
    ),
    "delivery answers a Cancel and releases nothing": Planted(
        ("I3",), REFUSALS, at("delivery", CancelDelivery, answered(CANCELLED))
    ),
    "a cancelled parcel stays promised": Planted(
        ("I3", "I11"), REFUSALS, twisted_at("delivery", CancelDelivery, Forgets(Parcel))
    ),
    "a cancelled sharing stays pending": Planted(
        ("I3",), REFUSALS, twisted_at("money", CancelSharing, Forgets(Sharing))
    ),
    "a shared journal loses an entry": Planted(("I1",), REFUSALS, twisted_at("money", ConfirmSharing, LosesAnEntry())),
    "answers come before the commit": Planted(
        ("I1", "I3", "I5", "I6"), CRASHES, partial(VirtualHouse, plug=LyingDatabase)
    ),
    # the coordinator
    "branches are not registered": Planted(("I4", "I5"), REFUSALS, on_closing(Forgets(SplitBranches))),
    "silence is taken for consent": Planted(
        ("I3", "I5"), SILENCE, at("core", RecordAnswers, hears(silence_is_consent))
    ),
    "silence is taken for consent, and a Confirm of nothing for success": Planted(
        ("I3",),
        SILENCE,
        both(
            lambda s: wrapped(s, "core", RecordAnswers, hears(silence_is_consent)),
            lambda s: wrapped(s, "money", ConfirmSharing, confirmed_from_nothing),
            lambda s: wrapped(s, "delivery", ConfirmDelivery, confirmed_from_nothing),
        ),
    ),
    "a no is taken for a yes": Planted(("I3", "I5"), REFUSALS, at("core", RecordAnswers, hears(a_no_is_a_yes))),
    "an answer is noted for the other branch": Planted(
        ("I3", "I5"), SILENCE, at("core", RecordAnswers, hears(of_another))
    ),
    "nothing is sent a second time": Planted(("I5",), SILENCE, at("core", RecordAnswers, nobody_asks_again)),
    "pauses grow without end": Planted(("I5",), SILENCE, at("core", RecordAnswers, asks_again_much_later)),
    "what was confirmed is cancelled in doubt": Planted(
        ("I3", "I5"), SILENCE, at("core", RecordAnswers, cancels_when_in_doubt)
    ),
    "the deadline of Trys is not looked at": Planted(
        ("I5",),
        SILENCE,
        both(lambda s: commanded(s, "core", RecordAnswers, AllTheTime()), lambda s: ignored(s, "core", ReachDeadline)),
    ),
    "merchants begin before all is confirmed": Planted(
        ("I3",), SILENCE, twisted_at("core", RecordAnswers, OpensAtOnce())
    ),
    "the decision is not kept": Planted(("I3", "I5"), REFUSALS, twisted_at("core", RecordAnswers, Forgets(Split))),
    "what was heard of a branch is not kept": Planted(
        ("I3", "I5"), REFUSALS, twisted_at("core", RecordAnswers, Forgets(SplitBranches))
    ),
    "what is to be sent is kept in memory only": Planted(("I5",), KILLS, partial(VirtualHouse, plug=ForgetsTimers)),
    "the outcome is told twice": Planted(
        ("I4",), REFUSALS, twisted_at("core", RecordAnswers, TellsTwice((SplitConfirmed, SplitCancelled)))
    ),
    # what a decision means
    "stock sells what it does not hold": Planted(("I2",), REFUSALS, twisted_at("core", RecordAnswers, OneMore())),
    "stock is released twice": Planted(
        ("I2",), REFUSALS, twisted_at("core", RecordAnswers, StockTwist(released_twice))
    ),
    "stock is never released": Planted(
        ("I2",), REFUSALS, twisted_at("core", RecordAnswers, StockTwist(never_released))
    ),
    "what is sold stays held": Planted(
        ("I2",), REFUSALS, twisted_at("core", RecordAnswers, StockTwist(sold_and_still_held))
    ),
    "orders are not told that they are split": Planted(
        ("I3", "I5"), REFUSALS, twisted_at("core", RecordAnswers, Forgets(Order))
    ),
    "sub-orders are not made": Planted(
        ("I2", "I3", "I10"), REFUSALS, twisted_at("core", RecordAnswers, Forgets(SubOrder))
    ),
    "refunds of a cancelled split are missed": Planted(
        ("I1", "I5"), REFUSALS, twisted_at("core", RecordAnswers, MissesRefunds())
    ),
    "refunds of a split are promised twice": Planted(
        ("I4",), REFUSALS, twisted_at("core", RecordAnswers, TellsTwice(RefundDue))
    ),
    "a refund of a cancelled split is a fen short": Planted(
        ("I1",), REFUSALS, twisted_at("core", RecordAnswers, RefundsAFenLess())
    ),
    "a refund is asked for again under a new number": Planted(
        ("I1",), COMPANY, partial(VirtualHouse, company=NewNumbers)
    ),
}
