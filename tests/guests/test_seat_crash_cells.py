"""B7: every crash cell of a guest's seat: message x moment x what happens: one outcome, nothing leaked.

Each campus is a process of its own here: the one that sends and the one that is told die apart, letters are lost, come
late, twice, or are applied and not kept. After each cell everything that was ever said is said once more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import pytest

from tests.guests.city import AWAY, City, Side, check_one_outcome, say_again
from tests.heart import OPERATOR, Books
from tests.splitting.test_crash_cells import MOMENTS, decide_only
from tuanzi.base.ids import CampusId, OrderId
from tuanzi.groups import AlreadyMember
from tuanzi.guests import (
    CancelledTold,
    ForgetGuest,
    GuestsTold,
    HearHome,
    HomeAway,
    LeaveSeat,
    PaySeat,
    PlaceSeat,
    RecordAnswer,
    SeatGone,
    TrySeat,
)
from tuanzi.machinery.post import Letter
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.writer import Request
from tuanzi.orders import RefundOrder

STEPS = ("try", "pay", "pay late", "leave unpaid", "leave paid", "news", "refund")
HAPPENINGS = ("its sender is killed", "its receiver is killed", "the answer is lost", "it comes twice")
CELLS = list(product(STEPS, MOMENTS, HAPPENINGS))

SAID = {
    "try": TrySeat,
    "pay": PaySeat,
    "pay late": PaySeat,
    "leave unpaid": LeaveSeat,
    "leave paid": LeaveSeat,
    "news": HearHome,
    "refund": ForgetGuest,
}
RECORDED = {"try": PlaceSeat, "news": GuestsTold, "refund": CancelledTold}


class Dead(Exception):
    """The sender's process is killed here."""


class Sabotage:
    """One thing that goes wrong, once. hits: how often it did. late: letters still under way, with their sender."""

    def __init__(self, step: str, moment: str, happening: str) -> None:
        self.step, self.moment, self.happening = step, moment, happening
        self.hits = 0
        self.late: list[tuple[Side, Letter]] = []
        self.sender: Side | None = None


class Sabotaged(Side):
    """A side whose letters and records are hit when `sabotage` says so."""

    sabotage: Sabotage | None = None

    def carry(self, letter: Letter) -> Any:
        """Carry a letter, unless it is the one."""
        sabotage = self.sabotage
        if sabotage is None or sabotage.hits or type(letter.command) is not SAID[sabotage.step]:
            return super().carry(letter)
        if sabotage.moment == "answered and not recorded":
            return super().carry(letter)
        sabotage.hits += 1
        sabotage.sender = self
        return self._hit(sabotage, letter)

    def _hit(self, sabotage: Sabotage, letter: Letter) -> Any:
        other = self.city.sides[CampusId(letter.address.partition(".")[0])]
        twice = sabotage.happening == "it comes twice"
        match sabotage.moment:
            case "after it is sent":
                sabotage.late.append((self, letter))
            case "applied and not committed":
                decide_only(other.core, Request(letter.command), now=other.now)
            case "committed and not answered":
                super().carry(letter)
            case _:
                pass
        if twice:
            super().carry(letter)
            return super().carry(letter)
        if sabotage.happening == "its receiver is killed":
            other.kill("core")
            return Unavailable()
        if sabotage.happening == "its sender is killed":
            raise Dead
        return TimeoutError()

    def _one(self, books: Books, request: Request) -> Any:
        sabotage = self.sabotage
        if sabotage is None or sabotage.hits or sabotage.moment != "answered and not recorded":
            return super()._one(books, request)
        if type(request.command) is not RECORDED.get(sabotage.step, RecordAnswer):
            return super()._one(books, request)
        sabotage.hits += 1
        sabotage.sender = self
        match sabotage.happening:
            case "it comes twice":
                outcome = super()._one(books, request)
                super()._one(books, Request(request.command))
                return outcome
            case "its receiver is killed":
                other = next(side for side in self.city.sides.values() if side is not self)
                other.kill("core")
                return super()._one(books, request)
            case "its sender is killed":
                decide_only(books, request, now=self.now)
            case _:
                pass
        raise Dead


def survive(city: City, act: Callable[[], Any]) -> Any:
    """Act; whoever dies meanwhile starts again."""
    try:
        return act()
    except Dead:
        for side in city.sides.values():
            assert isinstance(side, Sabotaged)
            if side.sabotage is not None and side.sabotage.sender is side:
                side.kill("core")
        return None


