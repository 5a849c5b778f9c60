"""Two campuses in memory, each with writers of its own, and the post between them, which may lose, double and kill.

`home` opens groups that take guests of `away`. Both clocks go together. A guest's request is the route's own code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from simulation import invariants
from simulation.invariants import guests as between_campuses
from tests.groups.test_walks import check_coupons, check_ledger, check_refunds, check_stock, values
from tests.heart import CAMPAIGNS, OPERATOR, Books, Campus, run
from tuanzi import catalog, guests
from tuanzi.base.ids import CampusId, Ids, OrderId, PersonId, SessionId
from tuanzi.base.once import once
from tuanzi.base.problem import Problem
from tuanzi.base.who import Role, Who
from tuanzi.groups import Group, GroupState, Seated, SeatState
from tuanzi.groups.store import CAMPAIGN_USES, GROUPS
from tuanzi.groups.web import CartLineBody
from tuanzi.guests import GUEST_SEATS, GuestSeat, GuestSeatState
from tuanzi.guests.web import GuestBody, join_as_guest
from tuanzi.machinery.fence import FENCES
from tuanzi.machinery.http.routes import Call
from tuanzi.machinery.internal import Timer
from tuanzi.machinery.post import Letter
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.room import Room
from tuanzi.machinery.writer import Outcome, Request
from tuanzi.money import SandboxProvider
from tuanzi.orders import ORDERS, Order, OrderState

HOME, AWAY = CampusId("beijing"), CampusId("shanghai")
ENDED = (OrderState.CANCELLED, OrderState.REFUNDING, OrderState.REFUNDED)


class Side(Campus):
    """One campus of a city. is_away: nobody can reach its core."""

    def __init__(self, city: City, campus_id: CampusId) -> None:
        self.city, self.campus_id = city, campus_id
        self.is_away = False
        super().__init__()
        taking = [replace(campaign, guest_campuses=(AWAY,)) for campaign in CAMPAIGNS]
        for campaign in taking if campus_id == HOME else ():
            self.do(catalog.PutCampaign(campaign=campaign, by=OPERATOR))

    def rooms_beside(self, provider: SandboxProvider) -> list[Room]:
        """The room that is tried here."""
        return [guests.room(self.post, is_campus=lambda id: id in (HOME, AWAY))]

    def new_id(self, prefix: str) -> str:
        """An id that no other campus has."""
        return super().new_id(f"{prefix}_{self.campus_id[0]}")

    def carry(self, letter: Letter) -> Any:
        """Bring a letter to a database of this campus, or to another campus."""
        campus_id, _, kind = letter.address.rpartition(".")
        if not campus_id:
            return super().carry(letter)
        other = self.city.sides[CampusId(campus_id)]
        if other.is_away:
            return Unavailable()
        try:
            return other._one(other.books[kind], Request(letter.command)).answer
        except Problem as problem:
            return problem

    def _fire(self, books: Books, timer: Timer) -> None:
        """As the desk does: what is not answered is tried again later and later."""
        command = books.schema.codec.command(timer.command, timer.body)
        errand = self.errands.get(type(command))
        if errand is not None:
            try:
                command = run(errand(command, now=self.now))
            except (Problem, TimeoutError):
                pause = timedelta(seconds=min(60, 2**timer.attempts))
                later = Timer(
                    id=timer.id,
                    due_at=self.now + pause,
                    command=timer.command,
                    body=timer.body,
                    attempts=timer.attempts + 1,
                )
                self._one(books, Request(None, timer=later, postpones=timer))
                return
        self._one(books, Request(command, timer=timer))

    # what a route sees of the desk

    async def submit(self, command: Any, *, who: str = "", key: Any = None, is_accepted: bool = False) -> Outcome:
        """As `Desk.submit`."""
        outcome: Outcome = self._one(self.core, Request(command, who=who, key=key))
        return outcome

    def peek(self, kind: type, key: Any) -> Any:
        """As `Desk.peek`: nothing is at hand."""
        return None


class Desk:
    """The core desk of a side, as a route sees it."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.submit = side.submit
        self.peek = side.peek

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """As `Desk.rows`."""
        return self.side.rows(sql, slots)


