"""Seats of groups, and whether a group was formed (SEATS)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from simulation.invariants.books import HOLDING, Books

UNPAID = frozenset({"created", "cancelled"})


def seats_are_right(books: Books) -> Iterator[str]:
    """SEATS: never more than the largest tier, one for each member, for an order of this group in a fitting state."""
    seated: dict[str, str] = {}
    for group in books.groups:
        seats = group.seats
        if len(seats) > group.tiers[-1].size:
            yield f"group {group.id}: {len(seats)} seats of {group.tiers[-1].size}"
        if len({seat.member_id for seat in seats}) != len(seats):
            yield f"group {group.id}: somebody has two seats"
        for seat in seats:
            if seat.campus_id is not None:
                continue  # a guest's; his order is on his own campus
            order = books.orders.get(seat.order_id)
            if order is None or order.member_id != seat.member_id:
                yield f"group {group.id}: the seat of {seat.order_id} is nobody's"
            elif group.state == "failed":
                # Late money may have found another group since; here nobody may still wait for a meal.
                if order.group_id == group.id and order.state not in ("cancelled", "refunding", "refunded"):
                    yield f"group {group.id} failed, and its order {order.id} is {order.state}"
            elif order.group_id != group.id:
                yield f"group {group.id}: the seat of {order.id} is in {order.group_id}"
            elif group.state in ("open", "formed", "closed"):
                waits = group.home is not None and order.state == "paid"  # its home has not answered for his money
                if (seat.state == "held") != (order.state in UNPAID or (seat.state == "held" and waits)):
                    yield f"group {group.id}: the seat of {order.id} is {seat.state}, the order {order.state}"
                seated[order.id] = group.id
    for order in books.orders.values():
        if order.state in HOLDING and seated.get(order.id) != order.group_id:
            yield f"order {order.id} is {order.state} and has no seat"


def groups_form_rightly(books: Books) -> Iterator[str]:
    """SEATS at rest: a group was formed exactly if its paid seats reached the smallest tier when it closed."""
    formed = {body["group_id"] for body in books.told("groups.formed")}
    split = {body["group_id"] for body in books.told("splitting.planned")}
    cancelled = {body["group_id"] for body in books.told("splitting.cancelled")}
    for group in books.groups:
        paid = sum(seat.state == "paid" for seat in group.seats)
        paid += 0 if group.home is None else group.home.paid_elsewhere
        if not any(seat.campus_id is None for seat in group.seats):
            continue  # nothing of it is split here
        if group.state == "closed" and (paid < group.tiers[0].size or group.id not in formed or group.id not in split):
            yield f"group {group.id} closed with {paid} paid seats"
        if group.state == "failed" and group.id not in cancelled and (group.id in formed or group.id in split):
            yield f"group {group.id} failed after it had formed"
    largest = {group.id: group.tiers[0].size for group in books.groups}
    paid_in: dict[str, set[str]] = defaultdict(set)
    for _, name, body in books.events["core"]:
        if name == "groups.seat_paid":
            paid_in[body["group_id"]].add(body["order_id"])
        elif name == "groups.seat_released":
            paid_in[body["group_id"]].discard(body["order_id"])
        elif name == "groups.failed" and body["reason"] == "split_cancelled":
            if body["group_id"] not in cancelled:
                yield f"group {body['group_id']} failed by a split that was not cancelled"
        elif name == "groups.failed" and len(paid_in[body["group_id"]]) >= largest[body["group_id"]]:
            yield f"group {body['group_id']} failed with {len(paid_in[body['group_id']])} paid seats"
