"""What must hold of groups with members on several campuses, read from all campuses' books (B7; decision 0015).

Seats are counted at home alone; orders and money are on each member's own campus. ALWAYS holds after every commit,
AT_REST when every campus has heard all that was said to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from simulation.invariants import store
from simulation.invariants.books import Books, GroupRow, OrderRow
from tuanzi.groups import Seat

# Orders that wait for their money, that have it, and that came to nothing.
LIVE = frozenset({"created", "paid", "grouped"})
ENDED = frozenset({"cancelled", "refunding", "refunded"})
# What an order is while its seat is paid and the group is so far; later its split decides.
PAID_IN = {"open": {"paid"}, "formed": {"grouped"}}


class GuestRow(NamedTuple):
    """A row of `guest_seats`."""

    order_id: str
    group_id: str
    home_id: str
    member_id: str
    state: str


class Campuses:
    """The books of all campuses, what each keeps of its guests' seats, and groups whose own split came to nothing."""

    def __init__(self, books: Mapping[str, Books]) -> None:
        self.books = books
        self.groups = {(name, group.id): group for name, each in books.items() for group in each.groups}
        self.unsplit = {
            name: {row[0] for row in each.house.rows("core", store.CANCELLED_SPLITS)} for name, each in books.items()
        }
        self.guests = {
            name: {row[0]: GuestRow(*row) for row in each.house.rows("core", store.GUEST_SEATS)}
            for name, each in books.items()
        }

    def outcome(self, name: str, group: GroupRow) -> str:
        """What became of a group or part on a campus, before its own split, which each campus has for itself."""
        return "closed" if group.state == "failed" and group.id in self.unsplit[name] else group.state

    def homes(self) -> Iterator[tuple[str, GroupRow]]:
        """Every group, with the campus it is at home on."""
        return ((name, group) for (name, _), group in self.groups.items() if group.home is None)

    def parts(self) -> Iterator[tuple[str, GroupRow, GroupRow | None]]:
        """Every part of a group: the campus it is on, and the group at home."""
        for (name, id), part in self.groups.items():
            if part.home is not None:
                yield name, part, self.groups.get((part.home.campus_id, id))

    def order_of(self, seat: Seat, *, home: str) -> OrderRow | None:
        """The order of a seat, on its member's campus."""
        return self.books[seat.campus_id or home].orders.get(seat.order_id)


Check = Callable[[Campuses], Iterator[str]]


def one_seat_count(campuses: Campuses) -> Iterator[str]:
    """SEATS over all campuses: no more than the largest tier, one for each member, and formed by who has paid."""
    for _, group in campuses.homes():
        paid = sum([seat.state == "paid" for seat in group.seats])
        if len(group.seats) > group.tiers[-1].size:
            yield f"group {group.id}: {len(group.seats)} seats of {group.tiers[-1].size} over all campuses"
        if len({seat.member_id for seat in group.seats}) != len(group.seats):
            yield f"group {group.id}: somebody has two seats, perhaps on two campuses"
        if group.state in ("formed", "closed") and paid < group.tiers[0].size:
            yield f"group {group.id} is {group.state} with {paid} paid seats over all campuses"
    for name, part, at_home in campuses.parts():
        if at_home is None or at_home.home is not None:
            yield f"part {part.id} on {name} has no group at home"


def seats_and_orders_agree(campuses: Campuses) -> Iterator[str]:
    """ORDERS at rest: each guest's seat at home has his order on his own campus, as far as the group is, and the other
    way round."""
    seated: dict[tuple[str, str], str] = {}
    for home, group in campuses.homes():
        for seat in group.seats:
            if seat.campus_id is None:
                continue
            seated[seat.campus_id, seat.order_id] = group.id
            order = campuses.order_of(seat, home=home)
            if order is None and campuses.outcome(home, group) == "failed":
                continue  # it failed before the order was placed
            if order is None or (order.member_id, order.group_id) != (seat.member_id, group.id):
                yield f"group {group.id}: the seat of {seat.order_id} is nobody's on {seat.campus_id}"
            elif (outcome := campuses.outcome(home, group)) == "failed":
                if order.state not in ENDED:
                    yield f"group {group.id} failed, and its guest's order {order.id} is {order.state}"
            elif seat.state == "held":
                if order.state != "created":
                    yield f"group {group.id}: the seat of {order.id} is held, the order {order.state}"
            elif order.state not in PAID_IN.get(outcome, {order.state} - LIVE):
                yield f"group {group.id} is {outcome}, its guest's order {order.id} {order.state}"
    for name, guests in campuses.guests.items():
        for guest in guests.values():
            order = campuses.books[name].orders.get(guest.order_id)
            if guest.state not in ("held", "paid", "gone"):
                yield f"the seat of {guest.order_id} on {name} is still {guest.state}"
            if order is not None and order.state in LIVE and (name, order.id) not in seated:
                yield f"order {order.id} on {name} is {order.state} and has no seat at home"


