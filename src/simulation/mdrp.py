"""Instances and solutions of the Meal Delivery Routing Problem, as the public set and its evaluator know them.

Reyes, Erera, Savelsbergh, Sahasrabudhe, O'Neil: "Meal Delivery Routing: The Grubhub Instances" (2018), sections 1 and
2.1, and the repository grubhub/mdrplib. Minutes since midnight, metres; every time is a whole minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, hypot
from pathlib import Path
from typing import NamedTuple

from simulation.replaying import DayUnreadable, rows_of

ASSIGNMENTS_FILE = "solution_info_assignments.txt"
ORDERS_FILE = "solution_info_orders.txt"
COURIERS_FILE = "solution_info_couriers.txt"


class Place(NamedTuple):
    """A point, in metres."""

    x: int
    y: int


class MealOrder(NamedTuple):
    """An order: who has to bring what from where, known from `placed` on."""

    id: str
    place: Place
    placed: int
    restaurant: str
    ready: int


class Courier(NamedTuple):
    """A courier: on at a place, off at a time after which he picks nothing up."""

    id: str
    place: Place
    on: int
    off: int


@dataclass(frozen=True, slots=True)
class Instance:
    """One day. pick_up, drop_off: minutes of service, half before the hand-over and half after it."""

    orders: dict[str, MealOrder]
    restaurants: dict[str, Place]
    couriers: dict[str, Courier]
    metres_per_minute: float
    pick_up: int
    drop_off: int
    target: int

    def travel(self, start: Place, end: Place) -> int:
        """Minutes from one place to another."""
        return ceil(hypot(end.x - start.x, end.y - start.y) / self.metres_per_minute)

    @property
    def half_pick_up(self) -> int:
        """Before a pick-up and after it; rounded up, for times are whole minutes."""
        return (self.pick_up + 1) // 2

    @property
    def half_drop_off(self) -> int:
        """Before a drop-off and after it."""
        return (self.drop_off + 1) // 2

    def deliverable(self) -> set[str]:
        """Orders that some courier could pick up before his time is up, if he stood before the restaurant all day."""
        return {
            order.id
            for order in self.orders.values()
            if any(
                max(order.ready, max(order.placed, courier.on) + self.half_pick_up) <= courier.off
                for courier in self.couriers.values()
            )
        }


def read_instance(folder: Path) -> Instance:
    """The instance in a folder. Raises DayUnreadable, which says what is missing or wrong."""
    names = ("meters_per_minute", "pickup service minutes", "dropoff service minutes", "target click-to-door")
    parameters = rows_of(folder / "instance_parameters.txt", names)
    if not parameters:
        raise DayUnreadable(f"{folder / 'instance_parameters.txt'}: has no line of parameters")
    try:
        metres_per_minute = float(parameters[0][names[0]])
        pick_up, drop_off, target = (_whole(parameters[0][name]) for name in names[1:])
        restaurants = {
            row["restaurant"]: _place(row) for row in rows_of(folder / "restaurants.txt", ("restaurant", "x", "y"))
        }
        orders = [
            MealOrder(
                id=row["order"],
                place=_place(row),
                placed=_whole(row["placement_time"]),
                restaurant=row["restaurant"],
                ready=_whole(row["ready_time"]),
            )
            for row in rows_of(folder / "orders.txt", ("order", "x", "y", "placement_time", "restaurant", "ready_time"))
        ]
        couriers = [
            Courier(id=row["courier"], place=_place(row), on=_whole(row["on_time"]), off=_whole(row["off_time"]))
            for row in rows_of(folder / "couriers.txt", ("courier", "x", "y", "on_time", "off_time"))
        ]
    except (TypeError, ValueError) as error:
        raise DayUnreadable(f"{folder}: a number is not one: {error}") from error
    instance = Instance(
        orders={order.id: order for order in orders},
        restaurants=restaurants,
        couriers={courier.id: courier for courier in couriers},
        metres_per_minute=metres_per_minute,
        pick_up=pick_up,
        drop_off=drop_off,
        target=target,
    )
    if not orders:
        raise DayUnreadable(f"{folder / 'orders.txt'}: has no order")
    if len(instance.orders) < len(orders) or len(instance.couriers) < len(couriers):
        raise DayUnreadable(f"{folder}: an order or a courier is there twice")
    if metres_per_minute <= 0 or min(pick_up, drop_off) < 0:
        raise DayUnreadable(f"{folder / 'instance_parameters.txt'}: speed and service times cannot be negative")
    for order in orders:
        if order.restaurant not in restaurants:
            raise DayUnreadable(f"{folder / 'orders.txt'}: order {order.id} is of {order.restaurant}, which is nowhere")
    return instance


def _place(row: dict[str, str]) -> Place:
    return Place(_whole(row["x"]), _whole(row["y"]))


def _whole(text: str) -> int:
    """A whole number, also written as 4.0. Raises ValueError."""
    number = float(text)
    if not number.is_integer():
        raise ValueError(f"{text!r} is not whole")
    return int(number)


class Brought(NamedTuple):
    """An assignment carried out: its orders in the order of their doors, and the minute of each hand-over."""

    courier: str
    assigned: int
    leaves: int
    picked_up: int
    orders: tuple[str, ...]
    dropped_off: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Solution:
    """All that was brought, those of one courier in the order of time."""

    rounds: tuple[Brought, ...]


class Figures(NamedTuple):
    """What the evaluator's summary begins with. Means and maxima in minutes."""

    delivered: int
    bundles: int
    couriers_used: int
    click_to_door_mean_min: float
    click_to_door_max_min: int
    ready_to_door_mean_min: float
    ready_to_pickup_mean_min: float
    over_target: int


