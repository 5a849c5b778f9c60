"""What simulated campuses offer: the demo campuses from `campuses/*.json`, and a small scarce one for races."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from random import Random
from typing import Any

import msgspec

Catalog = dict[str, Any]

DAY_MINUTES = 1440
ALL_DAY = [[{"opens_minute": 0, "closes_minute": DAY_MINUTES}]] * 7
EVER = {"starts_at": "2020-01-01T00:00:00+08:00", "ends_at": "2040-01-01T00:00:00+08:00"}
# Meals that leave no minute of the day without one, so that a demo or benchmark can order at any time.
ROUND_THE_CLOCK = (
    ("breakfast", "早餐", "Breakfast", 300, 600),
    ("lunch", "午餐", "Lunch", 600, 900),
    ("dinner", "晚餐", "Dinner", 900, 1200),
    ("night", "夜宵", "Night snack", 1200, 1740),
)
PERIODS = [period for period, *_ in ROUND_THE_CLOCK]


@dataclass(frozen=True, slots=True)
class Offer:
    """A campaign as those see it who order: where it delivers, when, and its dishes by merchant: (id, price in fen)."""

    id: str
    building_ids: tuple[str, ...]
    period_ids: tuple[str, ...]
    dishes: Mapping[str, Sequence[tuple[str, int]]]
    sizes: tuple[int, ...]


def demo(campus: str) -> Catalog:
    """A demo campus as it is shipped."""
    file = resources.files("simulation") / "campuses" / f"{campus}.json"
    catalog: Catalog = msgspec.json.decode(file.read_bytes())
    return catalog


def taking_guests(catalog: Catalog, *, of: Sequence[str]) -> Catalog:
    """The same campus, whose groups take guests of these campuses."""
    return {**catalog, "campaigns": [{**each, "guest_campuses": list(of)} for each in catalog["campaigns"]]}


def round_the_clock(catalog: Catalog) -> Catalog:
    """The same campus with meals, shops and one more campaign open at every minute of the day."""
    campus = catalog["campus"]["id"]
    always = {
        "id": f"{campus}-always",
        "name_zh": "随时拼",
        "name_en": "Any time together",
        "tiers": [{"size": 3, "off_percent": 10}, {"size": 5, "off_percent": 15, "off_fen": 100}],
        "merchant_ids": [merchant["id"] for merchant in catalog["merchants"]],
        "building_ids": [],
        "period_ids": PERIODS,
        **EVER,
        "group_lasts_minutes": 10,
        "pay_within_s": 300,
        "per_order_limit": 6,
        "per_user_limit": 0,
        "delivery_fee_fen": 600,
        "state": "live",
    }
    return {
        **catalog,
        "periods": periods(),
        "merchants": [{**merchant, "hours": ALL_DAY} for merchant in catalog["merchants"]],
        "campaigns": [*catalog["campaigns"], always],
    }


def periods() -> list[dict[str, Any]]:
    """Meals without a gap between them."""
    return [
        {
            "id": id,
            "name_zh": name_zh,
            "name_en": name_en,
            "starts_minute": starts,
            "cut_off_minute": ends,
            "ends_minute": ends,
        }
        for id, name_zh, name_en, starts, ends in ROUND_THE_CLOCK
    ]


def small(campus: str, chance: Random) -> Catalog:
    """A campus with two buildings, three shops and few portions, where everything runs short."""
    merchants = [_merchant(f"m{i}", i) for i in range(3)]
    dishes = [
        _dish(f"m{i}-d{n}", f"m{i}", chance.randrange(300, 3000), chance.choice((6, 12, 40, 400)))
        for i in range(3)
        for n in range(3)
    ]
    return {
        "campus": _campus(campus),
        "buildings": [_building(f"b{i}", i) for i in range(2)],
        "periods": periods(),
        "merchants": merchants,
        "dishes": dishes,
        "campaigns": [
            _campaign("trio", [(3, 10, 0)], chance, limit=0),
            _campaign("ladder", [(2, 5, 0), (4, 11, 50), (6, 17, 133)], chance, limit=0),
            _campaign("once", [(2, 7, 33), (3, 9, 77)], chance, limit=1),
        ],
    }


def _campus(id: str) -> dict[str, Any]:
    return {
        "id": id,
        "name_zh": "小校区",
        "name_en": "Small Campus",
        "south_e6": 40_000_000,
        "west_e6": 116_000_000,
        "north_e6": 40_100_000,
        "east_e6": 116_100_000,
    }


def _building(id: str, i: int) -> dict[str, Any]:
    return {
        "id": id,
        "kind": "dorm",
        "name_zh": f"{i + 1}号楼",
        "name_en": f"Dorm {i + 1}",
        "latitude_e6": 40_010_000 + i,
        "longitude_e6": 116_010_000 + i,
        "residents": 500,
    }


def _merchant(id: str, i: int) -> dict[str, Any]:
    return {
        "id": id,
        "name_zh": f"窗口{i + 1}",
        "name_en": f"Counter {i + 1}",
        "latitude_e6": 40_020_000 + i,
        "longitude_e6": 116_020_000 + i,
        "hours": ALL_DAY,
        "is_open": True,
        "delivery_fee_fen": 300,
        "min_order_fen": 0,
    }


def _dish(id: str, merchant_id: str, price_fen: int, portions: int) -> dict[str, Any]:
    return {
        "id": id,
        "merchant_id": merchant_id,
        "name_zh": f"菜{id}",
        "name_en": f"Dish {id}",
        "price_fen": price_fen,
        "portions_per_meal": portions,
    }


def _campaign(id: str, tiers: list[tuple[int, int, int]], chance: Random, *, limit: int) -> dict[str, Any]:
    return {
        "id": id,
        "name_zh": f"活动{id}",
        "name_en": f"Campaign {id}",
        "tiers": [{"size": size, "off_percent": percent, "off_fen": fen} for size, percent, fen in tiers],
        "merchant_ids": ["m0", "m1", "m2"],
        "building_ids": [],
        "period_ids": PERIODS,
        **EVER,
        "group_lasts_minutes": chance.choice((4, 9, 15)),
        "pay_within_s": chance.choice((30, 90, 240)),
        "per_order_limit": 6,
        "per_user_limit": limit,
        "delivery_fee_fen": chance.choice((0, 299, 500)),
        "state": "live",
    }


def spots(catalog: Catalog) -> list[tuple[int, int]]:
    """Where its merchants are, in millionths of a degree north and east."""
    return [(merchant["latitude_e6"], merchant["longitude_e6"]) for merchant in catalog["merchants"]]


def offers(catalog: Catalog) -> list[Offer]:
    """The live campaigns of a catalog; dishes that are only add-ons or parts are left out."""
    dishes: dict[str, list[tuple[str, int]]] = {}
    for dish in catalog["dishes"]:
        if dish.get("is_on_sale", True) and not dish.get("is_addon") and not dish.get("items"):
            dishes.setdefault(dish["merchant_id"], []).append((dish["id"], dish["price_fen"]))
    buildings = tuple(building["id"] for building in catalog["buildings"])
    return [
        Offer(
            id=campaign["id"],
            building_ids=tuple(campaign.get("building_ids") or buildings),
            period_ids=tuple(campaign["period_ids"]),
            dishes={id: dishes[id] for id in campaign["merchant_ids"] if id in dishes},
            sizes=tuple(tier["size"] for tier in campaign["tiers"]),
        )
        for campaign in catalog["campaigns"]
        if campaign["state"] == "live"
    ]
