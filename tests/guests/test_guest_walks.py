"""B7: any story over two campuses keeps one seat count: random walks with lost, doubled and late letters and crashes.

After every step nobody has two seats, no group more than its largest tier, and both campuses' books are right; and
when all is heard, both say the same of every seat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.groups.test_walks import values
from tests.guests.city import City, check_books, check_one_outcome, say_again
from tests.heart import OPERATOR
from tuanzi.base.ids import OrderId, PersonId
from tuanzi.base.problem import Problem
from tuanzi.groups import CancelOrder
from tuanzi.groups.store import GROUPS
from tuanzi.machinery.post import Letter
from tuanzi.orders import ORDERS, OrderState, RefundOrder

WALKS = 40
STEPS = 30
CARTS = ((("beef", 1),), (("soup", 3),), (("beef", 1), ("milk-tea", 1)), (("soup", 1), ("cake", 2)))
CAMPAIGNS = ("steps", "steps", "trio", "once")
PEOPLE = tuple(f"m{i}" for i in range(1, 6))


class Walk:
    """Two campuses and what may happen to them; `n` chooses among what there is."""

    def __init__(self) -> None:
        self.city = City()
        self.late: list[tuple[Any, Letter]] = []
        self.visits: list[tuple[int, str]] = []

    def step(self, deed: str, n: int) -> None:
        """Do something; who is refused may try something else."""
        with suppress(Problem, TimeoutError):
            DEEDS[deed](self, n)
        self.city.settle()
        check_books(self.city)

    def one(self, things: Sequence[Any], n: int) -> Any:
        if not things:
            raise Problem
        return things[n % len(things)]

    def live(self, n: int) -> str:
        live = [group for group in values(self.city.home, GROUPS) if group.state in ("open", "formed")]
        return str(self.one(sorted(live, key=lambda group: group.id), n).id)

    def order(self, side: Any, n: int, *states: OrderState) -> Any:
        orders = sorted(values(side, ORDERS), key=lambda order: str(order.id))
        return self.one([order for order in orders if not states or order.state in states], n)

    def open(self, n: int) -> None:
        cart, campaign = CARTS[n // 5 % 4], CAMPAIGNS[n // 20 % 4]
        opened = self.city.home.open(PEOPLE[n % 5], *cart, campaign=campaign)
        if n % 3:
            self.city.home.pay(opened.order_id)

    def join(self, n: int) -> None:
        joined = self.city.home.join(self.live(n // 20), PEOPLE[n % 5], *CARTS[n // 5 % 4])
        if n % 3:
            self.city.home.pay(joined.order_id)

    def visit(self, n: int) -> None:
        group_id = self.live(n // 20)
        self.visits.append((n, group_id))
        seated = self.city.join(group_id, PEOPLE[n % 5], *CARTS[n // 5 % 4], key=f"key-{n}")
        if n % 3:
            self.city.away.pay(seated.order_id)

    def ask_again(self, n: int) -> None:
        """A guest repeats an earlier request under its key, whatever became of it."""
        n, group_id = self.one(self.visits, n)
        self.city.join(group_id, PEOPLE[n % 5], *CARTS[n // 5 % 4], key=f"key-{n}")

    def pay_here(self, n: int) -> None:
        self.city.home.pay(self.order(self.city.home, n, OrderState.CREATED).id)

    def pay_there(self, n: int) -> None:
        self.city.away.pay(self.order(self.city.away, n, OrderState.CREATED).id)

    def pay_late(self, n: int) -> None:
        self.city.away.pay(self.order(self.city.away, n, OrderState.CANCELLED).id)

    def leave_here(self, n: int) -> None:
        self.cancel(self.city.home, n)

    def leave_there(self, n: int) -> None:
        self.cancel(self.city.away, n)

    def cancel(self, side: Any, n: int) -> None:
        order = self.order(side, n, OrderState.CREATED, OrderState.PAID)
        side.do(CancelOrder(order_id=OrderId(order.id), member_id=PersonId(order.member_id)))

    def refund_there(self, n: int) -> None:
        """An operator gives a guest money back, all or a part, as far as his order's state lets him."""
        order_id = OrderId(self.order(self.city.away, n).id)
        amount = None if n % 3 else n % 1500
        self.city.away.do(RefundOrder(order_id=order_id, amount_fen=amount, reason="kind", by=OPERATOR))

    def wait(self, n: int) -> None:
        self.city.pass_time(seconds=n % 90)

    def wait_long(self, n: int) -> None:
        self.city.pass_time(minutes=1 + n % 20)

    def break_the_post(self, n: int) -> None:
        """From now on letters between the campuses have fates of their own."""
        count = iter(range(1_000_000))
        self.city.between(lambda letter: {0: "lost", 1: "unanswered", 2: "twice"}.get((n + next(count)) % 5))

    def mend_the_post(self, n: int) -> None:
        self.city.between(lambda letter: None)

    def say_again(self, n: int) -> None:
        """A letter that was sent before comes once more, whenever that was."""
        sent = [
            (side, letter) for side in self.city.sides.values() for letter in side.post.sent if "." in letter.address
        ]
        side, letter = self.one(sent, n)
        side.carry(letter)

    def part(self, n: int) -> None:
        """One campus cannot be reached by the other."""
        self.one(list(self.city.sides.values()), n).is_away = True

    def meet(self, n: int) -> None:
        for side in self.city.sides.values():
            side.is_away = False

    def kill(self, n: int) -> None:
        self.one(list(self.city.sides.values()), n).kill()


DEEDS: dict[str, Callable[[Walk, int], None]] = {
    "open": Walk.open,
    "join": Walk.join,
    "visit": Walk.visit,
    "ask again": Walk.ask_again,
    "pay here": Walk.pay_here,
    "pay there": Walk.pay_there,
    "pay late": Walk.pay_late,
    "leave here": Walk.leave_here,
    "leave there": Walk.leave_there,
    "refund there": Walk.refund_there,
    "wait": Walk.wait,
    "wait long": Walk.wait_long,
    "break the post": Walk.break_the_post,
    "mend the post": Walk.mend_the_post,
    "say again": Walk.say_again,
    "part": Walk.part,
    "meet": Walk.meet,
    "kill": Walk.kill,
}
# What makes groups form comes more often.
OFTEN = ("open", "join", "join", "visit", "visit", "visit", "pay there", "say again")
STEP = st.tuples(st.sampled_from([*DEEDS, *OFTEN]), st.integers(0, 1000))


@given(st.lists(STEP, max_size=STEPS))
@settings(max_examples=WALKS, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_story_over_two_campuses_keeps_one_seat_count_and_one_outcome(steps: list[tuple[str, int]]) -> None:
    walk = Walk()
    walk.step("open", 1)
    walk.step("visit", 2)

    for deed, n in steps:
        walk.step(deed, n)
    walk.step("meet", 0)
    walk.step("mend the post", 0)
    walk.city.pass_time(hours=2)

    check_one_outcome(walk.city)
    for side in walk.city.sides.values():
        assert [id for id in side.timers() if id.startswith("guest")] == []
    sent = [(side, letter) for side in walk.city.sides.values() for letter in side.post.sent if "." in letter.address]
    say_again(walk.city, sent)
