"""Fills a database of the baseline with a campus, a campaign of three, dishes and signed-in students."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import time
from pathlib import Path

from sqlalchemy import insert

from benchmarks.baseline.database import Database
from benchmarks.baseline.tables import Building, Campaign, Dish, Portion, Session

CAMPUS = "beijing"
DISHES = 40
MERCHANTS = 10
PORTIONS = 10_000_000
DAY_MS = 86_400_000


async def seed(folder: Path, *, students: int) -> dict[str, object]:
    """Make the tables and the data; returns what the load generator needs to know."""
    now_ms = time.time_ns() // 1_000_000
    dishes = [
        {"id": f"d{i}", "merchant_id": f"m{i % MERCHANTS}", "name": f"dish {i}", "price_fen": 899 + 137 * i}
        for i in range(DISHES)
    ]
    people = [{"token": f"{i:064x}", "person_id": f"s{i}"} for i in range(students)]
    database = Database(folder)
    await database.create()
    async with database.writing() as session, session.begin():
        session.add(Building(id="b1", campus_id=CAMPUS, name="Dorm 1"))
        session.add(
            Campaign(
                id="c1",
                campus_id=CAMPUS,
                meal_id="lunch",
                size=3,
                percent_off=12,
                delivery_fee_fen=500,
                seat_hold_ms=900_000,
                opens_at_ms=now_ms - 1000,
                closes_at_ms=now_ms + DAY_MS,
            )
        )
        await session.execute(insert(Dish), dishes)
        await session.execute(
            insert(Portion),
            [{"meal_id": "lunch", "dish_id": dish["id"], "total": PORTIONS, "held": 0, "sold": 0} for dish in dishes],
        )
        sessions = [
            {
                "token_hash": hashlib.sha256(person["token"].encode()).hexdigest(),
                "person_id": person["person_id"],
                "campus_id": CAMPUS,
                "expires_at_ms": now_ms + DAY_MS,
            }
            for person in people
        ]
        if sessions:
            await session.execute(insert(Session), sessions)
    await database.close()
    return {
        "campus": CAMPUS,
        "campaign_id": "c1",
        "building_id": "b1",
        "dishes": [{"dish_id": dish["id"], "price_fen": dish["price_fen"]} for dish in dishes],
        "students": people,
    }


def main() -> None:
    """Seed `--data` with `--students` students and write what the load generator needs to `--out`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--students", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.data.mkdir(parents=True, exist_ok=True)
    known = asyncio.run(seed(arguments.data, students=arguments.students))
    arguments.out.write_text(json.dumps(known))


if __name__ == "__main__":
    main()