def joined(city: City, group_id: str) -> str:
    """The order of a guest who asks for a seat until he has it: again when nothing is heard, anew when refused."""
    for attempt in range(4):
        for _ in range(2):
            try:
                seated = survive(city, partial(city.join, group_id, "g1", key=f"attempt-{attempt}"))
            except (HomeAway, SeatGone, AlreadyMember, Unavailable):
                break
            if seated is not None:
                return str(seated.order_id)
        survive(city, lambda: city.pass_time(seconds=15))
    raise AssertionError("he never got a seat")


def arm(city: City, sabotage: Sabotage) -> None:
    """From now on one thing may go wrong."""
    for side in city.sides.values():
        assert isinstance(side, Sabotaged)
        side.sabotage = sabotage


def member(city: City, group_id: str, order: str) -> None:
    """A member of the home campus pays."""
    survive(city, lambda: city.home.pay(order))
    survive(city, city.settle)


def calm(city: City, sabotage: Sabotage) -> None:
    """What is under way arrives, and time passes until all has been said."""
    survive(city, lambda: city.pass_time(seconds=5))
    for side, letter in sabotage.late:
        Side.carry(side, letter)
    survive(city, lambda: city.pass_time(seconds=70))


def tell(city: City, sabotage: Sabotage) -> tuple[str, str, str]:
    """The story in which the step occurs; the group, the guest's order, and what it must have become."""
    step = sabotage.step
    early, campaign = step in ("try", "pay", "pay late", "refund"), "once" if step == "refund" else "trio"
    seated = city.home.group("m1", "m2", paid=2 if early else 1, campaign=campaign)
    group_id, second = seated[0].group_id, seated[1].order_id
    if step == "try":
        arm(city, sabotage)
    order_id = joined(city, group_id)
    if step in ("pay", "leave unpaid"):
        arm(city, sabotage)
    if step == "leave unpaid":
        survive(city, lambda: city.pass_time(minutes=4))
        member(city, group_id, second)
        survive(city, lambda: city.pass_time(minutes=3))
        calm(city, sabotage)
        third = city.home.join(group_id, "m3")
        member(city, group_id, third.order_id)
        return group_id, order_id, "cancelled"
    if step == "pay late":
        city.pass_time(minutes=6)
        arm(city, sabotage)
    survive(city, lambda: city.away.pay(order_id))
    survive(city, city.settle)
    if step in ("try", "pay", "pay late"):
        calm(city, sabotage)
        return group_id, order_id, "split"
    arm(city, sabotage)
    if step == "refund":
        survive(city, lambda: city.away.do(a_refund(order_id)))
        survive(city, city.settle)
        calm(city, sabotage)
        return group_id, order_id, "refunded"
    if step == "news":
        member(city, group_id, second)
        calm(city, sabotage)
        return group_id, order_id, "split"
    survive(city, lambda: city.away.leave(group_id, "g1"))
    survive(city, city.settle)
    calm(city, sabotage)
    third = city.home.join(group_id, "m3")
    for order in (second, third.order_id):
        member(city, group_id, order)
    return group_id, order_id, "refunded"


def a_refund(order_id: str) -> RefundOrder:
    """All of an order's money goes back after its split."""
    return RefundOrder(order_id=OrderId(order_id), amount_fen=None, reason="goodwill", by=OPERATOR)


@pytest.mark.parametrize(("step", "moment", "happening"), CELLS, ids=str)
def test_every_crash_cell_of_a_seat_has_one_outcome(step: str, moment: str, happening: str) -> None:
    sabotage = Sabotage(step, moment, happening)
    city = City(Sabotaged)

    group_id, order_id, must = tell(city, sabotage)
    survive(city, lambda: city.pass_time(minutes=2))

    assert sabotage.hits == 1, "nothing went wrong: the cell was not run"
    assert city.away.state(order_id) == must
    group = city.home.the_group(group_id)
    assert (group.state, len(group.seats)) == ("closed", 3)
    assert [seat.order_id for seat in group.seats if seat.campus_id == AWAY] == [order_id] * (
        must == "split" or step == "refund"
    )
    check_one_outcome(city)
    for side in city.sides.values():
        assert [id for id in side.timers() if id.startswith("guest")] == []
    letters = [(side, letter) for side in city.sides.values() for letter in side.post.sent if "." in letter.address]
    say_again(city, letters)


def test_there_are_a_hundred_and_forty_cells() -> None:
    assert len(CELLS) == len(set(CELLS)) == 140