def figures_of(instance: Instance, solution: Solution) -> Figures:
    """The figures of a solution, rounded to a thousandth of a minute."""
    click, door, pickup = [], [], []
    for one in solution.rounds:
        for order_id, dropped_off in zip(one.orders, one.dropped_off, strict=True):
            order = instance.orders[order_id]
            click.append(dropped_off - order.placed)
            door.append(dropped_off - order.ready)
            pickup.append(one.picked_up - order.ready)
    return Figures(
        delivered=len(click),
        bundles=len(solution.rounds),
        couriers_used=len({one.courier for one in solution.rounds}),
        click_to_door_mean_min=_mean(click),
        click_to_door_max_min=max(click, default=0),
        ready_to_door_mean_min=_mean(door),
        ready_to_pickup_mean_min=_mean(pickup),
        over_target=sum(minutes > instance.target for minutes in click),
    )


def _mean(minutes: list[int]) -> float:
    return round(sum(minutes) / len(minutes), 3) if minutes else 0.0


def write_solution(instance: Instance, solution: Solution, folder: Path) -> None:
    """Write the three files that the published evaluator reads; they take the place of older ones. Raises OSError."""
    assignments = ["assignment_time pickup_time courier orders"]
    orders = ["order placement_time ready_time pickup_time dropoff_time courier"]
    moves = ["courier departure_time origin destination"]
    last: dict[str, str] = {}
    for one in sorted(solution.rounds, key=lambda each: (each.assigned, each.courier)):
        assignments.append(f"{one.assigned} {one.picked_up} {one.courier} {' '.join(one.orders)}")
    for one in sorted(solution.rounds, key=lambda each: (each.courier, each.leaves)):
        departs, origin = one.leaves, last.get(one.courier, "0")
        stops = [(instance.orders[one.orders[0]].restaurant, one.picked_up + instance.half_pick_up)]
        for order_id, dropped_off in zip(one.orders, one.dropped_off, strict=True):
            stops.append((order_id, dropped_off + instance.half_drop_off))
            order = instance.orders[order_id]
            orders.append(f"{order_id} {order.placed} {order.ready} {one.picked_up} {dropped_off} {one.courier}")
        for destination, leaves in stops:
            moves.append(f"{one.courier} {departs} {origin} {destination}")
            departs, origin = leaves, destination
        last[one.courier] = origin
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in ((ASSIGNMENTS_FILE, assignments), (ORDERS_FILE, orders), (COURIERS_FILE, moves)):
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