class City:
    """Two campuses; `spoil` says of every letter between them what becomes of it (`HandPost`)."""

    def __init__(self, make: Callable[[City, CampusId], Side] = Side) -> None:
        self.sides: dict[CampusId, Side] = {}
        for campus_id in (HOME, AWAY):
            self.sides[campus_id] = make(self, campus_id)
        self.home, self.away = self.sides[HOME], self.sides[AWAY]
        self._ids = Ids(Random(7).getrandbits)

    @property
    def now(self) -> datetime:
        """The time of both."""
        return self.home.now

    def between(self, spoil: Callable[[Letter], Any]) -> None:
        """Have letters between the campuses spoilt."""
        for side in self.sides.values():
            side.post.spoil = lambda letter: spoil(letter) if "." in letter.address else None

    # stories

    def join(
        self,
        group_id: str,
        member: str,
        *wanted: tuple[str, int],
        key: str = "",
        building: str = "dorm-1",
        roles: frozenset[Role] = frozenset({Role.STUDENT}),
    ) -> Any:
        """A guest asks for a seat by the route's own steps. Raises what it refuses."""
        lines = tuple(CartLineBody(dish_id=dish, quantity=count) for dish, count in wanted or (("beef", 1),))
        body = GuestBody(lines=lines, building_id=building)
        call: Call[GuestBody, None] = Call(
            who=Who(PersonId(member), SessionId("s"), roles, AWAY),
            path={"campus": AWAY, "home": HOME, "group_id": group_id},
            body=body,
            query=None,
            key=once(key or self._ids.token()[:16], repr(body).encode()),
            now=self.now,
            ids=self._ids,
            desks=SimpleNamespace(core=Desk(self.away)),  # type: ignore[arg-type]
            client="",
        )
        reply = run(join_as_guest(call, self.away.post, HOME))
        seated: Seated = reply.body
        return seated

    def settle(self) -> None:
        """Let everything that is due now happen, on both campuses, until nothing is."""
        for _ in range(1000):
            for side in self.sides.values():
                side._go_on()
            due = [
                side
                for side in self.sides.values()
                for books in side.books.values()
                if (at := books.timers.next_at) is not None and at <= side.now
            ]
            if not due:
                return
            for side in due:
                side.fire()
        raise AssertionError("it never becomes quiet")

    def pass_time(self, **amount: float) -> None:
        """Move both clocks; all that comes due on the way fires at its time, in order."""
        end = self.now + timedelta(**amount)
        self.settle()
        while True:
            times = [books.timers.next_at for side in self.sides.values() for books in side.books.values()]
            due = [at for at in times if at is not None and at <= end]
            if not due:
                break
            for side in self.sides.values():
                side.now = max(side.now, min(due))
            self.settle()
        for side in self.sides.values():
            side.now = end

    # looking

    def seat(self, order_id: str) -> GuestSeat:
        """A guest's seat as his campus keeps it."""
        kept: GuestSeat = self.away._kept(self.away.core, GUEST_SEATS, order_id)
        return kept

    def guest_seats(self) -> list[GuestSeat]:
        """All guests' seats."""
        return values(self.away, GUEST_SEATS)

    def everything(self) -> dict[str, Any]:
        """All that is kept on both campuses."""
        return {
            f"{side.campus_id}.{name}": rows
            for side in self.sides.values()
            for name, rows in side.everything().items()
            if not name.endswith(".timers")
        }


