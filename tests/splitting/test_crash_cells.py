"""B3: every crash cell (reliability.md 2.2, L2): branch x message x moment x what happens, each ends all or nothing.

Each database is a process of its own here: the coordinator (core) and a participant die apart, letters are lost, come
late, twice, or are applied and not kept. After each cell everything that was ever sent is carried once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import pytest

from tests.heart import Books, Campus, run
from tests.splitting.test_coordinator import Full, check_all_or_nothing, close, split_of
from tuanzi.base.branch import TransactionState
from tuanzi.delivery import CancelDelivery, ConfirmDelivery, TryDelivery
from tuanzi.events import PaymentCaptured
from tuanzi.machinery.internal import Timer
from tuanzi.machinery.post import Letter
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.writer import Commit, Request
from tuanzi.money import CancelSharing, ConfirmSharing, TrySharing
from tuanzi.splitting import RecordAnswers
from tuanzi.splitting.model import Message

BRANCHES = ("stock", "sharing", "delivery")
MESSAGES = ("try", "confirm", "cancel")
MOMENTS = (
    "before it is sent",
    "after it is sent",
    "applied and not committed",
    "committed and not answered",
    "answered and not recorded",
)
HAPPENINGS = ("the coordinator is killed", "the participant is killed", "the answer is lost", "it comes twice")
CELLS = list(product(BRANCHES, MESSAGES, MOMENTS, HAPPENINGS))

SAID: dict[tuple[str, str], type] = {
    ("sharing", "try"): TrySharing,
    ("sharing", "confirm"): ConfirmSharing,
    ("sharing", "cancel"): CancelSharing,
    ("delivery", "try"): TryDelivery,
    ("delivery", "confirm"): ConfirmDelivery,
    ("delivery", "cancel"): CancelDelivery,
}
ADDRESS = {"stock": "core", "sharing": "money", "delivery": "delivery"}


class Dead(Exception):
    """The coordinator's process is killed here."""


class Sabotaged(Campus):
    """A campus where one thing goes wrong, once: in the commit, or with the letter, that `is_hit` finds.

    hits: how often it did. late: letters that are still under way.
    """

    def __init__(self, branch: str, message: str, moment: str, happening: str) -> None:
        super().__init__()
        self.branch, self.message, self.moment, self.happening = branch, message, moment, happening
        self.hits = 0
        self.late: list[Letter] = []
        self.post.spoil = self._spoil

    @property
    def at_home(self) -> bool:
        """Whether the branch is the coordinator's own, whose messages are commits of core."""
        return self.branch == "stock"

    # a letter

    def _spoil(self, letter: Letter) -> Any:
        refusing = TrySharing if self.branch == "delivery" else TryDelivery
        if self.message == "cancel" and type(letter.command) is refusing:
            return Full()
        if self.hits or type(letter.command) is not SAID.get((self.branch, self.message)):
            return None
        self.hits += 1
        return self._hit(letter)

    def _hit(self, letter: Letter) -> Any:
        twice = self.happening == "it comes twice"
        match self.moment:
            case "before it is sent":
                if twice:
                    return "twice"
            case "after it is sent":
                if self.happening != "the participant is killed":
                    self.late.append(letter)
                if twice:
                    return None
            case "applied and not committed":
                decide_only(self.books[letter.address], Request(letter.command), now=self.now)
                if twice:
                    return None
            case "committed and not answered":
                if twice:
                    return "twice"
                self.carry(letter)
            case _:  # answered and not recorded: the record is what is hit
                self.hits -= 1
                return None
        if self.happening == "the participant is killed":
            self.kill(letter.address)
            return Unavailable()
        if self.happening == "the coordinator is killed":
            raise Dead
        return TimeoutError()

    # a commit of core

    def _fire(self, books: Books, timer: Timer) -> None:
        command = books.schema.codec.command(timer.command, timer.body)
        errand = self.errands.get(type(command))
        if errand is not None:
            command = run(errand(command, now=self.now))
        self._hit_or_carry_out(books, Request(command, timer=timer))

    def _one(self, books: Books, request: Request) -> Any:
        if type(request.command) is PaymentCaptured:
            return self._hit_or_carry_out(books, request)
        return super()._one(books, request)

    def _is_hit(self, request: Request) -> bool:
        """Whether this commit of core is the one: the record of the message, or, at home, the message itself."""
        if self.hits:
            return False
        command = request.command
        if not self.at_home:
            is_mine = isinstance(command, RecordAnswers) and command.message is Message(self.message)
            return is_mine and self.moment == "answered and not recorded" and self._speaks(command)
        if self.message == "try":
            return isinstance(command, PaymentCaptured) and command.order_id == "o_000004"
        closing = {"confirm": Message.TRY, "cancel": Message.CANCEL}[self.message]
        return isinstance(command, RecordAnswers) and command.message is closing

    def _speaks(self, command: RecordAnswers) -> bool:
        return any(one.branch == self.branch for one in command.heard)

    def _hit_or_carry_out(self, books: Books, request: Request) -> Any:
        if not self._is_hit(request):
            return super()._one(books, request)
        self.hits += 1
        if self.happening == "it comes twice":
            outcome = super()._one(books, request)
            if not request.source:
                super()._one(books, Request(request.command))
            else:  # an event that comes again is known by its number
                again = self._carry_out(books, [request])
                assert again[0].replayed
            return outcome
        is_kept = self.moment in ("committed and not answered",)
        if is_kept:
            super()._one(books, request)
        elif self.moment in ("applied and not committed", "answered and not recorded"):
            decide_only(books, request, now=self.now)
        if self.happening == "the participant is killed" and not self.at_home:
            self.kill(ADDRESS[self.branch])
        raise Dead


