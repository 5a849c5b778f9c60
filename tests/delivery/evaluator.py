"""The rules of the Meal Delivery Routing Problem, checked from an instance's and a solution's files alone.

Written from the paper (Reyes et al., "Meal Delivery Routing: The Grubhub Instances", sections 1 and 2.1); it shares no
code with what makes solutions, and works every place and time out anew. It asks for more than the published evaluator:
service times are kept to the minute, nobody is instructed while he carries out an assignment or before he is on duty,
and a bundle is of one restaurant.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

Row = dict[str, str]


class Verdict(NamedTuple):
    """What breaks the rules, what was delivered, and the minutes from click to door of each."""

    violations: list[str]
    click_to_door: dict[str, int]

    @property
    def mean(self) -> float:
        """The mean of click to door."""
        return sum(self.click_to_door.values()) / len(self.click_to_door)


def evaluate(instance: Path, solution: Path) -> Verdict:
    """Read both folders and judge."""
    judge = Judge(instance)
    told = {row["order"]: row for row in _table(solution / "solution_info_orders.txt", " ")}
    moves: dict[str, list[Move]] = defaultdict(list)
    for line in _lines(solution / "solution_info_couriers.txt")[1:]:
        courier, departs, origin, destination = line.split()
        moves[courier].append(Move(int(departs), origin, destination))
    rounds: dict[str, list[Round]] = defaultdict(list)
    seen: list[str] = []
    for line in _lines(solution / "solution_info_assignments.txt")[1:]:
        assigned, picked_up, courier, *bundle = line.split()
        rounds[courier].append(Round(int(assigned), int(picked_up), courier, tuple(bundle)))
        seen += bundle
    for order in sorted({*seen, *told}):
        if seen.count(order) > 1:
            judge.says(f"{order} is assigned twice")
        if (order in told) != (order in seen):
            judge.says(f"{order} is assigned and not delivered, or delivered and never assigned")
    for courier in sorted({*rounds, *moves}):
        if courier not in judge.couriers:
            judge.says(f"courier {courier} is unknown")
        else:
            judge.follow(courier, sorted(rounds[courier]), moves[courier], told)
    return Verdict(
        judge.violations,
        {order: int(row["dropoff_time"]) - int(judge.orders[order]["placement_time"]) for order, row in told.items()},
    )


class Move(NamedTuple):
    """A line of the couriers' file."""

    departs: int
    origin: str
    destination: str


class Round(NamedTuple):
    """A line of the assignments' file."""

    assigned: int
    picked_up: int
    courier: str
    bundle: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.courier}'s round of {','.join(self.bundle)}"


@dataclass
class Judge:
    """An instance, and what was found wrong so far."""

    instance: Path
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.orders = {row["order"]: row for row in _table(self.instance / "orders.txt", "\t")}
        self.restaurants = {row["restaurant"]: row for row in _table(self.instance / "restaurants.txt", "\t")}
        self.couriers = {row["courier"]: row for row in _table(self.instance / "couriers.txt", "\t")}
        (parameters,) = _table(self.instance / "instance_parameters.txt", "\t")
        self.speed = float(parameters["meters_per_minute"])
        self.at_counter = float(parameters["pickup service minutes"]) / 2
        self.at_door = float(parameters["dropoff service minutes"]) / 2

    def says(self, what: str) -> None:
        """Note what is wrong."""
        self.violations.append(what)

    def travel(self, start: Row, end: Row) -> int:
        """Minutes between the places of two lines."""
        metres = math.dist((float(start["x"]), float(start["y"])), (float(end["x"]), float(end["y"])))
        return math.ceil(metres / self.speed)

    def follow(self, courier: str, rounds: list[Round], moves: list[Move], told: dict[str, Row]) -> None:
        """Go with a courier through his day."""
        me = self.couriers[courier]
        free_at, here, name = int(me["on_time"]), me, "0"
        path = list(moves)
        for one in rounds:
            self.check_times(one, free_at=free_at, off=int(me["off_time"]))
            stops = [self.orders[one.bundle[0]]["restaurant"], *one.bundle]
            for i, stop in enumerate(stops):
                if not path:
                    self.says(f"{one} misses its move to {stop}")
                    break
                move = path.pop(0)
                there = self.restaurants[stop] if i == 0 else self.orders[stop]
                if (move.origin, move.destination) != (name, stop):
                    self.says(f"{one} moves from {move.origin} to {move.destination}, not from {name} to {stop}")
                if move.departs < max(one.assigned, free_at):
                    self.says(f"{one} leaves {name} at {move.departs}, before {max(one.assigned, free_at)}")
                arrives = move.departs + self.travel(here, there)
                at = one.picked_up if i == 0 else int(told.get(stop, {}).get("dropoff_time", -1))
                half = self.at_counter if i == 0 else self.at_door
                if at < arrives + half:
                    self.says(f"{one} is handed over at {stop} at {at}, but he arrives at {arrives}")
                free_at, here, name = math.ceil(at + half), there, stop
            self.check_lines(one, told)
        if path:
            self.says(f"{courier} moves {len(path)} times more than he has to")

    def check_times(self, one: Round, *, free_at: int, off: int) -> None:
        """When a round may be assigned and picked up, and of what it may be."""
        if len({self.orders[order]["restaurant"] for order in one.bundle}) != 1:
            self.says(f"{one} is of several restaurants")
        if one.assigned < free_at:
            self.says(f"{one} is assigned at {one.assigned}, while he is busy or off until {free_at}")
        if one.picked_up > off:
            self.says(f"{one} is picked up at {one.picked_up}, after he went off at {off}")
        for order in one.bundle:
            if one.assigned < int(self.orders[order]["placement_time"]):
                self.says(f"{one} is assigned before {order} is placed")
            if one.picked_up < int(self.orders[order]["ready_time"]):
                self.says(f"{one} is picked up before {order} is ready")

    def check_lines(self, one: Round, told: dict[str, Row]) -> None:
        """The lines of its orders say the same."""
        for order in one.bundle:
            expected = {
                "placement_time": self.orders[order]["placement_time"],
                "ready_time": self.orders[order]["ready_time"],
                "pickup_time": str(one.picked_up),
                "courier": one.courier,
            }
            for name, value in expected.items():
                if order in told and told[order].get(name) != value:
                    self.says(f"{order}: {name} is told as {told[order].get(name)}, and is {value}")


def _table(path: Path, separator: str) -> list[Row]:
    header, *lines = _lines(path)
    names = header.split(separator)
    return [dict(zip(names, line.split(separator), strict=True)) for line in lines]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()