class Shelf:
    """A campus's books, as the simulation's invariants read them."""

    def __init__(self, side: Side) -> None:
        self.provider = side.provider
        self.disks = {kind: books.database for kind, books in side.books.items()}

    def rows(self, kind: str, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Rows of one database."""
        return self.disks[kind].rows(sql, slots)


def check_invariants(city: City, *, at_rest: bool) -> None:
    """What the simulation holds of each campus, and of all together."""
    books = {name: invariants.Books(Shelf(side)) for name, side in city.sides.items()}  # type: ignore[arg-type]
    of_each = [check for _, check in CAMPUS_ALWAYS] + ([invariants.groups_form_rightly] if at_rest else [])
    found = [f"{name}: {what}" for name, each in books.items() for check in of_each for what in check(each)]
    assert found + between_campuses.broken(books, at_rest=at_rest) == []


CAMPUS_ALWAYS = (
    ("I1", invariants.money_adds_up),
    ("I2", invariants.stock_adds_up),
    ("I4", invariants.effects_happen_once),
    ("I10", invariants.prices_are_exact),
    ("SEATS", invariants.seats_are_right),
)


def check_books(city: City) -> None:
    """What holds at every moment: portions, coupons, refunds and ledgers of both campuses, and the seat count."""
    check_invariants(city, at_rest=False)
    for side in city.sides.values():
        orders = {order.id: order for order in values(side, ORDERS)}
        check_stock(side, orders)
        check_coupons(side, orders)
        check_refunds(side, orders)
        check_ledger(side, orders)
    for group in values(city.home, GROUPS):
        members = [seat.member_id for seat in group.seats]
        assert len(members) == len(set(members)) <= group.seats_max, group
        paid, smallest = group.paid_count, group.tiers[0].size
        assert (group.state in (GroupState.FORMED, GroupState.CLOSED)) <= (paid >= smallest), group


def check_one_outcome(city: City) -> None:
    """What holds when all is heard: a seat at home for every live order of a guest and none beside, one state of the
    group on both campuses, nothing held for what is over."""
    check_books(city)
    check_invariants(city, at_rest=True)
    home = {group.id: group for group in values(city.home, GROUPS)}
    parts = {group.id: group for group in values(city.away, GROUPS)}
    orders = {order.id: order for order in values(city.away, ORDERS)}
    seats = {seat.order_id: seat for seat in city.guest_seats()}
    at_home = {
        seat.order_id: (group, seat) for group in home.values() for seat in group.seats if seat.campus_id == AWAY
    }
    for order_id, seat in seats.items():
        assert seat.state in (GuestSeatState.HELD, GuestSeatState.PAID, GuestSeatState.GONE), seat
        order = orders.get(order_id)
        group, there = at_home.get(order_id, (None, None))
        is_over = group is None or group.state is GroupState.FAILED
        assert (seat.state is GuestSeatState.GONE) == is_over, (seat, group)
        if order is None or is_over:
            assert order is None or order.state in ENDED, (seat, order)
            continue
        check_seat(order, parts[order.group_id], group, there)
    assert at_home.keys() <= seats.keys()
    for id, part in parts.items():
        check_part(part, home[id])
    check_uses(city, {**orders, **{order.id: order for order in values(city.home, ORDERS)}})
    fences = {fence.gid: fence for fence in values(city.home, FENCES) if fence.branch == "seat"}
    for gid, fence in fences.items():
        assert (fence.state == "tried") <= (gid.rpartition(".seat")[0] in at_home), fence


def check_uses(city: City, orders: Mapping[OrderId, Order]) -> None:
    """Every member has as many orders of a limited campaign as seats, of both campuses, that came to something."""
    uses = Counter(
        (group.campaign_id, seat.member_id)
        for group in values(city.home, GROUPS)
        for seat in group.seats
        if group.per_user_limit and group.state is not GroupState.FAILED and orders[seat.order_id].state not in ENDED
    )
    kept = {(use.campaign_id, use.member_id): use.orders for use in values(city.home, CAMPAIGN_USES)}
    assert {key: count for key, count in kept.items() if count} == dict(uses)


def check_seat(order: Order, part: Group, group: Any, there: Any) -> None:
    """A live order of a guest, in the part that is here and in the group at home."""
    here = part.seat_of(order.id)
    assert here is not None, order
    assert (here.state, here.member_id) == (there.state, there.member_id), (here, there)
    if there.state is SeatState.HELD:
        assert order.state is OrderState.CREATED, order
    elif group.state is GroupState.OPEN:
        assert order.state is OrderState.PAID, order
    elif group.state is GroupState.FORMED:
        assert order.state is OrderState.GROUPED, order
    else:
        assert order.state is OrderState.SPLIT or order.state in ENDED, order


def check_part(part: Group, group: Group) -> None:
    """A part and its group say the same of what is in the part."""
    assert part.home is not None
    assert {seat.order_id for seat in part.seats} == {seat.order_id for seat in group.seats if seat.campus_id}, part
    if part.seats:
        assert part.state is group.state, (part, group)
        if group.state is GroupState.CLOSED:
            assert part.paid_count == group.paid_count, (part, group)
            assert part.delivery_fee_here == group.delivery_fee_of(AWAY), (part, group)


def say_again(city: City, letters: Sequence[tuple[Side, Letter]]) -> None:
    """Carry every letter between the campuses once more; nothing changes."""
    before = city.everything()
    for side, letter in letters:
        side.carry(letter)
    assert city.everything() == before