def decide_only(books: Books, request: Request, *, now: Any) -> None:
    """Decide a request as far as its commit, and go no further; the writer's memory is gone, its database as it was."""
    steps = books.writer.carry_out([request], now=now)
    step = next(steps)
    while not isinstance(step, Commit):
        step = steps.send([(table, keys, books.database.fetch(table, keys)) for table, keys in step.wanted])
    steps.close()
    books.writer.forget()


def survive(campus: Sabotaged, act: Callable[[], Any]) -> Any:
    """Act; a coordinator that dies meanwhile starts again, and letters under way come after that."""
    try:
        return act()
    except Dead:
        campus.kill("core")
        return None


@pytest.mark.parametrize(("branch", "message", "moment", "happening"), CELLS, ids=", ".join)
def test_every_crash_cell_ends_all_or_nothing(branch: str, message: str, moment: str, happening: str) -> None:
    campus = Sabotaged(branch, message, moment, happening)
    seated = campus.group("m1", "m2", "m3", paid=2)
    order_ids = [one.order_id for one in seated]

    survive(campus, lambda: campus.pay(order_ids[2]))
    survive(campus, lambda: campus.hear())
    for _ in range(4):
        survive(campus, lambda: campus.pass_time(seconds=0.5))
    for letter in campus.late:
        campus.carry(letter)
    survive(campus, lambda: campus.pass_time(minutes=2))

    assert campus.hits == 1, "nothing went wrong: the cell was not run"
    check_all_or_nothing(campus, order_ids)
    must = TransactionState.CANCELLED if message == "cancel" else TransactionState.CONFIRMED
    assert split_of(campus).state is must
    with campus.nothing_changes():
        for letter in campus.post.sent:
            campus.carry(letter)


def test_there_are_a_hundred_and_eighty_cells() -> None:
    assert len(CELLS) == len(set(CELLS)) == 180


def test_a_group_without_sabotage_is_split_so() -> None:
    campus = Campus()

    order_ids: Sequence[str] = close(campus)

    check_all_or_nothing(campus, list(order_ids))