def parts_follow_home(campuses: Campuses) -> Iterator[str]:
    """SEATS at rest: a part has the seats that its home says, in its state; the delivery is paid once by all.

    A group that failed keeps the seats it had; its part lost those that were given up at the same moment.
    """
    shares: dict[str, int] = {}
    for name, part, group in campuses.parts():
        if group is None:
            continue
        there = {seat.order_id for seat in group.seats if seat.campus_id == name}
        here = {seat.order_id for seat in part.seats}
        if here != there and not (group.state == "failed" and here < there):
            yield f"part {part.id} on {name} has the seats of {sorted(here)}, its home says {sorted(there)}"
        home = part.home.campus_id if part.home is not None else ""
        here_is, there_is = campuses.outcome(name, part), campuses.outcome(home, group)
        if part.seats and here_is != there_is:
            yield f"part {part.id} on {name} is {here_is}, and its home {there_is}"
        if part.seats and there_is == "closed" and part.home is not None:
            shares[group.id] = shares.get(group.id, 0) + part.home.delivery_fee.fen
    for name, group in campuses.homes():
        if campuses.outcome(name, group) != "closed" or not any(seat.campus_id is not None for seat in group.seats):
            continue
        own = sum([seat.campus_id is None for seat in group.seats])
        fee = group.delivery_fee_fen
        least, most = own * (fee // len(group.seats)), own * -(-fee // len(group.seats))
        if not least <= fee - shares.get(group.id, 0) <= most:
            yield f"group {group.id}: guests pay {shares.get(group.id, 0)} of {fee} fen of the delivery"


def money_goes_where_the_seat_is(campuses: Campuses) -> Iterator[str]:
    """MONEY at rest: of a guest without a seat nothing is kept, of one with a paid seat his price is there."""
    for name, guests in campuses.guests.items():
        books = campuses.books[name]
        for guest in guests.values():
            order = books.orders.get(guest.order_id)
            if order is None:
                continue
            back = sum([refund.amount.fen for refund in order.refunds])
            if guest.state == "gone" and order.paid_fen != back:
                yield f"order {order.id} on {name} lost its seat, and {order.paid_fen - back} fen of it are kept"
            if guest.state == "paid" and order.paid_fen != order.payable_fen:
                yield f"order {order.id} on {name} has a paid seat and {order.paid_fen} of {order.payable_fen} fen"


def no_seat_is_held_for_nobody(campuses: Campuses) -> Iterator[str]:
    """SEATS at rest: who was only tried has his seat at home, and whoever has none left no fence that is open."""
    for name, books in campuses.books.items():
        here = {seat.order_id for group in books.groups for seat in group.seats if seat.campus_id is not None}
        for gid, state in books.house.rows("core", store.SEAT_FENCES):
            if state == "tried" and gid.rpartition(".seat")[0] not in here:
                yield f"{name}: {gid} is tried, and nobody sits"


ALWAYS: tuple[tuple[str, Check], ...] = (("SEATS", one_seat_count),)
AT_REST: tuple[tuple[str, Check], ...] = (
    ("ORDERS", seats_and_orders_agree),
    ("SEATS", parts_follow_home),
    ("MONEY", money_goes_where_the_seat_is),
    ("SEATS", no_seat_is_held_for_nobody),
)


def broken(books: Mapping[str, Books], *, at_rest: bool) -> list[str]:
    """What does not hold over all campuses, by name."""
    campuses = Campuses(books)
    checks = (*ALWAYS, *AT_REST) if at_rest else ALWAYS
    return [f"{name}: {what}" for name, check in checks for what in check(campuses)]
