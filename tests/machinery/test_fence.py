"""B3: the fence lets each branch of a transaction have its effect once, in one direction, whatever messages do."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.strategies import booleans, integers, sampled_from
from msgspec import Struct

from tests.machinery.toy import NOON
from tuanzi.base.branch import Branch, BranchAnswer, BranchDiffers, BranchRefused, FenceState, Suspended
from tuanzi.base.problem import Problem
from tuanzi.base.unit import Unit
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.codec import Codec
from tuanzi.machinery.fence import (
    CancelRefused,
    EmptyConfirm,
    StaleCoordinator,
    answer_of,
    cancel_branch,
    confirm_branch,
    fence_place,
    try_branch,
)
from tuanzi.machinery.migrate import migrate
from tuanzi.machinery.tables import table
from tuanzi.machinery.writer import Request, Schema, Writer, drive


class Larder(Struct, frozen=True, kw_only=True, gc=False):
    """What a branch freezes and takes."""

    id: str
    free: int
    frozen: int = 0
    taken: int = 0


class Freeze(Struct, frozen=True, kw_only=True, gc=False):
    """Try."""

    branch: Branch
    amount: int


class Take(Struct, frozen=True, kw_only=True, gc=False):
    """Confirm."""

    branch: Branch
    amount: int


class Thaw(Struct, frozen=True, kw_only=True, gc=False):
    """Cancel."""

    branch: Branch
    amount: int


class TooMuch(BranchRefused):
    """There is not so much."""


def freeze(unit: Unit, command: Freeze, *, now: Any) -> BranchAnswer:
    if try_branch(unit, command.branch, content=command.amount, now=now):
        larder = unit.load(Larder, "l")
        if larder.free < command.amount:
            raise TooMuch(free=larder.free)
        free, frozen = larder.free - command.amount, larder.frozen + command.amount
        unit.put(Larder(id="l", free=free, frozen=frozen, taken=larder.taken))
    return answer_of(unit, command.branch)


def take(unit: Unit, command: Take, *, now: Any) -> BranchAnswer:
    if confirm_branch(unit, command.branch, now=now):
        larder = unit.load(Larder, "l")
        frozen, taken = larder.frozen - command.amount, larder.taken + command.amount
        unit.put(Larder(id="l", free=larder.free, frozen=frozen, taken=taken))
    return answer_of(unit, command.branch)


def thaw(unit: Unit, command: Thaw, *, now: Any) -> BranchAnswer:
    if cancel_branch(unit, command.branch, now=now):
        larder = unit.load(Larder, "l")
        frozen, free = larder.frozen - command.amount, larder.free + command.amount
        unit.put(Larder(id="l", free=free, frozen=frozen, taken=larder.taken))
    return answer_of(unit, command.branch)


SCHEMA = Schema(
    database="larder",
    tables=[table("larders", Larder, key="id")],
    decides={Freeze: freeze, Take: take, Thaw: thaw},
    hears={},
    follows={},
    errands=frozenset(),
    codec=Codec(commands=[], events=[]),
    assumed_new={Freeze: lambda command: [fence_place(command.branch)]},
)


class Kitchen:
    """A database with ten of something in the larder."""

    def __init__(self) -> None:
        self.disk = Sqlite(None)
        migrate(self.disk, ("every",), now=NOON)
        columns = "id VARCHAR(40) PRIMARY KEY, free BIGINT CHECK (free >= 0), frozen BIGINT, taken BIGINT"
        self.disk.execute_script(f"CREATE TABLE larders ({columns}); INSERT INTO larders VALUES ('l', 10, 0, 0);")
        self.open()

    def open(self) -> None:
        """Start a writer anew: memory is empty."""
        position, number = self.disk.cursor()
        self.writer = Writer(SCHEMA, position=position, event_number=number)

    def do(self, command: Any) -> BranchAnswer:
        """Carry it out. Raises its problem."""
        (outcome,) = drive(self.writer.carry_out([Request(command)], now=NOON), self.disk)
        if outcome.problem is not None:
            raise outcome.problem
        answer: BranchAnswer = outcome.answer
        return answer

    @property
    def larder(self) -> tuple[int, int, int]:
        """(free, frozen, taken) as kept."""
        return self.disk.rows("SELECT free, frozen, taken FROM larders")[0]  # type: ignore[return-value]

    @property
    def fences(self) -> list[tuple[Any, ...]]:
        """(gid, branch, state) as kept."""
        return self.disk.rows("SELECT gid, branch, state FROM fences ORDER BY gid, branch")


def branch(gid: str = "g1", *, epoch: int = 1) -> Branch:
    return Branch(gid=gid, branch="larder", coordinator="beijing", epoch=epoch)


def test_a_try_that_comes_twice_freezes_once_and_gets_the_same_answer() -> None:
    kitchen = Kitchen()

    answers = [kitchen.do(Freeze(branch=branch(), amount=3)) for _ in range(2)]
    kitchen.open()
    answers.append(kitchen.do(Freeze(branch=branch(), amount=3)))

    assert answers == [BranchAnswer(gid="g1", branch="larder", state=FenceState.TRIED)] * 3
    assert kitchen.larder == (7, 3, 0)


def test_a_refused_try_leaves_no_fence_and_may_be_cancelled() -> None:
    kitchen = Kitchen()

    with pytest.raises(TooMuch):
        kitchen.do(Freeze(branch=branch(), amount=11))
    assert kitchen.fences == []
    answer = kitchen.do(Thaw(branch=branch(), amount=11))

    assert answer.state is FenceState.SUSPENDED
    assert kitchen.larder == (10, 0, 0)


def test_a_try_after_its_cancel_is_refused_however_often_it_comes() -> None:
    kitchen = Kitchen()
    kitchen.do(Thaw(branch=branch(), amount=3))

    for _ in range(3):
        with pytest.raises(Suspended):
            kitchen.do(Freeze(branch=branch(), amount=3))
        kitchen.open()

    assert kitchen.fences == [("g1", "larder", "suspended")]
    assert kitchen.larder == (10, 0, 0)


def test_a_confirm_without_a_try_is_never_a_success() -> None:
    kitchen = Kitchen()

    with pytest.raises(EmptyConfirm):
        kitchen.do(Take(branch=branch(), amount=3))

    assert (kitchen.fences, kitchen.larder) == ([], (10, 0, 0))


def test_confirmed_and_cancelled_are_final() -> None:
    kitchen = Kitchen()
    for gid in ("g1", "g2"):
        kitchen.do(Freeze(branch=branch(gid), amount=3))
    kitchen.do(Take(branch=branch("g1"), amount=3))
    kitchen.do(Thaw(branch=branch("g2"), amount=3))

    with pytest.raises(CancelRefused):
        kitchen.do(Thaw(branch=branch("g1"), amount=3))
    with pytest.raises(EmptyConfirm):
        kitchen.do(Take(branch=branch("g2"), amount=3))

    assert kitchen.fences == [("g1", "larder", "confirmed"), ("g2", "larder", "cancelled")]
    assert kitchen.larder == (7, 0, 3)


def test_the_same_branch_with_another_content_is_refused() -> None:
    kitchen = Kitchen()
    kitchen.do(Freeze(branch=branch(), amount=3))

    with pytest.raises(BranchDiffers):
        kitchen.do(Freeze(branch=branch(), amount=4))

    assert kitchen.larder == (7, 3, 0)


def test_a_coordinator_that_was_taken_over_is_not_heard() -> None:
    kitchen = Kitchen()
    kitchen.do(Freeze(branch=branch(epoch=2), amount=3))

    for late in (Freeze(branch=branch("g2", epoch=1), amount=1), Thaw(branch=branch(epoch=1), amount=3)):
        with pytest.raises(StaleCoordinator):
            kitchen.do(late)

    assert kitchen.larder == (7, 3, 0)
    assert kitchen.fences == [("g1", "larder", "tried")]


class FenceMachine(RuleBasedStateMachine):
    """Messages of some transactions in any order, against a model that knows only what the rules say."""

    GIDS: ClassVar[tuple[str, ...]] = ("g1", "g2", "g3")

    @initialize()
    def begin(self) -> None:
        self.kitchen = Kitchen()
        self.states: dict[str, FenceState | None] = dict.fromkeys(self.GIDS)
        self.amounts = {"g1": 2, "g2": 3, "g3": 8}

    @rule(gid=sampled_from(GIDS))
    def try_it(self, gid: str) -> None:
        state, amount = self.states[gid], self.amounts[gid]
        frozen = sum(self.amounts[g] for g, s in self.states.items() if s in (FenceState.TRIED, FenceState.CONFIRMED))
        if state in (FenceState.CANCELLED, FenceState.SUSPENDED):
            self.refused(Freeze(branch=branch(gid), amount=amount), Suspended)
        elif state is None and frozen + amount > 10:
            self.refused(Freeze(branch=branch(gid), amount=amount), TooMuch)
        else:
            self.states[gid] = state or FenceState.TRIED
            assert self.kitchen.do(Freeze(branch=branch(gid), amount=amount)).state is self.states[gid]

    @rule(gid=sampled_from(GIDS))
    def confirm_it(self, gid: str) -> None:
        command = Take(branch=branch(gid), amount=self.amounts[gid])
        if self.states[gid] in (FenceState.TRIED, FenceState.CONFIRMED):
            self.states[gid] = FenceState.CONFIRMED
            assert self.kitchen.do(command).state is FenceState.CONFIRMED
        else:
            self.refused(command, EmptyConfirm)

    @rule(gid=sampled_from(GIDS))
    def cancel_it(self, gid: str) -> None:
        command = Thaw(branch=branch(gid), amount=self.amounts[gid])
        match self.states[gid]:
            case FenceState.CONFIRMED:
                self.refused(command, CancelRefused)
            case None | FenceState.SUSPENDED:
                self.states[gid] = FenceState.SUSPENDED
                assert self.kitchen.do(command).state is FenceState.SUSPENDED
            case FenceState.TRIED | FenceState.CANCELLED:
                self.states[gid] = FenceState.CANCELLED
                assert self.kitchen.do(command).state is FenceState.CANCELLED

    @precondition(lambda self: self.kitchen.fences)
    @rule(gid=sampled_from(GIDS), which=integers(0, 2))
    def an_old_coordinator_speaks(self, gid: str, which: int) -> None:
        kind = (Freeze, Take, Thaw)[which]
        self.refused(kind(branch=branch(gid, epoch=0), amount=self.amounts[gid]), StaleCoordinator)

    @rule(killed=booleans())
    def memory_is_lost(self, killed: bool) -> None:
        self.kitchen.open() if killed else self.kitchen.writer.forget()

    def refused(self, command: Any, problem: type[Problem]) -> None:
        before = self.kitchen.fences, self.kitchen.larder
        with pytest.raises(problem):
            self.kitchen.do(command)
        assert (self.kitchen.fences, self.kitchen.larder) == before

    @invariant()
    def every_effect_is_there_once(self) -> None:
        def sum_of(*states: FenceState) -> int:
            return sum(self.amounts[gid] for gid, state in self.states.items() if state in states)

        frozen, taken = sum_of(FenceState.TRIED), sum_of(FenceState.CONFIRMED)
        assert self.kitchen.larder == (10 - frozen - taken, frozen, taken)
        assert self.kitchen.fences == [
            (gid, "larder", state.value) for gid, state in sorted(self.states.items()) if state is not None
        ]


TestFence = FenceMachine.TestCase
TestFence.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
