"""A real delivery day through the order path: restaurants are merchants, areas are buildings, orders join groups.

The set (grubhub/mdrplib: Reyes, Erera, Savelsbergh, Sahasrabudhe, O'Neil 2018) has times, places, restaurants, but no
dishes or prices: those are drawn by seed. Areas are the cells of a grid over the drop-offs; orders of one area join
the group that is open there when they are placed, or open one.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from simulation import catalogs
from simulation.asking import Ask
from simulation.catalogs import ALL_DAY, EVER, Catalog
from simulation.faults import Swarm
from simulation.lunch import begin, rest
from simulation.report import Report, report_of
from simulation.staff import Staff
from simulation.students import JOIN, LIST_GROUPS, OPEN, PAY, Habits, person
from simulation.world import Script, Wait, World
from tuanzi.base.who import Who

CELL_METRES = 2_000
MINUTE_S = 60.0
# A campaign lists at most 200 merchants (catalog); a day with more restaurants has several, by their place.
MERCHANTS_MAX = 200
MAP_SOUTH_E6, MAP_WEST_E6 = 39_000_000, 115_000_000


class DayUnreadable(Exception):
    """The folder does not hold a day; says what is missing."""


class DayOrder(NamedTuple):
    """An order of the day: minute of placement, drop-off in metres, restaurant."""

    id: str
    x: int
    y: int
    placed_minute: int
    restaurant: str


class Restaurant(NamedTuple):
    """A restaurant, in metres."""

    id: str
    x: int
    y: int


def replay_day(path: Path, *, seed: int, swarm: Swarm | None = None) -> Report:
    """Let the day happen and report. Raises DayUnreadable."""
    orders = sorted(
        (
            DayOrder(row["order"], int(row["x"]), int(row["y"]), int(row["placement_time"]), row["restaurant"])
            for row in rows_of(path / "orders.txt", ("order", "x", "y", "placement_time", "restaurant"))
        ),
        key=lambda order: (order.placed_minute, order.id),
    )
    restaurants = [
        Restaurant(row["restaurant"], int(row["x"]), int(row["y"]))
        for row in rows_of(path / "restaurants.txt", ("restaurant", "x", "y"))
    ]
    world = World(seed, swarm=swarm)
    catalog, campaign_of = _catalog(world.house.campus, orders, restaurants, world.chance)
    begin(world, catalog)
    habits = Habits(forgets=0.0, pays_late=0.0, leaves=0.0, regrets=0.0, again=0.0)
    staff = Staff(world, campus=world.house.campus, habits=habits, spots=catalogs.spots(catalog), riders=80)
    dishes = {merchant_id: list(own) for offer in catalogs.offers(catalog) for merchant_id, own in offer.dishes.items()}
    first = orders[0].placed_minute if orders else 0
    for i, order in enumerate(orders):
        who = person(i, campus=world.house.campus)
        staff.knows(who)
        merchant_id = _merchant_id(order.restaurant)
        script = _order(world.chance, who, _area(order), campaign_of[merchant_id], dishes[merchant_id])
        world.act(script, after=(order.placed_minute - first) * MINUTE_S + world.chance.random() * MINUTE_S)
    last = orders[-1].placed_minute if orders else 0
    world.run(until=world.clock.seconds + (last - first) * MINUTE_S + 3_600)
    rest(world)
    report = report_of(world)
    world.house.close()
    return report


def rows_of(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The lines of a file of the set. Raises DayUnreadable when it is not there or a column is missing."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
    except OSError as error:
        raise DayUnreadable(f"{path}: {error.strerror}") from error
    for row in rows[:1]:
        missing = [column for column in columns if column not in row]
        if missing:
            raise DayUnreadable(f"{path}: has no column {missing[0]}")
    return rows


def _order(chance: Random, who: Who, building_id: str, campaign_id: str, dishes: list[tuple[str, int]]) -> Script:
    """Join the group that is open here, or open one, and pay."""
    counts: dict[str, int] = {}
    for _ in range(chance.choice((1, 1, 2, 3))):
        dish_id, _ = chance.choice(dishes)
        counts[dish_id] = counts.get(dish_id, 0) + 1
    lines = [{"dish_id": dish_id, "quantity": count} for dish_id, count in counts.items()]
    for _ in range(3):
        query = {"campaign_id": campaign_id, "building_id": building_id}
        listed = yield Ask("GET", LIST_GROUPS, who, query=query)
        groups = listed.json["items"] if listed.is_good else []
        groups = [group for group in groups if group["seats_taken"] < group["seats_max"]]
        if groups:
            answer = yield Ask("POST", JOIN, who, values={"group_id": groups[0]["group_id"]}, body={"lines": lines})
        else:
            answer = yield Ask("POST", OPEN, who, body={**query, "lines": lines})
        if answer.is_good:
            yield Wait(chance.uniform(3, 60))
            yield Ask("POST", PAY, who, values={"order_id": answer.json["order_id"]}, body={})
            return
        yield Wait(chance.uniform(1, 10))


def _area(order: DayOrder) -> str:
    return f"area-{order.x // CELL_METRES + 500}-{order.y // CELL_METRES + 500}"


def _merchant_id(restaurant: str) -> str:
    return f"m-{restaurant.lower()}"


def _catalog(
    campus: str, orders: Sequence[DayOrder], restaurants: Sequence[Restaurant], chance: Random
) -> tuple[Catalog, dict[str, str]]:
    """The day as a campus, and the campaign of each merchant."""
    places = sorted({_area(order): order for order in reversed(orders)}.items())
    corner_x = min([0, *(order.x for order in orders), *(each.x for each in restaurants)])
    corner_y = min([0, *(order.y for order in orders), *(each.y for each in restaurants)])
    by_place = sorted(restaurants, key=lambda each: (each.x, each.y, each.id))
    campaigns = []
    campaign_of: dict[str, str] = {}
    for number, start in enumerate(range(0, len(by_place), MERCHANTS_MAX), start=1):
        merchant_ids = [_merchant_id(each.id) for each in by_place[start : start + MERCHANTS_MAX]]
        campaigns.append(_campaign(f"day-{number}", merchant_ids))
        campaign_of.update(dict.fromkeys(merchant_ids, f"day-{number}"))
    catalog: Catalog = {
        "campus": {
            "id": campus,
            "name_zh": "重放的一天",
            "name_en": "A replayed day",
            "south_e6": MAP_SOUTH_E6,
            "west_e6": MAP_WEST_E6,
            "north_e6": MAP_SOUTH_E6 + 1_000_000,
            "east_e6": MAP_WEST_E6 + 1_000_000,
        },
        "buildings": [
            {
                "id": area,
                "kind": "dorm",
                "name_zh": f"片区 {area[5:]}",
                "name_en": f"Area {area[5:]}",
                **_position(order.x - corner_x, order.y - corner_y),
                "residents": 0,
            }
            for area, order in places
        ],
        "periods": catalogs.periods(),
        "merchants": [
            {
                "id": _merchant_id(each.id),
                "name_zh": f"餐厅 {each.id}",
                "name_en": f"Restaurant {each.id}",
                **_position(each.x - corner_x, each.y - corner_y),
                "hours": ALL_DAY,
                "is_open": True,
                "delivery_fee_fen": 500,
                "min_order_fen": 0,
            }
            for each in restaurants
        ],
        "dishes": [
            {
                "id": f"{_merchant_id(each.id)}-{n}",
                "merchant_id": _merchant_id(each.id),
                "name_zh": f"{each.id} 菜{n}",
                "name_en": f"{each.id} dish {n}",
                "price_fen": chance.randrange(800, 4500, 10),
                "portions_per_meal": 100_000,
            }
            for each in restaurants
            for n in range(3)
        ],
        "campaigns": campaigns,
    }
    return catalog, campaign_of


def _position(x: int, y: int) -> dict[str, int]:
    """Metres as micro-degrees, 9 of them to a metre: near enough for a map on which nobody measures."""
    return {"latitude_e6": MAP_SOUTH_E6 + min(y * 9, 999_999), "longitude_e6": MAP_WEST_E6 + min(x * 9, 999_999)}


def _campaign(id: str, merchant_ids: list[str]) -> dict[str, Any]:
    return {
        "id": id,
        "name_zh": "同片区一起拼",
        "name_en": "Together in one area",
        "tiers": [{"size": 2, "off_percent": 5}, {"size": 4, "off_percent": 10}, {"size": 8, "off_percent": 15}],
        "merchant_ids": merchant_ids,
        "building_ids": [],
        "period_ids": catalogs.PERIODS,
        **EVER,
        "group_lasts_minutes": 20,
        "pay_within_s": 300,
        "per_order_limit": 10,
        "per_user_limit": 0,
        "delivery_fee_fen": 800,
        "state": "live",
    }
